//! The same verbs as JSON, for programs: behind the same guard, and described in OpenAPI.

mod act;
mod asked;
mod read;

use actix_web::web::{ServiceConfig, get, post, resource};

pub(crate) fn routes(config: &mut ServiceConfig) {
    config
        .service(resource("/api/openapi.json").route(get().to(read::description)))
        .service(resource("/api/queues").route(get().to(read::queues)))
        .service(resource("/api/processes").route(get().to(read::all_processes)))
        .service(resource("/api/queues/{schema}/{table}").route(get().to(read::stats)))
        .service(resource("/api/queues/{schema}/{table}/activity").route(get().to(read::activity)))
        .service(resource("/api/queues/{schema}/{table}/processes").route(get().to(read::processes)))
        .service(
            resource("/api/queues/{schema}/{table}/jobs").route(get().to(read::list)).route(post().to(act::enqueue)),
        )
        .service(resource("/api/queues/{schema}/{table}/jobs/{id}").route(get().to(read::show)))
        .service(resource("/api/queues/{schema}/{table}/pause").route(post().to(act::pause)))
        .service(resource("/api/queues/{schema}/{table}/resume").route(post().to(act::resume)))
        .service(resource("/api/queues/{schema}/{table}/{verb}").route(post().to(act::act)));
}
