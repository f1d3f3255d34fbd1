//! What networks do, played by a proxy between the workers and their server. The load goes past it.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use crate::{
    failure::Failure,
    outcome::Outcome,
    proxy::{Mode, Proxy},
    scene::{Scene, Setup},
    server::workers_url,
    stage::Stage,
    worker::{REFUSED, Task},
};

const LONG: Duration = Duration::from_secs(300);

/// A completion that is under way on a connection that swallows all is waited for as long as the handler may take, and
/// one of the library's own statements for 10 s.
const SHORT: Duration = Duration::from_secs(6);

/// So many workers behind the proxy, and others that see the server itself.
async fn behind_a_proxy<'a>(
    stage: &'a Stage<'a>,
    proxied: usize,
    direct: usize,
    execution_timeout: Duration,
) -> Result<(Scene<'a>, Proxy), Failure> {
    let mut scene = Scene::prepare(stage, Setup::default()).await?;
    scene.task.execution_timeout_ms = u64::try_from(execution_timeout.as_millis()).unwrap_or(u64::MAX);
    let proxy = Proxy::start(SocketAddr::from(([127, 0, 0, 1], scene.cluster.port()))).await;
    let task = Task { url: workers_url(&proxy.url("postgres")), ..scene.task.clone() };
    for _ in 0..proxied {
        scene.hire_with(&task, &scene.start.clone()).await?;
    }
    for _ in 0..direct {
        scene.hire().await?;
    }
    scene.warm_up().await?;
    Ok((scene, proxy))
}

/// Ends the scene, and only then the proxy.
async fn conclude(scene: Scene<'_>, proxy: Proxy, ended: Instant) -> Result<Outcome, Failure> {
    let outcome = scene.conclude(ended).await;
    drop(proxy);
    outcome
}

pub(super) async fn cut<'a>(stage: &'a Stage<'a>) -> Result<Outcome, Failure> {
    let (scene, proxy) = behind_a_proxy(stage, 2, 0, LONG).await?;
    scene.fault("has its connections cut every second");
    for _ in 0..stage.short_or(3, 15) {
        proxy.cut();
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    conclude(scene, proxy, Instant::now()).await
}

/// A firewall has forgotten them: nobody is told.
pub(super) async fn half_open<'a>(stage: &'a Stage<'a>) -> Result<Outcome, Failure> {
    let (scene, proxy) = behind_a_proxy(stage, 2, 0, SHORT).await?;
    scene.fault("has connections that swallow all");
    proxy.strand();
    conclude(scene, proxy, Instant::now()).await
}

pub(super) async fn silent<'a>(stage: &'a Stage<'a>) -> Result<Outcome, Failure> {
    let (scene, proxy) = behind_a_proxy(stage, 2, 0, SHORT).await?;
    scene.fault("hears nothing for 5 s");
    proxy.set(Mode::Swallow);
    tokio::time::sleep(Duration::from_secs(5)).await;
    // A connection that has lost bytes is of no use; the next works.
    proxy.strand();
    proxy.set(Mode::Pass);
    conclude(scene, proxy, Instant::now()).await
}

pub(super) async fn slow<'a>(stage: &'a Stage<'a>) -> Result<Outcome, Failure> {
    let (scene, proxy) = behind_a_proxy(stage, 2, 0, LONG).await?;
    scene.fault("has a slow network that loses much");
    proxy.set(Mode::Lossy(Duration::from_millis(200), Duration::from_secs(1), 10));
    tokio::time::sleep(stage.short_or(Duration::from_secs(5), Duration::from_secs(20))).await;
    proxy.set(Mode::Pass);
    conclude(scene, proxy, Instant::now()).await
}

/// The workers cannot know what became of it, and ask.
pub(super) async fn commit<'a>(stage: &'a Stage<'a>) -> Result<Outcome, Failure> {
    let (scene, proxy) = behind_a_proxy(stage, 2, 0, LONG).await?;
    scene.fault("loses the answers to commits");
    for _ in 0..stage.short_or(3, 10) {
        // What ends a transaction, and what is its own: the statement of complete_with.
        for statement in ["COMMIT\0", "INSERT INTO completed"] {
            proxy.set(Mode::LoseAnswerTo(statement));
            tokio::time::sleep(Duration::from_millis(400)).await;
            proxy.set(Mode::Pass);
            tokio::time::sleep(Duration::from_millis(400)).await;
        }
    }
    conclude(scene, proxy, Instant::now()).await
}

/// Its handlers run on meanwhile. Another has their jobs by then, so they end refused.
pub(super) async fn dead<'a>(stage: &'a Stage<'a>) -> Result<Outcome, Failure> {
    let (mut scene, proxy) = behind_a_proxy(stage, 1, 1, LONG).await?;
    // One of two may do without for a while.
    scene.workers[0].begins_a_stubborn_job().await?;
    scene.fault("has a worker that nobody hears");
    proxy.set(Mode::Swallow);
    tokio::time::sleep(Duration::from_millis(scene.task.dead_after_ms * 4)).await;
    proxy.set(Mode::Pass);
    proxy.cut();
    let ended = Instant::now();
    if scene.workers[0].says(REFUSED, Duration::from_secs(15)).await.is_err() {
        scene.miss("no completion of the worker that nobody had heard was refused");
    }
    conclude(scene, proxy, ended).await
}
