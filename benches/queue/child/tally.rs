//! What a child has done so far, by its own clock.

use std::{
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use serde::{Deserialize, Serialize};

use crate::usage;

/// How far a child is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) done: u64,
    /// From the first that was begun to the last that counts.
    pub(crate) seconds: f64,
    /// The child's CPU seconds in that time, where the system tells.
    pub(crate) cpu: Option<f64>,
    /// When the first was begun and the last done, in seconds since 1970: for several processes of one host.
    pub(crate) from: f64,
    pub(crate) to: f64,
    /// The seconds at which each tenth of what is wanted was done.
    pub(crate) tenths: Vec<f64>,
    /// The median and the 99th percentile of what was timed one by one, in seconds; only in the last report.
    pub(crate) latency: Option<(f64, f64)>,
}

/// Counts; the clock runs from the first that is begun to the last that is wanted.
#[derive(Debug)]
pub(crate) struct Tally {
    wanted: u64,
    done: AtomicU64,
    begun: OnceLock<Moment>,
    ended: OnceLock<Moment>,
    /// Nanoseconds from the beginning to the latest.
    latest: AtomicU64,
    tenths: Mutex<Vec<f64>>,
    latencies: Mutex<Vec<Duration>>,
}

#[derive(Debug, Clone, Copy)]
struct Moment {
    instant: Instant,
    time: SystemTime,
    cpu: Option<f64>,
}

impl Moment {
    fn now() -> Self {
        let cpu = usage::cpu(std::process::id());
        Self { instant: Instant::now(), time: SystemTime::now(), cpu }
    }

    fn epoch(self) -> f64 {
        self.time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
    }
}

impl Tally {
    pub(crate) fn new(wanted: u64) -> Self {
        Self {
            wanted,
            done: AtomicU64::new(0),
            begun: OnceLock::new(),
            ended: OnceLock::new(),
            latest: AtomicU64::new(0),
            tenths: Mutex::default(),
            latencies: Mutex::default(),
        }
    }

    /// One is begun: the first time, the clock starts.
    pub(crate) fn begin(&self) {
        self.begun.get_or_init(Moment::now);
    }

    /// So many are done.
    pub(crate) fn done(&self, number: u64) {
        let begun = self.begun.get_or_init(Moment::now).instant;
        let before = self.done.fetch_add(number, Ordering::AcqRel);
        let after = before + number;
        let passed = begun.elapsed();
        self.latest.fetch_max(u64::try_from(passed.as_nanos()).unwrap_or(u64::MAX), Ordering::AcqRel);
        let tenth = |done: u64| (done.min(self.wanted) * 10).checked_div(self.wanted).unwrap_or(0);
        for _ in tenth(before)..tenth(after) {
            self.tenths.lock().unwrap_or_else(PoisonError::into_inner).push(passed.as_secs_f64());
        }
        if before < self.wanted && after >= self.wanted {
            self.ended.get_or_init(Moment::now);
        }
    }

    /// One that was timed is done.
    pub(crate) fn timed(&self, took: Duration) {
        self.latencies.lock().unwrap_or_else(PoisonError::into_inner).push(took);
        self.done(1);
    }

    /// One is done that was begun then, after it had been enqueued, in nanoseconds since 1970; timed where both are known.
    pub(crate) fn aged(&self, enqueued: Option<u64>, begun: u64) {
        match enqueued {
            Some(enqueued) => self.timed(Duration::from_nanos(begun.saturating_sub(enqueued))),
            None => self.done(1),
        }
    }

    /// How many are done.
    pub(crate) fn count(&self) -> u64 {
        self.done.load(Ordering::Acquire)
    }

    /// What is asked for again and again, while it is measured: nothing in it may take long.
    pub(crate) fn report(&self) -> Report {
        let begun = self.begun.get().copied().unwrap_or_else(Moment::now);
        let latest = Duration::from_nanos(self.latest.load(Ordering::Acquire));
        let (seconds, cpu) = match self.ended.get() {
            Some(ended) => ((ended.instant - begun.instant), ended.cpu),
            None => (latest, usage::cpu(std::process::id())),
        };
        Report {
            done: self.count(),
            seconds: seconds.as_secs_f64(),
            cpu: begun.cpu.zip(cpu).map(|(begun, ended)| ended - begun),
            from: begun.epoch(),
            to: begun.epoch() + seconds.as_secs_f64(),
            tenths: self.tenths.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            latency: None,
        }
    }

    pub(crate) fn last_report(&self) -> Report {
        Report { latency: self.latency(), ..self.report() }
    }

    fn latency(&self) -> Option<(f64, f64)> {
        let mut all = self.latencies.lock().unwrap_or_else(PoisonError::into_inner).clone();
        all.sort_unstable();
        let percentile = |percent: usize| all.get((all.len() * percent / 100).min(all.len().saturating_sub(1)));
        Some((percentile(50)?.as_secs_f64(), percentile(99)?.as_secs_f64()))
    }
}
