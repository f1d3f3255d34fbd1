//! One line that tells where the tour stands: rewritten on a terminal, one a second elsewhere.

use std::{
    cell::Cell,
    io::{IsTerminal, Write, stdout},
    time::{Duration, Instant},
};

/// Where progress is told.
pub(crate) struct Progress {
    terminal: bool,
    begun: Instant,
    told: Cell<Option<Instant>>,
}

impl Progress {
    /// Begins to count time.
    pub(crate) fn new() -> Self {
        Self { terminal: stdout().is_terminal(), begun: Instant::now(), told: Cell::new(None) }
    }

    /// Since the beginning.
    pub(crate) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Tells how things stand, unless that was told just now.
    pub(crate) fn stand(&self, text: &str) {
        let pause = if self.terminal { Duration::ZERO } else { Duration::from_secs(1) };
        if self.told.get().is_some_and(|told| told.elapsed() < pause) {
            return;
        }
        self.told.set(Some(Instant::now()));
        let line = format!("{:5.1} s  {text}", self.begun.elapsed().as_secs_f64());
        if self.terminal {
            print!("\r\x1b[K{line}");
            // A terminal that takes no text is no reason to end the tour.
            let _ = stdout().flush();
        } else {
            println!("{line}");
        }
    }

    /// Tells something that stays.
    pub(crate) fn event(&self, text: &str) {
        let start = if self.terminal { "\r\x1b[K" } else { "" };
        println!("{start}{:5.1} s  {text}", self.begun.elapsed().as_secs_f64());
    }
}
