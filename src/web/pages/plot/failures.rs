use chrono::{DateTime, Utc};
use maud::{Markup, html};

use crate::{
    job::State,
    name::QueueName,
    operate::{Reason, TypeActivity},
    web::{
        fields::Fields,
        pages::parts::{ago, kind, thousands},
        visit::Visit,
    },
};

/// More rows are not shown.
const SHOWN: usize = 20;

/// In thousandths of a bar.
const WIDTH: i64 = 1_000;

/// How many attempts of each type failed. The figures stand beside the bars.
pub(crate) fn by_type(visit: &Visit, name: &QueueName, types: &[TypeActivity]) -> Markup {
    let mut failed: Vec<_> = types.iter().filter(|kind| kind.failed > 0).collect();
    failed.sort_by_key(|kind| std::cmp::Reverse(kind.failed));
    let most = failed.first().map_or(1, |kind| kind.failed);
    html! {
        @if failed.is_empty() { p class="quiet" { "No attempt has failed." } } @else {
            table class="bars" {
                thead { tr { th { "Type" } th class="number" { "Failed" } th class="number" { "Share" } th { span class="unseen" { "As a bar" } } } }
                tbody {
                    @for one in failed.iter().take(SHOWN) {
                        tr {
                            td class="whole" {
                                @match &one.kind {
                                    Some(text) => {
                                        @let filter = Fields::default().with("state", State::Failed).with("type", text);
                                        a href=(visit.jobs(name, &filter)) { (kind(Some(text))) }
                                    }
                                    None => { (kind(None)) }
                                }
                            }
                            td class="number" data-label="failed" { (thousands(one.failed)) }
                            td class="number" data-label="share" { (share(one.failed, one.completed)) }
                            td class="length" { (length(one.failed, most)) }
                        }
                    }
                }
            }
        }
    }
}

/// How often attempts failed for each reason.
pub(crate) fn by_error(visit: &Visit, name: &QueueName, reasons: &[Reason], now: DateTime<Utc>) -> Markup {
    let most = reasons.iter().map(|reason| reason.failures).max().unwrap_or(1);
    html! {
        @if reasons.is_empty() { p class="quiet" { "No reason is known." } } @else {
            table class="bars" {
                thead { tr { th { "Error" } th { "Type" } th class="number" { "Failed" } th { "Last" } th { span class="unseen" { "As a bar" } } } }
                tbody {
                    @for reason in reasons.iter().take(SHOWN) {
                        tr {
                            td class="whole" { bdi class="error" { (reason.error) } }
                            td class="type" { (kind(reason.kind.as_deref())) }
                            td class="number" data-label="failed" { (thousands(reason.failures)) }
                            td { a href=(visit.job(name, reason.last_id)) { "job " (reason.last_id) } ", " (ago(reason.last_at, now)) }
                            td class="length" { (length(reason.failures, most)) }
                        }
                    }
                }
            }
        }
    }
}

/// How many of a hundred attempts failed.
pub(crate) fn share(failed: i64, completed: i64) -> String {
    #[allow(clippy::cast_precision_loss, reason = "a share to one digit")]
    let share = failed as f64 * 100.0 / (failed + completed).max(1) as f64;
    format!("{share:.1} %")
}

fn length(number: i64, most: i64) -> Markup {
    let width = i64::try_from(i128::from(number) * i128::from(WIDTH) / i128::from(most.max(1))).unwrap_or(WIDTH);
    html! {
        svg class="bar" viewBox={ "0 0 " (WIDTH) " 8" } preserveAspectRatio="none" aria-hidden="true" {
            rect class="failed" x="0" y="0" width=(width.clamp(4, WIDTH)) height="8" {}
        }
    }
}
