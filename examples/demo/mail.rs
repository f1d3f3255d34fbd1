//! The job: a welcome mail, and its handler.

use std::{path::PathBuf, time::Duration};

use actix_job_queue::{
    Completed, Context, Handler, Job, JobError,
    tokio_postgres::types::{ToSql, Type},
};
use lettre::{FileTransport, Message, Transport, message::Mailbox};
use serde::{Deserialize, Serialize};

/// The params of the job. Serde's name of the struct is the type by which the queue finds the handler.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct WelcomeMail {
    pub(crate) user: i64,
    pub(crate) email: String,
    pub(crate) trouble: Option<Trouble>,
}

/// What goes wrong at the first attempt, on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Trouble {
    /// The handler returns an error.
    Error,
    /// The handler panics.
    Panic,
    /// The handler sleeps far past its execution timeout.
    Hang,
}

impl Trouble {
    /// Every kind, with its word in a form.
    pub(crate) const ALL: [(Trouble, &str); 3] =
        [(Trouble::Error, "error"), (Trouble::Panic, "panic"), (Trouble::Hang, "hang")];

    /// The word in a form.
    pub(crate) fn word(self) -> &'static str {
        Self::ALL.iter().find(|(trouble, _)| *trouble == self).map_or("", |(_, word)| word)
    }
}

/// The error that is asked for.
pub(crate) const REFUSAL: &str = "the mail server refuses the mail, as it was asked to";

/// Sends welcome mails: into files, as a mail server that is always there.
pub(crate) struct Postman {
    pub(crate) schema: String,
    pub(crate) folder: PathBuf,
    pub(crate) delivery: Duration,
}

impl Handler<WelcomeMail> for Postman {
    async fn perform(&self, job: Job<WelcomeMail>, mut context: Context) -> Result<Completed, JobError> {
        let mail = &job.params;
        if job.attempt == 1 {
            misbehave(mail.trouble).await?;
        }

        // What is slow comes first, while no transaction is open.
        let message = compose(mail)?;
        let transport = FileTransport::new(&self.folder);
        tokio::task::spawn_blocking(move || transport.send(&message)).await??;
        tokio::time::sleep(self.delivery).await;

        // The job's removal and the count happen together, or neither does.
        let completion = context.begin().await?;
        let count = format!(
            "INSERT INTO {}.mails (user_id, job_id, attempt, process) VALUES ($1, $2, $3, $4)
             ON CONFLICT (user_id) DO UPDATE SET counted = mails.counted + 1",
            self.schema
        );
        let process = i64::from(std::process::id());
        let values: [(&(dyn ToSql + Sync), Type); 4] =
            [(&mail.user, Type::INT8), (&job.id, Type::INT8), (&job.attempt, Type::INT4), (&process, Type::INT8)];
        completion.execute_typed(&count, &values).await?;
        Ok(completion.commit().await?)
    }
}

async fn misbehave(trouble: Option<Trouble>) -> Result<(), JobError> {
    match trouble {
        None => Ok(()),
        Some(Trouble::Error) => Err(JobError::new(REFUSAL)),
        Some(Trouble::Panic) => panic!("the handler panics, as it was asked to"),
        Some(Trouble::Hang) => {
            tokio::time::sleep(Duration::from_secs(3600)).await;
            Ok(())
        }
    }
}

fn compose(mail: &WelcomeMail) -> Result<Message, JobError> {
    let to: Mailbox = mail.email.parse()?;
    let message = Message::builder()
        .from(Mailbox::new(Some("The demo".to_owned()), "demo@example.com".parse()?))
        .to(to)
        .subject("Welcome!")
        .body(format!("Hello {},\n\nyou are user number {}.\n", mail.email, mail.user))?;
    Ok(message)
}
