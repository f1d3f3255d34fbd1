//! Worker processes that die without a word.

use std::time::{Duration, Instant};

use crate::{
    failure::Failure,
    outcome::Outcome,
    scene::{Scene, Setup},
    stage::Stage,
};

pub(super) async fn one_of_two<'a>(stage: &'a Stage<'a>) -> Result<Outcome, Failure> {
    let mut scene = Scene::begin(stage, Setup::default()).await?;
    scene.fault("kills a worker");
    scene.workers.remove(stage.chance(2)).kill().await?;
    let ended = Instant::now();
    scene.hire().await?;
    scene.conclude(ended).await
}

pub(super) async fn the_only<'a>(stage: &'a Stage<'a>) -> Result<Outcome, Failure> {
    let mut scene = Scene::begin(stage, Setup { workers: 1, ..Setup::default() }).await?;
    scene.fault("kills the only worker");
    scene.workers.remove(0).kill().await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    scene.hire().await?;
    scene.conclude(Instant::now()).await
}

pub(super) async fn again_and_again<'a>(stage: &'a Stage<'a>) -> Result<Outcome, Failure> {
    let mut scene = Scene::begin(stage, Setup::default()).await?;
    for _ in 0..stage.short_or(2, 12) {
        scene.fault("kills a worker every 5 s");
        scene.workers.remove(stage.chance(2)).kill().await?;
        scene.hire().await?;
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
    scene.conclude(Instant::now()).await
}
