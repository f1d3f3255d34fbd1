//! The dashboard in an application of one's own: `cargo run --example dashboard --features web`, with DATABASE_URL set.

use std::{env, error::Error};

use actix_job_queue::{
    Database, Queue, QueueName,
    operate::Redaction,
    web::{Access, Dashboard, HealthCheck},
};
use actix_web::{App, HttpRequest, HttpServer};
use serde_json::{Value, json};

/// Whoever sits at this machine may look; who has started it with `OPERATOR` set may act too.
async fn guard(request: &HttpRequest) -> actix_web::Result<Access> {
    let near = request.peer_addr().is_some_and(|peer| peer.ip().is_loopback());
    match (near, env::var_os("OPERATOR")) {
        (true, Some(_)) => Ok(Access::Act),
        (true, None) => Ok(Access::Read),
        (false, _) => Err(actix_web::error::ErrorForbidden("open it on the machine itself")),
    }
}

/// What nobody sees, whoever looks.
struct NoSecrets;

impl Redaction for NoSecrets {
    fn params(&self, _: &QueueName, _: Option<&str>, mut params: Value) -> Value {
        for secret in ["password", "token"] {
            if let Some(value) = params.get_mut(secret) {
                *value = json!("•••");
            }
        }
        params
    }

    fn error(&self, _: &QueueName, _: Option<&str>, text: String) -> String {
        // What is quoted may be a value of the params.
        text.split('"').enumerate().map(|(nth, part)| if nth % 2 == 0 { part } else { "•••" }).collect()
    }
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let database = Database::connect(&env::var("DATABASE_URL")?).await?;
    let jobs = Queue::builder(&database, "jobs").build()?;
    jobs.migrate().await?;
    let dashboard = Dashboard::guarded(&database, guard).allow_actions().redact_with(NoSecrets);
    let health = HealthCheck::of(&jobs);
    println!("http://127.0.0.1:8080/jobs and http://127.0.0.1:8080/health");
    HttpServer::new(move || App::new().service(dashboard.at("/jobs")).service(health.at("/health")))
        .bind("127.0.0.1:8080")?
        .run()
        .await?;
    Ok(())
}
