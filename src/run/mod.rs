//! What the actors decide and do, in plain functions and types that name no actor.

pub(crate) mod ahead;
pub(crate) mod backoff;
pub(crate) mod batch;
pub(crate) mod care;
pub(crate) mod caught;
mod course;
pub(crate) mod crew;
pub(crate) mod demand;
pub(crate) mod desk;
pub(crate) mod gather;
pub(crate) mod hold;
pub(crate) mod journal;
pub(crate) mod node;
pub(crate) mod progress;
pub(crate) mod reach;
mod reply;
pub(crate) mod rush;
pub(crate) mod settle;
pub(crate) mod shared;
pub(crate) mod slots;
pub(crate) mod waiting;
pub(crate) mod wake;
pub(crate) mod whereabouts;
