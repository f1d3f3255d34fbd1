//! The program that serves the dashboard by itself.

use std::process::Stdio;

use tokio::process::Command;

use crate::{bench::Bench, support::serve::serve};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

fn command(bench: &Bench, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_job-queue"));
    command.env_clear().env("DATABASE_URL", &bench.database_url).arg("serve").args(args);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

#[actix::test]
async fn it_serves_this_machine_by_its_own_names_only() {
    let bench = Bench::open().await;
    let (_child, url) = serve(command(&bench, &["--listen", "127.0.0.1:0"])).await;
    let get = async |host: &str| {
        let request = bench.request("GET", "").uri(&url).insert_header(("host", host));
        bench.answer(request, String::new()).await
    };

    for host in ["localhost", "127.0.0.1:8008", "[::1]:80"] {
        let home = get(host).await;
        assert!(home.status == 200 && home.text.contains("read-only"), "{host}: {}", home.text);
    }
    for host in ["evil.example", "localhost.evil.example:80", "127.0.0.1.evil.example", "[::2]"] {
        assert_eq!(get(host).await.status, 403, "{host}");
    }
    bench.end().await;
}

#[actix::test]
async fn other_machines_need_a_token_or_a_word() {
    let bench = Bench::open().await;
    let refused = command(&bench, &["--listen", "0.0.0.0:0"]).output().await.unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("JOB_QUEUE_TOKEN"), "{refused:?}");
    let mut short = command(&bench, &["--listen", "0.0.0.0:0"]);
    assert_eq!(short.env("JOB_QUEUE_TOKEN", "short").output().await.unwrap().status.code(), Some(2));

    let mut guarded = command(&bench, &["--listen", "0.0.0.0:0", "--allow-actions"]);
    guarded.env("JOB_QUEUE_TOKEN", TOKEN);
    let (_child, url) = serve(guarded).await;
    let url = url.replace("0.0.0.0", "127.0.0.1");
    let get = async |set: &dyn Fn(awc::ClientRequest) -> awc::ClientRequest| {
        bench.answer(set(bench.request("GET", "").uri(&url)), String::new()).await
    };
    let nobody = get(&|request| request).await;
    assert_eq!((nobody.status.as_u16(), nobody.header("www-authenticate").is_empty()), (401, false));
    assert_eq!(get(&|request| request.basic_auth("ada", "wrong")).await.status, 401);
    assert_eq!(get(&|request| request.bearer_auth(&TOKEN[1..])).await.status, 401);
    let known = get(&|request| request.basic_auth("ada", TOKEN)).await;
    assert!(known.status == 200 && !known.text.contains("read-only"), "{}", known.text);
    assert_eq!(get(&|request| request.bearer_auth(TOKEN)).await.status, 200);

    let (_child, url) = serve(command(&bench, &["--listen", "0.0.0.0:0", "--unguarded"])).await;
    let request = bench.request("GET", "").uri(url.replace("0.0.0.0", "127.0.0.1"));
    assert_eq!(bench.answer(request, String::new()).await.status, 200);
    bench.end().await;
}
