//! Sign-ups whose welcome mails are jobs: in a browser, or as a tour that checks its books.

mod app;
mod children;
// The tests start their servers with it too, and use more of it.
#[path = "../../tests/support/cluster.rs"]
#[allow(dead_code, unreachable_pub, clippy::disallowed_methods)]
mod cluster;
mod crowd;
#[path = "../../tests/support/failure.rs"]
mod failure;
mod http;
mod ledger;
mod mail;
mod observer;
mod options;
mod page;
mod progress;
mod serve;
mod setup;
mod status;
mod tour;

use std::{
    env, fs,
    io::{IsTerminal, stdout},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use cluster::Cluster;
use failure::Failure;
use options::{Options, Role, USAGE};
use setup::Setup;

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("warn")).init();
    match Options::read(env::args().skip(1)).and_then(run) {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("demo: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: Options) -> Result<ExitCode, Failure> {
    if options.role == Role::Help {
        println!("{USAGE}");
        return Ok(ExitCode::SUCCESS);
    }
    // It ends when it is dropped, and with this process whatever ends that.
    let (url, cluster) = database()?;
    let system = actix_web::rt::System::new();
    let outcome = system.block_on(play(&options, url, cluster.is_none()));
    drop(cluster);
    outcome
}

async fn play(options: &Options, url: String, lasting: bool) -> Result<ExitCode, Failure> {
    let short = Duration::from_millis(40);
    let setup = Setup {
        url,
        schema: options.schema.clone().unwrap_or_else(|| "job_queue_demo".to_owned()),
        mails: options.mails.clone().unwrap_or_else(|| "mails".into()),
        // Long enough for people to see a job run.
        delivery: options.delivery.unwrap_or(Duration::from_millis(800)),
    };
    match options.role {
        Role::Web => serve::web(&setup, options.port).await?,
        Role::Worker => serve::worker(&setup).await?,
        Role::Interactive => {
            setup.create().await?;
            serve::interactive(&setup, options.port).await?;
        }
        Role::Tour | Role::Help => {
            let folder = TourFolder::make()?;
            let mails = options.mails.clone().unwrap_or_else(|| folder.0.join("mails"));
            let schema = format!("job_queue_demo_tour_{}", std::process::id());
            let setup = Setup { schema, delivery: options.delivery.unwrap_or(short), ..setup }.with_mails(&mails);
            return tour(options, &setup, lasting).await;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Plays the tour in a schema of its own, and leaves nothing behind.
async fn tour(options: &Options, setup: &Setup, lasting: bool) -> Result<ExitCode, Failure> {
    setup.create().await?;
    let played = tokio::select! {
        played = tour::play(setup, options.sign_ups, options.port) => played,
        interrupted = serve::signal() => {
            interrupted.map_err(Failure::because("wait for a signal"))?;
            Err("interrupted before the ledger was drawn up".into())
        }
    };
    if lasting {
        setup.remove().await?;
    }
    let agrees = played?;
    if agrees && !options.tour_only && stdout().is_terminal() {
        println!("To sign up yourself and watch the jobs move: make demo INTERACTIVE=1");
    }
    Ok(if agrees { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The database that the environment names, or a throw-away one.
fn database() -> Result<(String, Option<Cluster>), Failure> {
    if let Some(url) = env::var("DATABASE_URL").ok().filter(|url| !url.is_empty()) {
        return Ok((url, None));
    }
    println!("DATABASE_URL is not set: starting a throw-away PostgreSQL.");
    let cluster = Cluster::start(cluster::Options::default()).map_err(Failure::because("start PostgreSQL"))?;
    Ok((cluster.url("postgres"), Some(cluster)))
}

/// Where the tour's mails and logs are, until it has ended.
struct TourFolder(PathBuf);

impl TourFolder {
    fn make() -> Result<Self, Failure> {
        let folder = env::temp_dir().join(format!("job-queue-demo-{}", std::process::id()));
        fs::create_dir(&folder).map_err(Failure::because("make a temporary folder"))?;
        Ok(Self(folder))
    }
}

impl Drop for TourFolder {
    fn drop(&mut self) {
        remove(&self.0);
    }
}

fn remove(folder: &Path) {
    if let Err(error) = fs::remove_dir_all(folder) {
        eprintln!("demo: could not remove {}: {error}", folder.display());
    }
}
