//! This program once more, as a process whose CPU time and memory can be told from others'.

mod enqueuer;
mod latency;
mod load;
mod serve;
mod stage;
mod tally;
mod task;
mod worker;

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child as Process, ChildStdin, ChildStdout, Command},
};

use crate::{failure::Failure, progress::Progress};

pub(crate) use {
    serve::serve,
    stage::Stage,
    tally::Report,
    task::{BareHandler, Door, Duty, Handler, Task},
    worker::{Params, now},
};

/// The argument that makes a child of this program.
pub(crate) const ROLE: &str = "child-of-the-benchmark";

/// How long a child may take to get ready, to answer, and to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a run may show no progress. Half a minute is the longest that a statement is waited for.
const STALL: Duration = Duration::from_secs(90);

/// What a child is told, a line each on its standard input, after the task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Order {
    Go,
    Report,
    End,
}

/// What a child answers, a line each.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Reply {
    Ready,
    Report(Report),
    Failed(String),
}

/// A process that ends with this one, whatever ends that: its standard input is held open by this one alone.
pub(crate) struct Child {
    task: String,
    process: Process,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    pub(crate) pid: u32,
}

impl Child {
    /// Starts a process, and waits until all is prepared for its task.
    pub(crate) async fn start(task: &Task) -> Result<Self, Failure> {
        let program = std::env::current_exe().map_err(Failure::because("find this program"))?;
        let mut process = Command::new(program)
            .arg(ROLE)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // A Ctrl-C is for the parent, which then cleans up.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(Failure::because("start a process"))?;
        let gone = "a process ended as soon as it was started";
        let (pid, input) = (process.id().ok_or(gone)?, process.stdin.take().ok_or(gone)?);
        let output = BufReader::new(process.stdout.take().ok_or(gone)?).lines();
        let mut child = Self { task: task.duty.to_string(), process, input, output, pid };
        child.send(task).await?;
        match child.hear().await? {
            Reply::Ready => Ok(child),
            other => Err(child.confused(&other)),
        }
    }

    /// Has it begin.
    pub(crate) async fn go(&mut self) -> Result<(), Failure> {
        self.send(&Order::Go).await
    }

    /// How far it is.
    pub(crate) async fn report(&mut self) -> Result<Report, Failure> {
        self.send(&Order::Report).await?;
        match self.hear().await? {
            Reply::Report(report) => Ok(report),
            other => Err(self.confused(&other)),
        }
    }

    /// Waits until it has done so many, and fails when it comes no further.
    pub(crate) async fn until(&mut self, wanted: u64, progress: &Progress) -> Result<Report, Failure> {
        self.until_or(wanted, Duration::MAX, progress).await
    }

    /// The same, for no longer than `limit`.
    pub(crate) async fn until_or(
        &mut self,
        wanted: u64,
        limit: Duration,
        progress: &Progress,
    ) -> Result<Report, Failure> {
        let begun = Instant::now();
        let (mut before, mut moved) = (0, begun);
        loop {
            let report = self.report().await?;
            if report.done >= wanted || begun.elapsed() >= limit {
                return Ok(report);
            }
            progress.stand(&format!("{} of {wanted}", report.done));
            if report.done > before {
                (before, moved) = (report.done, Instant::now());
            } else if moved.elapsed() > STALL {
                return Err(format!("{}: {before} of {wanted} done, and none in {STALL:?}", self.task).into());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Has it end in order, and waits for that.
    pub(crate) async fn end(mut self) -> Result<Report, Failure> {
        self.send(&Order::End).await?;
        let report = match self.hear().await? {
            Reply::Report(report) => report,
            other => return Err(self.confused(&other)),
        };
        match tokio::time::timeout(PATIENCE, self.process.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(report),
            Ok(status) => Err(format!("{}: the process ended with {status:?}", self.task).into()),
            Err(_) => Err(format!("{}: the process did not end within {PATIENCE:?}", self.task).into()),
        }
    }

    async fn send<T: Serialize>(&mut self, what: &T) -> Result<(), Failure> {
        let mut line = serde_json::to_string(what).map_err(Failure::because("write down a task"))?;
        line.push('\n');
        self.input.write_all(line.as_bytes()).await.map_err(Failure::because("reach a process"))
    }

    async fn hear(&mut self) -> Result<Reply, Failure> {
        let line = match tokio::time::timeout(PATIENCE, self.output.next_line()).await {
            Ok(Ok(Some(line))) => line,
            Ok(_) => return Err(format!("{}: the process ended without a word", self.task).into()),
            Err(_) => return Err(format!("{}: the process did not answer in {PATIENCE:?}", self.task).into()),
        };
        match serde_json::from_str(&line).map_err(Failure::because("read a process' answer"))? {
            Reply::Failed(cause) => Err(format!("{}: {cause}", self.task).into()),
            reply => Ok(reply),
        }
    }

    fn confused(&self, reply: &Reply) -> Failure {
        format!("{}: the process gave an unexpected answer: {reply:?}", self.task).into()
    }
}
