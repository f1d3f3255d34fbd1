//! Processes that miss a while, and clocks that disagree.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant, SystemTime},
};

use crate::{
    failure::Failure,
    outcome::Outcome,
    process::Start,
    scene::{Scene, Setup},
    stage::Stage,
    worker::{READY, REFUSED},
};

/// Its handlers go on where they stopped, though their jobs are others' by then.
pub(super) async fn stopped<'a>(stage: &'a Stage<'a>) -> Result<Outcome, Failure> {
    let mut scene = Scene::begin(stage, Setup::default()).await?;
    let victim = stage.chance(2);
    scene.workers[victim].begins_a_stubborn_job().await?;
    scene.fault("has a worker that stands still");
    scene.workers[victim].signal("STOP").await?;
    tokio::time::sleep(Duration::from_millis(scene.task.dead_after_ms * 3)).await;
    scene.workers[victim].signal("CONT").await?;
    let ended = Instant::now();
    if scene.workers[victim].says(REFUSED, Duration::from_secs(10)).await.is_err() {
        scene.miss("no completion of the worker that had stood still was refused");
    }
    scene.conclude(ended).await
}

/// Nothing changes, from their start to their end.
pub(super) async fn clocks<'a>(stage: &'a Stage<'a>) -> Result<Outcome, Failure> {
    let Some(library) = libfaketime() else {
        return Ok(Outcome::not_run("libfaketime is not here: scripts/faketime.sh installs it"));
    };
    let mut scene = Scene::prepare(stage, Setup::default()).await?;
    for (apart, seconds) in [("+1h", 3_600), ("-1h", -3_600)] {
        let environment = [
            ("LD_PRELOAD", library.display().to_string()),
            ("FAKETIME", apart.to_owned()),
            // No host's monotonic clock jumps.
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("DONT_FAKE_MONOTONIC", "1".to_owned()),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value)).to_vec();
        let task = scene.task.clone();
        scene.hire_with(&task, &Start { environment, ..Start::default() }).await?;
        let ready = scene.workers.last().ok_or("a worker was hired")?.says(READY, Duration::ZERO).await?;
        let told: i64 = ready[READY.len()..].parse().map_err(Failure::because("read a worker's clock"))?;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        if (told - now.cast_signed() - seconds).abs() > 60 {
            return Err(format!("a worker's clock was to be {apart} apart, and says {told} at {now}").into());
        }
    }
    scene.warm_up().await?;
    scene.fault("loses a worker of the past");
    scene.workers.remove(1).kill().await?;
    let ended = Instant::now();
    scene.hire().await?;
    scene.conclude(ended).await
}

fn libfaketime() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib").ok()?.flatten().map(|entry| entry.path());
    folders
        .chain([PathBuf::from("/usr/lib")])
        .map(|folder| folder.join("faketime/libfaketimeMT.so.1"))
        .find(|library| library.is_file())
}
