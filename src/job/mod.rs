//! A job before it is enqueued, in the table, and in the handler's hands.

mod new_job;
mod params;
mod performed;
mod state;

pub use new_job::NewJob;
pub use params::ParamsError;
pub use performed::Job;
pub use state::{State, UnknownState};

pub(crate) use new_job::When;
pub(crate) use params::{MISFIT, ParamsKind, RawParams};
pub(crate) use performed::{Began, Reserved};
