//! The files beside the pages. A name has its content's hash in it, so that browsers keep them for as long as they like.

use std::sync::LazyLock;

use actix_web::{
    HttpResponse, Result,
    http::header::{CACHE_CONTROL, CONTENT_TYPE},
    web::{self, ServiceConfig},
};

use super::trouble::Trouble;
use crate::name::fnv1a;

pub(crate) static STYLE: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("style", "css", "text/css; charset=utf-8", include_str!("assets/style.css")));
pub(crate) static SCRIPT: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("live", "js", "text/javascript; charset=utf-8", include_str!("assets/live.js")));
pub(crate) static ICON: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("icon", "svg", "image/svg+xml", include_str!("assets/icon.svg")));

pub(crate) struct Asset {
    name: String,
    kind: &'static str,
    content: &'static str,
}

impl Asset {
    fn new(stem: &str, ending: &str, kind: &'static str, content: &'static str) -> Self {
        Self { name: format!("{stem}-{:016x}.{ending}", fnv1a(content.as_bytes())), kind, content }
    }

    /// The way to it from a page.
    pub(crate) fn from(&self, root: &str) -> String {
        format!("{root}assets/{}", self.name)
    }
}

pub(crate) fn routes(config: &mut ServiceConfig) {
    config.route("/assets/{name}", web::get().to(asset));
}

async fn asset(name: web::Path<String>) -> Result<HttpResponse, Trouble> {
    let assets: [&Asset; 3] = [&STYLE, &SCRIPT, &ICON];
    let Some(asset) = assets.into_iter().find(|asset| asset.name == *name) else {
        return Err(Trouble::Missing("There is no such file: reload the page that wants it.".to_owned()));
    };
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, asset.kind))
        .insert_header((CACHE_CONTROL, "public, max-age=31536000, immutable"))
        .body(asset.content))
}
