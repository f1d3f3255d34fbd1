use actix_web::web::{Path, Query};
use maud::{Markup, html};

use super::{
    act::notice,
    frame::{Crumb, frame},
    parts::{button, class, kind, moment, state, word},
};
use crate::{
    job::State,
    name::QueueName,
    operate::{Cursor, Filter, JobRow, Operator, Page},
    web::{fields::Fields, filter, trouble::Trouble, verb::Verb, visit::Visit},
};

/// So many jobs are a page.
const LIMIT: usize = 50;

/// Longer texts are cut here; the job's own page has them whole.
const REMARK: usize = 200;

/// A page of the jobs that a filter means.
pub(crate) async fn page(
    visit: Visit,
    path: Path<(String, String)>,
    Query(fields): Query<Fields>,
) -> Result<Markup, Trouble> {
    let operator = visit.operator(&path.0, &path.1).await?;
    let name = operator.name();
    let (wanted, given) = (filter::filter(&fields)?, fields.only(&filter::NAMES));
    visit.check(&wanted)?;
    let from: Option<Cursor> = filter::number(&fields, "from")?;
    let page = visit.redacted(name, operator.list(&wanted, from.as_ref(), LIMIT).await?);
    Ok(frame(
        &visit,
        &format!("Jobs of {name}"),
        &[Crumb::queue(&visit, name), Crumb::here("Jobs")],
        html! {
            h1 { "Jobs" }
            (notice(&fields))
            (search(&visit, &operator, &given, &wanted))
            form method="get" action=(visit.queue(name, "/act")) {
                div id="jobs" data-live { (list(&visit, name, &page)) }
                @if visit.acts && !page.jobs.is_empty() { (actions(&given)) }
            }
            (pager(&visit, name, &given, &page, from.is_some()))
        },
    ))
}

fn search(visit: &Visit, operator: &Operator, given: &Fields, wanted: &Filter) -> Markup {
    let name = operator.name();
    let value = |field| given.one(field);
    let open = ["error", "params", "older", "younger", "node"].iter().any(|field| value(field).is_some());
    html! {
        form class="search" method="get" action=(visit.queue(name, "/jobs")) role="search" aria-label="Filter" {
            fieldset class="chips" {
                legend { "State" }
                @for state in State::ALL {
                    label class={ "chip " (class(state)) } {
                        input type="checkbox" name="state" value=(state) checked[wanted.states.contains(&state)];
                        (word(state))
                    }
                }
            }
            @if !operator.is_binary() {
                label { "Type" input name="type" value=[value("type")] autocomplete="off"; }
            }
            details open[open] {
                summary { "More filters" }
                div class="fields" {
                    @if !visit.dashboard.redact.hides_errors() {
                        label { "Error contains" input name="error" value=[value("error")] autocomplete="off"; }
                    }
                    @if !operator.is_binary() && !visit.dashboard.redact.is_set() {
                        label { "Params fulfil"
                            input name="params" value=[value("params")] placeholder="$.size > 10" autocomplete="off"; }
                    }
                    label { "Older than" input name="older" value=[value("older")] placeholder="2h" autocomplete="off"; }
                    label { "Younger than" input name="younger" value=[value("younger")] placeholder="7d" autocomplete="off"; }
                    label { "Held by process" input name="node" value=[value("node")] inputmode="numeric" autocomplete="off"; }
                }
            }
            div class="row" {
                button class="first" { "Filter" }
                @if !wanted.is_everything() { a href=(visit.queue(name, "/jobs")) { "All jobs" } }
            }
        }
    }
}

fn list(visit: &Visit, name: &QueueName, page: &Page) -> Markup {
    html! {
        @if page.jobs.is_empty() {
            div class="empty" {
                @if page.next.is_some() {
                    h2 { "Nothing yet" }
                    p { "None of the first " (page.searched) " jobs is meant. There are more to look through." }
                } @else {
                    h2 { "No such jobs" }
                    p { "What is completed is deleted. A job that you miss has run, or never was: the transaction that "
                        "enqueued it may have rolled back." }
                }
            }
        } @else {
            table class="list jobs" {
                thead {
                    tr {
                        @if visit.acts { th class="tick" { span class="unseen" { "Tick" } } }
                        th class="number" { "Job" } th { "State" } th { "Type" } th class="number" { "Attempt" }
                        th { "When" } th { "Last error, or params" }
                    }
                }
                tbody { @for job in &page.jobs { (row(visit, name, job)) } }
            }
        }
    }
}

fn row(visit: &Visit, name: &QueueName, job: &JobRow) -> Markup {
    let (label, at) = match job.state {
        State::Scheduled | State::Retry => ("due", job.schedule),
        State::Available => ("waits since", job.schedule),
        State::Reserved => ("claimed", job.updated_at),
        State::InProgress => ("since", job.updated_at),
        State::Failed => ("failed", job.updated_at),
    };
    html! {
        tr {
            @if visit.acts {
                td class="tick" { input type="checkbox" name="tick" value=(job.id) aria-label={ "job " (job.id) }; }
            }
            td class="number main" { a href=(visit.job(name, job.id)) { (job.id) } }
            td { (state(job.state)) }
            td class="type" { (kind(job.kind.as_deref())) }
            td class="number" data-label="attempt" { (job.attempt) "/" (job.max_attempts) }
            td class="when whole" { span class="quiet" { (label) } " " (moment(at)) }
            td class="remark whole" { (remark(job)) }
        }
    }
}

fn remark(job: &JobRow) -> Markup {
    html! {
        @match (job.errors.last(), &job.params) {
            (Some(error), _) => { bdi class="error" { (cut(&error.line())) } }
            (None, Some(params)) => { code { bdi { (cut(params.get())) } } }
            (None, None) => { span class="quiet" { (job.params_bytes) " bytes of params" } }
        }
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(REMARK) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn actions(given: &Fields) -> Markup {
    html! {
        div class="actions" {
            @for (field, value) in &given.0 { input type="hidden" name=(field) value=(value); }
            label { "With "
                select name="which" {
                    option value="ticked" { "the ticked jobs" }
                    option value="all" { "all that the filter means" }
                }
            }
            @for verb in Verb::ALL { (button(verb)) }
        }
    }
}

fn pager(visit: &Visit, name: &QueueName, given: &Fields, page: &Page, later: bool) -> Markup {
    html! {
        nav class="pager" aria-label="Pages" {
            @if later { a href=(visit.jobs(name, given)) { "← First page" } }
            @if let Some(next) = &page.next {
                a rel="next" href=(visit.jobs(name, &given.clone().with("from", next))) { "Next page →" }
            }
        }
    }
}
