//! A database with a queue, a dashboard that serves it on a port of its own, and a client that keeps its cookie.

use std::{cell::RefCell, net::SocketAddr};

use actix_job_queue::{Database, Queue, web::Dashboard};
use actix_web::{App, HttpServer, dev::ServerHandle, http::StatusCode};
use awc::{
    Client, ClientRequest,
    cookie::Cookie,
    http::header::{HeaderMap, LOCATION},
};
use tokio_postgres::Client as Sql;

use crate::support::TestDb;

pub(crate) struct Bench {
    pub(crate) sql: Sql,
    pub(crate) database: Database,
    pub(crate) database_url: String,
    pub(crate) address: SocketAddr,
    server: ServerHandle,
    client: Client,
    cookie: RefCell<Option<Cookie<'static>>>,
}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Where it leads to, below the dashboard.
    pub(crate) fn location(&self) -> String {
        let location = self.header(LOCATION.as_str());
        location.trim_start_matches("../").trim_start_matches("./").to_owned()
    }

    /// The value of the first such attribute behind a text.
    pub(crate) fn attribute(&self, behind: &str, name: &str) -> Option<String> {
        let rest = &self.text[self.text.find(behind)?..];
        let start = format!("{name}=\"");
        let value = &rest[rest.find(&start)? + start.len()..];
        Some(value[..value.find('"')?].replace("&amp;", "&").replace("&quot;", "\""))
    }

    /// The mark that its forms carry.
    pub(crate) fn mark(&self) -> String {
        self.attribute("name=\"mark\"", "value").expect("a form with a mark")
    }
}

impl Bench {
    /// With jobs in every state: see `ONE_OF_EACH`.
    pub(crate) async fn with(set: impl FnOnce(&Database) -> Dashboard) -> Self {
        let db = TestDb::new().await;
        let database = Database::connect(&db.url()).await.unwrap();
        Queue::builder(&database, "jobs").build().unwrap().migrate().await.unwrap();
        let sql = db.client().await;
        sql.batch_execute(ONE_OF_EACH).await.unwrap();
        let dashboard = set(&database);
        let server = HttpServer::new(move || App::new().service(dashboard.at("/ops/jobs")))
            .workers(1)
            .disable_signals()
            .bind("127.0.0.1:0")
            .unwrap();
        let address = server.addrs()[0];
        let server = server.run();
        let handle = server.handle();
        actix_web::rt::spawn(server);
        let client = Client::builder().disable_redirects().disable_timeout().finish();
        Self { sql, database, database_url: db.url(), address, server: handle, client, cookie: RefCell::default() }
    }

    /// Everybody may do everything.
    pub(crate) async fn open() -> Self {
        Self::with(|database| Dashboard::unguarded(database).allow_actions()).await
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}/ops/jobs/{path}", self.address)
    }

    pub(crate) fn request(&self, method: &str, path: &str) -> ClientRequest {
        let request = self.client.request(method.parse().unwrap(), self.url(path));
        match &*self.cookie.borrow() {
            Some(cookie) => request.cookie(cookie.clone()),
            None => request,
        }
    }

    pub(crate) async fn answer(&self, request: ClientRequest, body: String) -> Answer {
        let mut response = request.send_body(body).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        if let Some(cookie) = headers.get("set-cookie") {
            *self.cookie.borrow_mut() = Some(Cookie::parse(cookie.to_str().unwrap().to_owned()).unwrap());
        }
        let text = String::from_utf8(response.body().limit(16 << 20).await.unwrap().to_vec()).unwrap();
        Answer { status, headers, text }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.answer(self.request("GET", path), String::new()).await
    }

    /// The same for a page that must be there.
    pub(crate) async fn page(&self, path: &str) -> Answer {
        let answer = self.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        answer
    }

    /// Sends a form as a page of the dashboard would.
    pub(crate) async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let mark = self.page("queues/public/jobs").await.mark();
        self.form(path, &[fields, &[("mark", &mark)]].concat()).await
    }

    /// Sends a form as it is.
    pub(crate) async fn form(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let request = self.request("POST", path).content_type("application/x-www-form-urlencoded");
        self.answer(request, serde_urlencoded::to_string(fields).unwrap()).await
    }

    /// What a page of another site can send: not the cookie.
    pub(crate) fn forget_cookie(&self) {
        *self.cookie.borrow_mut() = None;
    }

    pub(crate) async fn state(&self, id: i64) -> Option<String> {
        let sql = format!("SELECT state FROM jobs WHERE id = {id}");
        self.sql.query_typed_opt(&sql, &[]).await.unwrap().map(|row| row.get(0))
    }

    pub(crate) async fn ask<T: for<'a> tokio_postgres::types::FromSql<'a>>(&self, sql: &str) -> T {
        self.sql.query_typed_one(sql, &[]).await.unwrap().get(0)
    }

    /// Waits until a question is answered by yes.
    pub(crate) async fn until(&self, what: &str, sql: &str) {
        for _ in 0..3_000 {
            if self.sql.query_typed_opt(sql, &[]).await.unwrap().is_some_and(|row| row.get(0)) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        panic!("{what} did not come");
    }

    pub(crate) async fn end(self) {
        self.server.stop(false).await;
    }
}

/// Would do something if it were ever taken for HTML.
pub(crate) const HOSTILE: &str = r#"</script></bdi><img src=x onerror="document.title='owned'"><b>&amp;'"#;

/// Jobs in every state, none of which runs: ids 1 to 6 in the order of a job's life, and a hostile seventh.
const ONE_OF_EACH: &str = r#"
    INSERT INTO jobs (params, schedule) SELECT '{"type": "A", "size": 1}', now() + interval '1 day';
    INSERT INTO jobs (params) SELECT '{"type": "B", "size": 2}';
    INSERT INTO jobs (params) SELECT jsonb_build_object('type', CASE n % 2 WHEN 1 THEN 'A' ELSE 'B' END, 'size', n)
      FROM generate_series(3, 6) AS n;
    UPDATE jobs SET state = 'RESERVED', expires = now() + interval '1 day', node = 77 WHERE id = 3;
    UPDATE jobs SET state = 'IN_PROGRESS', expires = now() + interval '1 day', node = 77, attempt = 1, lease = 1 WHERE id = 4;
    UPDATE jobs SET state = 'RETRY', attempt = 1, schedule = now() + interval '1 day',
           errors = '[{"at": "2026-01-01T00:00:00Z", "attempt": 1, "error": ["not yet", "Connection refused"]}]' WHERE id = 5;
    UPDATE jobs SET state = 'FAILED', attempt = 5,
           errors = '[{"at": "2026-01-01T00:00:00Z", "attempt": 5, "error": ["smtp said no", "the mail server is away"],
                       "seconds": 2.5, "node": 77, "process": "host:1 (worker)"}]' WHERE id = 6;
    INSERT INTO job_queue_nodes (node, name, dead_at) VALUES (77, 'host:77 (worker)', now() + interval '1 day');
    WITH hostile (text) AS (SELECT $h$</script></bdi><img src=x onerror="document.title='owned'"><b>&amp;'$h$)
    INSERT INTO jobs (params, notify) SELECT jsonb_build_object('type', text, text, text), text FROM hostile;
    UPDATE jobs SET state = 'FAILED', attempt = 1,
           errors = jsonb_build_array(jsonb_build_object('error', jsonb_build_array(notify), 'process', notify)) WHERE id = 7;
"#;
