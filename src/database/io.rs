use std::{io, sync::Arc};

use actix_rt::Arbiter;
use tokio::runtime::{Builder, Handle, Runtime};

/// The threads that drive the library's connections, timers and statements.
///
/// A connection's driver lives on the runtime that opened it. Were that an arbiter's own, a handler that
/// computes or blocks would freeze every statement on connections opened there, and an arbiter that ends
/// would break them. So all connections are opened here, and all arbiters share this runtime.
#[derive(Debug, Clone)]
pub(crate) struct Io(Option<Arc<Runtime>>);

impl Io {
    pub(crate) fn start() -> io::Result<Self> {
        let threads = std::thread::available_parallelism().map_or(2, usize::from).clamp(2, 4);
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name("actix-job-queue-io")
            .enable_all()
            .build()?;
        Ok(Self(Some(Arc::new(runtime))))
    }

    /// A new arbiter that shares this runtime.
    pub(crate) fn arbiter(&self) -> io::Result<Arbiter> {
        let runtime = Arc::clone(self.runtime());
        Arbiter::try_with_tokio_rt(move || Ok(runtime))
    }

    pub(crate) fn handle(&self) -> Handle {
        self.runtime().handle().clone()
    }

    fn runtime(&self) -> &Arc<Runtime> {
        self.0.as_ref().expect("the runtime is taken only when this is dropped")
    }
}

impl Drop for Io {
    fn drop(&mut self) {
        // Dropping a runtime where async code runs would panic, so whoever holds it there holds it by this;
        // the arbiters that still share it end it on their own threads.
        if let Some(runtime) = self.0.take().and_then(Arc::into_inner) {
            runtime.shutdown_background();
        }
    }
}
