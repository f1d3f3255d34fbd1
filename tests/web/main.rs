//! The dashboard over real HTTP, on a real database: who gets in, what is shown, what is done.
#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]

mod actions;
mod api;
mod bench;
mod browser;
mod entrance;
mod health;
mod lately;
mod pages;
mod processes;
mod redact;
#[cfg(feature = "cli")]
mod serve;

#[allow(dead_code, unreachable_pub)]
#[path = "../support/chromium.rs"]
mod chromium;
#[allow(dead_code, unreachable_pub, clippy::disallowed_methods)]
#[path = "../support/mod.rs"]
mod support;
