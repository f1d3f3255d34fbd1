//! The figures as a table for people and as JSON for programs.

use std::{fs, path::Path};

use serde::Serialize;

use crate::{failure::Failure, figure::Figure, machine::Machine, rounds::Spread};

#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) machine: Machine,
    pub(crate) quick: bool,
    pub(crate) rounds: u32,
    pub(crate) workloads: Vec<Measured>,
}

/// What came of a workload.
#[derive(Debug, Serialize)]
pub(crate) struct Measured {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) seconds: f64,
    pub(crate) figures: Vec<Figure>,
    /// Why there are no figures.
    pub(crate) failure: Option<String>,
}

const HEADS: [&str; 7] = ["ours / reference", "figure", "ours", "reference", "ratio", "asked", "met"];

impl Report {
    /// The table.
    pub(crate) fn table(&self) -> String {
        let mut lines = vec![self.machine.lines()];
        let quick = if self.quick { ", reduced sizes: less exact" } else { "" };
        lines.push(format!("Medians of {} interleaved rounds (least..greatest){quick}.", self.rounds));
        for workload in &self.workloads {
            lines.push(format!("\n{}: {}", workload.name, workload.about));
            if let Some(failure) = &workload.failure {
                lines.push(format!("  FAILED: {failure}"));
                continue;
            }
            let rows: Vec<[String; 7]> = workload.figures.iter().map(row).collect();
            let widths: [usize; 7] = std::array::from_fn(|column| {
                let cells = rows.iter().map(|row| row[column].chars().count());
                cells.chain([HEADS[column].len()]).max().unwrap_or(0)
            });
            lines.push(line(&HEADS.map(str::to_owned), &widths));
            lines.extend(rows.iter().map(|row| line(row, &widths)));
        }
        let asked: Vec<_> =
            self.workloads.iter().flat_map(|workload| &workload.figures).filter_map(|f| f.met).collect();
        let met = asked.iter().filter(|met| **met).count();
        lines.push(format!("\n{met} of {} targets met.", asked.len()));
        lines.join("\n")
    }

    /// Writes the JSON.
    pub(crate) fn write(&self, file: &Path) -> Result<(), Failure> {
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder).map_err(Failure::because("make the folder of the JSON"))?;
        }
        let text = serde_json::to_string_pretty(self).map_err(Failure::because("write the figures as JSON"))?;
        fs::write(file, text + "\n").map_err(Failure::because(&format!("write {}", file.display())))
    }

    /// Whether every workload ran.
    pub(crate) fn is_whole(&self) -> bool {
        self.workloads.iter().all(|workload| workload.failure.is_none())
    }
}

fn row(figure: &Figure) -> [String; 7] {
    let spread = |spread: Option<Spread>| spread.map(text).unwrap_or_default();
    let met = match figure.met {
        Some(true) => "yes",
        Some(false) => "NO",
        None => "",
    };
    [
        figure.case.clone(),
        figure.figure.clone(),
        text(figure.ours),
        spread(figure.reference),
        spread(figure.ratio),
        figure.asked.map(|ask| ask.to_string()).unwrap_or_default(),
        met.to_owned(),
    ]
}

fn line(cells: &[String; 7], widths: &[usize; 7]) -> String {
    let cells = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
    format!("  {}", cells.collect::<Vec<_>>().join("  ").trim_end())
}

fn text(spread: Spread) -> String {
    if spread.min == spread.max {
        return number(spread.median);
    }
    format!("{} ({}..{})", number(spread.median), number(spread.min), number(spread.max))
}

/// Three digits that count, and thousands in groups.
fn number(value: f64) -> String {
    let size = value.abs();
    match size {
        _ if size >= 1000.0 => grouped(value),
        _ if size >= 100.0 || value == value.round() => format!("{value:.0}"),
        _ if size >= 10.0 => format!("{value:.1}"),
        _ if size >= 0.1 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

fn grouped(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if value < 0.0 { format!("-{text}") } else { text }
}
