//! Snow: a micro async web framework.
//!
//! One event loop per core, built on `mio`; requests parsed by `httparse`; routes matched by regex, the
//! first match wins; handlers that answer now (a [`Response`]), later (a [`Future`] that anyone may
//! complete, a [`TimeoutFuture`] that time completes) or by `async fn`.
//!
//! ```no_run
//! use snow::{Request, Response, Result, Snow, get};
//!
//! fn hello(req: Request) -> String {
//!     format!("hello, {}\n", req.param("name").unwrap_or("you"))
//! }
//!
//! async fn user(req: Request) -> Result<Response> {
//!     let id: u64 = req.parse_param("id")?; // a 400 that names the parameter
//!     snow::sleep(std::time::Duration::from_millis(10)).await;
//!     Ok(Response::text(format!("user {id}\n")))
//! }
//!
//! fn main() -> Result<()> {
//!     Snow::new([
//!         get(r"^/hello/(?<name>\w+)$", hello),
//!         get(r"^/user/(?<id>\d+)$", user),
//!     ])
//!     .run("127.0.0.1:9999")
//! }
//! ```
//!
//! The layers, from the bottom: [`rt`] is the loop, which has never heard of bytes; [`net`] makes async
//! streams of sockets; `http` turns bytes into requests and responses into bytes, without either; and
//! what this page lists is the application on top. A program may use `rt` and `net` with no HTTP in it.
//!
//! What happens is logged with the crate `log`: without a logger, nothing is shown.
//!
//! # Features
//!
//! None is on by default.
//!
//! - `json`: `Json`, `Response::json` and `Request::json`, and the module `headed`.
//! - `uploads`: the module `uploads`, uploads that resume.
//! - `activation`: `systemd:` as an address, for the sockets that a service manager hands over; Linux.
//! - `fine-timers`: deadlines are met to a tenth of a millisecond and not to one; Linux, elsewhere it changes
//!   nothing.
//! - `unicode`: Unicode tables for the patterns of [routes](route); without it they know ASCII.

#![forbid(unsafe_code)]
#![warn(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod app;
mod config;
mod error;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
#[cfg(feature = "json")]
pub mod headed;
mod http;
pub mod net;
pub mod rt;
#[cfg(feature = "uploads")]
pub mod uploads;

#[cfg(feature = "json")]
pub use app::Json;
pub use app::{
    Awaited, ClientRequest, ClientResponse, Counters, Future, Handler, IntoReply, IntoResponse,
    Now, PendingResponse, Reply, Route, Running, Server, Snow, StopHandle, TestClient,
    TestConnection, TimeoutFuture, delete, get, method, mount, patch, post, put, route,
};
pub use config::{BLOCKING_THREADS, Config};
pub use error::{Error, ErrorKind, Result};
pub use http::{Body, BodyStream, Cookie, Headers, Request, Response, SameSite, Version};
pub use rt::{
    Elapsed, Sleep, Task, Timeout, Unblock, block_on, race, sleep, spawn, timeout, unblock,
};

pub use ::bytes::Bytes;
pub use ::http::{HeaderName, HeaderValue, Method, StatusCode, header};
