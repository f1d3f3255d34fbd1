use std::{
    io::{self, IsTerminal},
    time::Duration,
};

use actix_job_queue::operate::{Operator, Overview};

use crate::{
    cli::Target,
    connect::operator,
    failure::Failure,
    output::{About, ago, cell, json_text, print, print_json, print_table, state_cell, table},
    span::span,
};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "A figure with the word \"about\" is an estimate from some of the table's pages, for the queue is too \
large to be counted each time."
)]
pub(crate) struct Args {
    /// Looks again and again, until it is stopped.
    #[arg(long, short)]
    watch: bool,
    /// How long to wait in between.
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = span)]
    every: Duration,
}

pub(crate) async fn run(target: &Target, args: Args) -> Result<(), Failure> {
    let operator = operator(target).await?;
    if !args.watch {
        return once(target, &operator).await;
    }
    let mut before: Option<Overview> = None;
    loop {
        let overview = operator.overview().await?;
        if target.json {
            print(&json_text(&overview, false)?)?;
        } else {
            if io::stdout().is_terminal() {
                // Clears the screen and goes to its corner.
                print("\x1b[2J\x1b[H")?;
            }
            print_overview(&overview, before.as_ref())?;
        }
        before = Some(overview);
        tokio::select! {
            () = tokio::time::sleep(args.every.max(Duration::from_millis(100))) => {}
            _ = tokio::signal::ctrl_c() => return Ok(()),
        }
    }
}

async fn once(target: &Target, operator: &Operator) -> Result<(), Failure> {
    let overview = operator.overview().await?;
    if target.json { Ok(print_json(&overview)?) } else { print_overview(&overview, None) }
}

fn print_overview(overview: &Overview, before: Option<&Overview>) -> Result<(), Failure> {
    let now = overview.now;
    print(&format!(
        "queue {} at {}\n",
        crate::output::in_line(&overview.queue, 130),
        now.format("%Y-%m-%d %H:%M:%SZ")
    ))?;
    let mut states = table(["STATE", "JOBS", ""]);
    for depth in &overview.depth {
        let remark = match depth.state {
            actix_job_queue::State::Available => {
                overview.waiting_since.map(|at| format!("oldest due {}", ago(at, now)))
            }
            actix_job_queue::State::Scheduled => overview.next_due.map(|at| format!("next {}", ago(at, now))),
            actix_job_queue::State::InProgress => {
                overview.running_since.map(|at| format!("oldest started {}", ago(at, now)))
            }
            actix_job_queue::State::Failed => overview.failed_at.map(|at| format!("latest {}", ago(at, now))),
            _ => None,
        };
        states.add_row([
            state_cell(depth.state),
            cell(&About(depth.figure).to_string(), 40),
            cell(&remark.unwrap_or_default(), 80),
        ]);
    }
    print_table(&states)?;
    for pause in &overview.paused {
        let what = pause.kind.as_ref().map_or("the queue".to_owned(), |kind| format!("type {kind}"));
        let reason = pause.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        print(&crate::output::in_line(&format!("{what} is paused, {}{reason}", ago(pause.since, now)), 300))?;
    }
    if let Some(before) = before {
        let seconds = (now - before.now).num_milliseconds().max(1);
        let inserted = (overview.inserted - before.inserted) * 1_000 / seconds;
        print(&format!("\n{inserted} jobs a second come in"))?;
    }
    if !overview.types.is_empty() {
        print("")?;
        let mut types = table(["TYPE", "STATE", "JOBS"]);
        for count in overview.types.iter().take(30) {
            types.add_row([
                cell(count.kind.as_deref().unwrap_or("-"), 60),
                state_cell(count.state),
                cell(&About(count.figure).to_string(), 40),
            ]);
        }
        print_table(&types)?;
    }
    Ok(())
}
