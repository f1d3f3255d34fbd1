//! What there is to see: lists, one job, figures.

use serde_json::Value;

use crate::bench::{Bench, ONE_OF_EACH};

async fn ids(bench: &Bench, args: &[&str]) -> Vec<i64> {
    let all: Vec<_> = ["list", "--json"].iter().chain(args).copied().collect();
    let page = bench.ok(&all).await.json();
    page["jobs"].as_array().unwrap().iter().map(|job| job["id"].as_i64().unwrap()).collect()
}

#[actix::test]
async fn each_filter_of_list_leaves_the_jobs_that_it_means() {
    let bench = Bench::new().await;
    bench.sql(ONE_OF_EACH).await;

    for (args, meant) in [
        (&[][..], &[6, 5, 4, 3, 2, 1][..]),
        (&["--state", "failed"], &[6]),
        (&["--state", "in-progress,RESERVED"], &[3, 4]),
        (&["--state", "failed", "--state", "available"], &[2, 6]),
        (&["--state", "scheduled,available,reserved,in_progress,retry,failed"], &[6, 5, 4, 3, 2, 1]),
        (&["--type", "A"], &[5, 3, 1]),
        (&["--type", "A", "--state", "retry,scheduled"], &[1, 5]),
        (&["--error", "connection REFUSED"], &[5]),
        (&["--error", "50% of \"nothing\""], &[6]),
        (&["--error", "5_%"], &[]),
        (&["--params", "$.size > 4"], &[6, 5]),
        (&["--params", "$.size ? (@ == 2)"], &[2]),
        (&["--params", "$.missing"], &[]),
        (&["--older", "2d"], &[6]),
        (&["--younger", "2d"], &[5, 4, 3, 2, 1]),
        (&["--node", "77"], &[4, 3]),
    ] {
        assert_eq!(ids(&bench, args).await, meant, "{args:?}");
    }
}

#[actix::test]
async fn a_walk_of_pages_finds_each_job_once_in_every_order() {
    let bench = Bench::new().await;
    bench
        .sql(
            "INSERT INTO jobs (params, priority, schedule)
             SELECT '{}', n % 3, now() + CASE n % 2 WHEN 0 THEN interval '1 h' ELSE interval '-1 h' END FROM generate_series(1, 90) AS n;
             UPDATE jobs SET state = 'FAILED' WHERE id % 5 = 0",
        )
        .await;

    for states in ["", "failed", "available", "scheduled", "failed,available,scheduled"] {
        let filter = if states.is_empty() { vec![] } else { vec!["--state", states] };
        let whole = ids(&bench, &[&filter[..], &["--limit", "1000"]].concat()).await;
        let (mut paged, mut from) = (Vec::new(), None);
        loop {
            let mut args = [&["list", "--json", "--limit", "7"][..], &filter[..]].concat();
            let place: String;
            if let Some(at) = from {
                place = at;
                args.extend(["--from", place.as_str()]);
            }
            let page = bench.ok(&args).await.json();
            paged.extend(page["jobs"].as_array().unwrap().iter().map(|job| job["id"].as_i64().unwrap()));
            match page["next"].as_str() {
                Some(next) => from = Some(next.to_owned()),
                None => break,
            }
        }
        assert_eq!(paged, whole, "{states}");
        assert!(!whole.is_empty() && whole.len() <= 90);
    }
}

#[actix::test]
async fn a_filter_that_cannot_be_used_is_the_callers_fault() {
    let bench = Bench::new().await;
    bench.sql(ONE_OF_EACH).await;

    for (args, told) in [
        (&["list", "--params", "$.size >"][..], "no JSON path"),
        (&["list", "--state", "done"], "SCHEDULED, AVAILABLE"),
        (&["list", "--older", "5"], "write it as 90s"),
        (&["list", "--from", "x.1"], "no place to go on from"),
        (&["list", "--state", "failed", "--from", "w.1.1.1"], "belongs to another filter"),
    ] {
        let said = bench.run(args).await;
        assert_eq!(said.code, 2, "{said:?}");
        assert!(said.err.contains(told), "{said:?}");
    }
}

#[actix::test]
async fn show_tells_all_about_a_job_and_why_it_does_not_run() {
    let bench = Bench::new().await;
    bench.sql(ONE_OF_EACH).await;
    bench.sql("INSERT INTO jobs (params) VALUES ('{\"big\": 123456789012345678901234567890}')").await;

    for (id, told) in [
        ("1", "It runs in 23 h 59 min"),
        ("2", "first in line"),
        ("3", "process 77, host:77 (worker) has claimed it"),
        ("4", "It is running: process 77"),
        ("5", "Attempt 1 of 5 failed. It runs in 23 h"),
        ("6", "All 5 attempts have failed"),
        ("7", "One job runs before it"),
    ] {
        let said = bench.ok(&["show", id]).await;
        assert!(said.out.contains(told), "{said:?}");
    }
    let failed = bench.ok(&["show", "6"]).await.out;
    for told in ["smtp said 50% of \"nothing\"", "attempt 5 failed", "after 2 s", "in host:1 (worker)", "\"size\": 6"] {
        assert!(failed.contains(told), "{told}: {failed}");
    }
    let because = bench.ok(&["show", "5"]).await.out;
    assert!(because.contains("because: Connection refused"), "{because}");
    let exact = bench.ok(&["show", "7", "--json"]).await;
    assert!(exact.out.contains("123456789012345678901234567890"), "{exact:?}");
    assert_eq!(exact.json()["state"], "AVAILABLE");

    let missing = bench.run(&["show", "99"]).await;
    assert_eq!(missing.code, 3);
    assert!(missing.err.contains("no job 99"), "{missing:?}");
}

#[actix::test]
async fn the_figures_of_a_small_queue_are_exact() {
    let bench = Bench::new().await;
    bench.sql(ONE_OF_EACH).await;

    let stats = bench.ok(&["stats", "--json"]).await.json();

    let depth = stats["depth"].as_array().unwrap();
    assert_eq!(depth.len(), 6);
    assert!(depth.iter().all(|one| one["jobs"] == 1 && one["exact"] == true), "{depth:?}");
    assert_eq!(stats["types"].as_array().unwrap().len(), 6);
    assert!(stats["inserted"].is_i64());
    for moment in ["waiting_since", "next_due", "running_since", "failed_at"] {
        assert!(stats[moment].is_string(), "{moment}");
    }
    let told = bench.ok(&["stats"]).await.out;
    assert!(told.contains("IN_PROGRESS") && told.contains("oldest due"), "{told}");
}

#[actix::test]
async fn what_is_too_much_to_count_is_estimated_and_says_so() {
    let bench = Bench::new().await;
    bench
        .sql(
            "INSERT INTO jobs (params) SELECT jsonb_build_object('type', CASE n % 4 WHEN 0 THEN 'Rare' ELSE 'Common' END)
               FROM generate_series(1, 60000) AS n;
             UPDATE jobs SET state = 'FAILED' WHERE id <= 20000; ",
        )
        .await;

    let stats = bench.ok(&["stats", "--json"]).await.json();

    for (state, jobs) in [("AVAILABLE", 40_000), ("FAILED", 20_000)] {
        let depth = stats["depth"].as_array().unwrap().iter().find(|one| one["state"] == state).unwrap();
        assert_eq!(depth["exact"], false, "{depth}");
        let told = depth["jobs"].as_i64().unwrap();
        assert!((jobs / 2..jobs * 2).contains(&told), "{state}: {told}");
    }
    let rare: i64 = stats["types"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|one| one["type"] == "Rare")
        .map(|one| one["jobs"].as_i64().unwrap())
        .sum();
    assert!((7_500..30_000).contains(&rare), "{rare}");
    assert!(bench.ok(&["stats"]).await.out.contains("about "));
}

#[actix::test]
async fn the_queues_of_a_database_are_told_and_the_only_one_needs_no_name() {
    let bench = Bench::new().await;
    bench.ok(&["list"]).await;
    let made = bench.ok(&["migrate", "--schema", "it's \"mine\"", "--queue", "select"]).await;
    assert!(made.out.contains("is at migration"), "{made:?}");

    let queues = bench.ok(&["queues", "--json"]).await.json();
    let names: Vec<&Value> = queues.as_array().unwrap().iter().map(|one| &one["queue"]["table"]).collect();
    assert_eq!(names, ["select", "jobs"]);
    bench.ok(&["stats", "--schema", "it's \"mine\""]).await;

    bench.ok(&["migrate", "--queue", "other"]).await;
    let unsaid = bench.run(&["list"]).await;
    assert_eq!(unsaid.code, 2);
    assert!(unsaid.err.contains("jobs, other"), "{unsaid:?}");
    let unknown = bench.run(&["list", "--queue", "none"]).await;
    assert_eq!(unknown.code, 3);
    assert!(unknown.err.contains("schema public has jobs, other"), "{unknown:?}");
}

#[actix::test]
async fn migrate_says_what_is_pending_and_prints_what_it_would_do() {
    let bench = Bench::new().await;

    let pending = bench.run(&["migrate", "--queue", "new", "--pending"]).await;
    assert_eq!(pending.code, 6, "{pending:?}");
    let sql = bench.ok(&["migrate", "--queue", "new", "--schema", "by_hand", "--print"]).await.out;
    bench.sql("CREATE SCHEMA by_hand").await;
    bench.sql(&sql).await;
    let done = bench.ok(&["migrate", "--queue", "new", "--schema", "by_hand", "--pending"]).await;
    assert!(done.out.contains("the newest"), "{done:?}");
    let down = bench.ok(&["migrate", "--queue", "new", "--schema", "by_hand", "--print", "--down"]).await.out;
    bench.sql(&down).await;
    assert_eq!(bench.ask::<i64>("SELECT count(*) FROM pg_class WHERE relnamespace = 'by_hand'::regnamespace").await, 0);
}
