//! Where the figures were measured.

use std::{fs, process::Command, thread};

use serde::Serialize;

use crate::{failure::Failure, server::Server};

#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    pub(crate) date: String,
    pub(crate) version: &'static str,
    pub(crate) commit: Option<String>,
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) memory_gb: Option<f64>,
    /// How many others wanted a core in the minute before.
    pub(crate) load: Option<f64>,
    pub(crate) system: String,
    pub(crate) rustc: String,
    pub(crate) postgresql: String,
    pub(crate) settings: Vec<(String, String)>,
}

impl Machine {
    pub(crate) async fn look(server: &Server) -> Result<Self, Failure> {
        let (postgresql, settings) = server.describe().await?;
        let unknown = || "unknown".to_owned();
        Ok(Self {
            date: chrono::Utc::now().format("%Y-%m-%d").to_string(),
            version: env!("CARGO_PKG_VERSION"),
            commit: says("git", &["describe", "--always", "--dirty"]),
            processor: field("/proc/cpuinfo", "model name")
                .or_else(|| says("sysctl", &["-n", "machdep.cpu.brand_string"]))
                .unwrap_or_else(unknown),
            cores: thread::available_parallelism().map_or(1, usize::from),
            memory_gb: field("/proc/meminfo", "MemTotal")
                .and_then(|total| total.trim_end_matches(" kB").parse::<f64>().ok())
                .map(|kilobytes| kilobytes * 1024.0 / 1e9),
            load: load(),
            system: says("uname", &["-srm"]).unwrap_or_else(unknown),
            rustc: says("rustc", &["--version"]).unwrap_or_else(unknown),
            postgresql,
            settings,
        })
    }

    /// A few lines for people.
    pub(crate) fn lines(&self) -> String {
        let memory = self.memory_gb.map(|memory| format!(", {memory:.0} GB")).unwrap_or_default();
        let busy = self.load.filter(|load| *load > self.cores as f64 / 2.0).map_or_else(String::new, |load| {
            format!("\nThe machine was busy with something else (load average {load:.1}): expect wide spreads.")
        });
        let commit = self.commit.as_ref().map(|commit| format!(" ({commit})")).unwrap_or_default();
        let settings: Vec<_> = self.settings.iter().map(|(name, value)| format!("{name}={value}")).collect();
        format!(
            "actix-job-queue {}{commit}, {}\n{}, {} cores{memory}; {}; {}\nPostgreSQL {}: {}{busy}",
            self.version,
            self.date,
            self.processor,
            self.cores,
            self.system,
            self.rustc,
            self.postgresql,
            settings.join(" ")
        )
    }
}

fn load() -> Option<f64> {
    fs::read_to_string("/proc/loadavg").ok()?.split(' ').next()?.parse().ok()
}

/// The first line that a program answers, if it is there.
fn says(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok().filter(|output| output.status.success())?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().next().map(str::to_owned).filter(|line| !line.is_empty())
}

/// A value of a file of `name: value` lines.
fn field(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim().to_owned())
    })
}
