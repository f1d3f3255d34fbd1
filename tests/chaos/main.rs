//! Faults played against real worker processes and real PostgreSQL servers of its own: whatever dies, nothing is
//! lost and the queue is back in seconds.

mod audit;
// The other tests start their servers with it too, and use more of it.
#[path = "../support/cluster.rs"]
#[allow(dead_code, unreachable_pub, clippy::disallowed_methods)]
mod cluster;
#[path = "../support/failure.rs"]
mod failure;
mod filler;
mod load;
mod options;
mod outcome;
mod process;
#[path = "../support/progress.rs"]
#[allow(dead_code)]
mod progress;
#[path = "../support/proxy.rs"]
#[allow(dead_code, unreachable_pub)]
mod proxy;
mod recovery;
mod report;
mod scenarios;
mod scene;
mod server;
mod stage;
#[path = "../support/usage.rs"]
#[allow(dead_code)]
mod usage;
mod worker;

use std::process::ExitCode;

use clap::Parser;

use failure::Failure;
use options::Options;
use outcome::{Outcome, Verdict};
use progress::Progress;
use report::Report;
use scenarios::{SCENARIOS, Scenario};
use stage::Stage;

fn main() -> ExitCode {
    let ended = if std::env::args().nth(1).as_deref() == Some(worker::ROLE) {
        worker::serve().map(|()| ExitCode::SUCCESS)
    } else {
        run(&Options::parse())
    };
    ended.unwrap_or_else(|failure| {
        eprintln!("chaos: {failure}");
        ExitCode::FAILURE
    })
}

fn run(options: &Options) -> Result<ExitCode, Failure> {
    if options.list {
        for scenario in SCENARIOS {
            println!("{:22} {}", scenario.name, scenario.about);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let chosen = choose(options)?;
    // Two threads: stopping and starting a server blocks one, and the load goes on.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(Failure::because("start a runtime"))?;
    runtime.block_on(async {
        tokio::select! {
            played = play(options, &chosen) => Ok(played),
            _ = tokio::signal::ctrl_c() => Err("interrupted".into()),
        }
    })
}

/// The scenarios of these names or groups, or all; of the short form those that belong to it.
fn choose(options: &Options) -> Result<Vec<&'static Scenario>, Failure> {
    let wanted = |scenario: &Scenario| match options.scenarios.is_empty() {
        true => !options.short || scenario.short,
        false => options.scenarios.iter().any(|name| scenario.is_called(name)),
    };
    if let Some(unknown) = options.scenarios.iter().find(|name| !SCENARIOS.iter().any(|known| known.is_called(name))) {
        let mut groups: Vec<_> = SCENARIOS.iter().map(Scenario::group).collect();
        groups.dedup();
        return Err(format!(
            "there is no scenario and no group {unknown}; the groups are {}, and --list names their scenarios",
            groups.join(", ")
        )
        .into());
    }
    Ok(SCENARIOS.iter().filter(|scenario| wanted(scenario)).collect())
}

async fn play(options: &Options, chosen: &[&'static Scenario]) -> ExitCode {
    let seed = options.seed.unwrap_or_else(|| fastrand::u64(..1_000_000));
    let mut report = Report::begin(seed);
    let progress = Progress::new();
    for (number, scenario) in chosen.iter().enumerate() {
        progress.workload(number + 1, chosen.len(), scenario.name);
        let mut outcome = play_one(options, seed, scenario, &progress).await;
        // What is lost, doubled or stuck is never a matter of chance; a pace may be, on a machine that others use.
        if outcome.only_slow() {
            report.again(scenario.name, &outcome);
            outcome = play_one(options, seed, scenario, &progress).await;
        }
        report.tell(scenario.name, &outcome);
    }
    report.end()
}

async fn play_one(options: &Options, seed: u64, scenario: &Scenario, progress: &Progress) -> Outcome {
    let stage = match Stage::new(options, seed, scenario.name, progress) {
        Ok(stage) => stage,
        Err(failure) => return Outcome::missed(failure.to_string()),
    };
    let outcome = (scenario.play)(&stage)
        .await
        .unwrap_or_else(|failure| Outcome::missed(format!("the scenario could not be played to its end: {failure}")));
    progress.clear();
    if let Verdict::Passed = outcome.verdict() {
        stage.forget();
    }
    outcome
}
