//! Every request comes in here: the guard is asked first, and every answer leaves with the same headers.

use actix_web::{
    HttpMessage, HttpResponse, HttpResponseBuilder, Result,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{
        StatusCode,
        header::{ALLOW, LOCATION},
    },
    middleware::Next,
};
use serde_json::json;

use crate::{logs, text::OneLine};

use super::{Access, Dashboard, headers, pages, token::FormToken, visit::Visit};

pub(crate) async fn enter(
    dashboard: Dashboard,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>> {
    let tail = request.match_info().unprocessed().to_owned();
    let depth = tail.matches('/').count();
    let root = if depth > 1 { "../".repeat(depth - 1) } else { "./".to_owned() };
    let access = match dashboard.guard.decide(request.request().clone()).await {
        Ok(access) => access,
        Err(refusal) => {
            let mut response = refusal.error_response();
            headers::add(response.headers_mut());
            return Ok(request.into_response(response));
        }
    };
    if tail.is_empty() {
        return Ok(slash(request));
    }
    let acts = dashboard.actions && access == Access::Act;
    let token = match FormToken::of(request.request(), &dashboard.key) {
        Ok(token) => token,
        Err(trouble) => return Ok(request.error_response(trouble)),
    };
    let secure = request.connection_info().scheme() == "https";
    let cookie = token.cookie(secure).filter(|_| acts);
    let visit = Visit { dashboard, root, acts, token };
    request.extensions_mut().insert(visit.clone());
    let mut response = told(next.call(request).await?.map_into_boxed_body(), &visit, tail.starts_with("/api/"));
    headers::add(response.response_mut().headers_mut());
    if let Some(cookie) = cookie {
        response.response_mut().add_cookie(&cookie)?;
    }
    Ok(response)
}

/// Links are relative, so that the page that is mounted at `/jobs` must be asked for as `/jobs/`.
fn slash(request: ServiceRequest) -> ServiceResponse<BoxBody> {
    let last = request.uri().path().rsplit('/').next().unwrap_or_default();
    let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
    let mut response =
        HttpResponse::PermanentRedirect().insert_header((LOCATION, format!("./{last}/{query}"))).finish();
    headers::add(response.headers_mut());
    request.into_response(response)
}

/// What went wrong in the form that was asked for: a page, or JSON.
fn told(response: ServiceResponse<BoxBody>, visit: &Visit, json: bool) -> ServiceResponse<BoxBody> {
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return response;
    }
    let text = match (response.response().error(), status) {
        (Some(error), _) => error.to_string(),
        (None, StatusCode::METHOD_NOT_ALLOWED) => "This can be read, or written, but not so.".to_owned(),
        (None, status) => status.canonical_reason().unwrap_or("It did not work.").to_owned(),
    };
    if status.is_server_error() {
        let path = response.request().path();
        let cause = OneLine(std::slice::from_ref(&text));
        log::error!(target: logs::WEB, error:% = cause; "the dashboard could not answer {path}: {cause}");
    }
    let (request, old) = response.into_parts();
    let mut builder = HttpResponseBuilder::new(status);
    if let Some(allow) = old.headers().get(ALLOW) {
        builder.insert_header((ALLOW, allow));
    }
    let new = if json {
        builder.json(json!({ "error": text }))
    } else {
        builder.content_type("text/html; charset=utf-8").body(pages::trouble(visit, status, &text).into_string())
    };
    ServiceResponse::new(request, new)
}
