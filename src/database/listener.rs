//! The one connection that LISTENs, for all queues of a [`Database`](super::Database).

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::{StreamExt, stream::BoxStream};
use postgres_types::Type;
use tokio::{
    runtime::Handle,
    sync::{mpsc, oneshot, watch},
};
use tokio_postgres::{AsyncMessage, Client, Error};

use super::pool::{Connect, Listening};
use crate::{name::quote_identifier, run::backoff::reconnect_delay};

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

/// What the snapshots say of transactions that may still bring jobs which were not announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Horizon {
    pub(crate) mark: i64,
    pub(crate) settled: bool,
}

/// A queue's place on the connection; dropping it ends the listening.
#[derive(Debug)]
pub(crate) struct Subscription {
    id: u64,
    channel: String,
    key: i64,
    table: u32,
    /// The key is held or asked for. The server counts how often it is taken, so it must be given back as
    /// often, and no oftener.
    waiting: AtomicBool,
    commands: mpsc::UnboundedSender<Command>,
    signal: watch::Receiver<Signal>,
}

impl Subscription {
    pub(crate) fn signal(&self) -> watch::Receiver<Signal> {
        self.signal.clone()
    }

    /// Has inserts announce themselves from now on, and marks what was under way before; none if the
    /// connection is lost or the key was taken just then.
    pub(crate) fn wait(&self) -> impl Future<Output = Option<Horizon>> + Send + 'static {
        self.waiting.store(true, Ordering::Relaxed);
        self.ask(|answer| Ask::Wait { key: self.key, table: self.table, answer })
    }

    /// Looks whether what was under way at `mark` has ended.
    pub(crate) fn horizon(&self, mark: i64) -> impl Future<Output = Option<Horizon>> + Send + 'static {
        let table = self.table;
        self.ask(move |answer| Ask::Horizon { mark, table, answer })
    }

    /// Lets inserts be silent again.
    pub(crate) fn unwait(&self) {
        if self.waiting.swap(false, Ordering::Relaxed) {
            // A listener that has ended holds no key.
            let _ = self.commands.send(Command::Ask(Ask::Unwait { key: self.key }));
        }
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
        self.unwait();
        // A listener that has ended has no subscriptions.
        let (id, channel) = (self.id, self.channel.clone());
        let _ = self.commands.send(Command::Unsubscribe { id, channel });
    }
}

/// The way to the task that owns the connection.
#[derive(Debug, Clone)]
pub(crate) struct Listener {
    commands: mpsc::UnboundedSender<Command>,
}

impl Listener {
    /// Starts the task; it connects once somebody subscribes, and ends with the last handle.
    pub(crate) fn start(connect: Arc<dyn Connect>, timeout: Duration, io: &Handle) -> Self {
        let (commands, inbox) = mpsc::unbounded_channel();
        io.spawn(Task { connect, timeout, inbox, channels: HashMap::new(), connections: 0 }.run());
        Self { commands }
    }

    /// Listens for a queue: its channel, the key of its advisory lock, and its table's oid.
    pub(crate) fn subscribe(&self, channel: &str, key: i64, table: u32) -> Subscription {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let id = LAST.fetch_add(1, Ordering::Relaxed);
        let (sender, signal) = watch::channel(Signal::default());
        // A listener that has ended answers nothing, and the queue polls.
        let _ = self.commands.send(Command::Subscribe { id, channel: channel.to_owned(), sender });
        Subscription {
            id,
            channel: channel.to_owned(),
            key,
            table,
            waiting: AtomicBool::new(false),
            commands: self.commands.clone(),
            signal,
        }
    }
}

#[derive(Debug)]
enum Command {
    Subscribe { id: u64, channel: String, sender: watch::Sender<Signal> },
    Unsubscribe { id: u64, channel: String },
    Ask(Ask),
}

#[derive(Debug)]
enum Ask {
    Wait { key: i64, table: u32, answer: oneshot::Sender<Option<Horizon>> },
    Horizon { mark: i64, table: u32, answer: oneshot::Sender<Option<Horizon>> },
    Unwait { key: i64 },
}

struct Task {
    connect: Arc<dyn Connect>,
    timeout: Duration,
    inbox: mpsc::UnboundedReceiver<Command>,
    /// Names of two queues may make one channel, and one queue may be started twice.
    channels: HashMap<String, Vec<(u64, watch::Sender<Signal>)>>,
    connections: u64,
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
            if self.channels.is_empty() {
                match self.inbox.recv().await {
                    Some(command) => self.note(command),
                    None => return,
                }
                continue;
            }
            let why = match self.listen().await {
                Ok(listening) => {
                    if failures > 0 {
                        log::info!("listening again for notifications");
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
                log::warn!("cannot listen for notifications, polling until it is possible again: {why}");
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
            Command::Subscribe { id, channel, sender } => self.subscribe(id, channel, sender),
            Command::Unsubscribe { id, channel } => drop(self.unsubscribe(id, &channel)),
            Command::Ask(Ask::Wait { answer, .. } | Ask::Horizon { answer, .. }) => {
                // Whoever asked may be gone.
                let _ = answer.send(None);
            }
            Command::Ask(Ask::Unwait { .. }) => {}
        }
    }

    /// Connects and listens on every channel, within the time-out.
    async fn listen(&self) -> Result<Listening, String> {
        let listen: String =
            self.channels.keys().map(|channel| format!("LISTEN {};", quote_identifier(channel))).collect();
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
        loop {
            tokio::select! {
                message = messages.next() => match message {
                    Some(Ok(AsyncMessage::Notification(notification))) => {
                        self.notify(notification.channel());
                    }
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Ended::Lost(explain(error)),
                    None => return Ended::Lost("the server closed the connection".to_owned()),
                },
                command = self.inbox.recv() => match command {
                    None => return Ended::Closed,
                    Some(Command::Subscribe { id, channel, sender }) => {
                        let listen = format!("LISTEN {}", quote_identifier(&channel));
                        self.subscribe(id, channel, sender.clone());
                        let outcome = tokio::select! {
                            outcome = client.batch_execute(&listen) => outcome.map_err(explain),
                            lost = self.pass_on(&mut messages) => Err(lost),
                        };
                        match outcome {
                            Ok(()) => sender.send_modify(|signal| signal.connection = Some(connection)),
                            Err(why) => return Ended::Lost(why),
                        }
                    }
                    Some(Command::Unsubscribe { id, channel }) => {
                        let silent = self.unsubscribe(id, &channel);
                        if self.channels.is_empty() {
                            return Ended::Idle;
                        }
                        if silent {
                            beside(unlisten(Arc::clone(&client), channel)).await;
                        }
                    }
                    Some(Command::Ask(ask)) => beside(answer(Arc::clone(&client), ask)).await,
                },
            }
        }
    }

    /// Goes on passing notifications on while a statement of the task's own is under way.
    async fn pass_on(&self, messages: &mut BoxStream<'static, Result<AsyncMessage, Error>>) -> String {
        loop {
            match messages.next().await {
                Some(Ok(AsyncMessage::Notification(notification))) => {
                    self.notify(notification.channel());
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return explain(error),
                None => return "the server closed the connection".to_owned(),
            }
        }
    }

    fn subscribe(&mut self, id: u64, channel: String, sender: watch::Sender<Signal>) {
        self.channels.entry(channel).or_default().push((id, sender));
    }

    /// Whether nobody listens on the channel any more.
    fn unsubscribe(&mut self, id: u64, channel: &str) -> bool {
        let Some(senders) = self.channels.get_mut(channel) else {
            return false;
        };
        senders.retain(|(sender, _)| *sender != id);
        let silent = senders.is_empty();
        if silent {
            self.channels.remove(channel);
        }
        silent
    }

    fn notify(&self, channel: &str) {
        for (_, sender) in self.channels.get(channel).into_iter().flatten() {
            sender.send_modify(|signal| signal.notified += 1);
        }
    }

    fn tell(&self, change: impl Fn(&mut Signal)) {
        for (_, sender) in self.channels.values().flatten() {
            sender.send_modify(&change);
        }
    }
}

/// Has a statement answered beside the reading, for its answer is among what is read. It is sent when it is
/// first polled, which is here, so that statements reach the server in the order of the commands.
async fn beside(statement: impl Future<Output = ()> + Send + 'static) {
    let mut statement = Box::pin(statement);
    if futures_util::poll!(&mut statement).is_pending() {
        tokio::spawn(statement);
    }
}

async fn unlisten(client: Arc<Client>, channel: String) {
    // A connection that fails here is found lost by its reader.
    let _ = client.batch_execute(&format!("UNLISTEN {}", quote_identifier(&channel))).await;
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

async fn answer(client: Arc<Client>, ask: Ask) {
    match ask {
        Ask::Unwait { key } => release(&client, key).await,
        Ask::Horizon { mark, table, answer } => {
            // Whoever asked may be gone.
            let _ = answer.send(self::horizon(&client, Some(mark), table).await);
        }
        Ask::Wait { key, table, answer } => {
            // Both are sent at once and done in this order: the mark must be younger than the lock.
            let lock: [(&(dyn postgres_types::ToSql + Sync), Type); 1] = [(&key, Type::INT8)];
            let (locked, marked) =
                futures_util::join!(client.query_typed_one(WAIT, &lock), horizon(&client, None, table));
            let waiting = locked.is_ok_and(|row| row.get("waiting"));
            let _ = answer.send(marked.filter(|_| waiting));
        }
    }
}

async fn horizon(client: &Client, mark: Option<i64>, table: u32) -> Option<Horizon> {
    let row = client.query_typed_one(HORIZON, &[(&mark, Type::INT8), (&table, Type::OID)]).await.ok()?;
    Some(Horizon { mark: row.get("mark"), settled: row.get("settled") })
}

async fn release(client: &Client, key: i64) {
    if let Err(error) = client.execute_typed(UNWAIT, &[(&key, Type::INT8)]).await {
        log::debug!("could not let inserts be silent again: {error}");
    }
}

/// The error with its causes: tokio-postgres' own text stops at "db error".
fn explain(error: Error) -> String {
    crate::text::chain(&error).join(": ")
}
