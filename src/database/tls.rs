use super::url::TlsMode;
/// x
#[derive(Debug, thiserror::Error)]
#[error("x")]
pub struct TlsError;
pub(crate) fn connector(_: &TlsMode) -> Result<tokio_postgres::NoTls, TlsError> {
    Ok(tokio_postgres::NoTls)
}
