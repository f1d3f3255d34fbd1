use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use chrono::{DateTime, Utc};
use postgres_types::{ToSql, Type};
use tokio_postgres::Row;

use super::{Store, seconds, statements::Claims};
use crate::{
    database::Lane,
    error::DatabaseError,
    job::{Began, Reserved},
    run::node::Node,
};

/// What becomes of the jobs that a claim brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Take {
    /// They are reserved for so long, and started when a worker has them.
    Reserve(Duration),
    /// They are started, with this execution timeout.
    Start(Duration),
}

/// What a claim brought.
#[derive(Debug, Clone, Default)]
pub(crate) struct Claim {
    /// In the order in which they are to run.
    pub(crate) jobs: Vec<Reserved>,
    /// When the next scheduled or retried job is due, or since when it is.
    pub(crate) due_in: Option<Duration>,
    /// How many index entries were walked, those of jobs long gone among them.
    pub(crate) walked: u64,
    /// How often a page of the index was fetched for it. Entries that are known to be dead are passed over uncounted, but
    /// their pages are read.
    pub(crate) pages: u64,
    /// The types of the queue that are paused, none of a name for all: nobody tells when they are no longer, where there
    /// are no notifications.
    pub(crate) paused: Vec<String>,
    /// Somebody changed a job while it was being claimed, so it was left.
    pub(crate) moved: bool,
    /// What else was seen, if the claim did not start at the beginning.
    pub(crate) sight: Option<Sight>,
}

/// Where a claim is to start.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Onward {
    /// One a priority, in this order; what lies between a place's priority and the next is walked in whole.
    pub(crate) places: Vec<Place>,
    /// What the last claim of this kind could not see.
    pub(crate) unseen: Option<Unseen>,
    /// Whether to tell who may write.
    pub(crate) ask_writers: bool,
}

impl Onward {
    /// Whether nothing is known yet of what may come: asked for no job at all, a claim tells that without a walk, and
    /// the next one's walk is the last from there.
    pub(crate) fn is_blind(&self) -> bool {
        self.unseen.is_none()
    }
}

/// A place in the order in which jobs are claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) priority: i32,
    pub(crate) schedule: DateTime<Utc>,
    pub(crate) id: i64,
}

/// The transactions that a snapshot does not see, by their numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unseen {
    /// This one and all later ones.
    pub(crate) from: String,
    /// Earlier ones that were under way.
    pub(crate) under_way: Vec<String>,
}

/// What a claim saw that did not start at the beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sight {
    /// The database's clock.
    pub(crate) at: DateTime<Utc>,
    pub(crate) unseen: Unseen,
    /// Just before the first job of each priority that the claim before could not see and that may lie anywhere.
    pub(crate) late: Vec<Place>,
    /// Just before the first job that stays in each range that was entered.
    pub(crate) remaining: Vec<Place>,
    /// The transactions that write to the table, and when they began, where this may be known; if it was asked.
    pub(crate) writers: Option<Vec<(String, Option<DateTime<Utc>>)>>,
}

impl Store {
    /// Reserves or starts up to `limit` jobs for this process.
    pub(crate) async fn claim(&self, limit: usize, take: Take, node: &Arc<Node>) -> Result<Claim, DatabaseError> {
        let sql = match take {
            Take::Reserve(_) => &self.sql.claim,
            Take::Start(_) => &self.sql.claim_start,
        };
        let began = Began::now(node);
        let rows = self.claim_by(sql, limit, take, node, &[]).await?;
        Ok(claim(&rows, take, &began, |_| None))
    }

    /// The same, but starts where claims have come to.
    pub(crate) async fn claim_onward(
        &self,
        limit: usize,
        take: Take,
        node: &Arc<Node>,
        onward: &Onward,
    ) -> Result<Claim, DatabaseError> {
        let priorities: Vec<_> = onward.places.iter().map(|place| place.priority).collect();
        let schedules: Vec<_> = onward.places.iter().map(|place| place.schedule).collect();
        let ids: Vec<_> = onward.places.iter().map(|place| place.id).collect();
        let under_way = onward.unseen.as_ref().map(|unseen| &unseen.under_way);
        let more: [(&(dyn ToSql + Sync), Type); 6] = [
            (&priorities, Type::INT4_ARRAY),
            (&schedules, Type::TIMESTAMPTZ_ARRAY),
            (&ids, Type::INT8_ARRAY),
            (&onward.unseen.as_ref().map(|unseen| &unseen.from), Type::TEXT),
            (&under_way, Type::TEXT_ARRAY),
            (&onward.ask_writers, Type::BOOL),
        ];
        let sql = match take {
            Take::Reserve(_) => &self.sql.claim_onward,
            Take::Start(_) => &self.sql.claim_start_onward,
        };
        let began = Began::now(node);
        let rows = self.claim_by(sql, limit, take, node, &more).await?;
        Ok(claim(&rows, take, &began, |whole| Some(sight(whole, onward.ask_writers))))
    }

    async fn claim_by(
        &self,
        claims: &Claims,
        limit: usize,
        take: Take,
        node: &Node,
        more: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<Vec<Row>, DatabaseError> {
        let attempted = self.attempted("claim jobs");
        let index = self.index.get_or_try_init(|| self.find_index(&attempted)).await?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let number = node.number();
        let (Take::Reserve(time) | Take::Start(time)) = take;
        let (taken_for, dead_after) = (time.as_secs_f64(), node.dead_after.as_secs_f64());
        let mut parameters: Vec<(&(dyn ToSql + Sync), Type)> = vec![
            (&limit, Type::INT8),
            (&taken_for, Type::FLOAT8),
            (&number, Type::INT8),
            (&dead_after, Type::FLOAT8),
            (&node.name, Type::TEXT),
            (index, Type::TEXT),
        ];
        parameters.extend_from_slice(more);
        let (parameters, attempted) = (&parameters, &attempted);
        let claim = async |sql| self.database.query_planned(Lane::Control, attempted, sql, parameters).await;
        if !self.paused.load(Ordering::Relaxed) {
            let rows = claim(&claims.free).await?;
            if !is_paused(&rows) {
                return Ok(rows);
            }
        }
        let rows = claim(&claims.careful).await?;
        self.paused.store(is_paused(&rows), Ordering::Relaxed);
        Ok(rows)
    }

    /// The name of the index that claims walk.
    async fn find_index(&self, attempted: &str) -> Result<Option<String>, DatabaseError> {
        let rows = self.database.query(Lane::Control, attempted, &self.sql.claim_index, &[]).await?;
        Ok(rows.first().map(|row| row.get("name")))
    }

    /// Makes claimed jobs available again, all of this process's if none are named; how many, and which of them
    /// somebody had locked. Those that a claim has started go back if it is told which of them are performed.
    pub(crate) async fn unreserve(
        &self,
        node: &Node,
        ids: Option<&[i64]>,
        performed: Option<&[i64]>,
    ) -> Result<(u64, Vec<i64>), DatabaseError> {
        let rows = self
            .database
            .query(
                Lane::Control,
                &self.attempted("give reserved jobs back"),
                &self.sql.unreserve,
                &[(&node.number(), Type::INT8), (&ids, Type::INT8_ARRAY), (&performed, Type::INT8_ARRAY)],
            )
            .await?;
        let told = |row: &Row| (row.get::<_, i64>("returned").unsigned_abs(), row.get("locked"));
        Ok(rows.first().map(told).unwrap_or_default())
    }
}

fn is_paused(rows: &[Row]) -> bool {
    whole(rows).is_some_and(|whole| !paused(whole).is_empty())
}

fn paused(whole: &Row) -> Vec<String> {
    whole.get::<_, Option<_>>("paused").unwrap_or_default()
}

/// What is told of the claim as a whole.
fn whole(rows: &[Row]) -> Option<&Row> {
    rows.iter().find(|row| row.get::<_, Option<i64>>("id").is_none())
}

/// What the rows say, which come in no order.
fn claim(rows: &[Row], take: Take, began: &Began, sight: impl FnOnce(&Row) -> Option<Sight>) -> Claim {
    let Some(whole) = whole(rows) else {
        return Claim::default();
    };
    let job = |row: &Row| {
        let job = reserved(row.get::<_, Option<i64>>("id")?, row);
        Some(if matches!(take, Take::Start(_)) {
            job.begun(Began { waited: seconds(row.get("waited")), ..began.clone() })
        } else {
            job
        })
    };
    let mut jobs: Vec<_> = rows.iter().filter_map(job).collect();
    jobs.sort_unstable_by_key(|job| (job.priority, job.schedule, job.id));
    let counted = |what| whole.get::<_, Option<i64>>(what).map_or(0, i64::unsigned_abs);
    Claim {
        jobs,
        due_in: seconds(whole.get("due_in")),
        walked: counted("walked"),
        pages: counted("pages"),
        paused: paused(whole),
        moved: whole.get("moved"),
        sight: sight(whole),
    }
}

fn reserved(id: i64, row: &Row) -> Reserved {
    let params: crate::job::RawParams = row.get("params");
    let kind = row.get::<_, Option<String>>("kind").or_else(|| params.binary_kind());
    Reserved {
        id,
        lease: row.get("lease"),
        kind,
        attempt: row.get("attempt"),
        max_attempts: row.get("max_attempts"),
        priority: row.get("priority"),
        schedule: row.get("schedule"),
        inserted_at: row.get("inserted_at"),
        notify: row.get("notify"),
        params,
        began: None,
    }
}

fn sight(row: &Row, ask_writers: bool) -> Sight {
    let places = |priorities, schedules, ids| {
        let (priorities, schedules): (Vec<_>, Vec<_>) = (row.get(priorities), row.get(schedules));
        let columns = priorities.into_iter().zip(schedules).zip(row.get::<_, Vec<_>>(ids));
        columns.map(|((priority, schedule), id)| Place { priority, schedule, id }).collect()
    };
    let writers = || row.get::<_, Vec<_>>("writers").into_iter().zip(row.get::<_, Vec<_>>("starts")).collect();
    Sight {
        at: row.get("at"),
        unseen: Unseen { from: row.get("xmax"), under_way: row.get("xip") },
        late: places("late_priorities", "late_schedules", "late_ids"),
        remaining: places("remaining_priorities", "remaining_schedules", "remaining_ids"),
        writers: ask_writers.then(writers),
    }
}
