//! What jobs did lately, as plots and as figures.

use actix_job_queue::web::Dashboard;

use crate::bench::{Bench, HOSTILE};

/// A busy hour and a quiet day before it, with a hostile type and a hostile reason to fail.
pub(crate) const LATELY: &str = r#"
    WITH hostile (text) AS (SELECT $h$</script></bdi><img src=x onerror="document.title='owned'"><b>&amp;'$h$)
    INSERT INTO job_queue_activity
    SELECT 'jobs', date_trunc('minute', now()) - make_interval(mins => ago), kind, 50, 40, 10,
           '{0,0,0,0,0,25,15,7,3}', '{0,0,0,0,0,0,0,0,0,0,0,0,0,0,40,10}', (1000 - ago) * 60
      FROM hostile, (VALUES (0), (1), (2), (20), (70), (1000)) AS lately (ago), unnest(ARRAY['A', text, '']) AS kind;
    WITH hostile (text) AS (SELECT $h$</script></bdi><img src=x onerror="document.title='owned'"><b>&amp;'$h$)
    INSERT INTO job_queue_failures
    SELECT 'jobs', date_trunc('hour', now()) - make_interval(hours => ago), 'A', error, 30 + ago, now(), 6
      FROM hostile, (VALUES (0), (20)) AS lately (ago), unnest(ARRAY['smtp # is away', text]) AS error;
"#;

#[actix::test]
async fn a_queue_tells_its_last_hour_and_its_last_day_in_shapes_and_in_figures() {
    let bench = Bench::open().await;
    bench.sql.batch_execute(LATELY).await.unwrap();

    let hour = bench.page("queues/public/jobs").await;
    let day = bench.page("queues/public/jobs?over=1d").await;

    for (page, step, completed) in [(&hour, "minute", "480"), (&day, "quarter of an hour", "720")] {
        assert!(page.text.contains(&format!("<b>{completed}</b> jobs completed")), "{}", page.text);
        assert!(page.text.contains(&format!("<title>Jobs in each {step}</title><desc>")), "{}", page.text);
        for title in ["How long jobs waited", "How long attempts ran"] {
            assert!(page.text.contains(&format!("<title>{title}</title><desc>")), "{title}: {}", page.text);
            assert!(page.text.contains(&format!("aria-label=\"{title}, the figures\"")), "{title}");
        }
        for series in
            ["line in", "line p50", "line p95", "line p99", "rect class=\"completed\"", "rect class=\"failed\""]
        {
            assert!(page.text.contains(series), "{series}: {}", page.text);
        }
        assert!(page.text.contains("20.0 %"), "{}", page.text);
    }
    assert!(hour.text.contains("smtp # is away") && hour.text.contains("job 6</a>"), "{}", hour.text);
    assert!(day.text.contains(">80<") && !hour.text.contains(">80<"), "{}", day.text);
    assert_eq!(bench.get("queues/public/jobs?over=1w").await.status, 400);
    bench.end().await;
}

#[actix::test]
async fn where_nothing_happened_that_is_said() {
    let bench = Bench::open().await;

    let queue = bench.page("queues/public/jobs").await;
    let queues = bench.page("").await;

    assert!(queue.text.contains("No attempt has begun or ended in the last hour."), "{}", queue.text);
    assert!(!queue.text.contains("class=\"plot\""), "{}", queue.text);
    assert!(queues.text.contains("Nothing has run in the last hour."), "{}", queues.text);
    bench.end().await;
}

#[actix::test]
async fn a_card_has_depth_ages_rates_and_who_works() {
    let bench = Bench::open().await;
    bench.sql.batch_execute(LATELY).await.unwrap();

    let page = bench.page("").await;

    for fact in ["Oldest waiting", "Longest running", "In per minute", "Out per minute", "Failures, last hour"] {
        assert!(page.text.contains(&format!("<dt>{fact}</dt>")), "{fact}: {}", page.text);
    }
    assert!(page.text.contains("in progress") && page.text.contains("20.0 %"), "{}", page.text);
    assert!(page.text.contains("queues/public/jobs/processes\">1</a>"), "process 77: {}", page.text);
    assert!(page.text.contains("class=\"spark\"><svg"), "{}", page.text);
    bench.end().await;
}

#[actix::test]
async fn types_and_errors_are_text_in_plots_too() {
    let bench = Bench::open().await;
    bench.sql.batch_execute(LATELY).await.unwrap();

    for path in ["queues/public/jobs", "queues/public/jobs?over=1d"] {
        let page = bench.page(path).await;
        let escaped = HOSTILE.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
        assert!(page.text.matches(&escaped).count() >= 3, "{path}: {}", page.text);
        assert!(!page.text.contains("<img") && !page.text.contains("<b>&amp;amp;"), "{path}: {}", page.text);
    }
    bench.end().await;
}

#[actix::test]
async fn whoever_may_not_read_what_happened_still_sees_the_jobs() {
    let bench = Bench::with(Dashboard::unguarded).await;
    bench.sql.batch_execute("ALTER TABLE job_queue_activity RENAME TO elsewhere").await.unwrap();

    for path in ["", "queues/public/jobs"] {
        let page = bench.page(path).await;
        assert!(page.text.contains("What jobs did lately could not be looked at"), "{path}: {}", page.text);
        assert!(page.text.contains("Oldest waiting") && page.text.contains("not known"), "{path}: {}", page.text);
    }
    bench.end().await;
}
