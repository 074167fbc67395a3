//! One connection: the only place where `net` meets `http`.
//!
//! A connection is a future, and what it waits for is one enum. Most of the time that is its next turn,
//! in which all that can be done at once is done, in the worker's buffers: read, take requests apart,
//! call handlers, write all answers together ([`turn`], [`respond`]). The others are content that has
//! not come in full ([`content`]), a handler's answer ([`answer`]), the next piece of a response, a peer
//! that does not read ([`output`]), and the rest of a file ([`file`](self::file)). What each of them ends is a
//! request, whose line in the access log is written then ([`exchange`]).
//!
//! It is written by hand and not as an `async fn` because ten thousand of them are to be idle in a few
//! megabytes: the compiler keeps the arguments of an `async fn` beside the locals they are moved to, and
//! made a connection three times as large.

mod answer;
mod content;
mod exchange;
mod file;
mod inbox;
mod output;
mod remote;
mod respond;
mod turn;

use super::worker::Worker;
use crate::{
    Error, ErrorKind,
    http::{Conn, Content},
    net::{Stream, Transport},
    rt::{Contained, Deadline, Time},
};
use answer::Pending;
use content::{Feed, Incoming};
use exchange::Exchange;
use file::Download;
use inbox::Inbox;
use output::{Outbox, Outgoing};
use remote::Remote;
use std::{
    fmt,
    future::Future,
    mem,
    net::SocketAddr,
    ops::ControlFlow::{self, Break},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

/// How often a connection may change what it waits for before others have their turn: as many requests that
/// are not answered at once, if each time the answer and the next request are there already.
const WAITS_PER_TURN: usize = 16;

/// Reads of one connection before others have their turn.
const READS_PER_TURN: usize = 4;

/// A connection, which is done when it ends.
///
/// It is 240 bytes, which with its task and the allocator's share are five cache lines: when ten thousand
/// wait, each line is a cache miss.
pub(super) struct Connection {
    stream: Transport,
    remote: Remote,
    worker: Rc<Worker>,
    conn: Conn,
    wait: Wait,
    /// The answer that [`Wait::Answer`] waits for. In place and not boxed, as this is the one wait that
    /// thousands of connections may be in at once.
    pending: Option<Pending>,
    phase: Phase,
    deadline: Deadline,
    inbox: Inbox,
    /// What the peer has not taken yet. It comes before whatever is waited for.
    outbox: Option<Box<Outbox>>,
}

/// What a connection waits for.
#[derive(Default)]
enum Wait {
    /// The peer, to send something.
    #[default]
    Turn,
    /// The rest of a request's content.
    Content(Box<Incoming>),
    /// The answer to a request, which is in [`Connection::pending`].
    Answer,
    /// The next piece of a response's content.
    Stream(Box<Outgoing>),
    /// That the peer takes more of a file.
    File(Box<Download>),
    /// That what is unwritten is written, to end then.
    End(End),
    /// That the peer ends its side, or a moment has passed.
    Linger,
}

/// How a connection ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    /// At once.
    Close,
    /// After the last answer: at once, unless the peer has sent more.
    Answered,
    /// When the peer has read its answer, or a moment later.
    Linger,
    /// So that the peer cannot take what it got for the whole.
    Reset,
}

/// What a connection in its turn has been waiting for since its deadline was set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// The first byte of its first request.
    FirstByte,
    /// The end of a head.
    Head,
    /// The first byte of the next request.
    Idle,
    /// The end of content that nobody reads, of which so many bytes have come.
    Drain { bytes: u32 },
}

/// What came of looking at the input: a request is dealt with and there may be another, or not.
type Step = ControlFlow<Halt>;

/// Why no other request is looked at for now.
enum Halt {
    /// There is no whole request.
    Starving,
    /// What was collected is to be written before anything else, and much content from where it is.
    Send(Box<Sending>),
    Wait(Wait),
}

/// Ends the connection once what was collected is written.
fn ending(end: End) -> Step {
    Break(Halt::Wait(Wait::End(end)))
}

/// Content that is written from where it is, and what is to be waited for then.
struct Sending {
    content: Content,
    wait: Option<Wait>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        // What has been cut must not look whole. A missing chunk or byte shows by itself; a close in place of a
        // length does not. A reset takes back what the kernel has not sent, so there is none without need.
        if self.conn.must_not_end(self.outbox.is_none()) {
            self.stream.reset_on_drop();
        }
        // What is still answered is over before the connection is.
        (self.wait, self.pending) = (Wait::Turn, None);
        self.deadline.disarm(&self.worker.handle);
        self.worker.release(self.inbox.capacity());
        self.worker.leave(self.remote.addr());
    }
}

impl Connection {
    /// Takes over a stream, which the worker has counted in.
    pub(super) fn new(
        stream: Transport,
        remote: Option<SocketAddr>,
        worker: Rc<Worker>,
    ) -> Connection {
        let first_byte = worker.handle.now() + worker.app.config.first_byte_timeout;
        Connection {
            stream,
            remote: remote.into(),
            worker,
            conn: Conn::new(),
            wait: Wait::Turn,
            pending: None,
            phase: Phase::FirstByte,
            deadline: Deadline::new(first_byte),
            inbox: Inbox::default(),
            outbox: None,
        }
    }

    /// Waits for what is more than a turn; `None` when that was the end.
    #[inline(never)]
    fn poll_wait(&mut self, cx: &mut Context<'_>) -> Poll<Option<Wait>> {
        // Taken out while it is polled.
        let mut wait = mem::take(&mut self.wait);
        let next = match &mut wait {
            Wait::Content(incoming) => self.poll_content(incoming, cx),
            Wait::Answer => self.poll_answer(cx),
            Wait::Stream(outgoing) => self.poll_stream(outgoing, cx),
            Wait::File(download) => self.poll_file(download, cx),
            Wait::End(end) => return Poll::Ready(self.end(*end)),
            Wait::Turn | Wait::Linger => return Poll::Ready(Some(wait)),
        };
        if next.is_pending() {
            self.wait = wait;
        }
        next.map(Some)
    }

    /// Returns whether the task will be woken for what it has just begun to wait for.
    fn is_awaiting(&self) -> bool {
        match self.wait {
            Wait::Turn => self.is_waiting(),
            // The handler's future has been polled. But content that came with the request may still have
            // to be fed to it.
            Wait::Answer => self.pending.as_ref().is_some_and(|pending| pending.feed.is_none()),
            // It has been polled behind its head.
            Wait::Stream(_) => true,
            Wait::Content(_) | Wait::File(_) | Wait::End(_) | Wait::Linger => false,
        }
    }

    fn now(&self) -> Time {
        self.worker.handle.now()
    }

    /// Enters a phase that ends after `timeout`.
    fn set_phase(&mut self, phase: Phase, timeout: Duration) {
        self.phase = phase;
        self.deadline.set(self.now() + timeout);
    }

    /// Takes what has been read and not been used.
    fn take_inbox(&mut self) -> Vec<u8> {
        self.worker.release(self.inbox.capacity());
        self.inbox.take()
    }

    /// Keeps what has been read and not been used, before what was read after it.
    fn keep(&mut self, rest: &[u8]) {
        if !rest.is_empty() {
            self.keep_some(rest);
        }
    }

    // Out of line: mostly there is nothing to keep.
    #[inline(never)]
    fn keep_some(&mut self, rest: &[u8]) {
        let mut bytes = self.take_inbox();
        bytes.splice(..0, rest.iter().copied());
        self.worker.count(bytes.capacity());
        self.inbox.put(bytes);
    }

    fn peer(&self) -> Peer {
        Peer(self.remote.addr())
    }
}

impl Future for Connection {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.worker.is_over() {
            return Poll::Ready(());
        }
        for _ in 0..WAITS_PER_TURN {
            if self.outbox.is_some() {
                if let Err(end) = ready!(self.poll_flush(cx)) {
                    self.wait = Wait::End(end);
                }
            }
            let next = match self.wait {
                Wait::Turn => self.poll_turn(cx),
                Wait::Linger => return self.poll_linger(cx),
                _ => match self.poll_wait(cx) {
                    Poll::Ready(None) => return Poll::Ready(()),
                    Poll::Ready(Some(next)) => Poll::Ready(next),
                    Poll::Pending => Poll::Pending,
                },
            };
            match next {
                Poll::Ready(next) => {
                    self.wait = next;
                    if self.outbox.is_none() && self.is_awaiting() {
                        return Poll::Pending;
                    }
                }
                // A peer that has to take something first is timed by `poll_flush`.
                Poll::Pending if self.outbox.is_some() => {}
                Poll::Pending => return Poll::Pending,
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// How fast a peer is, on average, while it is waited for.
#[derive(Clone, Copy)]
struct Pace {
    /// When it last made progress.
    seen: Time,
    /// How long it was waited for until then.
    waited: Duration,
    bytes: u64,
}

impl Pace {
    fn new(now: Time) -> Pace {
        Pace { seen: now, waited: Duration::ZERO, bytes: 0 }
    }

    /// Returns until when there has to be progress.
    fn stalls(&self, stall: Duration) -> Time {
        self.seen + stall
    }

    /// Notes progress; `stall` is how long the peer may make none.
    fn progress(&mut self, bytes: u64, now: Time, stall: Duration) {
        self.waited = self.waited(now, stall);
        self.seen = now;
        self.bytes += bytes;
    }

    /// Returns whether fewer than `rate` bytes a second have come in more than `stall`.
    fn is_below(&self, rate: u64, stall: Duration, now: Time) -> bool {
        let waited = self.waited(now, stall);
        waited > stall && self.bytes < rate.saturating_mul(waited.as_secs())
    }

    /// Of a time without progress at most `stall` is counted: a peer that takes longer is cut for that,
    /// unless it was this process that stood still.
    fn waited(&self, now: Time, stall: Duration) -> Duration {
        self.waited + now.since(self.seen).min(stall)
    }
}

/// A peer, as logs name it.
struct Peer(Option<SocketAddr>);

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(addr) => addr.fmt(f),
            None => f.write_str("-"),
        }
    }
}

fn too_large() -> Error {
    Error::new(ErrorKind::ContentTooLarge, "the content is too large")
}

fn overfull() -> Error {
    Error::new(ErrorKind::Unavailable, "the server holds too much already")
}

fn too_slow() -> Error {
    Error::new(ErrorKind::RequestTimeout, "the content took too long")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rt::Clock;

    #[test]
    #[cfg(target_pointer_width = "64")]
    fn a_connection_is_as_small_as_it_says() {
        // A socket of mio's is a word larger where its assertions are checked, and then leaves no gap for what
        // stands beside it.
        let more = if cfg!(debug_assertions) { 16 } else { 0 };
        assert_eq!(size_of::<Connection>(), 240 + more);
    }

    #[test]
    fn a_pause_of_the_process_is_not_counted_as_slowness() {
        let (stall, second) = (Duration::from_secs(20), Duration::from_secs(1));
        let mut now = Clock::stopped().now();
        let mut pace = Pace::new(now);
        for _ in 0..100 {
            now = now + second;
            pace.progress(600, now, stall);
        }
        now = now + Duration::from_secs(3600);
        assert!(!pace.is_below(256, stall, now));
        pace.progress(600, now, stall);
        assert!(!pace.is_below(256, stall, now));
        // One that always makes just enough progress not to stall is still slow.
        let mut pace = Pace::new(now);
        for _ in 0..3 {
            now = now + stall;
            pace.progress(600, now, stall);
        }
        assert!(pace.is_below(256, stall, now));
    }
}
