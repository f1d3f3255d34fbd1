//! From before a job's insert to its handler's first line.

use super::{Outcome, drain::few_in_flight, enqueue::BARE_TABLE};
use crate::{
    bare::{self, BATCH},
    bench::Bench,
    child::{BareHandler, Child, Duty, Handler, Report},
    failure::Failure,
    field::Field,
    figure::{Ask, Figure},
    measure::task,
    rounds::{Sample, interleave},
};

const MEDIAN: &str = "p50 ms";
const NEARLY_ALL: &str = "p99 ms";

/// Between two jobs, so that the worker is idle.
const PAUSE_MS: u64 = 10;

/// What is asked for where the drain rate was not measured in the same run.
const RATE_UNLESS_KNOWN: f64 = 5_000.0;

pub(super) async fn run(bench: &Bench, field: &Field<'_>) -> Outcome {
    let jobs = bench.size(1_000, 100);
    field.create("jobs").await?;
    field.run(&[BARE_TABLE, &bare::latency::setup("bare")]).await?;
    let [reserved, started] = [false, true].map(|start_on_claim| Duty::Latency { pause_ms: PAUSE_MS, start_on_claim });
    let [bare, bare_steps] = [false, true].map(|steps| Duty::BareLatency { pause_ms: PAUSE_MS, steps });
    let mut contenders = vec![reserved, bare, started];
    contenders.extend(bench.size(Some(bare_steps), None));
    let series = interleave(bench.rounds, &contenders, async |round, duty| {
        bench.progress.step(&format!("round {round} of {}, {duty}", bench.rounds));
        field.settle().await?;
        let table = if matches!(duty, Duty::Latency { .. }) { "jobs" } else { "bare" };
        let mut child = Child::start(&task(field, table, jobs, duty.clone())).await?;
        child.go().await?;
        child.until(jobs, &bench.progress).await?;
        sample(&child.end().await?)
    })
    .await?;
    let [reserved, bare, started, bare_steps @ ..] = &series[..] else {
        return Err("the rounds left somebody out".into());
    };
    let mut figures = Vec::new();
    for (duty, ours) in [(&contenders[0], reserved), (&contenders[2], started)] {
        let case = format!("{duty} / {}", contenders[1]);
        figures.push(Figure::beside(case.clone(), MEDIAN, ours, bare)?.asked(Ask::RatioAtMost(1.2)));
        figures.push(Figure::beside(case, NEARLY_ALL, ours, bare)?.asked(Ask::RatioAtMost(1.5)));
    }
    for (duty, bare) in contenders[3..].iter().zip(bare_steps) {
        for figure in [MEDIAN, NEARLY_ALL] {
            figures.push(Figure::beside(format!("{} / {duty}", contenders[0]), figure, reserved, bare)?);
        }
    }
    Ok(figures)
}

pub(super) async fn run_under_load(bench: &Bench, field: &Field<'_>) -> Outcome {
    let mut bare = vec![few_in_flight(1, BareHandler::Age)];
    bare.extend(bench.size(Some(TWICE), None));
    let load = UnderLoad { seconds: bench.size(10.0, 4.0), rounds: bench.size(bench.rounds.min(3), 1), bare };
    load.run(bench, field).await
}

/// Long enough for vacuums, for checkpoints, and for what the operating system had put off.
pub(super) async fn run_for_minutes(bench: &Bench, field: &Field<'_>) -> Outcome {
    let load =
        UnderLoad { seconds: bench.size(120.0, 2.0), rounds: bench.size(bench.rounds.min(2), 1), bare: vec![TWICE] };
    load.run(bench, field).await
}

/// With twice as many in flight as the library has unless it is told otherwise.
const TWICE: Duty = Duty::BareSteps { connections: 1, jobs: BATCH, handler: BareHandler::Age };

/// Steady work for so long, for the library and for bare loops beside it.
struct UnderLoad {
    seconds: f64,
    rounds: u32,
    bare: Vec<Duty>,
}

impl UnderLoad {
    async fn run(self, bench: &Bench, field: &Field<'_>) -> Outcome {
        let Self { seconds, rounds, bare } = self;
        field.create("jobs").await?;
        let rate = bench.drain_rate.get().map_or(RATE_UNLESS_KNOWN, |rate| rate / 2.0).round();
        // A second is left to warm up.
        let (warm_up, jobs) = (rate as u64, (rate * (seconds + 1.0)) as u64);
        let load = Duty::Load { rate, warm_up };
        let case = format!("{load} for {seconds:.0} s");
        // More than a round writes; what one has written is there for the next.
        field.write_log((jobs / JOBS_A_MB).try_into().unwrap_or(u32::MAX)).await?;
        let mut contenders = vec![Duty::Work { max_demand: None, handler: Handler::Age }];
        contenders.extend(bare);
        let series = interleave(rounds, &contenders, async |round, duty| {
            bench.progress.step(&format!("round {round} of {rounds}, {case}, {duty}"));
            field.settle().await?;
            let mut worker = Child::start(&task(field, "jobs", jobs, duty.clone())).await?;
            let mut generator = Child::start(&task(field, "jobs", jobs, load.clone())).await?;
            worker.go().await?;
            generator.go().await?;
            let sent = generator.until(jobs, &bench.progress).await?;
            worker.until(jobs, &bench.progress).await?;
            generator.end().await?;
            let mut sample = sample(&worker.end().await?)?;
            sample.insert(OFFERED, jobs as f64 / sent.seconds);
            Ok(sample)
        })
        .await?;
        let [ours, bare @ ..] = &series[..] else {
            return Err("the rounds left somebody out".into());
        };
        let mut figures = vec![
            Figure::of(case.clone(), OFFERED, ours)?,
            Figure::of(case.clone(), MEDIAN, ours)?,
            Figure::of(case.clone(), NEARLY_ALL, ours)?.asked(Ask::AtMost(10.0)),
        ];
        for (duty, bare) in contenders[1..].iter().zip(bare) {
            for figure in [MEDIAN, NEARLY_ALL] {
                figures.push(Figure::beside(format!("{case} / {duty}"), figure, ours, bare)?);
            }
        }
        Ok(figures)
    }
}

/// The library writes less log than a megabyte for so many.
const JOBS_A_MB: u64 = 800;

/// What the generator came to, whatever it was asked for.
const OFFERED: &str = "jobs/s offered";

fn sample(report: &Report) -> Result<Sample, Failure> {
    let (median, nearly_all) = report.latency.ok_or("no latency was measured")?;
    Ok(Sample::from([(MEDIAN, median * 1000.0), (NEARLY_ALL, nearly_all * 1000.0)]))
}
