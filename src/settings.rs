//! What can be set on a queue, with the defaults of the contract.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    run::{backoff::LONGEST, node::BEATS},
    store::Take,
};

/// How a queue runs in this process.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Settings {
    pub(crate) max_demand: usize,
    pub(crate) arbiters: usize,
    pub(crate) poll_interval: Duration,
    pub(crate) reservation_timeout: Duration,
    pub(crate) execution_timeout: Duration,
    pub(crate) retry_timeout: Duration,
    pub(crate) dead_after: Duration,
    pub(crate) claim_ahead: Duration,
    pub(crate) start_on_claim: bool,
    pub(crate) shutdown_timeout: Duration,
    pub(crate) log_level: log::Level,
    /// For how long, and how many, completed jobs are kept; none at all unless set.
    pub(crate) keep: Option<Keep>,
}

/// For how long completed jobs are kept, and how many of them.
///
/// ```
/// use std::time::Duration;
/// use actix_job_queue::Keep;
///
/// let a_day = Keep::during(Duration::from_secs(86_400)).at_most(10_000);
/// # let _ = a_day;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    pub(crate) during: Duration,
    pub(crate) most: u32,
}

impl Keep {
    /// For so long, and no more than the last 100,000.
    pub fn during(time: Duration) -> Self {
        Self { during: time, most: 100_000 }
    }

    /// The last so many of them.
    pub fn at_most(self, jobs: u32) -> Self {
        Self { most: jobs, ..self }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_demand: 100,
            arbiters: std::thread::available_parallelism().map_or(1, usize::from),
            poll_interval: Duration::from_secs(60),
            reservation_timeout: Duration::from_secs(60),
            execution_timeout: Duration::from_secs(300),
            retry_timeout: Duration::from_secs(30),
            dead_after: Duration::from_secs(10),
            claim_ahead: Duration::from_millis(20),
            start_on_claim: false,
            shutdown_timeout: Duration::from_secs(30),
            log_level: log::Level::Info,
            keep: None,
        }
    }
}

/// A heartbeat comes four times in `dead_after`; below this the beats themselves are the load.
const SHORTEST_DEAD_AFTER: Duration = Duration::from_secs(1);

/// What is claimed ahead is kept from others for so long; beyond this it would be theirs to miss.
pub(crate) const LONGEST_AHEAD: Duration = Duration::from_secs(1);

impl Settings {
    /// What a claim makes of the jobs that it brings.
    pub(crate) fn take(&self) -> Take {
        if self.start_on_claim { Take::Start(self.execution_timeout) } else { Take::Reserve(self.reservation_timeout) }
    }

    /// How long a job can be claimed and not started before others take it. A claim that finds a heartbeat of this
    /// process leaves it alone while it is no more than one beat old.
    pub(crate) fn longest_unstarted(&self) -> Duration {
        self.reservation_timeout.min(self.dead_after - self.dead_after / BEATS)
    }

    /// All that is wrong, each with what to do.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.max_demand == 0 {
            problems.push("max_demand is 0, so no job would ever run: set it to 1 or more".to_owned());
        }
        if self.arbiters == 0 {
            problems.push("arbiters is 0, so there is no thread to run jobs on: set it to 1 or more".to_owned());
        }
        for (name, value) in [
            ("poll_interval", self.poll_interval),
            ("reservation_timeout", self.reservation_timeout),
            ("execution_timeout", self.execution_timeout),
            ("dead_after", self.dead_after),
        ] {
            if value.is_zero() {
                problems.push(format!("{name} is zero: set it to how long it shall be, its default being good"));
            }
        }
        for (name, value) in [
            ("poll_interval", self.poll_interval),
            ("reservation_timeout", self.reservation_timeout),
            ("execution_timeout", self.execution_timeout),
            ("retry_timeout", self.retry_timeout),
            ("dead_after", self.dead_after),
            ("shutdown_timeout", self.shutdown_timeout),
        ] {
            if value > LONGEST {
                problems.push(format!("{name} is {value:?}, longer than the database can add to a time: set less"));
            }
        }
        if self.claim_ahead > LONGEST_AHEAD {
            problems.push(format!(
                "claim_ahead is {:?}, for which urgent jobs and other processes would wait: set it to {LONGEST_AHEAD:?} or less",
                self.claim_ahead
            ));
        }
        if !self.dead_after.is_zero() && self.dead_after < SHORTEST_DEAD_AFTER {
            problems.push(format!(
                "dead_after is {:?}, too short to tell a dead process from a slow one: set it to {SHORTEST_DEAD_AFTER:?} or more",
                self.dead_after
            ));
        }
        problems
    }

    /// Takes what `<prefix>_MAX_DEMAND` and its like say, and returns what is wrong with them.
    pub(crate) fn read_environment(&mut self, prefix: &str, variables: &BTreeMap<String, String>) -> Vec<String> {
        let mut problems = Vec::new();
        let mut take = |name: &str, set: &mut dyn FnMut(&str) -> Result<(), &'static str>| {
            let name = format!("{prefix}_{name}");
            if let Some(value) = variables.get(&name)
                && let Err(expected) = set(value.trim())
            {
                problems.push(format!("the environment variable {name} is {value:?}: give {expected}"));
            }
        };
        for (name, field) in [("MAX_DEMAND", &mut self.max_demand), ("ARBITERS", &mut self.arbiters)] {
            take(name, &mut |value| value.parse().map(|number| *field = number).map_err(|_| "a number such as 100"));
        }
        for (name, field) in [
            ("POLL_INTERVAL", &mut self.poll_interval),
            ("RESERVATION_TIMEOUT", &mut self.reservation_timeout),
            ("EXECUTION_TIMEOUT", &mut self.execution_timeout),
            ("RETRY_TIMEOUT", &mut self.retry_timeout),
            ("DEAD_AFTER", &mut self.dead_after),
            ("SHUTDOWN_TIMEOUT", &mut self.shutdown_timeout),
            ("CLAIM_AHEAD", &mut self.claim_ahead),
        ] {
            take(name, &mut |value| {
                duration(value).map(|time| *field = time).ok_or("a time such as 500ms, 30s, 5m or 1h")
            });
        }
        let level = &mut self.log_level;
        take("LOG_LEVEL", &mut |value| {
            value.parse().map(|parsed| *level = parsed).map_err(|_| "error, warn, info, debug or trace")
        });
        problems
    }
}

/// Reads `500ms`, `30s`, `5m`, `1h`; a bare number would leave its unit to guesses.
fn duration(text: &str) -> Option<Duration> {
    let unit = text.find(|letter: char| letter.is_ascii_alphabetic())?;
    let number: u64 = text[..unit].trim_end().parse().ok()?;
    match &text[unit..] {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "m" => number.checked_mul(60).map(Duration::from_secs),
        "h" => number.checked_mul(3600).map(Duration::from_secs),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_those_of_the_contract() {
        let settings = Settings::default();

        assert_eq!(settings.max_demand, 100);
        assert_eq!(settings.arbiters, std::thread::available_parallelism().map_or(1, usize::from));
        assert_eq!(settings.poll_interval, Duration::from_secs(60));
        assert_eq!(settings.reservation_timeout, Duration::from_secs(60));
        assert_eq!(settings.execution_timeout, Duration::from_secs(300));
        assert_eq!(settings.retry_timeout, Duration::from_secs(30));
        assert_eq!(settings.dead_after, Duration::from_secs(10));
        assert_eq!(settings.shutdown_timeout, Duration::from_secs(30));
        assert_eq!(settings.log_level, log::Level::Info);
        assert_eq!(settings.problems(), Vec::<String>::new());
    }

    #[test]
    fn every_problem_is_told_at_once() {
        let settings = Settings {
            max_demand: 0,
            arbiters: 0,
            poll_interval: Duration::ZERO,
            execution_timeout: Duration::MAX,
            dead_after: Duration::from_millis(5),
            ..Settings::default()
        };

        let problems = settings.problems().join("\n");

        for word in ["max_demand", "arbiters", "poll_interval", "execution_timeout", "dead_after"] {
            assert!(problems.contains(word), "{word} is missing in {problems}");
        }
    }

    #[test]
    fn the_environment_sets_what_it_names_and_leaves_the_rest() {
        let variables = [("JOBS_MAX_DEMAND", "7"), ("JOBS_POLL_INTERVAL", "500ms"), ("JOBS_LOG_LEVEL", "debug")];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let mut settings = Settings::default();

        assert_eq!(settings.read_environment("JOBS", &variables), Vec::<String>::new());

        let expected = Settings {
            max_demand: 7,
            poll_interval: Duration::from_millis(500),
            log_level: log::Level::Debug,
            ..Settings::default()
        };
        assert_eq!(settings, expected);
    }

    #[test]
    fn an_environment_that_cannot_be_read_is_a_problem_and_not_a_default() {
        let variables = [("JOBS_MAX_DEMAND", "many"), ("JOBS_DEAD_AFTER", "10")];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into();

        let problems = Settings::default().read_environment("JOBS", &variables).join("\n");

        assert!(problems.contains("JOBS_MAX_DEMAND") && problems.contains("JOBS_DEAD_AFTER"), "{problems}");
    }
}
