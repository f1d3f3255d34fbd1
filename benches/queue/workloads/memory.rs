//! What a worker process takes, whatever waits and whatever runs.

use std::time::Duration;

use super::Outcome;
use crate::{
    bench::Bench,
    child::{Child, Duty, Handler, Task},
    failure::Failure,
    field::Field,
    figure::{Ask, Figure},
    measure::task,
    rounds::{Sample, interleave},
    usage,
};

const NOW: &str = "RSS MB";
const PEAK: &str = "peak RSS MB";

/// How long a process that has reached its state is left in it.
const REST: Duration = Duration::from_secs(1);

pub(super) async fn run(bench: &Bench, field: &Field<'_>) -> Outcome {
    let waiting = bench.size(10_000_000, 200_000);
    for table in ["empty", "waiting", "running"] {
        field.create(table).await?;
    }
    bench.progress.step(&format!("inserting {waiting} jobs"));
    field.fill("waiting", waiting).await?;
    field.fill("running", 2_000).await?;

    let work = |max_demand, handler| Duty::Work { max_demand, handler };
    let many_waiting = format!("{waiting} waiting");
    let contenders = [
        ("nothing to do", task(field, "empty", 0, work(None, Handler::Complete))),
        (&many_waiting, task(field, "waiting", waiting / 100, work(None, Handler::Complete))),
        ("1,000 running, max_demand 1000", task(field, "running", 1_000, work(Some(1000), Handler::Sleep))),
    ];
    // The worker eats of what waits, and what it held is given back.
    let rounds = bench.size(bench.rounds.min(3), 1);
    let series = interleave(rounds, &contenders, async |round, (name, task)| {
        bench.progress.step(&format!("round {round} of {rounds}, {name}"));
        resident(bench, task).await
    })
    .await?;
    let empty = &series[0];
    let mut figures = vec![Figure::of(contenders[0].0, NOW, empty)?.asked(Ask::AtMost(40.0))];
    for ((name, _), ours) in contenders.iter().zip(&series).skip(1) {
        let case = format!("{name} / {}", contenders[0].0);
        figures.push(Figure::beside(case.clone(), NOW, ours, empty)?.asked(Ask::AtMost(40.0)));
        figures.push(Figure::beside(case, PEAK, ours, empty)?);
    }
    Ok(figures)
}

async fn resident(bench: &Bench, task: &Task) -> Result<Sample, Failure> {
    let mut child = Child::start(task).await?;
    child.go().await?;
    child.until(task.wanted, &bench.progress).await?;
    tokio::time::sleep(REST).await;
    let memory = usage::memory(child.pid);
    child.end().await?;
    let (now, peak) = memory.ok_or("this system does not tell a process' memory in /proc")?;
    Ok(Sample::from([(NOW, now), (PEAK, peak)]))
}
