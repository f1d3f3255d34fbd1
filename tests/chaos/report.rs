//! The table on standard output: a row as soon as a scenario has ended, reasons below it.

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use crate::{
    outcome::{Change, Outcome, Verdict},
    stage,
};

pub(crate) struct Report {
    seed: u64,
    begun: Instant,
    counts: [u32; 3],
    /// What was missed, once more at the end: the table may be long.
    missed: Vec<String>,
}

impl Report {
    pub(crate) fn begin(seed: u64) -> Self {
        println!("seed {seed}");
        println!(
            "{:<22} {:>7} {:>5} {:>7} {:>5} {:>13} {:>10} {:>11} {:>13}  verdict",
            "scenario", "jobs", "lost", "doubled", "stuck", "jobs/s", "back after", "connections", "RSS MB"
        );
        Self { seed, begun: Instant::now(), counts: [0; 3], missed: Vec::new() }
    }

    /// A row that counts.
    pub(crate) fn tell(&mut self, name: &str, outcome: &Outcome) {
        let verdict = outcome.verdict();
        self.counts[verdict as usize] += 1;
        let word = match verdict {
            Verdict::Passed => "passed",
            Verdict::Missed => "MISSED",
            Verdict::NotRun => "not run",
        };
        row(name, outcome, word);
        if verdict == Verdict::Missed {
            println!("    its processes' logs are kept in {}", stage::logs(name).display());
            self.missed.extend(outcome.reasons().map(|why| format!("{name}: {why}")));
        }
    }

    /// A row that is not the last word.
    pub(crate) fn again(&self, name: &str, outcome: &Outcome) {
        row(name, outcome, "slow: once more");
    }

    pub(crate) fn end(self) -> ExitCode {
        let [passed, missed, not_run] = self.counts;
        for missed in &self.missed {
            println!("MISSED {missed}");
        }
        println!(
            "{passed} passed, {missed} missed, {not_run} not run, in {:.0} s; seed {}",
            self.begun.elapsed().as_secs_f64(),
            self.seed
        );
        if missed > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
    }
}

fn row(name: &str, outcome: &Outcome, word: &str) {
    println!(
        "{name:<22} {:>7} {:>5} {:>7} {:>5} {:>13} {:>10} {:>11} {:>13}  {word}",
        outcome.jobs,
        outcome.lost,
        outcome.doubled,
        outcome.stuck,
        change(outcome.rate, 0),
        outcome.recovered.map_or_else(|| "-".to_owned(), seconds),
        change(outcome.connections, 0),
        change(outcome.memory, 1),
    );
    for why in outcome.reasons().chain(&outcome.not_run) {
        println!("    {why}");
    }
}

fn change(change: Option<Change>, digits: usize) -> String {
    change.map_or_else(|| "-".to_owned(), |Change { before, after }| format!("{before:.digits$} > {after:.digits$}"))
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}
