//! Jobs that do nothing, performed until the queue is empty.

use super::Outcome;
use crate::{
    bare::{BATCH, steps::share},
    bench::Bench,
    child::{BareHandler, Duty, Handler},
    failure::Failure,
    field::Field,
    figure::{Ask, Figure},
    measure::{self, CLIENT_CPU, COMMITS, MEMORY, RATE, SERVER_CPU, WAL, task},
    rounds::interleave,
};

/// The library's settings: a newcomer's, and many jobs at a time.
pub(super) const DEMANDS: [Option<usize>; 2] = [None, Some(1000)];

/// The contract's three steps and nothing else, with no more jobs in flight than a newcomer's worker runs at a time.
pub(super) fn few_in_flight(connections: u32, handler: BareHandler) -> Duty {
    Duty::BareSteps { connections, jobs: share(100, connections), handler }
}

pub(super) async fn run(bench: &Bench, field: &Field<'_>) -> Outcome {
    let jobs = bench.size(100_000, 20_000);
    field.create("jobs").await?;
    let connections = best(bench, field, "jobs", jobs, |connections| Duty::BareClaims { connections }).await?;
    let few = |connections| few_in_flight(connections, BareHandler::Complete);
    let few = few(best(bench, field, "jobs", jobs, few).await?);
    let [newcomer, many] = DEMANDS.map(|max_demand| Duty::Work { max_demand, handler: Handler::Complete });
    let [started, many_started] = DEMANDS.map(|max_demand| Duty::Started { max_demand, handler: Handler::Complete });
    let contenders = [
        newcomer,
        Duty::BareClaims { connections },
        many,
        Duty::BareSteps { connections, jobs: BATCH, handler: BareHandler::Complete },
        Duty::BareDrain { connections },
        started,
        many_started,
        few,
    ];
    let series = interleave(bench.rounds, &contenders, async |round, duty| {
        bench.progress.step(&format!("round {round} of {}, {duty}", bench.rounds));
        field.fill("jobs", jobs).await?;
        measure::alone(bench, field, &task(field, "jobs", jobs, duty.clone())).await
    })
    .await?;
    let [newcomer, bare, many, steps, deletes, started, many_started, few] = &series[..] else {
        return Err("the rounds left somebody out".into());
    };
    bench.drain_rate.set(Some(newcomer.spread(RATE)?.median));

    let mut figures = Vec::new();
    for (duty, ours) in [(&contenders[0], newcomer), (&contenders[2], many)] {
        let case = format!("{duty} / {}", contenders[1]);
        figures.push(Figure::beside(case, RATE, ours, bare)?.asked(Ask::RatioAtLeast(0.6)));
        for (other, series) in [(&contenders[3], steps), (&contenders[4], deletes)] {
            figures.push(Figure::beside(format!("{duty} / {other}"), RATE, ours, series)?);
        }
        figures.push(Figure::beside(duty.to_string(), COMMITS, ours, bare)?.asked(Ask::AtMost(0.05)));
        if ours.has(CLIENT_CPU) {
            figures.push(Figure::beside(duty.to_string(), CLIENT_CPU, ours, bare)?.asked(Ask::AtMost(0.012)));
        }
        for figure in [SERVER_CPU, WAL, MEMORY] {
            if ours.has(figure) {
                figures.push(Figure::beside(duty.to_string(), figure, ours, bare)?);
            }
        }
    }
    figures.push(Figure::beside(format!("{} / {}", contenders[0], contenders[7]), RATE, newcomer, few)?);
    for (duty, ours, reserved) in [(&contenders[5], started, newcomer), (&contenders[6], many_started, many)] {
        figures.push(Figure::beside(format!("{duty} / {}", contenders[1]), RATE, ours, bare)?);
        figures.push(Figure::beside(format!("{duty} / with a reservation"), RATE, ours, reserved)?);
    }
    Ok(figures)
}

/// How many connections serve a bare loop best here, tried before the rounds.
pub(super) async fn best(
    bench: &Bench,
    field: &Field<'_>,
    table: &str,
    jobs: u64,
    duty: impl Fn(u32) -> Duty,
) -> Result<u32, Failure> {
    best_after(bench, field, table, jobs, duty, async || Ok(())).await
}

/// The same for a loop that needs something done before each run.
pub(super) async fn best_after(
    bench: &Bench,
    field: &Field<'_>,
    table: &str,
    jobs: u64,
    duty: impl Fn(u32) -> Duty,
    before: impl AsyncFn() -> Result<(), Failure>,
) -> Result<u32, Failure> {
    let mut best = (0.0, 1);
    for connections in bench.size(&[1, 2, 4][..], &[2, 4]).iter().copied() {
        let duty = duty(connections);
        bench.progress.step(&format!("trying {duty}"));
        before().await?;
        field.fill(table, jobs).await?;
        let rate = measure::rate(bench, &task(field, table, jobs, duty)).await?[RATE];
        if rate > best.0 {
            best = (rate, connections);
        }
    }
    Ok(best.1)
}
