use std::time::Duration;

use actix_job_queue::{State, operate::Filter};
use clap::Args;

use crate::{failure::Failure, span::span};

/// Which jobs are meant. Each option that is given leaves fewer.
#[derive(Debug, Clone, Args)]
pub(crate) struct FilterArgs {
    /// In this state; may be given several times, or with commas.
    #[arg(long = "state", value_name = "STATE", value_delimiter = ',', value_parser = state,
          help = "In this state: scheduled, available, reserved, in_progress, retry or failed; several with commas")]
    states: Vec<State>,
    /// Of this type.
    #[arg(long = "type", short = 't', value_name = "TYPE")]
    kind: Option<String>,
    /// Whose last error, or a cause of it, contains this text.
    #[arg(long, value_name = "TEXT")]
    error: Option<String>,
    /// Whose params have something at this JSON path, or fulfil it, such as '$.size > 10'.
    #[arg(long, value_name = "JSONPATH")]
    params: Option<String>,
    /// Enqueued at least so long ago, such as 15m, 2h or 7d.
    #[arg(long, value_name = "AGE", value_parser = span)]
    older: Option<Duration>,
    /// Enqueued at most so long ago.
    #[arg(long, value_name = "AGE", value_parser = span)]
    younger: Option<Duration>,
    /// Held by this process; its number is in processes.
    #[arg(long, value_name = "NUMBER")]
    node: Option<i64>,
}

fn state(text: &str) -> Result<State, String> {
    text.to_ascii_uppercase().replace('-', "_").parse::<State>().map_err(|error| error.to_string())
}

impl FilterArgs {
    pub(crate) fn filter(self, ids: Vec<i64>) -> Filter {
        Filter {
            states: self.states,
            kind: self.kind,
            error: self.error,
            params: self.params,
            older: self.older,
            younger: self.younger,
            ids: (!ids.is_empty()).then_some(ids),
            node: self.node,
        }
    }

    /// The same for a verb that fits these states only.
    pub(crate) fn filter_among(self, ids: Vec<i64>, fit: &[State]) -> Result<Filter, Failure> {
        let mut filter = self.filter(ids);
        if filter.states.is_empty() {
            filter.states = fit.to_vec();
        }
        if let Some(unfit) = filter.states.iter().find(|state| !fit.contains(state)) {
            let fit: Vec<_> = fit.iter().map(|state| state.as_str()).collect();
            return Err(Failure::Usage(format!(
                "jobs that are {unfit} are not for this verb, only {}",
                fit.join(", ")
            )));
        }
        Ok(filter)
    }
}
