//! A server that is held back, and more work than there is room for. In the midst of each a process is told to end, and
//! does so within its grace period.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio_postgres::IsolationLevel;

use crate::{
    failure::Failure,
    outcome::Outcome,
    scene::{Scene, Setup},
    server::{connect, number},
    stage::Stage,
};

/// How long a worker that is told to end has for what it runs; the longest jobs of the load take 2.5 s.
const GRACE: Duration = Duration::from_secs(10);

async fn begin<'a>(stage: &'a Stage<'a>, max_demand: usize, rate: f64) -> Result<Scene<'a>, Failure> {
    let mut scene = Scene::prepare(stage, Setup { rate, ..Setup::default() }).await?;
    scene.task.max_demand = max_demand;
    scene.task.shutdown_timeout_ms = u64::try_from(GRACE.as_millis()).unwrap_or(u64::MAX);
    for _ in 0..2 {
        scene.hire().await?;
    }
    scene.warm_up().await?;
    Ok(scene)
}

/// Has one of the workers end, and another take its place.
async fn replace_one(scene: &mut Scene<'_>) -> Result<(), Failure> {
    let victim = scene.workers.remove(scene.stage.chance(2));
    scene.hire().await?;
    scene.fault("ends a worker");
    match victim.terminate(GRACE).await {
        Ok(report) if report.contains(" 0 left") => {}
        Ok(report) => scene.miss(format!("a worker that was told to end left work to a rescue: {report}")),
        Err(failure) => scene.miss(failure.to_string()),
    }
    Ok(())
}

/// A backup, or somebody's forgotten transaction: what is deleted stays in the tables and their indexes.
pub(super) async fn horizon<'a>(stage: &'a Stage<'a>) -> Result<Outcome, Failure> {
    let mut scene = begin(stage, 60, 120.0).await?;
    scene.fault("has its horizon pinned");
    let mut client = scene.client().await?;
    let builder = client.build_transaction().isolation_level(IsolationLevel::RepeatableRead);
    let transaction = builder.start().await?;
    transaction.batch_execute("CREATE TABLE pinned (); SELECT count(*) FROM jobs").await?;
    tokio::time::sleep(stage.short_or(Duration::from_secs(5), Duration::from_secs(30))).await;
    replace_one(&mut scene).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    transaction.rollback().await?;
    scene.conclude(Instant::now()).await
}

pub(super) async fn readers<'a>(stage: &'a Stage<'a>) -> Result<Outcome, Failure> {
    let mut scene = begin(stage, 60, 120.0).await?;
    scene.fault("is read by four who scan");
    let mut readers = JoinSet::new();
    for _ in 0..4 {
        readers.spawn(scan(scene.url.clone()));
    }
    tokio::time::sleep(stage.short_or(Duration::from_secs(5), Duration::from_secs(20))).await;
    replace_one(&mut scene).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    if let Some(ended) = readers.try_join_next() {
        ended.map_err(Failure::because("run a reader"))??;
    }
    readers.shutdown().await;
    scene.conclude(Instant::now()).await
}

/// Reads all there is, again and again, in transactions of some seconds.
async fn scan(url: String) -> Result<(), Failure> {
    let mut client = connect(&url).await?;
    loop {
        let builder = client.build_transaction().isolation_level(IsolationLevel::RepeatableRead).read_only(true);
        let transaction = builder.start().await?;
        for _ in 0..30 {
            let sql = "SELECT (SELECT count(*) FROM completed, enqueued WHERE completed.n = enqueued.n)
                            + (SELECT COALESCE(sum(length(jobs::text)), 0) FROM jobs)";
            transaction.query_typed_one(sql, &[]).await?;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        transaction.commit().await?;
    }
}

/// What it can do is set by the room that there is: one job of the load takes 0.09 s of a slot, mostly asleep.
pub(super) async fn overload<'a>(stage: &'a Stage<'a>) -> Result<Outcome, Failure> {
    const SLOTS: usize = 10;
    const NORMAL: f64 = 60.0;
    let mut scene = begin(stage, SLOTS, NORMAL).await?;
    scene.fault("measures what it can do");
    let client = scene.client().await?;
    scene.offer(NORMAL * 10.0);
    tokio::time::sleep(Duration::from_secs(3)).await;
    let seconds = 2.0;
    let able = crate::recovery::per_second(&client, "completed", seconds).await?;
    scene.fault("is offered 1.5 times what it can do");
    scene.offer(able * 1.5);
    tokio::time::sleep(stage.short_or(Duration::from_secs(2), Duration::from_secs(5))).await;
    replace_one(&mut scene).await?;
    let most = number(&client, crate::audit::LEFT).await?;
    if (most as f64) < able {
        scene.miss(format!("it did {able:.0} jobs a second, and 1.5 times as many left {most} behind only"));
    }
    scene.offer(NORMAL);
    // The backlog of the overload goes by what is free beside the normal load.
    let needs = Duration::from_secs_f64(most as f64 / (able - NORMAL).max(1.0));
    let ended = Instant::now() + needs;
    scene.conclude(ended).await
}
