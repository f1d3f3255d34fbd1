//! What processes use, as Linux tells in /proc; elsewhere nothing is told, and nothing is reported.

use std::fs;

/// So many ticks a second are told in /proc, whatever the kernel's own.
const TICKS: f64 = 100.0;

/// The fields of /proc/<pid>/stat from the third on: what is before may hold spaces.
fn stat(pid: u32) -> Option<Vec<i64>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = text.rsplit_once(") ")?;
    Some(fields.split(' ').map(|field| field.trim().parse().unwrap_or(0)).collect())
}

fn seconds(ticks: i64) -> f64 {
    // No process lives long enough for the ticks to lose precision.
    ticks as f64 / TICKS
}

/// CPU seconds of a process so far, in user and kernel mode.
pub(crate) fn cpu(pid: u32) -> Option<f64> {
    let fields = stat(pid)?;
    Some(seconds(fields.get(11)? + fields.get(12)?))
}

/// CPU seconds of a server so far: of the process, its children, and those of them that have ended.
pub(crate) fn server_cpu(postmaster: u32) -> Option<f64> {
    let own = stat(postmaster)?;
    let mut total: i64 = own.get(11..15)?.iter().sum();
    for fields in children(postmaster).into_iter().filter_map(stat) {
        total += fields.get(11..13)?.iter().sum::<i64>();
    }
    Some(seconds(total))
}

/// The processes that this one has started and that are there still.
pub(crate) fn children(parent: u32) -> Vec<u32> {
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
    pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| stat(*pid).is_some_and(|fields| fields.get(1) == Some(&i64::from(parent))))
        .collect()
}

/// Resident memory of a process in megabytes: now, and at most so far.
pub(crate) fn memory(pid: u32) -> Option<(f64, f64)> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().trim_end_matches(" kB").parse::<f64>().ok().map(|kilobytes| kilobytes * 1024.0 / 1e6)
    };
    Some((field("VmRSS:")?, field("VmHWM:")?))
}
