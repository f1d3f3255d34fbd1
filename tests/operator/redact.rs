//! What the command line hides of params by their keys.

use serde_json::json;

use crate::bench::{Bench, Said};

const SECRET: &str = r#"
    INSERT INTO jobs (params) VALUES ('{"type": "Login", "user": "ada", "Password": "hunter2", "steps": [{"token": {"a": "tiger"}}]}');
    UPDATE jobs SET state = 'FAILED', attempt = 2,
           errors = '[{"attempt": 1, "error": ["smtp is away"]},
                      {"attempt": 2, "error": ["params do not fit the handler''s type at `Password`: invalid type: string \"hunter2\", expected u32"]}]';
    INSERT INTO jobs (params) VALUES ('{"type": "Login", "user": "bob", "Password": "hunter2", "steps": [{"token": {"a": "tiger"}}]}');
    INSERT INTO job_queue_history (queue, id, kind, attempt, max_attempts, priority, schedule, inserted_at, started_at, params, errors)
    SELECT 'jobs', id + 6, 'Login', 1, 5, 0, now(), now(), now(), params, errors FROM jobs;
    INSERT INTO job_queue_activity VALUES ('jobs', date_trunc('minute', now()), 'Login', 5, 0, 5, '{5}', '{5}', 9);
    INSERT INTO job_queue_failures VALUES
        ('jobs', date_trunc('hour', now()), 'Login', 'params do not fit the handler''s type at `Password`: invalid type: string "hunter', 1, now(), 1);
"#;

/// Whatever shows params or what is said of them.
const SHOWN: [&[&str]; 7] =
    [&["list"], &["show", "1"], &["show", "2"], &["completed"], &["show", "7"], &["show", "8"], &["stats"]];

async fn run_with(bench: &Bench, keys: &str, args: &[&str]) -> Said {
    let mut command = bench.command(args);
    command.env("JOB_QUEUE_REDACT", keys);
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap().into()
}

fn hides(said: &Said) -> bool {
    !["hunter", "tiger"].iter().any(|secret| format!("{said:?}").contains(secret))
}

#[actix::test]
async fn what_stands_under_a_key_is_shown_by_no_verb() {
    let bench = Bench::new().await;
    bench.sql(SECRET).await;

    for args in SHOWN {
        assert!(!hides(&bench.ok(args).await), "there is something to hide in {args:?}");
        for json in [&[][..], &["--json"]] {
            let by_option = [&["--redact", "password", "--redact", "token"][..], args, json].concat();
            let by_both = [args, json, &["--redact", "token"]].concat();
            for said in [
                bench.ok(&by_option).await,
                run_with(&bench, "password, token", &[args, json].concat()).await,
                run_with(&bench, "password", &by_both).await,
            ] {
                assert!(said.code == 0 && hides(&said) && said.out.contains("•••"), "{args:?}: {said:?}");
            }
        }
    }
    let shown = bench.ok(&["show", "1", "--json", "--redact", "password"]).await.json();
    assert_eq!(
        shown["params"],
        json!({ "type": "Login", "user": "ada", "Password": "•••", "steps": [{ "token": { "a": "tiger" } }] })
    );
    assert_eq!(shown["errors"][0]["error"], json!(["smtp is away"]));
}

#[actix::test]
async fn what_is_exported_is_whole_or_nothing() {
    let bench = Bench::new().await;
    bench.sql(SECRET).await;

    for refused in [bench.run(&["export", "--redact", "user"]).await, run_with(&bench, "user", &["export"]).await] {
        assert!(refused.code == 2 && refused.out.is_empty(), "{refused:?}");
        assert!(refused.err.contains("must be whole") && refused.err.contains("JOB_QUEUE_REDACT"), "{refused:?}");
    }
    let whole = run_with(&bench, "", &["export"]).await;
    assert_eq!((whole.code, whole.out.lines().count()), (0, 2));
    assert!(!hides(&whole));
    let added = run_with(&bench, "user", &["enqueue", "Login", r#"{"user": "eve"}"#]).await;
    let id: i64 = added.out.trim().parse().unwrap();
    assert_eq!(bench.ask::<String>(&format!("SELECT params ->> 'user' FROM jobs WHERE id = {id}")).await, "eve");
}

#[cfg(feature = "web")]
#[actix::test]
async fn what_is_hidden_is_neither_served_nor_found_by_asking_for_it() {
    let bench = Bench::new().await;
    bench.sql(SECRET).await;
    let mut command = bench.command(&["serve", "--listen", "127.0.0.1:0", "--redact", "PASSWORD"]);
    command.env("JOB_QUEUE_REDACT", "token");
    let (_serving, url) = crate::support::serve::serve(command).await;
    let get = async |path: &str| {
        let mut answer = awc::Client::default().get(format!("{url}{path}")).send().await.unwrap();
        (answer.status().as_u16(), String::from_utf8(answer.body().await.unwrap().to_vec()).unwrap())
    };

    for path in
        ["queues/public/jobs", "queues/public/jobs/jobs", "queues/public/jobs/jobs/1", "queues/public/jobs/jobs/2"]
    {
        for path in [path.to_owned(), format!("api/{path}")] {
            // The API has what a queue's page shows of failures somewhere else.
            let path = if path == "api/queues/public/jobs" { path + "/activity" } else { path };
            let (status, text) = get(&path).await;
            assert!(status == 200 && text.contains("•••"), "{path}: {text}");
            assert!(!text.contains("hunter") && !text.contains("tiger"), "{path}: {text}");
        }
    }
    for query in ["error=hunter", "params=$.Password+starts+with+%22h%22"] {
        assert_eq!(get(&format!("api/queues/public/jobs/jobs?{query}")).await.0, 403, "{query}");
    }
    let job: serde_json::Value = serde_json::from_str(&get("api/queues/public/jobs/jobs/2").await.1).unwrap();
    assert_eq!(job["params"]["user"], "bob");
}
