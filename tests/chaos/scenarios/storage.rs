//! What the server itself may run out of, or put an end to.

use std::time::{Duration, Instant};

use crate::{
    failure::Failure,
    filler::Filler,
    load::{Fate, Planned},
    outcome::Outcome,
    scene::{Scene, Setup},
    server::{self, WORKERS, connect, number, workers_url},
    stage::Stage,
    worker::IDLE,
};

/// The role that the workers are, which somebody sets limits for.
const ROLE: &str = "limited";

async fn as_a_role<'a>(stage: &'a Stage<'a>) -> Result<Scene<'a>, Failure> {
    let mut scene = Scene::prepare(stage, Setup::default()).await?;
    let grant = format!(
        "CREATE ROLE {ROLE} LOGIN; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {ROLE}"
    );
    scene.client().await?.batch_execute(&grant).await?;
    scene.task.url = workers_url(&scene.url.replace("postgres@", &format!("{ROLE}@")));
    for _ in 0..2 {
        scene.hire().await?;
    }
    scene.warm_up().await?;
    Ok(scene)
}

/// Sets something for the role, and has its connections opened anew, so that it is so for all of them.
async fn set(scene: &Scene<'_>, settings: &str) -> Result<(), Failure> {
    let client = scene.client().await?;
    client.batch_execute(settings).await?;
    let lose =
        format!("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = '{WORKERS}'");
    number(&client, &lose).await?;
    Ok(())
}

/// Somebody locks the table again and again, for longer than a statement or a lock may take.
pub(super) async fn timeouts<'a>(stage: &'a Stage<'a>) -> Result<Outcome, Failure> {
    let scene = as_a_role(stage).await?;
    scene.fault("has low time-outs, and its table locked");
    set(
        &scene,
        &format!("ALTER ROLE {ROLE} SET statement_timeout = '100ms'; ALTER ROLE {ROLE} SET lock_timeout = '50ms'"),
    )
    .await?;
    let client = scene.client().await?;
    for _ in 0..stage.short_or(4, 15) {
        let lock = "BEGIN; LOCK TABLE jobs IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(0.4); COMMIT";
        client.batch_execute(lock).await?;
        tokio::time::sleep(Duration::from_millis(600)).await;
    }
    set(&scene, &format!("ALTER ROLE {ROLE} RESET statement_timeout; ALTER ROLE {ROLE} RESET lock_timeout")).await?;
    scene.conclude(Instant::now()).await
}

/// Handlers that do nothing for longer with their completion open are FAILED in the end, and nobody else.
pub(super) async fn idle<'a>(stage: &'a Stage<'a>) -> Result<Outcome, Failure> {
    let mut scene = as_a_role(stage).await?;
    scene.fault("has idle transactions ended");
    set(&scene, &format!("ALTER ROLE {ROLE} SET idle_in_transaction_session_timeout = '300ms'")).await?;
    let jobs: Vec<_> = (0..20)
        .map(|number| Planned { work_ms: 1_500, max_attempts: 2, fate: Fate::Failed, ..Planned::own(number, IDLE) })
        .collect();
    scene.enqueue(&jobs).await?;
    let failed = "(SELECT count(*) FROM jobs WHERE state = 'FAILED' AND jsonb_array_length(errors) = 2) = 20";
    scene.until("those that are idle are FAILED, with two errors each", failed, Duration::from_secs(30)).await?;
    set(&scene, &format!("ALTER ROLE {ROLE} RESET idle_in_transaction_session_timeout")).await?;
    scene.conclude(Instant::now()).await
}

/// Neither tables nor the log of the server can grow; it may end of that.
pub(super) async fn full<'a>(stage: &'a Stage<'a>) -> Result<Outcome, Failure> {
    without_room(stage, false).await
}

/// The log must grow, and the server ends.
pub(super) async fn panic<'a>(stage: &'a Stage<'a>) -> Result<Outcome, Failure> {
    without_room(stage, true).await
}

async fn without_room<'a>(stage: &'a Stage<'a>, until_it_ends: bool) -> Result<Outcome, Failure> {
    if let Err(why) = Filler::can_mount() {
        return Ok(Outcome::not_run(format!("a small file system for the server cannot be mounted: {why}")));
    }
    let settings = vec![("max_wal_size", "64MB"), ("min_wal_size", "32MB")];
    let setup = Setup { settings, durable: true, disk: Some(256), ..Setup::default() };
    let mut scene = Scene::begin(stage, setup).await?;
    let operator = scene.client().await?;
    scene.fault("has a full disk");
    // Nothing more can be enqueued, so this is what is claimed and completed meanwhile.
    let jobs: Vec<_> = (0..800_u32)
        .zip(["begin", "with", "batch"].into_iter().cycle())
        .map(|(number, kind)| Planned { work_ms: u64::from(number % 20) * 50, ..Planned::own(number.into(), kind) })
        .collect();
    scene.enqueue(&jobs).await?;
    let mut filler = Filler::new(&scene.cluster.data())?;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(6) {
        filler.fill()?;
        if until_it_ends {
            // So a long time of load comes to the log's next file, and to the next again. What fails is looked for below.
            let _ = operator
                .batch_execute("SELECT pg_logical_emit_message(true, 'chaos', ''); SELECT pg_switch_wal()")
                .await;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    filler.remove()?;
    await_server(&mut scene).await?;
    let ended = Instant::now();
    let log = scene.cluster.log_tail(usize::MAX);
    let noticed = match until_it_ends {
        true => log.contains("PANIC") && log.contains("No space left on device"),
        false => refused_completions(&log) > 0,
    };
    if !noticed {
        return Err("the server found room on its full disk all the same".into());
    }
    if scene.replace_dead().await? > 0 {
        scene.miss("a worker ended because the server's disk was full");
    }
    scene.conclude(ended).await
}

/// How many completions found no room, by the server's log: an error, a hint, and the statement.
fn refused_completions(log: &str) -> usize {
    let lines: Vec<_> = log.lines().collect();
    let refused = |lines: &&[&str]| {
        lines[0].contains("No space left on device") && lines.iter().any(|line| line.contains("INTO completed"))
    };
    lines.windows(3).filter(refused).count()
}

/// Starts a server again that has ended, as an operator does, and waits for one that is on its way back.
async fn await_server(scene: &mut Scene<'_>) -> Result<(), Failure> {
    let begun = Instant::now();
    while connect(&scene.url).await.is_err() {
        if !scene.cluster.runs() {
            server::start_again(&mut scene.cluster).await?;
        } else if begun.elapsed() > Duration::from_secs(60) {
            return Err("the server runs and takes no connections, a minute after its disk had room again".into());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

/// Workers and load know both servers and take the one that can be written to. A commit waits for the standby, so that
/// what was answered is there as well.
pub(super) async fn promote<'a>(stage: &'a Stage<'a>) -> Result<Outcome, Failure> {
    let mut scene = Scene::prepare(stage, Setup { durable: true, ..Setup::default() }).await?;
    let standby = tokio::task::block_in_place(|| scene.cluster.standby())?;
    let primary = scene.client().await?;
    primary.batch_execute("ALTER SYSTEM SET synchronous_standby_names = '*'").await?;
    primary.batch_execute("SELECT pg_reload_conf()").await?;
    let waits = "(SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync') = 1";
    if !scene.until("commits wait for the standby", waits, Duration::from_secs(30)).await? {
        return Err("the standby does not follow the primary".into());
    }
    let (first, second) = (scene.cluster.port(), standby.port());
    scene.url =
        format!("postgres://postgres@127.0.0.1:{first},127.0.0.1:{second}/postgres?target_session_attrs=read-write");
    scene.task.url = workers_url(&scene.url);
    for _ in 0..2 {
        scene.hire().await?;
    }
    scene.warm_up().await?;
    scene.fault("loses its primary");
    tokio::task::block_in_place(|| server::crash(&mut scene.cluster))?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    tokio::task::block_in_place(|| standby.promote())?;
    let ended = Instant::now();
    // From here on, the scene's server is the one that is left.
    scene.cluster = standby;
    if scene.replace_dead().await? > 0 {
        scene.miss("a worker ended because the primary had");
    }
    scene.conclude(ended).await
}
