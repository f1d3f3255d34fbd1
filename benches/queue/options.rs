//! The command line.

use std::path::PathBuf;

use clap::Parser;

/// Measures actix-job-queue beside bare loops over the same table, in one run.
///
/// Each round runs the library and a bare loop back to back, in alternating order, so that whatever else the
/// machine does meets both. A figure is the median of the rounds with their least and greatest; a ratio is the
/// median of the rounds' own ratios, ours to bare.
///
/// A throw-away PostgreSQL with fsync on is started, unless DATABASE_URL names one, in which every workload then
/// gets a database of its own that is dropped afterwards.
#[derive(Debug, Parser)]
#[command(version, override_usage = "make bench ARGS=\"[OPTIONS] [WORKLOADS]...\"", after_help = EXAMPLES)]
pub(crate) struct Options {
    /// The workloads to run, all of them unless named; see --list
    pub(crate) workloads: Vec<String>,

    /// Runs smaller workloads in fewer rounds: under three minutes on two cores, and less exact
    #[arg(long)]
    pub(crate) quick: bool,

    /// Says which workloads there are
    #[arg(long)]
    pub(crate) list: bool,

    /// How many rounds each comparison takes [default: 5, or 2 with --quick]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: Option<u32>,

    /// Where to write the figures as JSON
    #[arg(long, value_name = "FILE", default_value = "target/bench/queue.json")]
    pub(crate) json: PathBuf,

    /// Where to draw the drain rate against the backlog, as SVG; needs the workload flat
    #[arg(long, value_name = "FILE")]
    pub(crate) plot: Option<PathBuf>,

    /// Given by cargo bench; means nothing here
    #[arg(long, hide = true)]
    bench: bool,
}

const EXAMPLES: &str = "\
Examples:
  make bench                              everything, with tens of millions of rows: long, and much disk
  make bench ARGS=\"--quick\"               everything, smaller
  make bench ARGS=\"drain tx\"              two workloads
  make bench ARGS=\"flat --plot flat.svg\"  one workload with its picture
  DATABASE_URL=postgres://.. make bench   on a server of yours, as a role that may create databases";
