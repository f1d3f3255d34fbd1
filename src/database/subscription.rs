//! A queue's place on the connection that LISTENs, and what it asks there.

use std::sync::Arc;

use postgres_types::{ToSql, Type};
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio_postgres::Client;

use crate::{logs, text::Cause};

const WAIT: &str = include_str!("../../sql/statements/wait.sql");
const UNWAIT: &str = include_str!("../../sql/statements/unwait.sql");
const HORIZON: &str = include_str!("../../sql/statements/horizon.sql");

/// What a queue's producer sees of the connection; only the newest counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Signal {
    /// Which connection listens, counted from 1; none while it is lost.
    pub(crate) connection: Option<u64>,
    /// How many notifications have arrived.
    pub(crate) notified: u64,
}

/// The transactions under way that may still bring jobs which were not announced, by the numbers that their
/// locks bear. Once there are none, everything is announced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Horizon {
    pub(crate) under_way: Vec<String>,
}

/// A queue's place on the connection; dropping it ends the listening.
///
/// Several may share a channel, as `a.b` in `public` and `b` in `a` do, and a queue that is started while an
/// earlier start of it ends.
#[derive(Debug)]
pub(crate) struct Subscription {
    id: u64,
    lock: Arc<Lock>,
    commands: mpsc::UnboundedSender<Command>,
    signal: watch::Receiver<Signal>,
}

/// The lock by which inserters see that somebody waits. A session counts how often it has taken it, so each
/// subscription knows whether it has, and gives back no other's.
#[derive(Debug)]
pub(super) struct Lock {
    key: i64,
    table: u32,
    held_on: Mutex<Option<u64>>,
}

/// What the task that owns the connection is told.
#[derive(Debug)]
pub(super) enum Command {
    Subscribe { id: u64, channel: String, sender: watch::Sender<Signal> },
    Unsubscribe { id: u64, lock: Arc<Lock> },
    Ask(Ask),
}

/// What a subscription asks of the connection.
#[derive(Debug)]
pub(super) enum Ask {
    Wait { lock: Arc<Lock>, answer: oneshot::Sender<Option<Horizon>> },
    Horizon { mark: Vec<String>, table: u32, answer: oneshot::Sender<Option<Horizon>> },
    Unwait { lock: Arc<Lock> },
}

impl Subscription {
    /// Subscribes to a queue's channel, with the key of its advisory lock and its table's oid.
    pub(super) fn new(id: u64, channel: &str, key: i64, table: u32, commands: mpsc::UnboundedSender<Command>) -> Self {
        let (sender, signal) = watch::channel(Signal::default());
        // A listener that has ended answers nothing, and the queue polls.
        let _ = commands.send(Command::Subscribe { id, channel: channel.to_owned(), sender });
        Self { id, lock: Arc::new(Lock { key, table, held_on: Mutex::default() }), commands, signal }
    }

    pub(crate) fn signal(&self) -> watch::Receiver<Signal> {
        self.signal.clone()
    }

    /// Has inserts announce themselves from now on, and marks what was under way before; none if the
    /// connection is lost or the key was taken just then.
    pub(crate) fn wait(&self) -> impl Future<Output = Option<Horizon>> + Send + 'static {
        let lock = Arc::clone(&self.lock);
        self.ask(|answer| Ask::Wait { lock, answer })
    }

    /// Looks which of the transactions of `mark` are under way still.
    pub(crate) fn horizon(&self, mark: Vec<String>) -> impl Future<Output = Option<Horizon>> + Send + 'static {
        let table = self.lock.table;
        self.ask(move |answer| Ask::Horizon { mark, table, answer })
    }

    /// Lets inserts be silent again.
    pub(crate) fn unwait(&self) {
        // A listener that has ended holds no key.
        let _ = self.commands.send(Command::Ask(Ask::Unwait { lock: Arc::clone(&self.lock) }));
    }

    fn ask(
        &self,
        question: impl FnOnce(oneshot::Sender<Option<Horizon>>) -> Ask,
    ) -> impl Future<Output = Option<Horizon>> + Send + 'static {
        let (answer, answered) = oneshot::channel();
        let sent = self.commands.send(Command::Ask(question(answer)));
        async move {
            sent.ok()?;
            answered.await.ok().flatten()
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        // A listener that has ended has no subscriptions.
        let _ = self.commands.send(Command::Unsubscribe { id: self.id, lock: Arc::clone(&self.lock) });
    }
}

/// Answers on a connection, whose number tells a lock that went with an earlier one from this one's.
pub(super) async fn answer(client: Arc<Client>, connection: u64, ask: Ask) {
    match ask {
        Ask::Unwait { lock } => release(&client, connection, &lock).await,
        Ask::Horizon { mark, table, answer } => {
            // Whoever asked may be gone.
            let _ = answer.send(horizon(&client, Some(mark), table).await);
        }
        Ask::Wait { lock, answer } => {
            let mut held_on = lock.held_on.lock().await;
            let held = *held_on == Some(connection);
            // Both are sent at once and done in this order: the mark must be younger than the lock.
            let (locked, marked) = futures_util::join!(
                async { held || try_lock(&client, lock.key).await },
                horizon(&client, None, lock.table)
            );
            *held_on = locked.then_some(connection);
            let _ = answer.send(marked.filter(|_| locked));
        }
    }
}

async fn try_lock(client: &Client, key: i64) -> bool {
    let key: [(&(dyn ToSql + Sync), Type); 1] = [(&key, Type::INT8)];
    client.query_typed_one(WAIT, &key).await.is_ok_and(|row| row.get("waiting"))
}

async fn horizon(client: &Client, mark: Option<Vec<String>>, table: u32) -> Option<Horizon> {
    let row = client.query_typed_one(HORIZON, &[(&mark, Type::TEXT_ARRAY), (&table, Type::OID)]).await.ok()?;
    Some(Horizon { under_way: row.get("under_way") })
}

/// Gives the lock back where it is held on this connection.
pub(super) async fn release(client: &Client, connection: u64, lock: &Lock) {
    if lock.held_on.lock().await.take_if(|held_on| *held_on == connection).is_some()
        && let Err(error) = client.execute_typed(UNWAIT, &[(&lock.key, Type::INT8)]).await
    {
        let cause = Cause(&error);
        log::debug!(target: logs::DATABASE, error:% = cause; "could not let inserts be silent again: {cause}");
    }
}
