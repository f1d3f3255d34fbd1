//! Servers that stop, in order or not, and come back.
//!
//! Handlers that run go on meanwhile: those that end when there is no server wait for it within their execution
//! timeout, or are run again. The book of completions tells if both.

use std::time::{Duration, Instant};

use crate::{
    failure::Failure,
    outcome::Outcome,
    scene::{Scene, Setup},
    server,
    stage::Stage,
};

pub(super) async fn fast<'a>(stage: &'a Stage<'a>) -> Result<Outcome, Failure> {
    away(stage, "INT").await
}

pub(super) async fn immediate<'a>(stage: &'a Stage<'a>) -> Result<Outcome, Failure> {
    away(stage, "QUIT").await
}

pub(super) async fn crash<'a>(stage: &'a Stage<'a>) -> Result<Outcome, Failure> {
    away(stage, "KILL").await
}

async fn away<'a>(stage: &'a Stage<'a>, signal: &str) -> Result<Outcome, Failure> {
    let mut scene = Scene::begin(stage, Setup { durable: true, ..Setup::default() }).await?;
    scene.fault("has no server for 10 s");
    tokio::task::block_in_place(|| match signal {
        "KILL" => server::crash(&mut scene.cluster),
        signal => Ok(scene.cluster.stop(signal)?),
    })?;
    tokio::time::sleep(Duration::from_secs(10)).await;
    for (number, worker) in scene.workers.iter_mut().enumerate() {
        if !worker.runs() {
            return Err(format!("worker {} ended because the server was away", number + 1).into());
        }
    }
    server::start_again(&mut scene.cluster).await?;
    scene.conclude(Instant::now()).await
}
