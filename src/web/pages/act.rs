//! What is done with jobs: asked about on a page that says how many they are, then done.

use actix_web::{
    HttpResponse,
    http::header::LOCATION,
    web::{Path, Query},
};
use maud::{Markup, html};

use super::{
    frame::{Crumb, frame},
    parts::{button, jobs, mark, thousands},
};
use crate::{
    operate::{Filter, Operator},
    web::{
        bulk::{self, Found},
        fields::Fields,
        filter,
        post::Posted,
        trouble::Trouble,
        verb::Verb,
        visit::Visit,
    },
};

/// So many jobs are named one by one between the question and the action, so that no job joins them meanwhile.
const NAMED: usize = 1_000;

/// What a form wants done.
struct Wish {
    verb: Verb,
    filter: Filter,
}

impl Wish {
    /// Jobs are ticked, or named, or all meant that a filter finds; nothing at all is a mistake, and not everything.
    fn of(visit: &Visit, fields: &Fields) -> Result<Self, Trouble> {
        let verb: Verb = fields.one("do").unwrap_or_default().parse()?;
        let filter = if fields.one("which") == Some("all") {
            filter::filter(fields)?
        } else {
            let words = fields.each("tick").chain(fields.each("ids").flat_map(|list| list.split(',')));
            let ids: Result<Vec<i64>, _> = words.map(str::parse).collect();
            let ids = ids.map_err(|error| Trouble::Unusable(format!("An id cannot be used: {error}.")))?;
            if ids.is_empty() {
                return Err(Trouble::Unusable("Tick the jobs that you mean, or choose all of them.".to_owned()));
            }
            Filter { ids: Some(ids), ..Filter::default() }
        };
        visit.check(&filter)?;
        Ok(Self { verb, filter: verb.among(filter)? })
    }
}

/// Asks whether it is meant.
pub(crate) async fn ask(
    visit: Visit,
    path: Path<(String, String)>,
    Query(fields): Query<Fields>,
) -> Result<Markup, Trouble> {
    if !visit.acts {
        return Err(Trouble::Forbidden("This dashboard is for looking only.".to_owned()));
    }
    let operator = visit.operator(&path.0, &path.1).await?;
    question(&visit, &operator, &fields).await
}

/// Does it, or asks first where it destroys and nobody was asked.
pub(crate) async fn act(posted: Posted, path: Path<(String, String)>) -> Result<HttpResponse, Trouble> {
    let Posted { visit, fields } = posted;
    let operator = visit.operator(&path.0, &path.1).await?;
    let wish = Wish::of(&visit, &fields)?;
    if wish.verb.destroys() && fields.one("sure").is_none() {
        let page = question(&visit, &operator, &fields).await?;
        return Ok(HttpResponse::Ok().content_type("text/html; charset=utf-8").body(page.into_string()));
    }
    let action = wish.verb.action(&wish.filter, fields.one("reason"));
    let done = bulk::act(&operator, &action, &wish.filter).await?;
    let told = |fields: Fields| {
        let fields = fields.with("did", wish.verb.word()).with("done", done.outcome.done);
        let fields = fields.with("locked", done.outcome.locked).with("unfit", done.outcome.unfit);
        if done.complete { fields } else { fields.with("more", 1) }
    };
    let name = operator.name();
    let to = match wish.filter.ids.as_deref() {
        Some([id]) if wish.verb != Verb::Delete => {
            format!("{}{}", visit.job(name, *id), told(Fields::default()).query())
        }
        _ => visit.jobs(name, &told(fields.only(&filter::NAMES))),
    };
    Ok(HttpResponse::SeeOther().insert_header((LOCATION, to)).finish())
}

async fn question(visit: &Visit, operator: &Operator, fields: &Fields) -> Result<Markup, Trouble> {
    let wish = Wish::of(visit, fields)?;
    let found = bulk::find(operator, &wish.filter).await?;
    let (name, verb) = (operator.name(), wish.verb);
    let asked = wish.filter.ids.as_ref().map(Vec::len);
    let back = match wish.filter.ids.as_deref() {
        Some([id]) => visit.job(name, *id),
        _ => visit.jobs(name, &fields.only(&filter::NAMES)),
    };
    let crumbs = [Crumb::queue(visit, name), Crumb::jobs(visit, name), Crumb::here(verb.label())];
    Ok(frame(
        visit,
        verb.label(),
        &crumbs,
        html! {
            h1 { (verb.label()) " " (count(&found)) "?" }
            @if found.ids.is_empty() && found.complete {
                p { "None of the jobs that you mean is there in a state for this." }
                p { a href=(back) { "Back" } }
            } @else {
                form class="sure" method="post" action=(visit.queue(name, "/act")) {
                    (mark(visit))
                    input type="hidden" name="sure" value="1";
                    p { (verb.meaning()) }
                    @if let Some(asked) = asked.filter(|asked| *asked > found.ids.len()) {
                        p class="quiet" { "You named " (jobs(asked)) "; the others have ended, or are in no state for this." }
                    }
                    (meant(fields, &found))
                    @if verb == Verb::Cancel {
                        label class="wide" { "Reason, kept as their error"
                            input name="reason" value="cancelled by an operator" autocomplete="off"; }
                    }
                    div class="row" { (button(verb)) a class="button" href=(back) { "Keep them" } }
                }
            }
        },
    ))
}

fn count(found: &Found) -> String {
    if found.complete { jobs(found.ids.len()) } else { format!("at least {}", jobs(found.ids.len())) }
}

/// The jobs themselves where they are not too many, else the filter that finds them.
fn meant(fields: &Fields, found: &Found) -> Markup {
    let named = found.complete && found.ids.len() <= NAMED;
    let ids: Vec<_> = found.ids.iter().map(i64::to_string).collect();
    html! {
        @if named {
            input type="hidden" name="ids" value=(ids.join(","));
        } @else {
            p class="quiet" { "They are too many to name one by one: what the filter means when you agree is meant." }
            input type="hidden" name="which" value="all";
        }
        @if fields.one("which") == Some("all") {
            dl class="facts" {
                @for (field, value) in fields.only(&filter::NAMES).0 { div { dt { (field) } dd { bdi { (value) } } } }
            }
        }
        // They lead back to the same list.
        @for (field, value) in fields.only(&filter::NAMES).0 { input type="hidden" name=(field) value=(value); }
    }
}

/// What was done, as the page that follows it says. The numbers stand in the link, and nothing else does.
pub(crate) fn notice(fields: &Fields) -> Markup {
    let number = |field| fields.one(field).and_then(|text| text.parse::<i64>().ok()).unwrap_or(0);
    let verb = fields.one("did").and_then(|word| word.parse::<Verb>().ok());
    html! {
        @if let Some(verb) = verb {
            div class="notice good" role="status" {
                p {
                    (jobs(usize::try_from(number("done")).unwrap_or(0))) " " (verb.done()) "."
                    @if number("unfit") > 0 {
                        " " (thousands(number("unfit"))) " had ended, or come to be in another state, meanwhile."
                    }
                    @if number("locked") > 0 {
                        " " (thousands(number("locked"))) " were left, since their completions are about to commit: look at them again."
                    }
                    @if number("more") > 0 { " There are more: do it again to go on." }
                }
            }
        }
    }
}
