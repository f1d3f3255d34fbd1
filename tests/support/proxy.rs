//! A TCP proxy before the server, for faults of the network.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinSet,
};

/// What happens to what passes through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mode {
    /// Everything passes.
    Pass,
    /// Nothing passes and nobody is told: a half-open connection.
    Swallow,
    /// Each piece is late by so much.
    Delay(Duration),
    /// Each piece is late by the first, and one in so many by the second too, as one is that was lost and sent again.
    Lossy(Duration, Duration, u32),
    /// A statement that contains this text reaches the server; once it is answered the client is cut off
    /// without the answer.
    LoseAnswerTo(&'static str),
    /// A statement that contains this text does not reach the server: its connection is broken before.
    CutBefore(&'static str),
}

/// Stands between clients and a server on this machine.
pub struct Proxy {
    port: u16,
    mode: watch::Sender<Mode>,
    cut: watch::Sender<u32>,
    /// How often all connections that there were have fallen silent for good.
    stranded: watch::Sender<u32>,
    lost: watch::Receiver<u32>,
    _accepting: JoinSet<()>,
}

impl Proxy {
    pub async fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let (mode, modes) = watch::channel(Mode::Pass);
        let (cut, cuts) = watch::channel(0);
        let (stranded, strandings) = watch::channel(0);
        let (lose, lost) = watch::channel(0);
        let lose = Arc::new(lose);
        let mut accepting = JoinSet::new();
        accepting.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let (modes, mut cuts, lose) = (modes.clone(), cuts.clone(), Arc::clone(&lose));
                let mut strandings = strandings.clone();
                cuts.mark_unchanged();
                strandings.mark_unchanged();
                connections.spawn(async move {
                    tokio::select! {
                        () = carry(client, server, modes, strandings, lose) => {}
                        _ = cuts.changed() => {}
                    }
                });
            }
        });
        Self { port, mode, cut, stranded, lost, _accepting: accepting }
    }

    /// The same database through the proxy.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    pub fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    /// Breaks every connection that there is.
    pub fn cut(&self) {
        self.cut.send_modify(|cuts| *cuts += 1);
    }

    /// Has every connection that there is swallow all that is sent on it from now on, and stay open.
    pub fn strand(&self) {
        self.stranded.send_modify(|strandings| *strandings += 1);
    }

    /// Waits until an answer was lost.
    pub async fn answer_lost(&self) {
        self.lost.clone().wait_for(|lost| *lost > 0).await.expect("the proxy runs");
    }
}

async fn carry(
    client: TcpStream,
    server: SocketAddr,
    modes: watch::Receiver<Mode>,
    stranded: watch::Receiver<u32>,
    lose: Arc<watch::Sender<u32>>,
) {
    let Ok(server) = TcpStream::connect(server).await else {
        return;
    };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    // Set once the statement has passed whose answer is to be lost.
    let doomed = Arc::new(Mutex::new(false));
    let asked = Arc::clone(&doomed);
    let questions = pump(from_client, to_server, modes.clone(), stranded.clone(), move |mode, bytes| {
        let contains = |text: &str| bytes.windows(text.len()).any(|part| part == text.as_bytes());
        match mode {
            Mode::LoseAnswerTo(text) if contains(text) => *asked.lock().expect("no panic") = true,
            Mode::CutBefore(text) if contains(text) => return false,
            _ => {}
        }
        true
    });
    let answers = pump(from_server, to_client, modes, stranded, move |_, _| {
        if *doomed.lock().expect("no panic") {
            lose.send_modify(|lost| *lost += 1);
            return false;
        }
        true
    });
    tokio::select! {
        () = questions => {}
        () = answers => {}
    }
}

/// Passes bytes on until either side ends, or `look` says so.
async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    modes: watch::Receiver<Mode>,
    stranded: watch::Receiver<u32>,
    mut look: impl FnMut(&Mode, &[u8]) -> bool,
) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let Ok(count @ 1..) = from.read(&mut buffer).await else {
            return;
        };
        let silent = stranded.has_changed().unwrap_or(false);
        let mode = if silent { Mode::Swallow } else { modes.borrow().clone() };
        if !look(&mode, &buffer[..count]) {
            return;
        }
        match mode {
            Mode::Swallow => continue,
            Mode::Delay(late) => tokio::time::sleep(late).await,
            Mode::Lossy(late, more, one_in) => {
                let again = if fastrand::u32(..one_in) == 0 { more } else { Duration::ZERO };
                tokio::time::sleep(late + again).await;
            }
            Mode::Pass | Mode::LoseAnswerTo(_) | Mode::CutBefore(_) => {}
        }
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}
