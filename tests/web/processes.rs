//! Which processes there are, and what each of them runs.

use std::time::Duration;

use actix_job_queue::{
    Completed, Context, Database, DatabaseOptions, Handlers, Job, JobError, Listen, NewJob, Queue, operate,
};
use serde_json::{Value, json};

use crate::bench::{Bench, HOSTILE};

async fn hang(_: Job<Value>, _: Context) -> Result<Completed, JobError> {
    std::future::pending().await
}

#[actix::test]
async fn a_process_is_shown_with_its_host_its_number_and_what_it_runs_since_when() {
    let bench = Bench::open().await;
    let queue = Queue::builder(&bench.database, "work").shutdown_timeout(Duration::ZERO).build().unwrap();
    queue.migrate().await.unwrap();
    let running = queue.start(Handlers::new().on("Hang", hang)).await.unwrap();
    let id = queue.enqueue(&bench.sql, NewJob::of_type("Hang", &json!({})).unwrap()).await.unwrap();
    bench.until("its start", "SELECT state = 'IN_PROGRESS' FROM work").await;

    let here = format!("</bdi>:{}</h2>", std::process::id());
    let link = format!("queues/public/work/jobs/{id}\">");
    let of_queue = bench.page("queues/public/work/processes").await;
    for text in [&here, &link, "alive", "Hang", "in time; counts as dead", "in progress"] {
        assert!(of_queue.text.contains(text), "{text}: {}", of_queue.text);
    }
    assert!(of_queue.text.contains("Holding nothing of this queue"), "process 77 holds jobs of another");
    assert!(!of_queue.text.contains("jobs/jobs/4"), "{}", of_queue.text);

    let all = bench.page("processes").await;
    for text in [&here, &link, "jobs/jobs/4\">", "jobs/jobs?state=RESERVED&amp;node=77"] {
        assert!(all.text.contains(text), "{text}: {}", all.text);
    }
    running.shutdown().await;
    let gone = bench.page("processes").await;
    assert!(!gone.text.contains(&here) && gone.text.contains("jobs/jobs/4\">"), "{}", gone.text);
    bench.end().await;
}

#[actix::test]
async fn silence_is_death_only_for_a_process_that_holds_jobs() {
    let bench = Bench::open().await;
    let quiet =
        "INSERT INTO job_queue_nodes (node, name, dead_at) VALUES (78, 'other:1 (app)', now() - interval '1 h')";
    bench.sql.batch_execute(quiet).await.unwrap();
    let alive = bench.page("processes").await;
    assert!(alive.text.contains(">alive<") && !alive.text.contains("counts as dead<"), "{}", alive.text);
    assert!(alive.text.contains("Holding nothing") && alive.text.contains("other"), "{}", alive.text);

    bench.sql.batch_execute("UPDATE job_queue_nodes SET dead_at = now() - interval '1 min'").await.unwrap();
    let dead = bench.page("queues/public/jobs/processes").await;
    assert!(dead.text.contains(">counts as dead<") && !dead.text.contains(">alive<"), "{}", dead.text);
    assert!(dead.text.contains("not since"), "{}", dead.text);

    bench.sql.batch_execute("DELETE FROM job_queue_nodes; UPDATE jobs SET node = NULL WHERE id = 3").await.unwrap();
    let gone = bench.page("processes").await;
    for text in [">counts as dead<", "Process 77", "A process that gave no number"] {
        assert!(gone.text.contains(text), "{text}: {}", gone.text);
    }
    bench.sql.batch_execute("DELETE FROM jobs").await.unwrap();
    assert!(bench.page("processes").await.text.contains("No process works here"));
    bench.end().await;
}

#[actix::test]
async fn a_process_may_have_any_name_and_its_jobs_any_type() {
    let bench = Bench::open().await;
    let quoted = HOSTILE.replace('\'', "''");
    for (id, name) in [(3, quoted.clone()), (4, format!("{quoted}:7 ({quoted})"))] {
        let insert = format!(
            "WITH node AS (INSERT INTO job_queue_nodes (name) VALUES ('{name}') RETURNING node)
             UPDATE jobs SET node = node.node, params = jsonb_build_object('type', '{quoted}') FROM node WHERE id = {id}"
        );
        bench.sql.batch_execute(&insert).await.unwrap();
    }

    for path in ["processes", "queues/public/jobs/processes"] {
        let page = bench.page(path).await;
        assert!(page.text.matches("&lt;img src=x onerror=").count() >= 4, "{path}: {}", page.text);
        assert!(!page.text.contains("<img") && !page.text.contains("<b>&amp;amp;"), "{path}: {}", page.text);
    }
    bench.end().await;
}

#[actix::test]
async fn however_many_jobs_a_process_holds_the_page_names_ten_and_leads_to_the_others() {
    let bench = Bench::open().await;
    let held = "INSERT INTO jobs (params) SELECT '{}' FROM generate_series(1, 1500);
                UPDATE jobs SET state = 'IN_PROGRESS', attempt = 1, lease = 1, node = 77, expires = now() + interval '1 h'
                 WHERE params = '{}'";
    bench.sql.batch_execute(held).await.unwrap();

    let of_queue = bench.page("queues/public/jobs/processes").await;
    assert!(of_queue.text.contains("of 1,502 jobs.") && of_queue.text.contains("<b>1,501</b>"), "{}", of_queue.text);
    let all = bench.page("processes").await;
    assert!(all.text.contains("of 1,000 jobs at least."), "{}", all.text);
    for page in [of_queue, all] {
        assert_eq!(page.text.matches("<td class=\"number main\"").count(), 10);
    }
    bench.end().await;
}

#[actix::test]
async fn a_queue_that_may_not_be_looked_into_is_named_and_hides_no_other() {
    let bench = Bench::open().await;
    Queue::builder(&bench.database, "secret").build().unwrap().migrate().await.unwrap();
    let role = "CREATE ROLE onlooker LOGIN;
                GRANT SELECT ON jobs, job_queue_nodes, job_queue_migrations TO onlooker";
    bench.sql.batch_execute(role).await.unwrap();
    let options = DatabaseOptions::new().listen(Listen::Off);
    let database: Database = options.connect(&bench.database_url.replace("postgres@", "onlooker@")).await.unwrap();

    let told = operate::processes(&database).await.unwrap();

    assert_eq!(told.unread.len(), 1, "{told:?}");
    assert!(told.unread[0].queue == "secret" && told.unread[0].why.contains("permission denied"), "{told:?}");
    assert_eq!(told.processes[0].jobs.len(), 2, "{told:?}");
    bench.sql.batch_execute("DROP OWNED BY onlooker; DROP ROLE onlooker").await.unwrap();
    bench.end().await;
}
