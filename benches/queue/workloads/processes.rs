//! Several worker processes on one queue.

use std::time::{Duration, Instant};

use futures_util::future::try_join_all;

use super::{Outcome, flat::workers};
use crate::{
    bare::steps::share,
    bench::Bench,
    child::{BareHandler, Child, Duty, Report},
    failure::Failure,
    field::Field,
    figure::{Ask, Figure},
    measure::{RATE, task},
    rounds::{Sample, interleave},
};

const PROCESSES: [u64; 4] = [1, 2, 4, 8];
const SHARE: &str = "least share of a process";
const DEADLOCKS: &str = "deadlocks";

/// Jobs that a bare loop has under way in one process, as many as our larger worker.
const IN_FLIGHT: u32 = 1000;

/// How long all together may show no progress.
const STALL: Duration = Duration::from_secs(90);

pub(super) async fn run(bench: &Bench, field: &Field<'_>) -> Outcome {
    // Eight processes hold a quarter of a hundred thousand between them, and the last of those end one by one.
    let jobs = bench.size(400_000, 10_000);
    field.create("jobs").await?;
    let mut duties = workers(bench);
    let bare = Duty::BareSteps { connections: 1, jobs: share(IN_FLIGHT, 1), handler: BareHandler::Complete };
    duties.extend(bench.size(Some(bare), None));
    let contenders: Vec<_> =
        duties.iter().flat_map(|duty| PROCESSES.map(|processes| (duty.clone(), processes))).collect();
    let series = interleave(bench.rounds, &contenders, async |round, (duty, processes)| {
        bench.progress.step(&format!("round {round} of {}, {duty}, {processes} processes", bench.rounds));
        field.fill("jobs", jobs).await?;
        field.quiet().await?;
        let before = field.statistic(DEADLOCKS).await?;
        let reports = together(bench, field, jobs, duty, *processes).await?;
        field.quiet().await?;
        let from = reports.iter().map(|report| report.from).fold(f64::INFINITY, f64::min);
        let to = reports.iter().map(|report| report.to).fold(0.0, f64::max);
        let least = reports.iter().map(|report| report.done).min().unwrap_or(0);
        Ok(Sample::from([
            (RATE, jobs as f64 / (to - from)),
            (SHARE, least as f64 / (jobs as f64 / *processes as f64)),
            (DEADLOCKS, field.statistic(DEADLOCKS).await? - before),
        ]))
    })
    .await?;
    let mut figures = Vec::new();
    for (duty, series) in duties.iter().zip(series.chunks(PROCESSES.len())) {
        for (processes, ours) in PROCESSES.iter().zip(series).skip(1) {
            let case = format!("{duty}, {processes} processes / 1");
            let rate = Figure::beside(case, RATE, ours, &series[0])?;
            if let Duty::BareSteps { .. } = duty {
                figures.push(rate);
                continue;
            }
            // What two runs of the same differ by is no fall.
            figures.push(rate.asked(Ask::RatioAtLeast(0.95)));
            let case = format!("{duty}, {processes} processes");
            figures.push(Figure::of(case.clone(), SHARE, ours)?.asked(Ask::AtLeast(0.5)));
            figures.push(Figure::of(case, DEADLOCKS, ours)?.asked(Ask::AtMost(0.0)));
        }
    }
    Ok(figures)
}

/// Has so many processes do the jobs; what each did.
async fn together(
    bench: &Bench,
    field: &Field<'_>,
    jobs: u64,
    duty: &Duty,
    processes: u64,
) -> Result<Vec<Report>, Failure> {
    let task = task(field, "jobs", jobs, duty.clone());
    let mut children = try_join_all((0..processes).map(|_| Child::start(&task))).await?;
    try_join_all(children.iter_mut().map(Child::go)).await?;
    let (mut before, mut moved) = (0, Instant::now());
    loop {
        let reports = try_join_all(children.iter_mut().map(Child::report)).await?;
        let done = reports.iter().map(|report| report.done).sum();
        if done >= jobs {
            break;
        }
        bench.progress.stand(&format!("{done} of {jobs}"));
        if done > before {
            (before, moved) = (done, Instant::now());
        } else if moved.elapsed() > STALL {
            return Err(format!("{processes} processes: {done} of {jobs} jobs done, and none in {STALL:?}").into());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let reports = try_join_all(children.into_iter().map(Child::end)).await?;
    match reports.iter().map(|report| report.done).sum::<u64>() {
        done if done == jobs => Ok(reports),
        done => Err(format!("{processes} processes did {done} jobs of {jobs}").into()),
    }
}
