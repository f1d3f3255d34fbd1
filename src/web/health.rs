//! Whether queues are well, for whoever restarts programs, sends them requests, or wakes people.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use actix_web::{
    HttpResponse, Scope,
    dev::HttpServiceFactory,
    http::header::CACHE_CONTROL,
    rt,
    web::{Data, get, head, resource},
};
use futures_util::future::join_all;
use serde::Serialize;
use tokio::sync::Mutex;

use crate::{
    Queue, logs,
    operate::{Health, Limits, OperateError, Operator},
    text::{self, OneLine},
};

/// Nobody waits longer for an answer. Probes of Kubernetes wait for a second unless they are told otherwise.
const PATIENCE: Duration = Duration::from_millis(750);

/// An answer is good for so long, so that whoever asks often costs the database nothing.
const FRESH: Duration = Duration::from_secs(1);

/// Routes that tell whether queues are well, apart from the [`Dashboard`](super::Dashboard) and without a guard: they name
/// queues, times and numbers, and nothing of what stands in a job, in the database's errors or in its rights. Those are
/// in the log.
///
/// ```no_run
/// use actix_job_queue::{Queue, web::HealthCheck};
/// use actix_web::{App, HttpServer};
///
/// # async fn example(jobs: Queue) -> std::io::Result<()> {
/// let health = HealthCheck::of(&jobs);
/// HttpServer::new(move || App::new().service(health.at("/health"))).bind("0.0.0.0:8080")?.run().await
/// # }
/// ```
///
/// | | answers 200 if | for |
/// | --- | --- | --- |
/// | `/health` | the queues are ready, and alive by their [`Limits`] | monitoring |
/// | `/health/ready` | the database answers and has what this version needs: jobs can be enqueued and run | load balancers |
/// | `/health/live` | jobs get to their workers in time, or nobody can tell | what restarts programs |
///
/// Else it is 503. The body says the same: `{"ready": true, "alive": false, "why": ["jobs: a job that can run has waited
/// for 12 min, longer than 5 min"]}`. A database that is away is no reason to restart a program, which would do it no good;
/// so `/health/live` answers 200 then, with `"alive": null`.
///
/// An answer comes within 750 ms and is good for a second; one question is asked at a time.
#[derive(Debug, Clone)]
#[must_use = "nothing is answered until it is mounted with at()"]
pub struct HealthCheck {
    checked: Vec<(Operator, Limits)>,
    last: Arc<Mutex<Option<(Instant, Told)>>>,
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Told {
    ready: bool,
    /// None if nobody can tell.
    alive: Option<bool>,
    why: Vec<String>,
    /// What is told to the log only.
    #[serde(skip)]
    details: Vec<NotReady>,
}

/// Why a queue is not ready, as people are told.
#[derive(Debug, Clone, PartialEq, Eq)]
struct NotReady {
    queue: String,
    why: Vec<String>,
}

impl HealthCheck {
    /// Of a queue that is well by the default [`Limits`].
    pub fn of(queue: &Queue) -> Self {
        Self { checked: Vec::new(), last: Arc::default() }.also(queue, Limits::default())
    }

    /// With limits of its own for each queue that was named so far.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.checked.iter_mut().for_each(|(_, known)| *known = limits);
        self
    }

    /// Of another queue too: all of them must be well.
    pub fn also(mut self, queue: &Queue, limits: Limits) -> Self {
        self.checked.push((Operator::of(queue), limits));
        self
    }

    /// The service to mount: `App::new().service(health.at("/health"))`.
    pub fn at(&self, path: &str) -> impl HttpServiceFactory + use<> {
        Scope::new(path.trim_end_matches('/'))
            .app_data(Data::new(self.clone()))
            .service(resource("").route(get().to(whole)).route(head().to(whole)))
            .service(resource("/ready").route(get().to(ready)).route(head().to(ready)))
            .service(resource("/live").route(get().to(live)).route(head().to(live)))
    }

    /// What is so, or was a moment ago.
    async fn told(&self) -> Told {
        let check = self.clone();
        // On its own, so that nobody's impatience leaves a statement behind on a connection that others get.
        let asked = rt::spawn(async move { check.ask().await });
        match tokio::time::timeout(PATIENCE, asked).await {
            Ok(Ok(told)) => told,
            // It goes on, and whoever asks next has what comes of it.
            Ok(Err(_)) | Err(_) => Told::unknown(format!("the database did not answer within {PATIENCE:?}")),
        }
    }

    async fn ask(&self) -> Told {
        let mut last = self.last.lock().await;
        if let Some((_, told)) = last.as_ref().filter(|(at, _)| at.elapsed() < FRESH) {
            return told.clone();
        }
        let asked = async |(operator, limits): &(Operator, Limits)| {
            Told::of(&operator.name().to_string(), operator.health(limits).await)
        };
        let told = join_all(self.checked.iter().map(asked)).await;
        let told = told.into_iter().fold(Told::well(), Told::and);
        let before = last.as_ref().map_or(&[][..], |(_, told)| &told.details[..]);
        // Once, however often it is asked while it lasts.
        told.details.iter().filter(|detail| !before.contains(detail)).for_each(NotReady::log);
        *last = Some((Instant::now(), told.clone()));
        told
    }
}

impl Told {
    fn well() -> Self {
        Self { ready: true, alive: Some(true), why: Vec::new(), details: Vec::new() }
    }

    fn unknown(why: String) -> Self {
        Self { ready: false, alive: None, why: vec![why], details: Vec::new() }
    }

    fn of(queue: &str, health: Result<Health, OperateError>) -> Self {
        let (told, details) = match health {
            Ok(Health { ready: true, alive, why, .. }) => {
                let why = why.iter().map(|why| format!("{queue}: {why}")).collect();
                return Self { alive: Some(alive), why, ..Self::well() };
            }
            Ok(Health { why, .. }) => ("its tables or rights are not what this version needs", why),
            Err(error) => ("the database could not be asked", text::chain(&error)),
        };
        let details = vec![NotReady { queue: queue.to_owned(), why: details }];
        Self { details, ..Self::unknown(format!("{queue}: {told}; the log says more")) }
    }

    fn and(mut self, other: Self) -> Self {
        self.why.extend(other.why);
        self.details.extend(other.details);
        let alive = match (self.alive, other.alive) {
            (Some(false), _) | (_, Some(false)) => Some(false),
            (one, other) => one.and(other),
        };
        Self { ready: self.ready && other.ready, alive, ..self }
    }
}

impl NotReady {
    fn log(&self) {
        let (queue, error) = (&*self.queue, OneLine(&self.why));
        log::warn!(target: logs::WEB, queue, error:%; "queue {queue} is not ready: {error}");
    }
}

async fn whole(check: Data<HealthCheck>) -> HttpResponse {
    let told = check.told().await;
    answer(told.ready && told.alive == Some(true), &told)
}

async fn ready(check: Data<HealthCheck>) -> HttpResponse {
    let told = check.told().await;
    answer(told.ready, &told)
}

async fn live(check: Data<HealthCheck>) -> HttpResponse {
    let told = check.told().await;
    answer(told.alive != Some(false), &told)
}

fn answer(well: bool, told: &Told) -> HttpResponse {
    let mut answer = if well { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() };
    answer.insert_header((CACHE_CONTROL, "no-store")).json(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_queue_that_is_unwell_is_enough_and_what_nobody_can_tell_is_not_well() {
        let told = |ready, alive| Told { ready, alive, ..Told::well() };
        let (well, late, unknown) = (told(true, Some(true)), told(true, Some(false)), told(false, None));

        assert_eq!(well.clone().and(well.clone()), well);
        assert_eq!(well.clone().and(late.clone()), late);
        assert_eq!(well.clone().and(unknown.clone()), unknown);
        assert_eq!(unknown.and(late), told(false, Some(false)));
    }
}
