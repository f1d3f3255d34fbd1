use std::{io, sync::Arc};

use actix_rt::Arbiter;
use tokio::runtime::{Builder, Handle, Runtime};

/// Threads of the library's own, and the arbiters that share them.
///
/// A connection's driver lives on the runtime that opened it. Were that an arbiter's own, a handler that
/// computes or blocks would freeze every statement on connections opened there, and an arbiter that ends
/// would break them. So all connections are opened on a runtime where no handler runs, nor what one spawns. What handlers
/// connect to themselves is driven by another, which the workers' arbiters share, for the same reasons.
#[derive(Debug, Clone)]
pub(crate) struct Io(Option<Arc<Runtime>>);

impl Io {
    /// What drives connections and statements. Threads that share little work wake each other for it again and again, so
    /// there are half as many as cores, and four at most.
    pub(crate) fn of_connections() -> io::Result<Self> {
        Self::start("actix-job-queue-io", (cores() / 2).clamp(1, 4))
    }

    /// What drives the timers of workers, and the tasks and connections of handlers.
    pub(crate) fn of_handlers() -> io::Result<Self> {
        Self::start("actix-job-queue-tasks", cores().clamp(2, 4))
    }

    fn start(name: &str, threads: usize) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(threads).thread_name(name).enable_all().build()?;
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

fn cores() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from)
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
