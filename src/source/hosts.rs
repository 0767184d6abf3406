//! Names from hosts files (hosts(5)): addresses forwards and backwards, read anew when the file changes.
//!
//! These are no zones: a name that a file lacks goes its usual way. So they are not imported but handed to
//! the answerer whole.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hasher;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use siphasher::sip128::{Hasher128, SipHasher13};

use super::file::read_whole;
use super::settings::HostsSettings;
use crate::wire::Name;

/// How often a file is looked at for changes.
pub const POLL: Duration = Duration::from_secs(3);

/// Addresses of one name are capped: an answer holds no more.
const MAX_ADDRESSES: usize = 1000;

/// What a hosts file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hosts {
    /// Of all its records, seconds.
    pub ttl: u32,
    /// The addresses of each name, in the order of the file.
    pub forward: BTreeMap<Name, Vec<IpAddr>>,
    /// The first name of each address, by its name below `in-addr.arpa` or `ip6.arpa`.
    pub reverse: BTreeMap<Name, Name>,
    /// Numbers of lines, the first few, of which something was not understood.
    pub odd_lines: Vec<usize>,
}

impl Hosts {
    /// Reads a hosts file: an address, its name, further names, up to `#`. What is not understood is left
    /// out by itself; a name without dots is a whole name.
    pub fn parse(content: &[u8], ttl: u32) -> Self {
        let mut hosts = Self { ttl, ..Self::default() };
        for (number, line) in content.split(|&byte| byte == b'\n').enumerate() {
            let line = line.split(|&byte| byte == b'#').next().unwrap_or_default();
            if hosts.line(&String::from_utf8_lossy(line)).is_none() && hosts.odd_lines.len() < 8 {
                hosts.odd_lines.push(number + 1);
            }
        }
        hosts
    }

    /// The numbers of the first lines that have a name among `names`, at most so many, each with the first such name.
    pub fn lines_with(content: &[u8], names: &BTreeSet<Name>, most: usize) -> Vec<(usize, Name)> {
        let named = |(number, line): (usize, &[u8])| {
            let line = line.split(|&byte| byte == b'#').next().unwrap_or_default();
            let line = String::from_utf8_lossy(line);
            let mut words = line.split_ascii_whitespace().skip(1).filter_map(host_name);
            Some((number + 1, words.find(|name| names.contains(name))?))
        };
        content.split(|&byte| byte == b'\n').enumerate().filter_map(named).take(most).collect()
    }

    /// Takes one line; `None` if something of it was not understood.
    fn line(&mut self, line: &str) -> Option<()> {
        let mut words = line.split_ascii_whitespace();
        let Some(address) = words.next() else { return Some(()) };
        let address = address.parse::<IpAddr>().ok()?.to_canonical();
        let mut understood = None;
        let mut is_whole = true;
        for word in words {
            let Some(name) = host_name(word) else {
                is_whole = false;
                continue;
            };
            // Nobody can be asked at this address: it is how lists block a name.
            if understood.is_none() && !address.is_unspecified() {
                self.reverse.entry(reverse(address)?).or_insert_with(|| name.clone());
            }
            let addresses = self.forward.entry(name).or_default();
            if addresses.len() < MAX_ADDRESSES && !addresses.contains(&address) {
                addresses.push(address);
            }
            understood = Some(());
        }
        understood.filter(|()| is_whole)
    }
}

/// A name as hosts files have it, in which nothing is escaped.
fn host_name(word: &str) -> Option<Name> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let name = word.parse::<Name>().ok().filter(|_| word.chars().all(is_plain))?;
    (!name.as_ref().is_root()).then_some(name)
}

/// The name that an address is looked up backwards by (RFC 1035 §3.5, RFC 3596 §2.5).
fn reverse(address: IpAddr) -> Option<Name> {
    let text = match address {
        IpAddr::V4(ip) => {
            let [a, b, c, d] = ip.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(ip) => {
            let digits = format!("{:032x}", ip.to_bits());
            digits.chars().rev().flat_map(|digit| [digit, '.']).collect::<String>() + "ip6.arpa"
        }
    };
    text.parse().ok()
}

/// A hosts file that is followed.
#[derive(Debug)]
pub struct HostsFile {
    settings: HostsSettings,
    taken: Option<(u128, Arc<Hosts>)>,
    /// Other content, which may still be in the writing.
    settling: Option<u128>,
}

impl HostsFile {
    /// Nothing is read yet.
    pub fn new(settings: HostsSettings) -> Self {
        Self { settings, taken: None, settling: None }
    }

    /// What it was made of.
    pub fn settings(&self) -> &HostsSettings {
        &self.settings
    }

    /// [`Hosts::lines_with`] of the file as it is now; none where it cannot be read. Blocks.
    pub fn lines_with(&self, names: &BTreeSet<Name>, most: usize) -> Vec<(usize, Name)> {
        read_whole(&self.settings.path)
            .map_or_else(|_| Vec::new(), |content| Hosts::lines_with(&content, names, most))
    }

    /// What was read last.
    pub fn hosts(&self) -> Option<&Arc<Hosts>> {
        self.taken.as_ref().map(|(_, hosts)| hosts)
    }

    /// Looks at the file; returns whether it says something new. The first content is taken at once, later
    /// ones when a second look finds them unchanged: a file is written in steps. Blocks.
    ///
    /// # Errors
    /// It cannot be read; what was read before stays.
    pub fn look(&mut self) -> io::Result<bool> {
        let content = read_whole(&self.settings.path)?;
        let mut hasher = SipHasher13::new();
        hasher.write(&content);
        let now = hasher.finish128().as_u128();
        let before = self.settling.take();
        match &self.taken {
            Some((taken, _)) if *taken == now => return Ok(false),
            Some(_) if before != Some(now) => {
                self.settling = Some(now);
                return Ok(false);
            }
            _ => {}
        }
        self.taken = Some((now, Arc::new(Hosts::parse(&content, self.settings.ttl))));
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn forward(hosts: &Hosts, name: &str) -> Vec<String> {
        let addresses = hosts.forward.get(&name.parse::<Name>().unwrap());
        addresses.into_iter().flatten().map(ToString::to_string).collect()
    }

    fn pointer(hosts: &Hosts, name: &str) -> Option<String> {
        hosts.reverse.get(&name.parse::<Name>().unwrap()).map(ToString::to_string)
    }

    #[test]
    fn lines_name_addresses_forwards_and_backwards() {
        let text = "# a comment\n10.0.0.1\tdb.corp.test DB # the old one\n\
                    fd00::1 db.corp.test\n10.0.0.2 db.corp.test.\r\n10.0.0.1 other.test\n\n";
        let hosts = Hosts::parse(text.as_bytes(), 30);
        assert_eq!(forward(&hosts, "db.corp.test"), ["10.0.0.1", "fd00::1", "10.0.0.2"]);
        assert_eq!(forward(&hosts, "db"), ["10.0.0.1"]);
        assert_eq!(pointer(&hosts, "1.0.0.10.in-addr.arpa").as_deref(), Some("db.corp.test."));
        let v6 = format!("1.{}d.f.ip6.arpa", "0.".repeat(29));
        assert_eq!(pointer(&hosts, &v6).as_deref(), Some("db.corp.test."));
        assert!(hosts.odd_lines.is_empty(), "{:?}", hosts.odd_lines);
    }

    #[test]
    fn what_is_not_understood_is_left_out_by_itself_and_told() {
        let text = "nonsense\n10.0.0.1\n10.0.0.2 good.test b\u{e4}d.test *.x.test\nfe80::1%lo0 z.test\n\
                    10.0.0.3 . a..b\n0.0.0.0 ads.test\n";
        let hosts = Hosts::parse(text.as_bytes(), 30);
        assert_eq!(forward(&hosts, "good.test"), ["10.0.0.2"]);
        assert_eq!(hosts.odd_lines, [1, 2, 3, 4, 5]);
        assert_eq!(forward(&hosts, "ads.test"), ["0.0.0.0"]);
        assert_eq!((hosts.forward.len(), hosts.reverse.len()), (2, 1));
    }

    #[test]
    fn the_same_address_counts_once_and_addresses_are_bounded() {
        let mut text = "10.0.0.1 a.test\n::ffff:10.0.0.1 a.test\n".to_owned();
        (0..2000).for_each(|n| text.push_str(&format!("10.1.{}.{} many.test\n", n / 256, n % 256)));
        let hosts = Hosts::parse(text.as_bytes(), 30);
        assert_eq!(forward(&hosts, "a.test"), ["10.0.0.1"]);
        assert_eq!(forward(&hosts, "many.test").len(), MAX_ADDRESSES);
    }

    #[test]
    fn a_changed_file_is_taken_when_it_stands_still_and_a_lost_one_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("hosts");
        let mut file = HostsFile::new(HostsSettings { path: path.clone(), ttl: 30 });
        assert!(file.look().is_err() && file.hosts().is_none());
        let names = |file: &HostsFile| file.hosts().map_or(0, |hosts| hosts.forward.len());
        fs::write(&path, "10.0.0.1 a.test\n").unwrap();
        assert!(file.look().unwrap());
        assert!(!file.look().unwrap());
        fs::write(&path, "10.0.0.1 a.test\n10.0.0.2 b.te").unwrap();
        assert!(!file.look().unwrap(), "it may not be whole yet");
        fs::write(&path, "10.0.0.1 a.test\n10.0.0.2 b.test\n").unwrap();
        assert!(!file.look().unwrap());
        assert_eq!(names(&file), 1);
        assert!(file.look().unwrap());
        assert_eq!(names(&file), 2);
        fs::remove_file(&path).unwrap();
        assert!(file.look().is_err());
        assert_eq!(names(&file), 2);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(content in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
            Hosts::parse(&content, 30);
        }
    }
}
