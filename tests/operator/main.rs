//! The operator's command line, as a person and as a program uses it, on a real database with real workers.
#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]

mod actions;
mod activity;
mod bench;
mod health;
mod hostile;
mod kept;
mod log;
mod looks;
mod many;
mod pauses;
mod questions;
mod record;
mod redact;
mod transfer;

#[allow(dead_code, unreachable_pub, clippy::disallowed_methods)]
#[path = "../support/mod.rs"]
mod support;
