//! The way to the database: a URL without a password, DATABASE_URL, or the variables that libpq knows.

use std::env::{self, VarError};

use actix_job_queue::{Database, DatabaseOptions, Listen, operate};

use crate::{cli::Target, failure::Failure};

/// What libpq calls its variables, and the words of a connection string.
const VARIABLES: [(&str, &str); 8] = [
    ("PGHOST", "host"),
    ("PGHOSTADDR", "hostaddr"),
    ("PGPORT", "port"),
    ("PGUSER", "user"),
    ("PGDATABASE", "dbname"),
    ("PGSSLMODE", "sslmode"),
    ("PGSSLROOTCERT", "sslrootcert"),
    ("PGOPTIONS", "options"),
];

pub(crate) async fn database(target: &Target) -> Result<Database, Failure> {
    database_that(target, Listen::Off).await
}

/// The same, able to listen.
pub(crate) async fn database_that(target: &Target, listen: Listen) -> Result<Database, Failure> {
    let string = connection_string(target)?;
    Ok(DatabaseOptions::new().pool_size(2).listen(listen).connect(&string).await?)
}

/// The queue that is meant.
pub(crate) async fn operator(target: &Target) -> Result<operate::Operator, Failure> {
    operator_on(&database(target).await?, target).await
}

pub(crate) async fn operator_on(database: &Database, target: &Target) -> Result<operate::Operator, Failure> {
    let table = match &target.queue {
        Some(table) => table.clone(),
        None => only(database, &target.schema).await?,
    };
    Ok(operate::Operator::open(database, &target.schema, &table).await?)
}

/// The only queue of the schema.
async fn only(database: &Database, schema: &str) -> Result<String, Failure> {
    let mut queues = operate::queues(database).await?;
    queues.retain(|queue| queue.schema == schema);
    match queues.as_slice() {
        [queue] => Ok(queue.table.clone()),
        [] => Err(Failure::Missing(format!(
            "schema {schema} has no queue: name another with --schema, or make one with migrate --queue NAME"
        ))),
        queues => {
            let names: Vec<_> = queues.iter().map(|queue| queue.table.as_str()).collect();
            Err(Failure::Usage(format!(
                "schema {schema} has the queues {}: say which with --queue or JOB_QUEUE",
                names.join(", ")
            )))
        }
    }
}

fn variable(name: &str) -> Result<Option<String>, Failure> {
    match env::var(name) {
        Ok(value) if value.is_empty() => Ok(None),
        Ok(value) => Ok(Some(value)),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => Err(Failure::Usage(format!("{name} is not UTF-8"))),
    }
}

fn connection_string(target: &Target) -> Result<String, Failure> {
    if let Some(url) = &target.url {
        if has_password(url) {
            return Err(Failure::Usage(
                "--url holds a password, which everybody on this machine can read in the list of processes: give it in PGPASSWORD, or the whole in DATABASE_URL"
                    .to_owned(),
            ));
        }
        return with_password(url.clone());
    }
    if let Some(url) = variable("DATABASE_URL")? {
        return if has_password(&url) { Ok(url) } else { with_password(url) };
    }
    let mut words = Vec::new();
    for (name, word) in VARIABLES {
        if let Some(value) = variable(name)? {
            words.push(format!("{word}={}", quoted(&value)));
        }
    }
    if words.is_empty() {
        return Err(Failure::Usage(
            "no database is named: set DATABASE_URL (postgres://user:password@host/database), or PGHOST, PGUSER and PGDATABASE"
                .to_owned(),
        ));
    }
    let given = |word: &str| words.iter().any(|known| known.starts_with(word));
    let mut missing = Vec::new();
    if !given("host") {
        missing.push("host=localhost".to_owned());
    }
    if !given("user=") {
        let user = variable("USER")?.unwrap_or_else(|| "postgres".to_owned());
        missing.push(format!("user={}", quoted(&user)));
    }
    words.extend(missing);
    with_password(words.join(" "))
}

/// Whether there is a password in a URL or a list of words; in doubt there is.
fn has_password(string: &str) -> bool {
    let Some((scheme, rest)) = string.split_once("://") else {
        return string.contains("password");
    };
    let authority = rest.split(['/', '?']).next().unwrap_or(rest);
    let user = authority.rsplit_once('@').map_or("", |(user, _)| user);
    // An @ or / that is not encoded belongs to a password too.
    user.contains(':') || rest.contains("password=") || !scheme.starts_with("postgres") || stray(rest)
}

fn stray(rest: &str) -> bool {
    let whole = rest.split('?').next().unwrap_or(rest);
    whole.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'))
}

/// Adds what PGPASSWORD says.
fn with_password(string: String) -> Result<String, Failure> {
    let Some(password) = variable("PGPASSWORD")? else {
        return Ok(string);
    };
    if !string.contains("://") {
        return Ok(format!("{string} password={}", quoted(&password)));
    }
    let mark = if string.contains('?') { '&' } else { '?' };
    let encoded: String = password.bytes().map(|byte| format!("%{byte:02X}")).collect();
    Ok(format!("{string}{mark}password={encoded}"))
}

fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\\', "\\\\").replace('\'', "\\'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_found_wherever_it_stands_in_a_url() {
        for url in [
            "postgres://ada:secret@localhost/app",
            "postgres://ada:p/w@localhost/app",
            "postgres://ada:p@w@localhost/app",
            "postgres://localhost/app?user=ada&password=secret",
            "host=localhost password=secret",
        ] {
            assert!(has_password(url), "{url}");
        }
        for url in ["postgres://ada@localhost:5432/app", "postgres://localhost/app?sslmode=require", "host=localhost"] {
            assert!(!has_password(url), "{url}");
        }
    }
}
