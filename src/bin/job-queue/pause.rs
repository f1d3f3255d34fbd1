use serde_json::json;

use crate::{
    cli::Target,
    connect::operator,
    failure::Failure,
    output::{print, print_json, shown},
};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "From then on no process claims such a job, which takes effect at once and stays over restarts. What runs runs \
on.\n\nExamples:\n  job-queue pause --reason 'the mail server is away'\n  job-queue pause --type SendEmail"
)]
pub(crate) struct PauseArgs {
    /// Jobs of this type only.
    #[arg(long = "type", short = 't', value_name = "TYPE")]
    kind: Option<String>,
    /// What others are told.
    #[arg(long)]
    reason: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ResumeArgs {
    /// The type that was paused by itself.
    #[arg(long = "type", short = 't', value_name = "TYPE")]
    kind: Option<String>,
}

pub(crate) async fn pause(target: &Target, args: PauseArgs) -> Result<(), Failure> {
    let operator = operator(target).await?;
    operator.pause(args.kind.as_deref(), args.reason.as_deref()).await?;
    if target.json {
        return Ok(print_json(&json!({ "paused": true }))?);
    }
    Ok(print(&shown(&format!("{} is paused until it is resumed", what(operator.name(), args.kind.as_deref()))))?)
}

pub(crate) async fn resume(target: &Target, args: ResumeArgs) -> Result<(), Failure> {
    let operator = operator(target).await?;
    let was_paused = operator.resume(args.kind.as_deref()).await?;
    if target.json {
        return Ok(print_json(&json!({ "resumed": was_paused }))?);
    }
    let what = what(operator.name(), args.kind.as_deref());
    Ok(print(&shown(&if was_paused { format!("{what} is resumed") } else { format!("{what} was not paused") }))?)
}

fn what(queue: &actix_job_queue::QueueName, kind: Option<&str>) -> String {
    match kind {
        Some(kind) => format!("type {kind} of queue {queue}"),
        None => format!("queue {queue}"),
    }
}
