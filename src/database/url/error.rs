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
    pub(super) fn client_certificate(key: &'static str) -> Self {
        let remedy = "client certificates need a connector of your own, see DatabaseOptions::connect_with";
        Self::Unsupported { key, remedy }
    }

    pub(super) fn revocation_list(key: &'static str) -> Self {
        let remedy = "revocation lists need a connector of your own, see DatabaseOptions::connect_with";
        Self::Unsupported { key, remedy }
    }
}
