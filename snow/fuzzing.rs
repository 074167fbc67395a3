//! What the fuzz targets and the bench of the codec drive; compiled for them alone, under `--cfg fuzzing`.
//!
//! A [`Codec`] is one connection's codec without an application: heads and content go through the same
//! `Conn` as a server's. An [`Encoder`] writes heads of responses, and a [`Table`] finds routes, as a worker does.

use crate::{
    Config, ErrorKind, HeaderName, HeaderValue, Request, Response,
    http::{Conn, ContentFraming, Owed, PartsKeeper, Piece, Preface, Version, write_head},
};
use std::{
    fmt,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

pub use crate::app::fuzzing::*;

/// The fields of uploads.
#[cfg(feature = "uploads")]
pub mod uploads {
    pub use crate::uploads::fuzzing::*;
}

/// How the content of a request is delimited.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Framing {
    /// So many bytes, which may be none.
    Length(u64),
    /// Chunked.
    Chunked,
}

/// What came of a piece of input.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Content {
    /// Bytes of content.
    Data(Vec<u8>),
    /// The input is used up before the content's end.
    Incomplete,
    /// The content is at its end; these fields came behind it.
    End(Vec<(HeaderName, HeaderValue)>),
}

thread_local! {
    /// For the life of the thread, so that a codec has what others have left, as connections have.
    static KEEPER: PartsKeeper = PartsKeeper::new(Arc::default(), Vec::new());
}

/// One connection's codec, without an application.
pub struct Codec<'a> {
    conn: Conn,
    config: &'a Config,
    request: Request,
}

impl<'a> Codec<'a> {
    /// Makes the codec of a new connection.
    pub fn new(config: &'a Config) -> Codec<'a> {
        let request = KEEPER.with(|keeper| Request::new(keeper.context()));
        Codec { conn: Conn::new(), config, request }
    }

    /// Looks for a head at the start of `input`, and returns how many bytes it took; `None` when the
    /// same bytes and more are to come again.
    ///
    /// # Errors
    ///
    /// The kind of what the client would be answered.
    pub fn receive_head(&mut self, input: &[u8]) -> Result<Option<usize>, ErrorKind> {
        let head = &mut self.request.parts_mut().head;
        self.conn.receive_head(input, self.config, head).map_err(|error| error.kind())
    }

    /// Returns the request whose head was received last.
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// Returns how the content of the request in hand is delimited.
    pub fn framing(&self) -> Framing {
        match self.request.parts().head.fields.content() {
            ContentFraming::None => Framing::Length(0),
            ContentFraming::Length(length) => Framing::Length(length),
            ContentFraming::Chunked => Framing::Chunked,
        }
    }

    /// Returns whether the connection may go on after the request in hand.
    pub fn is_keep_alive(&self) -> bool {
        self.request.parts().head.fields.is_keep_alive()
    }

    /// Returns whether the client waits for a 100.
    pub fn expects_continue(&self) -> bool {
        self.request.parts().head.fields.expects_continue()
    }

    /// Takes the next piece of content off `input`.
    ///
    /// # Errors
    ///
    /// The kind of what the client would be answered.
    pub fn receive_content(&mut self, input: &mut &[u8]) -> Result<Content, ErrorKind> {
        match self.conn.receive_content(input, self.config) {
            Ok(Piece::Data(data)) => Ok(Content::Data(data.to_vec())),
            Ok(Piece::Incomplete) => Ok(Content::Incomplete),
            Ok(Piece::End) => Ok(Content::End(self.conn.end_content())),
            Err(error) => Err(error.kind()),
        }
    }
}

impl fmt::Debug for Codec<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.conn.fmt(f)
    }
}

/// Writes heads of responses, all with one date.
pub struct Encoder(Preface);

impl Encoder {
    /// Makes the encoder of a worker.
    pub fn new(config: &Config) -> Encoder {
        let mut preface = Preface::new(config.server_header.as_ref());
        preface.set_date(UNIX_EPOCH + Duration::from_secs(784_111_777)); // RFC 9110's
        Encoder(preface)
    }

    /// Writes the head that answers a `GET` of HTTP/1.1 on a connection that goes on.
    pub fn write_head(&self, out: &mut Vec<u8>, response: &Response) {
        let mut owed = Owed {
            is_head: false,
            version: Version::Http11,
            is_keep_alive: true,
            is_last_request: false,
        };
        write_head(out, response, &mut owed, &self.0);
    }
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoder").finish_non_exhaustive()
    }
}
