use std::{
    io::{self, IsTerminal},
    time::Duration,
};

use actix_job_queue::operate::{Activity, Operator, Overview, Quantiles, Redact, Throughput, seconds};
use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use crate::{
    cli::Target,
    connect::operator,
    failure::Failure,
    output::{About, ago, cell, json_text, length, print, print_json, print_table, state_cell, table, thousands},
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
    /// Of which time rates, latencies and reasons to fail are told; two days at most.
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = span)]
    over: Duration,
}

/// What is told.
#[derive(Serialize)]
struct Told<'a> {
    #[serde(flatten)]
    overview: &'a Overview,
    activity: &'a Activity,
}

pub(crate) async fn run(target: &Target, args: Args) -> Result<(), Failure> {
    let (operator, redact) = (operator(target).await?, target.redact()?);
    if !args.watch {
        return once(target, &operator, &redact, args.over).await;
    }
    let mut before: Option<Overview> = None;
    loop {
        let (overview, mut activity) = (operator.overview().await?, operator.activity(args.over).await?);
        redact.activity(operator.name(), &mut activity);
        if target.json {
            print(&json_text(&Told { overview: &overview, activity: &activity }, false)?)?;
        } else {
            if io::stdout().is_terminal() {
                // Clears the screen and goes to its corner.
                print("\x1b[2J\x1b[H")?;
            }
            print_overview(&overview, before.as_ref())?;
            print_activity(&activity, args.over, overview.now)?;
        }
        before = Some(overview);
        tokio::select! {
            () = tokio::time::sleep(args.every.max(Duration::from_millis(100))) => {}
            _ = tokio::signal::ctrl_c() => return Ok(()),
        }
    }
}

async fn once(target: &Target, operator: &Operator, redact: &Redact, over: Duration) -> Result<(), Failure> {
    let (overview, mut activity) = (operator.overview().await?, operator.activity(over).await?);
    redact.activity(operator.name(), &mut activity);
    if target.json {
        return Ok(print_json(&Told { overview: &overview, activity: &activity })?);
    }
    print_overview(&overview, None)?;
    print_activity(&activity, over, overview.now)
}

fn print_activity(activity: &Activity, over: Duration, now: DateTime<Utc>) -> Result<(), Failure> {
    let span = length(TimeDelta::from_std(over).unwrap_or(TimeDelta::MAX));
    let sum = |of: fn(&Throughput) -> i64| activity.steps.iter().map(|step| of(&step.throughput)).sum::<i64>();
    let (completed, failed) = (sum(|step| step.completed), sum(|step| step.failed));
    if completed + failed == 0 {
        return Ok(print(&format!("\nno attempt has ended in the last {span}"))?);
    }
    #[allow(clippy::cast_precision_loss, reason = "a share to one digit")]
    let share = failed as f64 * 100.0 / (completed + failed) as f64;
    print(&format!(
        "\nin the last {span}: {} jobs completed, {} attempts failed ({share:.1} %)",
        thousands(completed),
        thousands(failed)
    ))?;
    let happened = activity
        .steps
        .iter()
        .map(|step| step.throughput)
        .filter(|step| step.started + step.completed + step.failed > 0);
    let recent: Vec<_> = happened.rev().take(5).collect();
    let mut steps =
        table([if activity.step_seconds == 60 { "MINUTE" } else { "FROM" }, "IN", "STARTED", "COMPLETED", "FAILED"]);
    for step in recent.into_iter().rev() {
        steps.add_row([
            step.from.format("%H:%MZ").to_string(),
            step.inserted.map_or("?".to_owned(), thousands),
            thousands(step.started),
            thousands(step.completed),
            thousands(step.failed),
        ]);
    }
    print("")?;
    print_table(&steps)?;
    let mut types = table(["TYPE", "COMPLETED", "FAILED", "WAITED p50", "p95", "p99", "RAN p50", "p95", "p99"]);
    for kind in activity.types.iter().take(20) {
        let times = |times: Option<Quantiles>| {
            let time = |of: fn(&Quantiles) -> f64| times.as_ref().map_or("-".to_owned(), |times| seconds(of(times)));
            [time(|times| times.p50), time(|times| times.p95), time(|times| times.p99)]
        };
        let mut cells = vec![
            cell(kind.kind.as_deref().unwrap_or("-"), 60),
            cell(&thousands(kind.completed), 30),
            cell(&thousands(kind.failed), 30),
        ];
        cells.extend(times(kind.waited).into_iter().chain(times(kind.ran)).map(|time| cell(&time, 30)));
        types.add_row(cells);
    }
    print("")?;
    print_table(&types)?;
    if !activity.failures.is_empty() {
        let mut reasons = table(["FAILURES", "TYPE", "LAST", "JOB", "REASON"]);
        for reason in activity.failures.iter().take(10) {
            reasons.add_row([
                cell(&thousands(reason.failures), 30),
                cell(reason.kind.as_deref().unwrap_or("-"), 60),
                cell(&ago(reason.last_at, now), 30),
                cell(&reason.last_id.to_string(), 30),
                cell(&reason.error, 200),
            ]);
        }
        print("")?;
        print_table(&reasons)?;
    }
    Ok(())
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
