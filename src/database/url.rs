//! libpq's connection strings: what tokio-postgres reads, and the words about TLS that it does not.
//!
//! tokio-postgres refuses `sslmode=verify-full` and `sslrootcert`, which stand in the string of every
//! cloud provider. Such parameters are cut out here; what is left is handed over as it was written, so
//! that nothing in it can be changed on the way.

use std::{borrow::Cow, path::PathBuf, time::Duration};

use tokio_postgres::{
    Config,
    config::{Host, SslMode},
};

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

/// A connection string, taken apart between its parameters.
struct Pieces<'a> {
    /// What comes before the first parameter: a URL up to its `?`, nothing of a list of pairs.
    head: &'a str,
    parameters: Vec<Parameter<'a>>,
}

struct Parameter<'a> {
    /// As it was written.
    raw: &'a str,
    key: Cow<'a, str>,
    /// Without its quotes or percents. What they stood for may be no UTF-8.
    value: Cow<'a, [u8]>,
    in_url: bool,
}

impl Parameter<'_> {
    fn text(&self) -> Option<&str> {
        str::from_utf8(&self.value).ok()
    }
}

impl<'a> Pieces<'a> {
    fn of(text: &'a str) -> Result<Self, UrlError> {
        match ["postgres://", "postgresql://"].into_iter().find(|scheme| text.starts_with(scheme)) {
            Some(scheme) => Self::of_url(text, scheme.len()),
            None => Ok(Self { head: "", parameters: pairs(text)? }),
        }
    }

    fn of_url(text: &'a str, scheme: usize) -> Result<Self, UrlError> {
        let credentials = text[scheme..].find('@').map_or(0, |at| at + 1);
        let (before, after) = text.split_at(scheme + credentials);
        let (address, query) = after.split_once('?').unwrap_or((after, ""));
        // libpq ends the credentials at an @ before any slash, tokio-postgres at the first anywhere: where
        // they differ one would connect to the wrong host, or show a part of the password as its name.
        if before[scheme..].contains('/') || address.contains('@') {
            return Err(UrlError::Ambiguous);
        }
        let pieces = query.split('&').filter(|piece| !piece.is_empty());
        let parameters = pieces.map(query_parameter).collect::<Result<_, _>>()?;
        Ok(Self { head: &text[..before.len() + address.len()], parameters })
    }

    fn config(&self, parameters: &[&Parameter<'a>]) -> Result<Config, UrlError> {
        joined(self.head, parameters).parse().map_err(|source| {
            // tokio-postgres names the parameter in prose only, so each is tried alone.
            // The @ keeps one in a value from being taken for the end of credentials.
            let head = if self.head.is_empty() { "" } else { "postgres://@" };
            let refused = |parameter: &&Parameter<'a>| joined(head, &[parameter]).parse::<Config>().is_err();
            match parameters.iter().position(refused) {
                None => UrlError::Address { source },
                Some(at) if is_surely_a_name(parameters, at) => {
                    UrlError::Parameter { key: parameters[at].key.to_string(), source }
                }
                Some(_) => UrlError::NoParameter,
            }
        })
    }
}

fn joined(head: &str, parameters: &[&Parameter<'_>]) -> String {
    let raw: Vec<_> = parameters.iter().map(|parameter| parameter.raw).collect();
    match head {
        "" => raw.join(" "),
        url => format!("{url}?{}", raw.join("&")),
    }
}

/// Whether a key can be shown: one that was torn from a password which should have been quoted cannot.
fn is_surely_a_name(parameters: &[&Parameter<'_>], at: usize) -> bool {
    let is_word = |key: &str| key.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    let follows_password = at > 0 && parameters[at - 1].key == "password";
    is_word(&parameters[at].key) && !follows_password && !parameters[at].value.contains(&b'@')
}

fn query_parameter(raw: &str) -> Result<Parameter<'_>, UrlError> {
    let (key, value) = raw.split_once('=').ok_or(UrlError::Syntax)?;
    let decode = |text| percent_encoding::percent_decode_str(text);
    Ok(Parameter { raw, key: decode(key).decode_utf8_lossy(), value: decode(value).into(), in_url: true })
}

fn pairs(text: &str) -> Result<Vec<Parameter<'_>>, UrlError> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let begin = rest;
        let end_of_key = begin.find(|c: char| c == '=' || c.is_whitespace()).ok_or(UrlError::Syntax)?;
        let (key, after) = begin.split_at(end_of_key);
        if key.is_empty() || key.contains("://") {
            return Err(UrlError::Syntax);
        }
        let written = after.trim_start().strip_prefix('=').ok_or(UrlError::Syntax)?.trim_start();
        let (value, length) = unquoted(written).ok_or(UrlError::Syntax)?;
        let after = &written[length..];
        found.push(Parameter {
            raw: &begin[..begin.len() - after.len()],
            key: key.into(),
            value: value.into_bytes().into(),
            in_url: false,
        });
        rest = after.trim_start();
    }
    Ok(found)
}

/// A value at the begin of a text, and how many bytes it takes there; nothing if it does not end.
fn unquoted(written: &str) -> Option<(String, usize)> {
    let quoted = written.starts_with('\'');
    let mut value = String::new();
    let mut chars = written.char_indices().skip(usize::from(quoted));
    while let Some((at, c)) = chars.next() {
        match c {
            '\'' if quoted => return Some((value, at + 1)),
            c if c.is_whitespace() && !quoted => return Some((value, at)),
            '\\' => value.extend(chars.next().map(|(_, escaped)| escaped)),
            c => value.push(c),
        }
    }
    (!quoted && !value.is_empty()).then_some((value, written.len()))
}

/// Why a connection string cannot be used. Neither its text nor its `Debug` shows a password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// It is neither a URL nor a list of pairs.
    #[error(
        "could not read the connection string: write postgres://user:password@host/database?key=value&key=value, with \
         %26 for an & in a value, or key=value key=value, with '' round a value that is empty or has spaces, and \\' \
         for a quote in it"
    )]
    Syntax,
    /// There are more `@` and `/` in it than a URL has.
    #[error(
        "could not tell where the password ends and the host begins: in user, password and database, and in a URL \
         without a user everywhere, write %40 for @ and %2F for /"
    )]
    Ambiguous,
    /// The part before the parameters.
    #[error("could not read the user, host or port of the connection string: percent-encode what is not plain text")]
    Address {
        /// What tokio-postgres says of it.
        source: tokio_postgres::Error,
    },
    /// tokio-postgres does not know the parameter, or not with this value.
    #[error("could not use the connection string's parameter {key}: correct it or leave it out")]
    Parameter {
        /// The parameter's name.
        key: String,
        /// What tokio-postgres says of it.
        source: tokio_postgres::Error,
    },
    /// A name that is left unsaid, because it could be a part of a password.
    #[error(
        "could not use a parameter of the connection string, which may be the end of a password: in a URL write %26 \
         for & and %40 for @, elsewhere put '' round the value"
    )]
    NoParameter,
    /// A value that is none of those that there are.
    #[error("could not use the connection string's {key}: it must be {expected}")]
    Value {
        /// The parameter's name.
        key: &'static str,
        /// What it could be.
        expected: &'static str,
    },
    /// Something that libpq can do and this library cannot.
    #[error("could not honour the connection string's {key}: {remedy}")]
    Unsupported {
        /// The parameter's name.
        key: &'static str,
        /// What to do instead.
        remedy: &'static str,
    },
    /// `sslrootcert=system` with a mode that does not check the server's name.
    #[error(
        "could not use sslrootcert=system with this sslmode: anybody can get a certificate from a public authority, so \
         the name must be checked too; write sslmode=verify-full"
    )]
    AnybodyTrusted,
    /// An `sslrootcert` that nothing would be checked against.
    #[error(
        "could not use sslrootcert with sslmode=prefer, which checks nothing and is the default: write \
         sslmode=verify-full, or sslmode=verify-ca if the certificate has another name than the host"
    )]
    RootUnused,
    /// This build cannot encrypt.
    #[error(
        "could not honour sslmode={sslmode}, as this build has no TLS: enable the feature tls-rustls of \
         actix-job-queue, or bring a connector of your own with DatabaseOptions::connect_with"
    )]
    NoTls {
        /// The mode that was asked for.
        sslmode: &'static str,
    },
}

impl UrlError {
    fn client_certificate(key: &'static str) -> Self {
        let remedy = "client certificates need a connector of your own, see DatabaseOptions::connect_with";
        Self::Unsupported { key, remedy }
    }

    fn revocation_list(key: &'static str) -> Self {
        let remedy = "revocation lists need a connector of your own, see DatabaseOptions::connect_with";
        Self::Unsupported { key, remedy }
    }
}

#[cfg(test)]
mod tests {
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    use proptest::prelude::*;
    use tokio_postgres::config::{ChannelBinding, SslNegotiation, TargetSessionAttrs};

    use super::*;
    use crate::text;

    fn parse(text: &str) -> ConnectionString {
        ConnectionString::parse(text).unwrap_or_else(|error| panic!("{text}: {}", chain(&error)))
    }

    fn refused(text: &str) -> UrlError {
        ConnectionString::parse(text).map(drop).expect_err(text)
    }

    fn chain(error: &UrlError) -> String {
        text::chain(error).join("; ")
    }

    fn encoded(text: &str) -> String {
        utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
    }

    fn quoted(text: &str) -> String {
        format!("'{}'", text.replace('\\', r"\\").replace('\'', r"\'"))
    }

    fn file(path: &str) -> RootCert {
        RootCert::File(path.into())
    }

    /// What a URL with the host `h` alone, or `host=h port=5432`, stands for.
    fn host_h(mode: SslMode) -> Config {
        let mut config = expected(&["h"], mode);
        config.port(5432);
        config
    }

    /// A configuration as the setters make it, with what is set where nothing is said.
    fn expected(hosts: &[&str], mode: SslMode) -> Config {
        let mut config = Config::new();
        for host in hosts {
            config.host(*host);
        }
        config
            .ssl_mode(mode)
            .connect_timeout(Duration::from_secs(5))
            .tcp_user_timeout(Duration::from_secs(30))
            .keepalives_idle(Duration::from_secs(30))
            .keepalives_interval(Duration::from_secs(10))
            .keepalives_retries(3)
            .application_name("actix-job-queue");
        config
    }

    #[test]
    fn every_sslmode_of_libpq_is_understood_in_both_forms() {
        let root = || file("/ca.pem");
        for (words, mode, ssl_mode) in [
            (&[][..], TlsMode::Prefer, SslMode::Prefer),
            (&["sslmode=disable"], TlsMode::Disable, SslMode::Disable),
            (&["sslmode=allow"], TlsMode::Prefer, SslMode::Prefer),
            (&["sslmode=prefer"], TlsMode::Prefer, SslMode::Prefer),
            (&["sslmode=prefer", "sslrootcert="], TlsMode::Prefer, SslMode::Prefer),
            (&["sslmode=require"], TlsMode::Require, SslMode::Require),
            (&["sslmode=require", "sslrootcert=/ca.pem"], TlsMode::VerifyCa { root: root() }, SslMode::Require),
            (&["sslmode=verify-ca"], TlsMode::VerifyCa { root: RootCert::Default }, SslMode::Require),
            (&["sslmode=verify-ca", "sslrootcert=/ca.pem"], TlsMode::VerifyCa { root: root() }, SslMode::Require),
            (&["sslmode=verify-full"], TlsMode::VerifyFull { root: RootCert::Default }, SslMode::Require),
            (&["sslrootcert=/ca.pem", "sslmode=verify-full"], TlsMode::VerifyFull { root: root() }, SslMode::Require),
            (&["sslrootcert=system"], TlsMode::VerifyFull { root: RootCert::System }, SslMode::Require),
            (
                &["sslmode=verify-full", "sslrootcert=system"],
                TlsMode::VerifyFull { root: RootCert::System },
                SslMode::Require,
            ),
            (&["sslmode=disable", "sslrootcert=/ca.pem"], TlsMode::Disable, SslMode::Disable),
            (&["sslmode=disable", "sslmode=require"], TlsMode::Require, SslMode::Require),
        ] {
            let url = parse(&format!("postgres://h/?{}", words.join("&")));
            let quoted: Vec<_> = words.iter().map(|word| word.replace('=', "='") + "'").collect();
            let pairs = parse(&format!("host=h port=5432 {}", quoted.join(" ")));

            assert_eq!(url.tls, mode, "{words:?}");
            assert_eq!(url.config, host_h(ssl_mode), "{words:?}");
            assert_eq!((pairs.tls, pairs.config), (url.tls, url.config), "{words:?}");
        }
    }

    #[test]
    fn the_old_way_to_ask_for_encryption_in_a_url_is_understood() {
        assert_eq!(parse("postgres://h/db?ssl=true").tls, TlsMode::Require);
        assert!(matches!(refused("postgres://h/db?ssl=1"), UrlError::Parameter { key, .. } if key == "ssl"));
        assert!(matches!(refused("host=h ssl=true"), UrlError::Parameter { key, .. } if key == "ssl"));
    }

    #[test]
    fn a_root_that_would_check_nothing_is_refused() {
        for weak in ["disable", "allow", "prefer", "require", "verify-ca"] {
            let error = refused(&format!("postgres://h/?sslmode={weak}&sslrootcert=system"));
            assert!(matches!(error, UrlError::AnybodyTrusted), "{weak}");
        }
        for weak in ["", "sslmode=allow", "sslmode=prefer"] {
            assert!(matches!(refused(&format!("host=h sslrootcert=/ca.pem {weak}")), UrlError::RootUnused), "{weak}");
        }
    }

    #[test]
    fn a_root_may_have_any_path() {
        let full = |path| TlsMode::VerifyFull { root: file(path) };

        assert_eq!(
            parse("postgres://h/?sslrootcert=%2Fmy%20certs%2Fa%26b%3F.pem&sslmode=verify-full").tls,
            full("/my certs/a&b?.pem")
        );
        assert_eq!(parse("postgres://h/?sslmode=verify-full&sslrootcert=C:\\a=b.pem").tls, full("C:\\a=b.pem"));
        assert_eq!(
            parse(r"host=h sslmode = verify-full sslrootcert = '/my certs/it\'s \\ mine.pem'").tls,
            full(r"/my certs/it's \ mine.pem")
        );
        assert!(matches!(refused("postgres://h/?sslrootcert=%ff"), UrlError::Value { key: "sslrootcert", .. }));
    }

    #[test]
    fn what_cannot_be_honoured_is_refused_by_name_and_what_does_no_harm_is_dropped() {
        for key in ["sslcert", "sslkey", "sslcrl", "sslcrldir"] {
            let error = refused(&format!("postgres://h/?{key}=/x"));
            assert!(matches!(error, UrlError::Unsupported { key: named, .. } if named == key), "{error}");
            assert!(error.to_string().contains("DatabaseOptions::connect_with"), "{error}");
            assert_eq!(parse(&format!("postgres://h/?{key}=")).config, host_h(SslMode::Prefer));
        }
        let error = refused("host=h gssencmode=require");
        assert!(matches!(error, UrlError::Unsupported { key: "gssencmode", .. }), "{error}");
        assert!(matches!(refused("host=h gssencmode=maybe"), UrlError::Value { key: "gssencmode", .. }));

        let dropped = parse("host=h port=5432 gssencmode=disable gssencmode=prefer sslcompression=1 sslpassword=x");
        assert_eq!(dropped.config, host_h(SslMode::Prefer));
    }

    #[test]
    fn an_error_names_the_parameter_at_fault() {
        for (text, at_fault, why) in [
            ("postgres://h/?connect_timeout=1&ssl_mode=require", "ssl_mode", "unknown option"),
            ("host=h user=u krbsrvname=x", "krbsrvname", "unknown option"),
            ("postgres://h/?target_session_attrs=primary&options=x", "target_session_attrs", "invalid value"),
            ("host=h port=many", "port", "invalid value"),
        ] {
            let error = refused(text);
            assert!(matches!(&error, UrlError::Parameter { key, .. } if key == at_fault), "{text}: {error}");
            assert!(chain(&error).contains(why), "{}", chain(&error));
        }
        assert!(matches!(refused("postgres://h:many/"), UrlError::Address { .. }));
        for word in ["verify_full", "no-verify", "REQUIRE", ""] {
            let error = refused(&format!("postgres://h/?sslmode={word}"));
            assert!(matches!(error, UrlError::Value { key: "sslmode", .. }));
            assert!(error.to_string().contains("verify-full"), "{error}");
        }
    }

    #[test]
    fn what_is_no_connection_string_is_refused() {
        for text in [
            "jdbc:postgresql://h/db?user=u",
            "postgresql+asyncpg://u:p@h/db",
            "localhost",
            "host=h user",
            "host=h =x",
            "host=h password='open",
            r"host=h password='open\'",
            "host=h password=",
            "postgres://h/?sslmode",
        ] {
            assert!(matches!(refused(text), UrlError::Syntax), "{text}");
        }
    }

    #[test]
    fn an_at_sign_or_slash_that_could_mean_two_things_is_refused() {
        for text in [
            "postgres://u:p/w@h/db",
            "postgres://u:p@w@h/db",
            "postgres://u:p@h/d@b",
            "postgres:///db?user=me@example.org",
        ] {
            assert!(matches!(refused(text), UrlError::Ambiguous), "{text}");
        }

        let mut config = host_h(SslMode::Prefer);
        config.user("u").password("p?w#&=:").dbname("db").application_name("a@b/c");
        assert_eq!(parse("postgres://u:p?w#&=:@h/db?application_name=a@b/c").config, config);
    }

    #[test]
    fn what_the_string_says_is_stronger_than_the_defaults() {
        let config = parse(
            "postgres://h/?connect_timeout=1&tcp_user_timeout=2&keepalives_idle=3&keepalives_interval=4\
             &keepalives_retries=5&application_name=mine&channel_binding=require&sslnegotiation=direct\
             &target_session_attrs=read-write&sslmode=require",
        )
        .config;

        let mut said = host_h(SslMode::Require);
        said.connect_timeout(Duration::from_secs(1))
            .tcp_user_timeout(Duration::from_secs(2))
            .keepalives_idle(Duration::from_secs(3))
            .keepalives_interval(Duration::from_secs(4))
            .keepalives_retries(5)
            .application_name("mine")
            .channel_binding(ChannelBinding::Require)
            .ssl_negotiation(SslNegotiation::Direct)
            .target_session_attrs(TargetSessionAttrs::ReadWrite);
        assert_eq!(config, said);
    }

    #[test]
    fn a_timeout_of_zero_means_none_and_not_the_default() {
        let config = parse("host=h connect_timeout=0 tcp_user_timeout=0").config;

        assert_eq!((config.get_connect_timeout(), config.get_tcp_user_timeout()), (None, None));
    }

    #[test]
    fn sslmode_is_ignored_where_all_hosts_are_sockets() {
        for text in [
            "postgres://%2Frun%2Fpostgresql/db?sslmode=require",
            "postgres:///db?host=/run/postgresql&sslmode=verify-full",
            "host=/run/postgresql,/tmp dbname=db sslmode=verify-ca",
        ] {
            let read = parse(text);
            assert_eq!((read.tls, read.config.get_ssl_mode()), (TlsMode::Disable, SslMode::Disable), "{text}");
        }
        for text in [
            "host=/run/postgresql,h sslmode=require",
            "host=/run/postgresql hostaddr=127.0.0.1 sslmode=require",
            "sslmode=require",
        ] {
            assert_eq!(parse(text).tls, TlsMode::Require, "{text}");
        }
    }

    #[test]
    fn an_address_without_a_name_is_the_name() {
        let config = parse("hostaddr=127.0.0.1,::1 sslmode=require").config;

        assert_eq!(config.get_hosts(), [Host::Tcp("127.0.0.1".into()), Host::Tcp("::1".into())]);
        assert_eq!(parse("host=h hostaddr=127.0.0.1").config.get_hosts(), [Host::Tcp("h".into())]);
    }

    #[test]
    fn a_password_of_any_bytes_survives() {
        let config = parse("postgres://u:%ff%00%fe@h/db?sslmode=verify-full").config;

        assert_eq!(config.get_password(), Some(&b"\xff\0\xfe"[..]));
    }

    #[test]
    fn without_tls_only_what_may_be_plain_is_connected() {
        let root = RootCert::Default;
        for (mode, word) in [
            (TlsMode::Require, "sslmode=require"),
            (TlsMode::VerifyCa { root: root.clone() }, "sslmode=verify-ca"),
            (TlsMode::VerifyFull { root }, "sslmode=verify-full"),
        ] {
            let error = plain_only(&mode).map(drop).unwrap_err().to_string();
            assert!(error.contains(word) && error.contains("tls-rustls"), "{error}");
        }
        assert!(plain_only(&TlsMode::Disable).is_ok());
        assert!(plain_only(&TlsMode::Prefer).is_ok());
    }

    #[test]
    fn no_part_of_a_badly_quoted_password_is_shown() {
        for text in [
            "postgres://u:sesame@h/db?nonsense=1",
            "postgres://u:x@sesame@h/db",
            "postgres://u:x/sesame@h/db",
            "postgres://u:x@h?sesame=y@h/db",
            "postgres://u:sesame/db",
            "postgres://h/db?password=x&sesame=1",
            "postgres://h/db?password=x&sesame",
            "postgres://u:sesame@h:many/db",
            "host=h password=x sesame=1",
            "host=h password=x sesame",
            "host=h password='sesame",
            "host=h password=it's sesame",
            "host=h password=sesame nonsense=1",
            "jdbc:postgresql://u:sesame@h/db?a=b",
            "sesame",
        ] {
            let error = refused(text);
            assert!(!chain(&error).contains("sesame"), "{text}: {}", chain(&error));
            assert!(!format!("{error:?}").contains("sesame"), "{text}: {error:?}");
        }
        let debug = format!("{:?}", parse("postgres://u:sesame@h/db?sslmode=verify-full"));
        assert!(!debug.contains("sesame"), "{debug}");
    }

    /// Text with more of what has a meaning in URLs and quotes than chance would give.
    fn odd() -> impl Strategy<Value = String> {
        prop_oneof![
            "[a-z]{1,6}",
            "[-@/?&%#=+:;,.~ '\"\\\\\\[\\]\t\n0-9a-f]{1,12}",
            "\\PC{1,8}".prop_filter("a string of PostgreSQL's ends at a NUL", |text| !text.contains('\0')),
        ]
    }

    /// The words about TLS of libpq, each with the place where it is put among the other parameters.
    fn tls_words() -> impl Strategy<Value = Vec<(usize, String, String)>> {
        let word = prop_oneof![
            Just(("sslmode".to_owned(), "verify-full".to_owned())),
            odd().prop_map(|path| ("sslrootcert".to_owned(), format!("/{path}"))),
            Just(("gssencmode".to_owned(), "disable".to_owned())),
            Just(("sslcompression".to_owned(), "0".to_owned())),
        ];
        prop::collection::vec((0..6_usize, word).prop_map(|(at, (key, value))| (at, key, value)), 0..5)
    }

    #[derive(Debug, Clone)]
    struct Wanted {
        user: String,
        password: String,
        dbname: String,
        options: String,
        application_name: String,
        hosts: Vec<(String, u16)>,
    }

    impl Wanted {
        fn config(&self, mode: &TlsMode) -> Config {
            let hosts: Vec<_> = self.hosts.iter().map(|(host, _)| host.as_str()).collect();
            let sockets = hosts.iter().all(|host| host.starts_with('/'));
            let mut config = expected(
                &hosts,
                match mode {
                    _ if sockets => SslMode::Disable,
                    TlsMode::Prefer => SslMode::Prefer,
                    _ => SslMode::Require,
                },
            );
            for (_, port) in &self.hosts {
                config.port(*port);
            }
            config
                .user(&self.user)
                .password(&self.password)
                .dbname(&self.dbname)
                .options(&self.options)
                .application_name(&self.application_name);
            config
        }
    }

    fn wanted() -> impl Strategy<Value = Wanted> {
        let host = prop_oneof!["[a-z][a-z0-9.-]{0,10}", Just("/run/my sockets@home".to_owned())];
        let hosts = prop::collection::vec((host, 1..=u16::MAX), 1..4);
        (odd(), odd(), odd(), odd(), odd(), hosts).prop_map(
            |(user, password, dbname, options, application_name, hosts)| Wanted {
                user,
                password,
                dbname,
                options,
                application_name,
                hosts,
            },
        )
    }

    /// What the words that were put in ask for.
    fn mode_of(words: &[(usize, String, String)]) -> Option<TlsMode> {
        let full = words.iter().any(|(_, key, _)| key == "sslmode");
        let root = words.iter().rev().find(|(_, key, _)| key == "sslrootcert").map(|(_, _, path)| file(path));
        match (full, root) {
            (true, root) => Some(TlsMode::VerifyFull { root: root.unwrap_or(RootCert::Default) }),
            (false, None) => Some(TlsMode::Prefer),
            (false, Some(_)) => None,
        }
    }

    /// Puts the words in where they want to be, the later ones behind the earlier.
    fn mixed(mut parameters: Vec<String>, words: &[(usize, String, String)], write: fn(&str) -> String) -> Vec<String> {
        let mut words: Vec<_> = words.to_vec();
        words.sort_by_key(|(at, _, _)| *at);
        for (moved, (at, key, value)) in words.iter().enumerate() {
            let at = (at + moved).min(parameters.len());
            parameters.insert(at, format!("{key}={}", write(value)));
        }
        parameters
    }

    proptest! {
        #[test]
        fn in_a_url_all_but_the_words_about_tls_survives(
            wanted in wanted(),
            mut words in tls_words(),
            split in any::<bool>(),
        ) {
            words.sort_by_key(|(at, _, _)| *at);
            let hosts: Vec<_> =
                wanted.hosts.iter().map(|(host, port)| format!("{}:{port}", encoded(host))).collect();
            let mut parameters = vec![
                format!("options={}", encoded(&wanted.options)),
                format!("application_name={}", encoded(&wanted.application_name)),
            ];
            let (credentials, path) = if split {
                parameters.insert(0, format!("user={}", encoded(&wanted.user)));
                parameters.push(format!("password={}", encoded(&wanted.password)));
                parameters.push(format!("dbname={}", encoded(&wanted.dbname)));
                (String::new(), String::new())
            } else {
                let credentials = format!("{}:{}@", encoded(&wanted.user), encoded(&wanted.password));
                (credentials, format!("/{}", encoded(&wanted.dbname)))
            };
            let query = mixed(parameters, &words, encoded).join("&");
            let text = format!("postgresql://{credentials}{}{path}?{query}", hosts.join(","));

            match (ConnectionString::parse(&text), mode_of(&words)) {
                (Ok(read), Some(mode)) => {
                    prop_assert_eq!(read.config, wanted.config(&mode));
                    prop_assert!(read.tls == mode || read.tls == TlsMode::Disable);
                }
                (Err(UrlError::RootUnused), None) => {}
                (other, _) => prop_assert!(false, "{text}: {other:?}"),
            }
        }

        #[test]
        fn among_pairs_all_but_the_words_about_tls_survives(
            wanted in wanted(),
            mut words in tls_words(),
            gap in prop_oneof![Just(" "), Just("\n\t ")],
        ) {
            words.sort_by_key(|(at, _, _)| *at);
            let hosts: Vec<_> = wanted.hosts.iter().map(|(host, _)| host.as_str()).collect();
            let ports: Vec<_> = wanted.hosts.iter().map(|(_, port)| port.to_string()).collect();
            let parameters = vec![
                format!("host = {}", quoted(&hosts.join(","))),
                format!("port={}", ports.join(",")),
                format!("user={}", quoted(&wanted.user)),
                format!("password{gap}={gap}{}", quoted(&wanted.password)),
                format!("dbname={}", quoted(&wanted.dbname)),
                format!("options={}", quoted(&wanted.options)),
                format!("application_name={}", quoted(&wanted.application_name)),
            ];
            let text = mixed(parameters, &words, quoted).join(gap);

            match (ConnectionString::parse(&text), mode_of(&words)) {
                (Ok(read), Some(mode)) => {
                    prop_assert_eq!(read.config, wanted.config(&mode));
                    prop_assert!(read.tls == mode || read.tls == TlsMode::Disable);
                }
                (Err(UrlError::RootUnused), None) => {}
                (other, _) => prop_assert!(false, "{text}: {other:?}"),
            }
        }

        #[test]
        fn whatever_is_accepted_means_what_tokio_postgres_takes_it_for(
            text in "(postgres://)?([a-z]{1,3}|[@/?&%#=:, '\\\\]|user=|host=|port=5|dbname=){0,14}",
        ) {
            if let Ok(read) = ConnectionString::parse(&text) {
                let theirs = text.parse::<Config>();
                prop_assert!(theirs.is_ok(), "{text}");
                let theirs = theirs.unwrap();
                prop_assert_eq!(read.config.get_user(), theirs.get_user());
                prop_assert_eq!(read.config.get_password(), theirs.get_password());
                prop_assert_eq!(read.config.get_dbname(), theirs.get_dbname());
                prop_assert_eq!(read.config.get_hosts(), theirs.get_hosts());
                prop_assert_eq!(read.config.get_ports(), theirs.get_ports());
            }
        }

        #[test]
        fn any_text_gets_an_answer(text in any::<String>(), url in any::<bool>()) {
            // Whether it is accepted does not matter here: only that nothing panics.
            let _ = ConnectionString::parse(&if url { format!("postgres://{text}") } else { text });
        }
    }
}
