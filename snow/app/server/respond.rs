//! Writing a response, or its head and what to wait for then.

use super::{
    Connection, Contained, Download, End, Exchange, Feed, Halt, Outgoing, Phase, Sending, Step,
    Wait, ending, overfull,
};
use crate::{
    Error, ErrorKind,
    app::router::Missed,
    http::{After, Content, FileContent, Response, StreamContent},
    net::Stream,
    rt::Time,
};
use http::{HeaderName, HeaderValue, StatusCode, header};
use std::{
    mem,
    ops::ControlFlow::{Break, Continue},
};

/// Bytes of content up to which it is copied behind its head; longer content is sent from where it
/// is. Copying a page costs less than a second buffer in the system call.
const COPIED_CONTENT: usize = 4096;

impl Connection {
    /// Answers a request that cannot be taken, and ends the connection with that.
    #[cold]
    pub(super) fn refuse(
        &mut self,
        error: Error,
        exchange: Option<Exchange>,
        output: &mut Vec<u8>,
    ) -> Step {
        log::debug!("{}: refused: {}", self.peer(), error.chain());
        self.conn.refuse();
        let exchange = exchange.unwrap_or_else(|| self.begin_exchange(|| "-".to_string()));
        let mut response = Response::failed(error).without_error();
        self.respond(&mut response, exchange, None, output)
    }

    /// Writes a response, or its head and what to wait for.
    // Out of line, except where it is the usual next step: that calls `respond_at_once`.
    #[inline(never)]
    pub(super) fn respond(
        &mut self,
        response: &mut Response,
        exchange: Exchange,
        feed: Option<Box<Feed>>,
        output: &mut Vec<u8>,
    ) -> Step {
        self.respond_at_once(response, exchange, feed, output)
    }

    #[inline(always)]
    pub(super) fn respond_at_once(
        &mut self,
        response: &mut Response,
        exchange: Exchange,
        feed: Option<Box<Feed>>,
        output: &mut Vec<u8>,
    ) -> Step {
        if response.error.is_some() || matches!(response.body.0, Content::File(_)) {
            self.review(response, exchange.route());
        }
        if self.worker.is_stopping() {
            self.conn.set_last();
        }
        if self.worker.is_overfull() && self.may_keep(response) {
            return self.refuse(overfull(), Some(exchange), output);
        }
        match &response.body.0 {
            Content::Stream(_) | Content::File(_) => {
                self.respond_in_pieces(response, exchange, feed, output)
            }
            Content::Empty | Content::Static(_) | Content::Owned(_) | Content::Shared(_) => {
                self.respond_whole(response, exchange, output)
            }
        }
    }

    /// Returns whether a response takes memory of the worker's while the peer does not take it.
    #[cold]
    fn may_keep(&self, response: &Response) -> bool {
        let is_much = match &response.body.0 {
            Content::Owned(bytes) => bytes.len() > COPIED_CONTENT,
            Content::Stream(_) => true,
            Content::File(_) => !self.stream.sends_files(),
            Content::Empty | Content::Static(_) | Content::Shared(_) => false,
        };
        is_much && self.conn.sends_content(response.status)
    }

    /// Writes a response whose content is in memory.
    #[inline(always)]
    fn respond_whole(
        &mut self,
        response: &mut Response,
        mut exchange: Exchange,
        output: &mut Vec<u8>,
    ) -> Step {
        let (worker, conn) = (&self.worker, &mut self.conn);
        let (is_wanted, after) =
            conn.write_whole_head(output, response, &worker.preface(), &worker.app.config);
        let bytes = match is_wanted {
            true => response.body.0.as_bytes().unwrap_or_default(),
            false => &[],
        };
        exchange.set_status(response.status);
        exchange.add_sent(bytes.len() as u64);
        if bytes.len() <= COPIED_CONTENT {
            output.extend_from_slice(bytes);
            return self.go_on(after, End::Answered);
        }
        let wait = match self.go_on(after, End::Linger) {
            Break(Halt::Wait(wait)) => Some(wait),
            _ => None,
        };
        Break(Halt::Send(Box::new(Sending { content: mem::take(&mut response.body.0), wait })))
    }

    /// Writes the head of a response whose content comes piece by piece.
    // Out of line: most content is in memory.
    #[inline(never)]
    fn respond_in_pieces(
        &mut self,
        response: &mut Response,
        mut exchange: Exchange,
        feed: Option<Box<Feed>>,
        output: &mut Vec<u8>,
    ) -> Step {
        let (worker, conn) = (&self.worker, &mut self.conn);
        let may_read = feed.as_ref().is_some_and(|feed| !feed.to.is_abandoned());
        if may_read && matches!(response.body.0, Content::Stream(_)) {
            // The stream may be made of the content: now is the last moment to ask for it.
            conn.write_continue(output);
        }
        conn.write_head(output, response, &worker.preface(), &worker.app.config);
        exchange.set_status(response.status);
        let is_wanted = self.conn.wants_content();
        match mem::take(&mut response.body.0) {
            Content::Stream(made) => {
                let StreamContent { pieces, trailers } = *made;
                let (content, trailers) = (Contained::new(pieces), Contained::new(trailers));
                if !is_wanted {
                    return self.finish(output, &[], End::Answered);
                }
                let outgoing =
                    Outgoing { content, trailers, exchange, grace: Time::NEVER, feed, pace: None };
                Break(Halt::Wait(Wait::Stream(Box::new(outgoing))))
            }
            Content::File(FileContent::Open { file, len: len @ 1.. }) if is_wanted => {
                let descriptor = self.worker.take_descriptor(self.remote.addr());
                let download = Download::new(file, len, descriptor, exchange);
                Break(Halt::Wait(Wait::File(Box::new(download))))
            }
            _ => {
                let after = self.conn.finish_whole();
                self.go_on(after, End::Answered)
            }
        }
    }

    /// Ends a response whose content was made while it was sent.
    pub(super) fn finish(
        &mut self,
        output: &mut Vec<u8>,
        trailers: &[(HeaderName, HeaderValue)],
        last: End,
    ) -> Step {
        match self.conn.finish(output, trailers) {
            Ok(after) => self.go_on(after, last),
            Err(error) => self.break_off(&error),
        }
    }

    /// Goes on after a response. When it is the last, the connection ends as `last` says, or lingers.
    pub(super) fn go_on(&mut self, after: After, last: End) -> Step {
        match after {
            After::NextRequest => {
                self.set_idle();
                Continue(())
            }
            After::Drain => {
                let timeout = self.worker.app.config.body_timeout;
                self.set_phase(Phase::Drain { bytes: 0 }, timeout);
                Continue(())
            }
            After::Close { lingers: true } => ending(End::Linger),
            After::Close { lingers: false } => ending(last),
        }
    }
}

/// Makes the answer to a request that no route takes.
pub(super) fn answer_to(missed: Missed) -> Response {
    let failed = |kind, reason| Response::failed(Error::new(kind, reason)).without_error();
    match missed {
        Missed::Options(allow) => {
            Response::new(StatusCode::NO_CONTENT).header(header::ALLOW, allow)
        }
        Missed::MethodNotAllowed(allow) => {
            failed(ErrorKind::MethodNotAllowed, "method not allowed").header(header::ALLOW, allow)
        }
        Missed::UnknownMethod => failed(ErrorKind::NotImplemented, "the method is not known"),
        Missed::Nothing => failed(ErrorKind::NotFound, "not found"),
    }
}
