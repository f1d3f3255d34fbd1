//! Many jobs a call, beside COPY of the same columns into the same table.

use super::Outcome;
use crate::{
    bench::Bench,
    child::Duty,
    field::Field,
    figure::{Ask, Figure},
    measure::{self, RATE, task},
    rounds::interleave,
};

pub(super) async fn run(bench: &Bench, field: &Field<'_>) -> Outcome {
    field.create("jobs").await?;
    let mut figures = Vec::new();
    for (size, times) in bench.size([(100, 500), (10_000, 10), (1_000_000, 1)], [(100, 100), (10_000, 2), (100_000, 1)])
    {
        let contenders =
            [Duty::EnqueueMany { size }, Duty::BareCopy { size, binary: true }, Duty::BareCopy { size, binary: false }];
        let series = interleave(bench.rounds, &contenders, async |round, duty| {
            bench.progress.step(&format!("round {round} of {}, {duty}", bench.rounds));
            field.run(&["TRUNCATE jobs"]).await?;
            field.settle().await?;
            measure::rate(bench, &task(field, "jobs", size * times, duty.clone())).await
        })
        .await?;
        let [ours, binary, text] = &series[..] else {
            return Err("the rounds left somebody out".into());
        };
        let case = format!("{} / {}", contenders[0], contenders[1]);
        figures.push(Figure::beside(case, RATE, ours, binary)?.asked(Ask::RatioAtLeast(0.8)));
        let case = format!("{} / {}", contenders[0], contenders[2]);
        figures.push(Figure::beside(case, RATE, ours, text)?);
    }
    Ok(figures)
}
