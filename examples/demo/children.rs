//! This program once more, as a process of its own.

use std::{fs::OpenOptions, path::PathBuf, process::Stdio, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child as Process, ChildStdout, Command},
};

use crate::{Failure, setup::Setup};

/// How long a process may take to start or to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// A process that ends with this one, whatever ends that: its standard input is held open by this one alone.
pub(crate) struct Child {
    role: &'static str,
    process: Process,
    output: Lines<BufReader<ChildStdout>>,
    pub(crate) log: PathBuf,
    pub(crate) pid: u32,
    /// The first line that it said.
    pub(crate) greeting: String,
}

impl Child {
    /// Starts this program in a role, and waits until it is ready.
    pub(crate) async fn start(setup: &Setup, role: &'static str, port: u16, name: &str) -> Result<Self, Failure> {
        let program = std::env::current_exe().map_err(Failure::because("find this program"))?;
        let log = setup.mails.with_file_name(format!("{name}.log"));
        let errors = OpenOptions::new().create(true).append(true).open(&log).map_err(Failure::because("open a log"))?;
        let mut process = Command::new(program)
            .arg(role)
            .args(["--schema", &setup.schema, "--port", &port.to_string()])
            .args(["--delivery-ms", &setup.delivery.as_millis().to_string()])
            .arg("--mails")
            .arg(&setup.mails)
            // The URL may hold a password, and everybody can read a process' arguments.
            .env("DATABASE_URL", &setup.url)
            // The handlers' panics are asked for, and to trace one takes longer than a mail.
            .env("RUST_BACKTRACE", "0")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors)
            // A Ctrl-C is for the tour, which then ends its processes in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(Failure::because("start a process"))?;
        let pid = process.id().ok_or("a process ended as soon as it was started")?;
        let output = process.stdout.take().ok_or("a process has no output")?;
        let mut output = BufReader::new(output).lines();
        let first = tokio::time::timeout(PATIENCE, output.next_line()).await;
        let greeting = match first {
            Ok(Ok(Some(line))) => line,
            _ => return Err(format!("the {role} did not start; its log says:\n{}", tail(&log)).into()),
        };
        Ok(Self { role, process, output, log, pid, greeting })
    }

    /// Ends it as a crash of the machine would: without a word.
    pub(crate) async fn kill(&mut self) -> Result<(), Failure> {
        self.process.kill().await.map_err(Failure::because("kill a worker"))
    }

    /// Has it end in order; what it said at last.
    pub(crate) async fn end(mut self) -> Result<String, Failure> {
        drop(self.process.stdin.take());
        let last = async {
            let mut last = String::new();
            while let Ok(Some(line)) = self.output.next_line().await {
                last = line;
            }
            (self.process.wait().await, last)
        };
        match tokio::time::timeout(PATIENCE, last).await {
            Ok((Ok(status), last)) if status.success() => Ok(last),
            Ok((status, _)) => {
                Err(format!("the {} ended with {status:?}; its log says:\n{}", self.role, tail(&self.log)).into())
            }
            Err(_) => Err(format!("the {} did not end within {PATIENCE:?}", self.role).into()),
        }
    }
}

/// The end of a log.
pub(crate) fn tail(log: &PathBuf) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_else(|error| format!("(unreadable: {error})"));
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}
