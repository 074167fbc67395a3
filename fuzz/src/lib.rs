//! What the fuzz targets compare Snow with, and what they drive it through.
//!
//! The parsers here are written from the RFCs and share no code with Snow: they look at whole
//! messages, copy freely, and are as plain as can be.

pub mod app;
pub mod chunked;
pub mod frames;
pub mod request;
pub mod response;
pub mod script;
pub mod syntax;

use snow::Config;
use std::sync::LazyLock;

/// The limits of a server, made once: the defaults ask the system.
pub static USUAL_LIMITS: LazyLock<Config> = LazyLock::new(Config::default);

/// Limits small enough for a short input to exceed them.
pub static SMALL_LIMITS: LazyLock<Config> = LazyLock::new(|| {
    let mut config = Config::default();
    config.max_target_bytes = 96;
    config.max_head_bytes = 512;
    config.max_headers = 12;
    config.max_chunk_line_bytes = 48;
    config.max_chunk_overhead_bytes = 128;
    config.max_trailer_bytes = 96;
    config.max_trailers = 4;
    config
});
