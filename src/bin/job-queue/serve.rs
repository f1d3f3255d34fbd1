//! The dashboard by itself, for whoever has no application to mount it in.

use std::{env, net::SocketAddr};

use actix_job_queue::web::{Access, Dashboard};
use actix_web::{
    App, HttpRequest, HttpServer,
    error::{ErrorForbidden, InternalError},
    http::header::{AUTHORIZATION, HOST, WWW_AUTHENTICATE},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use sha2::{Digest, Sha256};

use crate::{
    cli::Target,
    connect,
    failure::Failure,
    output::{print, shown},
};

/// A shorter one can be guessed.
const SHORTEST: usize = 16;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Everybody on this machine can open a page at a loopback address. With JOB_QUEUE_TOKEN set, browsers ask \
for a name and a password: any name, and the token. Traffic is not encrypted: between machines, put a proxy with TLS \
in front.\n\nExamples:\n  job-queue serve\n  job-queue serve --allow-actions --listen 127.0.0.1:9000\n  \
JOB_QUEUE_TOKEN=$(openssl rand -hex 32) job-queue serve --listen 0.0.0.0:8008"
)]
pub(crate) struct Args {
    /// The address and port.
    #[arg(long, default_value = "127.0.0.1:8008", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Lets visitors retry, cancel, delete, pause and so on. Without it they can look only.
    #[arg(long)]
    allow_actions: bool,
    /// Serves other machines without a token: whoever reaches the port sees everything.
    #[arg(long)]
    unguarded: bool,
}

pub(crate) async fn run(target: &Target, args: Args) -> Result<(), Failure> {
    let token = env::var("JOB_QUEUE_TOKEN").ok().filter(|token| !token.is_empty());
    if token.as_ref().is_some_and(|token| token.len() < SHORTEST) {
        return Err(Failure::Usage(format!(
            "JOB_QUEUE_TOKEN is shorter than {SHORTEST} characters: take a random one"
        )));
    }
    let loopback = args.listen.ip().is_loopback();
    if !loopback && token.is_none() && !args.unguarded {
        return Err(Failure::Usage(format!(
            "other machines reach {}: set JOB_QUEUE_TOKEN to what visitors must know, or say --unguarded",
            args.listen
        )));
    }
    let hidden = target.hidden_keys()?;
    let database = connect::database(target).await?;
    let dashboard = match token {
        Some(token) => {
            let wanted = Sha256::digest(&token);
            Dashboard::guarded(&database, async move |request| by_token(request, &wanted))
        }
        None if loopback => Dashboard::guarded(&database, async |request| by_host(request)),
        None => Dashboard::unguarded(&database),
    };
    let dashboard = match hidden {
        Some(keys) => dashboard.redact_with(keys),
        None => dashboard,
    };
    let dashboard = if args.allow_actions { dashboard.allow_actions() } else { dashboard };
    let server = HttpServer::new(move || App::new().service(dashboard.at("/"))).workers(1);
    let failed = |error| Failure::Other(format!("could not listen at {}: {error}", args.listen));
    let server = server.bind(args.listen).map_err(failed)?;
    for address in server.addrs() {
        print(&shown(&format!("http://{address}/")))?;
    }
    Ok(server.run().await?)
}

/// Digests are compared, so that the time it takes tells nothing of the token.
fn by_token(request: &HttpRequest, wanted: &[u8]) -> actix_web::Result<Access> {
    let header = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let known = header.and_then(|value| match value.split_once(' ')? {
        (scheme, token) if scheme.eq_ignore_ascii_case("bearer") => Some(token.to_owned()),
        (scheme, pair) if scheme.eq_ignore_ascii_case("basic") => {
            let pair = String::from_utf8(BASE64_STANDARD.decode(pair).ok()?).ok()?;
            Some(pair.split_once(':')?.1.to_owned())
        }
        _ => None,
    });
    if known.is_some_and(|token| Sha256::digest(token)[..] == *wanted) {
        return Ok(Access::Act);
    }
    let answer = actix_web::HttpResponse::Unauthorized()
        .insert_header((WWW_AUTHENTICATE, "Basic realm=\"job queue\", charset=\"UTF-8\""))
        .body("any name, and the token\n");
    Err(InternalError::from_response("no token", answer).into())
}

/// A page of another site may lead its own name to this machine's loopback address, and then speak to this program as if
/// it were the site's; but it cannot speak to it by this machine's names.
fn by_host(request: &HttpRequest) -> actix_web::Result<Access> {
    let host = request.headers().get(HOST).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => name,
        _ => host,
    };
    let ip = name.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    if name.eq_ignore_ascii_case("localhost") || ip.is_ok_and(|ip| ip.is_loopback()) {
        return Ok(Access::Act);
    }
    Err(ErrorForbidden(format!("this machine is asked for as {host:?}: open it as localhost\n")))
}
