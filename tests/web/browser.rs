//! The pages in a real Chromium: with its script, without it, and with jobs that would take it over if they could.

use std::time::Duration;

use fantoccini::{Client, Locator};

use crate::{
    bench::{Bench, HOSTILE},
    chromium::{click, css, follow, look, text, with, with_browser},
    lately::LATELY,
};

const JOBS: &str = "queues/public/jobs/jobs";

async fn open(browser: &Client, bench: &Bench, path: &str) {
    browser.goto(&bench.url(path)).await.unwrap();
}

/// Presses what is marked so, and reads such a thing on the page that it leads to.
async fn press(browser: &Client, selector: &str, then: &str) -> String {
    follow(browser, selector).await;
    text(browser, then).await
}

fn button(verb: &str) -> String {
    format!("button[value={verb}]")
}

#[actix::test]
async fn every_action_works_by_its_buttons_with_and_without_the_script() {
    for script in [true, false] {
        let bench = Bench::open().await;
        with_browser(script, async |browser| {
            look(browser, 1280, 1000, "light").await.unwrap();
            open(browser, &bench, &format!("{JOBS}/6")).await;
            assert_eq!(press(browser, &button("retry"), ".notice.good").await, "1 job will run again.");
            assert_ne!(bench.state(6).await.as_deref(), Some("FAILED"));
            open(browser, &bench, &format!("{JOBS}/1")).await;
            assert_eq!(press(browser, &button("run-now"), ".notice.good").await, "1 job can run now.");
            assert_eq!(bench.state(1).await.as_deref(), Some("AVAILABLE"));

            open(browser, &bench, &format!("{JOBS}/2")).await;
            press(browser, &button("cancel"), ".sure").await;
            let reason = css(browser, "input[name=reason]").await;
            reason.clear().await.unwrap();
            reason.send_keys("not at night").await.unwrap();
            assert_eq!(press(browser, &button("cancel"), ".notice.good").await, "1 job cancelled.");
            assert!(text(browser, ".timeline").await.contains("not at night"));
            assert_eq!(bench.state(2).await.as_deref(), Some("FAILED"));

            open(browser, &bench, &format!("{JOBS}?state=RETRY&state=RESERVED")).await;
            for id in [3, 5] {
                click(browser, &format!("input[value='{id}']")).await;
            }
            press(browser, &button("delete"), ".sure").await;
            assert_eq!(text(browser, "h1").await, "Delete 2 jobs?");
            assert_eq!(press(browser, &button("delete"), ".notice.good").await, "2 jobs deleted.");
            assert_eq!((bench.state(3).await, bench.state(5).await), (None, None));

            open(browser, &bench, "queues/public/jobs").await;
            click(browser, "summary").await;
            css(browser, "input[name=reason]").await.send_keys(HOSTILE).await.unwrap();
            let paused = press(browser, "form[action$=pause] button", ".notice.pause").await;
            assert!(paused.contains("The whole queue is paused") && paused.contains(HOSTILE), "{paused}");
            press(browser, "form[action$=resume] button", ".depth").await;
            assert!(browser.find(Locator::Css(".notice.pause")).await.is_err());
        })
        .await;
        bench.end().await;
    }
}

#[actix::test]
async fn hostile_jobs_are_text_on_every_page_and_no_page_is_wider_than_its_window() {
    let bench = Bench::open().await;
    let find = serde_urlencoded::to_string([("error", HOSTILE), ("type", HOSTILE)]).unwrap();
    let named = "UPDATE job_queue_nodes SET name = jobs.notify || ':1 (' || jobs.notify || ')' FROM jobs WHERE id = 7;
                 UPDATE jobs SET params = jsonb_build_object('type', other.notify) FROM jobs AS other WHERE jobs.id = 4 AND other.id = 7";
    bench.sql.batch_execute(&format!("{LATELY} {named}")).await.unwrap();
    with_browser(true, async |browser| {
        for (width, theme) in [(1280, "light"), (375, "dark")] {
            look(browser, width, 800, theme).await.unwrap();
            for path in [
                "",
                "processes",
                "queues/public/jobs",
                "queues/public/jobs?over=1d",
                "queues/public/jobs/processes",
                JOBS,
                &format!("{JOBS}/7"),
                &format!("{JOBS}?{find}"),
                &format!("queues/public/jobs/act?do=delete&which=all&{find}"),
                "queues/public/%3Cimg%20src=x%3E",
            ] {
                open(browser, &bench, path).await;
                let told = "return [document.title, document.images.length, document.querySelectorAll('main script').length, \
                            document.documentElement.scrollWidth, document.body.innerText]";
                let told = browser.execute(told, Vec::new()).await.unwrap();
                assert_ne!(told[0], "owned", "{path}");
                assert_eq!((&told[1], &told[2]), (&0.into(), &0.into()), "{path}");
                assert!(told[3].as_u64().unwrap() <= width.into(), "{path} is {} wide of {width}", told[3]);
                if !path.is_empty() {
                    assert!(told[4].as_str().unwrap().contains("<img src=x"), "{path}: {}", told[4]);
                }
            }
        }
    })
    .await;
    bench.end().await;
}

/// How wide and how high a thing is shown.
async fn size(browser: &Client, selector: &str) -> (f64, f64) {
    let (_, _, width, height) = with(browser, selector, async |element| element.rectangle().await).await;
    (width, height)
}

#[actix::test]
async fn plots_and_their_figures_can_be_read_at_every_width_with_and_without_the_script() {
    let bench = Bench::open().await;
    bench.sql.batch_execute(LATELY).await.unwrap();
    for script in [true, false] {
        with_browser(script, async |browser| {
            for (width, theme) in [(1280, "dark"), (375, "light")] {
                look(browser, width, 1000, theme).await.unwrap();
                open(browser, &bench, "").await;
                let (wide, high) = size(browser, ".spark svg").await;
                assert!(wide > 250.0 && high > 30.0, "{wide} x {high}");
                follow(browser, ".card h2 a").await;
                for (span, step, most) in
                    [("hour", "minute", ["120", "120"]), ("day", "quarter of an hour", ["360", "240"])]
                {
                    follow(browser, &format!(".switch a[href$='over=1{}']", &span[..1])).await;
                    let heading = format!("//h2[text()='In the last {span}']");
                    browser.wait().for_element(Locator::XPath(&heading)).await.unwrap();
                    for nth in 1..=3 {
                        let (wide, high) = size(browser, &format!(".plots .plot:nth-child({nth}) svg")).await;
                        assert!(wide > 200.0 && wide < f64::from(width) && high > 100.0, "{span}: {wide} x {high}");
                    }
                    for shape in ["rect.completed", "rect.failed", "path.line.in", "path.line.p50", "path.line.p99"] {
                        let (wide, high) = size(browser, &format!(".plots {shape}")).await;
                        assert!(wide + high > 0.0, "{span}: {shape} is not to be seen");
                    }
                    assert!(text(browser, "#lately .plot").await.contains(&format!("Jobs in each {step}")));
                    click(browser, "#throughput-figures summary").await;
                    let figures = text(browser, "#throughput-figures table").await;
                    // Three busy minutes are in one quarter of an hour, or in two.
                    let told = figures.contains("Completed") && most.iter().any(|most| figures.contains(most));
                    assert!(told, "{span}: {figures}");
                    let bars = text(browser, "#lately").await;
                    assert!(bars.contains("smtp # is away") && bars.contains(HOSTILE), "{span}: {bars}");
                }
            }
        })
        .await;
    }
    bench.end().await;
}

#[actix::test]
async fn processes_lead_to_their_jobs_with_and_without_the_script() {
    let bench = Bench::open().await;
    for script in [true, false] {
        with_browser(script, async |browser| {
            look(browser, 375, 1000, "dark").await.unwrap();
            open(browser, &bench, "").await;
            follow(browser, ".top a[href$=processes]").await;
            let card = text(browser, ".process").await;
            for told in ["host:77", "worker", "alive", "in progress", "reserved"] {
                assert!(card.contains(told), "{told}: {card}");
            }
            follow(browser, ".process td a[href$='/processes']").await;
            assert_eq!(text(browser, "h1").await, "Processes of jobs");
            follow(browser, ".process a[href*='state=IN_PROGRESS']").await;
            let listed = text(browser, "#jobs").await;
            assert!(listed.contains('4') && !listed.contains("Nothing"), "{listed}");
            follow(browser, "td.main a").await;
            assert_eq!(text(browser, "h1").await, "Job 4");
        })
        .await;
    }
    bench.end().await;
}

#[actix::test]
async fn what_is_opened_stays_open_while_the_page_keeps_itself_current() {
    let bench = Bench::open().await;
    bench.sql.batch_execute(LATELY).await.unwrap();
    with_browser(true, async |browser| {
        look(browser, 1280, 1000, "light").await.unwrap();
        open(browser, &bench, "queues/public/jobs").await;
        click(browser, "#waited-figures summary").await;
        browser.execute("document.activeElement.blur()", Vec::new()).await.unwrap();
        bench.sql.batch_execute("UPDATE job_queue_activity SET completed = completed + 1000").await.unwrap();
        let changed = Locator::XPath("//section[@id='lately']//b[text()='12,480']");
        browser.wait().at_most(Duration::from_secs(30)).for_element(changed).await.unwrap();
        assert!(css(browser, "#waited-figures table").await.is_displayed().await.unwrap());
    })
    .await;
    bench.end().await;
}

#[actix::test]
async fn a_page_keeps_itself_current_but_not_under_somebodys_hands() {
    let bench = Bench::open().await;
    with_browser(true, async |browser| {
        look(browser, 1280, 1000, "light").await.unwrap();
        open(browser, &bench, "queues/public/jobs").await;
        assert_eq!(text(browser, ".depth li:nth-child(6) b").await, "2");
        bench.sql.batch_execute("DELETE FROM jobs WHERE id = 6").await.unwrap();
        let changed = browser
            .wait()
            .at_most(Duration::from_secs(30))
            .for_element(Locator::XPath("//ul[@class='depth']/li[6]//b[text()='1']"));
        changed.await.unwrap();

        open(browser, &bench, &format!("{JOBS}?type=A")).await;
        click(browser, "input[name=tick][value='5']").await;
        bench.sql.batch_execute("DELETE FROM jobs WHERE id = 3").await.unwrap();
        // The script has looked once it has fetched the page again.
        let looked =
            "return performance.getEntriesByType('resource').filter((entry) => entry.initiatorType === 'fetch').length";
        while browser.execute(looked, Vec::new()).await.unwrap().as_u64() == Some(0) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(css(browser, "input[name=tick][value='5']").await.is_selected().await.unwrap());
        assert!(
            browser.find(Locator::Css("input[name=tick][value='3']")).await.is_ok(),
            "it changed while it was used"
        );
        click(browser, "input[name=tick][value='5']").await;
        browser.execute("document.activeElement.blur()", Vec::new()).await.unwrap();
        while browser.find(Locator::Css("input[name=tick][value='3']")).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    bench.end().await;
}

#[actix::test]
async fn the_keyboard_reaches_everything() {
    let bench = Bench::open().await;
    with_browser(true, async |browser| {
        open(browser, &bench, &format!("{JOBS}/6")).await;
        let mut reached = Vec::new();
        for _ in 0..12 {
            let body = browser.active_element().await.unwrap();
            body.send_keys("\u{e004}").await.unwrap();
            reached.push(browser.active_element().await.unwrap().text().await.unwrap());
        }
        for wanted in ["Skip to the content", "Queues", "jobs", "Jobs", "Retry", "Delete"] {
            assert!(reached.iter().any(|text| text == wanted), "{wanted}: {reached:?}");
        }
    })
    .await;
    bench.end().await;
}
