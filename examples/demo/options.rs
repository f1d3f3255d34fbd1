//! The command line.

use std::{path::PathBuf, time::Duration};

use crate::Failure;

/// What this process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Plays the tour and ends.
    Tour,
    /// Serves and works until it is told to end.
    Interactive,
    /// The tour's web process.
    Web,
    /// One of the tour's workers.
    Worker,
    /// Tells how to use it.
    Help,
}

/// The command line, with the defaults for what it does not say.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) role: Role,
    pub(crate) tour_only: bool,
    pub(crate) sign_ups: usize,
    /// 0 for a free one.
    pub(crate) port: u16,
    pub(crate) schema: Option<String>,
    pub(crate) mails: Option<PathBuf>,
    pub(crate) delivery: Option<Duration>,
}

pub(crate) const USAGE: &str = "\
The demo of actix-job-queue: sign-ups whose welcome mails are jobs.

  demo                  plays a tour and checks its books: 1,000 sign-ups, failing jobs, a killed worker
  demo --interactive    serves the page until Ctrl-C

  --sign-ups N          so many in the tour instead
  --tour-only           no word after the tour on how to stay
  --port N              the page's port on 127.0.0.1 (or PORT=N); a free one unless given
  --mails FOLDER        where the mails go; ./mails, or a temporary folder in the tour

DATABASE_URL names the PostgreSQL; where it is not set, a throw-away one is started.";

impl Options {
    /// Reads the arguments after the program's name.
    pub(crate) fn read(arguments: impl Iterator<Item = String>) -> Result<Self, Failure> {
        let mut arguments = arguments.peekable();
        let role = match arguments.peek().map(String::as_str) {
            Some("web") => Role::Web,
            Some("worker") => Role::Worker,
            _ => Role::Tour,
        };
        if role != Role::Tour {
            arguments.next();
        }
        let port = match std::env::var("PORT") {
            Ok(port) if !port.is_empty() => number("PORT", &port)?,
            _ => 0,
        };
        let mut options =
            Self { role, tour_only: false, sign_ups: 1000, port, schema: None, mails: None, delivery: None };
        while let Some(name) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| Failure::from(format!("{name} needs a value")));
            match name.as_str() {
                "--interactive" => options.role = Role::Interactive,
                "--help" | "-h" => options.role = Role::Help,
                "--tour-only" => options.tour_only = true,
                "--sign-ups" => options.sign_ups = number(&name, &value()?)?,
                "--port" => options.port = number(&name, &value()?)?,
                "--schema" => options.schema = Some(value()?),
                "--mails" => options.mails = Some(value()?.into()),
                "--delivery-ms" => options.delivery = Some(Duration::from_millis(number(&name, &value()?)?)),
                unknown => return Err(format!("there is no option {unknown}\n\n{USAGE}").into()),
            }
        }
        Ok(options)
    }
}

fn number<N: std::str::FromStr>(name: &str, text: &str) -> Result<N, Failure> {
    text.parse().map_err(|_| format!("{name} is {text:?}: give a number that fits").into())
}
