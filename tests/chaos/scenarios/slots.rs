//! No connection to be had: from the server, and from the pool.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::{
    failure::Failure,
    load::Planned,
    outcome::Outcome,
    scene::{Scene, Setup},
    server::{WORKERS, connect, number},
    stage::Stage,
    worker::HOG,
};

/// Others take every slot that the server has, and those that the workers lose too.
pub(super) async fn idle<'a>(stage: &'a Stage<'a>) -> Result<Outcome, Failure> {
    const OTHERS: usize = 300;
    let scene = Scene::begin(stage, Setup { settings: vec![("max_connections", "50")], ..Setup::default() }).await?;
    scene.fault("finds no slot on the server");
    let client = scene.client().await?;
    let mut others = JoinSet::new();
    for _ in 0..OTHERS {
        let url = scene.url.clone();
        others.spawn(async move {
            loop {
                // Most are refused, and try again.
                if let Ok(held) = connect(&url).await {
                    // Whatever ends it, its slot is asked for once more.
                    while !held.is_closed() {
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        });
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let lose =
        format!("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = '{WORKERS}'");
    number(&client, &lose).await?;
    tokio::time::sleep(stage.short_or(Duration::from_secs(4), Duration::from_secs(10))).await;
    others.shutdown().await;
    scene.conclude(Instant::now()).await
}

/// The application's own statements take as long as they like, in more completions than there are connections.
pub(super) async fn pool<'a>(stage: &'a Stage<'a>) -> Result<Outcome, Failure> {
    let mut scene = Scene::begin(stage, Setup::default()).await?;
    scene.fault("has its pools exhausted");
    let jobs: Vec<_> = (0..40).map(|number| Planned { work_ms: 4_000, ..Planned::own(number, HOG) }).collect();
    scene.enqueue(&jobs).await?;
    let none = format!("NOT EXISTS (SELECT FROM jobs WHERE params ->> 'type' = '{HOG}')");
    scene.until("every job that holds a connection is done", &none, Duration::from_secs(90)).await?;
    scene.conclude(Instant::now()).await
}
