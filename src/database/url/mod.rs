//! libpq's connection strings: what tokio-postgres reads, and the words about TLS that it does not.
//!
//! tokio-postgres refuses `sslmode=verify-full` and `sslrootcert`, which stand in the string of every
//! cloud provider. Such parameters are cut out here; what is left is handed over as it was written, so
//! that nothing in it can be changed on the way.

mod error;
mod pieces;
#[cfg(test)]
mod tests;

use std::{path::PathBuf, time::Duration};

use tokio_postgres::{
    Config,
    config::{Host, SslMode},
};

pub use error::UrlError;
use pieces::{Parameter, Pieces};

/// Dead hosts do not answer: the next host, or the caller, should not wait for the system's minutes.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A host that vanishes after a statement was sent acknowledges nothing, and keepalives are not sent
/// while data is under way: this ends that half-open connection.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(30);
/// A connection that only listens sends nothing. Unless probed, it never learns that the host is gone;
/// the system's first probe comes after two hours.
const KEEPALIVES_IDLE: Duration = Duration::from_secs(30);
/// With three probes, a half-open connection is found a minute after its last sign of life.
const KEEPALIVES_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVES_RETRIES: u32 = 3;
/// Tells an operator in `pg_stat_activity` whose connections these are, half-open ones too.
const APPLICATION_NAME: &str = "actix-job-queue";

/// A connection string, read.
#[derive(Debug, Clone)]
pub(crate) struct ConnectionString {
    /// Everything that tokio-postgres does; its `ssl_mode` agrees with `tls`.
    pub(crate) config: Config,
    /// How to encrypt, and what to check of the server.
    pub(crate) tls: TlsMode,
}

/// The `sslmode` that was asked for, together with what it trusts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TlsMode {
    /// Never encrypt.
    Disable,
    /// Encrypt if the server can, and check nothing. Stands for `allow` too.
    Prefer,
    /// Encrypt or fail. As in libpq nothing is checked, unless `~/.postgresql/root.crt` exists.
    Require,
    /// Encrypt, and check that an authority of the root vouches for the server, by whatever name.
    VerifyCa { root: RootCert },
    /// Encrypt, and check that an authority of the root vouches for the server by the name it was called.
    VerifyFull { root: RootCert },
}

/// The authorities that may vouch for a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RootCert {
    /// `sslrootcert` was not given: libpq's `~/.postgresql/root.crt`, or the system's if there is none.
    Default,
    /// Those that the operating system trusts.
    System,
    /// Those in a PEM file.
    File(PathBuf),
}

impl ConnectionString {
    /// Reads a `postgres://` or `postgresql://` URL, or a list of `key=value` pairs.
    ///
    /// TLS over a Unix socket does not exist: where all hosts are sockets, `sslmode` is ignored, as libpq does.
    ///
    /// # Errors
    /// The string is malformed, or asks for something that cannot be had. No error shows a value of it.
    pub(crate) fn parse(text: &str) -> Result<Self, UrlError> {
        let pieces = Pieces::of(text)?;
        let mut asked = Asked::default();
        let mut rest = Vec::new();
        for parameter in &pieces.parameters {
            if !asked.takes(parameter)? {
                rest.push(parameter);
            }
        }
        let mut tls = asked.mode()?;
        let mut config = pieces.config(&rest)?;
        fill_in(&mut config, |key| rest.iter().any(|parameter| parameter.key == key));
        if reaches_only_sockets(&config) {
            tls = TlsMode::Disable;
        }
        config.ssl_mode(match tls {
            TlsMode::Disable => SslMode::Disable,
            TlsMode::Prefer => SslMode::Prefer,
            TlsMode::Require | TlsMode::VerifyCa { .. } | TlsMode::VerifyFull { .. } => SslMode::Require,
        });
        Ok(Self { config, tls })
    }
}

/// The connector for a build without TLS.
///
/// # Errors
/// The mode promises an encrypted connection.
#[cfg(any(test, not(feature = "tls-rustls")))]
pub(crate) fn plain_only(tls: &TlsMode) -> Result<tokio_postgres::NoTls, UrlError> {
    let sslmode = match tls {
        TlsMode::Disable | TlsMode::Prefer => return Ok(tokio_postgres::NoTls),
        TlsMode::Require => "require",
        TlsMode::VerifyCa { .. } => "verify-ca",
        TlsMode::VerifyFull { .. } => "verify-full",
    };
    Err(UrlError::NoTls { sslmode })
}

fn fill_in(config: &mut Config, given: impl Fn(&str) -> bool) {
    if !given("connect_timeout") {
        config.connect_timeout(CONNECT_TIMEOUT);
    }
    if !given("tcp_user_timeout") {
        config.tcp_user_timeout(TCP_USER_TIMEOUT);
    }
    if !given("keepalives_idle") {
        config.keepalives_idle(KEEPALIVES_IDLE);
    }
    if !given("keepalives_interval") {
        config.keepalives_interval(KEEPALIVES_INTERVAL);
    }
    if !given("keepalives_retries") {
        config.keepalives_retries(KEEPALIVES_RETRIES);
    }
    if !given("application_name") {
        config.application_name(APPLICATION_NAME);
    }
    if config.get_hosts().is_empty() {
        // tokio-postgres gives the TLS handshake the host's name and refuses to do without. An address is
        // a name that a certificate can hold.
        for address in config.get_hostaddrs().to_vec() {
            config.host(address.to_string());
        }
    }
}

fn reaches_only_sockets(config: &Config) -> bool {
    let hosts = config.get_hosts();
    let no_tcp = hosts.iter().all(|host| !matches!(host, Host::Tcp(_)));
    !hosts.is_empty() && no_tcp && config.get_hostaddrs().is_empty()
}

/// What the string says about encryption.
#[derive(Default)]
struct Asked {
    sslmode: Option<Word>,
    root: Option<RootCert>,
}

/// The values of `sslmode`.
#[derive(Clone, Copy)]
enum Word {
    Disable,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

impl Asked {
    /// Whether the parameter is one that tokio-postgres shall not see.
    fn takes(&mut self, parameter: &Parameter<'_>) -> Result<bool, UrlError> {
        // libpq takes an empty path for none.
        let empty = parameter.value.is_empty();
        match (&*parameter.key, parameter.text()) {
            ("sslmode", word) => self.sslmode = Some(Word::read(word)?),
            // libpq knows this one from JDBC's URLs.
            ("ssl", Some("true")) if parameter.in_url => self.sslmode = Some(Word::Require),
            ("sslrootcert", Some("system")) => self.root = Some(RootCert::System),
            ("sslrootcert", Some("")) => self.root = None,
            ("sslrootcert", Some(path)) => self.root = Some(RootCert::File(path.into())),
            ("sslrootcert", None) => {
                return Err(UrlError::Value { key: "sslrootcert", expected: "a path in UTF-8 or the word system" });
            }
            ("sslcert", _) if !empty => return Err(UrlError::client_certificate("sslcert")),
            ("sslkey", _) if !empty => return Err(UrlError::client_certificate("sslkey")),
            ("sslcrl", _) if !empty => return Err(UrlError::revocation_list("sslcrl")),
            ("sslcrldir", _) if !empty => return Err(UrlError::revocation_list("sslcrldir")),
            // Empty, or of no use without `sslkey`.
            ("sslcert" | "sslkey" | "sslcrl" | "sslcrldir" | "sslpassword", _) => {}
            // There is neither GSSAPI nor compression here, and neither was insisted on.
            ("gssencmode", Some("disable" | "prefer")) | ("sslcompression", _) => {}
            ("gssencmode", Some("require")) => {
                return Err(UrlError::Unsupported {
                    key: "gssencmode",
                    remedy: "encrypt with TLS and sslmode instead",
                });
            }
            ("gssencmode", _) => return Err(UrlError::Value { key: "gssencmode", expected: "disable or prefer" }),
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn mode(self) -> Result<TlsMode, UrlError> {
        match (self.sslmode, self.root) {
            (None | Some(Word::VerifyFull), Some(RootCert::System)) => {
                Ok(TlsMode::VerifyFull { root: RootCert::System })
            }
            (Some(_), Some(RootCert::System)) => Err(UrlError::AnybodyTrusted),
            (Some(Word::Disable), _) => Ok(TlsMode::Disable),
            (None | Some(Word::Prefer), None) => Ok(TlsMode::Prefer),
            (None | Some(Word::Prefer), Some(_)) => Err(UrlError::RootUnused),
            (Some(Word::Require), None) => Ok(TlsMode::Require),
            // As libpq has it for the sake of its own past.
            (Some(Word::Require), Some(root)) => Ok(TlsMode::VerifyCa { root }),
            (Some(Word::VerifyCa), root) => Ok(TlsMode::VerifyCa { root: root.unwrap_or(RootCert::Default) }),
            (Some(Word::VerifyFull), root) => Ok(TlsMode::VerifyFull { root: root.unwrap_or(RootCert::Default) }),
        }
    }
}

impl Word {
    fn read(text: Option<&str>) -> Result<Self, UrlError> {
        match text {
            Some("disable") => Ok(Word::Disable),
            // `allow` would try without encryption first. Nobody is worse off for trying with it first.
            Some("allow" | "prefer") => Ok(Word::Prefer),
            Some("require") => Ok(Word::Require),
            Some("verify-ca") => Ok(Word::VerifyCa),
            Some("verify-full") => Ok(Word::VerifyFull),
            _ => Err(UrlError::Value {
                key: "sslmode",
                expected: "disable, allow, prefer, require, verify-ca or verify-full",
            }),
        }
    }
}
