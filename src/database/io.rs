use std::{io, sync::Arc};

use actix_rt::Arbiter;
use tokio::runtime::{Builder, Handle, Runtime};

/// A runtime of the library's own.
///
/// A connection's driver lives on the runtime that opened it. Were that an arbiter's own, a handler that
/// computes or blocks would freeze every statement on connections opened there, and an arbiter that ends
/// would break them. So all connections are opened on one where no handler runs, nor what a handler spawns.
#[derive(Debug, Clone)]
pub(crate) struct Io(Option<Arc<Runtime>>);

impl Io {
    /// For connections, timers and statements. Threads that share little work wake each other for it again and again, so there
    /// are half as many as cores, and four at most.
    pub(crate) fn of_connections() -> io::Result<Self> {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        Self::start(
            Builder::new_multi_thread().worker_threads((cores / 2).clamp(1, 4)).thread_name("actix-job-queue-io"),
        )
    }

    /// For one arbiter, which drives it on its thread.
    pub(crate) fn of_an_arbiter() -> io::Result<Self> {
        Self::start(&mut Builder::new_current_thread())
    }

    fn start(builder: &mut Builder) -> io::Result<Self> {
        Ok(Self(Some(Arc::new(builder.enable_all().build()?))))
    }

    /// A new arbiter that shares this runtime. Where it has one to itself, whoever keeps this has the arbiter's thread end
    /// without a wait for what a handler has left to the runtime's threads for blocking code.
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
