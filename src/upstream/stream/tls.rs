//! Who an upstream must prove to be, and the handshake in which it does (RFC 8310 §8).
//!
//! The strict profile only: without a verified certificate nothing is asked.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{AlertDescription, CertificateError, ClientConfig, RootCertStore};
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;

use super::TlsFailure;
use super::dial::{Link, tcp};
use crate::upstream::secure::{Protocol, Secure};

/// An upstream over TLS, and what its connections share: the certificates that are trusted, and
/// the sessions to be resumed (RFC 8446 §2.2).
#[derive(Debug)]
pub(super) struct Trust {
    secure: Arc<Secure>,
    config: OnceCell<Arc<ClientConfig>>,
}

impl Trust {
    pub(super) fn new(secure: Arc<Secure>) -> Arc<Self> {
        Arc::new(Self { secure, config: OnceCell::new() })
    }

    /// Opens a connection, verified.
    ///
    /// # Errors
    /// With a [`TlsFailure`] inside where the network is not to blame.
    pub(super) async fn dial(&self, address: SocketAddr) -> io::Result<Link> {
        let config = Arc::clone(self.config.get_or_try_init(|| configure(&self.secure)).await?);
        let dialled = match self.secure.protocol {
            Protocol::Tls => self.dial_tls(address, config).await,
            Protocol::Https => super::hickory::dial_https(address, config, &self.secure).await,
            Protocol::Quic => super::hickory::dial_quic(address, config, &self.secure).await,
        };
        dialled.map_err(told)
    }

    async fn dial_tls(&self, address: SocketAddr, config: Arc<ClientConfig>) -> io::Result<Link> {
        let name = ServerName::try_from(self.secure.server_name.to_string())
            .map_err(|_| failure("no certificate can be for that name"))?;
        let stream = TlsConnector::from(config).connect(name, tcp(address).await?).await?;
        Ok(Link::Tls(Box::new(stream)))
    }
}

async fn configure(secure: &Arc<Secure>) -> io::Result<Arc<ClientConfig>> {
    let roots = match &secure.ca {
        Some(pem) => check_ca(pem).map_err(|what| failure(&format!("the certificates of `ca`: {what}")))?,
        // Reads files.
        None => tokio::task::spawn_blocking(system_roots).await.map_err(io::Error::other)??,
    };
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = match secure.protocol {
        // Servers of DNS over TLS that know its token are few, and some refuse what they do not know.
        Protocol::Tls => Vec::new(),
        Protocol::Https => vec![b"h2".to_vec()],
        Protocol::Quic => vec![b"doq".to_vec()],
    };
    Ok(Arc::new(config))
}

fn system_roots() -> io::Result<RootCertStore> {
    let mut store = RootCertStore::empty();
    // Some of a system's may be unreadable or older than what is accepted; the rest will do.
    let (added, _) = store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    match added {
        0 => Err(failure("the system has no trusted certificates; set `ca`")),
        _ => Ok(store),
    }
}

/// The certificates of a PEM file, as those that are trusted.
///
/// # Errors
/// What is wrong with them, for people.
pub(crate) fn check_ca(pem: &[u8]) -> Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| format!("not PEM: {error}"))?;
        store.add(certificate).map_err(|error| format!("a certificate cannot be used: {error}"))?;
    }
    if store.is_empty() { Err("there is no certificate in it".to_owned()) } else { Ok(store) }
}

fn failure(text: &str) -> io::Error {
    io::Error::other(TlsFailure(text.into()))
}

/// `error`, with a text for people where TLS is at fault.
fn told(error: io::Error) -> io::Error {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let Some(tls) = inner else { return error };
    failure(&match tls {
        rustls::Error::InvalidCertificate(why) => certificate(why),
        rustls::Error::AlertReceived(AlertDescription::UnrecognisedName) => {
            "it does not know the name it is asked by".to_owned()
        }
        rustls::Error::AlertReceived(alert) => format!("it refused the handshake ({alert:?})"),
        rustls::Error::InvalidMessage(_) => "it does not speak TLS".to_owned(),
        other => format!("the handshake failed: {other}"),
    })
}

fn certificate(why: &CertificateError) -> String {
    match why {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "its certificate has expired",
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate is not valid yet"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "its certificate is for another name"
        }
        CertificateError::UnknownIssuer => "its certificate is of an unknown issuer",
        CertificateError::Revoked => "its certificate is revoked",
        other => return format!("its certificate is not accepted: {other}"),
    }
    .to_owned()
}

/// The text for a handshake that failed inside QUIC, which passes on no more than one.
#[cfg(feature = "doq")]
pub(super) fn told_by_text(text: &str) -> io::Error {
    failure(match text {
        t if t.contains("Expired") || t.contains("expired") => "its certificate has expired",
        t if t.contains("NotValidYet") || t.contains("not valid yet") => "its certificate is not valid yet",
        t if t.contains("NotValidForName") || t.contains("not valid for name") => {
            "its certificate is for another name"
        }
        t if t.contains("UnknownIssuer") => "its certificate is of an unknown issuer",
        t => return failure(&format!("the handshake failed: {t}")),
    })
}
