//! What the programs that measure have in common: command lines, limits, and server processes.

mod arguments;
mod program;
mod server;
pub mod strace;

pub use arguments::Arguments;
pub use program::run;
pub use server::{Server, free_port};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit on descriptors: ten thousand connections need more than many shells grant.
///
/// Children inherit it. Refused, what needs more fails at the connection that finds no descriptor,
/// with a message of its own.
pub fn raise_descriptor_limit() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}
