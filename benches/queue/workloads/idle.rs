//! What a process costs that has nothing to do.

use std::time::Duration;

use tokio_postgres::types::Type;

use super::Outcome;
use crate::{
    bench::Bench,
    child::{Child, Duty, Handler},
    failure::Failure,
    field::Field,
    figure::{Ask, Figure},
    measure::task,
    rounds::Spread,
    usage,
};

/// Until a process that has just started has come to rest: half of `dead_after` after its first claim it looks once
/// more.
const SETTLING: Duration = Duration::from_secs(6);

/// A connection that is idle tells the server's statistics of its last transactions so late (before PostgreSQL 15
/// at its next one).
const TOLD_LATE: Duration = Duration::from_secs(11);

const TRANSACTIONS: &str = "xact_commit + xact_rollback";

/// What a process has at rest, and what it did in a minute, where that was waited for.
#[derive(Debug, Clone, Copy)]
struct Rest {
    connections: f64,
    transactions: Option<f64>,
    cpu_ms: Option<f64>,
}

pub(super) async fn run_one(bench: &Bench, field: &Field<'_>) -> Outcome {
    let window = bench.size(Duration::from_secs(60), Duration::from_secs(5));
    let duty = Duty::Work { max_demand: None, handler: Handler::Complete };
    field.create("jobs").await?;
    bench.progress.step(&format!("{window:?} of rest"));
    field.server.autovacuum(false).await?;
    let rest = at_rest(field, &duty, window).await;
    field.server.autovacuum(true).await?;
    figures("one queue", window, rest?)
}

pub(super) async fn run_many(bench: &Bench, field: &Field<'_>) -> Outcome {
    let many = bench.size(200, 50);
    // A short run only counts the connections.
    let window = bench.size(Duration::from_secs(60), Duration::ZERO);
    bench.progress.step(&format!("making {many} queues"));
    let tables: Vec<_> = (1..=many).map(|number| format!("jobs_{number}")).collect();
    field.create_all(&tables).await?;
    field.quiet().await?;
    let other = field.server.field_like(&field.name).await?;
    bench.progress.step(&format!("{window:?} of rest"));
    field.server.autovacuum(false).await?;
    let (few, all) = (Duty::Queues { queues: 3 }, Duty::Queues { queues: many });
    let rests = tokio::try_join!(at_rest(&other, &few, window), at_rest(field, &all, window));
    field.server.autovacuum(true).await?;
    other.remove().await?;
    let (few, all) = rests?;

    let mut figures = figures(&format!("{many} queues"), window, all)?;
    let reference = Spread::of(&[few.connections])?;
    let mut connections = Figure::new(format!("{many} queues / 3"), "connections", Spread::of(&[all.connections])?);
    connections.reference = Some(reference);
    connections.ratio = Some(Spread::of(&[all.connections / few.connections])?);
    figures.insert(0, connections.asked(Ask::RatioAtMost(1.0)));
    if let Some(transactions) = few.transactions {
        figures.push(Figure::new("3 queues", "transactions/min", Spread::of(&[transactions])?));
    }
    Ok(figures)
}

fn figures(case: &str, window: Duration, rest: Rest) -> Outcome {
    let mut figures = vec![Figure::new(case, "connections", Spread::of(&[rest.connections])?)];
    let case = format!("{case}, at rest for {window:?}");
    for (figure, value) in [("transactions/min", rest.transactions), ("CPU ms/min", rest.cpu_ms)] {
        if let Some(value) = value {
            figures.push(Figure::new(case.clone(), figure, Spread::of(&[value])?));
        }
    }
    Ok(figures)
}

/// Lets a process come to rest, and tells what it does from then on.
async fn at_rest(field: &Field<'_>, duty: &Duty, window: Duration) -> Result<Rest, Failure> {
    let mut child = Child::start(&task(field, "jobs", 0, duty.clone())).await?;
    child.go().await?;
    tokio::time::sleep(SETTLING).await;
    let mut rest = Rest { connections: connections(field).await?, transactions: None, cpu_ms: None };
    if !window.is_zero() {
        tokio::time::sleep(TOLD_LATE).await;
        let (before, cpu) = (field.statistic(TRANSACTIONS).await?, usage::cpu(child.pid));
        tokio::time::sleep(window).await;
        let (after, cpu) = (field.statistic(TRANSACTIONS).await?, usage::cpu(child.pid).zip(cpu));
        let a_minute = 60.0 / window.as_secs_f64();
        rest.transactions = Some((after - before) * a_minute);
        rest.cpu_ms = cpu.map(|(after, before)| (after - before) * 1000.0 * a_minute);
    }
    child.end().await?;
    Ok(rest)
}

async fn connections(field: &Field<'_>) -> Result<f64, Failure> {
    const CONNECTIONS: &str = "SELECT count(*)::float8 FROM pg_stat_activity \
                                WHERE datname = $1 AND backend_type = 'client backend'";
    let row = field.server.admin().await?.query_typed_one(CONNECTIONS, &[(&field.name, Type::TEXT)]).await?;
    Ok(row.get(0))
}
