//! What runs now and how far it is, on standard error: a line that is rewritten on a terminal, and elsewhere one
//! that is written now and then.

use std::{
    cell::{Cell, RefCell},
    io::{IsTerminal, Write, stderr},
    time::{Duration, Instant},
};

/// Where progress is told.
pub(crate) struct Progress {
    terminal: bool,
    begun: Instant,
    told: Cell<Option<Instant>>,
    /// Which workload, or scenario, of how many.
    workload: RefCell<String>,
    /// Which step of it.
    step: RefCell<String>,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self {
            terminal: stderr().is_terminal(),
            begun: Instant::now(),
            told: Cell::new(None),
            workload: RefCell::default(),
            step: RefCell::default(),
        }
    }

    /// A workload, or a scenario, begins.
    pub(crate) fn workload(&self, number: usize, of: usize, name: &str) {
        self.workload.replace(format!("[{number}/{of}] {name}"));
        self.step("");
    }

    /// A step of the workload begins.
    pub(crate) fn step(&self, step: &str) {
        self.step.replace(step.to_owned());
        self.tell("");
    }

    /// How far the step is, unless that was told just now.
    pub(crate) fn stand(&self, stand: &str) {
        let pause = if self.terminal { Duration::from_millis(100) } else { Duration::from_secs(10) };
        if self.told.get().is_none_or(|told| told.elapsed() >= pause) {
            self.tell(stand);
        }
    }

    /// Something that stays in sight.
    pub(crate) fn note(&self, text: &str) {
        let start = if self.terminal { "\r\x1b[K" } else { "" };
        eprintln!("{start}{} {text}", self.elapsed());
    }

    /// Leaves the line to what comes next.
    pub(crate) fn clear(&self) {
        if self.terminal {
            eprint!("\r\x1b[K");
        }
    }

    fn tell(&self, stand: &str) {
        self.told.set(Some(Instant::now()));
        let (workload, step) = (self.workload.borrow(), self.step.borrow());
        let parts: Vec<&str> = [&**workload, &**step, stand].into_iter().filter(|part| !part.is_empty()).collect();
        let line = format!("{} {}", self.elapsed(), parts.join(": "));
        if self.terminal {
            eprint!("\r\x1b[K{line}");
            // A terminal that takes no text is no reason to end the run.
            let _ = stderr().flush();
        } else {
            eprintln!("{line}");
        }
    }

    fn elapsed(&self) -> String {
        format!("{:6.1} s", self.begun.elapsed().as_secs_f64())
    }
}
