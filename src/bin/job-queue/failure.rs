use std::{error::Error, process::ExitCode};

use actix_job_queue::{ConnectError, DatabaseError, EnqueueError, MigrateError, operate::OperateError};

use crate::output::shown;

/// Why a verb did not do what it was asked to. Each kind has an exit code of its own, which `--help` documents.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The database could not be reached, or refused; or anything else that went wrong.
    Other(String),
    /// Something in the command cannot be used.
    Usage(String),
    /// There is no such job or queue.
    Missing(String),
    /// Nobody agreed.
    Unconfirmed(String),
    /// Some of the jobs were left.
    Partial(String),
    /// Something was found that is not as it should be.
    Unwell(String),
}

impl Failure {
    /// Says why on standard error.
    pub(crate) fn tell(&self) -> ExitCode {
        let (code, text) = match self {
            Failure::Other(text) => (1, text),
            Failure::Usage(text) => (2, text),
            Failure::Missing(text) => (3, text),
            Failure::Unconfirmed(text) => (4, text),
            Failure::Partial(text) => (5, text),
            Failure::Unwell(text) => (6, text),
        };
        if !text.is_empty() {
            eprintln!("job-queue: {}", shown(text));
        }
        ExitCode::from(code)
    }
}

/// An error with its causes in one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

impl From<OperateError> for Failure {
    fn from(error: OperateError) -> Self {
        let text = chain(&error);
        match error {
            OperateError::NoQueue { .. } => Failure::Missing(text),
            OperateError::Filter(_) | OperateError::Name(_) => Failure::Usage(text),
            _ => Failure::Other(text),
        }
    }
}

macro_rules! others {
    ($($error:ty),*) => {
        $(impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Failure::Other(chain(&error))
            }
        })*
    };
}

others!(ConnectError, DatabaseError, EnqueueError, MigrateError, std::io::Error, serde_json::Error);
