//! What is not as it should be with a queue and its database, each with what to do.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use tokio_postgres::Row;

use super::{OperateError, Operator, Overview, why::span};
use crate::{error::DatabaseError, job::State, text};

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Grade {
    /// As it should be.
    Fine,
    /// Worth a look.
    Warning,
    /// To be mended.
    Fault,
}

/// What a check has found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// How it came out.
    pub grade: Grade,
    /// What was looked at.
    pub check: &'static str,
    /// What is so.
    pub found: String,
    /// What to do about it, where there is anything to do.
    pub advice: Option<String>,
}

/// A transaction that is older than this is worth a look.
const LONG: f64 = 300.0;

/// A job that waits for longer than this is late, unless the queue is slow on purpose.
const LATE: TimeDelta = TimeDelta::minutes(1);

/// Clocks that differ by less are read alike.
const CLOCKS: TimeDelta = TimeDelta::seconds(2);

/// A notification that takes longer is not on its way.
const HEARD: Duration = Duration::from_secs(3);

/// The indexes of a queue's table by their columns, and what each is for.
const INDEXES: [(&[&str], &str); 5] = [
    (&["priority", "schedule", "id"], "claims"),
    (&["schedule"], "jobs that wait for their time"),
    (&["expires"], "jobs that are held"),
    (&["late"], "jobs that came back"),
    (&["updated_at", "id"], "failed jobs"),
];

const TRIGGERS: [&str; 2] = ["job_queue_admit", "job_queue_inserted"];

impl Finding {
    fn fine(check: &'static str, found: impl Into<String>) -> Self {
        Self { grade: Grade::Fine, check, found: found.into(), advice: None }
    }

    fn warning(check: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { grade: Grade::Warning, check, found: found.into(), advice: Some(advice.into()) }
    }

    fn fault(check: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { grade: Grade::Fault, check, found: found.into(), advice: Some(advice.into()) }
    }
}

impl Operator {
    /// Looks at all that a queue needs.
    ///
    /// # Errors
    /// The database could not be asked.
    pub async fn doctor(&self) -> Result<Vec<Finding>, OperateError> {
        let mut findings = self.server().await?;
        let problems = self.store.inspect().await?.problems;
        if problems.is_empty() {
            findings.push(Finding::fine(
                "schema",
                "the tables, their version and this role's rights are as they should be",
            ));
        }
        let (found, advice) = ("it is not complete", "do what it says");
        findings.extend(problems.iter().map(|problem| Finding::fault("schema", format!("{found}: {problem}"), advice)));
        if !problems.is_empty() {
            // Whatever else is asked would stumble over the same.
            return Ok(findings);
        }
        findings.extend(self.indexes().await?);
        findings.extend(self.table().await?);
        findings.push(self.hearing().await);
        findings.extend(self.horizon().await?);
        findings.extend(self.flow().await?);
        Ok(findings)
    }

    async fn server(&self) -> Result<Vec<Finding>, DatabaseError> {
        let asked = Utc::now();
        let rows = self.ask("look at the server", include_str!("../../sql/operate/server.sql"), &[]).await?;
        let answered = Utc::now();
        let Some(row) = rows.first() else { return Ok(Vec::new()) };
        let (version, number): (&str, i32) = (row.get("version"), row.get("number"));
        let mut findings = vec![match number {
            ..130_000 => Finding::fault("server", format!("PostgreSQL {version} is too old"), "upgrade to 13 or newer"),
            _ if row.get("standby") => Finding::fault(
                "server",
                "this is a standby, which takes no writes",
                "connect to the primary, for instance with target_session_attrs=read-write",
            ),
            _ => Finding::fine("server", format!("PostgreSQL {version}")),
        }];
        let (connections, most): (i64, i64) = (row.get("connections"), row.get("most"));
        let used = format!("{connections} of {most} connections are in use");
        findings.push(if connections * 10 > most * 9 {
            Finding::warning("connections", used, "raise max_connections, lower pool_size, or put PgBouncer in between")
        } else {
            Finding::fine("connections", used)
        });
        findings.push(clocks(asked, answered, row.get("now")));
        Ok(findings)
    }

    async fn indexes(&self) -> Result<Vec<Finding>, DatabaseError> {
        let sql = self.fill(include_str!("../../sql/operate/indexes.sql"), |_| None);
        let rows = self.ask("look at the indexes", &sql, &[]).await?;
        let schema = self.store.name.quoted_schema();
        let mut findings = Vec::new();
        for row in rows.iter().filter(|row| !row.get::<_, bool>("usable")) {
            let name = crate::name::quote_identifier(row.get("name"));
            findings.push(Finding::fault(
                "indexes",
                format!("index {name} is not valid, so nobody uses it"),
                format!("REINDEX INDEX CONCURRENTLY {schema}.{name}"),
            ));
        }
        for (columns, what) in INDEXES {
            let known = |row: &Row| row.get::<_, bool>("partial") && row.get::<_, Vec<&str>>("columns") == columns;
            if !rows.iter().any(known) {
                findings.push(Finding::fault(
                    "indexes",
                    format!("the index on ({}) is missing, by which {what} are found", columns.join(", ")),
                    "create it again as migrate --print has it",
                ));
            }
        }
        let others = rows.len().saturating_sub(INDEXES.len() + 1);
        if findings.is_empty() {
            let beside = if others > 0 {
                format!(", and {others} of your own, which every insert pays for")
            } else {
                String::new()
            };
            findings.push(Finding::fine("indexes", format!("all are there and valid{beside}")));
        }
        Ok(findings)
    }

    async fn table(&self) -> Result<Vec<Finding>, DatabaseError> {
        let sql = self.fill(include_str!("../../sql/operate/table.sql"), |_| None);
        let rows = self.ask("look at the table", &sql, &[]).await?;
        let Some(row) = rows.first() else { return Ok(Vec::new()) };
        let table = self.store.name.quoted_table();
        let mut findings = Vec::new();
        let triggers: Vec<&str> = row.get("triggers");
        for trigger in TRIGGERS.iter().filter(|trigger| !triggers.contains(trigger)) {
            findings.push(Finding::fault(
                "triggers",
                format!("trigger {trigger} is missing or disabled"),
                format!("ALTER TABLE {table} ENABLE TRIGGER {trigger}, or create it again as migrate --print has it"),
            ));
        }
        if findings.is_empty() {
            findings.push(Finding::fine("triggers", "all are there and enabled"));
        }
        if !row.get::<_, bool>("autovacuum") {
            findings.push(Finding::fault(
                "autovacuum",
                "autovacuum is off for this table, so that what is dead in it stays",
                format!("ALTER TABLE {table} RESET (autovacuum_enabled), and autovacuum = on for the server"),
            ));
        }
        let (live, dead): (i64, i64) = (row.get("live"), row.get("dead"));
        let (bytes, index_bytes): (i64, i64) = (row.get("bytes"), row.get("index_bytes"));
        let sizes = format!(
            "{live} live rows and {dead} dead, {} MB, and {} MB of indexes",
            bytes / 1_000_000,
            index_bytes / 1_000_000
        );
        let vacuumed: Option<DateTime<Utc>> = row.get("vacuumed");
        let since = vacuumed.map_or("never".to_owned(), |at| format!("at {}", at.format("%Y-%m-%d %H:%M:%SZ")));
        findings.push(if dead > 100_000 && dead > live {
            Finding::warning(
                "bloat",
                format!("{sizes}; vacuumed last: {since}"),
                format!("see what holds the horizon below; then VACUUM {table}, and REINDEX TABLE CONCURRENTLY {table} where it stays slow"),
            )
        } else if bytes > 100_000_000 && bytes / live.max(1) > 100_000 {
            Finding::warning("bloat", sizes, format!("VACUUM FULL {table} while nothing works on it, if the room is needed"))
        } else {
            Finding::fine("bloat", sizes)
        });
        Ok(findings)
    }

    /// Whether what is notified is heard, which tells a pooler that hands sessions round.
    async fn hearing(&self) -> Finding {
        let advice = "if this is PgBouncer in transaction mode, give workers the server's own address to listen at \
                      (Listen::At), or Listen::Off to poll alone";
        match self.store.database.hears(HEARD).await {
            Ok(Some(true)) => Finding::fine("notifications", "what is notified is heard"),
            Ok(Some(false)) => Finding::warning(
                "notifications",
                format!(
                    "LISTEN was accepted, and nothing was heard in {HEARD:?}: a pooler in between hands sessions round"
                ),
                advice,
            ),
            Ok(None) => Finding::fine("notifications", "this program does not listen, so that was not looked at"),
            Err(error) => {
                Finding::warning("notifications", format!("LISTEN is not to be had: {}", text::line(&error)), advice)
            }
        }
    }

    async fn horizon(&self) -> Result<Vec<Finding>, DatabaseError> {
        let sql = include_str!("../../sql/operate/horizon.sql");
        let rows = self.ask("look what holds the horizon", sql, &[]).await?;
        let mut findings = Vec::new();
        for row in &rows {
            let (who, seconds, remedy): (&str, Option<f64>, &str) =
                (row.get("who"), row.get("seconds"), row.get("remedy"));
            if seconds.is_some_and(|seconds| seconds < LONG) {
                continue;
            }
            #[allow(clippy::cast_possible_truncation, reason = "a length of time in whole seconds")]
            let age = seconds.map_or("for as long as it is there".to_owned(), |seconds| {
                format!("for {}", span(TimeDelta::seconds(seconds as i64)))
            });
            findings.push(Finding::warning(
                "horizon",
                format!("{who} has kept dead rows from being removed {age}"),
                format!("if nobody needs it: {remedy}"),
            ));
        }
        if findings.is_empty() {
            findings.push(Finding::fine("horizon", "no transaction is old, and nothing else keeps dead rows"));
        }
        Ok(findings)
    }

    async fn flow(&self) -> Result<Vec<Finding>, OperateError> {
        let overview = self.overview().await?;
        let processes = self.processes().await?;
        let heard = processes.iter().filter(|process| process.heard).count();
        let mut findings = vec![waiting(&overview, heard)];
        let lost: Vec<_> = processes.iter().filter(|process| process.dead).map(|one| one.node).collect();
        findings.push(if lost.is_empty() {
            Finding::fine("processes", format!("{heard} heard from lately; those that hold no job are not"))
        } else {
            Finding::warning(
                "processes",
                format!("jobs are held by processes that are silent: {lost:?}"),
                "any living worker takes them back; if they stay, no worker of this queue runs",
            )
        });
        findings.extend(overview.paused.iter().map(|pause| {
            let what = pause.kind.as_ref().map_or("the queue".to_owned(), |kind| format!("type {kind}"));
            let reason = pause.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
            let since = span(overview.now - pause.since);
            Finding::warning(
                "pauses",
                format!("{what} has been paused for {since}{reason}"),
                "resume it when the reason is gone",
            )
        }));
        Ok(findings)
    }
}

fn waiting(overview: &Overview, heard: usize) -> Finding {
    let Some(since) = overview.waiting_since else {
        return Finding::fine("latency", "no job waits for a worker");
    };
    let waited = overview.now - since;
    let running = overview.depth.iter().any(|depth| depth.state == State::InProgress && depth.figure.jobs > 0);
    let told = format!("the oldest job that can run has waited for {}", span(waited));
    if waited <= LATE || !overview.paused.is_empty() {
        Finding::fine("latency", told)
    } else if heard == 0 && !running {
        Finding::fault(
            "latency",
            format!("{told}, and no process is heard from"),
            "start a worker of this queue, and see its log",
        )
    } else {
        Finding::warning(
            "latency",
            told,
            "the workers are too few or too slow: see what stats says of times, and raise max_demand",
        )
    }
}

/// The server answered between two looks at this machine's clock.
fn clocks(asked: DateTime<Utc>, answered: DateTime<Utc>, server: DateTime<Utc>) -> Finding {
    let behind = (asked - server).max(server - answered);
    if behind > CLOCKS {
        Finding::warning(
            "clocks",
            format!("this machine's clock and the server's differ by {}", span(behind)),
            "the queue goes by the server's alone; set both by NTP, so that logs can be read beside each other",
        )
    } else {
        Finding::fine("clocks", "this machine's clock and the server's agree")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_differ_only_by_what_the_answer_cannot_explain() {
        let at = |seconds| DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds);

        assert_eq!(clocks(at(0), at(9), at(5)).grade, Grade::Fine);
        assert_eq!(clocks(at(0), at(1), at(5)).grade, Grade::Warning);
        assert_eq!(clocks(at(10), at(11), at(5)).grade, Grade::Warning);
    }
}
