//! What the library tells the application's logger: under which targets, at which levels, and with which key-values.
//!
//! It speaks through the [`log`](https://docs.rs/log) facade. A target is a part of the library by what an operator
//! wants to hear of, and stays the same wherever the code moves: `RUST_LOG=warn,actix_job_queue::job=debug` follows each
//! job and is quiet otherwise.
//!
//! | level | what |
//! | --- | --- |
//! | error | the library or its surroundings need a person |
//! | warn | an attempt at a job failed, or something is tried again |
//! | info | start, stop, rare changes of state; and a completed job, unless [`log_level`](crate::QueueBuilder::log_level) says otherwise |
//! | debug | each step of a job, each statement that is tried again |
//! | trace | the params of each job that is started, which stand in no line above |
//!
//! Each line can be read by itself, and carries what it is about once more as key-values, where that is known: `queue`,
//! `job`, `type`, `attempt` (the first being 1), `node` (the process's number in `job_queue_nodes`) and `error`. An
//! [`env_logger`](https://docs.rs/env_logger) prints them with its feature `kv`.
//!
//! Of an error and its causes a line has the first line each, since PostgreSQL may quote a row in the others, and of
//! params that cannot be read it has none: the whole is kept with the job. What a handler puts into the first line of an
//! error of its own, or into a panic, is logged. And this is about the library's lines: the driver's own, under
//! `tokio_postgres`, have statements with their parameters at `debug`, so leave those at `info`.

use std::fmt;

/// What becomes of jobs, a line an attempt: warn where it failed, info where it was completed or given back, debug where
/// it was started, put off or not performed after all, trace for the params.
pub const JOB: &str = "actix_job_queue::job";

/// A queue's life in this process, and those who share the work: info at start and stop, warn where jobs of the dead are
/// taken back or a stop is incomplete, error where this process itself counts as dead.
pub const QUEUE: &str = "actix_job_queue::queue";

/// The way to the database: warn where it cannot be reached or heard, once, info when it is back, debug for each try.
pub const DATABASE: &str = "actix_job_queue::database";

/// The machinery: error where an actor died or a thread cannot be had, debug for messages that found nobody.
pub const ACTORS: &str = "actix_job_queue::actors";

/// The dashboard and its API, and what is told of health: error for each request that could not be answered, warn where a
/// queue is found not to be ready, once.
pub const WEB: &str = "actix_job_queue::web";

/// One attempt at a job, as lines name it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attempted<'a> {
    pub(crate) queue: &'a str,
    pub(crate) job: i64,
    pub(crate) kind: Option<&'a str>,
    pub(crate) attempt: i32,
    pub(crate) max_attempts: i32,
    pub(crate) node: i64,
}

impl fmt::Display for Attempted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Attempted { queue, job, kind, attempt, max_attempts, .. } = self;
        write!(f, "{queue}[{job}]")?;
        if let Some(kind) = kind {
            write!(f, " {}", crate::text::Printable(kind))?;
        }
        write!(f, " attempt {attempt}/{max_attempts}")
    }
}

/// A line about one attempt, which names it in front of the text and in key-values. Nothing is made of it where the level
/// is off.
macro_rules! about {
    ($level:expr, $attempted:expr $(, error = $error:expr)?; $($text:tt)+) => {{
        let named: &$crate::logs::Attempted<'_> = &$attempted;
        ::log::log!(
            target: $crate::logs::JOB,
            $level,
            queue = named.queue,
            job = named.job,
            type = named.kind,
            attempt = named.attempt,
            node = named.node
            $(, error:% = $error)?;
            "{named} {}",
            format_args!($($text)+)
        )
    }};
}

pub(crate) use about;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_is_named_in_one_line_whatever_its_type_is() {
        let mail = Attempted { queue: "jobs", job: 1, kind: Some("Mail"), attempt: 2, max_attempts: 5, node: 7 };
        assert_eq!(mail.to_string(), "jobs[1] Mail attempt 2/5");
        assert_eq!(Attempted { kind: None, ..mail }.to_string(), "jobs[1] attempt 2/5");

        let hostile = Attempted { kind: Some("Mail\nERROR all is lost\u{1b}[2J"), ..mail };
        assert_eq!(hostile.to_string(), "jobs[1] Mail\\nERROR all is lost\\u{1b}[2J attempt 2/5");
    }
}
