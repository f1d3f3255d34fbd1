use std::{fmt, str::FromStr, time::Duration};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{OperateError, Operator, walk::Walk};
use crate::job::{ParamsKind, State};

/// Which jobs are meant. An empty filter means all of them; each part that is given leaves fewer.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Filter {
    /// In one of these states; in any if there are none.
    pub states: Vec<State>,
    /// Of this type.
    pub kind: Option<String>,
    /// Whose last error, or a cause of it, contains this text, whatever its case.
    pub error: Option<String>,
    /// Whose params have something at this JSON path, or fulfil it: `$.to`, `$.size > 10`,
    /// `$.items[*] ? (@.sku == "A")`.
    pub params: Option<String>,
    /// Enqueued at least so long ago.
    pub older: Option<Duration>,
    /// Enqueued at most so long ago.
    pub younger: Option<Duration>,
    /// With one of these ids.
    pub ids: Option<Vec<i64>>,
    /// Held by this process.
    pub node: Option<i64>,
}

/// Where a page ended, for the next one to go on from. Its text is for programs to hand back as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    pub(super) walk: Walk,
    /// The last job that was looked at; none at a walk's beginning.
    pub(super) last: Option<Place>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) priority: i32,
    pub(super) time: DateTime<Utc>,
    pub(super) id: i64,
}

/// The text is no cursor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no place to go on from: hand back what the page before it named")]
pub struct NoCursor(String);

impl Filter {
    /// Whether it means every job there is.
    pub fn is_everything(&self) -> bool {
        *self == Self::default()
    }

    /// The error's text as a pattern that means itself.
    pub(super) fn error_pattern(&self) -> Option<String> {
        let escape = |text: &String| text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
        self.error.as_ref().map(|text| format!("%{}%", escape(text)))
    }
}

impl Operator {
    /// Says what in a filter this queue cannot be asked for.
    pub(super) fn check(&self, filter: &Filter) -> Result<(), OperateError> {
        if self.store.kind == ParamsKind::Binary && (filter.kind.is_some() || filter.params.is_some()) {
            let queue = &self.store.name;
            return Err(OperateError::Filter(format!(
                "queue {queue} keeps its params as MessagePack, in which the database can look neither for a type nor for a path"
            )));
        }
        let texts = [&filter.kind, &filter.error, &filter.params];
        if texts.into_iter().flatten().any(|text| text.contains('\0')) {
            return Err(OperateError::Filter("it contains a NUL character, which no job does".to_owned()));
        }
        Ok(())
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.walk.letter())?;
        match self.last {
            Some(Place { priority, time, id }) => write!(f, ".{priority}.{}.{id}", time.timestamp_micros()),
            None => Ok(()),
        }
    }
}

impl FromStr for Cursor {
    type Err = NoCursor;

    fn from_str(text: &str) -> Result<Self, NoCursor> {
        let wrong = || NoCursor(text.to_owned());
        let mut parts = text.split('.');
        let walk = parts.next().and_then(Walk::of_letter).ok_or_else(wrong)?;
        let last = match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (None, ..) => None,
            (Some(priority), Some(time), Some(id), None) => Some(Place {
                priority: priority.parse().map_err(|_| wrong())?,
                time: time.parse().ok().and_then(DateTime::from_timestamp_micros).ok_or_else(wrong)?,
                id: id.parse().map_err(|_| wrong())?,
            }),
            _ => return Err(wrong()),
        };
        Ok(Self { walk, last })
    }
}

impl Serialize for Cursor {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Cursor {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_from_its_text_and_other_texts_are_refused() {
        let time = DateTime::from_timestamp_micros(-1_234_567).unwrap();
        for last in [None, Some(Place { priority: -3, time, id: -9 })] {
            let cursor = Cursor { walk: Walk::Due, last };
            assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }
        for text in ["", "x", "a.1", "a.1.2.3.4", "d.1.x.3", "d.1.9223372036854775807.3"] {
            assert!(text.parse::<Cursor>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_text_that_looks_like_a_pattern_means_itself() {
        let filter = Filter { error: Some(r"50%_\".into()), ..Filter::default() };

        assert_eq!(filter.error_pattern().as_deref(), Some(r"%50\%\_\\%"));
        assert!(!filter.is_everything() && Filter::default().is_everything());
    }
}
