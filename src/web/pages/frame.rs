use maud::{DOCTYPE, Markup, html};

use crate::{
    name::QueueName,
    web::{
        assets::{ICON, SCRIPT, STYLE},
        visit::Visit,
    },
};

/// One step of the way to a page.
pub(crate) struct Crumb {
    name: String,
    /// None for the page itself.
    link: Option<String>,
}

impl Crumb {
    pub(crate) fn here(name: impl Into<String>) -> Self {
        Self { name: name.into(), link: None }
    }

    pub(crate) fn queue(visit: &Visit, name: &QueueName) -> Self {
        Self { name: name.to_string(), link: Some(visit.queue(name, "")) }
    }

    pub(crate) fn jobs(visit: &Visit, name: &QueueName) -> Self {
        Self { name: "Jobs".to_owned(), link: Some(visit.queue(name, "/jobs")) }
    }
}

/// A whole page.
pub(crate) fn frame(visit: &Visit, title: &str, crumbs: &[Crumb], body: Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · job queue" }
                link rel="icon" href=(ICON.from(&visit.root)) type="image/svg+xml";
                link rel="stylesheet" href=(STYLE.from(&visit.root));
                script src=(SCRIPT.from(&visit.root)) defer {}
            }
            body {
                a class="skip" href="#main" { "Skip to the content" }
                header class="top" {
                    nav aria-label="Where this is" {
                        ol {
                            li { a class="home" href=(visit.root) { "Queues" } }
                            @for crumb in crumbs {
                                li {
                                    @match &crumb.link {
                                        Some(link) => { a href=(link) { bdi { (crumb.name) } } }
                                        None => { span aria-current="page" { bdi { (crumb.name) } } }
                                    }
                                }
                            }
                        }
                    }
                    a href=(visit.processes()) { "Processes" }
                    span class="pulse" id="pulse" role="status" hidden {}
                    @if !visit.acts { span class="mode" { "read-only" } }
                }
                main id="main" { (body) }
            }
        }
    }
}
