use std::time::Duration;

use actix_web::{
    HttpResponse,
    web::{Json, Path, Query},
};

use crate::{
    operate::{self, Activity, Cursor, Details, KnownQueue, Overview, Page, Process, Processes, parse_span},
    web::{fields::Fields, filter, trouble::Trouble, visit::Visit},
};

/// So many jobs are a page unless another number is asked for.
const LIMIT: usize = 50;

/// Of so much time it is told what jobs did unless another is asked for.
const OVER: Duration = Duration::from_secs(3_600);

/// No page has more.
const MOST: usize = 1_000;

pub(crate) async fn description() -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(include_str!("openapi.json"))
}

pub(crate) async fn queues(visit: Visit) -> Result<Json<Vec<KnownQueue>>, Trouble> {
    Ok(Json(operate::queues(&visit.dashboard.database).await?))
}

pub(crate) async fn stats(visit: Visit, path: Path<(String, String)>) -> Result<Json<Overview>, Trouble> {
    Ok(Json(visit.operator(&path.0, &path.1).await?.overview().await?))
}

/// What jobs did in the time that is asked for.
pub(crate) async fn activity(
    visit: Visit,
    path: Path<(String, String)>,
    Query(fields): Query<Fields>,
) -> Result<Json<Activity>, Trouble> {
    let operator = visit.operator(&path.0, &path.1).await?;
    let over = fields.one("over").map(parse_span).transpose().map_err(Trouble::Unusable)?.unwrap_or(OVER);
    Ok(Json(visit.activity(&operator, over).await?))
}

pub(crate) async fn processes(visit: Visit, path: Path<(String, String)>) -> Result<Json<Vec<Process>>, Trouble> {
    Ok(Json(visit.operator(&path.0, &path.1).await?.processes().await?))
}

pub(crate) async fn all_processes(visit: Visit) -> Result<Json<Processes>, Trouble> {
    Ok(Json(operate::processes(&visit.dashboard.database).await?))
}

pub(crate) async fn list(
    visit: Visit,
    path: Path<(String, String)>,
    Query(fields): Query<Fields>,
) -> Result<Json<Page>, Trouble> {
    let operator = visit.operator(&path.0, &path.1).await?;
    let wanted = filter::filter(&fields)?;
    visit.check(&wanted)?;
    let from: Option<Cursor> = filter::number(&fields, "from")?;
    let limit = filter::number(&fields, "limit")?.unwrap_or(LIMIT);
    if !(1..=MOST).contains(&limit) {
        return Err(Trouble::Unusable(format!("A page has 1 to {MOST} jobs, not {limit}.")));
    }
    Ok(Json(visit.redacted(operator.name(), operator.list(&wanted, from.as_ref(), limit).await?)))
}

pub(crate) async fn show(visit: Visit, path: Path<(String, String, i64)>) -> Result<Json<Details>, Trouble> {
    let operator = visit.operator(&path.0, &path.1).await?;
    Ok(Json(visit.show(&operator, path.2).await?))
}
