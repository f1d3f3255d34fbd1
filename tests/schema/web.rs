//! An actix-web application that enqueues from its handlers, by both doors.

use std::net::SocketAddr;

use actix_job_queue::{Enqueue, NewJob, Queue};
use actix_web::{
    App, HttpResponse, HttpServer,
    error::{ErrorInternalServerError, ErrorServiceUnavailable},
    web,
};
use bb8_postgres::PostgresConnectionManager;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_postgres::NoTls;

use crate::common::{Bench, recording};

type Pool = bb8::Pool<PostgresConnectionManager<NoTls>>;

/// In the transaction of the application's own writes; `refuse` has it end without a commit.
async fn in_transaction(
    form: web::Path<String>,
    jobs: web::Data<Queue>,
    pool: web::Data<Pool>,
) -> actix_web::Result<HttpResponse> {
    let mut connection = pool.get().await.map_err(ErrorServiceUnavailable)?;
    let transaction = connection.transaction().await.map_err(ErrorInternalServerError)?;
    let sql = "INSERT INTO users (name) VALUES ($1)";
    let name: [(&(dyn tokio_postgres::types::ToSql + Sync), _); 1] = [(&*form, tokio_postgres::types::Type::TEXT)];
    transaction.execute_typed(sql, &name).await.map_err(ErrorInternalServerError)?;
    let job = NewJob::of_type("Welcome", &json!({"name": *form})).map_err(ErrorInternalServerError)?;
    let id = jobs.enqueue(&transaction, job).await.map_err(ErrorInternalServerError)?;
    if *form == "refuse" {
        return Ok(HttpResponse::BadRequest().finish());
    }
    transaction.commit().await.map_err(ErrorInternalServerError)?;
    Ok(HttpResponse::Accepted().body(id.to_string()))
}

/// By a message, where there is nothing else to write.
async fn by_message(name: web::Path<String>, jobs: web::Data<Queue>) -> actix_web::Result<HttpResponse> {
    let job = NewJob::of_type("Remind", &json!({"name": *name})).map_err(ErrorInternalServerError)?;
    let sent = jobs.addr().send(Enqueue(job)).await.map_err(ErrorServiceUnavailable)?;
    Ok(HttpResponse::Accepted().body(sent.map_err(ErrorServiceUnavailable)?.to_string()))
}

/// Posts nothing to a path; the status and the body of the answer.
async fn post(server: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(server).await.unwrap();
    let request = format!("POST {path} HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, body.to_owned())
}

/// The server has several threads, each an arbiter with a System's context of its own.
#[actix::test]
async fn handlers_of_a_web_server_enqueue_by_both_doors_and_the_jobs_run() {
    let bench = Bench::new().await;
    bench.client.batch_execute("CREATE TABLE users (name text PRIMARY KEY)").await.unwrap();
    let manager = PostgresConnectionManager::new_from_stringlike(bench.db.url(), NoTls).unwrap();
    let pool = bb8::Pool::builder().max_size(4).build(manager).await.unwrap();
    let running = bench.jobs.start(recording()).await.unwrap();
    let jobs = bench.jobs.clone();
    let server = HttpServer::new(move || {
        App::new()
            .app_data(web::Data::new(jobs.clone()))
            .app_data(web::Data::new(pool.clone()))
            .route("/users/{name}", web::post().to(in_transaction))
            .route("/reminders/{name}", web::post().to(by_message))
    })
    .workers(2)
    .disable_signals()
    .bind(("127.0.0.1", 0))
    .unwrap();
    let address = server.addrs()[0];
    let server = server.run();
    let handle = server.handle();
    let serving = actix::spawn(server);

    let paths: Vec<String> =
        (0..20).flat_map(|number| [format!("/users/u{number}"), format!("/reminders/r{number}")]).collect();
    let answers = futures_util::future::join_all(paths.iter().map(|path| post(address, path))).await;
    let refused = post(address, "/users/refuse").await;
    let twice = post(address, "/users/u0").await;

    let ids: Vec<i64> = answers
        .into_iter()
        .map(|(status, body)| {
            assert_eq!(status, 202, "{body}");
            body.parse().unwrap()
        })
        .collect();
    assert_eq!((refused.0, twice.0), (400, 500));
    bench.done(&ids).await;
    handle.stop(true).await;
    serving.await.unwrap().unwrap();
    let report = running.shutdown().await;
    assert_eq!(report.left, 0, "{report}");
    assert_eq!(bench.number("SELECT count(*) FROM users").await, 20);
    assert_eq!(bench.number("SELECT count(*) FROM done").await, 40, "each once, and none of the refused");
    assert_eq!(bench.number("SELECT count(*) FROM jobs").await, 0);
}
