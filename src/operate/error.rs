use crate::{error::DatabaseError, name::NameError};

/// Why an operator got no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OperateError {
    /// The database could not be asked, or refused.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The name cannot be a queue's.
    #[error(transparent)]
    Name(#[from] NameError),
    /// There is no such queue.
    #[error("there is no queue {queue}: {}", known(schema, others))]
    NoQueue {
        /// The name that was given.
        queue: String,
        /// Where it was looked for.
        schema: String,
        /// The queues that are there.
        others: Vec<String>,
    },
    /// A filter asks for something that cannot be looked for.
    #[error("the filter cannot be used: {0}")]
    Filter(String),
}

fn known(schema: &str, others: &[String]) -> String {
    match others {
        [] => format!("schema {schema} has none; migrate makes one"),
        others => format!("schema {schema} has {}", others.join(", ")),
    }
}
