use futures_util::future::join_all;
use maud::{Markup, html};

use super::{
    bar::bar,
    frame::frame,
    parts::{ago, figure, state},
};
use crate::{
    job::State,
    name::QueueName,
    operate::{KnownQueue, Overview, queues},
    web::{fields::Fields, trouble::Trouble, visit::Visit},
};

/// All queues of the database.
pub(crate) async fn page(visit: Visit) -> Result<Markup, Trouble> {
    let known = queues(&visit.dashboard.database).await?;
    let looked = join_all(known.iter().map(async |known| (known, look(&visit, known).await))).await;
    Ok(frame(
        &visit,
        "Queues",
        &[],
        html! {
            h1 { "Queues" }
            @if looked.is_empty() {
                div class="empty" {
                    h2 { "There is no queue yet" }
                    p { "A queue is a table. Your program makes one with " code { "queue.migrate()" } ", the command line with "
                        code { "job-queue migrate --queue jobs" } "; then it is here." }
                }
            }
            div id="queues" class="cards" data-live {
                @for (known, overview) in &looked {
                    @match overview {
                        Ok((name, overview)) => { (card(&visit, name, overview)) }
                        Err(trouble) => { (broken(known, trouble)) }
                    }
                }
            }
        },
    ))
}

async fn look(visit: &Visit, known: &KnownQueue) -> Result<(QueueName, Overview), Trouble> {
    let operator = visit.operator(&known.schema, &known.table).await?;
    Ok((operator.name().clone(), operator.overview().await?))
}

fn card(visit: &Visit, name: &QueueName, overview: &Overview) -> Markup {
    html! {
        article class="card" {
            h2 { a href=(visit.queue(name, "")) { bdi { (name) } } }
            @if overview.paused.iter().any(|pause| pause.kind.is_none()) { span class="tag paused" { "paused" } }
            @else if !overview.paused.is_empty() { span class="tag paused" { "a type is paused" } }
            (bar(&overview.depth))
            (depth(visit, name, overview))
            (since(overview))
        }
    }
}

/// The number of jobs in each state, each the way to those jobs.
pub(crate) fn depth(visit: &Visit, name: &QueueName, overview: &Overview) -> Markup {
    html! {
        ul class="depth" {
            @for depth in &overview.depth {
                li {
                    a href=(visit.jobs(name, &Fields::default().with("state", depth.state))) {
                        b class=[(depth.figure.jobs == 0).then_some("zero")] { (figure(depth.figure)) }
                        (state(depth.state))
                    }
                }
            }
        }
    }
}

/// Since when things are as they are.
pub(crate) fn since(overview: &Overview) -> Markup {
    let now = overview.now;
    let failed = overview.depth.iter().any(|depth| depth.state == State::Failed && depth.figure.jobs > 0);
    html! {
        dl class="since" {
            div { dt { "Oldest waiting" } dd {
                @match overview.waiting_since {
                    Some(at) => { (ago(at, now)) }
                    None => { span class="quiet" { "none" } }
                }
            } }
            div { dt { "Longest running" } dd {
                @match overview.running_since {
                    Some(at) => { (ago(at, now)) }
                    None => { span class="quiet" { "none" } }
                }
            } }
            div { dt { "Next due" } dd {
                @match overview.next_due {
                    Some(at) => { (ago(at, now)) }
                    None => { span class="quiet" { "none" } }
                }
            } }
            div { dt { "Last failed" } dd {
                @match overview.failed_at.filter(|_| failed) {
                    Some(at) => { (ago(at, now)) }
                    None => { span class="quiet" { "none" } }
                }
            } }
        }
    }
}

fn broken(known: &KnownQueue, trouble: &Trouble) -> Markup {
    html! {
        article class="card" {
            h2 { bdi { (known.schema) "." (known.table) } }
            @if !known.current {
                p class="notice bad" { "Its table is at migration " (known.version) ", which this version of the library does not "
                    "work with: run " code { "job-queue migrate" } "." }
            }
            p class="notice bad" { bdi { (trouble.to_string()) } }
        }
    }
}
