//! Removals in a transaction with something else: a handler's own, or one statement of it.

use std::collections::HashSet;

use bytes::BytesMut;
use postgres_types::{Format, IsNull, ToSql, Type};
use tokio_postgres::{Transaction, error::SqlState};

use super::{
    Lease, Store,
    statements::{ENDED, LOST, check_and_commit, complete_with},
    unzip,
};
use crate::{
    database::{Lane, Plans},
    error::{CompletionError, DatabaseError},
};

/// A transaction in which the job is already removed.
#[derive(Debug)]
pub(crate) struct Opened {
    /// The transaction's number, by which its outcome can be asked for.
    pub(crate) xid: i64,
}

/// What became of a commit whose answer was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CommitOutcome {
    Committed,
    Aborted,
    /// The server has not noticed yet that the connection is gone.
    InProgress,
}

/// A statement of a handler's with its parameters as the server reads them, to be sent again if need be.
#[derive(Debug)]
pub(crate) struct Write {
    sql: String,
    parameters: Vec<(Encoded, Type)>,
}

/// A parameter in PostgreSQL's binary form; none stands for NULL.
#[derive(Debug)]
struct Encoded(Option<Vec<u8>>);

impl ToSql for Encoded {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        Ok(match &self.0 {
            Some(bytes) => {
                out.extend_from_slice(bytes);
                IsNull::No
            }
            None => IsNull::Yes,
        })
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    postgres_types::to_sql_checked!();
}

impl Write {
    /// Takes a statement that a removal can be joined with, or says why it is none.
    pub(crate) fn new(sql: &str, parameters: &[(&(dyn ToSql + Sync), Type)]) -> Result<Self, String> {
        let first = sql.split_whitespace().next().unwrap_or_default();
        if !["INSERT", "UPDATE", "DELETE", "MERGE"].iter().any(|word| first.eq_ignore_ascii_case(word)) {
            return Err(format!(
                "it begins with {first:?}, and only an INSERT, UPDATE, DELETE or MERGE can be joined with the removal: open the completion by begin() for anything else"
            ));
        }
        let encode = |(place, (value, kind)): (usize, &(&(dyn ToSql + Sync), Type))| {
            let mut bytes = BytesMut::new();
            match (value.encode_format(kind), value.to_sql_checked(kind, &mut bytes)) {
                (Format::Text, _) => Err(format!("its parameter ${} has no binary form", place + 1)),
                (_, Err(error)) => Err(format!("its parameter ${} is no {kind}: {error}", place + 1)),
                (_, Ok(IsNull::Yes)) => Ok((Encoded(None), kind.clone())),
                (_, Ok(IsNull::No)) => Ok((Encoded(Some(bytes.to_vec())), kind.clone())),
            }
        };
        let parameters = parameters.iter().enumerate().map(encode).collect::<Result<_, _>>()?;
        Ok(Self { sql: sql.trim_end().trim_end_matches(';').to_owned(), parameters })
    }
}

impl Store {
    /// Removes the job in the transaction; none if it was lost.
    pub(crate) async fn begin_completion(
        &self,
        transaction: &Transaction<'_>,
        plans: &Plans,
        job: Lease,
    ) -> Result<Option<Opened>, DatabaseError> {
        let rows = plans
            .query(transaction.client(), &self.sql.begin_completion, &[(&job.id, Type::INT8), (&job.lease, Type::INT8)])
            .await
            .map_err(|error| DatabaseError::statement(self.attempted(&format!("remove job {}", job.id)), error))?;
        Ok(rows.first().map(|row| Opened { xid: row.get("xid") }))
    }

    /// Removes all these jobs in the transaction; or tells which of them were lost, and then the transaction must
    /// not commit.
    pub(crate) async fn begin_batch(
        &self,
        transaction: &Transaction<'_>,
        plans: &Plans,
        jobs: &[Lease],
    ) -> Result<Result<Opened, Vec<Lease>>, DatabaseError> {
        let (ids, leases) = unzip(jobs.iter().copied());
        let rows = plans
            .query(
                transaction.client(),
                &self.sql.begin_batch,
                &[(&ids, Type::INT8_ARRAY), (&leases, Type::INT8_ARRAY)],
            )
            .await
            .map_err(|error| {
                DatabaseError::statement(self.attempted(&format!("remove a batch of {} jobs", jobs.len())), error)
            })?;
        let removed: HashSet<_> = rows.iter().map(Lease::of).collect();
        let lost: Vec<_> = jobs.iter().filter(|job| !removed.contains(job)).copied().collect();
        Ok(match rows.first() {
            Some(row) if lost.is_empty() => Ok(Opened { xid: row.get("xid") }),
            _ => Err(lost),
        })
    }

    /// Commits, if the transaction is still the one that was opened, and can.
    pub(crate) async fn commit_completion(
        &self,
        transaction: Transaction<'_>,
        job: Lease,
        opened: &Opened,
    ) -> Result<(), CompletionError> {
        let committed = transaction.client().batch_execute(&check_and_commit(&self.name, opened.xid)).await;
        let (queue, id) = (self.name.to_string(), job.id);
        let error = match committed {
            Ok(()) => {
                // The server has ended it. Dropped, it would be rolled back once more, to a warning.
                std::mem::forget(transaction);
                return Ok(());
            }
            Err(error) => error,
        };
        Err(match error.code() {
            Some(code) if code.code() == ENDED => CompletionError::Ended { queue, id },
            Some(code) if *code == SqlState::IN_FAILED_SQL_TRANSACTION => CompletionError::Aborted { queue, id },
            _ => DatabaseError::statement(self.attempted(&format!("commit the completion of job {id}")), error).into(),
        })
    }

    /// Removes the jobs, one at least, and does the write, all or nothing; whether all were still these attempts'.
    pub(crate) async fn complete_with(&self, jobs: &[Lease], write: &Write) -> Result<bool, DatabaseError> {
        let batch = jobs.len() > 1;
        let sql = complete_with(&self.name, self.kind, self.keeps, batch, (&write.sql, write.parameters.len()));
        let mut parameters: Vec<(&(dyn ToSql + Sync), Type)> =
            write.parameters.iter().map(|(value, kind)| (value as &(dyn ToSql + Sync), kind.clone())).collect();
        let (ids, leases) = unzip(jobs.iter().copied());
        match (&ids[..], &leases[..]) {
            ([id], [lease]) => parameters.extend([(id as &(dyn ToSql + Sync), Type::INT8), (lease, Type::INT8)]),
            _ => parameters.extend([(&ids as &(dyn ToSql + Sync), Type::INT8_ARRAY), (&leases, Type::INT8_ARRAY)]),
        }
        let which = jobs.iter().map(|job| job.id).take(2).map(|id| id.to_string()).collect::<Vec<_>>().join(", ");
        let more = if jobs.len() > 2 { ", .." } else { "" };
        let attempted = self.attempted(&format!("complete job {which}{more} with a statement of its handler's"));
        match self.database.query_planned(Lane::Work, &attempted, &sql, &parameters).await {
            Ok(_) => Ok(true),
            Err(error) if error.code().is_some_and(|code| code.code() == LOST) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether there is a row of this id, whosever it is.
    pub(crate) async fn exists(&self, id: i64) -> Result<bool, DatabaseError> {
        let attempted = self.attempted(&format!("look for job {id}"));
        let rows = self.database.query(Lane::Control, &attempted, &self.sql.exists, &[(&id, Type::INT8)]).await?;
        Ok(!rows.is_empty())
    }

    /// Asks what became of a transaction, over another connection: one of those that completions never hold,
    /// for all of the others may be waiting for this very answer.
    pub(crate) async fn completion_outcome(&self, job: Lease, opened: &Opened) -> Result<CommitOutcome, DatabaseError> {
        let attempted = self.attempted("look what became of a completion");
        let rows = self
            .database
            .query(
                Lane::Control,
                &attempted,
                &self.sql.completion_outcome,
                &[(&opened.xid.to_string(), Type::TEXT), (&job.id, Type::INT8), (&job.lease, Type::INT8)],
            )
            .await?;
        Ok(match rows.first().and_then(|row| row.get::<_, Option<&str>>("outcome")) {
            Some("committed") => CommitOutcome::Committed,
            Some("in progress") => CommitOutcome::InProgress,
            _ => CommitOutcome::Aborted,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_statement_that_writes_can_be_joined_with_a_removal() {
        assert!(Write::new("\n insert INTO a VALUES (1);", &[]).is_ok());
        for sql in ["SELECT do_it()", "WITH a AS (SELECT 1) SELECT 1", "", "COMMIT"] {
            assert!(Write::new(sql, &[]).is_err_and(|why| why.contains("begin()")), "{sql}");
        }
    }

    #[test]
    fn a_parameter_of_another_type_is_told_by_its_place() {
        let why = Write::new("INSERT INTO a VALUES ($1, $2)", &[(&1_i64, Type::INT8), (&1_i64, Type::TEXT)]);

        assert!(why.is_err_and(|why| why.contains("$2") && why.contains("text")));
    }
}
