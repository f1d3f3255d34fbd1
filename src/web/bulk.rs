//! What is done with many jobs: each request looks and acts for some seconds at most, and says whether that was all.

use std::time::{Duration, Instant};

use super::trouble::Trouble;
use crate::operate::{Action, Filter, Operator, Outcome};

/// So many jobs are one statement and one commit.
const BATCH: usize = 1_000;

/// Nobody waits longer for the answer to a question.
const COUNTING: Duration = Duration::from_secs(2);

/// Nor for an action.
const ACTING: Duration = Duration::from_secs(10);

/// Jobs that were found.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) ids: Vec<i64>,
    /// There are no others.
    pub(crate) complete: bool,
}

/// What was done.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Done {
    pub(crate) outcome: Outcome,
    /// There was nothing left to do.
    pub(crate) complete: bool,
}

/// The jobs that are meant, as far as they are found in a few seconds.
pub(crate) async fn find(operator: &Operator, filter: &Filter) -> Result<Found, Trouble> {
    let (begun, mut ids, mut from) = (Instant::now(), Vec::new(), None);
    loop {
        let found = operator.find(filter, from.as_ref()).await?;
        ids.extend(found.ids);
        from = found.next;
        if from.is_none() || begun.elapsed() > COUNTING {
            return Ok(Found { ids, complete: from.is_none() });
        }
    }
}

/// Does it with the jobs that are meant, as far as it comes in some seconds. What is done no longer fits the filter, so
/// that the same request goes on where this one ended.
pub(crate) async fn act(operator: &Operator, action: &Action, filter: &Filter) -> Result<Done, Trouble> {
    let (begun, mut outcome, mut from) = (Instant::now(), Outcome::default(), None);
    loop {
        let found = operator.find(filter, from.as_ref()).await?;
        for batch in found.ids.chunks(BATCH) {
            if begun.elapsed() > ACTING {
                return Ok(Done { outcome, complete: false });
            }
            outcome += operator.act(action, batch).await?;
        }
        from = found.next;
        if from.is_none() {
            return Ok(Done { outcome, complete: true });
        }
    }
}
