//! A real browser, driven over WebDriver.

use std::{panic::AssertUnwindSafe, process::Stdio, time::Duration};

use fantoccini::{Client, ClientBuilder, Locator, elements::Element, error::CmdError, wd::WebDriverCompatibleCommand};
use futures_util::FutureExt;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
    sync::Mutex,
};

/// Browsers are heavy: one at a time.
static ONE: Mutex<()> = Mutex::const_new(());

/// What Chromium knows beyond WebDriver.
#[derive(Debug)]
struct DevTools {
    command: &'static str,
    params: Value,
}

impl WebDriverCompatibleCommand for DevTools {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/goog/cdp/execute", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(json!({ "cmd": self.command, "params": self.params }).to_string()))
    }
}

/// Sets the window's width and height, and the theme that the visitor prefers.
pub async fn look(browser: &Client, width: u32, height: u32, theme: &str) -> Result<(), CmdError> {
    let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500 });
    let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": theme }] });
    for (command, params) in [("Emulation.setDeviceMetricsOverride", metrics), ("Emulation.setEmulatedMedia", media)] {
        browser.issue_cmd(DevTools { command, params }).await?;
    }
    Ok(())
}

/// What is marked so, once it is there.
pub async fn css(browser: &Client, selector: &str) -> Element {
    browser
        .wait()
        .at_most(Duration::from_secs(30))
        .for_element(Locator::Css(selector))
        .await
        .expect("a browser that answers")
}

/// Does something with what is marked so. The page may put a fresh one in its place at any moment, and that one does
/// as well.
pub async fn with<T>(browser: &Client, selector: &str, act: impl AsyncFn(Element) -> Result<T, CmdError>) -> T {
    loop {
        match act(css(browser, selector).await).await {
            Err(error) if error.is_stale_element_reference() => {}
            done => return done.expect("a browser that answers"),
        }
    }
}

/// Presses what is marked so.
pub async fn click(browser: &Client, selector: &str) {
    with(browser, selector, async |element| element.click().await).await;
}

/// Presses what leads to another page, and waits until the page that it was pressed on is gone: what both pages have
/// might be read from the old one.
pub async fn follow(browser: &Client, selector: &str) {
    let old = css(browser, "html").await;
    click(browser, selector).await;
    let gone = async {
        loop {
            match old.tag_name().await {
                Err(error) if error.is_stale_element_reference() => break,
                // Of a page that goes just now Chromium's driver has no better word.
                Err(error) if format!("{error:?}").contains("unhandled inspector error") => break,
                there => there.expect("a browser that answers"),
            };
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), gone).await.expect("another page");
}

/// What stands in it.
pub async fn text(browser: &Client, selector: &str) -> String {
    with(browser, selector, async |element| element.text().await).await
}

/// A picture of the page, whose width must be the window's, as far down as `most`.
pub async fn picture(browser: &Client, width: u32, most: u32, theme: &str) -> Result<Vec<u8>, CmdError> {
    let size = "return [document.documentElement.scrollWidth, document.documentElement.scrollHeight]";
    let size = browser.execute(size, Vec::new()).await?;
    let url = browser.current_url().await?;
    assert_eq!(size[0].as_u64(), Some(width.into()), "{url} is wider than the window");
    let height = size[1].as_u64().and_then(|height| u32::try_from(height).ok()).expect("a height");
    look(browser, width, height.clamp(300, most), theme).await?;
    browser.screenshot().await
}

/// Does it with a browser, which is closed afterwards whatever happens.
pub async fn with_browser(script: bool, doing: impl AsyncFnOnce(&Client)) {
    let _one = ONE.lock().await;
    let mut driver = Command::new("chromedriver")
        .arg("--port=0")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("chromedriver is missing: sh scripts/chromium.sh installs it");
    let mut said = BufReader::new(driver.stdout.take().expect("its output is piped")).lines();
    let port: u16 = loop {
        let line = said.next_line().await.expect("it says something").expect("it says its port");
        if let Some(port) = line.strip_suffix('.').and_then(|line| line.rsplit(' ').next()?.parse().ok()) {
            break port;
        }
    };
    // As root Chromium has no sandbox, and in containers little shared memory.
    let args = ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars", "--disable-gpu"];
    let scripts = if script { 1 } else { 2 };
    let options = json!({ "args": args, "prefs": { "profile.managed_default_content_settings.javascript": scripts } });
    let mut wanted = serde_json::Map::new();
    wanted.insert("goog:chromeOptions".to_owned(), options);
    let browser = ClientBuilder::new(HttpConnector::new())
        .capabilities(wanted)
        .connect(&format!("http://127.0.0.1:{port}"))
        .await
        .expect("a browser");
    let done = AssertUnwindSafe(doing(&browser)).catch_unwind().await;
    // It may be gone already; the driver's end takes the rest.
    let _ = browser.close().await;
    let _ = driver.kill().await;
    if let Err(panic) = done {
        std::panic::resume_unwind(panic);
    }
}
