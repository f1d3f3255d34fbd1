//! What the pages show.

use std::time::Duration;

use actix_job_queue::{Queue, web::Dashboard};
use serde_json::{Value, json};

use crate::{
    bench::{Bench, HOSTILE},
    support::barrier::Barrier,
};

#[actix::test]
async fn links_lead_from_page_to_page_wherever_it_is_mounted() {
    let bench = Bench::open().await;
    let bare = bench.request("GET", "x").uri(format!("http://{}/ops/jobs?a=b", bench.address));
    let bare = bench.answer(bare, String::new()).await;
    assert_eq!((bare.status.as_u16(), bare.header("location")), (308, "./jobs/?a=b"));

    let home = bench.page("").await;
    assert_eq!(home.attribute("<article", "href").as_deref(), Some("./queues/public/jobs"));
    let queue = bench.page("queues/public/jobs").await;
    let all = queue.attribute("class=\"head\"", "href").unwrap();
    assert_eq!(all, "../../queues/public/jobs/jobs");
    let jobs = bench.page("queues/public/jobs/jobs").await;
    assert_eq!(
        jobs.attribute("<td class=\"number main\"", "href").as_deref(),
        Some("../../../queues/public/jobs/jobs/7")
    );
    let job = bench.page("queues/public/jobs/jobs/6").await;
    for text in
        ["smtp said no", "the mail server is away", "after 2 s", "host:1 (worker)", "All 5 attempts have failed"]
    {
        assert!(job.text.contains(text), "{text}: {}", job.text);
    }
    bench.end().await;
}

#[actix::test]
async fn a_queue_may_have_any_name() {
    let bench = Bench::open().await;
    let (schema, table) = ("of / all%2F", "jobs? <b>&\"ä");
    let queue = Queue::builder(&bench.database, table).schema(schema).build().unwrap();
    queue.migrate().await.unwrap();
    bench.sql.batch_execute("INSERT INTO \"of / all%2F\".\"jobs? <b>&\"\"ä\" (params) VALUES ('{}')").await.unwrap();

    let home = bench.page("").await;

    assert!(home.text.contains("jobs? &lt;b&gt;&amp;&quot;ä"), "{}", home.text);
    let link = home.attribute("<article", "href").unwrap();
    assert!(link.starts_with("./queues/of"), "{link}");
    let queue = bench.page(link.trim_start_matches("./")).await;
    let jobs = queue.attribute("class=\"head\"", "href").unwrap();
    let jobs = bench.page(jobs.trim_start_matches("../")).await;
    let job = jobs.attribute("<td class=\"number main\"", "href").unwrap();
    assert!(bench.page(job.trim_start_matches("../")).await.text.contains("Job 1"));
    bench.end().await;
}

#[actix::test]
async fn whatever_stands_in_a_job_is_text() {
    let bench = Bench::open().await;
    let find = serde_urlencoded::to_string([("error", HOSTILE), ("type", HOSTILE)]).unwrap();

    for path in [
        "queues/public/jobs",
        "queues/public/jobs/jobs",
        "queues/public/jobs/jobs/7",
        &format!("queues/public/jobs/jobs?{find}"),
        &format!("queues/public/jobs/act?do=retry&which=all&{find}"),
    ] {
        let page = bench.page(path).await;
        assert!(page.text.contains("&lt;img src=x onerror="), "{path}: {}", page.text);
        assert!(!page.text.contains("<img") && !page.text.contains("<b>&amp;amp;"), "{path}: {}", page.text);
    }
    for path in [format!("queues/public/{}", "%3Cimg%3E"), format!("queues/public/jobs/jobs?state={}", "%3Cimg%3E")] {
        let page = bench.get(&path).await;
        assert!(
            page.status.is_client_error() && page.text.to_lowercase().contains("&lt;img&gt;"),
            "{path}: {}",
            page.text
        );
        assert!(!page.text.contains("<img"), "{path}");
    }
    bench.end().await;
}

#[actix::test]
async fn the_filters_are_those_of_the_command_line() {
    let bench = Bench::open().await;

    for (query, ids) in [
        ("state=failed&type=B", vec![6]),
        ("state=FAILED&state=retry&error=REFUSED", vec![5]),
        ("state=scheduled,available", vec![2, 1]),
        ("params=$.size+%3E+5", vec![6]),
        ("node=77", vec![4, 3]),
        ("older=1h", vec![]),
        ("younger=1h&type=A&state=&error=", vec![5, 3, 1]),
    ] {
        let page = bench.page(&format!("queues/public/jobs/jobs?{query}")).await;
        assert_eq!(shown(&page.text), ids, "{query}");
    }
    for query in ["state=lost", "older=soon", "node=x", "params=$.(", "from=nowhere", "type=%00"] {
        let page = bench.get(&format!("queues/public/jobs/jobs?{query}")).await;
        assert_eq!(page.status, 400, "{query}: {}", page.text);
    }
    for path in ["queues/public/other", "queues/public/jobs/jobs/99", "nothing", "queues/public/jobs/jobs/x"] {
        assert_eq!(bench.get(path).await.status, 404, "{path}");
    }
    bench.end().await;
}

#[actix::test]
async fn pages_go_on_where_the_last_one_ended_though_jobs_come_and_go() {
    let bench = Bench::open().await;
    let many = r#"INSERT INTO jobs (params) SELECT '{"type": "Many"}' FROM generate_series(1, 120)"#;
    bench.sql.batch_execute(many).await.unwrap();
    let first = bench.page("queues/public/jobs/jobs?type=Many").await;
    bench.sql.batch_execute(many).await.unwrap();
    bench.sql.batch_execute("DELETE FROM jobs WHERE id IN (127, 77)").await.unwrap();

    let mut seen = shown(&first.text);
    let mut next = first.attribute("rel=\"next\"", "href");
    while let Some(link) = next {
        let page = bench.page(link.trim_start_matches("../")).await;
        seen.extend(shown(&page.text));
        next = page.attribute("rel=\"next\"", "href");
    }

    let expected: Vec<i64> = (8..=127).rev().filter(|id| *id != 77).collect();
    assert_eq!(seen, expected);
    bench.end().await;
}

#[actix::test]
async fn what_is_redacted_is_neither_shown_nor_found() {
    let bench = Bench::with(|database| {
        Dashboard::unguarded(database).allow_actions().redact(|queue, kind, mut params| {
            assert_eq!(queue.table(), "jobs");
            if kind == Some("Login") {
                params["password"] = json!("•••");
            }
            params
        })
    })
    .await;
    let secret = r#"INSERT INTO jobs (params) VALUES ('{"type": "Login", "user": "ada", "password": "hunter2"}')"#;
    bench.sql.batch_execute(secret).await.unwrap();

    for path in ["queues/public/jobs/jobs", "queues/public/jobs/jobs/8"] {
        let page = bench.page(path).await;
        assert!(page.text.contains("•••") && page.text.contains("ada") && !page.text.contains("hunter2"), "{path}");
    }
    let oracle = "params=$.password+starts+with+%22h%22";
    for path in [format!("jobs?{oracle}"), format!("act?do=retry&which=all&{oracle}")] {
        let page = bench.get(&format!("queues/public/jobs/{path}")).await;
        assert!(page.status == 403 && page.text.contains("redacted"), "{path}: {}", page.text);
    }
    bench.end().await;
}

/// The ids in the list, in its order.
fn shown(page: &str) -> Vec<i64> {
    let cells = page.split("<td class=\"number main\"").skip(1);
    cells.map(|cell| cell.split('>').nth(2).unwrap().split('<').next().unwrap().parse().unwrap()).collect()
}

/// A look at jobs by what they say begins with so many.
const FIRST: i64 = 500;

#[actix::test]
async fn a_page_that_takes_long_ends_without_jobs_and_tells_where_to_go_on() {
    let bench = Bench::open().await;
    bench
        .sql
        .batch_execute(r#"INSERT INTO jobs (params) SELECT '{"type": "Hay"}' FROM generate_series(1, 1000)"#)
        .await
        .unwrap();

    for path in ["queues/public/jobs/jobs?type=A", "api/queues/public/jobs/jobs?type=A"] {
        let mut barrier = Barrier::close(&bench.database_url).await;
        let (page, ()) = futures_util::join!(bench.page(path), async {
            barrier.let_one_through(&bench.database_url, Duration::from_millis(1_100)).await;
            barrier.open().await;
        });

        let next = if path.starts_with("api") {
            let told: Value = serde_json::from_str(&page.text).unwrap();
            assert_eq!((&told["jobs"], &told["searched"]), (&json!([]), &json!(FIRST)), "{told}");
            format!("{path}&from={}", told["next"].as_str().unwrap())
        } else {
            assert!(page.text.contains(&format!("None of the first {FIRST} jobs is meant")), "{}", page.text);
            format!(
                "queues/public/jobs{}",
                page.attribute("rel=\"next\"", "href").unwrap().split("public/jobs").nth(1).unwrap()
            )
        };
        let rest = bench.page(&next).await;
        assert!(
            ["1", "3", "5"].iter().all(|id| rest.text.contains(id)) && rest.text.contains("RETRY"),
            "{next}: {}",
            rest.text
        );
    }
    bench.end().await;
}
