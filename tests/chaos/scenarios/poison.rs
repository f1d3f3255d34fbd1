//! Jobs that take down more than themselves. They end FAILED after their attempts, each of which has left its
//! reason; all others go on, in what is left of the process or in another.

use std::time::{Duration, Instant};

use crate::{
    failure::Failure,
    load::Planned,
    outcome::Outcome,
    process::Start,
    scene::{Scene, Setup},
    server::number,
    stage::Stage,
    worker::poison::{ABORT, BLOCK, EAT, OVERFLOW, PANIC},
};

/// How often a job that ends its process is tried.
const ATTEMPTS: i32 = 3;

/// What is known of the end of an attempt that took its process along.
const DIED: &str = "died";

pub(super) async fn panics<'a>(stage: &'a Stage<'a>) -> Result<Outcome, Failure> {
    let scene = Scene::begin(stage, Setup::default()).await?;
    scene.fault("has jobs that panic");
    let poison: Vec<_> = (0..30).map(|number| Planned::poison(number, PANIC, ATTEMPTS)).collect();
    poisoned(scene, &poison, 0, "poison").await
}

pub(super) async fn aborts<'a>(stage: &'a Stage<'a>) -> Result<Outcome, Failure> {
    deadly(stage, ABORT).await
}

pub(super) async fn overflows<'a>(stage: &'a Stage<'a>) -> Result<Outcome, Failure> {
    deadly(stage, OVERFLOW).await
}

/// The limit is the process's own: without one the kernel would choose whom to end.
pub(super) async fn eats<'a>(stage: &'a Stage<'a>) -> Result<Outcome, Failure> {
    deadly(stage, EAT).await
}

/// The threads stay blocked, so a process may be left with one that works, and ends in time all the same.
pub(super) async fn blocks<'a>(stage: &'a Stage<'a>) -> Result<Outcome, Failure> {
    let mut scene = Scene::prepare(stage, Setup::default()).await?;
    scene.task.execution_timeout_ms = 4_000;
    scene.task.shutdown_timeout_ms = 5_000;
    // What is claimed for a worker whose thread is blocked waits for so long.
    scene.task.reservation_timeout_ms = 5_000;
    for _ in 0..2 {
        scene.hire().await?;
    }
    scene.warm_up().await?;
    scene.fault("has a job that blocks its threads");
    poisoned(scene, &[Planned::poison(0, BLOCK, 2)], 0, "blocks the thread").await
}

async fn deadly<'a>(stage: &'a Stage<'a>, kind: &'static str) -> Result<Outcome, Failure> {
    let mut scene = Scene::prepare(stage, Setup::default()).await?;
    let limit = "ulimit -c 0; ulimit -v 1500000; exec \"$0\" \"$@\"";
    scene.start = Start {
        before: ["sh", "-c", limit].map(str::to_owned).to_vec(),
        environment: vec![("MALLOC_ARENA_MAX".to_owned(), "2".to_owned())],
        ..Start::default()
    };
    for _ in 0..2 {
        scene.hire().await?;
    }
    scene.warm_up().await?;
    scene.fault("has a job that ends its process");
    poisoned(scene, &[Planned::poison(0, kind, ATTEMPTS)], ATTEMPTS, DIED).await
}

/// Plays the poison until all of it is FAILED, and looks at what is told of each attempt.
async fn poisoned(mut scene: Scene<'_>, poison: &[Planned], deaths: i32, reason: &str) -> Result<Outcome, Failure> {
    const PATIENCE: Duration = Duration::from_secs(60);
    scene.enqueue(poison).await?;
    let client = scene.client().await?;
    let (begun, mut dead) = (Instant::now(), 0);
    while number(&client, "SELECT count(*) FROM jobs WHERE state = 'FAILED'").await? < poison.len() as i64 {
        if begun.elapsed() > PATIENCE {
            scene.miss(format!("what cannot be done was not FAILED within {PATIENCE:?}"));
            break;
        }
        dead += scene.replace_dead().await?;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let ended = Instant::now();
    if i32::try_from(dead) != Ok(deaths) {
        scene.miss(format!("{deaths} attempts were to end their process, and {dead} processes ended"));
    }
    let told = format!(
        "SELECT count(*) FROM jobs WHERE state = 'FAILED' AND attempt = max_attempts \
            AND jsonb_array_length(errors) = max_attempts AND (errors -> -1 ->> 'attempt')::int = max_attempts \
            AND NOT EXISTS (SELECT FROM jsonb_array_elements(errors) AS t (error) \
                             WHERE error ->> 'error' NOT LIKE '%{reason}%')"
    );
    let untold = poison.len() as i64 - number(&client, &told).await?;
    if untold > 0 {
        scene.miss(format!("{untold} failed jobs do not tell that each of their attempts {reason}"));
    }
    scene.conclude(ended).await
}
