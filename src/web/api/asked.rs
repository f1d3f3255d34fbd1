use std::fmt::Display;

use actix_web::{FromRequest, HttpRequest, dev::Payload, web::Json};
use futures_util::future::LocalBoxFuture;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::web::{post::may_act, trouble::Trouble, visit::Visit};

/// JSON from somebody who may act.
///
/// It needs no mark: a page of another site cannot send `application/json` without asking the server first, which
/// answers no such question; and browsers that say where a request comes from are believed.
pub(crate) struct Asked<T> {
    pub(crate) visit: Visit,
    pub(crate) body: T,
}

impl<T: DeserializeOwned + 'static> FromRequest for Asked<T> {
    type Error = Trouble;
    type Future = LocalBoxFuture<'static, Result<Self, Trouble>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let request = request.clone();
        let mut payload = payload.take();
        Box::pin(async move {
            let visit = may_act(&request).await?;
            let wrong = |error: &dyn Display| Trouble::Unusable(format!("The JSON cannot be read: {error}."));
            // An object, since serde takes a struct's fields from an array too.
            let object = Json::<Map<String, Value>>::from_request(&request, &mut payload).await;
            let Json(object) = object.map_err(|error| wrong(&error))?;
            let body = T::deserialize(Value::Object(object)).map_err(|error| wrong(&error))?;
            Ok(Self { visit, body })
        })
    }
}
