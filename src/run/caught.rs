//! Panics of the user's own code, as text.

use std::{
    any::Any,
    cell::RefCell,
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Once,
};

use futures_util::FutureExt;

use crate::{logs, text};

thread_local! {
    /// Where this thread panicked last.
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Has every panic's place remembered, and then told as before. A hook is the process's: whoever sets another
/// without calling this one has panics recorded without their places.
pub(crate) fn watch_places() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let place = panic.location().map(ToString::to_string);
            // The thread may be at its end, and a panic while the place is written down is not to be looked at.
            let _ = PLACE.try_with(|last| last.try_borrow_mut().map(|mut last| *last = place));
            before(panic);
        }));
    });
}

/// Polls a future whose panics are caught elsewhere, so that the next place which is told is its own.
pub(crate) fn watched<F: Future + Unpin>(work: &mut F) -> impl Future<Output = F::Output> + Unpin {
    poll_fn(|cx| {
        // What others on this thread panicked with meanwhile is none of this future's.
        PLACE.take();
        work.poll_unpin(cx)
    })
}

/// What the user's own function says, or the panic that it ended in.
pub(crate) fn caught<T>(ask: impl FnOnce() -> T) -> Result<T, String> {
    PLACE.take();
    catch_unwind(AssertUnwindSafe(ask)).map_err(panic_text)
}

/// What was panicked with, and where.
pub(crate) fn panic_text(panic: Box<dyn Any + Send>) -> String {
    let place = PLACE.take();
    let text = match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => (*text).to_owned(),
        (_, Some(text)) => text.clone(),
        _ => "of a value that is no text".to_owned(),
    };
    // A payload that panics when dropped would take the worker with it, and so might what it panics with:
    // that is left undropped.
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        std::mem::forget(again);
        log::warn!(target: logs::JOB, "a panic's payload panicked");
    }
    // What the payload panicked with in turn is another place.
    PLACE.take();
    let text = text::keepable(&text);
    match place {
        Some(place) => format!("{text} (at {place})"),
        None => text,
    }
}
