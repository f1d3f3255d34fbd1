//! Jobs that each write a row in a completion of their own.

use super::{Outcome, drain::DEMANDS};
use crate::{
    bench::Bench,
    child::{Duty, Handler},
    failure::Failure,
    field::Field,
    figure::{Ask, Figure},
    measure::{self, CLIENT_CPU, COMMITS, RATE, SERVER_CPU, task},
    rounds::{Series, interleave},
};

/// Where handlers write: a second row for a job would be refused.
pub(super) const EFFECTS: &str = "CREATE TABLE effects (job bigint PRIMARY KEY)";

/// The bare loop's, each with one transaction under way.
const CONNECTIONS: u32 = 20;

pub(super) async fn run(bench: &Bench, field: &Field<'_>) -> Outcome {
    let jobs = bench.size(50_000, 5_000);
    field.create("jobs").await?;
    field.run(&[EFFECTS]).await?;
    let [newcomer, many] = DEMANDS.map(|max_demand| Duty::Work { max_demand, handler: Handler::Statement });
    let [newcomer_begins, many_begin] =
        DEMANDS.map(|max_demand| Duty::Work { max_demand, handler: Handler::Transaction });
    let [bare, apart] = [true, false].map(|one_flight| Duty::BareTx { connections: CONNECTIONS, one_flight });
    let contenders = [newcomer, bare, many, newcomer_begins, many_begin, apart];
    let series = write_all(bench, field, jobs, &contenders).await?;
    let bare = &series[1];
    let mut figures = Vec::new();
    for place in [0, 2, 3, 4] {
        let (duty, ours) = (&contenders[place], &series[place]);
        let case = format!("{duty} / {}", contenders[1]);
        figures.push(Figure::beside(case, RATE, ours, bare)?.asked(Ask::RatioAtLeast(0.9)));
        figures.push(Figure::beside(duty.to_string(), COMMITS, ours, bare)?.asked(Ask::AtMost(1.05)));
        for figure in [CLIENT_CPU, SERVER_CPU] {
            if ours.has(figure) {
                figures.push(Figure::beside(duty.to_string(), figure, ours, bare)?);
            }
        }
    }
    // Whoever begins, writes and commits waits for each, so this is beside its like.
    for place in [3, 4] {
        let case = format!("{} / {}", contenders[place], contenders[5]);
        figures.push(Figure::beside(case, RATE, &series[place], &series[5])?);
    }
    Ok(figures)
}

/// Rounds of contenders that each perform all jobs and write a row for each.
pub(super) async fn write_all(
    bench: &Bench,
    field: &Field<'_>,
    jobs: u64,
    contenders: &[Duty],
) -> Result<Vec<Series>, Failure> {
    interleave(bench.rounds, contenders, async |round, duty| {
        bench.progress.step(&format!("round {round} of {}, {duty}", bench.rounds));
        field.run(&["TRUNCATE effects"]).await?;
        field.fill("jobs", jobs).await?;
        let sample = measure::alone(bench, field, &task(field, "jobs", jobs, duty.clone())).await?;
        written(field, jobs).await?;
        Ok(sample)
    })
    .await
}

/// A loop that loses rows is no match for one that does not.
async fn written(field: &Field<'_>, jobs: u64) -> Result<(), Failure> {
    let rows = field.number("SELECT count(*) FROM effects").await?;
    let left = field.number("SELECT count(*) FROM jobs").await?;
    if rows == jobs as f64 && left == 0.0 {
        return Ok(());
    }
    Err(format!("{jobs} jobs have written {rows} rows, and {left} jobs are left").into())
}
