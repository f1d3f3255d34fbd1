//! A throw-away PostgreSQL of one's own, gone with the process that started it, whatever ends that.

use std::{
    env, fmt, fs, io,
    io::Write,
    net::{TcpListener, TcpStream},
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

/// How to start a [`Cluster`].
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Server settings beside the defaults, such as `("commit_delay", "1000")`.
    pub settings: Vec<(String, String)>,
    /// A certificate and its key, both PEM: the server speaks TLS.
    pub tls: Option<(String, String)>,
    /// Whether what is committed survives a crash of the machine; tests do without.
    pub durable: bool,
    /// The data is on a file system of its own, of so many megabytes of memory; root alone can have that.
    pub disk: Option<u32>,
}

impl Options {
    /// A server that has room for many millions of rows.
    pub fn for_millions() -> Self {
        let settings = [("shared_buffers", "512MB"), ("max_wal_size", "8GB"), ("maintenance_work_mem", "256MB")];
        let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        Self { settings, ..Self::default() }
    }
}

/// A server that listens on a free port of 127.0.0.1 and trusts everybody there.
#[derive(Debug)]
pub struct Cluster {
    binaries: PathBuf,
    directory: PathBuf,
    port: u16,
    user: Option<User>,
    settings: Vec<(String, String)>,
    server: Option<Child>,
    /// Its standard input is held open by this process alone; once that ends, it cleans up.
    watchdog: Child,
}

/// Whom to become where this process is root, as which PostgreSQL refuses to run.
#[derive(Debug, Clone, Copy)]
struct User {
    uid: u32,
    gid: u32,
}

/// Why there is no server.
#[derive(Debug)]
pub enum ClusterError {
    /// PostgreSQL is not installed where anybody looks.
    NoBinaries,
    /// This process is root and there is nobody to become.
    NoUser,
    /// Something failed; the text says what was attempted and what the server said.
    Failed(String),
}

impl fmt::Display for ClusterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClusterError::NoBinaries => f.write_str(
                "PostgreSQL's initdb and postgres are neither in PG_BIN, on PATH, under /usr/lib/postgresql nor in \
                 Homebrew: install the server (Debian and Ubuntu: apt-get install postgresql; macOS: brew install \
                 postgresql), or set DATABASE_URL to one that runs",
            ),
            ClusterError::NoUser => f.write_str(
                "PostgreSQL refuses to run as root, and there is neither a user postgres nor a user nobody to become",
            ),
            ClusterError::Failed(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for ClusterError {}

fn failed<E: fmt::Display>(attempted: &str) -> impl FnOnce(E) -> ClusterError + '_ {
    move |error| ClusterError::Failed(format!("could not {attempted}: {error}"))
}

/// How long a server may take to accept connections.
const PATIENCE: Duration = Duration::from_secs(60);

impl Cluster {
    /// Makes a cluster in a temporary directory and starts it.
    pub fn start(options: Options) -> Result<Self, ClusterError> {
        let mut cluster = Self::prepare(options.settings)?;
        if let Some(megabytes) = options.disk {
            cluster.mount(megabytes)?;
        }
        cluster.init()?;
        if let Some((certificate, key)) = &options.tls {
            cluster.write_private("server.crt", certificate)?;
            cluster.write_private("server.key", key)?;
            cluster.settings.push(("ssl".into(), "on".into()));
        }
        if !options.durable {
            for setting in ["fsync", "synchronous_commit", "full_page_writes"] {
                cluster.settings.insert(0, (setting.into(), "off".into()));
            }
        }
        cluster.start_again()?;
        Ok(cluster)
    }

    /// A place for a server, with nothing in it.
    fn prepare(settings: Vec<(String, String)>) -> Result<Self, ClusterError> {
        let binaries = find_binaries().ok_or(ClusterError::NoBinaries)?;
        let user = if is_root() { Some(unprivileged_user().ok_or(ClusterError::NoUser)?) } else { None };
        let directory = make_directory(user)?;
        let watchdog = spawn_watchdog(&directory)?;
        let port = free_port().map_err(failed("find a free port"))?;
        Ok(Self { binaries, directory, port, user, settings, server: None, watchdog })
    }

    /// Starts a copy of this server, with the same settings, that follows it until it is promoted.
    pub fn standby(&self) -> Result<Self, ClusterError> {
        let mut standby = Self::prepare(self.settings.clone())?;
        let primary = format!("host=127.0.0.1 port={} user=postgres", self.port);
        let mut copy = standby.command("pg_basebackup");
        copy.arg("-D").arg(standby.data()).args(["-d", &primary, "-R", "-X", "stream", "-c", "fast", "--no-sync"]);
        said_well("pg_basebackup", &mut copy)?;
        standby.start_again()?;
        Ok(standby)
    }

    /// Makes a primary of a standby, and returns once it is one.
    pub fn promote(&self) -> Result<(), ClusterError> {
        said_well("pg_ctl promote", self.command("pg_ctl").arg("promote").arg("-D").arg(self.data()).args(["-w", "-s"]))
    }

    /// Where a database of this server is.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder of `psql`, `pg_dump` and the like.
    pub fn binaries(&self) -> &Path {
        &self.binaries
    }

    /// The folder that all of the server's data is in.
    pub fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    /// The process that all of the server's are children of.
    pub fn postmaster(&self) -> Option<u32> {
        self.server.as_ref().map(Child::id)
    }

    /// Whether the server is there: one may end by itself.
    pub fn runs(&mut self) -> bool {
        self.server.as_mut().is_some_and(|server| matches!(server.try_wait(), Ok(None)))
    }

    /// The end of what the server has logged.
    pub fn log_tail(&self, lines: usize) -> String {
        let log = fs::read_to_string(self.directory.join("log")).unwrap_or_default();
        let all: Vec<_> = log.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }

    /// Stops the server with a signal: `INT` for a fast stop, `QUIT` for an immediate one, `KILL` for a crash.
    pub fn stop(&mut self, signal: &str) -> Result<(), ClusterError> {
        if let Some(mut server) = self.server.take() {
            Command::new("kill")
                .args([format!("-{signal}"), server.id().to_string()])
                .status()
                .map_err(failed("signal the server"))?;
            server.wait().map_err(failed("wait for the server's end"))?;
        }
        Ok(())
    }

    /// Starts the server, after a stop for instance, and waits until it accepts connections.
    #[allow(clippy::disallowed_methods, reason = "whoever starts a server has nothing else to do meanwhile")]
    pub fn start_again(&mut self) -> Result<(), ClusterError> {
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.directory.join("log"))
            .map_err(failed("open the server's log"))?;
        let errors = log.try_clone().map_err(failed("open the server's log"))?;
        let mut server = self.command("postgres");
        server.arg("-D").arg(self.data()).arg("-p").arg(self.port.to_string());
        server.arg("-k").arg(&self.directory).args(["-h", "127.0.0.1"]);
        for (name, value) in [("max_connections", "200"), ("shared_buffers", "64MB"), ("max_wal_size", "1GB")] {
            server.arg("-c").arg(format!("{name}={value}"));
        }
        for (name, value) in &self.settings {
            server.arg("-c").arg(format!("{name}={value}"));
        }
        let mut child = server
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .process_group(0)
            .spawn()
            .map_err(failed("start postgres"))?;
        let begun = Instant::now();
        while !self.accepts_connections() {
            if let Ok(Some(status)) = child.try_wait() {
                let said = self.log_tail(20);
                return Err(ClusterError::Failed(format!("postgres ended with {status}; its log says:\n{said}")));
            }
            if begun.elapsed() > PATIENCE {
                let said = self.log_tail(20);
                // It is of no use any more.
                let _ = child.kill();
                return Err(ClusterError::Failed(format!("postgres took no connections in {PATIENCE:?}:\n{said}")));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.server = Some(child);
        Ok(())
    }

    fn accepts_connections(&self) -> bool {
        // A first line in the file says that a server is there, its last that it is ready.
        let ready = fs::read_to_string(self.data().join("postmaster.pid"))
            .is_ok_and(|file| file.lines().last().is_some_and(|line| line.trim() == "ready"));
        ready && TcpStream::connect(("127.0.0.1", self.port)).is_ok()
    }

    fn init(&self) -> Result<(), ClusterError> {
        let settings = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions"];
        said_well("initdb", self.command("initdb").arg("-D").arg(self.data()).args(settings))
    }

    /// The watchdog unmounts it.
    fn mount(&self, megabytes: u32) -> Result<(), ClusterError> {
        fs::create_dir(self.data()).map_err(failed("make a folder for the data"))?;
        let size = format!("size={megabytes}m");
        said_well("mount", Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(self.data()))?;
        give(&self.data(), self.user)
    }

    /// A file that only the server may read, as it demands of a key.
    fn write_private(&self, name: &str, text: &str) -> Result<(), ClusterError> {
        let path = self.data().join(name);
        fs::write(&path, text).map_err(failed("write the certificate"))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).map_err(failed("protect the key"))?;
        give(&path, self.user)
    }

    /// One of PostgreSQL's programs, as the user that may run it.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.binaries.join(program));
        command.current_dir(&self.directory).env("LC_ALL", "C").env_remove("PGDATA").env_remove("PGPORT");
        if let Some(user) = self.user {
            // Setting the user id as root drops root's other groups too.
            command.uid(user.uid).gid(user.gid);
        }
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // What cannot be stopped in order is stopped by the watchdog.
        let _ = self.stop("QUIT");
        drop(self.watchdog.stdin.take());
        let _ = self.watchdog.wait();
    }
}

/// Runs a program to its end, which must be a good one.
fn said_well(name: &str, command: &mut Command) -> Result<(), ClusterError> {
    let output = command.output().map_err(failed(&format!("run {name}")))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(ClusterError::Failed(format!("{name} failed: {}", String::from_utf8_lossy(&output.stderr)))),
    }
}

/// The folder of the server's programs.
fn find_binaries() -> Option<PathBuf> {
    let complete = |folder: &PathBuf| ["initdb", "postgres"].iter().all(|program| folder.join(program).is_file());
    let path = env::var_os("PATH").unwrap_or_default();
    let named = env::var_os("PG_BIN").map(PathBuf::from);
    let mut folders: Vec<PathBuf> = named.into_iter().chain(env::split_paths(&path)).collect();
    folders.extend(newest_first("/usr/lib/postgresql", |_| true));
    for homebrew in ["/opt/homebrew/opt", "/usr/local/opt"] {
        folders.extend(newest_first(homebrew, |name| name.starts_with("postgresql")));
    }
    // A link to one program, as some machines have them on PATH, does not lead to its fellows.
    let real = fs::canonicalize(folders.into_iter().find(complete)?.join("postgres")).ok()?;
    real.parent().map(Path::to_owned)
}

/// The `bin` folders of the versions in a folder.
fn newest_first(folder: &str, wanted: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let version = |name: &str| name.rsplit('@').next().and_then(|tail| tail.parse::<f32>().ok()).unwrap_or(0.0);
    let mut names: Vec<String> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| wanted(name))
        .collect();
    names.sort_by(|one, other| version(other).total_cmp(&version(one)));
    names.into_iter().map(|name| Path::new(folder).join(name).join("bin")).collect()
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout.trim_ascii() == b"0")
}

fn unprivileged_user() -> Option<User> {
    let users = fs::read_to_string("/etc/passwd").ok()?;
    ["postgres", "nobody"].into_iter().find_map(|wanted| {
        let line = users.lines().find(|line| line.split(':').next() == Some(wanted))?;
        let mut ids = line.split(':').skip(2).map(str::parse);
        Some(User { uid: ids.next()?.ok()?, gid: ids.next()?.ok()? })
    })
}

/// A directory of its own, with a name short enough for a socket's address.
fn make_directory(user: Option<User>) -> Result<PathBuf, ClusterError> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let directory = env::temp_dir().join(format!("ajq-{}-{number}", std::process::id()));
    fs::create_dir(&directory).map_err(failed("make a temporary directory"))?;
    give(&directory, user)?;
    Ok(directory)
}

fn give(path: &Path, user: Option<User>) -> Result<(), ClusterError> {
    match user {
        Some(user) => std::os::unix::fs::chown(path, Some(user.uid), Some(user.gid))
            .map_err(failed("give a file to the user that runs the server")),
        None => Ok(()),
    }
}

fn free_port() -> io::Result<u16> {
    TcpListener::bind(("127.0.0.1", 0))?.local_addr().map(|address| address.port())
}

/// A shell that waits for the end of this process, then ends the server and removes the directory.
fn spawn_watchdog(directory: &Path) -> Result<Child, ClusterError> {
    const SCRIPT: &str = r#"
        read -r line
        pid=$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null)
        if [ -n "$pid" ]; then
            kill -QUIT "$pid" 2>/dev/null
            for turn in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
                kill -0 "$pid" 2>/dev/null || break
                sleep 0.1
            done
            kill -KILL "$pid" 2>/dev/null
        fi
        umount -l "$1/data" 2>/dev/null
        rm -rf "$1"
    "#;
    let mut watchdog = Command::new("sh")
        .args(["-c", SCRIPT, "watchdog"])
        .arg(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // A signal to this process' group, such as Ctrl-C, must not end it first.
        .process_group(0)
        .spawn()
        .map_err(failed("start the watchdog"))?;
    if let Some(input) = &mut watchdog.stdin {
        input.flush().map_err(failed("reach the watchdog"))?;
    }
    Ok(watchdog)
}
