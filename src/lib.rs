#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod actors;
mod database;
mod error;
mod events;
mod handler;
mod job;
mod lock;
pub mod logs;
mod metrics;
mod migrate;
mod name;
pub mod operate;
mod perform;
mod prepared;
mod queue;
mod run;
mod running;
mod settings;
mod store;
#[cfg(test)]
mod tests;
mod text;
#[cfg(feature = "web")]
#[cfg_attr(docsrs, doc(cfg(feature = "web")))]
pub mod web;

pub use crate::{
    actors::{Enqueue, EnqueueActor},
    database::{ConnectError, Database, DatabaseOptions, Listen, Tls, TlsSession, UrlError},
    error::{CompletionError, ConfigError, DatabaseError, EnqueueError, MigrateError, StartError},
    events::{Happened, JobEvent, Reason},
    handler::{BatchContext, BatchHandler, Completed, Completion, Context, Handler, Handlers, JobError, Tuned},
    job::{Job, NewJob, ParamsError, State, UnknownState},
    migrate::MigrationSql,
    name::{NameError, QueueName},
    prepared::PreparedEnqueue,
    queue::{Queue, QueueBuilder},
    run::{backoff::Backoff, gather::Batching, hold::Cancelled},
    running::{Queues, Running, ShutdownReport},
    settings::Keep,
};

#[cfg(feature = "tls-rustls")]
pub use crate::database::TlsError;

/// The driver, of the version whose types stand in this library's interface.
pub use tokio_postgres;
