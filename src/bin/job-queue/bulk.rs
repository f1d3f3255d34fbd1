//! What is done with many jobs: look for them, say how many there are, ask, and go through them in batches.

use std::collections::HashSet;

use actix_job_queue::{
    State,
    operate::{Action, Filter, Operator, Outcome},
};
use indicatif::{ProgressBar, ProgressStyle};

use crate::{
    cli::Target,
    connect::operator,
    failure::Failure,
    filter::FilterArgs,
    output::{print, print_json, thousands},
    prompt::confirm,
    search::Search,
};

/// So many jobs are one statement and one commit.
const BATCH: usize = 1_000;

/// Which jobs, and whether to ask.
#[derive(Debug, clap::Args)]
#[command(after_help = "Name jobs by their ids, by filters, or with --all. Says how many there are and asks first; \
--yes does not ask.\n\nExamples:\n  job-queue retry 42 43\n  job-queue retry --error 'connection refused' --older 1h\n  \
job-queue delete --type OldReport --yes")]
pub(crate) struct Args {
    /// The jobs' ids.
    ids: Vec<i64>,
    #[command(flatten)]
    filter: FilterArgs,
    /// All that the verb is for, where neither an id nor a filter is given.
    #[arg(long)]
    all: bool,
    /// Does not ask.
    #[arg(long, short)]
    yes: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct CancelArgs {
    #[command(flatten)]
    jobs: Args,
    /// What is kept as the jobs' error.
    #[arg(long, default_value = "cancelled by an operator")]
    reason: String,
}

/// The words for an action.
struct Words {
    ask: &'static str,
    /// Of one job, and of any other number.
    done: (&'static str, &'static str),
}

pub(crate) async fn retry(target: &Target, args: Args) -> Result<(), Failure> {
    let words = Words { ask: "Run again", done: ("will run again", "will run again") };
    go(target, args, Action::Retry, &[State::Failed], words).await
}

pub(crate) async fn run_now(target: &Target, args: Args) -> Result<(), Failure> {
    let words = Words { ask: "Run now", done: ("can run now", "can run now") };
    go(target, args, Action::RunNow, &[State::Scheduled, State::Retry], words).await
}

pub(crate) async fn cancel(target: &Target, args: CancelArgs) -> Result<(), Failure> {
    let fit = [State::Scheduled, State::Available, State::Reserved, State::InProgress, State::Retry];
    let words = Words { ask: "Cancel", done: ("is cancelled", "are cancelled") };
    go(target, args.jobs, Action::Cancel { reason: args.reason }, &fit, words).await
}

pub(crate) async fn delete(target: &Target, args: Args) -> Result<(), Failure> {
    let words = Words { ask: "Delete for good", done: ("is deleted", "are deleted") };
    go(target, args, Action::Delete { states: Vec::new() }, &State::ALL, words).await
}

pub(crate) async fn purge(target: &Target, args: Args) -> Result<(), Failure> {
    let words = Words { ask: "Delete for good", done: ("is deleted", "are deleted") };
    go(target, args, Action::Delete { states: vec![State::Failed] }, &[State::Failed], words).await
}

async fn go(target: &Target, args: Args, action: Action, fit: &[State], words: Words) -> Result<(), Failure> {
    let Args { ids, filter, all, yes } = args;
    let given = filter.clone().filter(ids.clone());
    if given.is_everything() && !all {
        return Err(Failure::Usage(
            "say which jobs: their ids, a filter such as --type or --error, or --all".to_owned(),
        ));
    }
    let filter = filter.filter_among(ids, fit)?;
    let action = match action {
        // A job that has come to be in another state since it was found was not meant.
        Action::Delete { .. } if filter.states.len() < State::ALL.len() => {
            Action::Delete { states: filter.states.clone() }
        }
        action => action,
    };
    let operator = operator(target).await?;
    let found = find(&operator, &filter).await?;
    let (count, queue) = (found.len(), operator.name());
    if count == 0 {
        return report(target, &Outcome::default(), &words, given.ids.is_some());
    }
    let jobs = if count == 1 { "job" } else { "jobs" };
    confirm(&format!("{} {} {jobs} of queue {queue}?", words.ask, number(count)), yes)?;
    let bar = bar(count);
    let mut outcome = Outcome::default();
    for batch in found.chunks(BATCH) {
        outcome += operator.act(&action, batch).await?;
        bar.inc(u64::try_from(batch.len()).unwrap_or(u64::MAX));
    }
    bar.finish_and_clear();
    // What was named and is not there, or in another state, was not among those found.
    let named = given.ids.as_ref().map_or(0, |ids| ids.iter().collect::<HashSet<_>>().len());
    outcome.unfit += u64::try_from(named.saturating_sub(count)).unwrap_or_default();
    report(target, &outcome, &words, given.ids.is_some())
}

/// The ids of all jobs that are meant, and no job that comes later.
async fn find(operator: &Operator, filter: &Filter) -> Result<Vec<i64>, Failure> {
    let mut search = Search::new(operator, filter);
    let (mut ids, mut from, mut searched) = (Vec::new(), None, 0);
    loop {
        let found = operator.find(filter, from.as_ref()).await?;
        ids.extend(found.ids);
        searched += found.searched;
        from = found.next;
        if from.is_none() {
            search.ends();
            return Ok(ids);
        }
        search.goes_on(ids.len(), searched).await;
    }
}

pub(crate) fn bar(count: usize) -> ProgressBar {
    let bar = ProgressBar::new(u64::try_from(count).unwrap_or(u64::MAX));
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {human_pos}/{human_len} {per_sec} {eta}") {
        bar.set_style(style);
    }
    bar
}

fn number(count: usize) -> String {
    thousands(i64::try_from(count).unwrap_or(i64::MAX))
}

fn report(target: &Target, outcome: &Outcome, words: &Words, named: bool) -> Result<(), Failure> {
    if target.json {
        print_json(outcome)?;
    } else {
        let count = |jobs: u64| thousands(i64::try_from(jobs).unwrap_or(i64::MAX));
        match outcome.done {
            1 => print(&format!("1 job {}", words.done.0))?,
            done => print(&format!("{} jobs {}", count(done), words.done.1))?,
        }
        if outcome.unfit > 0 {
            print(&format!("{} of them are not there, or in no state for this", count(outcome.unfit)))?;
        }
    }
    if outcome.locked > 0 {
        let left = outcome.locked;
        return Err(Failure::Partial(format!(
            "{left} jobs were left: their rows are locked, mostly by a completion that is about to commit. Look at them again, or repeat this"
        )));
    }
    if named && outcome.done == 0 {
        return Err(Failure::Missing(
            "none of these jobs is there in a state for this: see what show says of them".to_owned(),
        ));
    }
    Ok(())
}
