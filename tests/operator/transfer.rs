//! Jobs out of a queue and into another, and the completions of shells.

use std::{io::Write, process::Stdio};

use crate::bench::{Bench, ONE_OF_EACH, Said};

/// What the program says to this input.
fn fed(bench: &Bench, args: &[&str], input: &str) -> Said {
    let mut child =
        bench.command(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap().into()
}

#[actix::test]
async fn jobs_come_out_of_one_queue_and_into_another_as_they_were() {
    let bench = Bench::new().await;
    bench.sql(ONE_OF_EACH).await;
    bench
        .sql("INSERT INTO jobs (params, priority, max_attempts, notify) VALUES ('{\"exact\": 12345678901234567890.123456789, \"esc\": \"\\u001b\"}', 7, 3, 'n')")
        .await;
    bench.ok(&["migrate", "--queue", "other"]).await;

    let lines = bench.ok(&["export", "--queue", "jobs"]).await.out;
    assert_eq!(lines.lines().count(), 7);
    let said = fed(&bench, &["import", "--queue", "other", "--yes"], &lines);
    assert_eq!((said.code, said.out.trim()), (0, "7 jobs are imported"), "{said:?}");

    let columns = "params::text, schedule, max_attempts, priority, notify, inserted_at, errors::text";
    let differs = format!(
        "SELECT count(*) FROM ((SELECT {columns} FROM jobs EXCEPT SELECT {columns} FROM other)
          UNION ALL (SELECT {columns} FROM other EXCEPT SELECT {columns} FROM jobs)) AS differs"
    );
    assert_eq!(bench.ask::<i64>(&differs).await, 0);
    let states: Vec<String> = bench.ask("SELECT array_agg(state ORDER BY params ->> 'size') FROM other").await;
    assert_eq!(states, ["SCHEDULED", "AVAILABLE", "AVAILABLE", "AVAILABLE", "SCHEDULED", "FAILED", "AVAILABLE"]);
    assert_eq!(bench.ask::<i32>("SELECT attempt FROM other WHERE state = 'FAILED'").await, 5);

    let failed = bench.ok(&["export", "--queue", "jobs", "--state", "failed"]).await.out;
    fed(&bench, &["import", "--queue", "other", "--yes", "--rerun"], &failed);
    assert_eq!(bench.ask::<i64>("SELECT count(*) FROM other WHERE state = 'FAILED'").await, 1);
    assert_eq!(bench.ask::<i64>("SELECT count(*) FROM other").await, 8);
}

#[actix::test]
async fn a_line_that_cannot_be_used_is_named_and_its_batch_is_left_out() {
    let bench = Bench::new().await;
    let fine = "{\"params\": {}}\n".repeat(1_500);

    for (bad, code) in [
        ("{\"params\": ", 2),
        ("{\"parms\": {}}", 2),
        ("{\"params\": {}, \"max_attempts\": 0}", 1),
        ("{\"params\": {\"nul\": \"\\u0000\"}}", 1),
    ] {
        bench.sql("TRUNCATE jobs").await;
        let said = fed(&bench, &["import", "--yes"], &format!("{fine}{bad}\n"));
        assert_eq!(said.code, code, "{said:?}");
        assert_eq!(bench.ask::<i64>("SELECT count(*) FROM jobs").await, 1_000, "{said:?}");
        assert!(code == 1 || said.err.contains("line 1501"), "{said:?}");
    }
    let unasked = fed(&bench, &["import"], &fine);
    assert_eq!(unasked.code, 4, "{unasked:?}");
}

#[actix::test]
async fn a_binary_queue_gives_and_takes_json() {
    let bench = Bench::new().await;
    for queue in ["one", "two"] {
        bench.ok(&["migrate", "--queue", queue, "--binary"]).await;
    }
    bench.ok(&["enqueue", "--queue", "one", "Note", r#"{"text": "hello"}"#]).await;

    let line = bench.ok(&["export", "--queue", "one"]).await.out;
    let said = fed(&bench, &["import", "--queue", "two", "--yes"], &line);

    assert_eq!(said.code, 0, "{said:?}");
    let same = "SELECT one.params = two.params FROM one, two";
    assert!(bench.ask::<bool>(same).await, "{line}");
}

#[actix::test]
async fn shells_can_complete_each_verb() {
    let bench = Bench::new().await;
    for shell in ["bash", "zsh", "fish"] {
        let script = bench.ok(&["completions", shell]).await.out;
        for verb in ["run-now", "doctor", "completions"] {
            assert!(script.contains(verb), "{shell}: {verb}");
        }
    }
    let help = bench.ok(&["--help"]).await.out;
    assert!(help.contains("Exit codes") && help.contains("Examples"), "{help}");
}
