//! What a job costs in WAL and in dead rows, beside the same three steps a hundred at a time.

use super::{
    Outcome,
    drain::{DEMANDS, best},
};
use crate::{
    bare::BATCH,
    bench::Bench,
    child::{BareHandler, Child, Duty, Handler},
    failure::Failure,
    field::{Field, insert},
    figure::{Ask, Figure},
    measure::{self, WAL, task},
    rounds::{Sample, Series, interleave},
};

const HOT: &str = "HOT updates/job";

/// No more jobs than this wait at a time while many go through.
const BACKLOG: u64 = 20_000;

pub(super) async fn run(bench: &Bench, field: &Field<'_>) -> Outcome {
    let jobs = bench.size(100_000, 10_000);
    field.create("jobs").await?;
    let connections = best(bench, field, "jobs", jobs, |connections| Duty::BareSteps {
        connections,
        jobs: BATCH,
        handler: BareHandler::Complete,
    })
    .await?;
    let [newcomer, many] = DEMANDS.map(|max_demand| Duty::Work { max_demand, handler: Handler::Complete });
    let contenders = [newcomer, Duty::BareSteps { connections, jobs: BATCH, handler: BareHandler::Complete }, many];
    let series = interleave(bench.rounds, &contenders, async |round, duty| {
        bench.progress.step(&format!("round {round} of {}, {duty}", bench.rounds));
        field.fill("jobs", jobs).await?;
        let before = hot_updates(field).await?;
        let mut sample = measure::alone(bench, field, &task(field, "jobs", jobs, duty.clone())).await?;
        sample.insert(HOT, (hot_updates(field).await? - before) / jobs as f64);
        Ok(sample)
    })
    .await?;
    let [newcomer, bare, many] = &series[..] else {
        return Err("the rounds left somebody out".into());
    };
    let mut figures = Vec::new();
    for (duty, ours) in [(&contenders[0], newcomer), (&contenders[2], many)] {
        let case = format!("{duty} / {}", contenders[1]);
        figures.push(Figure::beside(case.clone(), WAL, ours, bare)?.asked(Ask::RatioAtMost(1.1)));
        figures.push(Figure::beside(case, HOT, ours, bare)?);
    }
    figures.extend(sizes(bench, field, &contenders[..2]).await?);
    Ok(figures)
}

async fn hot_updates(field: &Field<'_>) -> Result<f64, Failure> {
    field.quiet().await?;
    field.number("SELECT n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'jobs'").await
}

/// The sizes of the table and its indexes after many jobs went through.
async fn sizes(bench: &Bench, field: &Field<'_>, contenders: &[Duty]) -> Outcome {
    let jobs = bench.size(1_000_000, 50_000);
    let names = ["jobs", "jobs_pkey", "jobs_priority_schedule_id_idx", "jobs_schedule_idx", "jobs_expires_idx"];
    let series = interleave(1, contenders, async |_, duty| {
        bench.progress.step(&format!("{jobs} jobs through, {duty}"));
        field.fill("jobs", 0).await?;
        flow(bench, field, jobs, duty).await?;
        let mut sample = Sample::new();
        for name in names {
            let size = field.number(&format!("SELECT pg_relation_size('{name}') / 1e6")).await?;
            sample.insert(name, size);
        }
        Ok(sample)
    })
    .await?;
    let [ours, bare]: &[Series; 2] = series.as_slice().try_into().map_err(|_| "the rounds left somebody out")?;
    let case = |name: &str| format!("{name} after {jobs} jobs, {} / {}", contenders[0], contenders[1]);
    names
        .iter()
        .map(|name| {
            let mut figure = Figure::beside(case(name), name, ours, bare)?;
            figure.figure = "MB".to_owned();
            Ok(figure)
        })
        .collect()
}

/// Lets so many jobs through, few of them at a time.
async fn flow(bench: &Bench, field: &Field<'_>, jobs: u64, duty: &Duty) -> Result<(), Failure> {
    let piece = BACKLOG / 2;
    let mut child = Child::start(&task(field, "jobs", jobs, duty.clone())).await?;
    let client = field.client().await?;
    child.go().await?;
    let mut sent = 0;
    while sent < jobs {
        client.batch_execute(&insert("jobs", piece.min(jobs - sent))).await?;
        sent += piece.min(jobs - sent);
        child.until(sent.saturating_sub(piece), &bench.progress).await?;
    }
    child.until(jobs, &bench.progress).await?;
    child.end().await?;
    Ok(())
}
