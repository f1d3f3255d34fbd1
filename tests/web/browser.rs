//! The pages in a real Chromium: with its script, without it, and with jobs that would take it over if they could.

use std::time::Duration;

use fantoccini::{Client, Locator, elements::Element, error::CmdError};

use crate::{
    bench::{Bench, HOSTILE},
    chromium::{look, with_browser},
};

const JOBS: &str = "queues/public/jobs/jobs";

async fn open(browser: &Client, bench: &Bench, path: &str) {
    browser.goto(&bench.url(path)).await.unwrap();
}

async fn css(browser: &Client, selector: &str) -> Element {
    browser.wait().at_most(Duration::from_secs(30)).for_element(Locator::Css(selector)).await.unwrap()
}

/// Does something with what is marked so. The page may put a fresh one in its place at any moment, and that one does
/// as well.
async fn with<T>(browser: &Client, selector: &str, act: impl AsyncFn(Element) -> Result<T, CmdError>) -> T {
    loop {
        match act(css(browser, selector).await).await {
            Err(error) if error.is_stale_element_reference() => {}
            done => return done.unwrap(),
        }
    }
}

async fn click(browser: &Client, selector: &str) {
    with(browser, selector, async |element| element.click().await).await;
}

async fn text(browser: &Client, selector: &str) -> String {
    with(browser, selector, async |element| element.text().await).await
}

/// Presses what is marked so, and waits until the page has such a thing.
async fn press(browser: &Client, selector: &str, then: &str) -> String {
    click(browser, selector).await;
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
    with_browser(true, async |browser| {
        for (width, theme) in [(1280, "light"), (375, "dark")] {
            look(browser, width, 800, theme).await.unwrap();
            for path in [
                "",
                "queues/public/jobs",
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
