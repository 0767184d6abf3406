//! Certificate and key out of their files, checked against each other.

use std::fs::File;
use std::hash::Hasher;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};
use siphasher::sip::SipHasher13;

use super::validity::not_after;
use crate::server::settings::CertificateFiles;

/// No chain and no key is as long as this, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The file is missing, or not ours to read.
    #[error("{} cannot be read", path.display())]
    Unreadable {
        /// The chain or the key.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The file is not what was meant.
    #[error("{} is larger than any certificate", path.display())]
    TooLarge {
        /// The chain or the key.
        path: PathBuf,
    },
    /// There is no certificate, or no key, in PEM.
    #[error("{} holds no {wanted} in PEM", path.display())]
    Missing {
        /// The chain or the key.
        path: PathBuf,
        /// What was looked for.
        wanted: &'static str,
    },
    /// The file is damaged.
    #[error("{} is not good PEM", path.display())]
    Damaged {
        /// The chain or the key.
        path: PathBuf,
        /// Where it is bad.
        #[source]
        source: pem::Error,
    },
    /// Each may be good, but they do not belong together.
    #[error("the key in {} is not that of the certificate in {}", key.display(), chain.display())]
    Mismatch {
        /// The file of the certificate.
        chain: PathBuf,
        /// The file of the key.
        key: PathBuf,
    },
    /// A key of no known kind, or a certificate that cannot be read.
    #[error("{} cannot be used", path.display())]
    Unfit {
        /// The chain or the key.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: Error,
    },
}

impl CertificateError {
    /// With all causes, on one line.
    pub fn with_causes(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }

    /// What to do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "name a file that this user may read",
            Self::TooLarge { .. } | Self::Missing { .. } | Self::Damaged { .. } => {
                "name the PEM files of a certificate with its chain and of its key"
            }
            Self::Mismatch { .. } => "name the key that the certificate was issued for",
            Self::Unfit { .. } => "use an ECDSA, Ed25519 or RSA key and an X.509 certificate",
        }
    }

    /// Whether it is the key's file that is to blame, and not the certificate's.
    pub fn is_of_key(&self, files: &CertificateFiles) -> bool {
        match self {
            Self::Unreadable { path, .. }
            | Self::TooLarge { path }
            | Self::Missing { path, .. }
            | Self::Damaged { path, .. }
            | Self::Unfit { path, .. } => *path == files.key && files.key != files.chain,
            Self::Mismatch { .. } => true,
        }
    }
}

/// Whether the files can be used.
///
/// # Errors
/// As for a start.
pub fn check(files: &CertificateFiles) -> Result<(), CertificateError> {
    Pem::read(files)?.parse(files).map(drop)
}

/// What the files hold.
pub(super) struct Pem {
    chain: Vec<u8>,
    key: Vec<u8>,
}

/// A certificate that can be shown.
pub(super) struct Loaded {
    pub key: Arc<CertifiedKey>,
    /// Its last second, counted from 1970; `None` where that cannot be read.
    pub not_after: Option<u64>,
}

impl Pem {
    pub fn read(files: &CertificateFiles) -> Result<Self, CertificateError> {
        Ok(Self { chain: read(&files.chain)?, key: read(&files.key)? })
    }

    /// Differs where the content does.
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = SipHasher13::new();
        for part in [&self.chain, &self.key] {
            hasher.write_usize(part.len());
            hasher.write(part);
        }
        hasher.finish().max(1)
    }

    pub fn parse(&self, files: &CertificateFiles) -> Result<Loaded, CertificateError> {
        let damaged = |path: &Path| {
            let path = path.to_owned();
            |source| CertificateError::Damaged { path, source }
        };
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&self.chain)
            .collect::<Result<_, _>>()
            .map_err(damaged(&files.chain))?;
        let Some(first) = chain.first() else {
            return Err(CertificateError::Missing { path: files.chain.clone(), wanted: "certificate" });
        };
        let not_after = not_after(first);
        let key = match PrivateKeyDer::from_pem_slice(&self.key) {
            Ok(key) => key,
            Err(pem::Error::NoItemsFound) => {
                return Err(CertificateError::Missing { path: files.key.clone(), wanted: "private key" });
            }
            Err(source) => return Err(damaged(&files.key)(source)),
        };
        let provider = default_provider();
        let signing = provider.key_provider.load_private_key(key);
        let signing =
            signing.map_err(|source| CertificateError::Unfit { path: files.key.clone(), source })?;
        let key = CertifiedKey::new(chain, signing);
        match key.keys_match() {
            // Some keys cannot say what they are the half of.
            Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
            Err(Error::InconsistentKeys(_)) => {
                let (chain, key) = (files.chain.clone(), files.key.clone());
                return Err(CertificateError::Mismatch { chain, key });
            }
            Err(source) => return Err(CertificateError::Unfit { path: files.chain.clone(), source }),
        }
        Ok(Loaded { key: Arc::new(key), not_after })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, CertificateError> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes));
    match read {
        Err(source) => Err(CertificateError::Unreadable { path: path.to_owned(), source }),
        Ok(len) if len as u64 > MAX_FILE => Err(CertificateError::TooLarge { path: path.to_owned() }),
        Ok(_) => Ok(bytes),
    }
}
