//! Lengths of time in options, read as everywhere else.

pub(crate) use actix_job_queue::operate::parse_span as span;
