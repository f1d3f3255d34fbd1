//! What a role needs, and that it needs no more.

use std::time::Duration;

use actix_job_queue::{
    Completed, Context, Database, DatabaseOptions, Enqueue, Handlers, Job, JobError, Queue, StartError,
};
use futures_util::future::join_all;
use serde_json::Value;

use crate::{
    common::{DONE, done, eventually, job, number, quiet, record, recording},
    support::{TestDb, connect},
};

/// What a role that works needs.
const WORKER: [&str; 5] = [
    "GRANT USAGE ON SCHEMA work TO worker",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON work.jobs TO worker",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON work.job_queue_nodes TO worker",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON work.job_queue_activity, work.job_queue_failures, work.job_queue_history TO worker",
    "GRANT SELECT ON work.job_queue_migrations, work.job_queue_pauses TO worker",
];

/// What a role that only enqueues needs.
const ENQUEUER: &str = "GRANT USAGE ON SCHEMA work TO enqueuer; GRANT INSERT, SELECT (id) ON work.jobs TO enqueuer";

/// A database in which nobody but its owner may do anything, with a queue and a role; roles are the server's,
/// so each test has a name of its own for it.
struct Guarded {
    db: TestDb,
    client: tokio_postgres::Client,
    role: String,
}

impl Guarded {
    async fn new(purpose: &str) -> Self {
        let db = TestDb::new().await;
        let role = format!("{purpose} of \"{}\"", db.name);
        let client = db.client().await;
        let database = Database::connect(&db.url()).await.unwrap();
        Queue::builder(&database, "jobs").schema("work").build().unwrap().migrate().await.unwrap();
        let name = &db.name;
        let role_name = spelled(&role);
        client
            .batch_execute(&format!(
                "{DONE};
                 CREATE ROLE {role_name} LOGIN;
                 REVOKE ALL ON DATABASE {name} FROM PUBLIC;
                 REVOKE ALL ON SCHEMA public FROM PUBLIC;
                 GRANT CONNECT ON DATABASE {name} TO {role_name};
                 GRANT USAGE ON SCHEMA public TO {role_name};
                 GRANT INSERT ON public.done TO {role_name}"
            ))
            .await
            .unwrap();
        Self { db, client, role }
    }

    /// Runs a grant, which speaks of a role `placeholder`, for this test's role.
    async fn grant(&self, sql: &str, placeholder: &str) {
        let sql = sql.replace(&format!("TO {placeholder}"), &format!("TO {}", spelled(&self.role)));
        self.client.batch_execute(&sql).await.unwrap();
    }

    fn url(&self) -> String {
        self.db.url_as(&self.role.replace(' ', "%20").replace('"', "%22"))
    }

    async fn queue(&self) -> Queue {
        let database = DatabaseOptions::new().pool_size(4).connect(&self.url()).await.unwrap();
        quiet(Queue::builder(&database, "jobs").schema("work")).build().unwrap()
    }
}

fn spelled(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Fails its first attempt and succeeds in its second.
fn second_time_lucky() -> Handlers {
    Handlers::new().any(async |job: Job<Value>, mut context: Context| -> Result<Completed, JobError> {
        if job.attempt == 1 {
            return Err(JobError::new("not yet").retry_in(Duration::ZERO));
        }
        record("", &job, &mut context).await
    })
}

#[actix::test]
async fn a_role_with_the_documented_grants_and_no_other_works_end_to_end() {
    let guarded = Guarded::new("worker").await;
    for grant in WORKER {
        guarded.grant(grant, "worker").await;
    }
    let jobs = guarded.queue().await;
    let client = connect(&guarded.url()).await;

    let running = jobs.start(second_time_lucky()).await.unwrap();
    let one = jobs.enqueue(&client, job().notify("told")).await.unwrap();
    let two = jobs.addr().send(Enqueue(job().schedule_in(Duration::from_millis(1)))).await.unwrap().unwrap();
    done(&guarded.client, &[one, two]).await;
    let failed = jobs.enqueue(&client, job().max_attempts(1)).await.unwrap();
    let state = format!("SELECT count(*) FROM work.jobs WHERE state = 'FAILED' AND id = {failed}");
    eventually("it is failed", async || number(&client, &state).await == 1).await;
    client.batch_execute("UPDATE work.jobs SET max_attempts = 2").await.unwrap();
    assert_eq!(jobs.requeue(&client, &[failed]).await.unwrap(), [failed]);
    done(&guarded.client, &[failed]).await;
    let report = running.shutdown().await;

    assert_eq!(report.left, 0, "{report}");
    let nodes = "SELECT count(*) FROM work.job_queue_nodes";
    assert_eq!(number(&guarded.client, nodes).await, 0, "the process has taken itself off the list");
}

#[actix::test]
async fn each_missing_grant_is_told_with_the_statement_that_gives_it() {
    for missing in 0..WORKER.len() {
        let guarded = Guarded::new("worker").await;
        for (number, grant) in WORKER.iter().enumerate() {
            if number != missing {
                guarded.grant(grant, "worker").await;
            }
        }
        let jobs = guarded.queue().await;

        let problems = problems(&jobs).await;
        assert!(!problems.is_empty());
        run_what_they_say(&guarded, &problems).await;

        jobs.start(second_time_lucky()).await.unwrap().shutdown().await;
    }
}

#[actix::test]
async fn all_missing_grants_are_told_at_once() {
    let guarded = Guarded::new("worker").await;
    let jobs = guarded.queue().await;

    let problems = problems(&jobs).await;

    let told = problems.join("\n");
    for object in
        ["ON SCHEMA \"work\"", "\"work\".\"jobs\"", "\"work\".job_queue_nodes", "\"work\".job_queue_migrations"]
    {
        assert!(told.contains(object), "{object} is missing in\n{told}");
    }
    run_what_they_say(&guarded, &problems).await;
    jobs.start(second_time_lucky()).await.unwrap().shutdown().await;
}

#[actix::test]
async fn missing_grants_are_told_together_with_wrong_settings() {
    let guarded = Guarded::new("worker").await;
    let database = DatabaseOptions::new().pool_size(1).connect(&guarded.url()).await.unwrap();
    let jobs = Queue::builder(&database, "jobs").schema("work").binary().arbiters(2).max_demand(0).build().unwrap();

    let told = match jobs.start(Handlers::new()).await {
        Err(StartError::Config(error)) => error.problems().join("\n"),
        other => panic!("{other:?}"),
    };

    for problem in ["GRANT USAGE", "GRANT SELECT ON", "pool_size", "max_demand", "no handler", "declared for bytea"] {
        assert!(told.contains(problem), "{problem} is missing in\n{told}");
    }
}

#[actix::test]
async fn a_single_missing_privilege_is_told_alone() {
    for privilege in ["SELECT", "INSERT", "UPDATE", "DELETE"] {
        for table in ["jobs", "job_queue_nodes"] {
            let guarded = Guarded::new("worker").await;
            for grant in WORKER {
                guarded.grant(grant, "worker").await;
            }
            let role = spelled(&guarded.role);
            guarded.client.batch_execute(&format!("REVOKE {privilege} ON work.{table} FROM {role}")).await.unwrap();
            let jobs = guarded.queue().await;

            let problems = problems(&jobs).await;

            assert_eq!(problems.len(), 1, "{problems:?}");
            assert!(problems[0].contains(&format!("GRANT {privilege} ON")), "{problems:?}");
            run_what_they_say(&guarded, &problems).await;
            jobs.start(second_time_lucky()).await.unwrap().shutdown().await;
        }
    }
}

/// Where the owner takes functions from the public, as some do by default privileges.
#[actix::test]
async fn a_function_that_may_not_be_called_is_told_too() {
    let guarded = Guarded::new("worker").await;
    for grant in WORKER {
        guarded.grant(grant, "worker").await;
    }
    let revoke = "REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA work FROM PUBLIC";
    guarded.client.batch_execute(revoke).await.unwrap();
    let jobs = guarded.queue().await;

    let problems = problems(&jobs).await;

    assert_eq!(problems.len(), 5, "{problems:?}");
    run_what_they_say(&guarded, &problems).await;
    let running = jobs.start(second_time_lucky()).await.unwrap();
    let id = jobs.enqueue(&connect(&guarded.url()).await, job()).await.unwrap();
    done(&guarded.client, &[id]).await;
    running.shutdown().await;
}

async fn problems(jobs: &Queue) -> Vec<String> {
    match jobs.start(second_time_lucky()).await {
        Err(StartError::Config(error)) => error.problems().to_vec(),
        other => panic!("{other:?}"),
    }
}

/// Each problem ends in a statement to run, as it stands.
async fn run_what_they_say(guarded: &Guarded, problems: &[String]) {
    for problem in problems {
        let grant = problem.find("GRANT ").map(|at| &problem[at..]).unwrap_or_else(|| panic!("{problem}"));
        guarded.client.batch_execute(grant).await.unwrap_or_else(|error| panic!("{grant}: {error:?}"));
    }
}

#[actix::test]
async fn a_role_that_may_only_enqueue_does() {
    let guarded = Guarded::new("enqueuer").await;
    guarded.grant(ENQUEUER, "enqueuer").await;
    let jobs = guarded.queue().await;
    let mut client = connect(&guarded.url()).await;

    let transaction = client.transaction().await.unwrap();
    let one = jobs.enqueue(&transaction, job()).await.unwrap();
    transaction.commit().await.unwrap();
    let many = jobs.enqueue_many(&client, &[job().priority(3).notify("x"), job().max_attempts(2)]).await.unwrap();
    let sent = jobs.addr().send(Enqueue(job().schedule_in(Duration::from_secs(60)))).await.unwrap().unwrap();
    let ids: Vec<i64> = [one].into_iter().chain(many).chain([sent]).collect();
    let sql = "SELECT count(*) FROM work.jobs WHERE id = ANY ($1)";
    assert_eq!(guarded.client.query_one(sql, &[&ids]).await.unwrap().get::<_, i64>(0), 4);
    assert!(client.batch_execute("SELECT params FROM work.jobs").await.is_err(), "it cannot read the jobs");
}

/// Not one by one after a statement that the server refused for a function in it.
#[actix::test]
async fn what_a_role_sends_at_once_that_may_only_insert_shares_statements() {
    let guarded = Guarded::new("enqueuer").await;
    guarded.grant(ENQUEUER, "enqueuer").await;
    guarded.client.batch_execute("REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA work FROM PUBLIC").await.unwrap();
    let door = guarded.queue().await.addr();

    let sent = (0..200).map(|number| door.send(Enqueue(job().priority(number))));
    for answer in join_all(sent).await {
        answer.unwrap().unwrap();
    }

    let sql = "SELECT count(*), count(DISTINCT xmin::text) FROM work.jobs";
    let row = guarded.client.query_one(sql, &[]).await.unwrap();
    assert_eq!(row.get::<_, i64>(0), 200);
    assert!(row.get::<_, i64>(1) < 200);
}

/// Waiting workers hear of what a role enqueues that may do nothing else.
#[actix::test]
async fn a_job_of_a_role_that_may_only_enqueue_is_announced() {
    let guarded = Guarded::new("enqueuer").await;
    guarded.grant(ENQUEUER, "enqueuer").await;
    let owner = Database::connect(&guarded.db.url()).await.unwrap();
    let jobs = quiet(Queue::builder(&owner, "jobs").schema("work")).build().unwrap();
    let running = jobs.start(recording()).await.unwrap();
    crate::names::all_wait(&guarded.client, 1).await;

    let client = connect(&guarded.url()).await;
    let id = guarded.queue().await.enqueue(&client, job()).await.unwrap();

    done(&guarded.client, &[id]).await;
    running.shutdown().await;
}
