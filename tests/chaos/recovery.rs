//! How fast the queue is, and whether it is back.

use std::time::{Duration, Instant};

use tokio_postgres::Client;

use crate::{
    audit::LEFT,
    failure::Failure,
    server::{connect, number},
};

/// Later than this is a miss.
pub(crate) const LIMIT: Duration = Duration::from_secs(15);

/// How long is waited all the same, so that the miss can be told in seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// The seconds over which completions are counted to see whether the queue is back.
const WINDOW: f64 = 2.0;

/// The longest jobs of the load take half as many seconds.
const OLD: f64 = 5.0;

/// The queue as it is when all is well.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// Completions a second.
    pub(crate) rate: f64,
    /// The most jobs that were not done at a time.
    pub(crate) open: i64,
}

/// Counts for so long.
pub(crate) async fn pace(client: &Client, time: Duration) -> Result<Pace, Failure> {
    let (begun, mut open) = (Instant::now(), 0);
    while begun.elapsed() < time {
        tokio::time::sleep(Duration::from_millis(200)).await;
        open = open.max(number(client, LEFT).await?);
    }
    Ok(Pace { rate: per_second(client, "completed", begun.elapsed().as_secs_f64()).await?, open })
}

/// Rows a second of one of the books, in the last seconds.
pub(crate) async fn per_second(client: &Client, book: &str, seconds: f64) -> Result<f64, Failure> {
    let sql = format!("SELECT count(*) FROM {book} WHERE at > clock_timestamp() - make_interval(secs => {seconds:.3})");
    Ok(number(client, &sql).await? as f64 / seconds)
}

/// Waits until the queue is what it was; none if it does not come back.
pub(crate) async fn back(url: &str, before: Pace, ended: Instant) -> Option<Duration> {
    let mut client = None;
    while ended.elapsed() < PATIENCE {
        let looking = async {
            let client = match &client {
                Some(client) => client,
                None => client.insert(connect(url).await?),
            };
            is_back(client, before, ended.elapsed().as_secs_f64()).await
        };
        match tokio::time::timeout(Duration::from_secs(3), looking).await {
            Ok(Ok(true)) => return Some(ended.elapsed()),
            Ok(Ok(false)) => {}
            // The server may not be back yet.
            Ok(Err(_)) | Err(_) => client = None,
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    None
}

/// Whether it is back, so many seconds after the fault, none of which may be counted.
async fn is_back(client: &Client, before: Pace, since: f64) -> Result<bool, Failure> {
    if since < WINDOW {
        return Ok(false);
    }
    let completed = per_second(client, "completed", WINDOW).await?;
    let offered = per_second(client, "enqueued", WINDOW).await?;
    let open = number(client, LEFT).await?;
    let age = since.min(OLD);
    let old = format!("{LEFT} AND inserted_at < clock_timestamp() - make_interval(secs => {age:.3})");
    let old = number(client, &old).await?;
    Ok(completed >= 0.95 * offered.min(before.rate)
        // Nothing was offered while the server was away, and nothing proves nothing.
        && offered > 0.5 * before.rate
        && open as f64 <= before.open as f64 + before.rate / 4.0
        && old == 0)
}

/// Waits until the queue is empty, for a minute at most.
pub(crate) async fn empty(url: &str) -> Result<(), Failure> {
    let begun = Instant::now();
    let client = connect(url).await?;
    while begun.elapsed() < PATIENCE && number(&client, LEFT).await? > 0 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}
