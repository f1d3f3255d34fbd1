//! What a queue promises, held against killed processes, lost connections, stopped servers and poolers.
#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]

#[allow(dead_code, unreachable_pub, clippy::disallowed_methods, reason = "shared with other test programs")]
#[path = "../support/mod.rs"]
mod support;

mod harness;
mod process;

mod actors;
mod commit;
mod horizon;
mod idle;
mod killed;
mod late;
mod listening;
mod network;
mod pooler;
mod restart;
mod rows;
mod shutdown;
mod waiting;
