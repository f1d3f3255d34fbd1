//! Panics of the user's own code, as text.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
};

use crate::text;

/// What the user's own function says, or the panic that it ended in.
pub(crate) fn caught<T>(ask: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(ask)).map_err(panic_text)
}

pub(crate) fn panic_text(panic: Box<dyn Any + Send>) -> String {
    let text = match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => (*text).to_owned(),
        (_, Some(text)) => text.clone(),
        _ => "of a value that is no text".to_owned(),
    };
    // A payload that panics when dropped would take the worker with it, and so might what it panics with:
    // that is left undropped.
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        std::mem::forget(again);
        log::warn!("a panic's payload panicked");
    }
    text::keepable(&text)
}
