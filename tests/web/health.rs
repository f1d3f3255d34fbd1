//! Whether the queues are well, as load balancers and what restarts programs ask it: without a name and a password.

use std::net::SocketAddr;

use actix_job_queue::{Database, DatabaseOptions, Listen, Queue, operate::Limits, web::HealthCheck};
use actix_web::{App, HttpServer, dev::ServerHandle};
use awc::Client;
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{
    TestDb,
    proxy::{Mode, Proxy},
};

struct Checked {
    db: TestDb,
    sql: tokio_postgres::Client,
    address: SocketAddr,
    server: ServerHandle,
    client: Client,
}

impl Checked {
    /// Queues that are reached in some way.
    async fn new(queues: &[&str], way: impl AsyncFnOnce(&TestDb) -> String) -> Self {
        let db = TestDb::new().await;
        let database = Database::connect(&db.url()).await.unwrap();
        let build = |database: &Database, name: &str| Queue::builder(database, name).build().unwrap();
        for name in queues {
            build(&database, name).migrate().await.unwrap();
        }
        let way = way(&db).await;
        let database = DatabaseOptions::new().listen(Listen::Off).connect(&way).await.unwrap();
        let check = HealthCheck::of(&build(&database, queues[0])).limits(Limits::default().failed(1));
        let check =
            queues[1..].iter().fold(check, |check, name| check.also(&build(&database, name), Limits::default()));
        let server = HttpServer::new(move || App::new().service(check.at("/health"))).workers(2).disable_signals();
        let server = server.bind("127.0.0.1:0").unwrap();
        let address = server.addrs()[0];
        let server = server.run();
        let handle = server.handle();
        actix_web::rt::spawn(server);
        let client = Client::builder().disable_timeout().finish();
        Self { sql: db.client().await, db, address, server: handle, client }
    }

    async fn direct(queues: &[&str]) -> Self {
        Self::new(queues, async |db| db.url()).await
    }

    async fn ask(&self, path: &str) -> (u16, Value) {
        let url = format!("http://{}/health{path}", self.address);
        let mut answer = self.client.get(url).send().await.unwrap();
        assert_eq!(answer.headers().get("cache-control").unwrap(), "no-store");
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    /// What all three routes answer: of all, ready, and live.
    async fn statuses(&self) -> [u16; 3] {
        [self.ask("").await.0, self.ask("/ready").await.0, self.ask("/live").await.0]
    }

    /// Waits until they answer so; an answer is good for a second.
    async fn until(&self, statuses: [u16; 3]) -> Value {
        for _ in 0..600 {
            if self.statuses().await == statuses {
                return self.ask("").await.1;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        panic!("it answers {:?} and not {statuses:?}: {}", self.statuses().await, self.ask("").await.1);
    }

    async fn run(&self, sql: &str) {
        self.sql.batch_execute(sql).await.unwrap();
    }
}

#[actix::test]
async fn queues_are_well_until_one_is_not_and_the_answer_says_why() {
    let checked = Checked::direct(&["mails", "reports"]).await;
    assert_eq!(checked.ask("").await, (200, json!({ "ready": true, "alive": true, "why": [] })));
    assert_eq!(checked.statuses().await, [200, 200, 200]);
    let url = format!("http://{}/health/ready", checked.address);
    assert_eq!(checked.client.head(&url).send().await.unwrap().status(), 200);
    assert_eq!(checked.client.post(&url).send().await.unwrap().status(), 405);

    checked.run("INSERT INTO reports (params, schedule) VALUES ('{}', now() - interval '10 min')").await;
    let late = checked.until([503, 200, 503]).await;
    let why = late["why"][0].as_str().unwrap();
    assert!(why.starts_with("reports: a job that can run has waited for 10 min") && why.contains("5 min"), "{late}");
    checked.run("INSERT INTO job_queue_pauses VALUES ('reports', '')").await;
    checked.until([200, 200, 200]).await;

    let failed = "INSERT INTO mails (params) SELECT '{\"type\": \"secret\"}' FROM generate_series(1, 2);
                  UPDATE mails SET state = 'FAILED', errors = '[{\"error\": [\"secret\"]}]'";
    checked.run(failed).await;
    let failed = checked.until([503, 200, 503]).await;
    assert_eq!(failed["why"], json!(["mails: 2 jobs have failed, more than 1"]));
    checked.server.stop(false).await;
}

#[actix::test]
async fn a_queue_that_this_version_cannot_use_is_not_ready_and_nothing_secret_says_why() {
    let checked = Checked::new(&["mails"], async |db| {
        db.client().await.batch_execute("CREATE ROLE tester LOGIN").await.unwrap();
        db.url_as("tester")
    })
    .await;

    let told = checked.until([503, 503, 200]).await;

    let why = "mails: its tables or rights are not what this version needs; the log says more";
    assert_eq!(told, json!({ "ready": false, "alive": null, "why": [why] }));
    checked.run("ALTER ROLE tester SUPERUSER").await;
    checked.until([200, 200, 200]).await;
    checked.run("DELETE FROM job_queue_migrations WHERE target = 'mails' AND version = 3").await;
    checked.until([503, 503, 200]).await;
    checked.server.stop(false).await;
    checked.db.client().await.batch_execute("DROP ROLE tester").await.unwrap();
}

#[actix::test]
async fn a_database_that_is_away_is_no_reason_to_restart_a_program() {
    let mut between = None;
    let checked = Checked::new(&["mails"], async |db| {
        let proxy = Proxy::start(db.address()).await;
        let url = proxy.url(&db.name);
        between = Some(proxy);
        url
    })
    .await;
    let proxy = between.unwrap();
    checked.until([200, 200, 200]).await;

    proxy.set(Mode::Swallow);

    let told = checked.until([503, 503, 200]).await;
    assert_eq!((&told["ready"], &told["alive"]), (&json!(false), &Value::Null), "{told}");
    let why = told["why"][0].as_str().unwrap();
    assert!(why.contains("the database") && !why.contains("127.0.0.1"), "{told}");
    proxy.set(Mode::Pass);
    checked.until([200, 200, 200]).await;
    checked.server.stop(false).await;
}

#[actix::test]
async fn however_many_ask_at_once_the_database_is_asked_once() {
    let checked = Checked::direct(&["mails"]).await;
    let held = checked.db.client().await;
    held.batch_execute("BEGIN; LOCK TABLE mails IN ACCESS EXCLUSIVE MODE").await.unwrap();

    let answers = join_all((0..50).map(|_| checked.ask("/ready"))).await;

    let slow = json!(["the database did not answer within 750ms"]);
    assert!(answers.iter().all(|(status, told)| *status == 503 && told["why"] == slow), "{answers:?}");
    let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'mails'::regclass::oid";
    assert_eq!(held.query_typed_one(waiting, &[]).await.unwrap().get::<_, i64>(0), 1);
    held.batch_execute("COMMIT").await.unwrap();
    checked.until([200, 200, 200]).await;
    checked.server.stop(false).await;
}
