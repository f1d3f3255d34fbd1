//! The command line.

use std::path::PathBuf;

use clap::Parser;

/// Plays faults against worker processes and PostgreSQL servers of its own, and fails on any miss.
///
/// Each scenario starts a server and worker processes, offers them a steady load that they can do comfortably,
/// measures, plays its fault, and waits until the queue is back. Then the load stops, the queue runs empty, and
/// the books are compared.
#[derive(Debug, Parser)]
#[command(version, override_usage = "make chaos ARGS=\"[OPTIONS] [SCENARIOS]...\"", after_long_help = MEASURED, after_help = EXAMPLES)]
pub(crate) struct Options {
    /// Scenarios such as kill-one, or groups of them such as kill; all unless named, see --list
    pub(crate) scenarios: Vec<String>,

    /// Says which scenarios there are
    #[arg(long)]
    pub(crate) list: bool,

    /// Plays the scenarios that cover each group in a few minutes, for less long
    #[arg(long)]
    pub(crate) short: bool,

    /// How long the load runs before the fault, and again after the queue is back [default: 8, or 3 with --short]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(2..=3600))]
    pub(crate) length: Option<u64>,

    /// Where chance comes from: the same number has the same victims and pauses [default: a new one, printed]
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,

    /// A worker program of the previous release, built by `cargo test --test chaos --no-run` there, for the group
    /// upgrade; this very program unless given
    #[arg(long, value_name = "PROGRAM", env = "CHAOS_PREVIOUS")]
    pub(crate) previous: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  make chaos                           every scenario
  make chaos ARGS=--short              the form for continuous integration
  make chaos ARGS=\"kill server-crash\"  a group and a single scenario
  make chaos ARGS=\"--seed 7 terminate\" the random faults of an earlier run once more

--help says how everything is measured.";

const MEASURED: &str = "\
How it is measured:
  jobs        Each job is a row in a book, written in the transaction that enqueued it. Each completion is a row in
              another, written in the transaction that removed the job: by begin and commit, by complete_with, by
              batches, and by handlers that go on when their job was taken from them. No key in the books forbids a
              second row. Load jobs have 20 attempts, and dead_after is 2 s unless a scenario says otherwise.
  lost        Enqueued, and neither completed nor waiting to run; or FAILED though nothing was wrong with it; or
              not in the book, though the commit that enqueued it was answered.
  doubled     Completed more than once, or completed though nobody enqueued it.
  stuck       RESERVED or IN_PROGRESS, or not run, a minute after the load has stopped.
  rate        Completions a second: before the fault, and in the last seconds of the load after it.
  back after  From the end of the fault until all of this is true: in the last two seconds, which all lie after the
              fault, no fewer than 95 % of what was offered then (of the rate before, where more was offered) were
              completed; the backlog is what it was before, give or take a quarter of a second of load; and no job
              is left that was enqueued before the fault's end, or that is older than 5 s. So it is 2 s at least. More
              than 15 s is a miss.
  slow        Where only rate or time fall short, the scenario is played once more, and the second time counts: a
              machine that others use is slow at times. Nothing else is forgiven.
  connections Of all workers to the server, before the fault and once the queue is empty. More than their settings
              allow, or one that was left within a transaction, is a miss.
  RSS         The mean of the workers. More than half as much again and 24 MB is a miss.

Examples:
  make chaos                           every scenario
  make chaos ARGS=--short              the form for continuous integration
  make chaos ARGS=\"kill server-crash\"  a group and a single scenario
  make chaos ARGS=\"--seed 7 terminate\" the random faults of an earlier run once more

What the workers and the server said is kept under target/chaos/ for each scenario that missed.";
