//! The drain rate must not depend on what else is in the table.

use super::{Outcome, drain::DEMANDS};
use crate::{
    bench::Bench,
    child::{Duty, Handler},
    failure::Failure,
    field::{Field, insert},
    figure::{Ask, Figure},
    measure::{self, DONE, FIRST, RATE, task},
    plot::Line,
    rounds::{Sample, interleave},
};

/// The drain rate is that of so many jobs.
fn jobs(bench: &Bench) -> u64 {
    bench.size(20_000, 5_000)
}

const BARE: Duty = Duty::BareDrain { connections: 2 };

pub(super) async fn run(bench: &Bench, field: &Field<'_>) -> Outcome {
    let backlogs: &[u64] = bench.size(&[20_000, 200_000, 1_000_000, 10_000_000], &[20_000, 200_000]);
    for backlog in backlogs {
        let table = format!("flat_{backlog}");
        bench.progress.step(&format!("inserting {backlog} jobs"));
        field.create(&table).await?;
        field.fill(&table, *backlog).await?;
    }
    let duties = [workers(bench), vec![BARE]].concat();
    let contenders: Vec<_> =
        duties.iter().flat_map(|duty| backlogs.iter().map(move |backlog| (duty.clone(), *backlog))).collect();
    let series = interleave(bench.rounds, &contenders, async |round, (duty, backlog)| {
        bench.progress.step(&format!("round {round} of {}, {duty}, {backlog} jobs", bench.rounds));
        let table = format!("flat_{backlog}");
        let sample = measure::rate(bench, &task(field, &table, jobs(bench), duty.clone())).await?;
        // So that the next one finds as many.
        top_up(field, &table, sample[DONE] as u64).await?;
        Ok(sample)
    })
    .await?;

    let of = |place: usize, backlog: usize| &series[place * backlogs.len() + backlog];
    let bare = duties.len() - 1;
    let mut figures = Vec::new();
    for (place, duty) in duties.iter().enumerate() {
        for (number, backlog) in backlogs.iter().enumerate().skip(1) {
            let case = format!("{duty}, {backlog} waiting / {} waiting", backlogs[0]);
            let figure = Figure::beside(case, RATE, of(place, number), of(place, 0))?;
            figures.push(if place == bare { figure } else { figure.asked(Ask::RatioAtLeast(0.9)) });
        }
    }
    for (place, duty) in duties.iter().enumerate().filter(|(place, _)| *place != bare) {
        let point = |(number, backlog): (usize, &u64)| Ok((*backlog as f64, of(place, number).spread(RATE)?));
        let points = backlogs.iter().enumerate().map(point).collect::<Result<_, Failure>>()?;
        bench.lines.borrow_mut().push(Line { name: duty.to_string(), points });
    }
    Ok(figures)
}

/// The library with its defaults, and in a full run with many jobs at a time too.
pub(super) fn workers(bench: &Bench) -> Vec<Duty> {
    let demands: &[_] = bench.size(&DEMANDS, &DEMANDS[..1]);
    demands.iter().map(|demand| Duty::Work { max_demand: *demand, handler: Handler::Complete }).collect()
}

async fn top_up(field: &Field<'_>, table: &str, jobs: u64) -> Result<(), Failure> {
    field.run(&[&insert(table, jobs), &format!("VACUUM ANALYZE {table}")]).await?;
    field.checkpoint().await
}

/// Rows that no worker has anything to do with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ballast {
    /// What they are, after their number.
    what: &'static str,
    /// Whose rows they are, as columns and values of `INSERT .. SELECT`.
    columns: &'static str,
    values: &'static str,
    dead: bool,
}

pub(super) const FAILED: Ballast =
    Ballast { what: "failed jobs", columns: "state, attempt", values: "'FAILED', 5", dead: false };

pub(super) const SCHEDULED: Ballast = Ballast {
    what: "jobs of next year",
    columns: "state, schedule",
    values: "'SCHEDULED', now() + interval '1 year' + n * interval '1 ms'",
    dead: false,
};

/// They come first in the order of claims, which makes the most of them.
pub(super) const DEAD: Ballast = Ballast {
    what: "deleted rows",
    columns: "state, schedule",
    values: "'AVAILABLE', now() - interval '1 hour'",
    dead: true,
};

pub(super) async fn run_beside(bench: &Bench, field: &Field<'_>, ballast: Ballast) -> Outcome {
    let rows = bench.size(10_000_000, 200_000);
    for table in ["alone", "beside"] {
        field.create(table).await?;
    }
    // What is dead is tidied up by the very claims that are measured, so it is made anew for each.
    let rounds = if ballast.dead { bench.rounds.min(3) } else { bench.rounds };
    if !ballast.dead {
        load(bench, field, ballast, rows).await?;
    }
    let duties = workers(bench);
    let contenders: Vec<_> = duties.iter().flat_map(|duty| [(duty, "alone"), (duty, "beside")]).collect();
    let series = interleave(rounds, &contenders, async |round, (duty, table)| {
        if ballast.dead && *table == "beside" {
            load(bench, field, ballast, rows).await?;
        }
        bench.progress.step(&format!("round {round} of {rounds}, {duty}, {table}"));
        prepare(field, table, ballast, jobs(bench)).await?;
        let sample = measure::rate(bench, &task(field, table, jobs(bench), (*duty).clone())).await?;
        Ok::<Sample, Failure>(sample)
    })
    .await?;
    let mut figures = Vec::new();
    for (duty, pair) in duties.iter().zip(series.chunks(2)) {
        let case = format!("{duty}, beside {rows} {} / alone", ballast.what);
        let figure = Figure::beside(case.clone(), RATE, &pair[1], &pair[0])?;
        figures.push(figure.asked(Ask::RatioAtLeast(0.9)));
        figures.push(Figure::beside(case, FIRST, &pair[1], &pair[0])?);
    }
    Ok(figures)
}

/// Puts the ballast into the table.
async fn load(bench: &Bench, field: &Field<'_>, ballast: Ballast, rows: u64) -> Result<(), Failure> {
    bench.progress.step(&format!("making {rows} {}", ballast.what));
    let Ballast { columns, values, dead, .. } = ballast;
    let insert = format!(
        "INSERT INTO beside (params, {columns}) \
         SELECT '{{\"type\": \"Job\", \"n\": 0}}', {values} FROM generate_series(1, {rows}) AS n"
    );
    // The triggers would make jobs of them.
    field
        .run(&[
            "TRUNCATE beside",
            "ALTER TABLE beside DISABLE TRIGGER USER",
            &insert,
            "ALTER TABLE beside ENABLE TRIGGER USER",
        ])
        .await?;
    if dead {
        field.run(&["ALTER TABLE beside SET (autovacuum_enabled = off)", "DELETE FROM beside"]).await?;
    }
    Ok(())
}

/// Puts the jobs into the table, behind what is there.
async fn prepare(field: &Field<'_>, table: &str, ballast: Ballast, jobs: u64) -> Result<(), Failure> {
    let tidy = if ballast.dead && table == "beside" { "ANALYZE" } else { "VACUUM ANALYZE" };
    field.run(&[&insert(table, jobs), &format!("{tidy} {table}")]).await?;
    field.checkpoint().await
}
