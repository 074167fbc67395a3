//! A process that a test has started.

use std::{
    ops::{Deref, DerefMut},
    process::{Child, Command, ExitStatus},
    thread,
    time::{Duration, Instant},
};

/// A process that is killed when this is dropped.
pub(crate) struct Spawned(Child);

impl Spawned {
    #[track_caller]
    pub(crate) fn new(command: &mut Command) -> Spawned {
        Spawned(command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}")))
    }

    /// Sends it a signal by name: `TERM`, `STOP`, …
    #[track_caller]
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.id().to_string()]).status();
        assert!(status.is_ok_and(|status| status.success()), "cannot send {name}");
    }

    /// Waits for its end, for so long at the most, and returns how it ended.
    #[track_caller]
    pub(crate) fn ended_within(&mut self, patience: Duration) -> ExitStatus {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(status) = self.try_wait().expect("it can be waited for") {
                return status;
            }
            assert!(Instant::now() < deadline, "it does not end");
            thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Deref for Spawned {
    type Target = Child;

    fn deref(&self) -> &Child {
        &self.0
    }
}

impl DerefMut for Spawned {
    fn deref_mut(&mut self) -> &mut Child {
        &mut self.0
    }
}

impl Drop for Spawned {
    fn drop(&mut self) {
        let _ = self.kill();
        let _ = self.wait();
    }
}
