//! The dashboard in an application of one's own: `cargo run --example dashboard --features web`, with DATABASE_URL set.

use std::{env, error::Error};

use actix_job_queue::{
    Database, Queue,
    web::{Access, Dashboard},
};
use actix_web::{App, HttpRequest, HttpServer};
use serde_json::json;

/// Whoever sits at this machine may look; who has started it with `OPERATOR` set may act too.
async fn guard(request: &HttpRequest) -> actix_web::Result<Access> {
    let near = request.peer_addr().is_some_and(|peer| peer.ip().is_loopback());
    match (near, env::var_os("OPERATOR")) {
        (true, Some(_)) => Ok(Access::Act),
        (true, None) => Ok(Access::Read),
        (false, _) => Err(actix_web::error::ErrorForbidden("open it on the machine itself")),
    }
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let database = Database::connect(&env::var("DATABASE_URL")?).await?;
    Queue::builder(&database, "jobs").build()?.migrate().await?;
    let dashboard = Dashboard::guarded(&database, guard).allow_actions().redact(|_queue, _kind, mut params| {
        for secret in ["password", "token"] {
            if let Some(value) = params.get_mut(secret) {
                *value = json!("•••");
            }
        }
        params
    });
    println!("http://127.0.0.1:8080/jobs");
    HttpServer::new(move || App::new().service(dashboard.at("/jobs"))).bind("127.0.0.1:8080")?.run().await?;
    Ok(())
}
