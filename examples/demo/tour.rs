//! The tour: sign-ups over HTTP, jobs that fail, a worker that is killed; and the ledger at the end.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use crate::{
    Failure,
    children::{Child, tail},
    crowd::{self, Answers},
    ledger::Ledger,
    observer::{self, Seen},
    progress::Progress,
    setup::{Pool, Setup},
    status::Status,
};

/// How long the queue may take to empty after the last sign-up.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often to look at the table.
const GLANCE: Duration = Duration::from_millis(200);

/// Plays the tour; whether the ledger agrees.
pub(crate) async fn play(setup: &Setup, crowd: usize, port: u16) -> Result<bool, Failure> {
    let pool = setup.pool().await?;
    let web = Child::start(setup, "web", port, "web").await?;
    let address = web.greeting.parse().map_err(Failure::because("read the web server's address"))?;
    let mut victim = Child::start(setup, "worker", 0, "worker-1").await?;
    let survivor = Child::start(setup, "worker", 0, "worker-2").await?;
    println!(
        "One web process (http://{address}/ while this runs) and two workers (pid {} and {}).\n\
         {crowd} people sign up. A tenth of it is rolled back; of the jobs, 3 % fail, 3 % panic and 1 % hang at \
         first.\nHalf way, a worker is killed with SIGKILL and not started again.\n",
        victim.pid, survivor.pid
    );

    let logs = [web.log.clone(), victim.log.clone(), survivor.log.clone()];
    let ledger = perform(setup, &pool, address, crowd, &mut victim).await?;
    let said = survivor.end().await?;
    web.end().await?;
    println!("\n  The worker that was left has shut down: {said}.\n");
    println!("{ledger}");
    if ledger.agrees() {
        println!("The ledger agrees.");
    } else {
        println!("The ledger does NOT agree. The processes' last words:");
        logs.iter().for_each(|log| println!("{}:\n{}", log.display(), tail(log)));
    }
    Ok(ledger.agrees())
}

async fn perform(
    setup: &Setup,
    pool: &Pool,
    address: SocketAddr,
    crowd: usize,
    victim: &mut Child,
) -> Result<Ledger, Failure> {
    let answers = Answers::default();
    let everybody_came = AtomicBool::new(false);
    let mut seen = Seen::default();
    let progress = Progress::new();
    let ((), (running, reserved), ()) = tokio::try_join!(
        async {
            let signed_up = crowd::sign_up(address, crowd, &answers).await;
            everybody_came.store(true, Ordering::Release);
            signed_up
        },
        kill_half_way(setup, pool, &answers, crowd, victim, &progress),
        watch(setup, pool, &answers, crowd, &everybody_came, &mut seen, &progress),
    )?;
    progress.event("the queue is empty");

    println!("\n  Attempts that were seen to end badly, each of which was tried again:");
    for (ending, attempts) in seen.endings() {
        println!("  {ending:<38}{attempts:>6}");
    }
    println!(
        "  {:<38}{running:>6}   and {reserved} more jobs that it had reserved",
        "were running when their worker was killed"
    );
    println!("  all of this took {:.1} s", progress.elapsed().as_secs_f64());
    Ledger::draw_up(setup, &answers, crowd).await
}

/// Kills the worker once half of the people have come and it has its hands full; what it held.
async fn kill_half_way(
    setup: &Setup,
    pool: &Pool,
    answers: &Answers,
    crowd: usize,
    victim: &mut Child,
    progress: &Progress,
) -> Result<(i64, i64), Failure> {
    let node = observer::node(pool, &setup.schema, victim.pid).await?;
    let begun = Instant::now();
    while answers.all() < crowd / 2 || observer::held(pool, &setup.schema, node).await?.0 == 0 {
        if begun.elapsed() > PATIENCE {
            return Err("the worker that was to be killed had nothing to do".into());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    victim.kill().await?;
    let killed = Instant::now();
    let (running, reserved) = observer::held(pool, &setup.schema, node).await?;
    progress
        .event(&format!("worker {} was killed: {running} jobs were running there and {reserved} reserved", victim.pid));
    while observer::held(pool, &setup.schema, node).await? != (0, 0) {
        if killed.elapsed() > PATIENCE {
            return Err("nobody took over the jobs of the worker that was killed".into());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    progress.event(&format!("its jobs were taken over within {:.1} s", killed.elapsed().as_secs_f64()));
    Ok((running, reserved))
}

/// Tells how things stand until everybody has come and the queue is empty.
async fn watch(
    setup: &Setup,
    pool: &Pool,
    answers: &Answers,
    crowd: usize,
    everybody_came: &AtomicBool,
    seen: &mut Seen,
    progress: &Progress,
) -> Result<(), Failure> {
    let mut last_sign_up = Instant::now();
    loop {
        let done = everybody_came.load(Ordering::Acquire);
        seen.look(pool, &setup.schema).await?;
        let status = Status::read(pool, &setup.schema).await?;
        progress.stand(&stand(&status, answers, crowd));
        if !done {
            last_sign_up = Instant::now();
        } else if status.left() == 0 || last_sign_up.elapsed() > PATIENCE {
            // Jobs that are left then stand in the ledger.
            return Ok(());
        }
        tokio::time::sleep(GLANCE).await;
    }
}

fn stand(status: &Status, answers: &Answers, crowd: usize) -> String {
    let jobs = status.jobs.iter().filter(|(_, jobs)| *jobs > 0);
    let jobs: Vec<_> = jobs.map(|(state, jobs)| format!("{jobs} {state}")).collect();
    format!("{}/{crowd} answered, {} users, {} mails; {}", answers.all(), status.users, status.mails, jobs.join(", "))
}
