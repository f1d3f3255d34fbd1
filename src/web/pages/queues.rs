use std::time::Duration;

use futures_util::future::join_all;
use maud::{Markup, html};

use super::{
    bar::bar,
    frame::frame,
    lately::unknown,
    parts::{figure, state},
    plot,
    since::since,
};
use crate::{
    name::QueueName,
    operate::{KnownQueue, OperateError, Operator, Overview, Throughput, queues},
    web::{fields::Fields, trouble::Trouble, visit::Visit},
};

/// The time that a card tells of.
pub(crate) const HOUR: Duration = Duration::from_secs(3_600);

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
                @for (known, look) in &looked {
                    @match look {
                        Ok(look) => { (card(&visit, look)) }
                        Err(trouble) => { (broken(known, trouble)) }
                    }
                }
            }
        },
    ))
}

/// What is told of a queue.
struct Look {
    name: QueueName,
    overview: Overview,
    hour: Result<Vec<Throughput>, OperateError>,
}

async fn look(visit: &Visit, known: &KnownQueue) -> Result<Look, Trouble> {
    let operator = Operator::of_known(&visit.dashboard.database, known)?;
    let (overview, hour) = futures_util::join!(operator.overview(), operator.throughput(HOUR));
    Ok(Look { name: operator.name().clone(), overview: overview?, hour })
}

fn card(visit: &Visit, Look { name, overview, hour }: &Look) -> Markup {
    html! {
        article class="card" {
            h2 { a href=(visit.queue(name, "")) { bdi { (name) } } }
            @if overview.paused.iter().any(|pause| pause.kind.is_none()) { span class="tag paused" { "paused" } }
            @else if !overview.paused.is_empty() { span class="tag paused" { "a type is paused" } }
            (bar(&overview.depth))
            (depth(visit, name, overview))
            (since(visit, name, overview, hour.as_deref().ok()))
            @match hour {
                Ok(hour) => { (plot::small(hour)) }
                Err(error) => { (unknown(error)) }
            }
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
