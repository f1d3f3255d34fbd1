//! How far a search among very many jobs has come, for a person who waits at a terminal.

use actix_job_queue::{
    State,
    operate::{Filter, Operator},
};
use indicatif::{ProgressBar, ProgressStyle};

use crate::output::thousands;

/// A bar on standard error, if that is a terminal; it stands there once there is something to wait for.
pub(crate) struct Search<'a> {
    operator: &'a Operator,
    filter: &'a Filter,
    bar: Option<ProgressBar>,
}

impl<'a> Search<'a> {
    pub(crate) fn new(operator: &'a Operator, filter: &'a Filter) -> Self {
        Self { operator, filter, bar: None }
    }

    /// Tells how many were found among how many, and that it goes on.
    pub(crate) async fn goes_on(&mut self, found: usize, searched: i64) {
        let bar = match &self.bar {
            Some(bar) => bar,
            None => self.bar.insert(self.begin().await),
        };
        let (place, found) = (searched.unsigned_abs(), thousands(i64::try_from(found).unwrap_or(i64::MAX)));
        // What there is to look through is an estimate.
        if bar.length().is_some_and(|length| length < place) {
            bar.set_length(place);
        }
        bar.set_position(place);
        bar.set_message(format!("{found} found"));
    }

    async fn begin(&self) -> ProgressBar {
        let bar = ProgressBar::no_length();
        if bar.is_hidden() {
            return bar;
        }
        let style = ProgressStyle::with_template("{bar:40} looked through {human_pos} of about {human_len}: {msg}");
        style.into_iter().for_each(|style| bar.set_style(style));
        // Without the figures there is no end to be seen, which is no reason not to search.
        if let Some(jobs) = self.jobs().await {
            bar.set_length(jobs);
        }
        bar
    }

    /// How many jobs there are to look through.
    async fn jobs(&self) -> Option<u64> {
        if let Some(ids) = &self.filter.ids {
            return u64::try_from(ids.len()).ok();
        }
        let overview = self.operator.overview().await.ok()?;
        let meant = |state| {
            self.filter.states.is_empty() || beside(state).iter().any(|state| self.filter.states.contains(state))
        };
        let jobs = overview.depth.iter().filter(|depth| meant(depth.state)).map(|depth| depth.figure.jobs);
        u64::try_from(jobs.sum::<i64>()).ok()
    }

    pub(crate) fn ends(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

/// The states that are looked through together.
fn beside(state: State) -> &'static [State] {
    match state {
        State::Scheduled | State::Retry => &[State::Scheduled, State::Retry],
        State::Reserved | State::InProgress => &[State::Reserved, State::InProgress],
        State::Available => &[State::Available],
        State::Failed => &[State::Failed],
    }
}
