use actix_web::{
    HttpResponse,
    web::{Json, Path},
};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};

use super::asked::Asked;
use crate::{
    job::NewJob,
    operate::Filter,
    web::{bulk, fields::Fields, filter, trouble::Trouble, verb::Verb},
};

/// Which jobs are meant: these, or those that all the rest means; everything only where that is said.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Wish {
    ids: Option<Vec<i64>>,
    state: Vec<String>,
    r#type: Option<String>,
    error: Option<String>,
    params: Option<String>,
    older: Option<String>,
    younger: Option<String>,
    node: Option<i64>,
    all: bool,
    reason: Option<String>,
}

impl Wish {
    fn filter(&self) -> Result<Filter, Trouble> {
        let mut fields = Fields::default();
        for state in &self.state {
            fields = fields.with("state", state);
        }
        let node = self.node.map(|node| node.to_string());
        for (name, value) in [
            ("type", &self.r#type),
            ("error", &self.error),
            ("params", &self.params),
            ("older", &self.older),
            ("younger", &self.younger),
            ("node", &node),
        ] {
            if let Some(value) = value {
                if value.is_empty() {
                    // In a form it is a field that was left alone; a program may have lost what it wanted to say.
                    return Err(Trouble::Unusable(format!("{name} is empty: leave it out if it does not matter.")));
                }
                fields = fields.with(name, value);
            }
        }
        let filter = Filter { ids: self.ids.clone(), ..filter::filter(&fields)? };
        if filter.is_everything() && !self.all {
            return Err(Trouble::Unusable("Say which jobs: their ids, a filter, or all.".to_owned()));
        }
        Ok(filter)
    }
}

/// A job to be.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct New {
    r#type: String,
    #[serde(default = "empty")]
    params: Value,
    at: Option<DateTime<Utc>>,
    priority: Option<i32>,
    max_attempts: Option<i32>,
    notify: Option<String>,
}

fn empty() -> Value {
    json!({})
}

/// What to pause or resume.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pausing {
    r#type: Option<String>,
    reason: Option<String>,
}

pub(crate) async fn act(asked: Asked<Wish>, path: Path<(String, String, String)>) -> Result<Json<Value>, Trouble> {
    let Asked { visit, body } = asked;
    let verb: Verb = path.2.parse().map_err(|error: Trouble| Trouble::Missing(error.to_string()))?;
    let operator = visit.operator(&path.0, &path.1).await?;
    let filter = body.filter()?;
    visit.check(&filter)?;
    let filter = verb.among(filter)?;
    let done = bulk::act(&operator, &verb.action(&filter, body.reason.as_deref()), &filter).await?;
    let outcome = done.outcome;
    Ok(Json(json!({
        "done": outcome.done, "locked": outcome.locked, "unfit": outcome.unfit, "complete": done.complete
    })))
}

pub(crate) async fn enqueue(asked: Asked<New>, path: Path<(String, String)>) -> Result<HttpResponse, Trouble> {
    let Asked { visit, body } = asked;
    let operator = visit.operator(&path.0, &path.1).await?;
    let made = if operator.is_binary() {
        NewJob::binary_of_type(&body.r#type, &body.params)
    } else {
        NewJob::of_type(&body.r#type, &body.params)
    };
    let mut job = made.map_err(|error| Trouble::Unusable(error.to_string()))?;
    if let Some(at) = body.at {
        job = job.schedule_at(at);
    }
    if let Some(priority) = body.priority {
        job = job.priority(priority);
    }
    if let Some(attempts) = body.max_attempts {
        job = job.max_attempts(attempts);
    }
    if let Some(notify) = body.notify {
        job = job.notify(notify);
    }
    let id = operator.enqueue(job).await?;
    Ok(HttpResponse::Created().json(json!({ "id": id })))
}

pub(crate) async fn pause(asked: Asked<Pausing>, path: Path<(String, String)>) -> Result<Json<Value>, Trouble> {
    let Asked { visit, body } = asked;
    let operator = visit.operator(&path.0, &path.1).await?;
    operator.pause(body.r#type.as_deref(), body.reason.as_deref()).await?;
    Ok(Json(json!({ "paused": true })))
}

pub(crate) async fn resume(asked: Asked<Pausing>, path: Path<(String, String)>) -> Result<Json<Value>, Trouble> {
    let Asked { visit, body } = asked;
    let operator = visit.operator(&path.0, &path.1).await?;
    Ok(Json(json!({ "resumed": operator.resume(body.r#type.as_deref()).await? })))
}
