//! The one error of the demo and of the benchmark: a sentence for the person in front of it.

use std::{error::Error, fmt};

/// What was attempted and why it failed.
#[derive(Debug)]
pub(crate) struct Failure(String);

impl Failure {
    /// Makes an error of `attempted`, which completes "could not …", with the chain of its causes.
    pub(crate) fn because<E: Error>(attempted: &str) -> impl FnOnce(E) -> Failure + '_ {
        move |error| {
            let mut text = format!("could not {attempted}: {error}");
            let mut source = error.source();
            while let Some(cause) = source {
                text.push_str(&format!(": {cause}"));
                source = cause.source();
            }
            Failure(text)
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Failure {}

impl From<&str> for Failure {
    fn from(text: &str) -> Self {
        Failure(text.to_owned())
    }
}

impl From<String> for Failure {
    fn from(text: String) -> Self {
        Failure(text)
    }
}
