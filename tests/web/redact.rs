//! What an application hides of params and of errors is neither shown nor found, anywhere.

use actix_job_queue::{QueueName, operate::Redaction, web::Dashboard};
use serde_json::{Value, json};

use crate::bench::Bench;

/// Hides passwords, and whatever is said of one.
struct NoPasswords;

impl Redaction for NoPasswords {
    fn params(&self, queue: &QueueName, kind: Option<&str>, mut params: Value) -> Value {
        assert_eq!(queue.table(), "jobs");
        if kind == Some("Login") {
            params["password"] = json!("•••");
        }
        params
    }

    fn error(&self, queue: &QueueName, kind: Option<&str>, text: String) -> String {
        assert_eq!(queue.table(), "jobs");
        match text.split_once('"') {
            Some((before, _)) if kind == Some("Login") => format!("{before}•••"),
            _ => text,
        }
    }
}

const SECRETS: &str = r#"
    INSERT INTO jobs (params) VALUES ('{"type": "Login", "user": "ada", "password": "hunter2"}');
    UPDATE jobs SET state = 'FAILED', attempt = 5,
           errors = '[{"attempt": 4, "error": ["invalid value \"hunter2\""]},
                      {"attempt": 5, "error": ["could not log in", "invalid value \"hunter2\""]}]' WHERE id = 8;
    INSERT INTO job_queue_activity VALUES ('jobs', date_trunc('minute', now()), 'Login', 5, 0, 5, '{5}', '{5}', 9);
    INSERT INTO job_queue_failures
    SELECT 'jobs', date_trunc('hour', now()), 'Login', 'invalid value "' || secret || '"', n, now() - make_interval(secs => n), n
      FROM unnest('{hunter,tiger}'::text[]) WITH ORDINALITY AS of (secret, n);
"#;

const SHOWN: [&str; 8] = [
    "queues/public/jobs",
    "queues/public/jobs?over=1d",
    "queues/public/jobs/jobs",
    "queues/public/jobs/jobs/8",
    "api/queues/public/jobs/activity",
    "api/queues/public/jobs/jobs",
    "api/queues/public/jobs/jobs?state=FAILED",
    "api/queues/public/jobs/jobs/8",
];

#[actix::test]
async fn what_one_rule_hides_of_params_and_errors_is_shown_nowhere() {
    let bench = Bench::with(|database| Dashboard::unguarded(database).allow_actions().redact_with(NoPasswords)).await;
    bench.sql.batch_execute(SECRETS).await.unwrap();

    for path in SHOWN {
        let page = bench.page(path).await;
        assert!(page.text.contains("•••"), "{path}: {}", page.text);
        assert!(!page.text.contains("hunter") && !page.text.contains("tiger"), "{path}: {}", page.text);
    }
    let told: Value = serde_json::from_str(&bench.page("api/queues/public/jobs/activity").await.text).unwrap();
    let reason = &told["failures"][0];
    assert_eq!(
        (&reason["error"], &reason["failures"], &reason["last_id"]),
        (&json!("invalid value •••"), &json!(3), &json!(1))
    );
    assert_eq!(told["failures"].as_array().unwrap().len(), 1, "two that are told alike are one: {told}");
    let other = bench.page("queues/public/jobs/jobs/6").await;
    assert!(other.text.contains("smtp said no"), "{}", other.text);
    bench.end().await;
}

#[actix::test]
async fn what_is_hidden_is_not_found_by_asking_for_it() {
    let bench = Bench::with(|database| Dashboard::unguarded(database).allow_actions().redact_with(NoPasswords)).await;
    bench.sql.batch_execute(SECRETS).await.unwrap();

    for query in ["error=hunter2", "params=$.password+starts+with+%22h%22"] {
        for path in [
            format!("queues/public/jobs/jobs?{query}"),
            format!("queues/public/jobs/act?do=retry&which=all&{query}"),
            format!("api/queues/public/jobs/jobs?{query}"),
        ] {
            let answer = bench.get(&path).await;
            assert!(answer.status == 403 && answer.text.contains("redacted"), "{path}: {}", answer.text);
        }
    }
    let request = bench.request("POST", "api/queues/public/jobs/retry").content_type("application/json");
    let answer = bench.answer(request, json!({ "error": "hunter2" }).to_string()).await;
    assert_eq!(answer.status, 403, "{}", answer.text);
    assert_eq!(bench.state(8).await.as_deref(), Some("FAILED"));
    let list = bench.page("queues/public/jobs/jobs").await;
    assert!(!list.text.contains("name=\"error\"") && !list.text.contains("name=\"params\""), "{}", list.text);
    bench.end().await;
}

#[actix::test]
async fn a_function_of_params_alone_leaves_errors_as_they_are() {
    let bench = Bench::with(|database| Dashboard::unguarded(database).redact(|_, _, _| json!("•••"))).await;
    bench.sql.batch_execute(SECRETS).await.unwrap();

    for path in ["queues/public/jobs", "queues/public/jobs/jobs/8", "queues/public/jobs/jobs?error=hunter2"] {
        assert!(bench.page(path).await.text.contains("invalid value &quot;hunter"), "{path}");
    }
    bench.end().await;
}
