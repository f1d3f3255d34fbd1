//! The web application: a sign-up, and a look at what becomes of its job.

use actix_job_queue::{NewJob, Queue, tokio_postgres::types::Type};
use actix_web::{
    HttpResponse, Responder, ResponseError,
    http::{StatusCode, header},
    web,
};
use lettre::Address;
use maud::Markup;
use serde::Deserialize;

use crate::{
    Failure,
    mail::{Trouble, WelcomeMail},
    page,
    setup::Pool,
    status::{self, Status},
};

/// What every route works with.
#[derive(Clone)]
pub(crate) struct State {
    pub(crate) pool: Pool,
    pub(crate) queue: Queue,
    pub(crate) schema: String,
}

/// The form of the page.
#[derive(Debug, Deserialize)]
struct SignUpForm {
    email: String,
    /// What the job's first attempt shall suffer; a word of [`Trouble`].
    #[serde(default)]
    trouble: String,
    /// `1` has the sign-up fail after its job was enqueued.
    #[serde(default)]
    rollback: String,
}

/// Why there was no sign-up; nothing of it was kept.
#[derive(Debug)]
enum Refused {
    NoAddress,
    RolledBack,
    Taken,
    Failed,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Refused::NoAddress => f.write_str("This is no address for mails."),
            Refused::RolledBack => f.write_str("Rolled back as asked: neither the user nor the job exists."),
            Refused::Taken => f.write_str("Somebody has signed up with this address already."),
            Refused::Failed => f.write_str("Something failed; the server's log says what."),
        }
    }
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        log::error!("{failure}");
        Refused::Failed
    }
}

impl ResponseError for Refused {
    fn status_code(&self) -> StatusCode {
        match self {
            Refused::NoAddress => StatusCode::UNPROCESSABLE_ENTITY,
            Refused::RolledBack | Refused::Taken => StatusCode::CONFLICT,
            Refused::Failed => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn error_response(&self) -> HttpResponse {
        HttpResponse::build(self.status_code())
            .content_type(header::ContentType::html())
            .body(page::refusal(&self.to_string()).into_string())
    }
}

/// The routes.
pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/", web::get().to(index))
        .route("/signup", web::post().to(sign_up))
        .route("/fragment", web::get().to(fragment))
        .route("/state", web::get().to(state))
        .route("/live.js", web::get().to(async || asset("text/javascript", include_str!("live.js"))))
        .route("/style.css", web::get().to(async || asset("text/css", include_str!("style.css"))));
}

/// Inserts the user and enqueues the mail in one transaction: both happen or neither.
async fn sign_up(state: web::Data<State>, form: web::Form<SignUpForm>) -> Result<impl Responder, Refused> {
    let email = form.email.trim();
    email.parse::<Address>().map_err(|_| Refused::NoAddress)?;
    let trouble = Trouble::ALL.into_iter().find(|(_, word)| *word == form.trouble).map(|(trouble, _)| trouble);

    let mut connection = state.pool.get().await.map_err(Failure::because("get a connection"))?;
    let transaction = connection.transaction().await.map_err(Failure::because("begin a sign-up"))?;
    let insert =
        format!("INSERT INTO {}.users (email) VALUES ($1) ON CONFLICT (email) DO NOTHING RETURNING id", state.schema);
    let inserted = transaction
        .query_typed_opt(&insert, &[(&email, Type::TEXT)])
        .await
        .map_err(Failure::because("insert the user"))?;
    let user = inserted.ok_or(Refused::Taken)?.get(0);

    let mail = WelcomeMail { user, email: email.to_owned(), trouble };
    let job = NewJob::new(&mail).map_err(Failure::because("write down the job"))?;
    state.queue.enqueue(&transaction, job).await.map_err(Failure::because("enqueue the mail"))?;

    if form.rollback == "1" {
        // Dropping the transaction rolls it back, the job with it.
        return Err(Refused::RolledBack);
    }
    transaction.commit().await.map_err(Failure::because("commit a sign-up"))?;
    Ok(web::Redirect::to("/").see_other())
}

async fn index(state: web::Data<State>) -> Result<Markup, Refused> {
    let (status, latest) = look(&state).await?;
    Ok(page::index(&status, &latest))
}

async fn fragment(state: web::Data<State>) -> Result<Markup, Refused> {
    let (status, latest) = look(&state).await?;
    Ok(page::live(&status, &latest))
}

async fn state(state: web::Data<State>) -> Result<impl Responder, Refused> {
    let (status, latest) = look(&state).await?;
    Ok(web::Json(serde_json::json!({ "status": status, "latest": latest })))
}

async fn look(state: &State) -> Result<(Status, Vec<status::SignUp>), Failure> {
    let status = Status::read(&state.pool, &state.schema).await?;
    Ok((status, status::latest(&state.pool, &state.schema, 12).await?))
}

fn asset(kind: &'static str, text: &'static str) -> HttpResponse {
    HttpResponse::Ok().content_type(kind).body(text)
}
