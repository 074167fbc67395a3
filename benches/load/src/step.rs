//! Phases: where whoever measures the server wants to look at it.

use crate::outcome::Outcome;
use std::io::{self, Write};

/// Whether a run stops between its phases.
#[derive(Clone, Copy)]
pub enum Step {
    Through,
    /// Prints the phase, then waits for a line on standard input.
    Pausing,
}

impl Step {
    /// Announces that `phase` has been reached and nothing is in flight that need not be.
    pub fn reached(self, phase: &str) {
        match self {
            Step::Through => {}
            Step::Pausing => {
                println!("{phase}");
                self.pause();
            }
        }
    }

    /// Prints what was found, the connections still open.
    pub fn report(self, outcome: &Outcome) {
        println!("{}", outcome.to_json());
        self.pause();
    }

    fn pause(self) {
        match self {
            Step::Through => {}
            Step::Pausing => {
                // A closed input means that nobody watches any more: go on.
                let _ = io::stdout().flush();
                let _ = io::stdin().read_line(&mut String::new());
            }
        }
    }
}
