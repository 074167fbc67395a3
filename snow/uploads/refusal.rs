//! Why a request is not done, and what its client is told.

use crate::{Error, ErrorKind, Response};
use http::StatusCode;
use std::{borrow::Cow, io};

/// The version of the protocol.
pub(super) const VERSION: &str = "1.0.0";

/// A request that is not done.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: u16,
    /// One line for a person.
    reason: Cow<'static, str>,
    /// What the machine said, for the log.
    source: Option<io::Error>,
}

impl Refusal {
    pub(super) fn new(status: u16, reason: impl Into<Cow<'static, str>>) -> Refusal {
        Refusal { status, reason: reason.into(), source: None }
    }

    pub(super) fn unknown() -> Refusal {
        Refusal::new(404, "there is no such upload")
    }

    /// Makes nothing of an upload that is not there.
    pub(super) fn pass_unknown(self) -> Result<(), Refusal> {
        if self.status == 404 { Ok(()) } else { Err(self) }
    }

    pub(super) fn expired() -> Refusal {
        Refusal::new(410, "the upload has expired")
    }

    pub(super) fn locked() -> Refusal {
        Refusal::new(423, "another request is at work on this upload")
    }

    pub(super) fn too_long() -> Refusal {
        Refusal::new(413, "the content goes beyond the length of the upload")
    }

    pub(super) fn no_room() -> Refusal {
        Refusal::new(507, "there is no room for more")
    }

    pub(super) fn into_response(self) -> Response {
        if let Some(source) = &self.source {
            log::error!("an upload failed: {source}");
        }
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let response = Response::text(format!("{}\n", self.reason)).status(status);
        match self.status {
            412 => response.header("tus-version", VERSION),
            _ => response,
        }
    }
}

/// The machine's refusal: a disk that is full is told apart, as a client can do something about it.
impl From<io::Error> for Refusal {
    fn from(source: io::Error) -> Refusal {
        let refusal = match source.kind() {
            io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::FileTooLarge => Refusal::no_room(),
            _ => Refusal::new(500, "the upload cannot be stored"),
        };
        Refusal { source: Some(source), ..refusal }
    }
}

/// Content that broke off.
impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        match error.kind() {
            ErrorKind::RequestTimeout => Refusal::new(408, error.to_string()),
            ErrorKind::Unavailable => Refusal::new(503, error.to_string()),
            _ => Refusal::new(400, error.to_string()),
        }
    }
}
