//! The drain rate against the backlog, as a picture.

use std::{fmt::Write, fs, path::Path};

use crate::{failure::Failure, rounds::Spread};

/// The drain rates of one setting, by backlog.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, Spread)>,
}

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 400.0;
/// Left, right, top and bottom of the axes.
const FRAME: [f64; 4] = [80.0, 690.0, 50.0, 340.0];

const COLOURS: [&str; 2] = ["#c2410c", "#1d4ed8"];

/// Draws the lines, the backlog on a logarithmic axis and the rate from zero.
pub(crate) fn draw(lines: &[Line], file: &Path) -> Result<(), Failure> {
    if lines.is_empty() {
        return Err("there are no rates to draw: run the workload flat too".into());
    }
    let svg = picture(lines).map_err(Failure::because("draw the plot"))?;
    fs::write(file, svg).map_err(Failure::because(&format!("write {}", file.display())))
}

fn picture(lines: &[Line]) -> Result<String, std::fmt::Error> {
    let [left, right, top, bottom] = FRAME;
    let points = || lines.iter().flat_map(|line| &line.points);
    let logs = || points().map(|(backlog, _)| backlog.log10());
    let (first, last) = (logs().fold(f64::INFINITY, f64::min), logs().fold(0.0, f64::max));
    let highest = points().map(|(_, rate)| rate.max).fold(1.0, f64::max);
    let step = round_step(highest / 5.0);
    let ceiling = (highest / step).ceil() * step;
    let x = |backlog: f64| left + (backlog.log10() - first) / (last - first) * (right - left);
    let y = |rate: f64| bottom - rate / ceiling * (bottom - top);

    let mut svg = String::new();
    writeln!(
        svg,
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="13">"#
    )?;
    writeln!(svg, r##"<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>"##)?;
    writeln!(svg, r#"<text x="{left}" y="28" font-size="16">Jobs a second by the number of jobs that wait</text>"#)?;
    let mut rate = 0.0;
    while rate <= ceiling {
        let at = y(rate);
        writeln!(svg, r##"<line x1="{left}" x2="{right}" y1="{at:.1}" y2="{at:.1}" stroke="#ddd"/>"##)?;
        writeln!(svg, r#"<text x="{:.1}" y="{:.1}" text-anchor="end">{rate:.0}</text>"#, left - 8.0, at + 4.0)?;
        rate += step;
    }
    for (backlog, _) in lines.iter().take(1).flat_map(|line| &line.points) {
        let at = x(*backlog);
        writeln!(svg, r##"<line x1="{at:.1}" x2="{at:.1}" y1="{bottom}" y2="{:.1}" stroke="#888"/>"##, bottom + 5.0)?;
        let anchor = r#"text-anchor="middle""#;
        writeln!(svg, r#"<text x="{at:.1}" y="{:.1}" {anchor}>{backlog:.0}</text>"#, bottom + 22.0)?;
    }
    for ((number, line), colour) in lines.iter().enumerate().zip(COLOURS.into_iter().cycle()) {
        let points: Vec<_> = line.points.iter().map(|(backlog, rate)| (x(*backlog), *rate)).collect();
        series(&mut svg, &points, y, colour, &line.name, 160.0 * number as f64)?;
    }
    writeln!(svg, "</svg>")?;
    Ok(svg)
}

/// A line through the medians, a bar from each least to each greatest, and the name below.
fn series(
    svg: &mut String,
    points: &[(f64, Spread)],
    y: impl Fn(f64) -> f64,
    colour: &str,
    name: &str,
    place: f64,
) -> std::fmt::Result {
    let line: Vec<_> = points.iter().map(|(x, spread)| format!("{x:.1},{:.1}", y(spread.median))).collect();
    writeln!(svg, r#"<polyline points="{}" fill="none" stroke="{colour}" stroke-width="2"/>"#, line.join(" "))?;
    for (x, spread) in points {
        let (low, high, median) = (y(spread.min), y(spread.max), y(spread.median));
        writeln!(svg, r#"<line x1="{x:.1}" x2="{x:.1}" y1="{low:.1}" y2="{high:.1}" stroke="{colour}"/>"#)?;
        writeln!(svg, r#"<circle cx="{x:.1}" cy="{median:.1}" r="3.5" fill="{colour}"/>"#)?;
    }
    let (x, y) = (FRAME[0] + place, HEIGHT - 14.0);
    writeln!(svg, r#"<text x="{x}" y="{y}" fill="{colour}">{name}</text>"#)
}

/// The nearest 1, 2 or 5 times a power of ten that is no smaller.
fn round_step(step: f64) -> f64 {
    let power = 10_f64.powf(step.log10().floor());
    [1.0, 2.0, 5.0].map(|factor| factor * power).into_iter().find(|round| *round >= step).unwrap_or(10.0 * power)
}
