use chrono::{DateTime, Utc};
use maud::{Markup, html};

use super::scale::{HEIGHT, STEP};

/// What stands around the shapes of a plot.
pub(super) struct Frame<'a> {
    /// Tells it from others of the page.
    pub(super) id: &'a str,
    pub(super) title: &'a str,
    /// What it shows, for those who do not see it.
    pub(super) told: String,
    /// Each series: its class, and what it is called.
    pub(super) series: &'a [(&'a str, &'a str)],
    /// At equal distances, from the top down.
    pub(super) marks: Vec<String>,
    /// When each step begins.
    pub(super) times: &'a [DateTime<Utc>],
    /// What the table is headed with.
    pub(super) heads: &'a [&'a str],
    /// Its rows, each with a cell for each head.
    pub(super) rows: Vec<Vec<String>>,
}

impl Frame<'_> {
    pub(super) fn around(self, shapes: Markup) -> Markup {
        let (first, middle) = (self.times.first(), self.times.get(self.times.len() / 2));
        html! {
            figure class="plot" {
                figcaption {
                    b { (self.title) }
                    @for (class, name) in self.series { span class={ "key " (class) } { (name) } }
                }
                div class="axes" {
                    div class="scale" aria-hidden="true" { @for mark in &self.marks { span { (mark) } } }
                    (canvas(self.times.len(), self.title, &self.told, html! { (grid(self.times.len(), self.marks.len())) (shapes) }))
                    div class="times" aria-hidden="true" {
                        @for time in [first, middle].into_iter().flatten() { span { (time.format("%H:%MZ")) } }
                        span { "now" }
                    }
                }
                details id={ (self.id) "-figures" } {
                    summary { "The figures" }
                    div class="scroll" tabindex="0" role="region" aria-label={ (self.title) ", the figures" } {
                        table class="figures" {
                            thead { tr { @for head in self.heads { th scope="col" { (head) } } } }
                            tbody { @for row in self.rows { tr { @for cell in row { td { (cell) } } } } }
                        }
                    }
                }
            }
        }
    }
}

/// Room for shapes, which takes whatever size its place has.
pub(super) fn canvas(steps: usize, title: &str, told: &str, shapes: Markup) -> Markup {
    html! {
        svg viewBox={ "0 0 " (width(steps)) " " (HEIGHT) } preserveAspectRatio="none" role="img" {
            title { (title) }
            desc { (told) }
            (shapes)
        }
    }
}

pub(super) fn width(steps: usize) -> i64 {
    STEP * i64::try_from(steps).unwrap_or(1).max(1)
}

/// Where a step is from left to right.
pub(super) fn across(step: usize) -> i64 {
    STEP * i64::try_from(step).unwrap_or(0)
}

/// A line at each mark.
fn grid(steps: usize, marks: usize) -> Markup {
    let last = i64::try_from(marks.saturating_sub(1)).unwrap_or(1).max(1);
    html! {
        @for mark in 0..=last {
            path class="grid" d={ "M0 " (HEIGHT * mark / last) "H" (width(steps)) } {}
        }
    }
}

/// A line through the heights of the steps, broken where there is none.
pub(super) fn line(class: &str, heights: &[Option<i64>]) -> Markup {
    let mut path = String::new();
    let mut drawn = false;
    for (step, height) in heights.iter().enumerate() {
        if let Some(height) = height {
            let (x, y) = (across(step) + STEP / 2, HEIGHT - height);
            // A place with none beside it is a dot, by the round end of a line of no length.
            path.push_str(&if drawn { format!("L{x} {y}") } else { format!("M{x} {y}h0") });
        }
        drawn = height.is_some();
    }
    html! { path class={ "line " (class) } d=(path) {} }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_broken_where_nothing_is_known() {
        let drawn = line("x", &[Some(0), Some(HEIGHT), None, Some(500)]).into_string();

        assert_eq!(drawn, r#"<path class="line x" d="M5 1000h0L15 0M35 500h0"></path>"#);
    }
}
