use std::{
    future::{Ready, ready},
    time::Duration,
};

use actix_web::{FromRequest, HttpMessage, HttpRequest, dev::Payload};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::{Dashboard, fields::Fields, token::FormToken, trouble::Trouble};
use crate::{
    name::QueueName,
    operate::{Activity, Details, Filter, OperateError, Operator, Page},
};

/// A request that was let in.
#[derive(Clone)]
pub(crate) struct Visit {
    pub(crate) dashboard: Dashboard,
    /// The way from the page that was asked for to where the dashboard is mounted, so that links need not know where that
    /// is, nor what a proxy calls it.
    pub(crate) root: String,
    /// Whether it may change anything.
    pub(crate) acts: bool,
    pub(crate) token: FormToken,
}

impl Visit {
    pub(crate) async fn operator(&self, schema: &str, table: &str) -> Result<Operator, Trouble> {
        Ok(Operator::open(&self.dashboard.database, schema, table).await?)
    }

    /// The way to a page of a queue.
    pub(crate) fn queue(&self, name: &QueueName, rest: &str) -> String {
        let part = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
        format!("{}queues/{}/{}{rest}", self.root, part(name.schema()), part(name.table()))
    }

    /// The way to the processes of all queues.
    pub(crate) fn processes(&self) -> String {
        format!("{}processes", self.root)
    }

    pub(crate) fn jobs(&self, name: &QueueName, fields: &Fields) -> String {
        self.queue(name, &format!("/jobs{}", fields.query()))
    }

    pub(crate) fn job(&self, name: &QueueName, id: i64) -> String {
        self.queue(name, &format!("/jobs/{id}"))
    }

    /// Refuses to look for what is hidden.
    pub(crate) fn check(&self, filter: &Filter) -> Result<(), Trouble> {
        let redact = &self.dashboard.redact;
        let hidden = match filter {
            Filter { params: Some(_), .. } if redact.is_set() => "Params",
            Filter { error: Some(_), .. } if redact.hides_errors() => "Errors",
            _ => return Ok(()),
        };
        Err(Trouble::Forbidden(format!(
            "{hidden} are redacted here, so they cannot be searched: an answer would tell what is hidden."
        )))
    }

    /// A page of jobs as it may be shown.
    pub(crate) fn redacted(&self, name: &QueueName, mut page: Page) -> Page {
        page.jobs.iter_mut().for_each(|row| self.dashboard.redact.row(name, row));
        page
    }

    /// What jobs did in this time, as it may be shown.
    pub(crate) async fn activity(&self, operator: &Operator, span: Duration) -> Result<Activity, OperateError> {
        let mut activity = operator.activity(span).await?;
        self.dashboard.redact.activity(operator.name(), &mut activity);
        Ok(activity)
    }

    /// A job as it may be shown.
    pub(crate) async fn show(&self, operator: &Operator, id: i64) -> Result<Details, Trouble> {
        let mut details = operator.show(id).await?.ok_or_else(|| {
            let name = operator.name();
            Trouble::Missing(format!("Queue {name} has no job {id}: it is completed, or deleted, or never was."))
        })?;
        self.dashboard.redact.row(operator.name(), &mut details.row);
        Ok(details)
    }
}

impl FromRequest for Visit {
    type Error = Trouble;
    type Future = Ready<Result<Self, Trouble>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let visit = request.extensions().get::<Visit>().cloned();
        ready(visit.ok_or_else(|| Trouble::Inner("The request was let in by nobody.".to_owned())))
    }
}
