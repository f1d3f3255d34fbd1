use std::str::FromStr;

use super::trouble::Trouble;
use crate::{
    job::State,
    operate::{Action, Filter},
};

/// What can be done with jobs; the words are those of the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Retry,
    RunNow,
    Cancel,
    Delete,
}

impl Verb {
    pub(crate) const ALL: [Verb; 4] = [Verb::Retry, Verb::RunNow, Verb::Cancel, Verb::Delete];

    pub(crate) fn word(self) -> &'static str {
        match self {
            Verb::Retry => "retry",
            Verb::RunNow => "run-now",
            Verb::Cancel => "cancel",
            Verb::Delete => "delete",
        }
    }

    /// What its button says.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Verb::Retry => "Retry",
            Verb::RunNow => "Run now",
            Verb::Cancel => "Cancel",
            Verb::Delete => "Delete",
        }
    }

    /// What comes of it.
    pub(crate) fn meaning(self) -> &'static str {
        match self {
            Verb::Retry => "They run again, with all their attempts.",
            Verb::RunNow => "They run without waiting for their time.",
            Verb::Cancel => {
                "They do not run, or not on, and stay as failed. What a running one has not committed is lost."
            }
            Verb::Delete => "They are gone for good, the running ones too.",
        }
    }

    /// What was done.
    pub(crate) fn done(self) -> &'static str {
        match self {
            Verb::Retry => "will run again",
            Verb::RunNow => "can run now",
            Verb::Cancel => "cancelled",
            Verb::Delete => "deleted",
        }
    }

    /// Whether it cannot be undone, so that even one job is asked about.
    pub(crate) fn destroys(self) -> bool {
        matches!(self, Verb::Cancel | Verb::Delete)
    }

    /// The states of the jobs that it is for.
    pub(crate) fn fits(self) -> &'static [State] {
        match self {
            Verb::Retry => &[State::Failed],
            Verb::RunNow => &[State::Scheduled, State::Retry],
            Verb::Cancel => &[State::Scheduled, State::Available, State::Reserved, State::InProgress, State::Retry],
            Verb::Delete => &State::ALL,
        }
    }

    /// The filter for those that it is for only.
    pub(crate) fn among(self, mut filter: Filter) -> Result<Filter, Trouble> {
        if filter.states.is_empty() {
            filter.states = self.fits().to_vec();
        }
        filter.states.retain(|state| self.fits().contains(state));
        if filter.states.is_empty() {
            let fits: Vec<_> = self.fits().iter().map(|state| state.as_str()).collect();
            return Err(Trouble::Unusable(format!(
                "{} is for jobs that are {} only, and you have asked for others.",
                self.label(),
                fits.join(", ")
            )));
        }
        Ok(filter)
    }

    /// A job that has come to be in another state since it was found was not meant.
    pub(crate) fn action(self, filter: &Filter, reason: Option<&str>) -> Action {
        match self {
            Verb::Retry => Action::Retry,
            Verb::RunNow => Action::RunNow,
            Verb::Cancel => Action::Cancel { reason: reason.unwrap_or("cancelled by an operator").to_owned() },
            Verb::Delete if filter.states.len() < State::ALL.len() => Action::Delete { states: filter.states.clone() },
            Verb::Delete => Action::Delete { states: Vec::new() },
        }
    }
}

impl FromStr for Verb {
    type Err = Trouble;

    fn from_str(text: &str) -> Result<Self, Trouble> {
        let known = Verb::ALL.into_iter().find(|verb| verb.word() == text);
        known.ok_or_else(|| Trouble::Unusable(format!("{text:?} cannot be done with jobs.")))
    }
}
