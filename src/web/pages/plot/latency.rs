use chrono::{DateTime, Utc};
use maud::{Markup, html};

use super::{
    frame::{Frame, line},
    scale::Logarithmic,
};
use crate::operate::{Quantiles, seconds};

/// The series: which quantile, and what it is called.
type Series = (&'static str, fn(&Quantiles) -> f64);

const SERIES: [Series; 3] = [("p50", |times| times.p50), ("p95", |times| times.p95), ("p99", |times| times.p99)];

/// How long something took in each step, by quantiles on a scale of powers of ten.
pub(crate) fn latency(id: &str, title: &str, steps: &[(DateTime<Utc>, Option<Quantiles>)]) -> Markup {
    let known = steps.iter().filter_map(|(_, times)| times.as_ref());
    let all = known.flat_map(|times| SERIES.map(|(_, of)| of(times)));
    let Some(scale) = Logarithmic::of(all.clone()) else {
        return html! {
            figure class="plot" { figcaption { b { (title) } } p class="quiet" { "Nothing is known of this time." } }
        };
    };
    let row = |(from, times): &(DateTime<Utc>, Option<Quantiles>)| {
        let cells = SERIES.map(|(_, of)| times.as_ref().map(|times| seconds(of(times))));
        let cells: Option<Vec<_>> = cells.into_iter().collect();
        Some(std::iter::once(from.format("%H:%MZ").to_string()).chain(cells?).collect())
    };
    let (least, most) = (all.clone().fold(f64::INFINITY, f64::min), all.fold(0.0, f64::max));
    let times: Vec<_> = steps.iter().map(|(from, _)| *from).collect();
    let frame = Frame {
        id,
        title,
        told: format!(
            "Half, 95 and 99 of a hundred did not take longer than this; the least is {} and the most {}.",
            seconds(least),
            seconds(most)
        ),
        series: &SERIES.map(|(name, _)| (name, name)),
        marks: scale.marks(),
        times: &times,
        heads: &["From", "p50", "p95", "p99"],
        rows: steps.iter().rev().filter_map(row).collect(),
    };
    frame.around(html! {
        @for (name, of) in SERIES {
            @let heights: Vec<_> = steps.iter().map(|(_, times)| times.as_ref().map(|times| scale.height(of(times)))).collect();
            (line(name, &heights))
        }
    })
}
