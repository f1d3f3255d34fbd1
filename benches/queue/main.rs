//! The library beside bare loops over the same table, interleaved in one run.

#[allow(clippy::disallowed_methods, reason = "named prepared statements are what makes a bare loop fast")]
mod bare;
mod bench;
mod child;
// The tests start their servers with it too, and use more of it.
#[path = "../../tests/support/cluster.rs"]
#[allow(dead_code, unreachable_pub, clippy::disallowed_methods)]
mod cluster;
#[path = "../../tests/support/failure.rs"]
mod failure;
mod field;
mod figure;
mod machine;
mod measure;
mod options;
mod plot;
#[path = "../../tests/support/progress.rs"]
mod progress;
mod report;
mod rounds;
mod server;
#[path = "../../tests/support/usage.rs"]
mod usage;
mod workloads;

use std::{
    cell::{Cell, RefCell},
    process::ExitCode,
    time::Instant,
};

use clap::Parser;

use bench::Bench;
use failure::Failure;
use machine::Machine;
use options::Options;
use progress::Progress;
use report::{Measured, Report};
use server::Server;
use workloads::{WORKLOADS, Workload};

fn main() -> ExitCode {
    let ended = if std::env::args().nth(1).as_deref() == Some(child::ROLE) {
        child::serve().map(|()| ExitCode::SUCCESS)
    } else {
        run(&Options::parse())
    };
    ended.unwrap_or_else(|failure| {
        eprintln!("bench: {failure}");
        ExitCode::FAILURE
    })
}

fn run(options: &Options) -> Result<ExitCode, Failure> {
    if options.list {
        for workload in WORKLOADS {
            println!("{:16} {}", workload.name, workload.about);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let chosen = choose(&options.workloads)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::because("start a runtime"))?;
    // The server's end is waited for outside of the runtime, and comes with this process whatever ends that.
    let server = Server::start()?;
    runtime.block_on(async {
        let played = tokio::select! {
            played = play(options, &server, &chosen) => played,
            _ = tokio::signal::ctrl_c() => Err("interrupted".into()),
        };
        server.clean().await?;
        played
    })
}

/// The workloads of these names, or all.
fn choose(names: &[String]) -> Result<Vec<&'static Workload>, Failure> {
    if names.is_empty() {
        return Ok(WORKLOADS.iter().collect());
    }
    let find = |name: &String| {
        WORKLOADS.iter().find(|workload| workload.name == name).ok_or_else(|| {
            let known: Vec<_> = WORKLOADS.iter().map(|workload| workload.name).collect();
            Failure::from(format!("there is no workload {name}; there are {}", known.join(", ")))
        })
    };
    names.iter().map(find).collect()
}

async fn play(options: &Options, server: &Server, chosen: &[&'static Workload]) -> Result<ExitCode, Failure> {
    let rounds = options.rounds.unwrap_or(if options.quick { 2 } else { 5 });
    let bench = Bench {
        progress: Progress::new(),
        quick: options.quick,
        rounds,
        drain_rate: Cell::default(),
        lines: RefCell::default(),
    };
    let machine = Machine::look(server).await?;
    let mut workloads = Vec::new();
    for (number, workload) in chosen.iter().enumerate() {
        bench.progress.workload(number + 1, chosen.len(), workload.name);
        let begun = Instant::now();
        let (figures, failure) = match measure(&bench, server, workload).await {
            Ok(figures) => (figures, None),
            Err(failure) => (Vec::new(), Some(failure.to_string())),
        };
        if let Some(failure) = &failure {
            bench.progress.note(&format!("{} FAILED: {failure}", workload.name));
        }
        let seconds = begun.elapsed().as_secs_f64();
        workloads.push(Measured { name: workload.name, about: workload.about, seconds, figures, failure });
    }
    bench.progress.clear();
    let report = Report { machine, quick: options.quick, rounds, workloads };
    println!("{}", report.table());
    report.write(&options.json)?;
    println!("The figures as JSON: {}", options.json.display());
    if let Some(file) = &options.plot {
        plot::draw(&bench.lines.borrow(), file)?;
        println!("The plot: {}", file.display());
    }
    Ok(if report.is_whole() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs a workload in a database of its own, which is gone afterwards.
async fn measure(bench: &Bench, server: &Server, workload: &Workload) -> Result<Vec<figure::Figure>, Failure> {
    let field = server.field().await?;
    let measured = (workload.run)(bench, &field).await;
    let removed = field.remove().await;
    let figures = measured?;
    removed?;
    Ok(figures)
}
