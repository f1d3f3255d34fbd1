//! The connections: bb8's pools of tokio-postgres clients, opened where nothing blocks their drivers, and closed
//! whether or not the network lets them say so.

use std::{
    fmt,
    future::poll_fn,
    ops::{Deref, DerefMut},
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bb8::{ErrorSink, ManageConnection, Pool, PooledConnection, QueueStrategy, RunError};
use bb8_postgres::PostgresConnectionManager;
use futures_util::{StreamExt, future::BoxFuture, stream::BoxStream};
use tokio::{runtime::Handle, sync::watch};
use tokio_postgres::{
    AsyncMessage, Client, Config, Error, Socket,
    tls::{MakeTlsConnect, TlsConnect},
};
use tokio_util::sync::CancellationToken;

use super::plans::{Plans, Steering, VIGILANCE};
use crate::{error::DatabaseError, lock::lock, logs, text::Cause};

/// Which of the pools a connection comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Lane {
    /// For completions and for callers.
    Work,
    /// For claims, starts and settlements, which a busy application must not starve.
    Control,
    /// For heartbeats, which must not wait behind statements that nobody answers.
    Heartbeat,
}

/// Statements of the control lane are short and few: a claim, a start and a removal under way at a time keep
/// one queue busy, and serve any number.
const CONTROL_CONNECTIONS: u32 = 3;

/// A connection that goes back to its pool when dropped, unless it was given up.
pub(crate) struct Connection(Box<dyn Pooled>);

impl Connection {
    /// What is planned on it, where plans can be kept.
    pub(crate) fn plans(&self) -> Plans {
        self.0.plans()
    }

    /// What has to be sent before a statement for it to be planned so, where that stays with the connection; nothing if
    /// the statement before was planned so too.
    pub(super) fn steer(&mut self, to: Steering) -> Option<&'static str> {
        self.0.steer(to)
    }

    /// Has the server look whether this machine is still there, where the connection is a session of its own. Asked
    /// once a connection.
    pub(crate) async fn be_looked_after(&mut self) {
        if self.0.watch_once()
            && let Err(error) = self.0.client().batch_execute(VIGILANCE).await
        {
            // What follows tells itself whether the connection is of any use.
            let cause = Cause(&error);
            log::debug!(
                target: logs::DATABASE, error:% = cause;
                "could not have the server look after a connection: {cause}"
            );
        }
    }

    /// Has the connection closed as soon as this fires, until it is back in its pool. Whoever has it may sit on a
    /// blocked thread and never give it back; the server then ends its transaction.
    pub(crate) fn close_on(&self, token: CancellationToken) {
        self.0.close_on(token);
    }

    /// Keeps the connection from being used again: a statement is still under way on it.
    pub(crate) fn give_up(&mut self) {
        self.0.give_up();
    }
}

impl Deref for Connection {
    type Target = Client;

    fn deref(&self) -> &Client {
        self.0.client()
    }
}

impl DerefMut for Connection {
    fn deref_mut(&mut self) -> &mut Client {
        self.0.client_mut()
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connection")
    }
}

/// A connection of its own for LISTEN, and what the server sends on it.
pub(crate) type Listening = (Client, BoxStream<'static, Result<AsyncMessage, Error>>);

/// What the rest of the library needs of the pools, whatever their TLS.
pub(crate) trait Connect: Send + Sync {
    /// A connection, waited for no longer than the pool's time-out.
    fn get(&self, lane: Lane, attempted: &str) -> BoxFuture<'_, Result<Connection, DatabaseError>>;
    /// How many ask for a connection for completions and callers and have none yet.
    fn waiting(&self) -> usize;
    /// Connects once and lets go: a pool would try again for as long as it may before it says what is wrong.
    fn look(&self) -> BoxFuture<'_, Result<(), DatabaseError>>;
    /// A new connection for LISTEN.
    fn listen(&self) -> BoxFuture<'_, Result<Listening, Error>>;
    /// Whether [`Connect::listen`] can work at all.
    fn can_listen(&self) -> bool;
    /// Whether it listens at the address of the pools.
    fn listens_at_the_pools(&self) -> bool;
    /// Every connection has been found to be a session of its own, whose plans can be kept.
    fn trust_sessions(&self);
    /// The network was silent: has every connection that is open now replaced before it is used again, and
    /// those that are being opened opened anew.
    fn distrust(&self);
}

trait Pooled: Send {
    fn client(&self) -> &Client;
    fn client_mut(&mut self) -> &mut Client;
    fn plans(&self) -> Plans;
    fn steer(&mut self, to: Steering) -> Option<&'static str>;
    /// Whether this is the first time that it is asked, where the connection is a session of its own.
    fn watch_once(&mut self) -> bool;
    fn close_on(&self, token: CancellationToken);
    fn give_up(&mut self);
}

/// The pools and the way to a connection for LISTEN.
pub(crate) struct Pools<T: Tls> {
    work: PoolOfLane<T>,
    /// So many ask for a connection of it.
    waiting: AtomicUsize,
    control: PoolOfLane<T>,
    heartbeat: PoolOfLane<T>,
    era: Era,
    timeout: Duration,
    listen: Option<(Config, T)>,
    same_address: bool,
    sessions_trusted: Arc<AtomicBool>,
    io: Handle,
}

/// One lane's pool, and why it could not grow: what another lane gets says nothing of that.
type PoolOfLane<T> = (Pool<Manager<T>>, LastFailure);

/// All that tokio-postgres asks of a TLS connector that is used from several threads.
pub trait Tls:
    MakeTlsConnect<Socket, Stream: Send + Sync + Unpin, TlsConnect: TlsSession> + Clone + Send + Sync + 'static
{
}

impl<T> Tls for T where
    T: MakeTlsConnect<Socket, Stream: Send + Sync + Unpin, TlsConnect: TlsSession> + Clone + Send + Sync + 'static
{
}

/// A TLS handshake that may run on any thread.
pub trait TlsSession: TlsConnect<Socket, Future: Send> + Send {}

impl<C: TlsConnect<Socket, Future: Send> + Send> TlsSession for C {}

impl<T: Tls> Pools<T> {
    pub(crate) fn new(
        config: Config,
        listen: Option<(Config, T)>,
        same_address: bool,
        tls: T,
        size: u32,
        timeout: Duration,
        io: Handle,
    ) -> Self {
        let era = Era::default();
        let sessions_trusted = Arc::<AtomicBool>::default();
        let build = |size: u32| {
            let last_failure = LastFailure::default();
            let pool = Pool::builder()
                .max_size(size)
                .connection_timeout(timeout)
                // A broken connection shows itself at its first statement, which is tried again; a round
                // trip at every check-out would cost more than that.
                .test_on_check_out(false)
                // The one used last has its plans fresh, and those that are not needed come to lie idle.
                .queue_strategy(QueueStrategy::Lifo)
                .error_sink(Box::new(last_failure.clone()))
                .build_unchecked(Manager {
                    inner: PostgresConnectionManager::new(config.clone(), tls.clone()),
                    config: config.clone(),
                    tls: tls.clone(),
                    era: era.clone(),
                    sessions_trusted: Arc::clone(&sessions_trusted),
                    io: io.clone(),
                });
            (pool, last_failure)
        };
        // bb8 spawns its reaper on the runtime that is entered here.
        let _entered = io.enter();
        let (work, control, heartbeat) = (build(size), build(CONTROL_CONNECTIONS), build(1));
        Self {
            work,
            waiting: AtomicUsize::new(0),
            control,
            heartbeat,
            era,
            timeout,
            listen,
            same_address,
            sessions_trusted,
            io: io.clone(),
        }
    }
}

impl<T: Tls> Connect for Pools<T> {
    fn get(&self, lane: Lane, attempted: &str) -> BoxFuture<'_, Result<Connection, DatabaseError>> {
        let attempted = attempted.to_owned();
        Box::pin(async move {
            let (pool, last_failure) = match lane {
                Lane::Work => &self.work,
                Lane::Control => &self.control,
                Lane::Heartbeat => &self.heartbeat,
            };
            let _waiting = matches!(lane, Lane::Work).then(|| Waiting::new(&self.waiting));
            loop {
                let mut getting = pin!(pool.get_owned());
                // Polled there, it spawns there what opens a connection: not among what handlers spawn, which may block it.
                let got = poll_fn(|cx| {
                    let _entered = self.io.enter();
                    getting.as_mut().poll(cx)
                });
                match got.await {
                    // It died or fell silent while it lay idle. Dropping it makes room for another.
                    Ok(connection) if connection.is_broken(&self.era) => {}
                    Ok(connection) => {
                        last_failure.forget();
                        connection.lent.send_replace(Lent::Out);
                        return Ok(Connection(Box::new(connection)));
                    }
                    Err(error) => {
                        let source = match error {
                            RunError::User(source) => Some(Arc::new(source)),
                            RunError::TimedOut => last_failure.get(),
                        };
                        return Err(DatabaseError::Pool { attempted, waited: self.timeout, source });
                    }
                }
            }
        })
    }

    fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    fn look(&self) -> BoxFuture<'_, Result<(), DatabaseError>> {
        Box::pin(async move {
            let connecting = self.work.0.dedicated_connection();
            match tokio::time::timeout(self.timeout, connecting).await {
                Ok(connected) => {
                    connected.map(drop).map_err(|error| DatabaseError::statement("be connected to", error))
                }
                Err(_) => Err(DatabaseError::Silent { attempted: "take a connection".into(), waited: self.timeout }),
            }
        })
    }

    fn listen(&self) -> BoxFuture<'_, Result<Listening, Error>> {
        Box::pin(async move {
            let Some((config, tls)) = self.listen.clone() else {
                // Nobody subscribes where there is nowhere to listen.
                return ended().await;
            };
            let connecting = self.io.spawn(async move { config.connect(tls).await });
            let (client, mut connection) = match connecting.await {
                Ok(connected) => connected?,
                Err(_) => ended().await,
            };
            let messages = futures_util::stream::poll_fn(move |cx| connection.poll_message(cx)).boxed();
            Ok((client, messages))
        })
    }

    fn can_listen(&self) -> bool {
        self.listen.is_some()
    }

    fn listens_at_the_pools(&self) -> bool {
        self.same_address && self.can_listen()
    }

    fn trust_sessions(&self) {
        self.sessions_trusted.store(true, Ordering::Release);
    }

    fn distrust(&self) {
        self.era.0.send_modify(|era| *era += 1);
    }
}

/// Somebody who waits, until this is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Stands for the answer of a task that was dropped: the runtime has ended, and whoever waits ends with it.
async fn ended<T>() -> T {
    std::future::pending().await
}

/// Opens connections on their own runtime, where it can close them too; whether they are fit is bb8-postgres'
/// to say.
struct Manager<T: Tls> {
    inner: PostgresConnectionManager<T>,
    config: Config,
    tls: T,
    era: Era,
    sessions_trusted: Arc<AtomicBool>,
    io: Handle,
}

/// Connects, and has the connection driven for as long as it may be of use.
async fn open<T: Tls>(config: Config, tls: T, eras: Era, era: u64) -> Result<(Client, watch::Sender<Lent>), Error> {
    let (client, connection) = config.connect(tls).await?;
    let (lent, lending) = watch::channel(Lent::In);
    let closed = closed(lending.clone());
    let driven = drive(connection, useless(lending, eras, era));
    tokio::spawn(async move {
        tokio::select! {
            () = driven => {}
            () = closed => {}
        }
    });
    Ok((client, lent))
}

/// Whether somebody has a connection.
#[derive(Debug, Clone)]
enum Lent {
    /// It lies in its pool.
    In,
    Out,
    /// Somebody has it, and it is closed under their hands once this fires.
    Until(CancellationToken),
}

/// Waits until a connection is to be closed whoever has it.
async fn closed(mut lent: watch::Receiver<Lent>) {
    loop {
        let now = lent.borrow_and_update().clone();
        let fired = async {
            match now {
                Lent::Until(token) => token.cancelled_owned().await,
                Lent::In | Lent::Out => std::future::pending().await,
            }
        };
        tokio::select! {
            // One that came back just before is nobody's transaction any more.
            biased;
            changed = lent.changed() => if changed.is_err() {
                return std::future::pending().await;
            },
            () = fired => return,
        }
    }
}

/// Waits until nobody will use a connection again: its client is gone, or lies in the pool and is of an era that
/// has ended.
async fn useless(mut lent: watch::Receiver<Lent>, eras: Era, era: u64) {
    let mut lending = lent.clone();
    let gone = async { while lending.changed().await.is_ok() {} };
    let left = async {
        eras.ended(era).await;
        // One that is gone meanwhile is of no use either.
        let _ = lent.wait_for(|lent| matches!(lent, Lent::In)).await;
    };
    tokio::select! {
        () = gone => {}
        () = left => {}
    }
}

/// A connection may be left with statements under way, a rollback above all. So long they are waited for.
const LAST_STATEMENTS: Duration = Duration::from_secs(5);

/// Drives a connection until it is useless and its last statements are answered. On a network that swallows
/// everything no answer comes: then it is closed, or the server would keep the locks of its transaction.
async fn drive(connection: impl Future<Output = Result<(), Error>>, useless: impl Future<Output = ()>) {
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        // Why it ended is told to whoever uses it.
        _ = &mut connection => {}
        () = useless => drop(tokio::time::timeout(LAST_STATEMENTS, connection).await),
    }
}

/// How often the network has been found silent: a connection of an earlier era may be half-open.
#[derive(Debug, Clone, Default)]
struct Era(Arc<watch::Sender<u64>>);

impl Era {
    fn now(&self) -> u64 {
        *self.0.borrow()
    }

    /// Waits until this era is over.
    async fn ended(&self, era: u64) {
        // The sender is this one, so the wait cannot fail.
        let _ = self.0.subscribe().wait_for(|now| *now != era).await;
    }
}

/// A client, and whether it is fit for another user.
struct Pooling {
    client: Client,
    /// Whether somebody has it. Dropped with the client.
    lent: watch::Sender<Lent>,
    era: u64,
    plans: Plans,
    sessions_trusted: Arc<AtomicBool>,
    /// How its last statement was planned.
    steered: Option<Steering>,
    /// Whether the server looks after it.
    watched: bool,
    given_up: bool,
}

impl Pooling {
    fn is_trusted(&self) -> bool {
        self.sessions_trusted.load(Ordering::Acquire)
    }

    fn is_broken(&self, era: &Era) -> bool {
        self.given_up || self.client.is_closed() || self.era != era.now()
    }
}

impl<T: Tls> ManageConnection for Manager<T> {
    type Connection = Pooling;
    type Error = Error;

    async fn connect(&self) -> Result<Pooling, Error> {
        loop {
            let era = self.era.now();
            let mut connecting = self.io.spawn(open(self.config.clone(), self.tls.clone(), self.era.clone(), era));
            tokio::select! {
                connected = &mut connecting => match connected {
                    Ok(connected) => return connected.map(|(client, lent)| Pooling {
                        client,
                        lent,
                        era,
                        plans: Plans::of_a_connection(),
                        sessions_trusted: Arc::clone(&self.sessions_trusted),
                        steered: None,
                        watched: false,
                        given_up: false,
                    }),
                    Err(_) => ended().await,
                },
                // A handshake that nobody answers would keep its place in the pool for good.
                () = self.era.ended(era) => connecting.abort(),
            }
        }
    }

    async fn is_valid(&self, pooling: &mut Pooling) -> Result<(), Error> {
        self.inner.is_valid(&mut pooling.client).await
    }

    /// Asked when a connection comes back to its pool.
    fn has_broken(&self, pooling: &mut Pooling) -> bool {
        pooling.lent.send_replace(Lent::In);
        self.inner.has_broken(&mut pooling.client) || pooling.is_broken(&self.era)
    }
}

impl<T: Tls> Pooled for PooledConnection<'static, Manager<T>> {
    fn client(&self) -> &Client {
        &self.client
    }

    fn client_mut(&mut self) -> &mut Client {
        &mut self.client
    }

    fn plans(&self) -> Plans {
        if self.is_trusted() { self.plans.clone() } else { Plans::default() }
    }

    fn steer(&mut self, to: Steering) -> Option<&'static str> {
        (self.is_trusted() && self.steered.replace(to) != Some(to)).then(|| to.sql())
    }

    fn watch_once(&mut self) -> bool {
        self.is_trusted() && !std::mem::replace(&mut self.watched, true)
    }

    fn close_on(&self, token: CancellationToken) {
        self.lent.send_replace(Lent::Until(token));
    }

    fn give_up(&mut self) {
        self.given_up = true;
    }
}

/// bb8 tells a time-out and keeps the cause to itself; this remembers the cause.
#[derive(Debug, Clone, Default)]
struct LastFailure(Arc<Mutex<Option<Arc<Error>>>>);

impl LastFailure {
    fn get(&self) -> Option<Arc<Error>> {
        lock(&self.0).clone()
    }

    fn forget(&self) {
        *lock(&self.0) = None;
    }
}

impl ErrorSink<Error> for LastFailure {
    fn sink(&self, error: Error) {
        let cause = Cause(&error);
        log::debug!(target: logs::DATABASE, error:% = cause; "could not connect to the database: {cause}");
        *lock(&self.0) = Some(Arc::new(error));
    }

    fn boxed_clone(&self) -> Box<dyn ErrorSink<Error>> {
        Box::new(self.clone())
    }
}
