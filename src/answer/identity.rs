//! Who this server is, told to who asks in class CH (RFC 4892) or by NSID (RFC 5001).

use std::fs;

use super::settings::{Identity, ServerId};
use crate::wire::{NameRef, Rtype};

/// What may be told, as texts.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    pub server: Option<Box<str>>,
    pub version: Option<Box<str>>,
}

impl Told {
    /// What the settings let be told. A host whose name cannot be found is not named.
    pub fn of(identity: &Identity) -> Self {
        let server = match &identity.server {
            None => None,
            Some(ServerId::Hostname) => host_name(),
            Some(ServerId::Text(text)) => Some(text.as_str().into()),
        };
        Self { server, version: identity.version.as_deref().map(Into::into) }
    }

    /// The text for a question in class CH, `None` for one that is refused.
    pub fn text(&self, qname: NameRef<'_>, qtype: Rtype) -> Option<&str> {
        if qtype != Rtype::TXT && qtype != Rtype::ANY {
            return None;
        }
        match qname.as_bytes() {
            b"\x02id\x06server\x00" | b"\x08hostname\x04bind\x00" => self.server.as_deref(),
            b"\x07version\x06server\x00" | b"\x07version\x04bind\x00" => self.version.as_deref(),
            _ => None,
        }
    }
}

/// The host's name, as far as it is printable; in a pod that is the pod's.
fn host_name() -> Option<Box<str>> {
    let read = ["/proc/sys/kernel/hostname", "/etc/hostname"].into_iter();
    let name = read.filter_map(|path| fs::read_to_string(path).ok()).find(|name| !name.trim().is_empty())?;
    let name = name.trim();
    (name.len() <= super::settings::MAX_IDENTITY && name.chars().all(|c| c.is_ascii_graphic()))
        .then(|| name.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Name;

    fn text(told: &Told, qname: &str, qtype: Rtype) -> Option<String> {
        told.text(qname.parse::<Name>().unwrap().as_ref(), qtype).map(str::to_owned)
    }

    #[test]
    fn each_name_tells_what_it_is_for_and_nothing_that_is_not_configured() {
        let identity =
            Identity { server: Some(ServerId::Text("node-7".into())), version: Some("zonelet".into()) };
        let told = Told::of(&identity);
        for (qname, want) in [
            ("id.server", Some("node-7")),
            ("hostname.bind", Some("node-7")),
            ("version.server", Some("zonelet")),
            ("version.bind", Some("zonelet")),
            ("authors.bind", None),
            ("x.id.server", None),
        ] {
            assert_eq!(text(&told, qname, Rtype::TXT).as_deref(), want, "{qname}");
            assert_eq!(text(&told, qname, Rtype::A), None, "{qname}");
            assert_eq!(text(&Told::of(&Identity::default()), qname, Rtype::TXT), None, "{qname}");
        }
    }

    #[test]
    fn the_host_has_a_name_of_one_word() {
        let identity = Identity { server: Some(ServerId::Hostname), version: None };
        let name = Told::of(&identity).server.expect("Linux knows its host's name");
        assert!(!name.is_empty() && !name.contains(char::is_whitespace));
    }
}
