//! SIGINT and SIGTERM: the first asks a server to stop, the second ends the process.
//!
//! The first is heard on the loops, through a socket that all of them wait for, so it takes no thread, and
//! one loop that is busy does not keep the others from hearing it. The second ends the process in the
//! signal's own handler, since all loops may be busy.

#[cfg(unix)]
pub(crate) use heard::Signals;
#[cfg(not(unix))]
pub(crate) use unheard::Signals;

use super::{StopSignal, race};

impl Signals {
    /// Does `work`, and meanwhile passes the first signal on, if signals are to be heard.
    pub(crate) async fn during<T>(
        signals: Option<&Signals>,
        stop: &StopSignal,
        work: impl Future<Output = T>,
    ) -> T {
        match signals {
            Some(signals) => race(work, signals.pass_on(stop)).await,
            None => work.await,
        }
    }
}

#[cfg(unix)]
mod heard {
    use crate::rt::{Direction, Source, StopSignal, Stopping};
    use signal_hook::{SigId, consts, flag, low_level};
    use std::{
        future::{pending, poll_fn},
        io::{self, Read},
        os::unix::net::UnixStream,
        sync::{
            Arc, Mutex, MutexGuard, PoisonError,
            atomic::{AtomicBool, Ordering},
        },
        task::{Context, Poll},
    };

    const SIGNALS: [i32; 2] = [consts::SIGTERM, consts::SIGINT];

    /// What the servers of the process have in common.
    struct Shared {
        /// Whether the next signal ends the process; made when the first server listens.
        ends: Option<Arc<AtomicBool>>,
        /// How many servers listen.
        servers: usize,
    }

    static SHARED: Mutex<Shared> = Mutex::new(Shared { ends: None, servers: 0 });

    fn shared() -> MutexGuard<'static, Shared> {
        SHARED.lock().unwrap_or_else(PoisonError::into_inner)
    }

    impl Shared {
        /// Installs the handlers that end the process if the flag is set, which it is until the first
        /// server listens.
        fn prepare(&mut self) -> io::Result<()> {
            if self.ends.is_none() {
                let ends = Arc::new(AtomicBool::new(true));
                for signal in SIGNALS {
                    // In this order: the first signal finds it unset, and sets it for the second.
                    flag::register_conditional_shutdown(signal, 1, Arc::clone(&ends))?;
                    flag::register(signal, Arc::clone(&ends))?;
                }
                self.ends = Some(ends);
            }
            Ok(())
        }

        /// Counts a server in, which hears signals.
        fn enter(&mut self) {
            // Other servers may be stopping already: then the next signal is the second.
            if self.servers == 0 {
                self.set_ends(false);
            }
            self.servers += 1;
        }

        /// Counts a server out. When none is left, a signal ends the process.
        fn leave(&mut self) {
            self.servers -= 1;
            if self.servers == 0 {
                self.set_ends(true);
            }
        }

        fn set_ends(&self, ends: bool) {
            if let Some(flag) = &self.ends {
                flag.store(ends, Ordering::SeqCst);
            }
        }
    }

    /// What is done at a signal, until this is dropped.
    struct Actions(Vec<SigId>);

    impl Actions {
        /// Has each signal send a byte.
        fn send_to(sender: &UnixStream) -> io::Result<Actions> {
            let mut actions = Actions(Vec::new());
            for signal in SIGNALS {
                actions.0.push(low_level::pipe::register(signal, sender.try_clone()?)?);
            }
            Ok(actions)
        }
    }

    impl Drop for Actions {
        fn drop(&mut self) {
            for action in self.0.drain(..) {
                low_level::unregister(action);
            }
        }
    }

    /// Listens for a server until it is dropped. When none listens any more, a signal ends the process.
    pub(crate) struct Signals {
        // Dropped before what it sends to.
        _actions: Actions,
        heard: UnixStream,
    }

    impl Signals {
        pub(crate) fn listen() -> io::Result<Signals> {
            let (heard, sender) = UnixStream::pair()?;
            heard.set_nonblocking(true)?;
            let mut shared = shared();
            shared.prepare()?;
            // After `prepare`, whose handlers then run first: when the byte is there, the flag has been
            // read. And before `enter`, after which a signal does not end the process: none is lost.
            let actions = Actions::send_to(&sender)?;
            shared.enter();
            Ok(Signals { _actions: actions, heard })
        }

        /// Passes on the first signal, if the loop of this thread is the one that hears it; never ready.
        pub(super) async fn pass_on<T>(&self, stop: &StopSignal) -> T {
            match self.hear().await {
                Ok(()) => {
                    log::info!("stopping: a second signal ends the process at once");
                    stop.stop(Stopping::Gracefully);
                }
                Err(error) => {
                    log::error!("signals cannot be heard, so the next ends the process: {error}");
                    shared().set_ends(true);
                }
            }
            pending().await
        }

        async fn hear(&self) -> io::Result<()> {
            // The loop that is first to read the byte tells the others.
            let heard = mio::net::UnixStream::from_std(self.heard.try_clone()?);
            let mut source = Source::new_shared(heard);
            source.set_unseen();
            poll_fn(|cx| poll_heard(&mut source, cx)).await
        }
    }

    fn poll_heard(
        source: &mut Source<mio::net::UnixStream>,
        cx: &Context<'_>,
    ) -> Poll<io::Result<()>> {
        while source.poll_ready(Direction::Read, cx)? {
            match source.io().read(&mut [0]) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    source.set_blocked(Direction::Read);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                outcome => return Poll::Ready(outcome.map(drop)),
            }
        }
        Poll::Pending
    }

    impl Drop for Signals {
        fn drop(&mut self) {
            shared().leave();
        }
    }
}

#[cfg(not(unix))]
mod unheard {
    //! Elsewhere, signals end the process as they do by default.

    use crate::rt::StopSignal;

    pub(crate) struct Signals;

    impl Signals {
        pub(crate) fn listen() -> std::io::Result<Signals> {
            Ok(Signals)
        }

        pub(super) async fn pass_on<T>(&self, _: &StopSignal) -> T {
            std::future::pending().await
        }
    }
}
