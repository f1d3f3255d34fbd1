//! Jobs that write their rows together, many in one completion.

use super::{
    Outcome,
    drain::{DEMANDS, best_after, few_in_flight},
    tx::{EFFECTS, write_all},
};
use crate::{
    bare::BATCH,
    bench::Bench,
    child::{BareHandler, Duty, Handler},
    field::Field,
    figure::{Ask, Figure},
    measure::{CLIENT_CPU, COMMITS, RATE, SERVER_CPU},
};

pub(super) async fn run(bench: &Bench, field: &Field<'_>) -> Outcome {
    let jobs = bench.size(100_000, 10_000);
    field.create("jobs").await?;
    field.run(&[EFFECTS]).await?;
    let empty = async || field.run(&["TRUNCATE effects"]).await;
    let connections =
        best_after(bench, field, "jobs", jobs, |connections| Duty::BareClaimedBatch { connections }, &empty).await?;
    let few = |connections| few_in_flight(connections, BareHandler::Batch);
    let few = few(best_after(bench, field, "jobs", jobs, few, empty).await?);
    let works = |handler| DEMANDS.map(|max_demand| Duty::Work { max_demand, handler });
    let [newcomer, many] = works(Handler::BatchStatement);
    let mut contenders =
        vec![newcomer, Duty::BareClaimedBatch { connections }, many, Duty::BareBatch { connections }, few];
    contenders.extend(bench.size(works(Handler::Batch).to_vec(), Vec::new()));
    let steps = Duty::BareSteps { connections, jobs: BATCH, handler: BareHandler::Batch };
    contenders.extend(bench.size(Some(steps), None));
    let series = write_all(bench, field, jobs, &contenders).await?;
    let [newcomer, bare, many, deletes, few, more @ ..] = &series[..] else {
        return Err("the rounds left somebody out".into());
    };
    let more: Vec<_> = contenders[5..].iter().zip(more).collect();
    let (begins, steps) = more.split_at(more.len().min(DEMANDS.len()));
    let mut figures = Vec::new();
    let fastest = [(&contenders[0], newcomer, true), (&contenders[2], many, true)];
    let begins = begins.iter().map(|(duty, ours)| (*duty, *ours, false));
    for (duty, ours, asked) in fastest.into_iter().chain(begins) {
        let figure = Figure::beside(format!("{duty} / {}", contenders[1]), RATE, ours, bare)?;
        figures.push(if asked { figure.asked(Ask::RatioAtLeast(0.6)) } else { figure });
        if asked {
            figures.push(Figure::beside(format!("{duty} / {}", contenders[3]), RATE, ours, deletes)?);
        }
        for figure in [COMMITS, CLIENT_CPU, SERVER_CPU] {
            if ours.has(figure) {
                figures.push(Figure::beside(duty.to_string(), figure, ours, bare)?);
            }
        }
    }
    figures.push(Figure::beside(format!("{} / {}", contenders[0], contenders[4]), RATE, newcomer, few)?);
    for (duty, series) in steps {
        figures.push(Figure::beside(format!("{} / {duty}", contenders[2]), RATE, many, series)?);
    }
    Ok(figures)
}
