//! The one connection that LISTENs, for all queues of a [`Database`](super::Database).

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::{StreamExt, stream::BoxStream};
use postgres_types::Type;
use tokio::{
    runtime::Handle,
    sync::{mpsc, watch},
};
use tokio_postgres::{AsyncMessage, Error};

use super::{
    pool::{Connect, Lane, Listening},
    subscription::{Ask, Command, Signal, Subscription, answer, release},
};
use crate::{logs, name::quote_identifier, run::backoff::reconnect_delay, text::Cause};

/// The way to the task that owns the connection.
#[derive(Debug)]
pub(crate) struct Listener {
    commands: mpsc::UnboundedSender<Command>,
    subscriptions: AtomicU64,
}

impl Listener {
    /// Starts the task; it connects once somebody subscribes, and ends with the last handle.
    pub(crate) fn start(connect: Arc<dyn Connect>, timeout: Duration, io: &Handle) -> Self {
        let (commands, inbox) = mpsc::unbounded_channel();
        let probe = connect.listens_at_the_pools().then(|| format!("actix_job_queue_probe_{:x}", fastrand::u64(..)));
        io.spawn(Task { connect, timeout, inbox, subscribers: HashMap::new(), connections: 0, probe }.run());
        Self { commands, subscriptions: AtomicU64::new(0) }
    }

    /// Listens for a queue: its channel, the key of its advisory lock, and its table's oid.
    pub(crate) fn subscribe(&self, channel: &str, key: i64, table: u32) -> Subscription {
        let id = self.subscriptions.fetch_add(1, Ordering::Relaxed);
        Subscription::new(id, channel, key, table, self.commands.clone())
    }
}

/// One queue's place, as the task sees it.
struct Subscriber {
    channel: String,
    sender: watch::Sender<Signal>,
}

struct Task {
    connect: Arc<dyn Connect>,
    timeout: Duration,
    inbox: mpsc::UnboundedReceiver<Command>,
    subscribers: HashMap<u64, Subscriber>,
    connections: u64,
    /// A channel on which a pool's connection says that it is heard here; none where it cannot be, or once it was.
    probe: Option<String>,
}

/// Why a connection is no longer listened on.
enum Ended {
    /// Nobody subscribes any more.
    Idle,
    /// Every handle is gone.
    Closed,
    /// The connection is.
    Lost(String),
}

impl Task {
    async fn run(mut self) {
        let mut failures = 0;
        loop {
            if self.subscribers.is_empty() {
                match self.inbox.recv().await {
                    Some(command) => self.note(command),
                    None => return,
                }
                continue;
            }
            let why = match self.listen().await {
                Ok(listening) => {
                    if failures > 0 {
                        log::info!(target: logs::DATABASE, "listening again for notifications");
                    }
                    failures = 0;
                    match self.serve(listening).await {
                        Ended::Closed => return,
                        Ended::Idle => continue,
                        Ended::Lost(why) => why,
                    }
                }
                Err(why) => why,
            };
            self.tell(|signal| signal.connection = None);
            if failures == 0 {
                log::warn!(
                    target: logs::DATABASE, error:% = why;
                    "cannot listen for notifications, polling until it is possible again: {why}"
                );
            }
            let delay = tokio::time::sleep(reconnect_delay(failures));
            failures = failures.saturating_add(1);
            tokio::pin!(delay);
            loop {
                tokio::select! {
                    () = &mut delay => break,
                    command = self.inbox.recv() => match command {
                        Some(command) => self.note(command),
                        None => return,
                    },
                }
            }
        }
    }

    /// What can be done without a connection.
    fn note(&mut self, command: Command) {
        match command {
            Command::Subscribe { id, channel, sender } => {
                self.subscribers.insert(id, Subscriber { channel, sender });
            }
            Command::Unsubscribe { id, .. } => drop(self.subscribers.remove(&id)),
            Command::Ask(Ask::Wait { answer, .. } | Ask::Horizon { answer, .. }) => {
                // Whoever asked may be gone.
                let _ = answer.send(None);
            }
            Command::Ask(Ask::Unwait { .. }) => {}
        }
    }

    /// Connects and listens on every channel, within the time-out.
    async fn listen(&self) -> Result<Listening, String> {
        let channels = self.subscribers.values().map(|subscriber| &subscriber.channel).chain(&self.probe);
        let channels = channels.map(|channel| quote_identifier(channel));
        let listen: String = channels.map(|channel| format!("LISTEN {channel};")).collect();
        let establish = async {
            let (client, mut messages) = self.connect.listen().await.map_err(explain)?;
            // The connection moves only while its messages are read.
            let outcome = tokio::select! {
                outcome = client.batch_execute(&listen) => outcome.map_err(explain),
                lost = lost(&mut messages) => Err(lost),
            };
            outcome.map(|()| (client, messages))
        };
        match tokio::time::timeout(self.timeout, establish).await {
            Ok(established) => established,
            Err(_) => Err(format!("LISTEN was not established within {:?}", self.timeout)),
        }
    }

    /// Passes notifications on and answers questions until the connection or the need for it ends.
    async fn serve(&mut self, (client, mut messages): Listening) -> Ended {
        self.connections += 1;
        let connection = self.connections;
        // Whoever subscribed looks once now: what came before LISTEN was not heard.
        self.tell(|signal| signal.connection = Some(connection));
        let client = Arc::new(client);
        // Each statement of this task's own that is under way here has a clone of it.
        let under_way = Arc::new(());
        self.send_probe();
        loop {
            tokio::select! {
                message = messages.next() => match message {
                    Some(Ok(AsyncMessage::Notification(notification))) => {
                        if self.probe.as_deref() == Some(notification.channel()) {
                            self.heard_probe(Arc::strong_count(&under_way) == 1);
                        }
                        self.pass(notification.channel());
                    }
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Ended::Lost(explain(error)),
                    None => return Ended::Lost("the server closed the connection".to_owned()),
                },
                command = self.inbox.recv() => match command {
                    None => return Ended::Closed,
                    Some(Command::Subscribe { id, channel, sender }) => {
                        let listen = format!("LISTEN {}", quote_identifier(&channel));
                        self.subscribers.insert(id, Subscriber { channel, sender });
                        let outcome = tokio::select! {
                            outcome = client.batch_execute(&listen) => outcome.map_err(explain),
                            lost = self.pass_on(&mut messages) => Err(lost),
                        };
                        match outcome {
                            Ok(()) => if let Some(subscriber) = self.subscribers.get(&id) {
                                subscriber.sender.send_modify(|signal| signal.connection = Some(connection));
                                // It may have been passed by meanwhile.
                                self.send_probe();
                            },
                            Err(why) => return Ended::Lost(why),
                        }
                    }
                    Some(Command::Unsubscribe { id, lock }) => {
                        let gone = self.subscribers.remove(&id);
                        if self.subscribers.is_empty() {
                            return Ended::Idle;
                        }
                        let unheard = gone.map(|gone| gone.channel).filter(|channel| !self.hears(channel));
                        let (client, counted) = (Arc::clone(&client), Arc::clone(&under_way));
                        let mut ending = Box::pin(async move {
                            let _counted = counted;
                            if let Some(channel) = unheard {
                                // A connection that fails here is found lost by its reader.
                                let _ = client.batch_execute(&format!("UNLISTEN {}", quote_identifier(&channel))).await;
                            }
                            release(&client, connection, &lock).await;
                        });
                        // Sent before a LISTEN that may follow on the same channel.
                        if futures_util::poll!(&mut ending).is_pending() {
                            tokio::spawn(ending);
                        }
                    }
                    // Answered beside the reading, for the answer is among what is read; the statements
                    // still reach the server in this order, for each is sent when it is first polled.
                    Some(Command::Ask(ask)) => {
                        let (client, counted) = (Arc::clone(&client), Arc::clone(&under_way));
                        let mut answering = Box::pin(async move {
                            let _counted = counted;
                            answer(client, connection, ask).await;
                        });
                        if futures_util::poll!(&mut answering).is_pending() {
                            tokio::spawn(answering);
                        }
                    }
                },
            }
        }
    }

    /// Has a connection of the pools say that it is heard here, until it once was.
    fn send_probe(&self) {
        if let Some(channel) = self.probe.clone() {
            tokio::spawn(send_probe(Arc::clone(&self.connect), channel));
        }
    }

    /// A pooler that hands sessions round delivers a notification to whoever holds the session at that moment, never
    /// to a client that lies idle. So who hears it while none of its own statements is under way has a session of its
    /// own, and so have the other connections to that address.
    fn heard_probe(&mut self, idle: bool) {
        if idle {
            self.probe = None;
            self.connect.trust_sessions();
        } else {
            self.send_probe();
        }
    }

    /// Goes on passing notifications on while a statement of the task's own is under way.
    async fn pass_on(&self, messages: &mut BoxStream<'static, Result<AsyncMessage, Error>>) -> String {
        loop {
            match messages.next().await {
                Some(Ok(AsyncMessage::Notification(notification))) => self.pass(notification.channel()),
                Some(Ok(_)) => {}
                Some(Err(error)) => return explain(error),
                None => return "the server closed the connection".to_owned(),
            }
        }
    }

    fn tell(&self, change: impl Fn(&mut Signal)) {
        for subscriber in self.subscribers.values() {
            subscriber.sender.send_modify(&change);
        }
    }

    /// Tells all whose channel it is.
    fn pass(&self, channel: &str) {
        for subscriber in self.subscribers.values().filter(|subscriber| subscriber.channel == channel) {
            subscriber.sender.send_modify(|signal| signal.notified += 1);
        }
    }

    fn hears(&self, channel: &str) -> bool {
        self.subscribers.values().any(|subscriber| subscriber.channel == channel)
    }
}

/// Notifies over a connection of a pool's.
async fn send_probe(connect: Arc<dyn Connect>, channel: String) {
    let attempted = "see whether sessions stay with their connections";
    let told = match connect.get(Lane::Control, attempted).await {
        Ok(connection) => connection.query_typed("SELECT pg_notify($1, '')", &[(&channel, Type::TEXT)]).await.is_ok(),
        Err(_) => false,
    };
    if !told {
        // The next connection tries again; until then statements are planned each time.
        log::debug!(target: logs::DATABASE, "could not {attempted}");
    }
}

/// Reads past everything until the connection is lost.
async fn lost(messages: &mut BoxStream<'static, Result<AsyncMessage, Error>>) -> String {
    loop {
        match messages.next().await {
            Some(Ok(_)) => {}
            Some(Err(error)) => return explain(error),
            None => return "the server closed the connection".to_owned(),
        }
    }
}

/// The error with its causes: tokio-postgres' own text stops at "db error".
fn explain(error: Error) -> String {
    Cause(&error).to_string()
}
