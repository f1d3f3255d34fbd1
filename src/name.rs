//! What a queue is called in the database: validated once, quoted always.

use std::fmt;

/// PostgreSQL cuts longer identifiers off, so that two names could become one.
const IDENTIFIER_BYTES: usize = 63;

/// Tables that the library itself keeps in each schema.
const RESERVED: [&str; 6] = [
    "job_queue_migrations",
    "job_queue_nodes",
    "job_queue_pauses",
    "job_queue_activity",
    "job_queue_failures",
    "job_queue_history",
];

/// The longest ending of a channel's name.
const LONGEST_ENDING: usize = ".completed".len();

/// A queue's schema and table.
///
/// Any name that PostgreSQL can hold is one: quotes, spaces, keywords and other scripts included.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct QueueName {
    schema: String,
    table: String,
}

impl QueueName {
    /// Checks both parts.
    ///
    /// # Errors
    /// Says what is wrong with the name: empty, longer than 63 bytes, a NUL character, or one of the
    /// library's own tables.
    pub fn new(schema: impl Into<String>, table: impl Into<String>) -> Result<Self, NameError> {
        let (schema, table) = (schema.into(), table.into());
        check("schema", &schema)?;
        check("table", &table)?;
        if RESERVED.contains(&table.as_str()) {
            return Err(NameError::Reserved(table));
        }
        Ok(Self { schema, table })
    }

    /// The schema, unquoted.
    pub fn schema(&self) -> &str {
        &self.schema
    }

    /// The table, unquoted.
    pub fn table(&self) -> &str {
        &self.table
    }

    /// The schema as SQL spells it.
    pub(crate) fn quoted_schema(&self) -> String {
        quote_identifier(&self.schema)
    }

    /// The table with its schema as SQL spells it.
    pub(crate) fn quoted_table(&self) -> String {
        format!("{}.{}", quote_identifier(&self.schema), quote_identifier(&self.table))
    }

    /// The channel that is notified when a job is inserted: `<schema>.<table>`, or `<table>` in `public`.
    ///
    /// A name too long for PostgreSQL's 63 bytes is cut and ends in `~` and a hash of the whole.
    pub fn channel(&self) -> String {
        let whole = match self.schema.as_str() {
            "public" => self.table.clone(),
            schema => format!("{schema}.{}", self.table),
        };
        let room = IDENTIFIER_BYTES - LONGEST_ENDING;
        if whole.len() <= room {
            return whole;
        }
        let hash = format!("~{:016x}", fnv1a(whole.as_bytes()));
        let mut end = room - hash.len();
        while !whole.is_char_boundary(end) {
            end -= 1;
        }
        format!("{}{hash}", &whole[..end])
    }

    /// The channel on which a job's `notify` payload is announced once the job is completed.
    pub fn completed_channel(&self) -> String {
        self.channel() + ".completed"
    }

    /// The channel on which a job's `notify` payload is announced when an attempt failed and another follows.
    pub fn retry_channel(&self) -> String {
        self.channel() + ".retry"
    }

    /// The channel on which a job's `notify` payload is announced when its last attempt failed.
    pub fn failed_channel(&self) -> String {
        self.channel() + ".failed"
    }
}

impl fmt::Display for QueueName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.schema.as_str() {
            "public" => f.write_str(&self.table),
            schema => write!(f, "{schema}.{}", self.table),
        }
    }
}

/// Why a name cannot be a queue's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// Nothing was given.
    #[error("the {0}'s name is empty: give the queue a table of its own")]
    Empty(&'static str),
    /// PostgreSQL would cut it.
    #[error("the {part}'s name {name:?} has {} bytes and PostgreSQL keeps 63: shorten it", name.len())]
    TooLong {
        /// Schema or table.
        part: &'static str,
        /// The name that was given.
        name: String,
    },
    /// PostgreSQL's strings end at a NUL.
    #[error("the {part}'s name {name:?} contains a NUL character, which PostgreSQL cannot store: leave it out")]
    Nul {
        /// Schema or table.
        part: &'static str,
        /// The name that was given.
        name: String,
    },
    /// A table of the library's own.
    #[error("{0:?} is a table that the queues of a schema share: call the queue something else")]
    Reserved(String),
}

fn check(part: &'static str, name: &str) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty(part));
    }
    if name.len() > IDENTIFIER_BYTES {
        return Err(NameError::TooLong { part, name: name.to_owned() });
    }
    if name.contains('\0') {
        return Err(NameError::Nul { part, name: name.to_owned() });
    }
    Ok(())
}

pub(crate) fn quote_identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Quotes a string for SQL, whatever `standard_conforming_strings` says.
pub(crate) fn quote_literal(text: &str) -> String {
    let doubled = text.replace('\'', "''");
    if doubled.contains('\\') { format!(" E'{}'", doubled.replace('\\', "\\\\")) } else { format!("'{doubled}'") }
}

/// The 64-bit FNV-1a hash, as its authors define it (<http://www.isthe.com/chongo/tech/comp/fnv/>).
///
/// Unlike the standard library's hashes it is the same in every version, and every process must listen on
/// the channel that the table's trigger was made with.
pub(crate) fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_quoted_so_that_it_stays_one_identifier() {
        let name = QueueName::new("my \"schema\"", "select").unwrap();

        assert_eq!(name.quoted_table(), r#""my ""schema"""."select""#);
    }

    #[test]
    fn a_literal_survives_quotes_and_backslashes() {
        assert_eq!(quote_literal("it's"), "'it''s'");
        assert_eq!(quote_literal(r"a\b"), r" E'a\\b'");
    }

    #[test]
    fn a_name_that_postgresql_cannot_hold_is_refused() {
        assert!(matches!(QueueName::new("public", ""), Err(NameError::Empty("table"))));
        assert!(matches!(QueueName::new("x".repeat(64), "jobs"), Err(NameError::TooLong { part: "schema", .. })));
        assert!(matches!(QueueName::new("public", "a\0b"), Err(NameError::Nul { .. })));
        assert!(matches!(QueueName::new("public", "job_queue_nodes"), Err(NameError::Reserved(_))));
    }

    #[test]
    fn a_channel_is_the_table_in_public_and_has_its_schema_elsewhere() {
        assert_eq!(QueueName::new("public", "jobs").unwrap().channel(), "jobs");
        assert_eq!(QueueName::new("billing", "jobs").unwrap().completed_channel(), "billing.jobs.completed");
    }

    #[test]
    fn long_names_have_channels_of_their_own_that_postgresql_accepts() {
        let one = QueueName::new("ü".repeat(31), "é".repeat(31)).unwrap();
        let other = QueueName::new("ü".repeat(31), format!("{}e", "é".repeat(30))).unwrap();

        assert!(one.completed_channel().len() <= 63);
        assert_ne!(one.channel(), other.channel());
    }
}
