//! The demo's processes: a web server, a worker, or both in one, each with its orderly end.

use std::{
    io::{self, Write},
    net::{SocketAddr, TcpListener},
};

use actix_job_queue::{Handlers, Queue, Running};
use actix_web::{App, HttpServer, middleware::DefaultHeaders, web};
use tokio_util::sync::CancellationToken;

use crate::{Failure, app, mail::Postman, setup::Setup};

/// Scripts and styles of this server alone; a mail's address can bring none in.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
                      form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// Serves the page and works on the queue until Ctrl-C or a SIGTERM.
pub(crate) async fn interactive(setup: &Setup, port: u16) -> Result<(), Failure> {
    let queue = setup.queue().await?;
    let running = start(&queue, setup).await?;
    let stop = CancellationToken::new();
    let (address, server) = server(setup, queue, port, stop.clone()).await?;
    println!("The page is at http://{address}/ and the mails are in {}.", setup.mails.display());
    println!("Ctrl-C ends it in order.");

    let (signalled, served, report) = tokio::join!(
        async {
            let signalled = signal().await;
            stop.cancel();
            signalled
        },
        server,
        // The server may still enqueue while it answers what is under way; that goes on working.
        async {
            stop.cancelled().await;
            println!("\nShutting down …");
            running.shutdown().await
        },
    );
    println!("{report}.");
    signalled.map_err(Failure::because("wait for a signal"))?;
    served.map_err(Failure::because("serve the page"))
}

/// Serves the page until standard input ends; the first line of output is the address.
pub(crate) async fn web(setup: &Setup, port: u16) -> Result<(), Failure> {
    let stop = CancellationToken::new();
    let (address, server) = server(setup, setup.queue().await?, port, stop.clone()).await?;
    tell(&address);
    let (told, served) = tokio::join!(
        async {
            let told = end_of_input().await;
            stop.cancel();
            told
        },
        server
    );
    told.map_err(Failure::because("wait for the end of the input"))?;
    served.map_err(Failure::because("serve the page"))
}

/// Works on the queue until standard input ends, which it does with the process that started this one.
pub(crate) async fn worker(setup: &Setup) -> Result<(), Failure> {
    let queue = setup.queue().await?;
    let running = start(&queue, setup).await?;
    tell(&"ready");
    let told = end_of_input().await;
    tell(&running.shutdown().await);
    told.map_err(Failure::because("wait for the end of the input"))
}

async fn start(queue: &Queue, setup: &Setup) -> Result<Running, Failure> {
    let Setup { schema, mails, delivery, .. } = setup.clone();
    let handlers = Handlers::new().on("WelcomeMail", Postman { schema, folder: mails, delivery });
    queue.start(handlers).await.map_err(Failure::because("start the workers"))
}

async fn server(
    setup: &Setup,
    queue: Queue,
    port: u16,
    stop: CancellationToken,
) -> Result<(SocketAddr, actix_web::dev::Server), Failure> {
    let state = app::State { pool: setup.pool().await?, queue, schema: setup.schema.clone() };
    let listener = TcpListener::bind(("127.0.0.1", port)).map_err(Failure::because("listen on that port"))?;
    let address = listener.local_addr().map_err(Failure::because("read the port"))?;
    let server = HttpServer::new(move || {
        App::new()
            .app_data(web::Data::new(state.clone()))
            .wrap(
                DefaultHeaders::new()
                    .add(("Content-Security-Policy", POLICY))
                    .add(("X-Content-Type-Options", "nosniff")),
            )
            .configure(app::routes)
    })
    .workers(2)
    .shutdown_timeout(5)
    .shutdown_signal(stop.cancelled_owned())
    .listen(listener)
    .map_err(Failure::because("listen on that port"))?
    .run();
    Ok((address, server))
}

/// Tells the tour something; it may be gone, which the end of the input says already.
fn tell(what: &dyn std::fmt::Display) {
    let _ = writeln!(io::stdout(), "{what}");
}

/// Waits for the person or the system to end this process.
pub(crate) async fn signal() -> io::Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = terminate.recv() => Ok(()),
    }
}

/// Waits on a thread that may block, since reading standard input does.
async fn end_of_input() -> io::Result<()> {
    let read = tokio::task::spawn_blocking(|| io::copy(&mut io::stdin().lock(), &mut io::sink()));
    read.await.map_err(io::Error::other)?.map(|_| ())
}
