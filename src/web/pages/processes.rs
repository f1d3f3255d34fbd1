use std::collections::BTreeMap;

use actix_web::web::Path;
use chrono::{DateTime, Utc};
use maud::{Markup, html};

use super::{
    frame::{Crumb, frame},
    parts::{ago, jobs, kind, moment, state, thousands},
};
use crate::{
    job::State,
    name::QueueName,
    operate::{self, HeldJob, Process, Unread},
    web::{fields::Fields, trouble::Trouble, visit::Visit},
};

/// Of each process so many jobs are named, those that it has had for longest.
const NAMED: usize = 10;

/// More processes are counted only.
const SHOWN: usize = 200;

/// The processes of all queues.
pub(crate) async fn all(visit: Visit) -> Result<Markup, Trouble> {
    let told = operate::processes(&visit.dashboard.database).await?;
    let body = html! {
        h1 { "Processes" }
        div id="processes" data-live {
            @for Unread { queue, why, .. } in &told.unread {
                div class="notice bad" { p { "Queue " b { bdi { (queue) } } " could not be looked into: " bdi { (why) } } }
            }
            (list(&visit, &told.processes, true))
        }
    };
    Ok(frame(&visit, "Processes", &[Crumb::here("Processes")], body))
}

/// The processes with what they hold of one queue.
pub(crate) async fn of_queue(visit: Visit, path: Path<(String, String)>) -> Result<Markup, Trouble> {
    let operator = visit.operator(&path.0, &path.1).await?;
    let (name, processes) = (operator.name(), operator.processes().await?);
    let body = html! {
        div class="head" {
            h1 { "Processes of " bdi { (name) } }
            a class="button" href=(visit.processes()) { "Of all queues" }
        }
        div id="processes" data-live { (list(&visit, &processes, false)) }
    };
    let crumbs = [Crumb::queue(&visit, name), Crumb::here("Processes")];
    Ok(frame(&visit, &format!("Processes of {name}"), &crumbs, body))
}

fn list(visit: &Visit, processes: &[Process], queues: bool) -> Markup {
    let (busy, quiet): (Vec<_>, Vec<_>) = processes.iter().partition(|process| !process.jobs.is_empty());
    let (dead, living): (Vec<_>, Vec<_>) = busy.into_iter().partition(|process| process.dead);
    html! {
        @if processes.is_empty() {
            div class="empty" {
                h2 { "No process works here" }
                p { "A process is on this list from the start of its workers until it has stopped them, and "
                    "for a day if it died. One that only enqueues is not." }
            }
        }
        @if dead.len() + living.len() > 0 {
            div class="stack" {
                @for process in dead.iter().chain(&living).take(SHOWN) { (card(visit, process, queues)) }
            }
            (left(dead.len() + living.len()))
        }
        @if !quiet.is_empty() {
            h2 { (if queues { "Holding nothing" } else { "Holding nothing of this queue" }) }
            p class="quiet" { "A process that holds no job is not heard from, and that does not matter." }
            (idle(&quiet))
            (left(quiet.len()))
        }
    }
}

fn left(processes: usize) -> Markup {
    html! {
        @if processes > SHOWN { p class="quiet" { (processes - SHOWN) " more processes are not shown." } }
    }
}

/// One that holds jobs.
fn card(visit: &Visit, process: &Process, queues: bool) -> Markup {
    let mut longest: Vec<_> = process.jobs.iter().collect();
    longest.sort_by_key(|job| (job.since, job.id));
    html! {
        article class="card process" {
            h2 { (title(process)) }
            @if process.dead { span class="tag dead" { "counts as dead" } }
            @else { span class="tag alive" { "alive" } }
            (facts(process))
            (counts(visit, process, queues))
            table {
                thead {
                    tr {
                        th class="number" { "Job" }
                        @if queues { th { "Queue" } }
                        th { "Type" } th { "State" } th class="number" { "Attempt" } th { "Since" } th { "Held until" }
                    }
                }
                tbody { @for job in longest.iter().take(NAMED) { (row(visit, job, queues, process.now)) } }
            }
            @if longest.len() > NAMED {
                p class="quiet" { "These are the " (NAMED) " that it has had for longest, of " (jobs(longest.len()))
                    @if process.more { " at least" } "." }
            }
        }
    }
}

fn row(visit: &Visit, job: &HeldJob, queues: bool, now: DateTime<Utc>) -> Markup {
    html! {
        tr {
            td class="number main" { a href=(visit.job(&job.queue, job.id)) { (job.id) } }
            @if queues { td { a href=(visit.queue(&job.queue, "/processes")) { bdi { (job.queue) } } } }
            td class="type" { (kind(job.kind.as_deref())) }
            td { (state(job.state)) }
            td class="number" data-label="attempt" { (job.attempt) }
            td data-label="since" { (ago(job.since, now)) }
            td data-label="held until" { (ago(job.expires, now)) }
        }
    }
}

/// Its name as people look for it.
fn title(process: &Process) -> Markup {
    html! {
        @match (&process.host, &process.name) {
            (Some(host), _) => { bdi { (host) } @if let Some(pid) = process.pid { ":" (pid) } }
            (None, Some(name)) => { bdi { (name) } }
            (None, None) if process.node == 0 => { "A process that gave no number" }
            (None, None) => { "Process " (process.node) }
        }
    }
}

fn facts(process: &Process) -> Markup {
    let now = process.now;
    html! {
        dl class="since" {
            div { dt { "Process" } dd { (process.node) } }
            div { dt { "Program" } dd { bdi { (process.program.as_deref().unwrap_or("unknown")) } } }
            div { dt { "Started" } dd {
                @match process.started_at {
                    Some(at) => { (ago(at, now)) }
                    None => { span class="quiet" { "unknown" } }
                }
            } }
            div { dt { "Last heard" } dd { (heard(process)) } }
        }
        @if process.dead {
            p class="quiet" { "Any other worker of the queue takes its jobs back. If they stay, no worker of the queue runs." }
        }
    }
}

/// The database keeps when silence counts as death, and not when the process was heard from, which is some seconds before.
fn heard(process: &Process) -> Markup {
    html! {
        @match process.dead_at {
            Some(at) if process.heard => { "in time; counts as dead " (ago(at, process.now)) " if it is silent" }
            Some(at) => { "not since " (moment(at)) " (" (ago(at, process.now)) ")" }
            None => { span class="quiet" { "never, or it was taken off the list" } }
        }
    }
}

/// How many jobs it holds of each queue, by state, each the way to those jobs.
fn counts(visit: &Visit, process: &Process, queues: bool) -> Markup {
    let mut counts: BTreeMap<(String, &'static str), (&QueueName, State, i64)> = BTreeMap::new();
    for job in &process.jobs {
        let place = (job.queue.to_string(), job.state.as_str());
        counts.entry(place).or_insert((&job.queue, job.state, 0)).2 += 1;
    }
    html! {
        ul class="depth" {
            @for (queue, held, number) in counts.into_values() {
                @let filter = Fields::default().with("state", held).with("node", process.node);
                li {
                    a href=(visit.jobs(queue, &filter)) {
                        b { (thousands(number)) @if process.more { abbr title="at least" { "+" } } }
                        (state(held))
                        @if queues { span class="quiet" { " of " bdi { (queue) } } }
                    }
                }
            }
        }
    }
}

/// Those that hold nothing.
fn idle(processes: &[&Process]) -> Markup {
    html! {
        table {
            thead {
                tr { th class="number" { "Process" } th { "Host and number" } th { "Program" } th { "Started" } th { "Last heard" } }
            }
            tbody {
                @for process in processes.iter().take(SHOWN) {
                    tr {
                        td class="number" data-label="process" { (process.node) }
                        td class="main" { (title(process)) }
                        td { bdi { (process.program.as_deref().unwrap_or_default()) } }
                        td data-label="started" { @if let Some(at) = process.started_at { (moment(at)) } }
                        td data-label="last heard" {
                            @match process.dead_at {
                                Some(_) if process.heard => { "in time" }
                                Some(at) => { "before " (moment(at)) }
                                None => {}
                            }
                        }
                    }
                }
            }
        }
    }
}
