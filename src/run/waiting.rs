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
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Waiting {
    connection: Option<u64>,
    stage: Stage,
    /// The number of the last question, for an answer to an earlier one says nothing of what is held now.
    asked: u64,
    /// There was no lock so many times in a row.
    refused: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
enum Stage {
    /// Nobody announces anything to this producer.
    #[default]
    Unannounced,
    /// The last question, for the lock or for the horizon, is under way.
    Asking { looks: u32 },
    /// Announcements come; what was under way at the mark may still be silent.
    Settling { mark: Vec<String>, looks: u32 },
    /// Whatever comes from now on is announced; what came before may not be claimed yet.
    Announced,
    /// Everything is claimed or will be announced.
    AtRest,
}

/// What to do after a claim that found less than was wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Next {
    /// Nothing: the next signal or sweep wakes the producer.
    Rest,
    /// Take the lock and mark what is under way.
    Announce { question: u64 },
    /// Look after this time which transactions of the mark are under way still.
    LookAgain { question: u64, mark: Vec<String>, after: Duration },
}

/// What to do after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answered {
    /// Claim: what was hidden before may be seen now.
    Claim,
    /// There is no lock: an insert was looking at it just then, or the connection is lost, whose return is signalled. Claim
    /// and try again after this time.
    Later(Duration),
    /// Nothing: things have moved on since it was asked.
    Stale,
}

/// How soon a producer looks again behind a transaction that may hide jobs, and how seldom at the last: so late is a job
/// noticed whose insert began before somebody waited and was committed after that.
const LOOK_AGAIN: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(250));

/// How soon a lock is tried again, at first and at the last: an insert has it for the length of an expression, but whoever
/// was cancelled in the midst of that has it for good.
const TRY_AGAIN: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(500));

/// `from`, doubled each time, `to` at most.
fn doubled((from, to): (Duration, Duration), times: u32) -> Duration {
    from.saturating_mul(2_u32.saturating_pow(times)).min(to)
}

impl Waiting {
    /// The connection that listens changed: a lock that was held on another went with it.
    pub(crate) fn listening_on(&mut self, connection: Option<u64>) {
        if self.connection != connection {
            (self.connection, self.stage, self.refused) = (connection, Stage::Unannounced, 0);
        }
    }

    pub(crate) fn after_short_claim(&mut self) -> Next {
        if self.connection.is_none() {
            return Next::Rest;
        }
        let question = self.asked + 1;
        let (looks, next) = match std::mem::take(&mut self.stage) {
            asking @ Stage::Asking { .. } => {
                self.stage = asking;
                return Next::Rest;
            }
            Stage::Announced | Stage::AtRest => {
                self.stage = Stage::AtRest;
                return Next::Rest;
            }
            Stage::Unannounced => (0, Next::Announce { question }),
            Stage::Settling { mark, looks } => {
                (looks + 1, Next::LookAgain { question, mark, after: doubled(LOOK_AGAIN, looks) })
            }
        };
        (self.asked, self.stage) = (question, Stage::Asking { looks });
        next
    }

    /// The answer to a question; none means that there is no lock.
    pub(crate) fn answered(&mut self, question: u64, horizon: Option<Horizon>) -> Answered {
        let Stage::Asking { looks } = self.stage else {
            return Answered::Stale;
        };
        if question != self.asked {
            return Answered::Stale;
        }
        let Some(Horizon { under_way }) = horizon else {
            self.stage = Stage::Unannounced;
            let after = doubled(TRY_AGAIN, self.refused);
            if after < TRY_AGAIN.1 {
                self.refused += 1;
            }
            return Answered::Later(after);
        };
        self.refused = 0;
        self.stage = match under_way.is_empty() {
            true => Stage::Announced,
            false => Stage::Settling { mark: under_way, looks },
        };
        Answered::Claim
    }

    /// Whether there is nothing to claim until something is announced.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.stage == Stage::AtRest
    }

    /// There may be something to claim, which the next claim that falls short shows not to be so.
    pub(crate) fn stir(&mut self) {
        if self.stage == Stage::AtRest {
            self.stage = Stage::Announced;
        }
    }

    /// No announcement is needed for now; says whether a lock is held or on its way.
    pub(crate) fn stop(&mut self) -> bool {
        std::mem::take(&mut self.stage) != Stage::Unannounced
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

    fn under_way(transactions: &[&str]) -> Option<Horizon> {
        Some(Horizon { under_way: transactions.iter().map(|number| (*number).to_owned()).collect() })
    }

    #[test]
    fn a_producer_looks_once_more_after_it_is_announced_to() {
        let mut waiting = listening();

        assert_eq!(waiting.after_short_claim(), Next::Announce { question: 1 });
        assert_eq!(waiting.answered(1, under_way(&[])), Answered::Claim);
        assert!(!waiting.is_at_rest());
        assert_eq!(waiting.after_short_claim(), Next::Rest);
        assert!(waiting.is_at_rest());

        waiting.stir();
        assert!(!waiting.is_at_rest(), "something is announced");
        assert_eq!(waiting.after_short_claim(), Next::Rest);
        assert!(waiting.is_at_rest());
    }

    #[test]
    fn a_producer_goes_on_looking_while_a_transaction_may_hide_jobs() {
        let mut waiting = listening();
        waiting.after_short_claim();
        waiting.answered(1, under_way(&["3/7", "4/2"]));

        let Next::LookAgain { question: 2, after: first, .. } = waiting.after_short_claim() else {
            panic!("{waiting:?}")
        };
        waiting.answered(2, under_way(&["4/2"]));
        let Next::LookAgain { question: 3, mark, after: second } = waiting.after_short_claim() else {
            panic!("{waiting:?}")
        };
        assert!(second > first);
        assert_eq!(mark, ["4/2"]);

        assert_eq!(waiting.answered(3, under_way(&[])), Answered::Claim, "it must claim after they ended");
        assert_eq!(waiting.after_short_claim(), Next::Rest);
    }

    #[test]
    fn a_lock_that_was_lost_with_its_connection_is_taken_again() {
        let mut waiting = listening();
        waiting.after_short_claim();
        waiting.answered(1, under_way(&[]));

        waiting.listening_on(None);
        assert_eq!(waiting.after_short_claim(), Next::Rest, "without a connection only sweeps wake it");
        waiting.listening_on(Some(2));
        assert_eq!(waiting.after_short_claim(), Next::Announce { question: 2 });
    }

    #[test]
    fn a_lock_that_an_insert_has_is_tried_again_soon_and_ever_more_seldom_if_somebody_keeps_it() {
        let mut waiting = listening();
        let mut refuse = |times: usize| {
            let mut refused = Duration::ZERO;
            for _ in 0..times {
                let Next::Announce { question } = waiting.after_short_claim() else { panic!("{waiting:?}") };
                let Answered::Later(after) = waiting.answered(question, None) else { panic!("{waiting:?}") };
                assert!(after > refused || after == TRY_AGAIN.1);
                refused = after;
            }
            let Next::Announce { question } = waiting.after_short_claim() else { panic!("{waiting:?}") };
            assert_eq!(waiting.answered(question, under_way(&[])), Answered::Claim);
            assert!(waiting.stop());
            refused
        };

        assert_eq!(refuse(1), TRY_AGAIN.0);
        assert_eq!(refuse(20), TRY_AGAIN.1);
        assert_eq!(refuse(1), TRY_AGAIN.0, "it had the lock in between");
    }

    #[test]
    fn an_answer_to_an_earlier_question_counts_for_nothing() {
        let mut waiting = listening();
        waiting.after_short_claim();
        waiting.listening_on(Some(2));
        assert_eq!(waiting.answered(1, under_way(&[])), Answered::Stale);

        assert_eq!(waiting.after_short_claim(), Next::Announce { question: 2 });
        assert_eq!(waiting.answered(1, under_way(&[])), Answered::Stale, "the lock may not be there yet");
        assert_eq!(waiting.answered(2, None), Answered::Later(TRY_AGAIN.0));
        assert_eq!(waiting.after_short_claim(), Next::Announce { question: 3 });
    }

    #[test]
    fn a_busy_producer_lets_inserts_be_silent() {
        let mut waiting = listening();
        assert!(!waiting.stop());
        waiting.after_short_claim();
        waiting.answered(1, under_way(&[]));

        assert!(waiting.stop());
        assert_eq!(waiting.after_short_claim(), Next::Announce { question: 2 });
    }
}
