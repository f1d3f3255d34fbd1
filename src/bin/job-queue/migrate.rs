use actix_job_queue::{Queue, operate};
use serde_json::json;

use crate::{
    cli::Target,
    connect::database,
    failure::Failure,
    output::{print, print_json},
};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  job-queue migrate --queue jobs\n  job-queue migrate --queue jobs --pending; echo $?   \
6 if there is something to do\n  job-queue migrate --queue jobs --print > up.sql"
)]
pub(crate) struct Args {
    /// Prints the SQL instead, for those who migrate with a tool of their own.
    #[arg(long, conflicts_with = "pending")]
    print: bool,
    /// The same for the way back, which takes the queue away with its jobs.
    #[arg(long, requires = "print")]
    down: bool,
    /// Says what is pending instead; ends with 6 if anything is.
    #[arg(long)]
    pending: bool,
    /// Makes a queue whose params are MessagePack.
    #[arg(long)]
    binary: bool,
    /// Has every insert notify, whether anybody waits or not.
    #[arg(long)]
    always_notify: bool,
}

pub(crate) async fn run(target: &Target, args: Args) -> Result<(), Failure> {
    let Some(table) = &target.queue else {
        return Err(Failure::Usage("say which queue with --queue or JOB_QUEUE".to_owned()));
    };
    let database = database(target).await?;
    let known = operate::queues(&database).await?;
    let known = known.iter().find(|known| known.schema == target.schema && known.table == *table);
    let mut builder = Queue::builder(&database, table).schema(&target.schema);
    if args.binary || known.is_some_and(|known| known.binary) {
        builder = builder.binary();
    }
    if args.always_notify {
        builder = builder.always_notify();
    }
    let queue = builder.build().map_err(|error| Failure::Usage(error.to_string()))?;
    if args.print {
        let sql = queue.migration_sql();
        let script = if args.down { sql.down + &sql.shared_down } else { sql.shared_up + &sql.up };
        return Ok(print(&script)?);
    }
    let (now, newest) = (known.map_or(0, |known| known.version), Queue::newest_migration());
    let current = known.is_some_and(|known| known.current);
    if args.pending {
        if target.json {
            print_json(&json!({ "version": now, "newest": newest, "pending": !current }))?;
        } else if current {
            print(&format!("queue {} is at migration {now}, the newest", queue.name()))?;
        } else {
            print(&format!("queue {} is at migration {now} of {newest}", queue.name()))?;
        }
        return if current { Ok(()) } else { Err(Failure::Unwell(String::new())) };
    }
    queue.migrate().await?;
    if target.json {
        print_json(&json!({ "before": now, "version": newest }))?;
    } else if current {
        print(&format!("queue {} was at migration {newest} already", queue.name()))?;
    } else {
        print(&format!("queue {} is at migration {newest} now", queue.name()))?;
    }
    Ok(())
}
