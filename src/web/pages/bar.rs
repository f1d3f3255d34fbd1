use maud::{Markup, html};

use super::parts::{class, thousands, word};
use crate::{job::State, operate::Depth};

/// In thousandths of the bar.
const WIDTH: i64 = 1_000;

/// No part that is there is thinner than can be seen.
const LEAST: i64 = 6;

/// The states' shares of a queue as one bar.
pub(crate) fn bar(depth: &[Depth]) -> Markup {
    let total: i64 = depth.iter().map(|depth| depth.figure.jobs).sum();
    let told = depth.iter().filter(|depth| depth.figure.jobs > 0);
    let told: Vec<_> = told.map(|depth| format!("{} {}", thousands(depth.figure.jobs), word(depth.state))).collect();
    let label = if told.is_empty() { "no jobs".to_owned() } else { told.join(", ") };
    html! {
        svg class="bar" viewBox={ "0 0 " (WIDTH) " 8" } preserveAspectRatio="none" role="img" aria-label=(label) {
            rect class="none" x="0" y="0" width=(WIDTH) height="8" {}
            @for part in parts(depth, total) {
                rect class=(class(part.state)) x=(part.from) y="0" width=(part.width) height="8" {}
            }
        }
    }
}

/// What one state takes of the bar.
struct Part {
    state: State,
    from: i64,
    width: i64,
}

fn parts(depth: &[Depth], total: i64) -> Vec<Part> {
    let there: Vec<_> = depth.iter().filter(|depth| depth.figure.jobs > 0).collect();
    let spare = WIDTH - LEAST * i64::try_from(there.len()).unwrap_or(0);
    let share = |jobs: i64| i64::try_from(i128::from(spare) * i128::from(jobs) / i128::from(total.max(1))).unwrap_or(0);
    let mut from = 0;
    let part = |depth: &Depth| {
        let part = Part { state: depth.state, from, width: LEAST + share(depth.figure.jobs) };
        from += part.width;
        part
    };
    let mut parts: Vec<_> = there.into_iter().map(part).collect();
    if let Some(last) = parts.last_mut() {
        last.width = WIDTH - last.from;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operate::Figure;

    #[test]
    fn a_share_is_never_too_thin_to_see_and_all_fit_in() {
        let depth = |state, jobs| Depth { state, figure: Figure { jobs, exact: true } };
        let all = [depth(State::Available, i64::MAX / 2), depth(State::Retry, 0), depth(State::Failed, 1)];

        let widths: Vec<_> = parts(&all, i64::MAX / 2 + 1).iter().map(|part| part.width).collect();

        assert_eq!(widths.len(), 2);
        assert!(widths.iter().all(|width| *width >= LEAST) && widths.iter().sum::<i64>() <= WIDTH, "{widths:?}");
    }
}
