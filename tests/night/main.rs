//! A night's questions, asked of a queue with millions of jobs by command line and by browser: `make night`. Prints each
//! with its answer and the time that it took, and takes pictures for `docs/screenshots`.
#![allow(clippy::unwrap_used, reason = "it ends by panicking")]

mod browser;
#[allow(dead_code, unreachable_pub)]
#[path = "../support/chromium.rs"]
mod chromium;
#[allow(dead_code, unreachable_pub, clippy::disallowed_methods)]
#[path = "../support/cluster.rs"]
mod cluster;
mod commands;
#[allow(unreachable_pub)]
#[path = "../support/serve.rs"]
mod serve;

use std::{path::Path, process::Command};

use clap::Parser;
use tokio_postgres::{Client, NoTls};

use cluster::{Cluster, Options};

/// The program whose answers are looked at.
const PROGRAM: &str = env!("CARGO_BIN_EXE_job-queue");

#[derive(Debug, Parser)]
struct Args {
    /// How many jobs the queue has.
    #[arg(long, default_value_t = 10_000_000)]
    rows: i64,
}

/// Some jobs that are asked about.
struct Jobs {
    failed: i64,
    waits: i64,
    running: i64,
}

fn main() {
    let args = Args::parse();
    actix_web::rt::System::new().block_on(night(args.rows));
}

async fn night(rows: i64) {
    let cluster = Cluster::start(Options::for_millions()).unwrap();
    let url = cluster.url("postgres");
    let fill = Path::new(PROGRAM).with_file_name("examples").join("fill");
    let filled = Command::new(fill).args(["--rows", &rows.to_string()]).env("DATABASE_URL", &url).status().unwrap();
    assert!(filled.success(), "the queue could not be filled");

    let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    actix_web::rt::spawn(connection);
    let [jobs, others] = [pick(&client, 0).await, pick(&client, 1).await];
    println!("# A night with {rows} jobs\n\n{}", machine(&client).await);
    // Before the commands change anything.
    browser::look(&url, &jobs, &others).await;
    commands::ask(&url, &jobs);
}

async fn pick(client: &Client, nth: u32) -> Jobs {
    let one = async |which: &str| {
        let sql = format!("SELECT id FROM jobs WHERE {which} OFFSET {nth} LIMIT 1");
        client.query_typed_one(&sql, &[]).await.unwrap().get(0)
    };
    Jobs {
        failed: one("state = 'FAILED' ORDER BY updated_at DESC, id").await,
        waits: one("state = 'SCHEDULED' ORDER BY schedule DESC").await,
        running: one("state = 'IN_PROGRESS' ORDER BY expires, id").await,
    }
}

async fn machine(client: &Client) -> String {
    let sql = "SELECT version(), pg_size_pretty(pg_total_relation_size('jobs')), current_setting('shared_buffers')";
    let row = client.query_typed_one(sql, &[]).await.unwrap();
    let [version, size, buffers]: [String; 3] = [row.get(0), row.get(1), row.get(2)];
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{version}, {cores} cores, shared_buffers {buffers}; the table and its indexes have {size}.")
}
