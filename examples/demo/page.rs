//! The HTML. All text is escaped by maud; the page works by reloads where there is no JavaScript.

use maud::{DOCTYPE, Markup, html};

use crate::{
    mail::Trouble,
    status::{SignUp, Status},
};

/// The whole page.
pub(crate) fn index(status: &Status, latest: &[SignUp]) -> Markup {
    frame(html! {
        h1 { "Sign up" }
        p { "The user and the job that mails the welcome are written in " b { "one transaction" }
            ". The mail is counted in the transaction that removes the job." }
        form method="post" action="/signup" {
            label { "E-mail " input type="email" name="email" required autofocus placeholder="ada@example.com"; }
            label {
                "The first attempt shall "
                select name="trouble" {
                    option value="" { "go well" }
                    @for (trouble, word) in Trouble::ALL {
                        option value=(word) { (describe(trouble)) }
                    }
                }
            }
            label { input type="checkbox" name="rollback" value="1"; " fail after enqueueing, so that all is rolled back" }
            button { "Sign up" }
        }
        div id="live" { (live(status, latest)) }
        noscript { p { "Reload the page to see the jobs move." } }
        script src="/live.js" defer {}
    })
}

/// The part that the script fetches again each second.
pub(crate) fn live(status: &Status, latest: &[SignUp]) -> Markup {
    html! {
        ul class="counts" {
            (count("users", status.users))
            @for (state, jobs) in &status.jobs {
                (count(state, *jobs))
            }
            (count("mails", status.mails))
        }
        table {
            thead { tr { th { "#" } th { "Sign-up" } th { "At" } th { "Job" } th { "Mail" } } }
            tbody {
                @for sign_up in latest {
                    tr {
                        td { (sign_up.user) }
                        td { (sign_up.email) }
                        td { (sign_up.at) }
                        td {
                            @match &sign_up.job {
                                Some(state) => { span class=(format!("state {state}")) { (state) } }
                                None => { "done" }
                            }
                            @if let Some(error) = &sign_up.error {
                                br; small { (error) }
                            }
                        }
                        td {
                            @if let Some((at, attempt)) = &sign_up.mailed {
                                (at) @if *attempt > 1 { " (attempt " (attempt) ")" }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// What is answered to a sign-up that did not happen.
pub(crate) fn refusal(why: &str) -> Markup {
    frame(html! {
        h1 { "Not signed up" }
        p { (why) }
        p { a href="/" { "Back" } }
    })
}

fn frame(body: Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "actix-job-queue: the demo" }
                link rel="stylesheet" href="/style.css";
                // Without it, browsers ask for an icon that there is not.
                link rel="icon" href="data:,";
            }
            body { main { (body) } }
        }
    }
}

fn count(what: &str, number: i64) -> Markup {
    html! {
        li class=(what) { b { (number) } " " (what.to_lowercase().replace('_', " ")) }
    }
}

fn describe(trouble: Trouble) -> &'static str {
    match trouble {
        Trouble::Error => "return an error",
        Trouble::Panic => "panic",
        Trouble::Hang => "hang past its time-out",
    }
}
