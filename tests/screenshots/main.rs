//! Pictures of every page for `docs/screenshots`, at two widths and in both themes: `make screenshots`.
#![allow(clippy::unwrap_used, reason = "it ends by panicking")]

use std::{fs, path::Path, process::ExitCode};

use actix_job_queue::{Database, Queue, web::Dashboard};
use actix_web::{App, HttpServer};
use fantoccini::Client;

#[allow(dead_code, unreachable_pub, clippy::disallowed_methods)]
#[path = "../support/mod.rs"]
mod support;

#[allow(dead_code, unreachable_pub)]
#[path = "../support/chromium.rs"]
mod chromium;

use support::TestDb;

/// What each picture is called, and what it shows.
const PAGES: [(&str, &str); 11] = [
    ("queues", ""),
    ("processes", "processes"),
    ("queue", "queues/public/mails"),
    ("queue-day", "queues/public/mails?over=1d"),
    ("queue-processes", "queues/public/mails/processes"),
    ("queue-empty", "queues/public/invoices"),
    ("jobs", "queues/public/mails/jobs"),
    ("jobs-filtered", "queues/public/mails/jobs?state=FAILED&type=SendEmail&error=refused"),
    ("job-failed", "queues/public/mails/jobs/3"),
    ("job-running", "queues/public/mails/jobs/40"),
    ("confirm", "queues/public/mails/act?do=delete&which=all&state=FAILED"),
];

fn main() -> ExitCode {
    actix_web::rt::System::new().block_on(take());
    ExitCode::SUCCESS
}

async fn take() {
    let db = TestDb::new().await;
    let database = Database::connect(&db.url()).await.unwrap();
    for table in ["mails", "thumbnails", "invoices"] {
        Queue::builder(&database, table).build().unwrap().migrate().await.unwrap();
    }
    db.client().await.batch_execute(include_str!("scene.sql")).await.unwrap();
    let dashboard = Dashboard::unguarded(&database).allow_actions();
    let server = HttpServer::new(move || App::new().service(dashboard.at("/"))).workers(1).bind("127.0.0.1:0").unwrap();
    let address = server.addrs()[0];
    actix_web::rt::spawn(server.run());

    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/screenshots");
    fs::create_dir_all(&folder).unwrap();
    chromium::with_browser(true, async |browser| {
        for (name, path) in PAGES {
            for width in [1280, 375] {
                for theme in ["light", "dark"] {
                    let picture = picture(browser, &format!("http://{address}/{path}"), width, theme).await;
                    fs::write(folder.join(format!("{name}-{width}-{theme}.png")), picture).unwrap();
                }
            }
        }
    })
    .await;
}

/// The whole page, whose width must be the window's.
async fn picture(browser: &Client, url: &str, width: u32, theme: &str) -> Vec<u8> {
    chromium::look(browser, width, 800, theme).await.unwrap();
    browser.goto(url).await.unwrap();
    chromium::picture(browser, width, 3_000, theme).await.unwrap()
}
