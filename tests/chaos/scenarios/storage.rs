//! What the server itself may run out of, or put an end to.

use std::time::{Duration, Instant};

use crate::{
    failure::Failure,
    load::{Fate, Planned},
    outcome::Outcome,
    scene::{Scene, Setup},
    server::{WORKERS, number, workers_url},
    stage::Stage,
    worker::IDLE,
};

/// The role that the workers are, which somebody sets limits for.
const ROLE: &str = "limited";

async fn as_a_role<'a>(stage: &'a Stage<'a>) -> Result<Scene<'a>, Failure> {
    let mut scene = Scene::prepare(stage, Setup::default()).await?;
    let grant = format!(
        "CREATE ROLE {ROLE} LOGIN; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {ROLE}"
    );
    scene.client().await?.batch_execute(&grant).await?;
    scene.task.url = workers_url(&scene.url.replace("postgres@", &format!("{ROLE}@")));
    for _ in 0..2 {
        scene.hire().await?;
    }
    scene.warm_up().await?;
    Ok(scene)
}

/// Sets something for the role, and has its connections opened anew, so that it is so for all of them.
async fn set(scene: &Scene<'_>, settings: &str) -> Result<(), Failure> {
    let client = scene.client().await?;
    client.batch_execute(settings).await?;
    let lose =
        format!("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = '{WORKERS}'");
    number(&client, &lose).await?;
    Ok(())
}

/// Somebody locks the table again and again, for longer than a statement or a lock may take.
pub(super) async fn timeouts<'a>(stage: &'a Stage<'a>) -> Result<Outcome, Failure> {
    let scene = as_a_role(stage).await?;
    scene.fault("has low time-outs, and its table locked");
    set(
        &scene,
        &format!("ALTER ROLE {ROLE} SET statement_timeout = '100ms'; ALTER ROLE {ROLE} SET lock_timeout = '50ms'"),
    )
    .await?;
    let client = scene.client().await?;
    for _ in 0..stage.short_or(4, 15) {
        let lock = "BEGIN; LOCK TABLE jobs IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(0.4); COMMIT";
        client.batch_execute(lock).await?;
        tokio::time::sleep(Duration::from_millis(600)).await;
    }
    set(&scene, &format!("ALTER ROLE {ROLE} RESET statement_timeout; ALTER ROLE {ROLE} RESET lock_timeout")).await?;
    scene.conclude(Instant::now()).await
}

/// Handlers that do nothing for longer with their completion open are FAILED in the end, and nobody else.
pub(super) async fn idle<'a>(stage: &'a Stage<'a>) -> Result<Outcome, Failure> {
    let mut scene = as_a_role(stage).await?;
    scene.fault("has idle transactions ended");
    set(&scene, &format!("ALTER ROLE {ROLE} SET idle_in_transaction_session_timeout = '300ms'")).await?;
    let jobs: Vec<_> = (0..20)
        .map(|number| Planned { work_ms: 1_500, max_attempts: 2, fate: Fate::Failed, ..Planned::own(number, IDLE) })
        .collect();
    scene.enqueue(&jobs).await?;
    let failed = "(SELECT count(*) FROM jobs WHERE state = 'FAILED' AND jsonb_array_length(errors) = 2) = 20";
    scene.until("those that are idle are FAILED, with two errors each", failed, Duration::from_secs(30)).await?;
    set(&scene, &format!("ALTER ROLE {ROLE} RESET idle_in_transaction_session_timeout")).await?;
    scene.conclude(Instant::now()).await
}
