//! Jobs that write their rows together, many in one completion.

use super::{
    Outcome,
    drain::{DEMANDS, best_after},
    tx::{EFFECTS, write_all},
};
use crate::{
    bench::Bench,
    child::{Duty, Handler},
    field::Field,
    figure::{Ask, Figure},
    measure::{CLIENT_CPU, COMMITS, RATE, SERVER_CPU},
};

pub(super) async fn run(bench: &Bench, field: &Field<'_>) -> Outcome {
    let jobs = bench.size(100_000, 20_000);
    field.create("jobs").await?;
    field.run(&[EFFECTS]).await?;
    let empty = async || field.run(&["TRUNCATE effects"]).await;
    let connections =
        best_after(bench, field, "jobs", jobs, |connections| Duty::BareClaimedBatch { connections }, empty).await?;
    let [newcomer, many] = DEMANDS.map(|max_demand| Duty::Work { max_demand, handler: Handler::Batch });
    let contenders = [newcomer, Duty::BareClaimedBatch { connections }, many, Duty::BareBatch { connections }];
    let series = write_all(bench, field, jobs, &contenders).await?;
    let [newcomer, bare, many, deletes] = &series[..] else {
        return Err("the rounds left somebody out".into());
    };
    let mut figures = Vec::new();
    for (duty, ours) in [(&contenders[0], newcomer), (&contenders[2], many)] {
        let case = format!("{duty} / {}", contenders[1]);
        figures.push(Figure::beside(case, RATE, ours, bare)?.asked(Ask::RatioAtLeast(0.6)));
        figures.push(Figure::beside(format!("{duty} / {}", contenders[3]), RATE, ours, deletes)?);
        for figure in [COMMITS, CLIENT_CPU, SERVER_CPU] {
            if ours.has(figure) {
                figures.push(Figure::beside(duty.to_string(), figure, ours, bare)?);
            }
        }
    }
    Ok(figures)
}
