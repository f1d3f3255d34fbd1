//! The questions by browser.

use std::{fs, path::Path, process::Command, time::Instant};

use fantoccini::Client;

use crate::{Jobs, PROGRAM, chromium, serve::serve};

/// How often each page is asked for.
const TIMES: usize = 9;

const QUEUE: &str = "queues/public/jobs";

/// Looks at some jobs, and acts on others.
pub(crate) async fn look(url: &str, jobs: &Jobs, others: &Jobs) {
    let mut command = Command::new(PROGRAM);
    command.args(["serve", "--allow-actions", "--listen", "127.0.0.1:0"]);
    command.env("DATABASE_URL", url).env("RUST_LOG", "warn");
    let (mut server, address) = serve(command).await;
    chromium::with_browser(true, async |browser| {
        println!("\n## By browser\n\nThe server's answer to each page, asked for {TIMES} times after one more.\n");
        println!("| question | page | median ms | greatest ms | picture |\n| --- | --- | --: | --: | --- |");
        let Jobs { failed, waits, running } = jobs;
        let found = "jobs?state=FAILED&type=SendEmail&error=smtp%3A+451";
        for (question, name, path) in [
            ("Which queues are there, and is one stuck?", "queues", String::new()),
            ("What is stuck, since when, and why?", "queue", QUEUE.to_owned()),
            ("And over the day?", "queue-day", format!("{QUEUE}?over=1d")),
            ("Who works, on what, since when?", "processes", "processes".into()),
            ("What failed last?", "failed", format!("{QUEUE}/jobs?state=FAILED")),
            ("What failed for this reason?", "reason", format!("{QUEUE}/{found}")),
            ("All about one that failed?", "job-failed", format!("{QUEUE}/jobs/{failed}")),
            ("Why does this one not run?", "job-waits", format!("{QUEUE}/jobs/{waits}")),
            ("Who has this one?", "job-running", format!("{QUEUE}/jobs/{running}")),
        ] {
            page(browser, &address, question, name, &path).await;
        }
        println!("\n| what is done | from the click until the page says so, ms | what it says |\n| --- | --: | --- |");
        let job = format!("{QUEUE}/jobs/{}", others.failed);
        act(browser, &address, "Run that one again", &job, &["button[value=retry]"]).await;
        let job = format!("{QUEUE}/jobs/{}", others.running);
        act(browser, &address, "Stop the one that runs", &job, &["button[value=cancel]"; 2]).await;
        let all = format!("{QUEUE}/act?do=retry&which=all&state=FAILED&type=CloseAccount&older=20d");
        act(browser, &address, "Run all of the rare type again that are 20 days old", &all, &["button[value=retry]"])
            .await;
    })
    .await;
    let _ = server.kill().await;
}

/// Asks for a page again and again, and takes its picture.
async fn page(browser: &Client, address: &str, question: &str, name: &str, path: &str) {
    chromium::look(browser, 1280, 800, "light").await.unwrap();
    let mut times = Vec::new();
    for time in 0..=TIMES {
        browser.goto(&format!("{address}{path}")).await.unwrap();
        let times_of =
            "const page = performance.getEntriesByType('navigation')[0]; return page.responseEnd - page.requestStart";
        let took = browser.execute(times_of, Vec::new()).await.unwrap().as_f64().unwrap();
        if time > 0 {
            times.push(took);
        }
    }
    times.sort_by(f64::total_cmp);
    let picture = format!("docs/screenshots/night-{name}.png");
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(&picture);
    fs::write(file, chromium::picture(browser, 1280, 1_500, "light").await.unwrap()).unwrap();
    println!("| {question} | /{path} | {:.0} | {:.0} | {picture} |", times[TIMES / 2], times[TIMES - 1]);
}

/// Presses what is marked so, one after the other, until the page says what was done.
async fn act(browser: &Client, address: &str, what: &str, path: &str, buttons: &[&str]) {
    browser.goto(&format!("{address}{path}")).await.unwrap();
    let mut begun = Instant::now();
    for button in buttons {
        chromium::css(browser, button).await;
        begun = Instant::now();
        chromium::follow(browser, button).await;
    }
    let notice = chromium::text(browser, ".notice").await;
    println!("| {what} | {} | {} |", begun.elapsed().as_millis(), notice.replace('\n', " "));
}
