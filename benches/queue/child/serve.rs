//! A child's life: a task, then orders, a line each, until the last or until the parent is gone.

use std::io::{BufRead, Write, stdin, stdout};

use serde::de::DeserializeOwned;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::{
    Duty, Order, Reply, Task, enqueuer, latency, load,
    stage::Stage,
    worker::{self, Worker},
};
use crate::{bare, failure::Failure};

/// Runs this process as a child.
pub(crate) fn serve() -> Result<(), Failure> {
    let mut lines = read_lines();
    actix_rt::System::new().block_on(async {
        let served = follow(&mut lines).await;
        if let Err(failure) = &served {
            say(&Reply::Failed(failure.to_string()))?;
        }
        served
    })
}

async fn follow(lines: &mut UnboundedReceiver<String>) -> Result<(), Failure> {
    let task: Task = hear(lines).await?;
    let stage = Stage::new(task.wanted);
    let mut work = std::pin::pin!(perform(&task, &stage));
    tokio::select! {
        done = &mut work => {
            done?;
            return Err("the task ended before it began".into());
        }
        () = stage.prepared() => say(&Reply::Ready)?,
    }
    let mut working = true;
    loop {
        let order = tokio::select! {
            done = &mut work, if working => {
                done?;
                working = false;
                continue;
            }
            order = hear(lines) => order?,
        };
        match order {
            Order::Go => stage.begin(),
            Order::Report => say(&Reply::Report(stage.tally.report()))?,
            Order::End => break,
        }
    }
    stage.end();
    if working {
        work.await?;
    }
    say(&Reply::Report(stage.tally.last_report()))
}

async fn perform(task: &Task, stage: &Stage) -> Result<(), Failure> {
    match task.duty {
        Duty::Work { max_demand, handler } => {
            Worker { max_demand, handler, start_on_claim: false }.work(task, stage).await
        }
        Duty::Started { max_demand, handler } => {
            Worker { max_demand, handler, start_on_claim: true }.work(task, stage).await
        }
        Duty::Queues { queues } => worker::work_many(task, queues, stage).await,
        Duty::Enqueue { callers, door } => enqueuer::one_by_one(task, callers, door, stage).await,
        Duty::EnqueueMany { size } => enqueuer::many(task, size, stage).await,
        Duty::Load { rate, warm_up } => load::generate(task, rate, warm_up, stage).await,
        Duty::Latency { pause_ms, start_on_claim } => latency::measure(task, pause_ms, start_on_claim, stage).await,
        Duty::BareClaims { connections } => bare::claims::run(task, connections, false, stage).await,
        Duty::BareDrain { connections } => bare::drain::run(task, connections, stage).await,
        Duty::BareSteps { connections, jobs, handler } => {
            bare::steps::run(task, connections, jobs, handler, stage).await
        }
        Duty::BareTx { connections, one_flight } => bare::tx::run(task, connections, one_flight, stage).await,
        Duty::BareBatch { connections } => bare::batch::run(task, connections, stage).await,
        Duty::BareClaimedBatch { connections } => bare::claims::run(task, connections, true, stage).await,
        Duty::BareEnqueue { callers } => bare::enqueue::run(task, callers, stage).await,
        Duty::BareCopy { size, binary } => bare::copy::run(task, size, binary, stage).await,
        Duty::BareLatency { pause_ms, steps } => bare::latency::run(task, pause_ms, steps, stage).await,
    }
}

/// The lines of the standard input. Its end before the last order means that the parent is gone, whatever ended
/// it, and then nothing here is of use any more.
fn read_lines() -> UnboundedReceiver<String> {
    let (tell, lines) = unbounded_channel();
    std::thread::spawn(move || {
        for line in stdin().lock().lines().map_while(Result::ok) {
            // Nobody listens once the last order was given.
            let _ = tell.send(line);
        }
        std::process::exit(1);
    });
    lines
}

async fn hear<T: DeserializeOwned>(lines: &mut UnboundedReceiver<String>) -> Result<T, Failure> {
    let line = lines.recv().await.ok_or("the orders have ended")?;
    serde_json::from_str(&line).map_err(Failure::because("read an order"))
}

fn say(reply: &Reply) -> Result<(), Failure> {
    let line = serde_json::to_string(reply).map_err(Failure::because("write down an answer"))?;
    let mut output = stdout().lock();
    writeln!(output, "{line}").and_then(|()| output.flush()).map_err(Failure::because("answer the parent"))
}
