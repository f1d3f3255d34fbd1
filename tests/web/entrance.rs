//! Who gets in, and what every answer says to the browser.

use actix_job_queue::web::{Access, Dashboard};
use actix_web::{HttpRequest, error::ErrorUnauthorized};

use crate::bench::Bench;

async fn by_header(request: &HttpRequest) -> actix_web::Result<Access> {
    match request.headers().get("x-user").map(|user| user.to_str().unwrap()) {
        Some("ada") => Ok(Access::Act),
        Some("bob") => Ok(Access::Read),
        _ => Err(ErrorUnauthorized("log in first")),
    }
}

const PATHS: [&str; 9] = [
    "",
    "processes",
    "queues/public/jobs/processes",
    "queues/public/jobs",
    "queues/public/jobs/jobs",
    "queues/public/jobs/jobs/1",
    "queues/public/jobs/act?do=delete&tick=1",
    "assets/style.css",
    "nothing",
];

#[actix::test]
async fn nobody_sees_anything_whom_the_guard_does_not_let_in() {
    let bench = Bench::with(|database| Dashboard::guarded(database, by_header).allow_actions()).await;

    for path in PATHS {
        let answer = bench.get(path).await;
        assert_eq!((answer.status.as_u16(), answer.text.as_str()), (401, "log in first"), "{path}");
        assert!(answer.header("content-security-policy").contains("default-src 'none'"));
    }
    let posted = bench.form("queues/public/jobs/act", &[("do", "retry"), ("ids", "6")]).await;
    assert_eq!(posted.status, 401);

    let read = bench.request("GET", "queues/public/jobs/jobs/6").insert_header(("x-user", "bob"));
    let read = bench.answer(read, String::new()).await;
    assert!(read.status == 200 && !read.text.contains("<button") && read.text.contains("read-only"));
    let act = bench.request("GET", "queues/public/jobs/jobs/6").insert_header(("x-user", "ada"));
    assert!(bench.answer(act, String::new()).await.text.contains("value=\"retry\""));
    bench.end().await;
}

#[actix::test]
async fn without_the_word_for_it_nothing_can_be_changed() {
    let bench = Bench::with(Dashboard::unguarded).await;

    for path in &PATHS[..6] {
        let page = bench.page(path).await;
        assert!(!page.text.contains("method=\"post\"") && page.header("set-cookie").is_empty(), "{path}");
    }
    assert_eq!(bench.get(PATHS[6]).await.status, 403);
    for path in ["act", "pause", "resume"] {
        let fields = [("do", "delete"), ("ids", "6"), ("sure", "1"), ("mark", "00")];
        let answer = bench.form(&format!("queues/public/jobs/{path}"), &fields).await;
        assert!(answer.status == 403 && answer.text.contains("looking only"), "{path}: {}", answer.text);
    }
    assert_eq!(bench.state(6).await.as_deref(), Some("FAILED"));
    bench.end().await;
}

#[actix::test]
async fn a_forged_form_does_nothing() {
    let bench = Bench::open().await;
    let mark = bench.page("queues/public/jobs").await.mark();
    let other = Bench::open().await;
    let stolen = other.page("queues/public/jobs").await.mark();
    let sent = async |mark: &str, header: (&str, &str)| {
        let fields = [("do", "retry"), ("ids", "6"), ("mark", mark)];
        let request = bench.request("POST", "queues/public/jobs/act");
        let request = request.content_type("application/x-www-form-urlencoded").insert_header(header);
        bench.answer(request, serde_urlencoded::to_string(fields).unwrap()).await
    };

    for forged in ["", "00", "ff", &mark[1..], &stolen] {
        assert_eq!(sent(forged, ("x-none", "")).await.status, 403, "{forged}");
    }
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "https://evil.example"),
        ("origin", "null"),
    ] {
        assert_eq!(sent(&mark, (name, value)).await.status, 403, "{name}: {value}");
    }
    assert_eq!(bench.state(6).await.as_deref(), Some("FAILED"));
    bench.forget_cookie();
    assert_eq!(sent(&mark, ("x-none", "")).await.status, 403, "without the cookie");
    bench.forget_cookie();
    let planted = format!("job-queue-form={}", "0".repeat(64));
    assert_eq!(sent(&"0".repeat(64), ("cookie", &planted)).await.status, 403, "with a planted cookie");
    bench.forget_cookie();
    let mark = bench.page("queues/public/jobs").await.mark();
    let origin = format!("http://{}", bench.address);
    assert_eq!(sent(&mark, ("origin", &origin)).await.status, 303);
    assert_ne!(bench.state(6).await.as_deref(), Some("FAILED"));
    bench.end().await;
    other.end().await;
}

#[actix::test]
async fn every_answer_is_under_a_strict_policy() {
    let bench = Bench::open().await;

    for path in PATHS {
        let answer = bench.get(path).await;
        let policy = answer.header("content-security-policy");
        for word in [
            "default-src 'none'",
            "script-src 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
            "form-action 'self'",
        ] {
            assert!(policy.contains(word), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!((answer.header("referrer-policy"), answer.header("cache-control")), ("same-origin", "no-store"));
        let inline = [" style=", "<style", " onclick=", "javascript:"].iter().find(|word| answer.text.contains(**word));
        assert!(inline.is_none() && !answer.text.contains("<script>"), "{path}: {inline:?}");
    }
    bench.end().await;
}

#[actix::test]
async fn files_are_kept_for_long_under_names_that_change_with_them() {
    let bench = Bench::open().await;
    let page = bench.page("queues/public/jobs").await;

    for (tag, attribute, kind) in [
        ("rel=\"stylesheet\"", "href", "text/css"),
        ("<script", "src", "text/javascript"),
        ("rel=\"icon\"", "href", "image/svg"),
    ] {
        let link = page.attribute(tag, attribute).unwrap();
        let file = bench.page(link.trim_start_matches("../")).await;
        assert!(file.header("content-type").starts_with(kind) && file.header("cache-control").contains("immutable"));
    }
    assert_eq!(bench.get("assets/style.css").await.status, 404);
    bench.end().await;
}
