//! The HTML. All text is escaped by maud; everything works by links and forms, and the script only saves reloads.

mod act;
mod bar;
mod frame;
mod job;
mod jobs;
mod lately;
mod parts;
mod pause;
mod plot;
mod processes;
mod queue;
mod queues;
mod since;

use actix_web::{
    http::StatusCode,
    web::{ServiceConfig, get, post},
};
use maud::{Markup, html};

use super::visit::Visit;
use frame::{Crumb, frame};

pub(crate) fn routes(config: &mut ServiceConfig) {
    use actix_web::web::resource;

    config
        .service(resource("/").route(get().to(queues::page)))
        .service(resource("/processes").route(get().to(processes::all)))
        .service(resource("/queues/{schema}/{table}").route(get().to(queue::page)))
        .service(resource("/queues/{schema}/{table}/processes").route(get().to(processes::of_queue)))
        .service(resource("/queues/{schema}/{table}/jobs").route(get().to(jobs::page)))
        .service(resource("/queues/{schema}/{table}/jobs/{id}").route(get().to(job::page)))
        .service(resource("/queues/{schema}/{table}/act").route(get().to(act::ask)).route(post().to(act::act)))
        .service(resource("/queues/{schema}/{table}/pause").route(post().to(pause::pause)))
        .service(resource("/queues/{schema}/{table}/resume").route(post().to(pause::resume)));
}

/// What went wrong.
pub(crate) fn trouble(visit: &Visit, status: StatusCode, text: &str) -> Markup {
    let title = match status {
        StatusCode::NOT_FOUND => "Not found",
        StatusCode::FORBIDDEN => "Refused",
        StatusCode::SERVICE_UNAVAILABLE => "The database does not answer",
        status if status.is_server_error() => "Something is wrong here",
        _ => "This cannot be answered",
    };
    frame(
        visit,
        title,
        &[Crumb::here(title)],
        html! {
            div class="notice bad" { p { bdi { (text) } } }
            p { a href=(visit.root) { "All queues" } }
        },
    )
}
