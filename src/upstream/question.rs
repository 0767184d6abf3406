//! A name and a type as one key.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::wire::name::MAX_NAME;
use crate::wire::{NameRef, Rtype, name_hash_with};

/// What is asked: a name and a type, class IN. Cloning shares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question(Arc<[u8]>);

/// One good number, as [`Prehashed`](crate::wire::Prehashed) maps want it.
impl Hash for Question {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.number());
    }
}

impl Question {
    /// Copies the name. Cost: one allocation.
    pub fn new(qname: NameRef<'_>, qtype: Rtype) -> Self {
        let name = qname.as_bytes();
        let mut bytes = [0; MAX_NAME + 2];
        let len = name.len().min(MAX_NAME);
        bytes[..len].copy_from_slice(&name[..len]);
        bytes[len..len + 2].copy_from_slice(&qtype.0.to_be_bytes());
        Self(Arc::from(&bytes[..len + 2]))
    }

    /// The one good number, for maps and for who watches.
    pub fn number(&self) -> u64 {
        number(self.qname(), self.qtype())
    }

    /// The name.
    pub fn qname(&self) -> NameRef<'_> {
        NameRef::from_checked(self.0.split_last_chunk::<2>().map_or(&[0], |(name, _)| name))
    }

    /// The type.
    pub fn qtype(&self) -> Rtype {
        Rtype(self.0.last_chunk().map_or(0, |&bytes| u16::from_be_bytes(bytes)))
    }
}

/// What a name and a type are known by within the process.
pub(super) fn number(qname: NameRef<'_>, qtype: Rtype) -> u64 {
    name_hash_with(qname, qtype.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Name;

    #[test]
    fn name_and_type_come_out_as_they_went_in() {
        let longest =
            [".", "a.test", &format!("{0}.{0}.{0}.{1}", "a".repeat(63), "b".repeat(61))].map(str::to_owned);
        for text in longest {
            let name: Name = text.parse().unwrap();
            let question = Question::new(name.as_ref(), Rtype::AAAA);
            assert_eq!((question.qname(), question.qtype()), (name.as_ref(), Rtype::AAAA));
            assert_eq!(question, Question::new(name.as_ref(), Rtype::AAAA));
            assert_ne!(question, Question::new(name.as_ref(), Rtype::A));
        }
    }
}
