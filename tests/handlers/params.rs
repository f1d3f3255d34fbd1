//! Params on their way to a handler.

use std::collections::HashMap;

use actix_job_queue::{BatchContext, Batching, Context, Handlers, Job, NewJob};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::bench::{Bench, Done, Note, Probe, eventually, hear, note, take_note, with, write};

#[derive(Debug, Serialize, Deserialize)]
struct Order {
    items: Vec<Item>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Item {
    count: u32,
}

#[actix::test]
async fn params_that_do_not_fit_fail_their_job_with_the_path_of_the_fault_and_touch_nothing_else() {
    let bench = Bench::new().await;
    let (probe, mut heard) = Probe::new();
    let order = async |probe: Probe<usize>, job: Job<Order>, ctx: Context| {
        probe.say(job.params.items.len());
        Ok(ctx.complete().await?)
    };
    let running = bench.start(Handlers::new().on("Order", with(probe, order)).on("Note", take_note)).await;

    // One statement, so that one batch claims them all.
    let ids: Vec<i64> = bench
        .client
        .query_typed(
            r#"INSERT INTO jobs (params) VALUES
               ('{"type": "Note", "text": "before"}'),
               ('{"type": "Order", "items": [{"count": 1}, {"count": "many"}]}'),
               ('{"type": "Order"}'),
               ('{"type": "Order", "items": [{"count": 1}]}'),
               ('{"type": "Note", "text": "after"}') RETURNING id"#,
            &[],
        )
        .await
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect();

    for (id, fault) in [(ids[1], "`items[1].count`"), (ids[2], "missing field `items`")] {
        bench.becomes(id, "RETRY").await;
        let error = bench.error(id).await;
        assert!(error.contains(fault), "{error}");
        assert!(bench.holds(id, "attempt = 1").await);
    }
    for id in [ids[0], ids[3], ids[4]] {
        bench.completes(id).await;
    }
    assert_eq!(hear(&mut heard).await, 1);
    assert!(heard.try_recv().is_err(), "the handler saw no params that do not fit");
    assert_eq!(bench.notes().await, ["after", "before"]);
    running.shutdown().await;
}

/// The values that do not fit, and the keys on the way to them, are the job's own.
#[actix::test]
async fn why_jobs_failed_is_told_of_all_together_without_a_word_of_their_params() {
    let bench = Bench::new().await;
    let counts = async |_: Job<HashMap<String, u32>>, ctx: Context| -> Done { Ok(ctx.complete().await?) };
    let batch = async |_: Vec<Job<Item>>, ctx: BatchContext| -> Done { Ok(ctx.complete().await?) };
    let handlers = Handlers::new().on("Counts", counts).batch("Items", Batching::up_to(2), batch).on("Note", take_note);
    let running = bench.start(handlers).await;

    bench
        .sql(
            r#"INSERT INTO jobs (params) VALUES
               ('{"type": "Counts", "tiger": "hunter"}'), ('{"type": "Counts", "lion": "poacher"}'),
               ('{"type": "Items", "count": "hunter"}'), ('{"type": "Note", "text": {"tiger": "hunter"}}')"#,
        )
        .await;
    for id in 1..=4 {
        bench.becomes(id, "RETRY").await;
        assert!(bench.error(id).await.contains(if id == 2 { "poacher" } else { "fit" }), "the job itself says it");
    }
    running.shutdown().await;

    let told: Vec<String> = bench
        .ask("SELECT array_agg(kind || ' ' || failures || ': ' || error ORDER BY kind) FROM job_queue_failures")
        .await;
    let reason = "params do not fit the handler's type; the job's errors say where and why";
    assert_eq!(told, [format!("Counts 2: {reason}"), format!("Items 1: {reason}"), format!("Note 1: {reason}")]);
}

#[actix::test]
async fn a_type_that_no_handler_knows_is_retried_with_an_error_that_names_those_known() {
    let bench = Bench::new().await;
    let running = bench.start(Handlers::new().on("Note", take_note).on("Letter", take_note)).await;

    let unknown = bench.enqueue(NewJob::of_type("Telegram", &json!({})).unwrap()).await;
    let nameless = bench.enqueue(NewJob::new(&json!({"text": "x"})).unwrap()).await;

    for (id, asked) in [(unknown, "\"Telegram\""), (nameless, "no type")] {
        bench.becomes(id, "RETRY").await;
        let error = bench.error(id).await;
        for word in [asked, "Note", "Letter"] {
            assert!(error.contains(word), "{word} is missing in {error}");
        }
    }
    running.shutdown().await;
}

/// A deploy adds a type before all processes know it: the retry finds one that does.
#[actix::test]
async fn a_job_of_an_unknown_type_runs_once_a_handler_for_it_is_there() {
    let bench = Bench::new().await;
    let running = bench.start(Handlers::new().on("Letter", take_note)).await;
    let id = bench.enqueue(note("late")).await;
    bench.becomes(id, "RETRY").await;
    running.shutdown().await;

    let running = bench.start(Handlers::new().on("Note", take_note)).await;
    bench.hurry(id).await;

    bench.completes(id).await;
    assert_eq!(bench.notes().await, ["late"]);
    running.shutdown().await;
}

#[actix::test]
async fn a_queue_of_one_type_needs_no_type_in_its_params() {
    let bench = Bench::new().await;
    let handler = async |job: Job<(u32, String)>, mut ctx: Context| -> Done {
        assert_eq!(job.kind, None);
        let completion = ctx.begin().await?;
        write(&completion, job.id, &format!("{} {}", job.params.0, job.params.1)).await?;
        Ok(completion.commit().await?)
    };
    let running = bench.start(Handlers::new().any(handler)).await;

    let id = bench.enqueue(NewJob::new(&(7, "apples")).unwrap()).await;
    bench.completes(id).await;
    bench.sql("INSERT INTO jobs (params) VALUES ('[8, \"pears\"]')").await;

    eventually("both", async || (bench.notes().await == ["7 apples", "8 pears"]).then_some(())).await;
    running.shutdown().await;
}

/// The named handler comes first; the other takes what is left, whatever its type.
#[actix::test]
async fn a_handler_for_any_type_takes_what_has_none_of_its_own() {
    let bench = Bench::new().await;
    let rest = async |job: Job<serde_json::Value>, mut ctx: Context| -> Done {
        let completion = ctx.begin().await?;
        write(&completion, job.id, &format!("any: {:?}", job.kind)).await?;
        Ok(completion.commit().await?)
    };
    let running = bench.start(Handlers::new().on("Note", take_note).any(rest)).await;

    for job in [note("named"), NewJob::of_type("Other", &json!({})).unwrap(), NewJob::new(&1).unwrap()] {
        let id = bench.enqueue(job).await;
        bench.completes(id).await;
    }

    assert_eq!(bench.notes().await, ["any: None", "any: Some(\"Other\")", "named"]);
    running.shutdown().await;
}

/// The README's promise to every other program: params are enough.
#[actix::test]
async fn a_job_that_plain_sql_inserted_runs() {
    let bench = Bench::new().await;
    let running = bench.start(Handlers::new().on("Note", take_note)).await;

    bench.sql(r#"INSERT INTO jobs (params) VALUES ('{"type": "Note", "text": "by SQL"}')"#).await;
    bench.sql("INSERT INTO jobs (params) SELECT jsonb_build_object('type', 'Note', 'text', n::text) FROM generate_series(1, 3) n").await;

    eventually("four notes", async || (bench.notes().await == ["1", "2", "3", "by SQL"]).then_some(())).await;
    assert_eq!(bench.count("true").await, 0);
    running.shutdown().await;
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Shape {
    Circle { radius: f64 },
    Square(u32),
    Nothing,
}

#[actix::test]
async fn a_binary_queue_dispatches_by_type_and_keeps_structs_and_enums() {
    let bench = Bench::with(|queue| queue.binary()).await;
    let shape = async |job: Job<Shape>, mut ctx: Context| -> Done {
        let completion = ctx.begin().await?;
        write(&completion, job.id, &format!("{:?} of {:?}", job.params, job.kind.as_deref())).await?;
        Ok(completion.commit().await?)
    };
    let running = bench.start(Handlers::new().on("Shape", shape).on("Note", take_note)).await;
    let shapes = [Shape::Circle { radius: 1.5 }, Shape::Square(7), Shape::Nothing];

    let mut ids = vec![bench.enqueue(NewJob::binary(&Note { text: "a struct".into() }).unwrap()).await];
    for shape in &shapes {
        ids.push(bench.enqueue(NewJob::binary_of_type("Shape", shape).unwrap()).await);
    }
    let unfit = bench.enqueue(NewJob::binary_of_type("Shape", &Note { text: "no shape".into() }).unwrap()).await;
    let unknown = bench.enqueue(NewJob::binary_of_type("Other", &1).unwrap()).await;
    bench.sql(r"INSERT INTO jobs (params) VALUES ('\xc1')").await;
    let junk: i64 = bench.ask("SELECT max(id) FROM jobs").await;

    for id in ids {
        bench.completes(id).await;
    }
    for (id, word) in [(unfit, "do not fit"), (unknown, "\"Other\""), (junk, "no type")] {
        bench.becomes(id, "RETRY").await;
        let error = bench.error(id).await;
        assert!(error.contains(word), "{error}");
    }
    let mut expected: Vec<_> = shapes.iter().map(|shape| format!("{shape:?} of {:?}", Some("Shape"))).collect();
    expected.push("a struct".to_owned());
    expected.sort();
    assert_eq!(bench.notes().await, expected);
    running.shutdown().await;
}
