use chrono::{DateTime, Utc};
use maud::{Markup, html};

use super::{
    frame::{Frame, across, canvas, line},
    scale::{HEIGHT, Linear, STEP},
};
use crate::{operate::Throughput, web::pages::parts::thousands};

/// How many jobs came in and went out in each step: what ended as bars, what came in as a line above or below them.
pub(crate) fn throughput(id: &str, steps: &[Throughput], step: &str) -> Markup {
    let scale = Linear::up_to(most(steps));
    let times: Vec<DateTime<Utc>> = steps.iter().map(|step| step.from).collect();
    let happened = steps.iter().rev().filter(|step| happened(step));
    let row = |step: &Throughput| {
        vec![
            step.from.format("%H:%MZ").to_string(),
            step.inserted.map_or("?".to_owned(), thousands),
            thousands(step.completed),
            thousands(step.failed),
        ]
    };
    let frame = Frame {
        id,
        title: &format!("Jobs in each {step}"),
        told: told(steps, step),
        series: &[("in", "in"), ("completed", "completed"), ("failed", "failed")],
        marks: vec![thousands(scale.top), thousands(scale.top / 2), "0".to_owned()],
        times: &times,
        heads: &["From", "In", "Completed", "Failed"],
        rows: happened.map(row).collect(),
    };
    frame.around(shapes(steps, scale))
}

/// The same without what stands around it, where the figures stand beside it.
pub(crate) fn small(steps: &[Throughput]) -> Markup {
    if !steps.iter().any(happened) {
        return html! { p class="quiet spark" { "Nothing has run in the last hour." } };
    }
    let title = "Jobs in and out in each minute of the last hour";
    html! {
        div class="spark" { (canvas(steps.len(), title, &told(steps, "minute"), shapes(steps, Linear::just(most(steps))))) }
    }
}

fn happened(step: &Throughput) -> bool {
    step.inserted.unwrap_or_default() + step.completed + step.failed > 0
}

/// The greatest number of a step.
fn most(steps: &[Throughput]) -> i64 {
    let most = |step: &Throughput| step.inserted.unwrap_or_default().max(step.completed + step.failed);
    steps.iter().map(most).max().unwrap_or_default()
}

fn shapes(steps: &[Throughput], scale: Linear) -> Markup {
    let inserted: Vec<_> = steps.iter().map(|step| step.inserted.map(|inserted| scale.height(inserted))).collect();
    html! {
        @for (place, step) in steps.iter().enumerate() {
            @let (completed, failed) = (scale.height(step.completed), scale.height(step.failed));
            (bar("completed", place, 0, completed))
            (bar("failed", place, completed, failed))
        }
        (line("in", &inserted))
    }
}

fn bar(class: &str, step: usize, from: i64, height: i64) -> Markup {
    let height = height.min(HEIGHT - from);
    html! {
        @if height > 0 {
            rect class=(class) x=(across(step) + 1) y=(HEIGHT - from - height) width=(STEP - 2) height=(height) {}
        }
    }
}

fn told(steps: &[Throughput], step: &str) -> String {
    let sum = |of: fn(&Throughput) -> i64| thousands(steps.iter().map(of).sum());
    let most = |of: fn(&Throughput) -> i64| thousands(steps.iter().map(of).max().unwrap_or_default());
    format!(
        "{} jobs came in, at most {} in a {step}; {} were completed, at most {}; {} attempts failed, at most {}.",
        sum(|step| step.inserted.unwrap_or_default()),
        most(|step| step.inserted.unwrap_or_default()),
        sum(|step| step.completed),
        most(|step| step.completed),
        sum(|step| step.failed),
        most(|step| step.failed),
    )
}
