use actix_web::{HttpRequest, Result, Scope, dev::HttpServiceFactory, middleware::from_fn, web};
use serde_json::Value;

use super::{access::Guard, api, assets, enter::enter, pages, token::Key, trouble::Trouble};
use crate::{
    Database, QueueName,
    operate::{Redact, Redaction},
    web::Access,
};

/// The dashboard, ready to be mounted. Cheap to clone.
#[derive(Debug, Clone)]
#[must_use = "a dashboard shows nothing until it is mounted with at()"]
pub struct Dashboard {
    pub(crate) database: Database,
    pub(crate) guard: Guard,
    pub(crate) actions: bool,
    pub(crate) redact: Redact,
    pub(crate) key: Key,
}

impl Dashboard {
    /// For those whom the guard lets in. Each request asks it; its error is what the others are answered, a redirection
    /// to the application's login for instance.
    pub fn guarded(
        database: &Database,
        guard: impl AsyncFn(&HttpRequest) -> Result<Access> + Send + Sync + 'static,
    ) -> Self {
        Self::new(database, Guard::by(guard))
    }

    /// For everybody who can send a request: where something else stands guard, such as a guard of the `Scope` that this
    /// is mounted in, or a network of one's own.
    pub fn unguarded(database: &Database) -> Self {
        Self::new(database, Guard::none())
    }

    fn new(database: &Database, guard: Guard) -> Self {
        Self { database: database.clone(), guard, actions: false, redact: Redact::default(), key: Key::default() }
    }

    /// Lets those act who may: retry, cancel, delete, pause and so on. Without this they can look only.
    pub fn allow_actions(mut self) -> Self {
        self.actions = true;
        self
    }

    /// Shows only what the function makes of params, on pages and in the JSON API. It is told the job's queue and type.
    /// Params cannot be searched then, for a search tells what it hides. Errors are shown as they are.
    pub fn redact(mut self, rule: impl Fn(&QueueName, Option<&str>, Value) -> Value + Send + Sync + 'static) -> Self {
        self.redact = Redact::by(rule);
        self
    }

    /// The same for errors too, which may speak of what is hidden: shows only what it makes of params and of errors, on pages
    /// and in the JSON API. Neither can be searched then.
    pub fn redact_with(mut self, redaction: impl Redaction + 'static) -> Self {
        self.redact = Redact::with(redaction);
        self
    }

    /// Marks forms with this secret. Without it the secret is random and this process's own; where several processes
    /// answer under one name, so that one gets the form that another made, give all of them the same, of 32 random
    /// bytes.
    pub fn secret(mut self, secret: &[u8]) -> Self {
        self.key = Key::of(secret);
        self
    }

    /// The service to mount: `App::new().service(dashboard.at("/jobs"))`.
    pub fn at(&self, path: &str) -> impl HttpServiceFactory + use<> {
        let dashboard = self.clone();
        Scope::new(path.trim_end_matches('/'))
            .configure(pages::routes)
            .configure(api::routes)
            .configure(assets::routes)
            .default_service(web::to(async || Err::<&str, _>(Trouble::Missing("There is no such page.".to_owned()))))
            .wrap(from_fn(move |request, next| enter(dashboard.clone(), request, next)))
    }
}
