//! How long to wait before trying again: a job's next attempt, and the library's own reconnects.

use std::{fmt, sync::Arc, time::Duration};

/// The longest wait that the database is asked for: 100 years.
pub(crate) const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// The wait before a job's next attempt, by the attempt that failed (the first is 1).
#[derive(Clone)]
pub struct Backoff(Arc<dyn Fn(i32) -> Duration + Send + Sync>);

impl Backoff {
    /// `step` times the attempt: what a queue does unless told otherwise.
    pub fn linear(step: Duration) -> Self {
        Self::from_fn(move |attempt| step.saturating_mul(attempt.max(1).unsigned_abs()))
    }

    /// `first`, then twice as long each time, `longest` at most.
    pub fn exponential(first: Duration, longest: Duration) -> Self {
        Self::from_fn(move |attempt| {
            let doublings = attempt.max(1).unsigned_abs() - 1;
            first.saturating_mul(2_u32.saturating_pow(doublings.min(31))).min(longest)
        })
    }

    /// Whatever `wait` says.
    pub fn from_fn(wait: impl Fn(i32) -> Duration + Send + Sync + 'static) -> Self {
        Self(Arc::new(wait))
    }

    /// The wait after this attempt failed.
    pub fn after(&self, attempt: i32) -> Duration {
        (self.0)(attempt).min(LONGEST)
    }
}

impl fmt::Debug for Backoff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Backoff({:?}, {:?}, ..)", self.after(1), self.after(2))
    }
}

/// The wait before the library tries the database again: doubled from 50 ms to 5 s, and spread over its
/// upper half so that processes which lost the same server do not return in step ("equal jitter",
/// <https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>).
pub(crate) fn reconnect_delay(failures: u32) -> Duration {
    let whole = Duration::from_millis(50 << failures.min(10)).min(Duration::from_secs(5));
    whole.mul_f64(0.5 + fastrand::f64() / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_retry_comes_after_one_step() {
        let backoff = Backoff::linear(Duration::from_secs(30));

        assert_eq!(backoff.after(1), Duration::from_secs(30));
        assert_eq!(backoff.after(4), Duration::from_secs(120));
    }

    #[test]
    fn no_attempt_overflows() {
        for backoff in [
            Backoff::linear(Duration::MAX),
            Backoff::exponential(Duration::from_secs(1), Duration::MAX),
            Backoff::from_fn(|_| Duration::MAX),
        ] {
            assert!(backoff.after(i32::MAX) <= LONGEST);
            assert!(backoff.after(i32::MIN) <= LONGEST);
        }
    }

    #[test]
    fn reconnects_slow_down_to_five_seconds_and_no_further() {
        for failures in [0, 1, 5, 10, u32::MAX] {
            let delay = reconnect_delay(failures);
            assert!(delay >= Duration::from_millis(25) && delay <= Duration::from_secs(5), "{delay:?}");
        }
    }
}
