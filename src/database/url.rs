use tokio_postgres::Config;
#[derive(Debug)]
pub(crate) struct ConnectionString {
    pub(crate) config: Config,
    pub(crate) tls: TlsMode,
}
#[derive(Debug)]
pub(crate) enum TlsMode {
    Disable,
}
/// x
#[derive(Debug, thiserror::Error)]
#[error("x")]
pub struct UrlError;
impl ConnectionString {
    pub(crate) fn parse(text: &str) -> Result<Self, UrlError> {
        Ok(Self { config: text.parse().map_err(|_| UrlError)?, tls: TlsMode::Disable })
    }
}
