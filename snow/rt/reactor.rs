//! Readiness: the only user of `mio::Poll`.
//!
//! A source is registered once, edge-triggered, for both directions, and only when somebody first
//! has to wait for it: a connection whose request is already there and that closes after its answer
//! is never registered at all. Readiness is remembered per direction until whoever reads or writes
//! says that it is used up.
//!
//! Promises that are not made: an event may be spurious, and a task may be woken for a direction it
//! no longer waits for. Wakers stay registered after they have woken, so that the next wait costs
//! no clone.

use super::{
    event_loop::Handle,
    turn::{Step, Stepper},
};
use mio::{Events, Poll, Registry, Token};
use slab::Slab;
use std::{
    cell::RefCell,
    io,
    task::{self, Context, Waker},
    time::Duration,
};

/// How many events one system call fetches at most.
const EVENTS_PER_WAIT: usize = 1024;

/// How many such calls one tick makes at most: sixty thousand sockets can be ready at once.
const WAITS_PER_TICK: usize = 64;

/// What sources are registered for: both directions, and to be told of urgent data.
#[cfg(any(target_os = "linux", target_os = "android"))]
const ALL: mio::Interest =
    mio::Interest::READABLE.add(mio::Interest::WRITABLE).add(mio::Interest::PRIORITY);
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const ALL: mio::Interest = mio::Interest::READABLE.add(mio::Interest::WRITABLE);

/// The token of the bell between threads.
const BELL: Token = Token(usize::MAX);

/// Bits of a token that name a slot. The others are its generation, which tells successive sources in a slot
/// apart: a socket that a child process has inherited stays in the poll after it is closed here, and keeps
/// reporting under its old token.
const SLOT_BITS: u32 = if usize::BITS == 64 { 32 } else { 24 };

fn token(slot: u32, generation: u32) -> Token {
    Token(slot as usize | (generation as usize) << SLOT_BITS)
}

fn slot_of(token: Token) -> u32 {
    (token.0 & ((1 << SLOT_BITS) - 1)) as u32
}

/// A direction of a source.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Direction {
    Read,
    Write,
}

pub(super) struct Reactor {
    poll: RefCell<Poll>,
    events: RefCell<Events>,
    registry: Registry,
    slots: RefCell<Slots>,
}

#[derive(Default)]
struct Slots {
    slots: Slab<Slot>,
    /// How many sources there have been: the generation of the last.
    sources: u32,
    /// How many of the sources are the library's own, left out of `Counts`.
    unseen: usize,
    /// Whether a descriptor was freed since somebody found none.
    is_descriptor_freed: bool,
    /// Tasks that wait for a free descriptor.
    starving: Vec<Waker>,
}

/// What is known of a source.
#[derive(Default)]
struct Slot {
    generation: u32,
    hangup: Option<Hangup>,
    /// Urgent data has come. A read stops before it, so that a short one does not mean that all was read.
    urgent: bool,
    // Kept together, apart from the wakers, so that a slot is 40 bytes: when ten thousand wait, each is a
    // cache miss.
    read: Readiness,
    write: Readiness,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// Whether an operation of a direction is worth trying.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Readiness {
    #[default]
    Possible,
    /// Used up: the next operation would block, unless an event says otherwise.
    Drained,
}

impl Slot {
    fn readiness(&mut self, direction: Direction) -> &mut Readiness {
        match direction {
            Direction::Read => &mut self.read,
            Direction::Write => &mut self.write,
        }
    }

    fn waker(&mut self, direction: Direction) -> &mut Option<Waker> {
        match direction {
            Direction::Read => &mut self.reader,
            Direction::Write => &mut self.writer,
        }
    }

    /// Returns the replaced waker, to be dropped after the borrow: dropping a task's last waker drops what
    /// is left of the task.
    fn set_waker(&mut self, direction: Direction, waker: &Waker) -> Option<Waker> {
        match self.waker(direction) {
            Some(known) if known.will_wake(waker) => None,
            place => place.replace(waker.clone()),
        }
    }

    fn wake(&mut self, direction: Direction) {
        *self.readiness(direction) = Readiness::Possible;
        // By reference: nothing is dropped and nothing but a queue is touched under the borrow.
        if let Some(waker) = self.waker(direction) {
            waker.wake_by_ref();
        }
    }
}

impl Reactor {
    pub(super) fn new() -> io::Result<Reactor> {
        let poll = Poll::new()?;
        let registry = poll.registry().try_clone()?;
        Ok(Reactor {
            poll: RefCell::new(poll),
            events: RefCell::new(Events::with_capacity(EVENTS_PER_WAIT)),
            registry,
            slots: RefCell::default(),
        })
    }

    pub(super) fn bell(&self) -> io::Result<mio::Waker> {
        mio::Waker::new(&self.registry, BELL)
    }

    /// Waits for events for at most `timeout` (`None`: without limit) and wakes the tasks that they
    /// concern.
    ///
    /// All events that have come are fetched, in up to [`WAITS_PER_TICK`] calls: a timer that fires next
    /// must know what has arrived.
    pub(super) fn wait(&self, timeout: Option<Duration>) -> io::Result<()> {
        #[cfg(all(feature = "fine-timers", target_os = "linux"))]
        let timeout = match timeout {
            Some(timeout) => match super::fraction::wait(&self.registry, timeout)? {
                None => return Ok(()),
                whole => whole,
            },
            None => None,
        };
        let mut is_full = self.wait_once(timeout)?;
        for _ in 1..WAITS_PER_TICK {
            if !is_full {
                break;
            }
            is_full = self.wait_once(Some(Duration::ZERO))?;
        }
        Ok(())
    }

    /// Waits once; true when there may be more than was fetched.
    fn wait_once(&self, timeout: Option<Duration>) -> io::Result<bool> {
        let mut events = self.events.borrow_mut();
        match self.poll.borrow_mut().poll(&mut events, timeout) {
            // Nothing was fetched, and the process may have been stopped past many deadlines: look again.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(true),
            outcome => outcome?,
        }
        let slots = &mut self.slots.borrow_mut().slots;
        let mut count = 0;
        for event in events.iter() {
            count += 1;
            let number = slot_of(event.token());
            let Some(slot) = slots.get_mut(number as usize) else { continue };
            if token(number, slot.generation) != event.token() {
                continue;
            }
            // An event concerns a reader when there is something to read or nothing more will come.
            let broken = event.is_error() || event.is_write_closed();
            if broken {
                slot.hangup = Some(Hangup::Full);
            } else if event.is_read_closed() {
                slot.hangup.get_or_insert(Hangup::Half);
            }
            slot.urgent |= event.is_priority();
            if event.is_readable() || event.is_read_closed() || broken {
                slot.wake(Direction::Read);
            }
            if event.is_writable() || broken {
                slot.wake(Direction::Write);
            }
        }
        Ok(count == EVENTS_PER_WAIT)
    }

    /// Waits for a descriptor to be freed on this loop: false when one was.
    pub(super) fn wait_for_descriptor(&self, waker: &Waker) -> bool {
        let mut slots = self.slots.borrow_mut();
        if slots.is_descriptor_freed {
            return false;
        }
        if !slots.starving.iter().any(|known| known.will_wake(waker)) {
            slots.starving.push(waker.clone());
        }
        true
    }

    /// Forgets that a descriptor was freed: from now on there is none, until one is.
    pub(super) fn forget_freed_descriptor(&self) {
        self.slots.borrow_mut().is_descriptor_freed = false;
    }

    /// Returns how many sources the program has, without the library's own.
    pub(super) fn len(&self) -> usize {
        let slots = self.slots.borrow();
        slots.slots.len() - slots.unseen
    }
}

impl Slots {
    fn insert(&mut self) -> u32 {
        self.sources = self.sources.wrapping_add(1);
        self.slots.insert(Slot { generation: self.sources, ..Slot::default() }) as u32
    }
}

/// A socket, or whatever else `mio` can watch, on the loop of this thread.
pub(crate) struct Source<S: mio::event::Source> {
    io: S,
    handle: Handle,
    slot: u32,
    is_registered: bool,
    /// Whether others may hold the same socket: then closing it here does not take it off the poll.
    is_shared: bool,
    is_unseen: bool,
    reads: Stepper,
    writes: Stepper,
}

impl<S: mio::event::Source> Source<S> {
    /// Puts `io`, which must not block, on the loop of this thread.
    #[track_caller]
    pub(crate) fn new(io: S) -> Source<S> {
        let handle = Handle::current();
        let slot = handle.reactor().slots.borrow_mut().insert();
        Source {
            io,
            handle,
            slot,
            is_registered: false,
            is_shared: false,
            is_unseen: false,
            reads: Stepper::default(),
            writes: Stepper::default(),
        }
    }

    /// Puts `io` on the loop as [`new`](Source::new) does, where others may hold the same socket: a
    /// duplicate of its descriptor, or another process.
    #[track_caller]
    pub(crate) fn new_shared(io: S) -> Source<S> {
        let mut source = Source::new(io);
        source.set_shared();
        source
    }

    /// Leaves this source out of `Counts`: the library opened it, not the program.
    #[cfg(unix)]
    pub(crate) fn set_unseen(&mut self) {
        self.is_unseen = true;
        self.handle.reactor().slots.borrow_mut().unseen += 1;
    }

    /// Says that from now on others may hold the same socket.
    pub(crate) fn set_shared(&mut self) {
        self.is_shared = true;
    }

    pub(crate) fn io(&self) -> &S {
        &self.io
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Begins a [step](Stepper) of the task's turn in this direction.
    pub(crate) fn poll_step(&mut self, direction: Direction, cx: &Context<'_>) -> task::Poll<Step> {
        let stepper = match direction {
            Direction::Read => &mut self.reads,
            Direction::Write => &mut self.writes,
        };
        stepper.poll_step(cx)
    }

    /// Returns whether an operation is worth trying; if not, the task is woken when it is.
    ///
    /// # Errors
    ///
    /// When the source cannot be registered: the machine is out of memory or watches.
    ///
    /// # Panics
    ///
    /// When there is something to wait for, and the loop of this thread is not that of the source: the
    /// wait would have no end.
    #[inline]
    pub(crate) fn poll_ready(
        &mut self,
        direction: Direction,
        cx: &Context<'_>,
    ) -> io::Result<bool> {
        match self.is_drained(direction) {
            true => self.wait(direction, cx).map(|()| false),
            false => Ok(true),
        }
    }

    /// Has the task woken when there is something to do in this direction.
    // Out of line: asking whether there is something then saves no registers for it.
    #[inline(never)]
    fn wait(&mut self, direction: Direction, cx: &Context<'_>) -> io::Result<()> {
        let replaced = self.with_slot(|slot| slot.set_waker(direction, cx.waker()));
        drop(replaced);
        // Registering reports what is ready already, so nothing is missed in between.
        self.register()
    }

    /// Returns whether there is nothing to do in this direction, and the task that last waited for it will
    /// be woken when there is: then it need not wait again.
    pub(crate) fn is_awaited(&self, direction: Direction) -> bool {
        self.is_registered
            && self.with_slot(|slot| {
                *slot.readiness(direction) == Readiness::Drained && slot.waker(direction).is_some()
            })
    }

    /// Says that an operation of this direction has used up what there was.
    ///
    /// A stream whose peer has closed is never used up for reading: the end is still to be read. Nor is one
    /// on which urgent data has come: there only an operation that would block tells. On Windows it always
    /// takes one, as `mio` asks for the next event only then.
    pub(crate) fn set_drained(&self, direction: Direction) {
        self.with_slot(|slot| {
            let more_is_due = cfg!(windows)
                || direction == Direction::Read && (slot.hangup.is_some() || slot.urgent);
            *slot.readiness(direction) = match more_is_due {
                true => Readiness::Possible,
                false => Readiness::Drained,
            };
        });
    }

    /// Says that an operation of this direction has just answered that it would block, whatever the
    /// events said.
    pub(crate) fn set_blocked(&self, direction: Direction) {
        self.with_slot(|slot| *slot.readiness(direction) = Readiness::Drained);
    }

    /// Lets the next operation of this direction be tried, whatever the events have said.
    pub(crate) fn set_undrained(&self, direction: Direction) {
        self.with_slot(|slot| *slot.readiness(direction) = Readiness::Possible);
    }

    /// Returns whether an operation of this direction has used up what there was, and no event has
    /// told of more.
    pub(crate) fn is_drained(&self, direction: Direction) -> bool {
        self.with_slot(|slot| *slot.readiness(direction) == Readiness::Drained)
    }

    /// Returns how the peer has hung up, as far as events tell; the task is woken when that changes.
    ///
    /// # Errors
    ///
    /// As [`poll_ready`](Source::poll_ready).
    pub(crate) fn poll_hangup(&mut self, cx: &Context<'_>) -> io::Result<Option<Hangup>> {
        self.register()?;
        let (hangup, replaced) =
            self.with_slot(|slot| (slot.hangup, slot.set_waker(Direction::Read, cx.waker())));
        drop(replaced);
        Ok(hangup)
    }

    fn with_slot<R>(&self, work: impl FnOnce(&mut Slot) -> R) -> R {
        work(&mut self.handle.reactor().slots.borrow_mut().slots[self.slot as usize])
    }

    fn register(&mut self) -> io::Result<()> {
        self.handle.assert_current();
        if !self.is_registered {
            let token = token(self.slot, self.with_slot(|slot| slot.generation));
            self.handle.reactor().registry.register(&mut self.io, token, ALL)?;
            self.is_registered = true;
        }
        Ok(())
    }
}

/// How a peer has hung up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Hangup {
    /// It will send no more, and may still read.
    Half,
    /// The connection is reset, or closed in both directions.
    Full,
}

impl<S: mio::event::Source> Drop for Source<S> {
    fn drop(&mut self) {
        let reactor = self.handle.reactor();
        // Closing the socket takes it off the poll: no system call for that, unless others hold it too.
        if self.is_registered && self.is_shared {
            let _ = reactor.registry.deregister(&mut self.io);
        }
        let mut slots = reactor.slots.borrow_mut();
        let slot = slots.slots.remove(self.slot as usize);
        slots.unseen -= usize::from(self.is_unseen);
        slots.is_descriptor_freed = true;
        // The socket is closed before any of them is polled.
        let starving = std::mem::take(&mut slots.starving);
        starving.iter().for_each(Waker::wake_by_ref);
        // After the borrow: dropping a task's last waker drops what is left of the task.
        drop(slots);
        drop((slot, starving));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rt::{Clock, EventLoop};
    use std::{
        future::poll_fn,
        net::{TcpListener, TcpStream},
        task::Poll,
    };

    fn pair() -> (mio::net::TcpStream, TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (own, _) = listener.accept().unwrap();
        own.set_nonblocking(true).unwrap();
        (mio::net::TcpStream::from_std(own.try_clone().unwrap()), own, peer)
    }

    #[test]
    fn an_event_of_a_socket_that_is_closed_here_concerns_nobody_else() {
        let event_loop = EventLoop::new(Clock::system()).unwrap();
        let hangup = event_loop.run(async {
            let ((first, inherited, its_peer), (second, _own, _peer)) = (pair(), pair());
            let mut first = Source::new(first);
            poll_fn(|cx| Poll::Ready(first.poll_hangup(cx))).await.unwrap();
            let slot = first.slot;
            drop(first);
            let mut second = Source::new(second);
            assert_eq!(second.slot, slot, "the slot is used again");
            // A copy of the descriptor, as a child process has one, keeps the first in the poll.
            drop((its_peer, &inherited));
            crate::rt::sleep(Duration::from_millis(50)).await;
            let hangup = poll_fn(|cx| Poll::Ready(second.poll_hangup(cx))).await.unwrap();
            drop(inherited);
            hangup
        });
        assert_eq!(hangup.unwrap(), None);
    }
}
