//! The way to PostgreSQL that all queues of a process share.

mod io;
mod listener;
mod plans;
mod pool;
mod subscription;
#[cfg(feature = "tls-rustls")]
mod tls;
mod url;

use std::{
    fmt, io as std_io,
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use actix_rt::{Arbiter, ArbiterHandle, System};
use futures_util::StreamExt;
use postgres_types::{ToSql, Type};
use tokio::runtime::Handle;
use tokio_postgres::{AsyncMessage, Client, Config, Row};

use crate::{error::DatabaseError, lock::lock, logs, text::Cause};

#[cfg(feature = "tls-rustls")]
use tls::connector;
#[cfg(not(feature = "tls-rustls"))]
use url::plain_only as connector;

#[cfg(feature = "tls-rustls")]
pub use tls::TlsError;
pub use {
    pool::{Tls, TlsSession},
    url::UrlError,
};

pub(crate) use {
    io::Io,
    plans::{Plans, outdates},
    pool::{Connection, Lane},
    subscription::{Horizon, Signal, Subscription},
};

use {
    listener::Listener,
    plans::Steering,
    pool::{Connect, Pools},
    url::ConnectionString,
};

/// What has a session plan statements as the library's own connections do those that recur.
#[cfg(test)]
pub(crate) fn steered_for_what_recurs() -> &'static str {
    Steering::Recurring.sql()
}

/// The same for those that do not.
#[cfg(test)]
pub(crate) fn steered_for_once() -> &'static str {
    Steering::Once.sql()
}

/// A statement of the library's own that takes longer than this is given up and tried again: those that a network has
/// swallowed are done again, and the queue is back, within a quarter of a minute.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(10);

/// A PostgreSQL, reached through pools of connections. Cheap to clone; make one a process.
///
/// It keeps a pool for completions and callers, two connections for its own claims, one for heartbeats while
/// it holds jobs, and one on which it listens. Their drivers run on threads of their own, so that a handler
/// that blocks its arbiter holds up no statement.
#[derive(Clone)]
pub struct Database {
    inner: Arc<Inner>,
}

struct Inner {
    connect: Arc<dyn Connect>,
    listener: Listener,
    pool_size: u32,
    control: Mutex<Option<Arbiter>>,
    // Last, so that the runtimes outlive what runs on them.
    handlers: Mutex<Option<Io>>,
    io: Io,
}

/// How to reach a database; [`Database::connect`] takes the defaults.
#[derive(Debug, Clone)]
pub struct DatabaseOptions {
    pool_size: u32,
    connection_timeout: Duration,
    listen: Listen,
    listen_timeout: Duration,
}

/// Where to LISTEN for notifications.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Listen {
    /// On a connection of its own to the same address.
    Same,
    /// At another address: the server itself, where the pool goes through PgBouncer in transaction mode,
    /// whose LISTEN is deaf.
    At(String),
    /// Nowhere. Polling alone runs every job, up to a poll interval late.
    Off,
}

impl Default for DatabaseOptions {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            pool_size: u32::try_from(cores).unwrap_or(u32::MAX).max(20),
            connection_timeout: Duration::from_secs(5),
            listen: Listen::Same,
            listen_timeout: Duration::from_secs(5),
        }
    }
}

impl DatabaseOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many connections completions and callers share: 20, or one a core where there are more. Each
    /// handler holds one only while its completion is open.
    pub fn pool_size(mut self, connections: u32) -> Self {
        self.pool_size = connections;
        self
    }

    /// How long to wait for a connection, 5 s unless given.
    pub fn connection_timeout(mut self, timeout: Duration) -> Self {
        self.connection_timeout = timeout;
        self
    }

    /// Where to listen, [`Listen::Same`] unless given.
    pub fn listen(mut self, listen: Listen) -> Self {
        self.listen = listen;
        self
    }

    /// How long LISTEN may take to be established, at start and on reconnect, 5 s unless given.
    pub fn listen_timeout(mut self, timeout: Duration) -> Self {
        self.listen_timeout = timeout;
        self
    }

    /// Connects to a URL or a `key=value` string, with its `sslmode` and `sslrootcert` understood.
    ///
    /// # Errors
    /// The string cannot be read, its TLS cannot be had, or no connection can be made.
    pub async fn connect(self, url: &str) -> Result<Database, ConnectError> {
        let target = ConnectionString::parse(url)?;
        let tls = connector(&target.tls)?;
        let at = match &self.listen {
            Listen::At(url) => {
                let at = ConnectionString::parse(url)?;
                // Its sslmode is its own: the pools' may check nothing.
                Some((at.config, connector(&at.tls)?))
            }
            Listen::Same | Listen::Off => None,
        };
        self.open(target.config, tls, at).await
    }

    /// Connects with a configuration and a TLS connector of the caller's own.
    ///
    /// # Errors
    /// No connection can be made, or the string of [`Listen::At`] cannot be read.
    pub async fn connect_with<T: Tls>(self, config: Config, tls: T) -> Result<Database, ConnectError> {
        let at = match &self.listen {
            Listen::At(url) => {
                let at = Config::from_str(url)
                    .map_err(|error| DatabaseError::statement("read the address to listen at", error))?;
                Some((at, tls.clone()))
            }
            Listen::Same | Listen::Off => None,
        };
        self.open(config, tls, at).await
    }

    async fn open<T: Tls>(self, config: Config, tls: T, at: Option<(Config, T)>) -> Result<Database, ConnectError> {
        let same_address = self.listen == Listen::Same;
        let listen = match self.listen {
            Listen::Same => Some((config.clone(), tls.clone())),
            Listen::At(_) => at,
            Listen::Off => None,
        };
        let io = Io::of_connections().map_err(ConnectError::Threads)?;
        // The pool cannot be of no size; a queue refuses to start on one that is too small.
        let size = self.pool_size.max(1);
        let connect: Arc<dyn Connect> =
            Arc::new(Pools::new(config, listen, same_address, tls, size, self.connection_timeout, io.handle()));
        let listener = Listener::start(Arc::clone(&connect), self.listen_timeout, &io.handle());
        let database = Database {
            inner: Arc::new(Inner {
                connect,
                listener,
                pool_size: self.pool_size,
                control: Mutex::default(),
                io,
                handlers: Mutex::default(),
            }),
        };
        // A wrong password or address shows now and not at the first job.
        database.inner.connect.look().await?;
        Ok(database)
    }
}

impl Database {
    /// Connects with the defaults.
    ///
    /// # Errors
    /// The string cannot be read, its TLS cannot be had, or no connection can be made.
    pub async fn connect(url: &str) -> Result<Self, ConnectError> {
        DatabaseOptions::new().connect(url).await
    }

    pub(crate) async fn get(&self, lane: Lane, attempted: &str) -> Result<Connection, DatabaseError> {
        self.inner.connect.get(lane, attempted).await
    }

    /// Whether as many wait for a connection for completions and callers as there are: whoever asks now waits for long.
    pub(crate) fn is_short(&self) -> bool {
        // No pool is smaller than one.
        let size = usize::try_from(self.inner.pool_size.max(1)).unwrap_or(usize::MAX);
        self.inner.connect.waiting() >= size
    }

    /// Has plans kept from now on, as a listener does once it has heard that sessions stay with their connections.
    #[cfg(test)]
    pub(crate) fn trust_sessions(&self) {
        self.inner.connect.trust_sessions();
    }

    /// Runs one statement of the library's own; one that does not answer is given up with its connection.
    pub(crate) async fn query(
        &self,
        lane: Lane,
        attempted: &str,
        sql: &str,
        parameters: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<Vec<Row>, DatabaseError> {
        self.ask(lane, false, attempted, sql, parameters).await
    }

    /// The same with a statement that recurs, whose plan is kept where it can be.
    pub(crate) async fn query_planned(
        &self,
        lane: Lane,
        attempted: &str,
        sql: &str,
        parameters: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<Vec<Row>, DatabaseError> {
        self.ask(lane, true, attempted, sql, parameters).await
    }

    async fn ask(
        &self,
        lane: Lane,
        recurs: bool,
        attempted: &str,
        sql: &str,
        parameters: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<Vec<Row>, DatabaseError> {
        let mut connection = self.get(lane, attempted).await?;
        let plans = if recurs { connection.plans() } else { Plans::default() };
        // Connections that are lent to callers are planned for as the server is set.
        let ours = !matches!(lane, Lane::Work);
        let plans = if ours { plans.steered() } else { plans };
        let steering = if recurs { Steering::Recurring } else { Steering::Once };
        let steer = ours.then(|| connection.steer(steering)).flatten();
        let client: &Client = &connection;
        let asked = async {
            if let Some(steer) = steer {
                let (steered, answer) =
                    futures_util::join!(client.batch_execute(steer), plans.query(client, sql, parameters));
                if let Err(error) = steered {
                    // The statement has taken effect all the same, or tells itself why not.
                    let cause = Cause(&error);
                    log::debug!(target: logs::DATABASE, error:% = cause; "could not steer the planner: {cause}");
                }
                answer
            } else {
                plans.query(client, sql, parameters).await
            }
        };
        match tokio::time::timeout(STATEMENT_TIMEOUT, asked).await {
            Ok(answer) => answer.map_err(|error| DatabaseError::statement(attempted, error)),
            Err(_) => {
                connection.give_up();
                self.inner.connect.distrust();
                Err(DatabaseError::Silent { attempted: attempted.to_owned(), waited: STATEMENT_TIMEOUT })
            }
        }
    }

    /// The same within a time that counts from now, the wait for a connection included.
    pub(crate) async fn query_within(
        &self,
        patience: Duration,
        lane: Lane,
        attempted: &str,
        sql: &str,
        parameters: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<Vec<Row>, DatabaseError> {
        let mut answer = std::pin::pin!(self.query(lane, attempted, sql, parameters));
        if let Ok(answer) = tokio::time::timeout(patience, &mut answer).await {
            return answer;
        }
        // Before the connection goes back to its pool, which happens when the question is dropped.
        self.inner.connect.distrust();
        Err(DatabaseError::Silent { attempted: attempted.to_owned(), waited: patience })
    }

    /// To the server and back, for the time that this takes; whoever has something to say there hears what is wrong. No
    /// connection is waited for where others do. Given up half-way, it leaves an answer that nobody reads, and what follows
    /// on the connection comes behind it.
    pub(crate) async fn round_trip(&self) {
        if self.is_short() {
            return;
        }
        if let Ok(connection) = self.get(Lane::Work, "reach the server").await {
            let client: &Client = &connection;
            let _ = client.batch_execute("").await;
        }
    }

    /// A queue's place on the connection that listens; none if there is to be none.
    pub(crate) fn subscribe(&self, channel: &str, key: i64, table: u32) -> Option<Subscription> {
        self.inner.connect.can_listen().then(|| self.inner.listener.subscribe(channel, key, table))
    }

    /// Whether a notification that is sent over a pool's connection is heard by one that listens; none if there is to
    /// be none.
    pub(crate) async fn hears(&self, patience: Duration) -> Result<Option<bool>, DatabaseError> {
        if !self.inner.connect.can_listen() {
            return Ok(None);
        }
        let attempted = "listen for notifications";
        let failed = |error| DatabaseError::statement(attempted, error);
        let (client, mut messages) = self.inner.connect.listen().await.map_err(failed)?;
        let channel = format!("job_queue_probe_{:016x}", fastrand::u64(..));
        let ask = async {
            client.batch_execute(&format!("LISTEN {channel}")).await.map_err(failed)?;
            let notify = "SELECT pg_notify($1, '')";
            self.query(Lane::Work, attempted, notify, &[(&channel, Type::TEXT)]).await?;
            // What is on its way is heard below.
            std::future::pending::<Result<bool, DatabaseError>>().await
        };
        let hear = async {
            while let Some(message) = messages.next().await {
                if let AsyncMessage::Notification(heard) = message.map_err(failed)?
                    && heard.channel() == channel
                {
                    return Ok(true);
                }
            }
            Ok(false)
        };
        tokio::select! {
            answer = ask => answer.map(Some),
            heard = hear => heard.map(Some),
            () = tokio::time::sleep(patience) => Ok(Some(false)),
        }
    }

    /// The arbiter on which everything but the workers lives: no handler can block it.
    pub(crate) fn control_arbiter(&self) -> std_io::Result<ArbiterHandle> {
        if System::try_current().is_none() {
            return Err(std_io::Error::other(
                "no actix System runs on this thread: call it inside #[actix_web::main] or #[actix::main]",
            ));
        }
        let mut control = lock(&self.inner.control);
        if let Some(arbiter) = control.as_ref().filter(|arbiter| arbiter.alive()) {
            return Ok(arbiter.handle());
        }
        let arbiter = self.inner.io.arbiter()?;
        let handle = arbiter.handle();
        *control = Some(arbiter);
        Ok(handle)
    }

    pub(crate) fn pool_size(&self) -> u32 {
        self.inner.pool_size
    }

    pub(crate) fn io(&self) -> Handle {
        self.inner.io.handle()
    }

    /// The threads that the workers' arbiters share, kept while this is: what handlers have spawned or connected to goes on
    /// when their queues have ended, and serves those that start after them.
    pub(crate) fn handlers(&self) -> std_io::Result<Io> {
        let mut handlers = lock(&self.inner.handlers);
        if let Some(io) = handlers.as_ref() {
            return Ok(io.clone());
        }
        Ok(handlers.insert(Io::of_handlers()?).clone())
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(control) = self.control.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            // One that has ended already needs no telling.
            let _ = control.stop();
        }
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").field("pool_size", &self.inner.pool_size).finish_non_exhaustive()
    }
}

/// Why there is no database to work with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The connection string cannot be read.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// The TLS that it asks for cannot be had.
    #[cfg(feature = "tls-rustls")]
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Nobody answers there, or not to this user.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The system gave no threads for the connections.
    #[error("could not start the threads that drive the connections")]
    Threads(#[source] std::io::Error),
}
