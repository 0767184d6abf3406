//! The zones that both servers get: one like the example, and random ones from fixed seeds.

use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Numbers that look random and are the same in every run (SplitMix64).
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.roll() % end as u64) as usize
    }

    pub fn pick<'t, T: ?Sized>(&mut self, from: &[&'t T]) -> &'t T {
        from[self.below(from.len())]
    }
}

/// A zone as a zone file, and what there is to ask of it.
pub struct Zone {
    /// With its final dot.
    pub apex: String,
    pub text: String,
    /// Owners and one of their types, with final dots; no glue.
    pub owners: Vec<(String, &'static str)>,
}

/// An upstream answers for everything at or below this, and zones only point at it.
pub const OUTSIDE: &str = "outside.example.";

const LABELS: [&str; 12] = [
    "a",
    "b",
    "c",
    "www",
    "_tcp",
    "_443",
    "db-1",
    "xn--mnchen-3ya",
    "a-*",
    "x\\.y",
    "sp\\032ace",
    "\\195\\164",
];

/// The zone of the README, in all its types.
pub fn example() -> Zone {
    let text = r#"$ORIGIN nick.test.
$TTL 3600
@ 900 SOA ns-1536.awsdns-00.co.uk. awsdns-hostmaster.amazon.com. 1 7200 900 1209600 86400
@ 172800 NS ns-1536.awsdns-00.co.uk.
@ 172800 NS ns-0.awsdns-00.com.
@ MX 10 mail
@ TXT "v=spf1 mx -all"
@ TXT "caf\195\169" "two strings, one record"
@ CAA 0 issue "ca.example"
*.apps 300 A 172.31.52.190
x.y.apps 300 A 172.31.52.191
_https._tcp 300 SRV 10 50 443 nginx
mail A 172.31.52.185
nginx A 172.31.52.184
nginx AAAA fd00:ec2:31::184
pool 60 A 172.31.52.11
pool 60 A 172.31.52.12
pool 60 A 172.31.52.13
svc 300 HTTPS 1 . alpn="h2,h3" ipv4hint=172.31.52.184
www 300 CNAME nginx
web 300 CNAME www
wild 300 CNAME any.thing.apps
dead 300 CNAME no.such.name
abroad 300 CNAME www.outside.example.
next 300 CNAME www.z1.test.
loop 300 CNAME loop2
loop2 300 CNAME loop
sub 300 NS ns.outside.example.
sub 300 NS ns.sub
ns.sub 300 A 172.31.52.192
"#;
    // Much longer where names within RDATA are not compressed.
    let mail = |n| format!("many 300 MX {n} mx{n}.with.a.long.name.in.common\n");
    let text = text.to_owned() + &(10..22).map(mail).collect::<String>();
    let owners = [
        ("", "SOA"),
        ("", "MX"),
        ("", "TXT"),
        ("", "CAA"),
        ("*.apps", "A"),
        ("x.y.apps", "A"),
        ("nginx", "AAAA"),
        ("_https._tcp", "SRV"),
        ("pool", "A"),
        ("svc", "HTTPS"),
        ("www", "CNAME"),
        ("web", "CNAME"),
        ("wild", "CNAME"),
        ("dead", "CNAME"),
        ("abroad", "CNAME"),
        ("next", "CNAME"),
        ("loop", "CNAME"),
        ("sub", "NS"),
        ("ns.sub", "A"),
        ("many", "MX"),
    ];
    let absolute =
        |owner: &str| if owner.is_empty() { "nick.test.".into() } else { format!("{owner}.nick.test.") };
    let owners = owners.iter().map(|&(owner, rtype)| (absolute(owner), rtype)).collect();
    Zone { apex: "nick.test.".into(), text, owners }
}

/// A zone of random owners and types. `others` are apexes that its CNAMEs may point into.
pub fn random(apex: &str, seed: u64, others: &[String]) -> Zone {
    let mut dice = Dice(seed);
    let mut zone = Zone { apex: apex.into(), text: String::new(), owners: Vec::new() };
    let ttl = 60 * (1 + dice.below(100));
    let minimum = [10, 300, 86_400][dice.below(3)];
    let _ = writeln!(zone.text, "{apex} {ttl} IN SOA ns.{apex} host.{apex} {seed} 7200 900 86400 {minimum}");
    zone.owners.push((apex.into(), "SOA"));
    zone.set(apex, "NS", &mut dice, others);
    let mut taken = BTreeSet::from([apex.to_owned()]);
    for _ in 0..40 {
        let owner = random_owner(&mut dice, apex, &zone.owners);
        if !taken.insert(owner.to_ascii_lowercase()) {
            continue;
        }
        let is_wildcard = owner.starts_with("*.");
        match dice.below(20) {
            0..=4 => zone.set(&owner, "CNAME", &mut dice, others),
            5 if !is_wildcard => zone.delegate(&owner, &mut dice),
            6 => zone.large(&owner, &mut dice),
            _ => {
                let types: BTreeSet<&str> = (0..1 + dice.below(3)).map(|_| dice.pick(&PLAIN)).collect();
                types.into_iter().for_each(|rtype| zone.set(&owner, rtype, &mut dice, others));
            }
        }
    }
    zone
}

/// Types without rules about what stands beside them.
const PLAIN: [&str; 14] = [
    "A",
    "AAAA",
    "TXT",
    "MX",
    "SRV",
    "PTR",
    "NAPTR",
    "CAA",
    "SPF",
    "HTTPS",
    "SVCB",
    "SSHFP",
    "TLSA",
    "TYPE65280",
];

fn random_owner(dice: &mut Dice, apex: &str, owners: &[(String, &'static str)]) -> String {
    // Below another owner, so that there are names between names; or below one that is none.
    let base = if dice.below(3) == 0 { &owners[dice.below(owners.len())].0 } else { apex };
    let base = if base.starts_with("*.") && dice.below(4) > 0 { apex } else { base };
    let mut owner = base.to_owned();
    for _ in 0..1 + dice.below(2) {
        owner = format!("{}.{owner}", dice.pick(&LABELS));
    }
    if dice.below(6) == 0 { format!("*.{owner}") } else { owner }
}

impl Zone {
    /// One to four records of a type under one TTL.
    fn set(&mut self, owner: &str, rtype: &'static str, dice: &mut Dice, others: &[String]) {
        let ttl = 1 + dice.below(5000);
        let count = if rtype == "CNAME" { 1 } else { 1 + dice.below(4) };
        let values: BTreeSet<String> = (0..count).map(|_| self.value(rtype, dice, others)).collect();
        for value in values {
            let _ = writeln!(self.text, "{owner} {ttl} IN {rtype} {value}");
        }
        self.owners.push((owner.into(), rtype));
    }

    /// More than fits in a datagram, sometimes only just.
    fn large(&mut self, owner: &str, dice: &mut Dice) {
        let (count, len) = (10 + dice.below(60), 1 + dice.below(60));
        for n in 0..count {
            let _ = writeln!(self.text, "{owner} 60 IN TXT \"{n:03}{}\"", "x".repeat(len));
        }
        self.owners.push((owner.into(), "TXT"));
    }

    /// A delegation with glue; its DS stays here.
    fn delegate(&mut self, owner: &str, dice: &mut Dice) {
        let _ = writeln!(
            self.text,
            "{owner} 600 IN NS ns.{owner}\nns.{owner} 600 IN A 10.1.0.{}",
            dice.below(250)
        );
        let _ = writeln!(self.text, "{owner} 600 IN DS 12345 8 2 {}", "ab".repeat(32));
        self.owners.extend([
            (owner.to_owned(), "NS"),
            (format!("ns.{owner}"), "A"),
            (owner.to_owned(), "DS"),
        ]);
    }

    fn value(&self, rtype: &str, dice: &mut Dice, others: &[String]) -> String {
        let n = dice.below(200);
        let target = self.target(dice, others);
        match rtype {
            "A" => format!("10.0.{}.{n}", dice.below(3)),
            "AAAA" => format!("fd00::{n:x}"),
            "TXT" | "SPF" => format!("\"{n} \\\"q\\\" ;\\\\ \\0{:02}\" \"{}\"", n % 32, "y".repeat(n)),
            "MX" => format!("{n} {target}"),
            "SRV" => format!("{n} 2 80 {target}"),
            "NAPTR" => format!("{n} 1 \"u\" \"sip+E2U\" \"!^.*$!sip:a@b!\" {target}"),
            "CAA" => format!("0 issue \"ca{n}.example; x=1\""),
            "HTTPS" | "SVCB" => format!("{} {target} alpn=\"h2,h3\" port={n} ipv4hint=10.0.0.1", n + 1),
            "SSHFP" => format!("4 2 {}", format!("{n:02x}").repeat(32)),
            "TLSA" => format!("3 1 1 {}", format!("{n:02x}").repeat(32)),
            "TYPE65280" => format!("\\# 3 c00c{n:02x}"),
            _ => target,
        }
    }

    /// A name here, one that may not exist, one in another zone, or one that is nobody's.
    fn target(&self, dice: &mut Dice, others: &[String]) -> String {
        match dice.below(8) {
            0 => format!("n{}.{}", dice.below(9), self.apex),
            1 => format!("w{}.{OUTSIDE}", dice.below(9)),
            2 => format!("{}.{}", dice.pick(&LABELS), others[dice.below(others.len())]),
            _ => self.owners[dice.below(self.owners.len())].0.replacen('*', "synth", 1),
        }
    }
}
