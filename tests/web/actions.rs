//! What is done, and what is asked first.

use crate::bench::Bench;

const ACT: &str = "queues/public/jobs/act";

#[actix::test]
async fn a_job_is_retried_and_run_at_once() {
    let bench = Bench::open().await;

    let retried = bench.post(ACT, &[("do", "retry"), ("ids", "6")]).await;
    assert_eq!(retried.status, 303, "{}", retried.text);
    assert_ne!(bench.state(6).await.as_deref(), Some("FAILED"));
    let page = bench.page(&retried.location()).await;
    assert!(page.text.contains("1 job will run again."), "{}", page.text);

    for id in ["1", "5"] {
        let run = bench.post(ACT, &[("do", "run-now"), ("ids", id)]).await;
        assert_eq!(run.status, 303, "{}", run.text);
        assert_eq!(bench.state(id.parse().unwrap()).await.as_deref(), Some("AVAILABLE"));
    }
    bench.end().await;
}

#[actix::test]
async fn what_destroys_is_asked_about_however_it_arrives() {
    let bench = Bench::open().await;

    for verb in ["cancel", "delete"] {
        let asked = bench.post(ACT, &[("do", verb), ("ids", "2")]).await;
        assert!(asked.status == 200 && asked.text.contains("1 job?"), "{}", asked.text);
        let asked = bench.page(&format!("{ACT}?do={verb}&tick=2")).await;
        assert!(asked.text.contains("1 job?") && asked.text.contains("method=\"post\""), "{}", asked.text);
        assert_eq!(bench.state(2).await.as_deref(), Some("AVAILABLE"));
    }
    let cancelled = bench.post(ACT, &[("do", "cancel"), ("ids", "2"), ("sure", "1"), ("reason", "not at night")]).await;
    assert_eq!(bench.state(2).await.as_deref(), Some("FAILED"));
    assert!(bench.page(&cancelled.location()).await.text.contains("not at night"));
    let deleted = bench.post(ACT, &[("do", "delete"), ("ids", "2"), ("sure", "1")]).await;
    assert_eq!(bench.state(2).await, None);
    assert!(bench.page(&deleted.location()).await.text.contains("1 job deleted."));
    bench.end().await;
}

#[actix::test]
async fn many_jobs_are_counted_before_and_no_job_joins_them() {
    let bench = Bench::open().await;

    let asked = bench.page(&format!("{ACT}?do=delete&which=all&type=A")).await;
    assert!(asked.text.contains("Delete 3 jobs?"), "{}", asked.text);
    bench.sql.batch_execute(r#"INSERT INTO jobs (params) VALUES ('{"type": "A"}')"#).await.unwrap();
    let ids = asked.attribute("name=\"ids\"", "value").unwrap();
    let done = bench.post(ACT, &[("do", "delete"), ("ids", &ids), ("sure", "1"), ("type", "A")]).await;

    assert_eq!(done.location(), "queues/public/jobs/jobs?type=A&did=delete&done=3&locked=0&unfit=0");
    assert_eq!(bench.ask::<i64>("SELECT count(*) FROM jobs WHERE params ->> 'type' = 'A'").await, 1);
    bench.end().await;
}

#[actix::test]
async fn more_jobs_than_can_be_named_are_found_by_their_filter() {
    let bench = Bench::open().await;
    let many = r#"INSERT INTO jobs (params) SELECT '{"type": "Many"}' FROM generate_series(1, 2500)"#;
    bench.sql.batch_execute(many).await.unwrap();

    let asked = bench.page(&format!("{ACT}?do=cancel&which=all&type=Many")).await;
    assert!(asked.text.contains("Cancel 2,500 jobs?"), "{}", asked.text);
    assert_eq!(asked.attribute("name=\"which\"", "value").as_deref(), Some("all"));
    bench.post(ACT, &[("do", "cancel"), ("which", "all"), ("type", "Many"), ("sure", "1")]).await;

    let states = "SELECT count(*) FROM jobs WHERE params ->> 'type' = 'Many' AND state = 'FAILED'";
    assert_eq!(bench.ask::<i64>(states).await, 2_500);
    bench.end().await;
}

#[actix::test]
async fn a_verb_touches_only_the_jobs_that_it_is_for_and_nothing_named_is_not_everything() {
    let bench = Bench::open().await;

    let asked = bench.page(&format!("{ACT}?do=retry&tick=1&tick=2&tick=6")).await;
    assert!(asked.text.contains("Retry 1 job?") && asked.text.contains("You named 3 jobs"), "{}", asked.text);
    for fields in [
        &[("do", "delete"), ("sure", "1")][..],
        &[("do", "delete"), ("sure", "1"), ("ids", "x")],
        &[("do", "destroy"), ("ids", "1")],
        &[("do", "retry"), ("which", "all"), ("state", "AVAILABLE")],
        &[("ids", "6")],
    ] {
        let refused = bench.post(ACT, fields).await;
        assert_eq!(refused.status, 400, "{fields:?}: {}", refused.text);
    }
    assert_eq!(bench.ask::<i64>("SELECT count(*) FROM jobs").await, 7);
    let none = bench.page(&format!("{ACT}?do=retry&tick=1")).await;
    assert!(none.text.contains("None of the jobs"), "{}", none.text);
    bench.end().await;
}

#[actix::test]
async fn a_queue_and_a_type_are_paused_and_resumed() {
    let bench = Bench::open().await;
    let pauses = "SELECT count(*) FROM job_queue_pauses";

    let paused = bench.post("queues/public/jobs/pause", &[("reason", "the mail <server> is away")]).await;
    assert_eq!((paused.status.as_u16(), paused.location()), (303, "queues/public/jobs".to_owned()));
    bench.post("queues/public/jobs/pause", &[("type", "A"), ("reason", "")]).await;
    assert_eq!(bench.ask::<i64>(pauses).await, 2);
    let page = bench.page("queues/public/jobs").await;
    assert!(page.text.contains("the mail &lt;server&gt; is away") && page.text.contains("The whole queue is paused"));
    assert!(bench.page("").await.text.contains(">paused<"));

    bench.post("queues/public/jobs/resume", &[]).await;
    assert!(bench.page("").await.text.contains("a type is paused"));
    bench.post("queues/public/jobs/resume", &[("type", "A")]).await;
    assert_eq!(bench.ask::<i64>(pauses).await, 0);
    bench.end().await;
}
