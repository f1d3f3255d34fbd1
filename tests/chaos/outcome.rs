//! What came of a scenario.

use std::time::Duration;

/// A figure before the fault and after.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Change {
    pub(crate) before: f64,
    pub(crate) after: f64,
}

#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) jobs: i64,
    pub(crate) lost: i64,
    pub(crate) doubled: i64,
    pub(crate) stuck: i64,
    /// Completions a second.
    pub(crate) rate: Option<Change>,
    pub(crate) recovered: Option<Duration>,
    pub(crate) connections: Option<Change>,
    /// Of a worker, in megabytes.
    pub(crate) memory: Option<Change>,
    /// What should not have been, in words.
    pub(crate) misses: Vec<String>,
    /// What was slower than it should be, in words: a machine that had other things to do is as good a reason as any.
    pub(crate) slow: Vec<String>,
    /// Why it could not be played on this machine.
    pub(crate) not_run: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Passed,
    Missed,
    NotRun,
}

impl Outcome {
    pub(crate) fn missed(why: String) -> Self {
        Self { misses: vec![why], ..Self::default() }
    }

    pub(crate) fn not_run(why: impl Into<String>) -> Self {
        Self { not_run: Some(why.into()), ..Self::default() }
    }

    /// Whether it was slow, and nothing else was wrong with it.
    pub(crate) fn only_slow(&self) -> bool {
        self.misses.is_empty() && !self.slow.is_empty()
    }

    /// All that was wrong.
    pub(crate) fn reasons(&self) -> impl Iterator<Item = &String> {
        self.misses.iter().chain(&self.slow)
    }

    pub(crate) fn verdict(&self) -> Verdict {
        if !self.misses.is_empty() || !self.slow.is_empty() {
            Verdict::Missed
        } else if self.not_run.is_some() {
            Verdict::NotRun
        } else {
            Verdict::Passed
        }
    }
}
