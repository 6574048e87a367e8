//! TLS: a certificate chain and a key from PEM, ALPN for HTTP/2 and HTTP/1.1, the handshake, and the answer to clients that do
//! not speak TLS.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

pub use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use cairn_protocol::log::Seldom;

/// Why a certificate and a key cannot be used.
#[derive(Debug, Error)]
pub enum TlsError {
    /// The certificate file has no certificate in PEM, or a broken one.
    #[error("the certificate file holds no readable certificate in PEM: {0}")]
    Certificate(#[source] rustls::pki_types::pem::Error),
    /// There is no certificate in the file.
    #[error("the certificate file holds no certificate")]
    NoCertificate,
    /// The key file has no private key in PEM, or a broken one.
    #[error("the key file holds no readable private key in PEM: {0}")]
    Key(#[source] rustls::pki_types::pem::Error),
    /// Certificate and key do not match, or are of an unsupported kind.
    #[error("the certificate and the key cannot be used: {0}")]
    Unusable(#[source] rustls::Error),
}

/// A server's TLS from the texts of its certificate chain (its own first) and private key, in PEM.
///
/// # Errors
/// See [`TlsError`].
pub fn server_config(certificates: &[u8], key: &[u8]) -> Result<Arc<ServerConfig>, TlsError> {
    let chain = CertificateDer::pem_slice_iter(certificates)
        .collect::<Result<Vec<_>, _>>()
        .map_err(TlsError::Certificate)?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate);
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(TlsError::Key)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Unusable)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(TlsError::Unusable)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// A version of TLS. Older ones than these are not spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    /// RFC 5246.
    V1_2,
    /// RFC 8446.
    V1_3,
}

impl TlsVersion {
    /// Its number, such as `1.3`.
    pub fn number(self) -> &'static str {
        match self {
            Self::V1_2 => "1.2",
            Self::V1_3 => "1.3",
        }
    }
}

/// The version that both ends agreed on.
pub(crate) fn version<S>(stream: &TlsStream<S>) -> TlsVersion {
    match stream.get_ref().1.protocol_version() {
        Some(rustls::ProtocolVersion::TLSv1_3) => TlsVersion::V1_3,
        _ => TlsVersion::V1_2,
    }
}

/// The first byte of a TLS connection: a record of the handshake (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 22;

/// The answer to a client that speaks plain HTTP to a TLS port.
const PLAIN_ANSWER: &str = "This port speaks TLS: write its address with https://";

/// Bytes that are read from such a client after the answer, so that it sees the answer and not a broken connection.
const DISCARDED_MAX: u64 = 64 * 1024;

/// Makes the handshake. A client that does not begin with TLS gets an answer in HTTP.
///
/// # Errors
/// When the handshake fails.
pub(super) async fn accept<T>(mut stream: T, config: Arc<ServerConfig>) -> io::Result<TlsStream<Unread<T>>>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let first = stream.read_u8().await?;
    if first == HANDSHAKE {
        return TlsAcceptor::from(config).accept(Unread { byte: Some(first), stream }).await;
    }
    let length = PLAIN_ANSWER.len() + 1;
    let head = "HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-type: text/plain\r\ncontent-length:";
    stream.write_all(format!("{head} {length}\r\n\r\n{PLAIN_ANSWER}\n").as_bytes()).await?;
    stream.shutdown().await?;
    tokio::io::copy(&mut stream.take(DISCARDED_MAX), &mut tokio::io::sink()).await?;
    Err(io::Error::new(
        io::ErrorKind::InvalidData,
        "it does not speak TLS; it has to write this address with https://",
    ))
}

/// Logs a failed handshake. A client that only disconnected is no warning, because port scanners and load balancers do that
/// often.
pub(super) fn report(address: SocketAddr, error: &io::Error, seldom: &Seldom) {
    let reason = cairn_protocol::tls::explain(error).unwrap_or_else(|| error.to_string());
    let went_away =
        error.kind() == io::ErrorKind::UnexpectedEof || error.kind() == io::ErrorKind::ConnectionReset;
    if !went_away && seldom.may_speak() {
        cairn_protocol::warn_peer!(%address, %reason, "a client could not connect over TLS");
    } else {
        tracing::debug!(%address, %reason, "a client could not connect over TLS");
    }
}

/// A stream whose first byte was read for the detection of TLS. The byte is read again.
#[derive(Debug)]
pub(super) struct Unread<T> {
    byte: Option<u8>,
    stream: T,
}

impl<T: AsyncRead + Unpin> AsyncRead for Unread<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.byte {
            Some(byte) if buffer.remaining() > 0 => {
                buffer.put_slice(&[byte]);
                self.byte = None;
                Poll::Ready(Ok(()))
            }
            Some(_) => Poll::Ready(Ok(())),
            None => Pin::new(&mut self.stream).poll_read(cx, buffer),
        }
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Unread<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buffer)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
