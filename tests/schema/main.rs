//! What the library keeps in a database, and every way a job gets there.
#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]

mod actor_door;
mod bulk;
mod common;
mod concurrent;
mod config;
mod doors;
mod environment;
mod foreign;
mod grants;
mod migrations;
mod names;
mod plain_sql;
mod requeue;
mod rows;
mod web;

#[allow(dead_code, unreachable_pub, clippy::disallowed_methods)]
#[path = "../support/mod.rs"]
mod support;
