//! A dashboard and a JSON API for actix-web applications, over the same core as the command line.
//!
//! One line mounts it under any path. Whoever mounts it says who may see it, by a function of the request, or that
//! everybody may; there is no third way. It changes nothing unless that is allowed too.
//!
//! ```no_run
//! use actix_job_queue::{Database, web::{Access, Dashboard}};
//! use actix_web::{App, HttpRequest, HttpServer, error::ErrorForbidden};
//!
//! async fn operators(request: &HttpRequest) -> actix_web::Result<Access> {
//!     match request.headers().get("x-user") {
//!         Some(user) if user == "ada" => Ok(Access::Act),
//!         Some(_) => Ok(Access::Read),
//!         None => Err(ErrorForbidden("Ask Ada.")),
//!     }
//! }
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let database = Database::connect("postgres://localhost/app").await?;
//! let dashboard = Dashboard::guarded(&database, operators).allow_actions();
//! HttpServer::new(move || App::new().service(dashboard.at("/jobs"))).bind("127.0.0.1:8080")?.run().await?;
//! # Ok(()) }
//! ```
//!
//! [`HealthCheck`] is apart from it: whether the queues are well, for load balancers and whatever restarts programs.
//!
//! The JSON API is under `api/`, described by `api/openapi.json`, behind the same guard and with the same verbs as the
//! command line.

mod access;
mod api;
mod assets;
mod bulk;
mod dashboard;
mod enter;
mod fields;
mod filter;
mod headers;
mod health;
mod pages;
mod post;
mod token;
mod trouble;
mod verb;
mod visit;

pub use {access::Access, dashboard::Dashboard, health::HealthCheck};
