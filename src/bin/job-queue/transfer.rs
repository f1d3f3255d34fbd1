//! Jobs as lines of JSON, out of a queue and into one.

use std::io::{self, BufRead, IsTerminal};

use actix_job_queue::operate::PortableJob;

use crate::{
    bulk::bar,
    cli::Target,
    connect::operator,
    failure::Failure,
    filter::FilterArgs,
    output::{json_text, print, print_json, thousands},
    prompt::confirm,
};

/// So many jobs are read or written by one statement.
const BATCH: usize = 1_000;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  job-queue export --state failed > failed.jsonl\n  job-queue export --type Report | \
DATABASE_URL=.. job-queue import --yes\n\nIt writes params as they are, and refuses where --redact or JOB_QUEUE_REDACT \
would have something hidden."
)]
pub(crate) struct ExportArgs {
    /// The jobs' ids.
    ids: Vec<i64>,
    #[command(flatten)]
    filter: FilterArgs,
}

#[derive(Debug, clap::Args)]
#[command(
    after_help = "A line is an object with params, and with any of type, state, schedule, attempt, max_attempts, priority, \
notify, inserted_at and errors. The jobs get new ids; failed ones stay failed. Batches of a thousand are there whole or not at \
all; the first line that cannot be used ends it, and is named.\n\nExamples:\n  job-queue import failed.jsonl --rerun\n  echo \
'{\"params\": {\"type\": \"Ping\"}}' | job-queue import --yes"
)]
pub(crate) struct ImportArgs {
    /// The file; standard input if there is none.
    file: Option<std::path::PathBuf>,
    /// Has failed jobs run again.
    #[arg(long)]
    rerun: bool,
    /// Does not ask.
    #[arg(long, short)]
    yes: bool,
}

pub(crate) async fn export(target: &Target, args: ExportArgs) -> Result<(), Failure> {
    target.refuse_to_redact()?;
    let operator = operator(target).await?;
    let (filter, mut from) = (args.filter.filter(args.ids), None);
    loop {
        let found = operator.find(&filter, from.as_ref()).await?;
        for ids in found.ids.chunks(BATCH) {
            for job in operator.export(ids).await? {
                print(&json_text(&job, false)?)?;
            }
        }
        from = found.next;
        if from.is_none() {
            return Ok(());
        }
    }
}

pub(crate) async fn import(target: &Target, args: ImportArgs) -> Result<(), Failure> {
    let operator = operator(target).await?;
    let named = args.file.as_ref().map(|path| path.display().to_string());
    let reader: Box<dyn BufRead> = match &args.file {
        Some(path) => {
            let open = std::fs::File::open(path)
                .map_err(|error| Failure::Usage(format!("could not open {}: {error}", path.display())))?;
            Box::new(io::BufReader::new(open))
        }
        None if args.yes || io::stdin().is_terminal() => Box::new(io::stdin().lock()),
        None => {
            return Err(Failure::Unconfirmed(
                "standard input is the jobs, so nobody can be asked: give --yes".to_owned(),
            ));
        }
    };
    let what = named.as_deref().unwrap_or("standard input");
    confirm(&format!("Import the jobs of {what} into queue {}?", operator.name()), args.yes)?;
    let progress = bar(0);
    progress.unset_length();
    let (mut batch, mut imported) = (Vec::with_capacity(BATCH), 0_usize);
    let mut ended = Ok(());
    for (number, line) in (1_usize..).zip(reader.lines()) {
        match read(what, number, line) {
            Ok(job) => batch.extend(job),
            Err(failure) => {
                ended = Err(failure);
                break;
            }
        }
        if batch.len() == BATCH {
            imported += put(&operator, &mut batch, args.rerun, what, number).await?;
            progress.set_position(u64::try_from(imported).unwrap_or(u64::MAX));
        }
    }
    if ended.is_ok() && !batch.is_empty() {
        imported += put(&operator, &mut batch, args.rerun, what, 0).await?;
    }
    progress.finish_and_clear();
    if target.json {
        print_json(&serde_json::json!({ "imported": imported }))?;
    } else {
        print(&format!("{} jobs are imported", thousands(i64::try_from(imported).unwrap_or(i64::MAX))))?;
    }
    ended
}

fn read(what: &str, number: usize, line: io::Result<String>) -> Result<Option<PortableJob>, Failure> {
    let line = line?;
    if line.trim().is_empty() {
        return Ok(None);
    }
    serde_json::from_str(&line).map(Some).map_err(|error| {
        Failure::Usage(format!("line {number} of {what} is no job: {error}; its batch is not imported"))
    })
}

async fn put(
    operator: &actix_job_queue::operate::Operator,
    batch: &mut Vec<PortableJob>,
    rerun: bool,
    what: &str,
    line: usize,
) -> Result<usize, Failure> {
    let ids = operator.import(batch, rerun).await.map_err(|error| {
        let place = if line == 0 { "the end".to_owned() } else { format!("line {line}") };
        Failure::Other(format!(
            "the {} jobs up to {place} of {what} are not imported: {}",
            batch.len(),
            crate::failure::chain(&error)
        ))
    })?;
    batch.clear();
    Ok(ids.len())
}
