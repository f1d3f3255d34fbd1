use std::time::Duration;

/// This process among those that work on a schema's queues: a number that is new at every start.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) id: i64,
    /// For people: its host, its number there and its program.
    pub(crate) name: String,
    pub(crate) dead_after: Duration,
}

/// What people will know this process by: its host, its number there and its program.
pub(crate) fn name() -> String {
    let program = std::env::current_exe()
        .ok()
        .and_then(|path| path.file_name().map(|name| name.to_string_lossy().into_owned()))
        .unwrap_or_else(|| "worker".to_owned());
    format!("{}:{} ({program})", gethostname::gethostname().to_string_lossy(), std::process::id())
}
