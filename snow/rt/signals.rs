//! SIGINT and SIGTERM, heard by a thread that does nothing else, since a loop may be busy or gone.

#[cfg(unix)]
pub(crate) use heard::Signals;
#[cfg(not(unix))]
pub(crate) use unheard::Signals;

#[cfg(unix)]
mod heard {
    use crate::rt::{StopSignal, Stopping};
    use signal_hook::{consts, low_level};
    use std::{
        io::{self, Read},
        os::unix::net::UnixStream,
        process,
        sync::{
            Arc,
            atomic::{AtomicBool, Ordering},
        },
        thread,
    };

    /// Listens for a server until it is dropped; from then on a signal ends the process.
    pub(crate) struct Signals(Arc<AtomicBool>);

    impl Signals {
        /// The first signal stops the server gracefully, the second ends the process.
        pub(crate) fn listen(stop: StopSignal) -> io::Result<Signals> {
            let (mut heard, sender) = UnixStream::pair()?;
            let register = |signal| low_level::pipe::register(signal, sender.try_clone()?);
            register(consts::SIGINT)?;
            register(consts::SIGTERM)?;
            let is_over = Arc::new(AtomicBool::new(false));
            let signals = Signals(Arc::clone(&is_over));
            thread::Builder::new().name("snow-signals".to_string()).spawn(move || {
                let mut byte = [0];
                if matches!(heard.read(&mut byte), Ok(1)) && !is_over.load(Ordering::SeqCst) {
                    log::info!("stopping: a second signal ends the process at once");
                    stop.stop(Stopping::Gracefully);
                    let _ = heard.read(&mut byte);
                }
                // The system's own way of ending would need the handlers to be gone.
                process::exit(1);
            })?;
            Ok(signals)
        }
    }

    impl Drop for Signals {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
}

#[cfg(not(unix))]
mod unheard {
    //! Elsewhere, signals end the process as they do by default.

    pub(crate) struct Signals;

    impl Signals {
        pub(crate) fn listen(_: crate::rt::StopSignal) -> std::io::Result<Signals> {
            Ok(Signals)
        }
    }
}
