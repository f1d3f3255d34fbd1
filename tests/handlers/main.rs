//! What a handler may do, and what becomes of its job, on queues that run against a real PostgreSQL.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[allow(dead_code, unreachable_pub, clippy::disallowed_methods)]
#[path = "../support/mod.rs"]
mod support;

mod batch;
mod bench;
mod blocking;
mod cancellation;
mod complete_with;
mod completion;
mod demand;
mod ends;
mod failures;
mod forms;
mod outcomes;
mod panics;
mod params;
mod start_on_claim;
