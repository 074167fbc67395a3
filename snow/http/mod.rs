//! Messages and bytes: bytes in, requests out; responses in, bytes out.
//!
//! There is no socket here, no clock and no loop. The same code is fed byte by byte in tests, by a
//! fuzzer, by the test client and by the server.

mod body;
mod body_stream;
mod conn;
mod cookie;
mod date;
mod encode;
mod fields;
mod head;
mod parse;
mod request;
mod response;
mod target;

pub use body_stream::BodyStream;
pub use cookie::{Cookie, SameSite};
pub use request::{Headers, Request, Version};
pub use response::{Body, Response};

pub(crate) use body::Piece;
pub(crate) use body_stream::BodyFeed;
pub(crate) use conn::{After, Conn};
#[cfg(feature = "uploads")]
pub(crate) use date::LAST_DATE;
pub(crate) use date::{Preface, http_date};
pub(crate) use head::Span;
pub(crate) use request::{Context, Parts, PartsKeeper, RequestBody, States};
pub(crate) use response::{Content, FileContent, MakeTrailers, Pieces, StreamContent, reason_text};
#[cfg(fuzzing)]
pub(crate) use {conn::Owed, encode::write_head, fields::ContentFraming};

use crate::{Error, ErrorKind};
use std::borrow::Cow;

/// Makes the error of a message that cannot be understood.
#[cold]
fn bad(reason: impl Into<Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::BadRequest, reason)
}
