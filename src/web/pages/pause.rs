use actix_web::{HttpResponse, http::header::LOCATION, web::Path};

use crate::{
    operate::Operator,
    web::{post::Posted, trouble::Trouble, visit::Visit},
};

/// Pauses a queue, or a type.
pub(crate) async fn pause(posted: Posted, path: Path<(String, String)>) -> Result<HttpResponse, Trouble> {
    let Posted { visit, fields } = posted;
    let operator = visit.operator(&path.0, &path.1).await?;
    operator.pause(fields.one("type"), fields.one("reason")).await?;
    Ok(back(&visit, &operator))
}

/// Resumes it.
pub(crate) async fn resume(posted: Posted, path: Path<(String, String)>) -> Result<HttpResponse, Trouble> {
    let Posted { visit, fields } = posted;
    let operator = visit.operator(&path.0, &path.1).await?;
    operator.resume(fields.one("type")).await?;
    Ok(back(&visit, &operator))
}

fn back(visit: &Visit, operator: &Operator) -> HttpResponse {
    HttpResponse::SeeOther().insert_header((LOCATION, visit.queue(operator.name(), ""))).finish()
}
