//! A real PgBouncer in transaction mode, between the queue and its server.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use actix_job_queue::{Context, DatabaseOptions, Enqueue, Handlers, Job, Listen};
use tokio_postgres::types::Type;

use crate::{
    harness::{Entry, HOUR, all_entered, eventually, migrated, number, queue, until, waiting, write},
    support::{self, TestDb},
};

/// So many connections PgBouncer makes to the server, for all of its clients.
const SERVER_CONNECTIONS: u32 = 2;

/// A running pooler, which ends with this process, however that ends.
struct PgBouncer {
    shell: Child,
    folder: PathBuf,
    port: u16,
}

impl PgBouncer {
    async fn start(db: &TestDb) -> Self {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let program = std::env::split_paths(&path)
            .chain(["/usr/sbin".into(), "/opt/homebrew/bin".into()])
            .map(|folder| folder.join("pgbouncer"))
            .find(|program| program.is_file())
            .expect("PgBouncer is not installed: apt-get install pgbouncer, or brew install pgbouncer");
        let free = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = free.local_addr().unwrap().port();
        let folder = std::env::temp_dir().join(format!("ajq-pgbouncer-{}-{port}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        let settings = folder.join("pgbouncer.ini");
        fs::write(
            &settings,
            format!(
                "[databases]\n{name} = host=127.0.0.1 port={server} dbname={name} user=postgres\n\
                 [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n\
                 pool_mode = transaction\ndefault_pool_size = {SERVER_CONNECTIONS}\nmax_client_conn = 100\n",
                name = db.name,
                server = db.address().port(),
            ),
        )
        .unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        drop(free);
        // As root it must be told whom to become.
        let script = r#"
            if [ "$(id -u)" = 0 ]; then
                id postgres >/dev/null 2>&1 && user=postgres || user=nobody
                "$1" -q -u "$user" "$2" & else "$1" -q "$2" &
            fi
            pid=$!
            read -r line
            kill -INT $pid; wait $pid; rm -rf "$3""#;
        let shell = Command::new("sh")
            .args(["-c", script, "pgbouncer"])
            .args([&program, &settings, &folder])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.join("log")).unwrap())
            .spawn()
            .unwrap();
        let pooler = Self { shell, folder, port };
        eventually("PgBouncer takes connections", || async { std::net::TcpStream::connect(("127.0.0.1", port)).ok() })
            .await;
        pooler
    }

    fn url(&self, db: &TestDb) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{}", self.port, db.name)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap()
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        // It ends with its standard input.
        let _ = self.shell.wait();
    }
}

/// Runs three bursts of 40 jobs with six handlers at a time; each writes, and enqueues a follow-up job, in
/// its completion.
async fn works_through_pgbouncer(listen: impl FnOnce(&TestDb) -> Listen, poll_interval: Duration) {
    let db = TestDb::new().await;
    migrated(&db.url()).await;
    let pooler = PgBouncer::start(&db).await;
    let listen = listen(&db);
    let listens = matches!(listen, Listen::At(_));
    let options = DatabaseOptions::new().pool_size(6).listen(listen);
    let set = |queue: actix_job_queue::QueueBuilder| queue.max_demand(6).poll_interval(poll_interval).dead_after(HOUR);
    let jobs = queue(&pooler.url(&db), options, set).await;
    let (at_once, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let handlers = Handlers::new().any({
        let (jobs, at_once, most) = (jobs.clone(), Arc::clone(&at_once), Arc::clone(&most));
        move |job: Job<Entry>, mut ctx: Context| {
            let (jobs, at_once, most) = (jobs.clone(), Arc::clone(&at_once), Arc::clone(&most));
            async move {
                most.fetch_max(at_once.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(job.params.work_ms)).await;
                if job.params.n >= 1_000 {
                    at_once.fetch_sub(1, Ordering::SeqCst);
                    let sql = "INSERT INTO ledger (job_id, n, pid) VALUES ($1, $2, pg_backend_pid())";
                    return Ok(ctx.complete_with(sql, &[(&job.id, Type::INT8), (&job.params.n, Type::INT8)]).await?);
                }
                let completion = ctx.begin().await?;
                let planned = "SELECT count(*) FROM pg_prepared_statements";
                let planned: i64 = completion.query_typed_one(planned, &[]).await?.get(0);
                if planned > 0 {
                    return Err("a statement was prepared on a session that is handed round".into());
                }
                write(&completion, job.id, job.params.n).await?;
                {
                    jobs.enqueue(&*completion, Entry::working(job.params.n + 1_000, 1)).await?;
                }
                let completed = completion.commit().await?;
                at_once.fetch_sub(1, Ordering::SeqCst);
                Ok(completed)
            }
        }
    });
    // A start inspects the schema and registers the process through the pooler too.
    let running = jobs.start(handlers).await.unwrap();
    let client = db.client().await;
    let through = support::connect(&pooler.url(&db)).await;

    for burst in 0..3 {
        if listens {
            waiting(&client, 1).await;
        }
        let entries: Vec<_> = (burst * 40..burst * 40 + 38).map(|n| Entry::working(n, 5)).collect();
        jobs.enqueue_many(&through, &entries).await.unwrap();
        jobs.addr().send(Enqueue(Entry::working(burst * 40 + 38, 5))).await.unwrap().unwrap();
        jobs.enqueue(&through, Entry::working(burst * 40 + 39, 5)).await.unwrap();
        all_entered(&client, (burst + 1) * 80).await;
    }

    assert_eq!(most.load(Ordering::SeqCst), 6, "that many handlers ran at a time");
    let pooled = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = '{}' AND pid <> pg_backend_pid() AND NOT EXISTS \
         (SELECT FROM pg_locks WHERE locktype = 'advisory' AND pg_locks.pid = pg_stat_activity.pid)",
        db.name
    );
    let direct = i64::from(listens);
    let pooled = number(&client, &pooled).await;
    assert!(pooled <= i64::from(SERVER_CONNECTIONS) + direct, "{pooled} connections: {}", pooler.log());
    let report = running.shutdown().await;
    assert_eq!((report.left, report.returned, report.failed), (0, 0, 0), "{report}");
    until(&client, "the process is off the list", "NOT EXISTS (SELECT FROM job_queue_nodes)").await;
}

#[actix::test]
async fn a_queue_works_through_pgbouncer_by_polling_alone() {
    works_through_pgbouncer(|_| Listen::Off, Duration::from_millis(200)).await;
}

/// LISTEN is deaf there, and a prepared statement would be another client's or nobody's.
#[actix::test]
async fn a_queue_that_knows_nothing_of_the_pgbouncer_before_it_works_by_polling() {
    works_through_pgbouncer(|_| Listen::Same, Duration::from_millis(200)).await;
}

#[actix::test]
async fn a_queue_works_through_pgbouncer_and_is_notified_past_it() {
    works_through_pgbouncer(|db| Listen::At(db.url()), HOUR).await;
}
