//! What the library has to say while a verb runs, on standard error.

use std::io::Write;

use env_logger::{Env, Logger};
use log::{LevelFilter, Log, Metadata, Record};

use crate::output::in_line;

/// A line is to be read; the rest of it is in the answer.
const LONGEST: usize = 4_000;

/// The library's part of all targets.
const OURS: &str = "actix_job_queue::";

/// A logger that tells no params, whatever `RUST_LOG` asks for.
struct Discreet(Logger);

/// Has lines written from now on: those that `RUST_LOG` asks for, or those of this level.
pub(crate) fn init(level: LevelFilter) {
    let env = Env::default().default_filter_or(level.as_str());
    let logger = env_logger::Builder::from_env(env)
        .format(|line, record| {
            let (at, level, target) = (line.timestamp_millis(), record.level(), record.target());
            writeln!(line, "{at} {level:<5} {target}: {}", in_line(&record.args().to_string(), LONGEST))
        })
        .build();
    let most = logger.filter();
    // Nobody else has set one: this is the program's own main.
    if log::set_boxed_logger(Box::new(Discreet(logger))).is_ok() {
        log::set_max_level(most);
    }
}

impl Log for Discreet {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        is_told(metadata) && self.0.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if is_told(record.metadata()) {
            self.0.log(record);
        }
    }

    fn flush(&self) {
        self.0.flush();
    }
}

/// At trace the library tells params, and beyond info its driver tells each statement with its parameters, and who serves
/// HTTP might tell what was sent.
fn is_told(metadata: &Metadata<'_>) -> bool {
    let most = if metadata.target().starts_with(OURS) { LevelFilter::Debug } else { LevelFilter::Info };
    metadata.level() <= most
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_job_queue::logs;
    use log::Level;

    #[test]
    fn nobody_tells_params_at_any_level() {
        let told = |target, level| is_told(&Metadata::builder().target(target).level(level).build());

        for target in ["tokio_postgres::query", "actix_http::h1::decoder", "actix_job_queues::x"] {
            assert!(told(target, Level::Info) && !told(target, Level::Debug), "{target}");
        }
        for target in [logs::JOB, logs::QUEUE, logs::DATABASE, logs::ACTORS, logs::WEB] {
            assert!(told(target, Level::Debug) && !told(target, Level::Trace), "{target}");
        }
    }
}
