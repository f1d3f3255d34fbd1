use std::{fmt, sync::Arc};

use actix_web::{HttpRequest, Result};
use futures_util::future::LocalBoxFuture;

/// What a guard lets a request do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// To look.
    Read,
    /// To act too, where the dashboard allows actions at all.
    Act,
}

/// Whom to let in.
#[derive(Clone)]
pub(crate) struct Guard(Option<Arc<Decide>>);

type Decide = dyn Fn(HttpRequest) -> LocalBoxFuture<'static, Result<Access>> + Send + Sync;

impl Guard {
    pub(crate) fn by(decide: impl AsyncFn(&HttpRequest) -> Result<Access> + Send + Sync + 'static) -> Self {
        let decide = Arc::new(decide);
        Self(Some(Arc::new(move |request| {
            let decide = Arc::clone(&decide);
            Box::pin(async move { decide(&request).await })
        })))
    }

    pub(crate) fn none() -> Self {
        Self(None)
    }

    pub(crate) async fn decide(&self, request: HttpRequest) -> Result<Access> {
        match &self.0 {
            Some(decide) => decide(request).await,
            None => Ok(Access::Act),
        }
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Guard" } else { "no guard" })
    }
}
