//! When the poller sweeps next.

use std::time::Duration;

use crate::store::Swept;

/// Rows that were there and could not be claimed or taken back are locked by somebody; nothing tells when they are free.
const LOCKED: Duration = Duration::from_secs(1);

/// Something that was due and stayed is locked for the length of a statement.
pub(crate) const SOONEST: Duration = Duration::from_millis(10);

/// How long to sleep after this sweep.
///
/// The poll interval is the longest sleep. It is cut short by the next due time, by the next hold that
/// lapses or process that may be dead, and while jobs wait. A process that sleeps longer has seen that
/// nobody holds a job: whatever starts to be held later was announced, or due at a time that it knew.
pub(crate) fn after_sweep(swept: &Swept, poll_interval: Duration) -> Duration {
    let waiting = swept.available.then_some(LOCKED);
    let lapse_in = swept.lapse_in.map(|lapse_in| if lapse_in.is_zero() { LOCKED } else { lapse_in });
    // Beyond one batch there is more of the same.
    let more = (swept.activated + swept.rescued + swept.failed > 0).then_some(SOONEST);
    [swept.due_in, lapse_in, waiting, more]
        .into_iter()
        .flatten()
        .fold(poll_interval, Duration::min)
        .max(SOONEST.min(poll_interval))
}

/// The longest time between a job that somebody may have taken and a look at who holds it.
///
/// Half of the silence that counts as death, so that a process which takes a job and dies at once is found
/// in time by those that were woken with it.
pub(crate) fn follow_up(dead_after: Duration) -> Duration {
    dead_after / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn an_idle_queue_is_swept_once_a_poll_interval() {
        assert_eq!(after_sweep(&Swept::default(), MINUTE), MINUTE);
    }

    #[test]
    fn the_nearest_due_time_ends_the_sleep() {
        let swept = Swept { due_in: Some(Duration::from_secs(5)), ..Swept::default() };
        assert_eq!(after_sweep(&swept, MINUTE), Duration::from_secs(5));

        let far = Swept { due_in: Some(Duration::from_secs(3600)), ..Swept::default() };
        assert_eq!(after_sweep(&far, MINUTE), MINUTE);
    }

    #[test]
    fn a_process_that_holds_jobs_is_looked_at_when_it_may_be_dead() {
        let swept = Swept { lapse_in: Some(Duration::from_secs(8)), ..Swept::default() };
        assert_eq!(after_sweep(&swept, MINUTE), Duration::from_secs(8));
    }

    #[test]
    fn what_is_overdue_and_locked_is_looked_at_once_a_second() {
        let swept = Swept { lapse_in: Some(Duration::ZERO), ..Swept::default() };
        assert_eq!(after_sweep(&swept, MINUTE), LOCKED);
    }

    #[test]
    fn no_sweep_follows_another_without_a_pause() {
        let swept = Swept { due_in: Some(Duration::ZERO), activated: 1_000, ..Swept::default() };
        assert_eq!(after_sweep(&swept, MINUTE), SOONEST);
    }
}
