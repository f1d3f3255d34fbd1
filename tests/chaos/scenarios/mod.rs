//! All that is played, a file for each group.

mod kill;
mod network;
mod poison;
mod pressure;
mod rows;
mod server;
mod slots;
mod storage;
mod terminate;
mod time;
mod upgrade;

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
    scenario!("server-immediate", server::immediate, "an immediate stop of PostgreSQL, started 10 s later"),
    scenario!("server-crash", server::crash, "SIGKILL of all of PostgreSQL's processes, started 10 s later", short),
    scenario!("terminate-random", terminate::at_random, "ten connections a second terminated at random", short),
    scenario!("terminate-listener", terminate::listeners, "the connections that listen terminated, again and again"),
    scenario!("terminate-all", terminate::everybody, "every connection terminated at once, again and again", short),
    scenario!("slots-idle", slots::idle, "300 idle connections want the server's 50 slots", short),
    scenario!("slots-pool", slots::pool, "the application's own statements hold all of the pool's connections"),
    scenario!("network-cut", network::cut, "all connections cut, every second"),
    scenario!(
        "network-half-open",
        network::half_open,
        "connections that stay open and swallow all, new ones work",
        short
    ),
    scenario!("network-silent", network::silent, "no byte passes for 5 s, on old connections nor new ones"),
    scenario!("network-slow", network::slow, "every piece 200 ms late, one in ten a second more"),
    scenario!(
        "network-commit",
        network::commit,
        "commits whose answers are lost, and their connections with them",
        short
    ),
    scenario!("network-dead", network::dead, "one process swallowed for longer than dead_after", short),
    scenario!("time-stop", time::stopped, "SIGSTOP of one of two workers for longer than dead_after, SIGCONT", short),
    scenario!("time-clocks", time::clocks, "one worker's clock an hour ahead, another's an hour behind", short),
    scenario!("pressure-horizon", pressure::horizon, "a transaction that pins the horizon, SIGTERM in its midst"),
    scenario!("pressure-readers", pressure::readers, "four repeatable-read readers that scan, SIGTERM in their midst"),
    scenario!("pressure-overload", pressure::overload, "1.5 times the load it can do, SIGTERM in its midst", short),
    scenario!("poison-panic", poison::panics, "jobs that panic"),
    scenario!("poison-abort", poison::aborts, "a job that aborts its process", short),
    scenario!("poison-overflow", poison::overflows, "a job that overflows its stack"),
    scenario!("poison-block", poison::blocks, "jobs that block their thread for ever"),
    scenario!("poison-eat", poison::eats, "a job that eats memory until its process may have no more"),
    scenario!("rows", rows::odd_ones, "rows of every kind that SQL can put in the table", short),
    scenario!(
        "storage-timeouts",
        storage::timeouts,
        "statement_timeout and lock_timeout low, and the table locked",
        short
    ),
    scenario!("storage-idle", storage::idle, "idle_in_transaction_session_timeout ends completions that idle"),
    scenario!("storage-full", storage::full, "the server's disk is full for 6 s"),
    scenario!("storage-panic", storage::panic, "its disk is full until PostgreSQL ends, started again with room"),
    scenario!("storage-promote", storage::promote, "SIGKILL of the primary for good, its standby promoted 2 s later"),
    scenario!("upgrade", upgrade::together, "two releases at work while the queue is migrated; see --previous"),
];
