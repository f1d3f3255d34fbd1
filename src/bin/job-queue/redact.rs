//! What is hidden of params, by their keys.

use std::env::{self, VarError};

use actix_job_queue::operate::{Redact, RedactKeys};

use crate::{cli::Target, failure::Failure};

/// Keys that are always hidden where this program is run.
const VARIABLE: &str = "JOB_QUEUE_REDACT";

impl Target {
    /// What the command and the environment have hidden.
    pub(crate) fn redact(&self) -> Result<Redact, Failure> {
        Ok(self.hidden_keys()?.map(Redact::with).unwrap_or_default())
    }

    /// The same as a rule, if there is one.
    pub(crate) fn hidden_keys(&self) -> Result<Option<RedactKeys>, Failure> {
        let always = match env::var(VARIABLE) {
            Ok(keys) => keys,
            Err(VarError::NotPresent) => String::new(),
            Err(VarError::NotUnicode(_)) => return Err(Failure::Usage(format!("{VARIABLE} is not UTF-8"))),
        };
        let always = always.split(',').map(str::trim);
        let keys: Vec<_> = always.chain(self.redact.iter().map(String::as_str)).filter(|key| !key.is_empty()).collect();
        Ok((!keys.is_empty()).then(|| RedactKeys::new(keys)))
    }

    /// Refuses where something would have to be hidden of what must be whole.
    pub(crate) fn refuse_to_redact(&self) -> Result<(), Failure> {
        if self.hidden_keys()?.is_some() {
            return Err(Failure::Usage(format!(
                "what export writes must be whole, or import would put jobs without their params into a queue: leave \
                 --redact away, and run it without {VARIABLE}"
            )));
        }
        Ok(())
    }
}
