use std::{error::Error, fmt, time::Duration};

use crate::{
    job::ParamsError,
    text::{self, OneLine},
};

/// How an attempt ends that does not complete its job.
///
/// Any error converts into one with `?`, and is kept with the chain of its causes. It does not implement
/// [`std::error::Error`] itself, for that conversion's sake.
///
/// ```
/// use std::time::Duration;
/// use actix_job_queue::JobError;
///
/// fn send() -> Result<(), JobError> {
///     let port: u16 = "smtp".parse()?;
///     # let _ = port;
///     Ok(())
/// }
///
/// let failed = send().unwrap_err();
/// let later = JobError::new("mailbox full").retry_in(Duration::from_secs(3600));
/// let never = JobError::new("no such address").give_up();
/// let not_yet = JobError::snooze(Duration::from_secs(60));
/// # let _ = (failed, later, never, not_yet);
/// ```
#[derive(Clone, PartialEq)]
pub struct JobError {
    chain: Vec<String>,
    wish: Wish,
    /// The chain quotes params, which are nobody's but the job's.
    quotes: bool,
}

/// What the handler wants to become of the job.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Wish {
    Retry,
    RetryIn(Duration),
    GiveUp,
    Snooze(Duration),
}

impl JobError {
    /// A failure: the job is tried again after its backoff while attempts are left.
    pub fn new(error: impl Into<Box<dyn Error>>) -> Self {
        let error = error.into();
        let quotes = matches!(error.downcast_ref(), Some(ParamsError::Read { .. }));
        Self { chain: text::chain(&*error), wish: Wish::Retry, quotes }
    }

    /// The same failure, tried again after this time instead.
    pub fn retry_in(self, delay: Duration) -> Self {
        Self { wish: Wish::RetryIn(delay), ..self }
    }

    /// The same failure, not tried again: the job is FAILED at once.
    pub fn give_up(self) -> Self {
        Self { wish: Wish::GiveUp, ..self }
    }

    /// No failure: the job runs again after this time, and the attempt does not count.
    pub fn snooze(delay: Duration) -> Self {
        Self { chain: Vec::new(), wish: Wish::Snooze(delay), quotes: false }
    }

    pub(crate) fn into_parts(self) -> (Vec<String>, Wish) {
        (self.chain, self.wish)
    }

    /// What the log and the journal say instead of the chain, where that quotes params.
    pub(crate) fn instead(&self) -> Option<&'static str> {
        self.quotes.then_some("params do not fit the handler's type; the job's errors say where and why")
    }

    /// Writes what the log has of it.
    pub(crate) fn in_log(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.instead() {
            Some(text) => f.write_str(text),
            None if self.chain.is_empty() => fmt::Display::fmt(self, f),
            None => fmt::Display::fmt(&OneLine(&self.chain), f),
        }
    }
}

impl<E: Into<Box<dyn Error>>> From<E> for JobError {
    fn from(error: E) -> Self {
        Self::new(error)
    }
}

impl fmt::Display for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.wish {
            Wish::Snooze(delay) => write!(f, "snoozed for {delay:?}"),
            _ => f.write_str(&self.chain.join(": ")),
        }
    }
}

impl fmt::Debug for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JobError({self}; {:?})", self.wish)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::NewJob;

    #[test]
    fn only_params_that_could_not_be_read_are_kept_from_the_log() {
        let misfit = ParamsError::Read { path: "to".into(), reason: "invalid type: string \"ada\"".into() };

        assert!(JobError::new(misfit).instead().is_some());
        assert_eq!(JobError::new(NewJob::of_type("Mail", &7).unwrap_err()).instead(), None);
    }
}
