//! Forms that change something: nothing of one is read before it is known to be this dashboard's own.

use actix_web::{FromRequest, HttpRequest, dev::Payload, http::header::ORIGIN, web::Form};
use futures_util::future::LocalBoxFuture;

use super::{fields::Fields, trouble::Trouble, visit::Visit};

/// The field that carries the form's mark.
pub(crate) const MARK: &str = "mark";

/// A form that somebody sent who may act, from a page of this dashboard. There is no other way to what forms say.
pub(crate) struct Posted {
    pub(crate) visit: Visit,
    pub(crate) fields: Fields,
}

impl FromRequest for Posted {
    type Error = Trouble;
    type Future = LocalBoxFuture<'static, Result<Self, Trouble>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let request = request.clone();
        let mut payload = payload.take();
        Box::pin(async move {
            let visit = may_act(&request).await?;
            let form = Form::<Fields>::from_request(&request, &mut payload).await;
            let Form(fields) = form.map_err(|error| Trouble::Unusable(format!("The form cannot be read: {error}.")))?;
            if !fields.one(MARK).is_some_and(|mark| visit.token.fits(mark)) {
                return Err(Trouble::Forbidden(
                    "The form is not from this dashboard, or from before it was started last: open the page again."
                        .to_owned(),
                ));
            }
            Ok(Self { visit, fields })
        })
    }
}

/// Whoever may act, unless a page of another origin made the browser ask.
pub(crate) async fn may_act(request: &HttpRequest) -> Result<Visit, Trouble> {
    let visit = Visit::extract(request).await?;
    if !visit.acts {
        return Err(Trouble::Forbidden("This dashboard is for looking only.".to_owned()));
    }
    if !is_own(request) {
        return Err(Trouble::Forbidden("The request comes from a page of another site.".to_owned()));
    }
    Ok(visit)
}

/// Browsers say where a request comes from; programs that are no browsers say nothing.
fn is_own(request: &HttpRequest) -> bool {
    let header = |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap_or_default());
    if let Some(site) = header("sec-fetch-site") {
        return matches!(site, "same-origin" | "none");
    }
    header(ORIGIN.as_str()).is_none_or(|origin| {
        let host = origin.split_once("://").map(|(_, host)| host);
        host == Some(request.connection_info().host())
    })
}
