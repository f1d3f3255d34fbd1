//! What every scenario is given: the options, chance, and a place for logs.

use std::{
    cell::RefCell,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{failure::Failure, options::Options, progress::Progress};

pub(crate) struct Stage<'a> {
    pub(crate) options: &'a Options,
    pub(crate) progress: &'a Progress,
    pub(crate) logs: PathBuf,
    chance: RefCell<fastrand::Rng>,
}

impl<'a> Stage<'a> {
    pub(crate) fn new(options: &'a Options, seed: u64, name: &str, progress: &'a Progress) -> Result<Self, Failure> {
        let logs = logs(name);
        if logs.exists() {
            fs::remove_dir_all(&logs).map_err(Failure::because("remove the logs of an earlier run"))?;
        }
        fs::create_dir_all(&logs).map_err(Failure::because("make a folder for the logs"))?;
        // A scenario has the same chances whether it is played alone or after others.
        let own = name.bytes().fold(seed, |seed, byte| seed.wrapping_mul(31).wrapping_add(u64::from(byte)));
        Ok(Self { options, progress, logs, chance: RefCell::new(fastrand::Rng::with_seed(own)) })
    }

    /// How long the load runs before a fault.
    pub(crate) fn length(&self) -> Duration {
        Duration::from_secs(self.options.length.unwrap_or(if self.options.short { 3 } else { 8 }))
    }

    /// The full figure, or in the short form the smaller one.
    pub(crate) fn short_or<T>(&self, short: T, full: T) -> T {
        if self.options.short { short } else { full }
    }

    /// A number below `limit`.
    pub(crate) fn chance(&self, limit: usize) -> usize {
        self.chance.borrow_mut().usize(..limit.max(1))
    }

    /// Removes what was logged: nobody will ask.
    pub(crate) fn forget(&self) {
        // A folder that stays is no harm.
        let _ = fs::remove_dir_all(&self.logs);
    }
}

/// Where the processes of a scenario log.
pub(crate) fn logs(scenario: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/chaos").join(scenario)
}
