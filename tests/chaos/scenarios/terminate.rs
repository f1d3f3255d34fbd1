//! Connections that the server ends.

use std::time::{Duration, Instant};

use crate::{
    failure::Failure,
    outcome::Outcome,
    scene::{Scene, Setup},
    server::{WORKERS, number},
    stage::Stage,
};

pub(super) async fn at_random<'a>(stage: &'a Stage<'a>) -> Result<Outcome, Failure> {
    let scene = Scene::begin(stage, Setup::default()).await?;
    scene.fault("loses ten connections a second");
    let client = scene.client().await?;
    for _ in 0..stage.short_or(50, 300) {
        // A number from here and not random(), so that the seed decides.
        let victim = format!(
            "SELECT count(pg_terminate_backend(pid)) FROM (
                 SELECT pid FROM pg_stat_activity WHERE application_name = '{WORKERS}' ORDER BY pid
                 OFFSET {} % (SELECT GREATEST(count(*), 1) FROM pg_stat_activity WHERE application_name = '{WORKERS}')
                 LIMIT 1) AS victim",
            stage.chance(1_000)
        );
        number(&client, &victim).await?;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    scene.conclude(Instant::now()).await
}

/// Polling is as rare as by default, so what is found in time was heard of.
pub(super) async fn listeners<'a>(stage: &'a Stage<'a>) -> Result<Outcome, Failure> {
    let mut scene = Scene::begin(stage, Setup::default()).await?;
    scene.fault("loses the connections that listen");
    let client = scene.client().await?;
    let mut ended = 0;
    for _ in 0..10 {
        // Its last statement is the LISTEN, or one of those by which a producer comes to wait.
        let listening = format!(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = '{WORKERS}' \
             AND query ~ '^LISTEN|advisory_(un)?lock_shared|a mark behind which nothing is hidden'"
        );
        ended += number(&client, &listening).await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    if ended < 10 {
        scene.miss(format!("only {ended} connections that listened were found to be ended, in 10 s"));
    }
    scene.conclude(Instant::now()).await
}

pub(super) async fn everybody<'a>(stage: &'a Stage<'a>) -> Result<Outcome, Failure> {
    let scene = Scene::begin(stage, Setup::default()).await?;
    scene.fault("loses every connection at once");
    for _ in 0..stage.short_or(2, 5) {
        let client = scene.client().await?;
        let others = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                      WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";
        number(&client, others).await?;
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    scene.conclude(Instant::now()).await
}
