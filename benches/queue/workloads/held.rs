//! The drain rate while others hold snapshots, so that nothing that is dead can be tidied up.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio_postgres::Client;

use super::{Outcome, flat::workers};
use crate::{
    bench::Bench,
    child::{Child, Duty, Report},
    failure::Failure,
    field::Field,
    figure::{Ask, Figure},
    measure::{self, RATE, task},
    rounds::{Sample, interleave},
};

/// A snapshot lasts from the first look on.
const LOOK: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM jobs LIMIT 1";

pub(super) async fn run_horizon(bench: &Bench, field: &Field<'_>) -> Outcome {
    let jobs = bench.size(1_000_000, 100_000);
    // Whoever slows down too much is compared as far as he came.
    let limit = bench.size(Duration::from_secs(300), Duration::from_secs(8));
    let rounds = bench.size(bench.rounds.min(2), 1);
    field.create("jobs").await?;
    let duties = [workers(bench), vec![Duty::BareDrain { connections: 2 }]].concat();
    // Without it, what is dead is in the way only until a vacuum comes by.
    let held: &[_] = bench.size(&[true, false], &[true]);
    let contenders: Vec<_> = held.iter().flat_map(|held| duties.iter().map(move |duty| (duty, *held))).collect();
    let series = interleave(rounds, &contenders, async |round, (duty, held)| {
        bench.progress.step(&format!("round {round} of {rounds}, {duty}, inserting {jobs} jobs"));
        field.fill("jobs", jobs).await?;
        let holder = field.client().await?;
        if *held {
            holder.batch_execute(LOOK).await?;
        }
        bench.progress.step(&format!("round {round} of {rounds}, {}", named(duty, *held)));
        let mut child = Child::start(&task(field, "jobs", jobs, (*duty).clone())).await?;
        child.go().await?;
        let report = child.until_or(jobs, limit, &bench.progress).await?;
        child.end().await?;
        if *held {
            holder.batch_execute("COMMIT").await?;
        }
        tenths(&report, jobs)
    })
    .await?;
    let mut figures = Vec::new();
    for ((duty, held), series) in contenders.iter().zip(&series) {
        let (bare, duty) = (matches!(duty, Duty::BareDrain { .. }), named(duty, *held));
        let reached = series.spread(REACHED)?.min;
        let case = format!("{duty}, last tenth of {reached:.0} jobs / first tenth of {jobs}");
        let (last, first) = (series.named(LAST, RATE)?, series.named(FIRST, RATE)?);
        let figure = Figure::beside(case, RATE, &last, &first)?;
        figures.push(if bare { figure } else { figure.asked(Ask::RatioAtLeast(0.8)) });
        figures.push(Figure::of(format!("{duty}, within {limit:?}"), REACHED, series)?);
    }
    Ok(figures)
}

fn named(duty: &Duty, held: bool) -> String {
    if held { duty.to_string() } else { format!("{duty}, no transaction") }
}

const FIRST: &str = "first tenth jobs/s";
const LAST: &str = "last tenth jobs/s";
const REACHED: &str = "jobs done";

/// The rates of the first tenth and of the last that was reached; what is left of a tenth counts, for it may
/// take longer than all before.
fn tenths(report: &Report, jobs: u64) -> Result<Sample, Failure> {
    let tenth = jobs as f64 / 10.0;
    let Some(first) = report.tenths.first() else {
        return Err(format!("only {} of {jobs} jobs were done in {:.0} s", report.done, report.seconds).into());
    };
    let whole = report.tenths.len();
    let before = |number: usize| number.checked_sub(1).map_or(0.0, |place| report.tenths[place]);
    let (begun, ended) = (before(whole), report.seconds);
    let rest = report.done as f64 - whole as f64 * tenth;
    let last = if whole < 10 && rest > 0.0 {
        rest / (ended - begun)
    } else {
        tenth / (report.tenths[whole - 1] - before(whole - 1))
    };
    Ok(Sample::from([(FIRST, tenth / first), (LAST, last), (REACHED, report.done.min(jobs) as f64)]))
}

/// So many readers, each with a snapshot of its own.
const READERS: usize = 4;
/// How long each snapshot is held, and the pause between two reads with it.
const HELD: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(50);

pub(super) async fn run_readers(bench: &Bench, field: &Field<'_>) -> Outcome {
    let jobs = bench.size(100_000, 10_000);
    field.create("jobs").await?;
    let duties = [workers(bench), vec![Duty::BareDrain { connections: 2 }]].concat();
    let contenders: Vec<_> = duties.iter().flat_map(|duty| [(duty, false), (duty, true)]).collect();
    let series = interleave(bench.rounds, &contenders, async |round, (duty, read)| {
        let readers = if *read { "with readers" } else { "without" };
        bench.progress.step(&format!("round {round} of {}, {duty}, {readers}", bench.rounds));
        field.fill("jobs", jobs).await?;
        let mut readers = JoinSet::new();
        for _ in 0..if *read { READERS } else { 0 } {
            readers.spawn(hold_and_read(field.client().await?));
        }
        let run = task(field, "jobs", jobs, (*duty).clone());
        tokio::select! {
            sample = measure::rate(bench, &run) => sample,
            Some(ended) = readers.join_next() => match ended {
                Ok(Err(failure)) => Err(failure),
                _ => Err("a reader ended before the run".into()),
            },
        }
    })
    .await?;
    let mut figures = Vec::new();
    for (duty, pair) in duties.iter().zip(series.chunks(2)) {
        let figure = Figure::beside(format!("{duty}, {READERS} readers / none"), RATE, &pair[1], &pair[0])?;
        let bare = matches!(duty, Duty::BareDrain { .. });
        figures.push(if bare { figure } else { figure.asked(Ask::RatioAtLeast(0.8)) });
    }
    Ok(figures)
}

/// Takes one snapshot after the other and reads with each, until it is dropped.
async fn hold_and_read(client: Client) -> Result<(), Failure> {
    loop {
        client.batch_execute(LOOK).await?;
        let begun = Instant::now();
        while begun.elapsed() < HELD {
            client.batch_execute("SELECT count(*) FROM (SELECT FROM jobs ORDER BY id LIMIT 100) AS head").await?;
            tokio::time::sleep(PAUSE).await;
        }
        client.batch_execute("COMMIT").await?;
    }
}
