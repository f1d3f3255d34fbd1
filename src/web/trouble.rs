use std::fmt;

use actix_web::{ResponseError, http::StatusCode};

use crate::{
    error::{DatabaseError, EnqueueError},
    operate::OperateError,
    text,
};

/// Why a request is not answered with what it asked for. How that looks, as a page or as JSON, is decided in `enter`.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// Whoever asks may not.
    Forbidden(String),
    /// There is no such thing.
    Missing(String),
    /// It cannot be asked so.
    Unusable(String),
    /// The database could not be asked.
    Away(String),
    /// The fault is here.
    Inner(String),
}

impl ResponseError for Trouble {
    fn status_code(&self) -> StatusCode {
        match self {
            Trouble::Forbidden(_) => StatusCode::FORBIDDEN,
            Trouble::Missing(_) => StatusCode::NOT_FOUND,
            Trouble::Unusable(_) => StatusCode::BAD_REQUEST,
            Trouble::Away(_) => StatusCode::SERVICE_UNAVAILABLE,
            Trouble::Inner(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Trouble::Forbidden(text)
        | Trouble::Missing(text)
        | Trouble::Unusable(text)
        | Trouble::Away(text)
        | Trouble::Inner(text)) = self;
        f.write_str(text)
    }
}

impl From<OperateError> for Trouble {
    fn from(error: OperateError) -> Self {
        let told = text::line(&error);
        match error {
            OperateError::NoQueue { .. } => Trouble::Missing(told),
            OperateError::Filter(_) | OperateError::Name(_) => Trouble::Unusable(told),
            OperateError::Database(error) => database(&error, told),
        }
    }
}

impl From<EnqueueError> for Trouble {
    fn from(error: EnqueueError) -> Self {
        let told = text::line(&error);
        match error {
            EnqueueError::Database(error) => database(&error, told),
            _ => Trouble::Unusable(told),
        }
    }
}

/// A value that the database cannot hold (classes 22 and 23 of its codes) is the asker's fault.
fn database(error: &DatabaseError, told: String) -> Trouble {
    let refused = error.code().is_some_and(|code| code.code().starts_with("22") || code.code().starts_with("23"));
    if refused { Trouble::Unusable(told) } else { Trouble::Away(told) }
}
