//! The JSON API: the same verbs, behind the same guard, as its description says.

use actix_job_queue::web::Dashboard;
use serde_json::{Value, json};

use crate::{
    bench::{Answer, Bench, HOSTILE},
    lately::LATELY,
};

const QUEUE: &str = "api/queues/public/jobs";

fn read(answer: &Answer) -> Value {
    serde_json::from_str(&answer.text).unwrap_or_else(|error| panic!("{error}: {}", answer.text))
}

async fn get(bench: &Bench, path: &str) -> Value {
    read(&bench.page(&format!("api/queues{path}")).await)
}

async fn post(bench: &Bench, path: &str, body: Value) -> (u16, Value) {
    let request = bench.request("POST", &format!("{QUEUE}/{path}")).content_type("application/json");
    let answer = bench.answer(request, body.to_string()).await;
    (answer.status.as_u16(), read(&answer))
}

#[actix::test]
async fn what_is_shown_can_be_read_by_programs() {
    let bench = Bench::open().await;

    assert_eq!(get(&bench, "").await[0]["table"], "jobs");
    assert_eq!(get(&bench, "/public/jobs").await["depth"][5], json!({ "state": "FAILED", "jobs": 2, "exact": true }));
    let first = get(&bench, "/public/jobs/jobs?limit=2&type=A").await;
    let rest = get(&bench, &format!("/public/jobs/jobs?type=A&from={}", first["next"].as_str().unwrap())).await;
    let ids = |page: &Value| page["jobs"].as_array().unwrap().iter().map(|job| job["id"].clone()).collect::<Vec<_>>();
    assert_eq!((ids(&first), ids(&rest)), (vec![json!(5), json!(3)], vec![json!(1)]));
    let job = get(&bench, "/public/jobs/jobs/6").await;
    assert_eq!(job["errors"][0]["error"], json!(["smtp said no", "the mail server is away"]));
    assert!(job["why"].as_str().unwrap().contains("All 5 attempts"), "{job}");
    for (path, status) in [("jobs/99", 404), ("jobs?limit=0", 400), ("jobs?state=x", 400), ("jobs/x", 404)] {
        let answer = bench.get(&format!("{QUEUE}/{path}")).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.text);
        assert!(read(&answer)["error"].is_string(), "{path}");
    }
    bench.end().await;
}

#[actix::test]
async fn what_happened_lately_and_who_works_can_be_read_by_programs() {
    let bench = Bench::open().await;
    bench.sql.batch_execute(LATELY).await.unwrap();

    let hour = get(&bench, "/public/jobs/activity").await;
    let day = get(&bench, "/public/jobs/activity?over=1d").await;
    let sum = |told: &Value| -> i64 {
        told["steps"].as_array().unwrap().iter().map(|step| step["completed"].as_i64().unwrap()).sum()
    };
    assert_eq!((&hour["step_seconds"], sum(&hour)), (&json!(60), 480));
    assert_eq!((&day["step_seconds"], sum(&day), day["steps"].as_array().unwrap().len()), (&json!(900), 720, 96));
    let busy = hour["steps"].as_array().unwrap().iter().find(|step| step["completed"] == 120).unwrap();
    assert!(busy["waited"]["p50"].is_f64() && busy["ran"]["p99"].is_f64() && busy["inserted"].is_i64(), "{busy}");
    assert_eq!((&hour["failures"][0]["failures"], &day["failures"][0]["failures"]), (&json!(30), &json!(80)));
    assert!(hour["types"].as_array().unwrap().iter().any(|kind| kind["type"] == HOSTILE), "{hour}");
    for over in ["soon", "-1h", "1"] {
        assert_eq!(bench.get(&format!("{QUEUE}/activity?over={over}")).await.status, 400, "{over}");
    }

    let of_queue = get(&bench, "/public/jobs/processes").await;
    let all = read(&bench.page("api/processes").await);
    assert_eq!((&all["processes"][0]["jobs"], &all["unread"]), (&of_queue[0]["jobs"], &json!([])));
    let process = &of_queue[0];
    assert_eq!(
        (&process["host"], &process["pid"], &process["program"]),
        (&json!("host"), &json!(77), &json!("worker"))
    );
    assert_eq!((&process["heard"], &process["dead"]), (&json!(true), &json!(false)));
    let job = process["jobs"].as_array().unwrap().iter().find(|job| job["id"] == 4).unwrap();
    assert_eq!((&job["queue"], &job["state"], &job["type"]), (&json!("jobs"), &json!("IN_PROGRESS"), &json!("B")));
    assert_eq!(get(&bench, "/public/jobs").await["processes"], 1);
    bench.end().await;
}

#[actix::test]
async fn each_verb_does_what_it_says() {
    let bench = Bench::open().await;

    let (status, made) = post(&bench, "jobs", json!({ "type": "Note", "params": { "a": 1 }, "priority": 3 })).await;
    assert_eq!((status, made["id"].as_i64()), (201, Some(8)));
    for (verb, body, done) in [
        ("retry", json!({ "type": "B" }), 1),
        ("run-now", json!({ "ids": [1, 5, 2] }), 2),
        ("cancel", json!({ "state": ["AVAILABLE"], "type": "A", "reason": "not at night" }), 2),
        ("delete", json!({ "ids": [8] }), 1),
    ] {
        let (status, outcome) = post(&bench, verb, body).await;
        assert_eq!((status, &outcome["done"]), (200, &json!(done)), "{verb}: {outcome}");
        assert_eq!(outcome["complete"], true);
    }
    assert_eq!(bench.state(8).await, None);
    assert_eq!(bench.state(1).await.as_deref(), Some("FAILED"));
    assert_eq!(post(&bench, "pause", json!({ "type": "A" })).await.1, json!({ "paused": true }));
    assert_eq!(get(&bench, "/public/jobs").await["paused"][0]["type"], "A");
    assert_eq!(post(&bench, "resume", json!({ "type": "A" })).await.1, json!({ "resumed": true }));
    for (path, body) in [
        ("delete", json!({})),
        ("delete", json!({ "id": 1 })),
        ("delete", json!([[1, 2]])),
        ("delete", json!({ "all": true, "type": "" })),
        ("pause", json!([null, null])),
        ("retry", json!({ "state": ["AVAILABLE"] })),
        ("jobs", json!({ "type": "A", "params": { "a": "\0" } })),
        ("jobs", json!({ "type": "A", "max_attempts": 0 })),
        ("pause", json!({ "type": "" })),
    ] {
        let (status, told) = post(&bench, path, body.clone()).await;
        assert_eq!(status, 400, "{path} {body}: {told}");
    }
    assert_eq!(post(&bench, "explode", json!({ "all": true })).await.0, 404);
    bench.end().await;
}

#[actix::test]
async fn no_page_of_another_site_can_have_it_done() {
    let bench = Bench::open().await;
    let body = json!({ "all": true }).to_string();
    let path = format!("{QUEUE}/delete");

    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"] {
        let request = bench.request("POST", &path).content_type(kind);
        assert_eq!(bench.answer(request, body.clone()).await.status, 400, "{kind}");
    }
    for header in [("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")] {
        let request = bench.request("POST", &path).content_type("application/json").insert_header(header);
        assert_eq!(bench.answer(request, body.clone()).await.status, 403, "{header:?}");
    }
    let asked = bench.answer(bench.request("OPTIONS", &path), String::new()).await;
    assert!(asked.header("access-control-allow-origin").is_empty() && asked.status == 405, "{asked:?}");
    assert_eq!(bench.ask::<i64>("SELECT count(*) FROM jobs").await, 7);
    bench.end().await;
}

#[actix::test]
async fn it_reads_only_and_hides_what_is_redacted() {
    let bench = Bench::with(|database| Dashboard::unguarded(database).redact(|_, _, _| json!("•••"))).await;

    for path in ["jobs", "retry", "run-now", "cancel", "delete", "pause", "resume"] {
        assert_eq!(post(&bench, path, json!({ "type": "A" })).await.0, 403, "{path}");
    }
    assert_eq!(get(&bench, "/public/jobs/jobs/6").await["params"], "•••");
    assert_eq!(get(&bench, "/public/jobs/jobs").await["jobs"][0]["params"], "•••");
    assert_eq!(bench.get(&format!("{QUEUE}/jobs?params=$.size")).await.status, 403);
    bench.end().await;
}

#[actix::test]
async fn the_description_names_every_route_and_no_other() {
    let bench = Bench::open().await;
    let description = read(&bench.page("api/openapi.json").await);
    let paths = description["paths"].as_object().unwrap();

    let mut described = 0;
    for (path, operations) in paths {
        let url = format!("api{}", path.replace("{schema}/{table}", "public/jobs").replace("{id}", "6"));
        for method in ["get", "post", "put", "patch", "delete"] {
            let request = bench.request(&method.to_uppercase(), &url).content_type("application/json");
            let answer = bench.answer(request, "[]".to_owned()).await;
            match operations[method].as_object() {
                Some(operation) => {
                    described += 1;
                    let status = answer.status.as_str();
                    assert!(operation["responses"].get(status).is_some(), "{method} {path}: {status} {}", answer.text);
                    assert_ne!(status, "404", "{method} {path}");
                }
                None => assert_eq!(answer.status, 405, "{method} {path}"),
            }
        }
    }
    // As many as there are in `src/web/api/mod.rs`, `{verb}` standing for four.
    let routes = include_str!("../../src/web/api/mod.rs").matches(".route(").count() + 3;
    assert_eq!(described, routes);
    bench.end().await;
}
