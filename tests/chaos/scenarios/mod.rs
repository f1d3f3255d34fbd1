//! All that is played, a file for each group.

mod kill;
mod server;
mod terminate;

use std::pin::Pin;

use crate::{failure::Failure, outcome::Outcome, stage::Stage};

type Played<'a> = Pin<Box<dyn Future<Output = Result<Outcome, Failure>> + 'a>>;

/// A named fault.
pub(crate) struct Scenario {
    /// The group, a dash, and the rest.
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    /// Whether it belongs to the short form.
    pub(crate) short: bool,
    pub(crate) play: for<'a> fn(&'a Stage<'a>) -> Played<'a>,
}

impl Scenario {
    pub(crate) fn group(&self) -> &'static str {
        self.name.split('-').next().unwrap_or(self.name)
    }

    pub(crate) fn is_called(&self, name: &str) -> bool {
        self.name == name || self.group() == name
    }
}

/// A row of the table below.
macro_rules! scenario {
    ($name:literal, $play:path, $about:literal) => {
        Scenario { name: $name, about: $about, short: false, play: |stage| Box::pin($play(stage)) }
    };
    ($name:literal, $play:path, $about:literal, short) => {
        Scenario { name: $name, about: $about, short: true, play: |stage| Box::pin($play(stage)) }
    };
}

pub(crate) const SCENARIOS: &[Scenario] = &[
    scenario!("kill-one", kill::one_of_two, "SIGKILL of one of two workers, which is replaced", short),
    scenario!("kill-only", kill::the_only, "SIGKILL of the only worker, started again after 3 s"),
    scenario!("kill-again", kill::again_and_again, "SIGKILL of one of two workers every 5 s, for a minute", short),
    scenario!("server-fast", server::fast, "a fast stop of PostgreSQL, started 10 s later"),
    scenario!("server-immediate", server::immediate, "an immediate stop of PostgreSQL, started 10 s later", short),
    scenario!("server-crash", server::crash, "SIGKILL of all of PostgreSQL's processes, started 10 s later", short),
    scenario!("terminate-random", terminate::at_random, "ten connections a second terminated at random", short),
    scenario!("terminate-listener", terminate::listeners, "the connections that listen terminated, again and again"),
    scenario!("terminate-all", terminate::everybody, "every connection terminated at once, again and again", short),
];
