//! When a producer may rest: only once every job that it cannot see yet will announce itself.

use std::time::Duration;

use crate::database::Horizon;

/// How far a producer is on its way to rest.
///
/// Inserts announce themselves only to producers that wait, so resting takes four steps. It (1) claims and
/// finds less than it wants, (2) takes the lock by which inserters see that somebody waits, (3) marks the
/// transactions under way, for some of them may have inserted before the lock and be silent, and claims
/// again until all of them have ended, (4) claims a last time. From then on whatever is committed is either
/// claimed or announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Waiting {
    connection: Option<u64>,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Stage {
    /// Nobody announces anything to this producer.
    #[default]
    Unannounced,
    /// The question for the lock, or for the horizon, is under way.
    Asking { looks: u32 },
    /// Announcements come; what was under way at the mark may still be silent.
    Settling { mark: i64, looks: u32 },
    /// Everything is announced.
    Announced,
}

/// What to do after a claim that found less than was wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Nothing: the next signal or sweep wakes the producer.
    Rest,
    /// Take the lock and mark what is under way.
    Announce,
    /// Look after this time whether what was under way at the mark has ended.
    LookAgain { mark: i64, after: Duration },
}

/// How soon a producer looks again behind a transaction that may hide jobs, and how seldom at the last.
const LOOK_AGAIN: (Duration, Duration) = (Duration::from_millis(2), Duration::from_secs(1));

impl Waiting {
    /// The connection that listens changed: a lock that was held on another went with it.
    pub(crate) fn listening_on(&mut self, connection: Option<u64>) {
        if self.connection != connection {
            *self = Self { connection, stage: Stage::Unannounced };
        }
    }

    pub(crate) fn after_short_claim(&mut self) -> Next {
        match self.stage {
            _ if self.connection.is_none() => Next::Rest,
            Stage::Asking { .. } | Stage::Announced => Next::Rest,
            Stage::Unannounced => {
                self.stage = Stage::Asking { looks: 0 };
                Next::Announce
            }
            Stage::Settling { mark, looks } => {
                self.stage = Stage::Asking { looks: looks + 1 };
                let after = LOOK_AGAIN.0.saturating_mul(2_u32.saturating_pow(looks)).min(LOOK_AGAIN.1);
                Next::LookAgain { mark, after }
            }
        }
    }

    /// The answer to either question; says whether to claim now. None means that there is no lock.
    pub(crate) fn announced(&mut self, horizon: Option<Horizon>) -> bool {
        let Stage::Asking { looks } = self.stage else {
            // The connection changed while the answer was on its way.
            return true;
        };
        self.stage = match horizon {
            Some(Horizon { settled: true, .. }) => Stage::Announced,
            Some(Horizon { mark, .. }) => Stage::Settling { mark, looks },
            None => Stage::Unannounced,
        };
        horizon.is_some()
    }

    /// No announcement is needed for now; says whether a lock is held or on its way.
    pub(crate) fn stop(&mut self) -> bool {
        let held = self.stage != Stage::Unannounced;
        self.stage = Stage::Unannounced;
        held
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listening() -> Waiting {
        let mut waiting = Waiting::default();
        waiting.listening_on(Some(1));
        waiting
    }

    #[test]
    fn a_producer_looks_once_more_after_it_is_announced_to() {
        let mut waiting = listening();

        assert_eq!(waiting.after_short_claim(), Next::Announce);
        assert!(waiting.announced(Some(Horizon { mark: 7, settled: true })), "it must claim after the lock");
        assert_eq!(waiting.after_short_claim(), Next::Rest);
    }

    #[test]
    fn a_producer_goes_on_looking_while_a_transaction_may_hide_jobs() {
        let mut waiting = listening();
        waiting.after_short_claim();
        waiting.announced(Some(Horizon { mark: 7, settled: false }));

        let Next::LookAgain { mark: 7, after: first } = waiting.after_short_claim() else { panic!("{waiting:?}") };
        waiting.announced(Some(Horizon { mark: 7, settled: false }));
        let Next::LookAgain { mark: 7, after: second } = waiting.after_short_claim() else { panic!("{waiting:?}") };
        assert!(second > first);

        assert!(waiting.announced(Some(Horizon { mark: 7, settled: true })), "it must claim after they ended");
        assert_eq!(waiting.after_short_claim(), Next::Rest);
    }

    #[test]
    fn a_lock_that_was_lost_with_its_connection_is_taken_again() {
        let mut waiting = listening();
        waiting.after_short_claim();
        waiting.announced(Some(Horizon { mark: 7, settled: true }));

        waiting.listening_on(None);
        assert_eq!(waiting.after_short_claim(), Next::Rest, "without a connection only sweeps wake it");
        waiting.listening_on(Some(2));
        assert_eq!(waiting.after_short_claim(), Next::Announce);
    }

    #[test]
    fn an_answer_from_a_lost_connection_counts_for_nothing() {
        let mut waiting = listening();
        waiting.after_short_claim();
        waiting.listening_on(Some(2));

        waiting.announced(Some(Horizon { mark: 7, settled: true }));

        assert_eq!(waiting.after_short_claim(), Next::Announce);
    }

    #[test]
    fn a_busy_producer_lets_inserts_be_silent() {
        let mut waiting = listening();
        assert!(!waiting.stop());
        waiting.after_short_claim();
        waiting.announced(Some(Horizon { mark: 7, settled: true }));

        assert!(waiting.stop());
        assert_eq!(waiting.after_short_claim(), Next::Announce);
    }
}
