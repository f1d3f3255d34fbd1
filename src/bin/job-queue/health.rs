//! Who works on the queue, and whether all is as it should be.

use std::time::Duration;

use actix_job_queue::{
    Listen,
    operate::{Grade, Limits},
};
use comfy_table::{Cell, Color};

use crate::{
    cli::Target,
    connect::{database_that, operator, operator_on},
    failure::Failure,
    output::{ago, cell, colours, in_line, print, print_json, print_table, table},
    span::span,
};

#[derive(Debug, clap::Args)]
#[command(after_help = "Ends with 0 if the queue is well, with 6 if not, and with 1 if the database cannot be asked.")]
pub(crate) struct HealthArgs {
    /// A job that can run may wait so long for a worker.
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = span)]
    max_waiting: Duration,
    /// More failed jobs than this are too many.
    #[arg(long, value_name = "JOBS")]
    max_failed: Option<i64>,
}

pub(crate) async fn processes(target: &Target) -> Result<(), Failure> {
    let processes = operator(target).await?.processes().await?;
    if target.json {
        return Ok(print_json(&processes)?);
    }
    if processes.is_empty() {
        return Ok(print("no process works on a queue of this schema")?);
    }
    let mut known = table(["PROCESS", "NAME", "STARTED", "HEARD", "JOBS"]);
    for process in &processes {
        let heard = match (process.heard, process.dead) {
            (true, _) => "lately",
            (false, true) => "silent",
            (false, false) => "-",
        };
        known.add_row([
            cell(&process.node.to_string(), 20),
            cell(process.name.as_deref().unwrap_or("gone"), 100),
            cell(&process.started_at.map_or("-".to_owned(), |at| ago(at, process.now)), 30),
            cell(heard, 10),
            cell(&process.jobs.len().to_string(), 10),
        ]);
    }
    print_table(&known)?;
    let mut held = table(["JOB", "TYPE", "STATE", "ATTEMPT", "SINCE", "UNTIL", "PROCESS"]);
    let jobs = processes.iter().flat_map(|process| process.jobs.iter().map(move |job| (process, job)));
    for (process, job) in jobs.take(200) {
        held.add_row([
            cell(&job.id.to_string(), 20),
            cell(job.kind.as_deref().unwrap_or("-"), 60),
            crate::output::state_cell(job.state),
            cell(&job.attempt.to_string(), 12),
            cell(&ago(job.since, process.now), 30),
            cell(&ago(job.expires, process.now), 30),
            cell(&process.node.to_string(), 20),
        ]);
    }
    if held.row_count() > 0 {
        print("")?;
        print_table(&held)?;
    }
    Ok(())
}

pub(crate) async fn doctor(target: &Target) -> Result<(), Failure> {
    let database = database_that(target, Listen::Same).await?;
    let findings = operator_on(&database, target).await?.doctor().await?;
    if target.json {
        print_json(&findings)?;
    } else {
        let mut told = table(["", "CHECK", "FOUND, AND WHAT TO DO"]);
        for finding in &findings {
            let (word, colour) = match finding.grade {
                Grade::Fine => ("fine", Color::Green),
                Grade::Warning => ("WARNING", Color::Yellow),
                Grade::Fault => ("FAULT", Color::Red),
            };
            let grade = if colours() { Cell::new(word).fg(colour) } else { Cell::new(word) };
            told.add_row([grade, Cell::new(finding.check), cell(&finding.found, 2_000)]);
            if let Some(advice) = &finding.advice {
                told.add_row([Cell::new(""), Cell::new(""), cell(&format!("-> {advice}"), 2_000)]);
            }
        }
        print_table(&told)?;
    }
    let faults = findings.iter().filter(|finding| finding.grade == Grade::Fault).count();
    if faults > 0 { Err(Failure::Unwell(format!("{faults} faults are to be mended"))) } else { Ok(()) }
}

pub(crate) async fn health(target: &Target, args: HealthArgs) -> Result<(), Failure> {
    let mut limits = Limits::default().waiting(args.max_waiting);
    if let Some(most) = args.max_failed {
        limits = limits.failed(most);
    }
    let health = operator(target).await?.health(&limits).await?;
    if target.json {
        print_json(&health)?;
    } else if health.alive {
        print("well")?;
    } else {
        print("unwell")?;
        for reason in &health.why {
            print(&format!("  {}", in_line(reason, 2_000)))?;
        }
    }
    if health.alive { Ok(()) } else { Err(Failure::Unwell(String::new())) }
}
