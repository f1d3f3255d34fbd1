use std::{fmt, str::FromStr};

/// Where a job stands.
///
/// ```text
/// SCHEDULED --due--> AVAILABLE --claimed--> RESERVED --started--> IN_PROGRESS --committed--> row deleted
///                       ^                     |                      |   |
///                       |<---hold lapsed------+                      |   +--error, panic, timeout--> RETRY or FAILED
///                       |<---process died, attempts left-------------+
/// RETRY --due-----------+                   process died, none left --> FAILED
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum State {
    /// Waits for its time.
    Scheduled,
    /// Can be claimed.
    Available,
    /// Claimed by a process that has not started it yet.
    Reserved,
    /// Being performed.
    InProgress,
    /// An attempt failed; the next one waits for its time.
    Retry,
    /// Its last attempt failed. It stays for people to look at.
    Failed,
}

impl State {
    /// Every state.
    pub const ALL: [State; 6] =
        [State::Scheduled, State::Available, State::Reserved, State::InProgress, State::Retry, State::Failed];

    /// The word that the table holds.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Scheduled => "SCHEDULED",
            State::Available => "AVAILABLE",
            State::Reserved => "RESERVED",
            State::InProgress => "IN_PROGRESS",
            State::Retry => "RETRY",
            State::Failed => "FAILED",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text is no state's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no state of a job: the states are SCHEDULED, AVAILABLE, RESERVED, IN_PROGRESS, RETRY and FAILED")]
pub struct UnknownState(pub String);

impl FromStr for State {
    type Err = UnknownState;

    fn from_str(text: &str) -> Result<Self, UnknownState> {
        State::ALL.into_iter().find(|state| state.as_str() == text).ok_or_else(|| UnknownState(text.to_owned()))
    }
}
