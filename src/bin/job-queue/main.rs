//! The operator's command line: what is stuck, since when and why, and how to run it again.

mod bulk;
mod cli;
mod connect;
mod failure;
mod filter;
mod health;
mod jobs;
mod logger;
mod migrate;
mod output;
mod pause;
mod prompt;
mod queues;
mod redact;
mod search;
#[cfg(feature = "web")]
mod serve;
mod span;
mod stats;
mod transfer;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use cli::{Cli, Verb};
use failure::Failure;

fn main() -> ExitCode {
    let cli = Cli::parse();
    logger::init(cli.verb.level());
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Failure::Other(format!("could not start: {error}")).tell(),
    };
    match runtime.block_on(run(cli)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.tell(),
    }
}

async fn run(cli: Cli) -> Result<(), Failure> {
    let Cli { target, verb } = cli;
    match verb {
        Verb::Migrate(args) => migrate::run(&target, args).await,
        Verb::Queues => queues::run(&target).await,
        Verb::Stats(args) => stats::run(&target, args).await,
        Verb::List(args) => jobs::list(&target, args).await,
        Verb::Completed(args) => jobs::completed(&target, args).await,
        Verb::Show(args) => jobs::show(&target, args).await,
        Verb::Enqueue(args) => jobs::enqueue(&target, args).await,
        Verb::Retry(args) => bulk::retry(&target, args).await,
        Verb::RunNow(args) => bulk::run_now(&target, args).await,
        Verb::Cancel(args) => bulk::cancel(&target, args).await,
        Verb::Delete(args) => bulk::delete(&target, args).await,
        Verb::Processes => health::processes(&target).await,
        Verb::Doctor => health::doctor(&target).await,
        Verb::Health(args) => health::health(&target, args).await,
        Verb::Pause(args) => pause::pause(&target, args).await,
        Verb::Resume(args) => pause::resume(&target, args).await,
        Verb::Export(args) => transfer::export(&target, args).await,
        Verb::Import(args) => transfer::import(&target, args).await,
        Verb::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "job-queue", &mut std::io::stdout());
            Ok(())
        }
        Verb::Purge(args) => bulk::purge(&target, args).await,
        #[cfg(feature = "web")]
        Verb::Serve(args) => serve::run(&target, args).await,
    }
}
