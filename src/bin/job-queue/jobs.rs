//! Jobs to look at, and one to add.

use std::{io::Read, pin::pin, time::Duration};

use actix_job_queue::{
    NewJob,
    operate::{CompletedJob, Cursor, Details, Failure as Failed, Filter, JobRow, Operator, Page},
};
use chrono::{DateTime, Utc};
use serde_json::{Value, value::RawValue};

use crate::{
    cli::Target,
    connect::operator,
    failure::Failure,
    filter::FilterArgs,
    output::{
        ago, cell, escaped, in_line, length, print, print_json, print_table, shown, state_cell, table, thousands,
    },
    search::Search,
    span::span,
};

/// Filters and pages.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  job-queue list --state failed --error 'connection refused'\n  job-queue list --type \
SendEmail --older 1h\n  job-queue list --params '$.to like_regex \"@example.com$\"' --limit 10\n\nFailed jobs come the \
latest first, waiting ones as they will run, and without --state the newest first. A page ends with the words that show \
the next one.\n\nNo index finds a type, an error or what params fulfil: jobs are looked through one after the other until the page \
is full. Ctrl-C shows what was found until then, and where to go on."
)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    filter: FilterArgs,
    /// How many jobs to show.
    #[arg(long, short = 'n', default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    limit: u16,
    /// Goes on where a page ended.
    #[arg(long, value_name = "PLACE")]
    from: Option<Cursor>,
}

/// Which completed jobs.
#[derive(Debug, clap::Args)]
#[command(after_help = "A queue keeps them if its program says keep_completed(..) where it builds the queue.")]
pub(crate) struct CompletedArgs {
    /// With this id.
    id: Option<i64>,
    /// Of this type.
    #[arg(long = "type", short = 't', value_name = "TYPE")]
    kind: Option<String>,
    /// How many jobs to show.
    #[arg(long, short = 'n', default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    limit: u16,
    /// Goes on where a page ended.
    #[arg(long, value_name = "PLACE")]
    from: Option<Cursor>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ShowArgs {
    /// The job's id.
    id: i64,
}

/// A job to be.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  job-queue enqueue SendEmail '{\"to\": \"ada@example.com\"}' --in 10m\n  \
job-queue enqueue Report - < params.json")]
pub(crate) struct EnqueueArgs {
    /// The job's type, by which its handler is found.
    kind: String,
    /// Its params, a JSON object; - reads them from standard input.
    #[arg(default_value = "{}")]
    params: String,
    /// Runs so much later, such as 15m or 2h.
    #[arg(long = "in", value_name = "TIME", value_parser = span, conflicts_with = "at")]
    delay: Option<Duration>,
    /// Runs at this time, such as 2030-01-31T09:00:00Z.
    #[arg(long, value_name = "TIME")]
    at: Option<DateTime<Utc>>,
    /// Lower runs first.
    #[arg(long, allow_negative_numbers = true)]
    priority: Option<i32>,
    /// How often it is tried.
    #[arg(long, value_parser = clap::value_parser!(i32).range(1..))]
    max_attempts: Option<i32>,
    /// What is announced when it completes, fails or is tried again.
    #[arg(long)]
    notify: Option<String>,
}

pub(crate) async fn list(target: &Target, args: ListArgs) -> Result<(), Failure> {
    let operator = operator(target).await?;
    let (filter, limit) = (args.filter.filter(Vec::new()), usize::from(args.limit));
    let redact = target.redact()?;
    let mut page = search(&operator, &filter, args.from, limit).await?;
    page.jobs.iter_mut().for_each(|row| redact.row(operator.name(), row));
    if target.json {
        return Ok(print_json(&page)?);
    }
    print_page(&page, limit)
}

/// A page that is full, or the last; or as far as it came when somebody pressed Ctrl-C.
async fn search(operator: &Operator, filter: &Filter, from: Option<Cursor>, limit: usize) -> Result<Page, Failure> {
    let mut page = operator.list(filter, from.as_ref(), limit).await?;
    let mut search = Search::new(operator, filter);
    let mut stopped = pin!(tokio::signal::ctrl_c());
    while page.jobs.len() < limit
        && let Some(next) = page.next
    {
        let more = async {
            search.goes_on(page.jobs.len(), page.searched).await;
            operator.list(filter, Some(&next), limit - page.jobs.len()).await
        };
        tokio::select! {
            // Nothing is asked before Ctrl-C is listened for.
            biased;
            stopped = &mut stopped => {
                stopped?;
                break;
            }
            more = more => {
                let more = more?;
                page.jobs.extend(more.jobs);
                page.searched += more.searched;
                page.next = more.next;
            }
        }
    }
    search.ends();
    Ok(page)
}

fn print_page(page: &Page, limit: usize) -> Result<(), Failure> {
    if page.jobs.is_empty() && page.next.is_none() {
        print("no such jobs")?;
        return Ok(());
    }
    let mut table = table(["ID", "STATE", "TYPE", "ATTEMPT", "ENQUEUED", "SCHEDULE", "LAST ERROR, OR PARAMS"]);
    for job in &page.jobs {
        table.add_row([
            cell(&job.id.to_string(), 20),
            state_cell(job.state),
            cell(job.kind.as_deref().unwrap_or("-"), 40),
            cell(&format!("{}/{}", job.attempt, job.max_attempts), 20),
            cell(&moment(job.inserted_at), 30),
            cell(&moment(job.schedule), 30),
            cell(&remark(job), 200),
        ]);
    }
    if !page.jobs.is_empty() {
        print_table(&table)?;
    }
    if let Some(next) = page.next {
        let searched = thousands(page.searched);
        print(&if page.jobs.len() < limit {
            format!("\nstopped after {searched} jobs were looked through: go on with --from {next}")
        } else {
            format!("\nmore with --from {next}")
        })?;
    }
    Ok(())
}

fn remark(job: &JobRow) -> String {
    match (job.errors.last(), &job.params) {
        (Some(error), _) => error.line(),
        (None, Some(params)) => params.get().to_owned(),
        (None, None) => format!("{} bytes of params", job.params_bytes),
    }
}

fn moment(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%SZ").to_string()
}

pub(crate) async fn completed(target: &Target, args: CompletedArgs) -> Result<(), Failure> {
    let operator = operator(target).await?;
    let (kind, limit) = (args.kind.as_deref(), usize::from(args.limit));
    let redact = target.redact()?;
    let mut page = operator.completed(kind, args.id, args.from.as_ref(), limit).await?;
    page.jobs.iter_mut().for_each(|job| redact.completed(operator.name(), job));
    if target.json {
        return Ok(print_json(&page)?);
    }
    if page.jobs.is_empty() {
        return Ok(print("no such jobs are kept")?);
    }
    let mut table = table(["ID", "TYPE", "ATTEMPT", "ENQUEUED", "COMPLETED", "RAN", "PARAMS"]);
    for job in &page.jobs {
        table.add_row([
            cell(&job.id.to_string(), 20),
            cell(job.kind.as_deref().unwrap_or("-"), 40),
            cell(&format!("{}/{}", job.attempt, job.max_attempts), 20),
            cell(&moment(job.inserted_at), 30),
            cell(&moment(job.completed_at), 30),
            cell(&length(job.completed_at - job.started_at), 30),
            cell(job.params.as_ref().map_or("-", |params| params.get()), 200),
        ]);
    }
    print_table(&table)?;
    if let Some(next) = page.next {
        print(&format!("\nmore with --from {next}"))?;
    }
    Ok(())
}

pub(crate) async fn show(target: &Target, args: ShowArgs) -> Result<(), Failure> {
    let operator = operator(target).await?;
    let redact = target.redact()?;
    let Some(mut details) = operator.show(args.id).await? else {
        if let Some(kept) = operator.completed(None, Some(args.id), None, 1).await?.jobs.first_mut() {
            redact.completed(operator.name(), kept);
            return if target.json { Ok(print_json(kept)?) } else { print_completed(kept) };
        }
        return Err(Failure::Missing(format!(
            "queue {} has no job {}: it is completed, or deleted, or never was",
            operator.name(),
            args.id
        )));
    };
    redact.row(operator.name(), &mut details.row);
    if target.json {
        return Ok(print_json(&details)?);
    }
    print_details(&details)
}

fn print_details(details: &Details) -> Result<(), Failure> {
    let (job, now) = (&details.row, details.now);
    let at = |at: DateTime<Utc>| format!("{} ({})", at.format("%Y-%m-%d %H:%M:%S%.3fZ"), ago(at, now));
    let process = match (job.node, &job.process) {
        (Some(node), Some(name)) => Some(format!("{node}, {name}")),
        (Some(node), None) => Some(node.to_string()),
        (None, _) => None,
    };
    let facts = [
        ("job", Some(job.id.to_string())),
        ("type", job.kind.clone()),
        ("state", Some(job.state.to_string())),
        ("attempt", Some(format!("{} of {}", job.attempt, job.max_attempts))),
        ("priority", Some(job.priority.to_string())),
        ("schedule", Some(at(job.schedule))),
        ("enqueued", Some(at(job.inserted_at))),
        ("changed", Some(at(job.updated_at))),
        ("held until", job.expires.map(at)),
        ("process", process),
        ("lease", Some(job.lease.to_string())),
        ("notify", job.notify.clone()),
    ];
    for (name, value) in facts {
        if let Some(value) = value {
            print(&format!("{name:<11}{}", in_line(&value, 8_000)))?;
        }
    }
    print(&format!("\n{}\n", shown(&details.why)))?;
    print("params")?;
    print(&params(job))?;
    for failed in &job.errors {
        print_attempt(failed, now)?;
    }
    Ok(())
}

fn print_completed(job: &CompletedJob) -> Result<(), Failure> {
    let kind = job.kind.as_deref().unwrap_or("-");
    print(&in_line(&format!("job {} of type {kind} is completed", job.id), 8_000))?;
    let node = job.node.map(|node| format!(", by process {node}")).unwrap_or_default();
    print(&format!(
        "  at {}, in attempt {} of {}, after {}{node}\n",
        job.completed_at.format("%Y-%m-%d %H:%M:%S%.3fZ"),
        job.attempt,
        job.max_attempts,
        length(job.completed_at - job.started_at),
    ))?;
    print("params")?;
    print(&job.params.as_ref().map_or("no JSON".to_owned(), |raw| pretty(raw)))?;
    job.errors.iter().try_for_each(|failed| print_attempt(failed, job.completed_at))
}

fn params(job: &JobRow) -> String {
    let Some(raw) = &job.params else {
        return format!("{} bytes that are no JSON", job.params_bytes);
    };
    pretty(raw)
}

fn pretty(raw: &RawValue) -> String {
    // Numbers that this program cannot hold are shown as they were written.
    let pretty = serde_json::from_str::<Value>(raw.get()).and_then(|value| serde_json::to_string_pretty(&value));
    escaped(pretty.as_deref().unwrap_or(raw.get()))
}

fn print_attempt(failed: &Failed, now: DateTime<Utc>) -> Result<(), Failure> {
    let mut head = format!("\nattempt {}", failed.attempt.map_or("?".to_owned(), |attempt| attempt.to_string()));
    if let Some(at) = failed.at {
        head += &format!(" failed {}, at {}", ago(at, now), at.format("%Y-%m-%d %H:%M:%S%.3fZ"));
    }
    #[allow(clippy::cast_possible_truncation, reason = "no attempt takes so many milliseconds")]
    if let Some(seconds) = failed.seconds {
        head += &format!(", after {}", length(chrono::TimeDelta::milliseconds((seconds * 1_000.0) as i64)));
    }
    if let Some(process) = failed.process.clone().or(failed.node.map(|node| node.to_string())) {
        head += &format!(", in {process}");
    }
    print(&shown(&head))?;
    for (depth, text) in failed.error.iter().enumerate() {
        print(&format!("  {}{}", if depth == 0 { "" } else { "because: " }, shown(text)))?;
    }
    Ok(())
}

pub(crate) async fn enqueue(target: &Target, args: EnqueueArgs) -> Result<(), Failure> {
    let mut text = args.params;
    if text == "-" {
        text.clear();
        std::io::stdin().read_to_string(&mut text)?;
    }
    let params: Value =
        serde_json::from_str(&text).map_err(|error| Failure::Usage(format!("the params are no JSON: {error}")))?;
    let operator = operator(target).await?;
    let job = if operator.is_binary() {
        NewJob::binary_of_type(&args.kind, &params)
    } else {
        NewJob::of_type(&args.kind, &params)
    };
    let mut job = job.map_err(|error| Failure::Usage(error.to_string()))?;
    if let Some(delay) = args.delay {
        job = job.schedule_in(delay);
    }
    if let Some(at) = args.at {
        job = job.schedule_at(at);
    }
    if let Some(priority) = args.priority {
        job = job.priority(priority);
    }
    if let Some(attempts) = args.max_attempts {
        job = job.max_attempts(attempts);
    }
    if let Some(notify) = args.notify {
        job = job.notify(notify);
    }
    let id = operator.enqueue(job).await?;
    if target.json { Ok(print_json(&serde_json::json!({ "id": id }))?) } else { Ok(print(&id.to_string())?) }
}
