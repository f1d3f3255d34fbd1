//! Plots, drawn by the server.
//!
//! Only shapes are SVG, which is stretched to the room that there is; all text is HTML around it, so that it is as large on
//! a telephone as elsewhere. What a plot shows is in a table under it too.

mod failures;
mod frame;
mod latency;
mod scale;
mod throughput;

pub(crate) use failures::{by_error, by_type, share};
pub(crate) use latency::latency;
pub(crate) use throughput::{small, throughput};
