use std::{fmt, sync::Arc};

use serde_json::{Value, value::to_raw_value};

use super::JobRow;
use crate::name::QueueName;

/// Takes out of params what nobody is to see, before they are shown anywhere.
#[derive(Clone, Default)]
pub struct Redact(Option<Arc<Rule>>);

type Rule = dyn Fn(&QueueName, Option<&str>, Value) -> Value + Send + Sync;

impl Redact {
    /// Shows what the function makes of a job's params; it is told the queue and the job's type.
    pub fn by(rule: impl Fn(&QueueName, Option<&str>, Value) -> Value + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(rule)))
    }

    /// Whether there is anything to hide. Then params must not be searched either: whoever may ask whether a password
    /// begins with an A has it after some hundred questions.
    pub fn is_set(&self) -> bool {
        self.0.is_some()
    }

    /// The row as it may be shown. Params that cannot be read in order to redact them are not shown.
    pub fn row(&self, queue: &QueueName, row: &mut JobRow) {
        let (Some(rule), Some(params)) = (&self.0, &row.params) else {
            return;
        };
        row.params = serde_json::from_str(params.get())
            .ok()
            .and_then(|params| to_raw_value(&rule(queue, row.kind.as_deref(), params)).ok());
    }
}

impl fmt::Debug for Redact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Redact").field(&self.is_set()).finish()
    }
}
