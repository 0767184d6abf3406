//! How a connection, or a query on one, fails.

use std::fmt;
use std::io;
use std::sync::Arc;

/// Who the upstream is could not be verified, or it would not speak TLS with us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::upstream) struct TlsFailure(pub(in crate::upstream) Box<str>);

impl fmt::Display for TlsFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TlsFailure {}

/// Why a query got no response on a connection. Cloned for each query that the connection held.
#[derive(Clone, Debug)]
pub(super) enum Lost {
    /// The connection could not be opened.
    Dial(Arc<io::Error>),
    /// The connection ended.
    Ended {
        /// How.
        kind: io::ErrorKind,
        /// It had answered something before: the query deserves another one.
        had_answered: bool,
    },
    /// What came was no response to the query.
    Damaged(Option<Box<str>>),
}

impl Lost {
    /// Whether another connection may do better.
    pub(super) fn is_retried(&self) -> bool {
        matches!(self, Self::Ended { had_answered: true, .. })
    }
}

impl From<Lost> for io::Error {
    fn from(lost: Lost) -> Self {
        match lost {
            Lost::Dial(error) => copy(&error),
            Lost::Ended { kind, .. } => kind.into(),
            Lost::Damaged(None) => io::ErrorKind::InvalidData.into(),
            Lost::Damaged(Some(text)) => io::Error::new(io::ErrorKind::InvalidData, text.into_string()),
        }
    }
}

/// An error like `error`, which cannot be cloned.
fn copy(error: &io::Error) -> io::Error {
    match error.get_ref() {
        Some(inner) => match inner.downcast_ref::<TlsFailure>() {
            Some(failure) => io::Error::new(error.kind(), failure.clone()),
            None => io::Error::new(error.kind(), inner.to_string()),
        },
        None => error.kind().into(),
    }
}
