//! Worker processes, to be killed, stopped and woken.

use std::{
    fs::File,
    io::Write,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, ChildStdin, Command},
    sync::watch,
};

use crate::{
    failure::Failure,
    worker::{ENDED, READY, ROLE, STUBBORN, Task},
};

/// How long a process may take to get ready.
const PATIENCE: Duration = Duration::from_secs(60);

/// How a worker process is started, beside its task.
#[derive(Debug, Clone, Default)]
pub(crate) struct Start {
    /// Another program than this one.
    pub(crate) program: Option<PathBuf>,
    /// What stands before the program on its command line, such as a shell that sets limits.
    pub(crate) before: Vec<String>,
    pub(crate) environment: Vec<(String, String)>,
}

/// A running worker; dropping it kills it, and so does this process' end, whatever ends that.
pub(crate) struct Process {
    child: Child,
    /// Held open by this process alone.
    _input: ChildStdin,
    pid: u32,
    said: watch::Receiver<Vec<String>>,
}

impl Process {
    /// Starts a process, and waits until it works.
    pub(crate) async fn start(task: &Task, start: &Start, log: &Path) -> Result<Self, Failure> {
        let process = Self::spawn(task, start, log)?;
        process
            .says(READY, PATIENCE)
            .await
            .map_err(|failure| Failure::from(format!("{failure}; its log is {}", log.display())))?;
        Ok(process)
    }

    fn spawn(task: &Task, start: &Start, log: &Path) -> Result<Self, Failure> {
        let own = std::env::current_exe().map_err(Failure::because("find this program"))?;
        let program = start.program.clone().unwrap_or(own);
        let task = serde_json::to_string(task).map_err(Failure::because("write down a task"))?;
        let mut errors =
            File::options().create(true).append(true).open(log).map_err(Failure::because("make a log file"))?;
        writeln!(errors, "{task}").map_err(Failure::because("write to a log file"))?;
        let mut command = match start.before.split_first() {
            Some((first, rest)) => {
                let mut command = Command::new(first);
                command.args(rest).arg(program);
                command
            }
            None => Command::new(program),
        };
        let mut child = command
            .args([ROLE, &task])
            // A backtrace has the symbols of the whole program stay in memory, which is no leak of the queue's.
            .env("RUST_BACKTRACE", "0")
            .envs(start.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors)
            // A Ctrl-C is for the parent.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(Failure::because("start a worker process"))?;
        let gone = "a worker process ended as soon as it was started";
        let (pid, input) = (child.id().ok_or(gone)?, child.stdin.take().ok_or(gone)?);
        let mut lines = BufReader::new(child.stdout.take().ok_or(gone)?).lines();
        let (tell, said) = watch::channel(Vec::new());
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                tell.send_modify(|said| said.push(line));
            }
        });
        Ok(Self { child, _input: input, pid, said })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether it is still there.
    pub(crate) fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for a line that begins so.
    pub(crate) async fn says(&self, beginning: &str, patience: Duration) -> Result<String, Failure> {
        let find = |said: &Vec<String>| said.iter().find(|line| line.starts_with(beginning)).cloned();
        let mut said = self.said.clone();
        match tokio::time::timeout(patience, said.wait_for(|said| find(said).is_some())).await {
            Ok(Ok(said)) => Ok(find(&said).unwrap_or_default()),
            Ok(Err(_)) => Err(format!("worker process {} ended before it said {beginning:?}", self.pid).into()),
            Err(_) => Err(format!("worker process {} did not say {beginning:?} within {patience:?}", self.pid).into()),
        }
    }

    /// Waits for a stubborn handler to begin, which has more to do then than is left of a process that is not heard.
    pub(crate) async fn begins_a_stubborn_job(&self) -> Result<(), Failure> {
        let (mut said, before) = (self.said.clone(), self.said(STUBBORN));
        let another = said.wait_for(|said| count(said, STUBBORN) > before);
        match tokio::time::timeout(Duration::from_secs(60), another).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(format!("worker process {} began no stubborn job", self.pid).into()),
        }
    }

    /// So many lines that begin so were said.
    pub(crate) fn said(&self, beginning: &str) -> usize {
        count(&self.said.borrow(), beginning)
    }

    /// Sends it `STOP`, `CONT`, `TERM` or another signal.
    pub(crate) async fn signal(&self, signal: &str) -> Result<(), Failure> {
        send(signal, self.pid).await
    }

    /// Ends it as a crash does.
    pub(crate) async fn kill(mut self) -> Result<(), Failure> {
        self.child.kill().await.map_err(Failure::because("kill a worker process"))
    }

    /// Has it end in order within `patience`, and returns what it reports.
    pub(crate) async fn terminate(mut self, patience: Duration) -> Result<String, Failure> {
        self.signal("TERM").await?;
        let pid = self.pid;
        match tokio::time::timeout(patience, self.child.wait()).await {
            Ok(Ok(_)) => self.says(ENDED, Duration::from_secs(1)).await,
            Ok(Err(error)) => Err(Failure::because("wait for a worker process")(error)),
            Err(_) if self.said(ENDED) > 0 => {
                Err(format!("worker process {pid} has shut its queue down, and did not end within {patience:?}").into())
            }
            Err(_) => Err(format!("worker process {pid} did not shut its queue down within {patience:?}").into()),
        }
    }
}

/// Sends any process a signal.
pub(crate) async fn send(signal: &str, pid: u32) -> Result<(), Failure> {
    let sent = Command::new("kill").arg(format!("-{signal}")).arg(pid.to_string()).status().await;
    match sent.map_err(Failure::because("run kill"))?.success() {
        true => Ok(()),
        false => Err(format!("process {pid} is gone").into()),
    }
}

fn count(said: &[String], beginning: &str) -> usize {
    said.iter().filter(|line| line.starts_with(beginning)).count()
}
