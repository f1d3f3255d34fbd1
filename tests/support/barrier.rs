use std::time::Duration;

use tokio_postgres::Client;

/// Stands before the table `jobs`, so that one statement takes longer than whoever sent it is patient, and the next one waits.
pub struct Barrier {
    first: Client,
    watch: Client,
    second: Option<Client>,
}

const CLOSE: &str = "BEGIN; LOCK TABLE jobs IN ACCESS EXCLUSIVE MODE";

impl Barrier {
    pub async fn close(url: &str) -> Self {
        let first = super::connect(url).await;
        first.batch_execute(CLOSE).await.expect("a lock");
        Self { first, watch: super::connect(url).await, second: None }
    }

    /// Lets one statement through once it has waited for so long. What comes behind it waits again.
    pub async fn let_one_through(&mut self, url: &str, after: Duration) {
        self.somebody_waits(after).await;
        let second = super::connect(url).await;
        let second = tokio::spawn(async move {
            second.batch_execute(CLOSE).await.expect("a lock");
            second
        });
        // They pass in the order in which they came.
        self.until("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock')").await;
        self.first.batch_execute("COMMIT").await.expect("an open way");
        // Whoever has just been let through is told of as waiting until it runs.
        self.second = Some(patiently("the second lock", second).await.expect("the second lock"));
    }

    /// Waits until a statement has waited for so long.
    pub async fn somebody_waits(&self, after: Duration) {
        let secs = after.as_secs_f64();
        self.until(&format!(
            "SELECT EXISTS (SELECT FROM pg_stat_activity
                             WHERE datname = current_database() AND wait_event_type = 'Lock' AND query NOT LIKE '{CLOSE}'
                               AND query_start < clock_timestamp() - make_interval(secs => {secs}))"
        ))
        .await;
    }

    /// Lets everybody through.
    pub async fn open(self) {
        drop((self.first, self.second));
    }

    async fn until(&self, question: &str) {
        patiently(question, async {
            while !self.watch.query_typed_one(question, &[]).await.expect("an answer").get::<_, bool>(0) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
    }
}

async fn patiently<F: Future>(what: &str, wait: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(30), wait).await.unwrap_or_else(|_| panic!("waited in vain: {what}"))
}
