//! What a connection has planned, so that a statement which recurs is not planned each time.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use postgres_types::{ToSql, Type};
use tokio_postgres::{Client, Error, Row, Statement, error::SqlState};

use crate::lock::lock;

/// A plan is made anew this often: one that was made for an empty table must not outlive its first flood of jobs.
const LIFETIME: Duration = Duration::from_secs(1);

/// The same where the planner is steered, and comes to the same plan for an empty table and for a full one.
const STEERED_LIFETIME: Duration = Duration::from_secs(60);

/// How the planner is steered on the library's own connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Steering {
    /// For a statement that recurs: one plan, whatever its parameters. How many jobs are asked for changes no plan, but
    /// the planner takes any number for a tenth of the table, thinks that dear, and would plan anew each time.
    Recurring,
    /// For a statement whose parameters the planner is to see.
    Once,
}

/// What the library's own statements are planned with on its own connections: in the order of the indexes and row by
/// row. For a table that was small or empty a moment ago, the planner would rather read all of it, again and again.
/// Nothing is compiled for a cost that is an estimate of all there is, where a hundred rows are asked for.
macro_rules! steer {
    ($plan_cache_mode:literal) => {
        concat!(
            "SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_hashjoin = off; ",
            "SET enable_mergejoin = off; SET jit = off; SET plan_cache_mode = ",
            $plan_cache_mode
        )
    };
}

impl Steering {
    pub(super) fn sql(self) -> &'static str {
        match self {
            Self::Recurring => steer!("force_generic_plan"),
            Self::Once => steer!("auto"),
        }
    }
}

/// Has the server find out within half a minute that this machine is gone: until then it keeps the locks of a
/// transaction that nobody can end any more, two hours by its default.
pub(super) const VIGILANCE: &str = "SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; \
                                    SET tcp_keepalives_count = 4; SET tcp_user_timeout = 30000";

/// More than the library itself has; those of handlers are few too, unless they write values into their SQL.
const MOST: usize = 200;

/// The prepared statements of one connection. Cheap to clone.
///
/// They are used only once it is known that a connection is a session of its own: behind a pooler that hands
/// sessions round, another client's statement may go by the same name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Plans {
    kept: Option<Arc<Mutex<Kept>>>,
    lifetime: Duration,
}

/// By their SQL, each with when it was planned.
type Kept = HashMap<String, (Statement, Instant)>;

impl Plans {
    /// Plans to be kept with one connection.
    pub(super) fn of_a_connection() -> Self {
        Self { kept: Some(Arc::default()), lifetime: LIFETIME }
    }

    /// The same, of a connection on which the planner is steered.
    pub(super) fn steered(self) -> Self {
        Self { lifetime: STEERED_LIFETIME, ..self }
    }

    #[allow(clippy::disallowed_methods, reason = "what is prepared here stays with its session, or there are no plans")]
    /// Runs a statement that recurs. One that is not planned is planned in the same round trip, for the next time.
    pub(crate) async fn query(
        &self,
        client: &Client,
        sql: &str,
        parameters: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<Vec<Row>, Error> {
        let Some(kept) = &self.kept else {
            return client.query_typed(sql, parameters).await;
        };
        let planned = lock(kept).get(sql).filter(|(_, since)| since.elapsed() < self.lifetime).cloned();
        if let Some((statement, _)) = planned {
            let values: Vec<_> = parameters.iter().map(|(value, _)| *value).collect();
            let answer = client.query(&statement, &values).await;
            if answer.as_ref().is_err_and(|error| error.code().is_some_and(outdates)) {
                lock(kept).remove(sql);
            }
            return answer;
        }
        let types: Vec<_> = parameters.iter().map(|(_, kind)| kind.clone()).collect();
        let (answer, statement) =
            futures_util::join!(client.query_typed(sql, parameters), client.prepare_typed(sql, &types));
        // One that cannot be planned has failed just as well, and told why.
        if let Ok(statement) = statement {
            let mut kept = lock(kept);
            if kept.len() >= MOST {
                kept.clear();
            }
            kept.insert(sql.to_owned(), (statement, Instant::now()));
        }
        answer
    }
}

/// Whether a statement was not run because somebody had deallocated it, or altered the table under it.
pub(crate) fn outdates(code: &SqlState) -> bool {
    [SqlState::INVALID_SQL_STATEMENT_NAME, SqlState::FEATURE_NOT_SUPPORTED].contains(code)
}
