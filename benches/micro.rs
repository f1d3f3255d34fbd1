//! What the library does without the database: writing down a job's params, and filling a queue's statements in.

// The tests start their servers with it too, and use more of it.
#[path = "../tests/support/cluster.rs"]
#[allow(dead_code, unreachable_pub, clippy::disallowed_methods)]
mod cluster;

use std::{collections::BTreeMap, env, error::Error, hint::black_box};

use actix_job_queue::{Database, NewJob, Queue};
use cluster::{Cluster, Options};
use criterion::Criterion;
use serde::Serialize;

/// Params such as applications have.
#[derive(Serialize)]
struct SendEmail {
    to: String,
    subject: String,
    template: &'static str,
    values: BTreeMap<String, String>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut criterion = Criterion::default().configure_from_args();
    new_jobs(&mut criterion);
    queues(&mut criterion)?;
    criterion.final_summary();
    Ok(())
}

fn new_jobs(criterion: &mut Criterion) {
    let params = SendEmail {
        to: "ada@example.com".to_owned(),
        subject: "Welcome".to_owned(),
        template: "welcome",
        values: BTreeMap::from([("name".to_owned(), "Ada".to_owned()), ("plan".to_owned(), "free".to_owned())]),
    };
    let mut group = criterion.benchmark_group("params");
    group.bench_function("NewJob::new", |bench| bench.iter(|| NewJob::new(black_box(&params))));
    group.bench_function("NewJob::of_type", |bench| {
        bench.iter(|| NewJob::of_type("SendEmail", black_box(&params.values)));
    });
    group.bench_function("NewJob::binary", |bench| bench.iter(|| NewJob::binary(black_box(&params))));
    // What the driver's user would write, for comparison.
    group.bench_function("serde_json alone", |bench| bench.iter(|| serde_json::to_string(black_box(&params))));
    group.finish();
}

/// A queue cannot be built without a database, though building it asks the database nothing.
fn queues(criterion: &mut Criterion) -> Result<(), Box<dyn Error>> {
    let (url, cluster) = match env::var("DATABASE_URL").ok().filter(|url| !url.is_empty()) {
        Some(url) => (url, None),
        None => {
            let cluster = Cluster::start(Options::default())?;
            (cluster.url("postgres"), Some(cluster))
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let database = runtime.block_on(Database::connect(&url))?;
    let jobs = Queue::builder(&database, "jobs").build()?;
    let mut group = criterion.benchmark_group("queue");
    group.bench_function("build", |bench| bench.iter(|| Queue::builder(black_box(&database), "jobs").build()));
    group.bench_function("enqueue_sql", |bench| bench.iter(|| black_box(&jobs).enqueue_sql()));
    group.finish();
    drop(cluster);
    Ok(())
}
