//! TLS through rustls, checking what libpq checks in each `sslmode`.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor,
    },
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature, verify_tls13_signature_with_raw_key},
    pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime, pem::PemObject},
    server::ParsedCertificate,
};
use tokio_postgres_rustls::MakeRustlsConnect;
use x509_cert::{
    Certificate,
    der::{Decode, Encode},
};

use super::url::{RootCert, TlsMode};
use crate::logs;

/// The connector that a mode needs.
///
/// It reads files, so make one a database and clone it.
///
/// # Errors
/// The authorities that the mode trusts cannot be had.
pub(crate) fn connector(mode: &TlsMode) -> Result<MakeRustlsConnect, TlsError> {
    let checks = Checks::of(mode, default_root().as_deref())?;
    if matches!((mode, &checks), (TlsMode::Require, Checks::Nothing)) {
        log::warn!(
            target: logs::DATABASE,
            "sslmode=require encrypts the connection to PostgreSQL but does not check whose server it is: \
             sslmode=verify-full does, with sslrootcert naming the file of the authority that signed the certificate"
        );
    }
    Ok(MakeRustlsConnect::new(client_config(checks)))
}

/// Where libpq looks for authorities that nobody named.
fn default_root() -> Option<PathBuf> {
    let path = env::home_dir()?.join(".postgresql/root.crt");
    path.exists().then_some(path)
}

/// What has to be true of a server's certificate.
#[derive(Debug)]
enum Checks {
    Nothing,
    Chain(RootCertStore),
    ChainAndName(RootCertStore),
}

impl Checks {
    fn of(mode: &TlsMode, default_root: Option<&Path>) -> Result<Self, TlsError> {
        match (mode, default_root) {
            (TlsMode::Disable | TlsMode::Prefer, _) | (TlsMode::Require, None) => Ok(Checks::Nothing),
            (TlsMode::Require, Some(path)) => roots_in(path).map(Checks::Chain),
            (TlsMode::VerifyCa { root: RootCert::File(path) }, _) => roots_in(path).map(Checks::Chain),
            (TlsMode::VerifyCa { root: RootCert::Default }, Some(path)) => roots_in(path).map(Checks::Chain),
            (TlsMode::VerifyCa { .. }, _) => Err(TlsError::NoRoot),
            (TlsMode::VerifyFull { root: RootCert::File(path) }, _) => roots_in(path).map(Checks::ChainAndName),
            (TlsMode::VerifyFull { root: RootCert::Default }, Some(path)) => roots_in(path).map(Checks::ChainAndName),
            (TlsMode::VerifyFull { .. }, _) => system_roots().map(Checks::ChainAndName),
        }
    }
}

fn roots_in(path: &Path) -> Result<RootCertStore, TlsError> {
    let pem = fs::read(path).map_err(|source| TlsError::Read { path: path.to_owned(), source })?;
    let certificates = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|source| TlsError::Malformed { path: path.to_owned(), source: source.into() })?;
    let mut roots = RootCertStore::empty();
    let (usable, unusable) = roots.add_parsable_certificates(certificates);
    if usable == 0 {
        return Err(TlsError::NoCertificate { path: path.to_owned() });
    }
    if unusable > 0 {
        log::warn!(target: logs::DATABASE, "{unusable} of the {} certificates in {} cannot be used", usable + unusable, path.display());
    }
    Ok(roots)
}

fn system_roots() -> Result<RootCertStore, TlsError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (usable, _) = roots.add_parsable_certificates(found.certs);
    if usable == 0 {
        return Err(TlsError::NoSystemRoots { source: found.errors.into_iter().next().map(Into::into) });
    }
    for error in found.errors {
        log::debug!(target: logs::DATABASE, error:%; "some of the system's authorities cannot be used: {error}");
    }
    Ok(roots)
}

fn client_config(checks: Checks) -> ClientConfig {
    // Never the process' default provider: whether there is one is the application's affair.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("ring has cipher suites for every version of TLS that rustls has");
    let lenient = |roots| Arc::new(Lenient { roots, provider });
    let builder = match checks {
        Checks::Nothing => builder.dangerous().with_custom_certificate_verifier(lenient(None)),
        Checks::Chain(roots) => builder.dangerous().with_custom_certificate_verifier(lenient(Some(roots))),
        Checks::ChainAndName(roots) => builder.with_root_certificates(roots),
    };
    let mut config = builder.with_no_client_auth();
    // Demanded by servers when `sslnegotiation=direct`, ignored by those that do not know it.
    config.alpn_protocols = vec![b"postgresql".to_vec()];
    config
}

/// Checks less than rustls would: who signed the certificate if there are roots, and never its name.
///
/// It does check that the server holds the certificate's key. Channel binding relies on that: otherwise
/// anybody in the middle could show the real server's certificate.
#[derive(Debug)]
struct Lenient {
    roots: Option<RootCertStore>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if let Some(roots) = &self.roots {
            verify_server_cert_signed_by_trust_anchor(
                &ParsedCertificate::try_from(end_entity)?,
                roots,
                intermediates,
                now,
                self.provider.signature_verification_algorithms.all,
            )?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        // The commands in PostgreSQL's manual make certificates of X.509 version 1 where OpenSSL is older
        // than 3.2. rustls does not read those, but it can do with their key.
        verify_tls13_signature(message, cert, dss, algorithms).or_else(|error| match public_key(cert) {
            Some(key) => verify_tls13_signature_with_raw_key(message, &key, dss, algorithms),
            None => Err(error),
        })
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

fn public_key(certificate: &CertificateDer<'_>) -> Option<SubjectPublicKeyInfoDer<'static>> {
    let certificate = Certificate::from_der(certificate).ok()?;
    certificate.tbs_certificate.subject_public_key_info.to_der().ok().map(Into::into)
}

/// Why the TLS that a connection string asks for cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The file of authorities cannot be read.
    #[error(
        "could not read the certificates in {}: let sslrootcert name a file that exists and that this user may read",
        path.display()
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file of authorities is damaged.
    #[error("could not read the certificates in {}: the file is damaged, fetch it again", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The file of authorities has none.
    #[error(
        "found no certificate in {}: let sslrootcert name the PEM file of the authority that signed the server's \
         certificate",
        path.display()
    )]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// The operating system trusts nobody.
    #[error(
        "found none of the system's authorities: install them (Debian and Ubuntu: apt-get install ca-certificates), or \
         let sslrootcert name a file of your own"
    )]
    NoSystemRoots {
        /// What went wrong first, if anything did.
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// `verify-ca` without an authority of the database's own.
    #[error(
        "could not use sslmode=verify-ca without sslrootcert, as ~/.postgresql/root.crt does not exist and anybody can \
         get a certificate from a public authority: name the authority's file, or write sslmode=verify-full"
    )]
    NoRoot,
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use rustls::{
        ClientConnection, ServerConfig, ServerConnection, SupportedProtocolVersion,
        crypto::ring::sign::any_supported_type,
        pki_types::PrivateKeyDer,
        sign::{CertifiedKey, SingleCertAndKey},
        version::{TLS12, TLS13},
    };
    use x509_cert::{certificate::Version, der::asn1::BitString};

    use super::*;

    fn authority() -> String {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut parameters = rcgen::CertificateParams::default();
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        parameters.self_signed(&key).unwrap().pem()
    }

    fn file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    fn verify_full(path: &Path) -> TlsMode {
        TlsMode::VerifyFull { root: RootCert::File(path.to_owned()) }
    }

    #[test]
    fn a_root_file_that_is_of_no_use_is_named_with_what_to_do() {
        let missing = Path::new("/nowhere/root.crt");
        let empty = file("");
        let text = file("this is no certificate");
        let key = file(&rcgen::KeyPair::generate().unwrap().serialize_pem());
        let hollow = file("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
        let cut = file(&authority().replace("-----END CERTIFICATE-----", ""));

        for (path, what) in [
            (missing, "could not read"),
            (empty.path(), "found no certificate"),
            (text.path(), "found no certificate"),
            (key.path(), "found no certificate"),
            (hollow.path(), "found no certificate"),
            (cut.path(), "damaged"),
        ] {
            let error = connector(&verify_full(path)).map(drop).unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
            assert!(error.contains(&path.display().to_string()), "{error}");
        }
    }

    #[test]
    fn every_certificate_of_a_root_file_is_trusted() {
        let bundle = file(&format!("A heading.\n{}\n# A remark.\n{}", authority(), authority()));

        assert_eq!(roots_in(bundle.path()).unwrap().len(), 2);
    }

    #[test]
    fn nothing_is_checked_in_prefer_and_require_unless_libpq_would() {
        let root = file(&authority());

        for mode in [TlsMode::Disable, TlsMode::Prefer, TlsMode::Require] {
            assert!(matches!(Checks::of(&mode, None), Ok(Checks::Nothing)), "{mode:?}");
        }
        assert!(matches!(Checks::of(&TlsMode::Prefer, Some(root.path())), Ok(Checks::Nothing)));
        assert!(matches!(Checks::of(&TlsMode::Require, Some(root.path())), Ok(Checks::Chain(_))));
    }

    #[test]
    fn the_verifying_modes_check_what_they_are_named_after() {
        let root = file(&authority());
        let path = root.path();
        let ca = |root| TlsMode::VerifyCa { root };
        let full = |root| TlsMode::VerifyFull { root };
        let named = || RootCert::File(path.to_owned());

        assert!(matches!(Checks::of(&ca(named()), None), Ok(Checks::Chain(_))));
        assert!(matches!(Checks::of(&ca(RootCert::Default), Some(path)), Ok(Checks::Chain(_))));
        assert!(matches!(Checks::of(&full(named()), None), Ok(Checks::ChainAndName(_))));
        assert!(matches!(Checks::of(&full(RootCert::Default), Some(path)), Ok(Checks::ChainAndName(_))));
    }

    #[test]
    fn a_public_authority_is_never_enough_without_the_name() {
        for root in [RootCert::System, RootCert::Default] {
            assert!(matches!(Checks::of(&TlsMode::VerifyCa { root }, None), Err(TlsError::NoRoot)));
        }
    }

    #[test]
    fn the_process_gets_no_default_crypto_provider() {
        let root = file(&authority());

        connector(&TlsMode::Require).unwrap();
        connector(&verify_full(root.path())).unwrap();

        assert!(CryptoProvider::get_default().is_none());
    }

    /// What a client that checks nothing of the certificate says of a server with this certificate and key.
    fn handshake(
        version: &'static SupportedProtocolVersion,
        certificate: CertificateDer<'static>,
        key: &rcgen::KeyPair,
    ) -> Result<(), rustls::Error> {
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let shown = CertifiedKey::new(vec![certificate], any_supported_type(&key).unwrap());
        let server = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(shown)));
        let mut server = ServerConnection::new(Arc::new(server)).unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let mut client = ClientConnection::new(Arc::new(client_config(Checks::Nothing)), name).unwrap();
        while client.is_handshaking() {
            let (mut there, mut back) = (Vec::new(), Vec::new());
            client.write_tls(&mut there).unwrap();
            server.read_tls(&mut there.as_slice()).unwrap();
            server.process_new_packets()?;
            while server.wants_write() {
                server.write_tls(&mut back).unwrap();
            }
            let mut back = back.as_slice();
            while !back.is_empty() {
                client.read_tls(&mut back).unwrap();
                client.process_new_packets()?;
            }
        }
        Ok(())
    }

    fn self_signed(key: &rcgen::KeyPair) -> CertificateDer<'static> {
        rcgen::CertificateParams::default().self_signed(key).unwrap().into()
    }

    /// The certificate as OpenSSL made it for decades: X.509 version 1, without extensions.
    fn of_version_1(certificate: &CertificateDer<'_>, key: &rcgen::KeyPair) -> CertificateDer<'static> {
        let mut old = Certificate::from_der(certificate).unwrap();
        old.tbs_certificate.version = Version::V1;
        old.tbs_certificate.extensions = None;
        let signed = old.tbs_certificate.to_der().unwrap();
        old.signature = BitString::from_bytes(&rcgen::SigningKey::sign(key, &signed).unwrap()).unwrap();
        old.to_der().unwrap().into()
    }

    #[test]
    fn whoever_holds_the_key_passes_where_nothing_is_checked() {
        let key = rcgen::KeyPair::generate().unwrap();

        assert_eq!(handshake(&TLS12, self_signed(&key), &key), Ok(()));
        assert_eq!(handshake(&TLS13, self_signed(&key), &key), Ok(()));
        assert_eq!(handshake(&TLS13, of_version_1(&self_signed(&key), &key), &key), Ok(()));
    }

    #[test]
    fn a_certificate_shown_without_its_key_never_passes() {
        let (key, another) = (rcgen::KeyPair::generate().unwrap(), rcgen::KeyPair::generate().unwrap());
        let bad = Err(rustls::Error::InvalidCertificate(rustls::CertificateError::BadSignature));

        assert_eq!(handshake(&TLS12, self_signed(&key), &another), bad);
        assert_eq!(handshake(&TLS13, self_signed(&key), &another), bad);
        assert_eq!(handshake(&TLS13, of_version_1(&self_signed(&key), &key), &another), bad);
    }
}
