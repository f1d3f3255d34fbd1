//! Locks that a panic does not take away.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// A panic of whoever held it before has been told, and shall not be that of all who come after.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
