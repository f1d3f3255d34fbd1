//! One job a commit, by callers that share nothing.

use super::Outcome;
use crate::{
    bench::Bench,
    child::{Child, Door, Duty, Handler, Task},
    failure::Failure,
    field::{self, Field},
    figure::{Ask, Figure},
    measure::{self, RATE, task},
    rounds::interleave,
};

/// A table like the queue's without its triggers.
pub(super) const BARE_TABLE: &str = "CREATE TABLE bare (LIKE jobs INCLUDING ALL)";

/// The jobs that the busy worker's handlers sleep over: as many as it runs at a time, and more that wait.
const BUSY: u64 = 100;

pub(super) async fn run(bench: &Bench, field: &Field<'_>) -> Outcome {
    field.create("jobs").await?;
    field.run(&[BARE_TABLE]).await?;
    let mut figures = Vec::new();
    for callers in [1, 20] {
        figures.extend(compare(bench, field, callers, true).await?.map(asked));
        figures.extend(compare(bench, field, callers, false).await?);
    }
    Ok(figures)
}

/// With a server that gathers commits for one flush.
pub(super) async fn run_with_delay(bench: &Bench, field: &Field<'_>) -> Outcome {
    field.create("jobs").await?;
    field.run(&[BARE_TABLE]).await?;
    let admin = field.server.admin().await?;
    let before: String = admin.query_typed_one("SHOW commit_delay", &[]).await?.get(0);
    if before != "0" {
        return Err(format!("the server's commit_delay is {before} already: set it to 0 for this workload").into());
    }
    // Of this database alone, and gone with it.
    let name = &field.name;
    let set = [("commit_delay", 1000), ("commit_siblings", 0)]
        .map(|(setting, value)| format!("ALTER DATABASE {name} SET {setting} = {value}"));
    for statement in set {
        admin
            .batch_execute(&statement)
            .await
            .map_err(Failure::because("set commit_delay, which only a superuser may: leave this workload out"))?;
    }
    Ok(compare(bench, field, 20, true).await?.map(asked).into())
}

fn asked(figure: Figure) -> Figure {
    figure.asked(Ask::RatioAtLeast(0.9))
}

/// Ours and the bare inserts beside a worker that is busy with what it holds, or idle and waiting for jobs.
async fn compare(bench: &Bench, field: &Field<'_>, callers: u32, busy: bool) -> Result<[Figure; 3], Failure> {
    // For seconds where it counts: a connection's first insert has the trigger's function compiled.
    let jobs = match (callers, busy) {
        (1, true) => bench.size(20_000, 300),
        (_, true) => bench.size(80_000, 2_000),
        (_, false) => bench.size(5_000, 300),
    };
    // What is only for information need not be exact in a short run.
    let rounds = if busy { bench.rounds } else { bench.size(bench.rounds, 1) };
    let contenders = [
        Duty::Enqueue { callers, door: Door::Prepared },
        Duty::BareEnqueue { callers },
        Duty::Enqueue { callers, door: Door::Actor },
        Duty::Enqueue { callers, door: Door::Call },
    ];
    let worker = if busy { "busy worker" } else { "idle worker" };
    let series = interleave(rounds, &contenders, async |round, duty| {
        bench.progress.step(&format!("round {round} of {rounds}, {duty}, {worker}"));
        field.run(&["TRUNCATE jobs, bare"]).await?;
        let worker = start_worker(bench, field, busy).await?;
        field.settle().await?;
        let table = if matches!(duty, Duty::Enqueue { .. }) { "jobs" } else { "bare" };
        let sample = measure::rate(bench, &task(field, table, jobs, duty.clone())).await?;
        worker.end().await?;
        Ok(sample)
    })
    .await?;
    let [prepared, bare, sent, called] = &series[..] else {
        return Err("the rounds left somebody out".into());
    };
    let beside = |duty: &Duty, ours| Figure::beside(format!("{duty}, {worker} / {}", contenders[1]), RATE, ours, bare);
    Ok([beside(&contenders[0], prepared)?, beside(&contenders[2], sent)?, beside(&contenders[3], called)?])
}

async fn start_worker(bench: &Bench, field: &Field<'_>, busy: bool) -> Result<Child, Failure> {
    let handler = if busy { Handler::Sleep } else { Handler::Complete };
    if busy {
        field.run(&[&field::insert("jobs", 2 * BUSY)]).await?;
    }
    let duty = Duty::Work { max_demand: None, handler };
    let task = Task { wanted: BUSY, ..task(field, "jobs", BUSY, duty) };
    let mut worker = Child::start(&task).await?;
    worker.go().await?;
    if busy {
        worker.until(BUSY, &bench.progress).await?;
    } else {
        // Until it waits; nothing tells.
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    }
    Ok(worker)
}
