//! What all workloads are given.

use std::cell::{Cell, RefCell};

use crate::{plot::Line, progress::Progress};

pub(crate) struct Bench {
    pub(crate) progress: Progress,
    pub(crate) quick: bool,
    pub(crate) rounds: u32,
    /// The library's drain rate, once it was measured in this run.
    pub(crate) drain_rate: Cell<Option<f64>>,
    /// Drain rates by backlog, once they were measured.
    pub(crate) lines: RefCell<Vec<Line>>,
}

impl Bench {
    /// The full size, or the reduced one.
    pub(crate) fn size<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }
}
