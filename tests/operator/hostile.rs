//! Whatever stands in a job is text, and no terminal's command; a password is nowhere to be read.

use crate::bench::Bench;

const HOSTILE: &str = "\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}31m\u{202e}\u{7f}\r\u{8}'; DROP TABLE jobs; --<script>";

fn is_tame(text: &str) -> bool {
    text.chars().all(|letter| letter == '\n' || !letter.is_control() && letter != '\u{202e}')
}

#[actix::test]
async fn no_escape_in_params_types_errors_names_or_payloads_reaches_the_terminal() {
    let bench = Bench::new().await;
    let params = serde_json::json!({ "type": HOSTILE, HOSTILE: HOSTILE }).to_string();
    let errors = serde_json::json!([{ "at": HOSTILE, "attempt": HOSTILE, "error": [HOSTILE, { HOSTILE: 1 }], "process": HOSTILE }]);
    let literal = |text: &str| format!("'{}'", text.replace('\'', "''"));
    bench
        .sql(&format!(
            "INSERT INTO job_queue_nodes (node, name, dead_at) VALUES (5, {hostile}, now() + interval '1 d');
             INSERT INTO jobs (params, notify) VALUES ({params}, {hostile}), ({params}, {hostile});
             UPDATE jobs SET state = 'FAILED', node = 5, errors = {errors} WHERE id = 1;
             UPDATE jobs SET state = 'RESERVED', expires = now(), node = 5 WHERE id = 2;",
            hostile = literal(HOSTILE),
            params = literal(&params),
            errors = literal(&errors.to_string()),
        ))
        .await;

    for args in [
        &["list"][..],
        &["list", "--json"],
        &["show", "1"],
        &["show", "2"],
        &["show", "1", "--json"],
        &["stats"],
        &["stats", "--json"],
        &["list", "--type", HOSTILE],
    ] {
        let said = bench.ok(args).await;
        assert!(is_tame(&said.out) && is_tame(&said.err), "{args:?}: {said:?}");
    }
    let refused = bench.run(&["list", "--queue", HOSTILE]).await;
    assert!(refused.code == 3 && is_tame(&refused.err), "{refused:?}");
    let refused = bench.run(&["list", "--params", HOSTILE]).await;
    assert!(refused.code == 2 && is_tame(&refused.err), "{refused:?}");
    let found = bench.ok(&["list", "--json", "--error", HOSTILE]).await.json();
    assert_eq!(found["jobs"][0]["type"], HOSTILE, "programs get what was written");
}

#[actix::test]
async fn a_password_is_taken_from_the_environment_and_never_told() {
    let bench = Bench::new().await;
    let (user, password) = ("ada", "s3cret:/@'\\ %41");
    bench.sql(&format!("CREATE ROLE {user} SUPERUSER LOGIN PASSWORD '{}'", password.replace('\'', "''"))).await;
    let url = bench.db.url_as(user);

    let given = url.replace(&format!("{user}@"), &format!("{user}:s3cret@"));
    let refused = bench.run(&["list", "--url", &given]).await;
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(!refused.err.contains("s3cret") && refused.err.contains("PGPASSWORD"), "{refused:?}");

    let mut with_url = bench.command(&["list", "--url", &url]);
    with_url.env_remove("DATABASE_URL").env("PGPASSWORD", password);
    let output = with_url.output().unwrap();
    assert!(output.status.success(), "{output:?}");

    let address = bench.db.address();
    let mut by_variables = bench.command(&["list"]);
    by_variables.env_remove("DATABASE_URL").env("PGPASSWORD", password).env("PGUSER", user);
    by_variables.env("PGHOST", address.ip().to_string()).env("PGPORT", address.port().to_string());
    by_variables.env("PGDATABASE", &bench.db.name);
    let output = by_variables.output().unwrap();
    assert!(output.status.success(), "{output:?}");

    let mut unreachable = bench.command(&["list"]);
    unreachable.env("DATABASE_URL", "postgres://ada:s3cret@127.0.0.1:1/app");
    let output = unreachable.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(!said.contains("s3cret"), "{said}");

    let mut nowhere = bench.command(&["list"]);
    nowhere.env_remove("DATABASE_URL");
    assert_eq!(nowhere.output().unwrap().status.code(), Some(2));
}
