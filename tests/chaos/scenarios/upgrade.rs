//! Processes of two releases that share a queue while it is migrated.

use std::time::{Duration, Instant};

use crate::{
    failure::Failure,
    outcome::Outcome,
    process::Start,
    scene::{Scene, Setup},
    stage::Stage,
};

/// One process of the previous release and one of this; the migrations are run beside them, and the old one is replaced
/// in the end. Without a program of the previous release both are of this one, which proves no more than that the
/// migrations may be run at any time.
pub(super) async fn together<'a>(stage: &'a Stage<'a>) -> Result<Outcome, Failure> {
    let mut scene = Scene::prepare(stage, Setup::default()).await?;
    let previous = Start { program: stage.options.previous.clone(), ..Start::default() };
    if previous.program.is_none() {
        stage.progress.note("upgrade: there is no --previous program, so this one stands for it");
    }
    let task = scene.task.clone();
    scene.hire_with(&task, &previous).await?;
    scene.hire().await?;
    scene.warm_up().await?;
    scene.fault("is migrated");
    for _ in 0..5 {
        scene.queue.migrate().await.map_err(Failure::because("migrate the queue under load"))?;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let old = scene.workers.remove(0);
    let patience = Duration::from_millis(task.shutdown_timeout_ms);
    old.terminate(patience).await?;
    scene.hire().await?;
    scene.conclude(Instant::now()).await
}
