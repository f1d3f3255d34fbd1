use chrono::{DateTime, Utc};
use postgres_types::Type;
use serde::Serialize;

use super::{OperateError, Operator};
use crate::{job::ParamsKind, text};

/// A queue or type of which no process claims a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Pause {
    /// The type; none if it is the whole queue.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// Since when.
    pub since: DateTime<Utc>,
    /// What was said of it.
    pub reason: Option<String>,
}

impl Operator {
    /// Has no process claim any job of the queue, or of one type, until it is resumed. What runs runs on. It stays over
    /// restarts.
    ///
    /// # Errors
    /// The queue is binary and a type was given, which the database cannot read there, or the database could not be asked.
    pub async fn pause(&self, kind: Option<&str>, reason: Option<&str>) -> Result<(), OperateError> {
        let kind = self.pausable(kind)?;
        let sql = self.fill(include_str!("../../sql/operate/pause.sql"), |_| None);
        let reason = reason.map(text::keepable);
        self.ask("pause jobs", &sql, &[(&kind, Type::TEXT), (&reason, Type::TEXT)]).await?;
        Ok(())
    }

    /// Has it claimed again; whether it was paused.
    ///
    /// # Errors
    /// As [`Operator::pause`].
    pub async fn resume(&self, kind: Option<&str>) -> Result<bool, OperateError> {
        let kind = self.pausable(kind)?;
        let sql = self.fill(include_str!("../../sql/operate/resume.sql"), |_| None);
        let rows = self.ask("resume jobs", &sql, &[(&kind, Type::TEXT)]).await?;
        Ok(rows.first().is_some_and(|row| row.get::<_, i64>("resumed") > 0))
    }

    /// What is paused.
    ///
    /// # Errors
    /// The database could not be asked.
    pub async fn pauses(&self) -> Result<Vec<Pause>, OperateError> {
        let sql = self.fill(include_str!("../../sql/operate/paused.sql"), |_| None);
        let rows = self.ask("look what is paused", &sql, &[]).await?;
        Ok(rows
            .iter()
            .map(|row| Pause { kind: row.get("kind"), since: row.get("since"), reason: row.get("reason") })
            .collect())
    }

    /// As the table has it: empty for the whole queue.
    fn pausable<'a>(&self, kind: Option<&'a str>) -> Result<&'a str, OperateError> {
        let queue = &self.store.name;
        match kind {
            None => Ok(""),
            Some("") => Err(OperateError::Filter("a type without a name cannot be paused by itself".to_owned())),
            Some(_) if self.store.kind == ParamsKind::Binary => Err(OperateError::Filter(format!(
                "queue {queue} keeps its params as MessagePack, in which the database cannot read a type: pause the whole queue"
            ))),
            Some(kind) if kind.contains('\0') => {
                Err(OperateError::Filter("the type contains a NUL character".to_owned()))
            }
            Some(kind) => Ok(kind),
        }
    }
}
