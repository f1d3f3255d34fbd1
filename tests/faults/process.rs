//! Worker processes, to be killed, stopped and woken.

use std::{path::PathBuf, process::Stdio, sync::OnceLock};

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    sync::watch,
};

use crate::harness::eventually;

/// A running `ledger_worker`; dropping it kills it.
pub(crate) struct Worker {
    child: Child,
    pid: u32,
    said: watch::Receiver<Vec<String>>,
}

/// Where cargo puts the examples beside this test, built anew if cargo runs it: a test that is run alone has
/// no examples built for it.
fn program() -> &'static PathBuf {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let test = std::env::current_exe().expect("the path of this program");
        let profile = test.ancestors().nth(2).expect("a test lies in target/<profile>/deps");
        if let Some(cargo) = std::env::var_os("CARGO") {
            let name = profile.file_name().and_then(|name| name.to_str()).expect("a profile's name");
            let built = std::process::Command::new(cargo)
                .args(["build", "--quiet", "--example", "ledger_worker", "--profile"])
                .arg(if name == "debug" { "dev" } else { name })
                .arg("--manifest-path")
                .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
                .status()
                .expect("cargo runs");
            assert!(built.success(), "the example ledger_worker does not build");
        }
        let program = profile.join("examples/ledger_worker");
        assert!(program.is_file(), "{} is missing: cargo build --example ledger_worker", program.display());
        program
    })
}

impl Worker {
    /// Starts a process with settings such as `("MAX_DEMAND", "5")`, and waits until it works.
    pub(crate) async fn start(url: &str, settings: &[(&str, &str)]) -> Self {
        let mut child = Command::new(program())
            .arg(url)
            .envs([("LEDGER_POLL_INTERVAL", "1h"), ("LEDGER_DEAD_AFTER", "1s"), ("LEDGER_RETRY_TIMEOUT", "100ms")])
            .envs(settings.iter().map(|(name, value)| (format!("LEDGER_{name}"), value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("a worker process");
        let pid = child.id().expect("it runs");
        let (tell, said) = watch::channel(Vec::new());
        let mut lines = BufReader::new(child.stdout.take().expect("its output is piped")).lines();
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                tell.send_modify(|said| said.push(line));
            }
        });
        let worker = Self { child, pid, said };
        worker.says("ready").await;
        worker
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// What its processes' numbers are in the table, as SQL.
    pub(crate) fn nodes(&self) -> String {
        format!("(SELECT node FROM job_queue_nodes WHERE name LIKE '%:{} (%')", self.pid)
    }

    /// Waits for a line that begins so.
    pub(crate) async fn says(&self, beginning: &str) -> String {
        eventually(&format!("process {} says {beginning:?}", self.pid), || async {
            self.said.borrow().iter().find(|line| line.starts_with(beginning)).cloned()
        })
        .await
    }

    /// All that it has said.
    pub(crate) fn said(&self) -> Vec<String> {
        self.said.borrow().clone()
    }

    /// Sends it `STOP`, `CONT` or another signal.
    pub(crate) async fn signal(&self, signal: &str) {
        let sent = Command::new("kill").arg(format!("-{signal}")).arg(self.pid.to_string()).status().await;
        assert!(sent.expect("kill runs").success(), "process {} is gone", self.pid);
    }

    /// Ends it as a crash does.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.expect("it ends");
    }

    /// Ends it in order, and returns its last line.
    pub(crate) async fn shut_down(mut self) -> String {
        drop(self.child.stdin.take());
        let report = self.says("shut down").await;
        self.child.wait().await.expect("it ends");
        report
    }
}
