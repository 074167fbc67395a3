//! SIGINT and SIGTERM: the first asks a server to stop, the second ends the process.
//!
//! The first is heard on the server's loop, through a socket, so it takes no thread. The second is
//! acted on in the signal's own handler, since a loop may be busy.

#[cfg(unix)]
pub(crate) use heard::Signals;
#[cfg(not(unix))]
pub(crate) use unheard::Signals;

#[cfg(unix)]
mod heard {
    use crate::rt::{Interest, Source, StopSignal, Stopping, spawn};
    use mio::net::UnixStream;
    use signal_hook::{SigId, consts, flag, low_level};
    use std::{
        future::poll_fn,
        io::{self, Read},
        sync::{
            Arc, Mutex, MutexGuard, PoisonError,
            atomic::{AtomicBool, Ordering},
        },
        task::Poll,
    };

    const SIGNALS: [i32; 2] = [consts::SIGINT, consts::SIGTERM];

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
        /// Says whether the next signal ends the process.
        fn set_ends(&mut self, ends: bool) -> io::Result<()> {
            if self.ends.is_none() {
                let new = Arc::new(AtomicBool::new(false));
                for signal in SIGNALS {
                    // In this order: the first finds it unset, and sets it for the second.
                    flag::register_conditional_shutdown(signal, 1, Arc::clone(&new))?;
                    flag::register(signal, Arc::clone(&new))?;
                }
                self.ends = Some(new);
            }
            if let Some(known) = &self.ends {
                known.store(ends, Ordering::SeqCst);
            }
            Ok(())
        }
    }

    /// Listens for a server until it is dropped. When none listens any more, a signal ends the process.
    pub(crate) struct Signals {
        /// Where a byte comes for a signal; taken by the loop that is to hear it.
        heard: Option<UnixStream>,
        actions: Vec<SigId>,
    }

    impl Signals {
        pub(crate) fn listen() -> io::Result<Signals> {
            let (heard, sender) = UnixStream::pair()?;
            let mut shared = shared();
            shared.set_ends(false)?;
            shared.servers += 1;
            drop(shared);
            let mut signals = Signals { heard: Some(heard), actions: Vec::new() };
            let sender = std::os::fd::OwnedFd::from(sender);
            for signal in SIGNALS {
                signals.actions.push(low_level::pipe::register(signal, sender.try_clone()?)?);
            }
            Ok(signals)
        }

        /// Has the loop of this thread pass on the first signal.
        pub(crate) fn pass_on(&mut self, stop: StopSignal) {
            let Some(heard) = self.heard.take() else { return };
            let mut source = Source::new(heard);
            let passing = spawn(async move {
                let come = poll_fn(|cx| {
                    loop {
                        if !source.poll_ready(Interest::Read, cx)? {
                            return Poll::Pending;
                        }
                        match source.io().read(&mut [0]) {
                            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                                source.set_blocked(Interest::Read);
                            }
                            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                            outcome => return Poll::Ready(outcome),
                        }
                    }
                });
                // Nothing comes, and an end does, when the server has ended.
                if matches!(come.await, Ok(1)) {
                    log::info!("stopping: a second signal ends the process at once");
                    stop.stop(Stopping::Gracefully);
                }
            });
            passing.detach();
        }
    }

    impl Drop for Signals {
        fn drop(&mut self) {
            let mut shared = shared();
            shared.servers -= 1;
            if shared.servers == 0 {
                // It has been made by whoever listened.
                let _ = shared.set_ends(true);
            }
            drop(shared);
            for action in self.actions.drain(..) {
                low_level::unregister(action);
            }
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

        pub(crate) fn pass_on(&mut self, _: StopSignal) {}
    }
}
