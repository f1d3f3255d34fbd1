//! Fills a queue with millions of jobs in all states, to try the operator's tools on: `make fill ROWS=10000000`.

#[allow(dead_code, unreachable_pub, clippy::disallowed_methods)]
#[path = "../../tests/support/cluster.rs"]
mod cluster;

use std::{error::Error, time::Instant};

use actix_job_queue::{Database, Queue, tokio_postgres::types::Type};
use clap::Parser;
use cluster::{Cluster, Options};
use indicatif::{ProgressBar, ProgressStyle};
use tokio_postgres::{Client, NoTls};

/// Fills a queue with jobs in all states, of realistic types and with realistic errors.
///
/// In the database of DATABASE_URL, as a superuser; or in a PostgreSQL of its own, which stays until it is stopped.
#[derive(Debug, Parser)]
struct Args {
    /// How many jobs.
    #[arg(long, default_value_t = 10_000_000, value_parser = clap::value_parser!(i64).range(1_000..))]
    rows: i64,
    /// The queue's table, which is made if there is none.
    #[arg(long, default_value = "jobs")]
    queue: String,
}

/// So many jobs are one transaction.
const CHUNK: i64 = 50_000;

#[actix::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    match std::env::var("DATABASE_URL") {
        Ok(url) => fill(&url, &args).await,
        Err(_) => {
            let cluster = Cluster::start(Options::for_millions())?;
            let url = cluster.url("postgres");
            fill(&url, &args).await?;
            println!(
                "\nIt stays until you press Ctrl-C. In another shell:\n  export DATABASE_URL={url}\n  job-queue stats"
            );
            tokio::signal::ctrl_c().await?;
            Ok(())
        }
    }
}

async fn fill(url: &str, args: &Args) -> Result<(), Box<dyn Error>> {
    let begun = Instant::now();
    let database = Database::connect(url).await?;
    let queue = Queue::builder(&database, &args.queue).build()?;
    queue.migrate().await?;
    let (mut client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    let (table, literal) = (quoted(&args.queue, '"'), quoted(&args.queue, '\''));
    let sql = include_str!("jobs.sql").replace("{table}", &table);
    let bar = ProgressBar::new(args.rows.unsigned_abs());
    bar.set_style(ProgressStyle::with_template("{bar:40} {human_pos}/{human_len} jobs, {per_sec}, {eta} left")?);
    let mut first = 1;
    while first <= args.rows {
        let last = (first + CHUNK - 1).min(args.rows);
        chunk(&mut client, &sql, first, last, args.rows).await?;
        bar.set_position(last.unsigned_abs());
        first = last + 1;
    }
    bar.finish();
    let lately = include_str!("lately.sql").replace("{schema}", "public").replace("{queue}", &literal);
    client.batch_execute(&lately).await?;
    client.batch_execute(&format!("VACUUM ANALYZE {table}")).await?;
    println!("{} jobs in {:.0?}", args.rows, begun.elapsed());
    Ok(())
}

async fn chunk(client: &mut Client, sql: &str, first: i64, last: i64, all: i64) -> Result<(), tokio_postgres::Error> {
    let transaction = client.transaction().await?;
    // Only a superuser may do without the triggers, which would have every job wait.
    transaction.batch_execute("SET LOCAL session_replication_role = replica").await?;
    transaction.execute_typed(sql, &[(&first, Type::INT8), (&last, Type::INT8), (&all, Type::INT8)]).await?;
    transaction.commit().await
}

fn quoted(name: &str, mark: char) -> String {
    format!("{mark}{}{mark}", name.replace(mark, &format!("{mark}{mark}")))
}
