//! `Conn`, the HTTP/1.1 state machine of one connection: bytes in, requests out, and back again.
//!
//! One request is in hand at a time, so answers come in order. Two enums say all there is to say: what
//! is taken from the peer next, and what is owed to it. After a fault nothing more is taken, and
//! after the answer that ends the connection nothing more is written.

use super::{
    body::{Decoder, Piece, Trailers},
    date::Preface,
    encode::{self, Framing},
    fields::ContentFraming,
    head::Head,
    parse::{Scan, parse_head},
    request::Version,
    response::Response,
};
use crate::{Config, Error, ErrorKind, Result};
use http::{HeaderName, HeaderValue, Method, StatusCode};

/// What is taken from the peer next.
#[derive(Debug)]
enum Reading {
    /// The head of a request.
    Head(Scan),
    /// Content of the request in hand. While a 100 is due the client may be waiting for it.
    Content { decoder: Decoder, is_continue_due: bool },
    /// Nothing, ever.
    Closed,
}

/// What is owed to the peer.
#[derive(Debug)]
enum Writing {
    /// Nothing: no request is in hand.
    Nothing,
    /// A response.
    Response(Owed),
    /// Content of the response whose head is written.
    Content { framing: Framing, owed: Owed },
    /// Nothing, ever. The end of the last response may be that of the connection.
    Closed { ends_response: bool },
}

/// What a request says about its response.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Owed {
    pub(crate) is_head: bool,
    pub(crate) version: Version,
    /// Whether the connection goes on after the response.
    pub(crate) is_keep_alive: bool,
    /// Whether the client has said that this is its last request.
    pub(crate) is_last_request: bool,
}

/// What is to be done once a response is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum After {
    /// Take the next request.
    NextRequest,
    /// Throw the rest of the content away, then take the next request.
    Drain,
    /// Close; the peer may be sending still.
    Close { lingers: bool },
}

/// One connection's place in the protocol.
#[derive(Debug)]
pub(crate) struct Conn {
    reading: Reading,
    writing: Writing,
}

impl Conn {
    pub(crate) fn new() -> Conn {
        Conn { reading: Reading::Head(Scan::default()), writing: Writing::Nothing }
    }

    /// Looks for the head of the next request at the start of `input`, and returns how many bytes it
    /// took; `None` when it is not all there, in which case the same bytes and more come again.
    ///
    /// # Errors
    ///
    /// What to answer with; nothing more is taken from the peer.
    pub(crate) fn receive_head(
        &mut self,
        input: &[u8],
        config: &Config,
        head: &mut Head,
    ) -> Result<Option<usize>> {
        let Reading::Head(scan) = &mut self.reading else { return Ok(None) };
        match parse_head(input, scan, config, head) {
            Ok(None) => Ok(None),
            Ok(Some(len)) => {
                if head.fields.content() != ContentFraming::None {
                    self.begin_content(head);
                }
                // What follows a CONNECT may be meant for the tunnel that is not made.
                let is_keep_alive = head.fields.is_keep_alive() && head.method != Method::CONNECT;
                self.writing = Writing::Response(Owed {
                    is_head: head.method == Method::HEAD,
                    version: head.version,
                    is_keep_alive,
                    is_last_request: !head.fields.is_keep_alive(),
                });
                Ok(Some(len))
            }
            Err(error) => Err(self.refuse_head(input, error)),
        }
    }

    // Out of line, as what is below: most requests have no content and no fault.
    #[inline(never)]
    fn begin_content(&mut self, head: &Head) {
        self.reading = Reading::Content {
            decoder: Decoder::new(head.fields.content()),
            is_continue_due: head.fields.expects_continue(),
        };
    }

    #[cold]
    fn refuse_head(&mut self, input: &[u8], error: Error) -> Error {
        self.refuse();
        // Even a HEAD request that was not understood is answered without content.
        if let Writing::Response(owed) = &mut self.writing {
            owed.is_head = input.trim_ascii_start().starts_with(b"HEAD ");
        }
        error
    }

    /// Takes the next piece of content off `input`.
    ///
    /// # Errors
    ///
    /// What to answer with; nothing more is taken from the peer.
    pub(crate) fn receive_content<'a>(
        &mut self,
        input: &mut &'a [u8],
        config: &Config,
    ) -> Result<Piece<'a>> {
        let Reading::Content { decoder, is_continue_due } = &mut self.reading else {
            return Ok(Piece::End);
        };
        *is_continue_due &= input.is_empty();
        match decoder.decode(input, config) {
            Err(error) => {
                self.refuse();
                Err(error)
            }
            piece => piece,
        }
    }

    /// Takes what came behind the content, and makes ready for the next head.
    pub(crate) fn end_content(&mut self) -> Trailers {
        match std::mem::replace(&mut self.reading, Reading::Head(Scan::default())) {
            Reading::Content { mut decoder, .. } => decoder.take_trailers(),
            Reading::Head(_) => Trailers::new(),
            Reading::Closed => {
                self.reading = Reading::Closed;
                Trailers::new()
            }
        }
    }

    /// Returns how many bytes of content are still to come at the least.
    pub(crate) fn declared_content(&self) -> u64 {
        match &self.reading {
            Reading::Content { decoder, .. } => decoder.declared(),
            Reading::Head(_) | Reading::Closed => 0,
        }
    }

    /// Returns whether content of the request in hand is still to be taken.
    pub(crate) fn is_receiving(&self) -> bool {
        matches!(self.reading, Reading::Content { .. })
    }

    /// Takes nothing more from the peer; an answer is owed, even if no request was understood.
    #[cold]
    pub(crate) fn refuse(&mut self) {
        self.reading = Reading::Closed;
        match &mut self.writing {
            Writing::Nothing => {
                self.writing = Writing::Response(Owed {
                    is_head: false,
                    version: Version::Http11,
                    is_keep_alive: false,
                    is_last_request: false,
                });
            }
            Writing::Response(_) | Writing::Content { .. } | Writing::Closed { .. } => {
                self.set_last();
            }
        }
    }

    /// Writes a 100 if the client waits for one, and the response has not begun: behind its head a 100
    /// would be taken for content.
    pub(crate) fn write_continue(&mut self, out: &mut Vec<u8>) {
        if let (Reading::Content { is_continue_due, .. }, Writing::Response(_)) =
            (&mut self.reading, &self.writing)
        {
            if std::mem::take(is_continue_due) {
                out.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
            }
        }
    }

    /// Returns whether the client may be waiting for a 100.
    pub(crate) fn is_continue_due(&self) -> bool {
        matches!(self.reading, Reading::Content { is_continue_due: true, .. })
    }

    /// Returns whether the content of the answer that is owed is sent, if it has this status.
    pub(crate) fn sends_content(&self, status: StatusCode) -> bool {
        let answers_head = matches!(&self.writing, Writing::Response(owed) if owed.is_head);
        !answers_head && !encode::has_no_content(status)
    }

    /// Lets the connection end with the answer that is owed.
    pub(crate) fn set_last(&mut self) {
        match &mut self.writing {
            Writing::Response(owed) | Writing::Content { owed, .. } => owed.is_keep_alive = false,
            Writing::Nothing | Writing::Closed { .. } => {}
        }
    }

    /// Writes the head of the answer that is owed, if one is; its content comes later.
    pub(crate) fn write_head(
        &mut self,
        out: &mut Vec<u8>,
        response: &Response,
        preface: &Preface,
        config: &Config,
    ) {
        let Writing::Response(mut owed) = self.writing else { return };
        let framing = self.begin_response(&mut owed, out, response, preface, config);
        self.writing = Writing::Content { framing, owed };
    }

    /// Writes the head of the answer that is owed; its content is in memory, and the caller sends it.
    /// Returns whether there is content to send, and what is to be done then.
    pub(crate) fn write_whole_head(
        &mut self,
        out: &mut Vec<u8>,
        response: &Response,
        preface: &Preface,
        config: &Config,
    ) -> (bool, After) {
        let Writing::Response(mut owed) = self.writing else {
            return (false, After::Close { lingers: false });
        };
        let framing = self.begin_response(&mut owed, out, response, preface, config);
        (framing != Framing::Nothing, self.after(&owed))
    }

    /// Writes the head of the answer that is `owed`.
    // `owed` is passed by reference, here and to `after`: copying it right after one field was written
    // would stall, as the store cannot be forwarded to a wider load.
    #[inline(never)]
    fn begin_response(
        &self,
        owed: &mut Owed,
        out: &mut Vec<u8>,
        response: &Response,
        preface: &Preface,
        config: &Config,
    ) -> Framing {
        // A client that was never told to go on may or may not send its content: what comes next
        // could be taken for either (RFC 9110, section 10.1.1).
        if let Reading::Content { is_continue_due: true, .. } = self.reading {
            owed.is_keep_alive = false;
        }
        // More unread content than will be thrown away: announce the close now.
        if self.declared_content() > config.max_drain_bytes.into() {
            owed.is_keep_alive = false;
        }
        encode::write_head(out, response, owed, preface)
    }

    /// Returns whether content may follow the head that was written.
    pub(crate) fn wants_content(&self) -> bool {
        match self.writing {
            Writing::Content { framing: Framing::Nothing, .. } => false,
            Writing::Content { .. } => true,
            Writing::Nothing | Writing::Response(_) | Writing::Closed { .. } => false,
        }
    }

    /// Writes a piece of content, with its framing. The last byte of a declared length is written at the
    /// [end](Conn::finish) only.
    ///
    /// # Errors
    ///
    /// `Handler` when the piece goes beyond the length that the head declared.
    pub(crate) fn write_content(&mut self, out: &mut Vec<u8>, piece: &[u8]) -> Result<()> {
        let Writing::Content { framing, .. } = &mut self.writing else { return Ok(()) };
        // An empty chunk would be the last one.
        let Some((&last, but_last)) = piece.split_last() else { return Ok(()) };
        match framing {
            Framing::Nothing => {}
            Framing::Length(left) => match left.checked_sub(piece.len() as u64) {
                Some(0) => {
                    out.extend_from_slice(but_last);
                    *framing = Framing::LastByte(last);
                }
                Some(rest) => {
                    out.extend_from_slice(piece);
                    *left = rest;
                }
                None => return Err(too_long()),
            },
            Framing::LastByte(_) => return Err(too_long()),
            Framing::Chunked => {
                encode::write_chunk_size(out, piece.len());
                out.extend_from_slice(piece);
                out.extend_from_slice(b"\r\n");
            }
            Framing::UntilClose => out.extend_from_slice(piece),
        }
        Ok(())
    }

    /// Writes the end of the response.
    ///
    /// # Errors
    ///
    /// `Handler` when content is missing that the head declared.
    pub(crate) fn finish(
        &mut self,
        out: &mut Vec<u8>,
        trailers: &[(HeaderName, HeaderValue)],
    ) -> Result<After> {
        let Writing::Content { framing, owed } = self.writing else {
            return Ok(After::Close { lingers: false });
        };
        match framing {
            Framing::Length(0) | Framing::Nothing => {}
            Framing::UntilClose => {
                let after = self.after(&owed);
                self.writing = Writing::Closed { ends_response: true };
                return Ok(after);
            }
            Framing::LastByte(last) => out.push(last),
            Framing::Length(_) => {
                let reason = "a body stream is shorter than the declared Content-Length";
                return Err(Error::new(ErrorKind::Handler, reason));
            }
            Framing::Chunked => encode::write_last_chunk(out, trailers),
        }
        Ok(self.after(&owed))
    }

    /// Ends a response whose content, if it has any, the caller has sent.
    pub(crate) fn finish_whole(&mut self) -> After {
        match self.writing {
            Writing::Content { owed, .. } => self.after(&owed),
            Writing::Nothing | Writing::Response(_) | Writing::Closed { .. } => {
                After::Close { lingers: false }
            }
        }
    }

    /// Says what is to be done once the response that was owed is written.
    fn after(&mut self, owed: &Owed) -> After {
        self.writing = Writing::Nothing;
        match self.reading {
            Reading::Head(_) if owed.is_keep_alive => After::NextRequest,
            Reading::Content { .. } if owed.is_keep_alive => After::Drain,
            Reading::Head(_) => self.end(!owed.is_last_request),
            Reading::Content { .. } | Reading::Closed => self.end(true),
        }
    }

    #[cold]
    fn end(&mut self, lingers: bool) -> After {
        self.close();
        After::Close { lingers }
    }

    /// Returns whether a close now would pass for the end of a response that has none yet; `is_sent` says
    /// whether all that was made of it is sent.
    pub(crate) fn must_not_end(&self, is_sent: bool) -> bool {
        match self.writing {
            Writing::Content { framing: Framing::UntilClose, .. } => true,
            Writing::Closed { ends_response } => ends_response && !is_sent,
            Writing::Nothing | Writing::Response(_) | Writing::Content { .. } => false,
        }
    }

    /// Ends both directions.
    fn close(&mut self) {
        self.reading = Reading::Closed;
        self.writing = Writing::Closed { ends_response: false };
    }
}

fn too_long() -> Error {
    Error::new(ErrorKind::Handler, "a body stream is longer than the declared Content-Length")
}
