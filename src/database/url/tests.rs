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
    for text in
        ["postgres://u:p/w@h/db", "postgres://u:p@w@h/db", "postgres://u:p@h/d@b", "postgres:///db?user=me@example.org"]
    {
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
    (odd(), odd(), odd(), odd(), odd(), hosts).prop_map(|(user, password, dbname, options, application_name, hosts)| {
        Wanted { user, password, dbname, options, application_name, hosts }
    })
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
