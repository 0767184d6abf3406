//! Upstreams over encrypted transports.

use crate::upstream::settings::Protocol;
#[cfg(feature = "tls")]
use crate::upstream::settings::{Place, Secure, UpstreamSpec};

#[cfg(feature = "tls")]
use super::{Config, Environment};
use super::{problem, read};

fn forward(upstreams: &str) -> String {
    format!("[[forward]]\ndomain = '.'\nupstreams = [{upstreams}]")
}

#[cfg(feature = "tls")]
fn secure(upstreams: &str) -> Secure {
    match &read(&forward(upstreams)).unwrap().upstream.domains[0].upstreams[0] {
        UpstreamSpec::Secure(secure) => (**secure).clone(),
        other => panic!("{other:?}"),
    }
}

#[cfg(feature = "tls")]
#[test]
fn encrypted_upstreams_are_addresses_or_hosts_with_a_name_to_verify() {
    let at = |text: &str| Place::Address(text.parse().unwrap());
    let host = |name: &str, port| Place::Host(name.into(), port);
    let (tls, https) = (Protocol::Tls, Protocol::Https);
    for (text, protocol, place, name, path) in [
        ("tls://1.1.1.1", tls, at("1.1.1.1:853"), "1.1.1.1", ""),
        ("tls://1.1.1.1#Cloudflare-DNS.com.", tls, at("1.1.1.1:853"), "cloudflare-dns.com", ""),
        ("tls://1.1.1.1:8853#a.test", tls, at("1.1.1.1:8853"), "a.test", ""),
        ("tls://[fd00::2]", tls, at("[fd00::2]:853"), "fd00::2", ""),
        ("tls://[fd00::2]:54#a.test", tls, at("[fd00::2]:54"), "a.test", ""),
        ("tls://dns.google", tls, host("dns.google", 853), "dns.google", ""),
        ("tls://dns.google:8853#a.test", tls, host("dns.google", 8853), "a.test", ""),
        ("https://1.1.1.1", https, at("1.1.1.1:443"), "1.1.1.1", "/dns-query"),
        ("https://1.1.1.1/q?k=1#a.test", https, at("1.1.1.1:443"), "a.test", "/q?k=1"),
        ("https://dns.google:8443/dns-query", https, host("dns.google", 8443), "dns.google", "/dns-query"),
        ("https://[fd00::2]/dns-query#a.test", https, at("[fd00::2]:443"), "a.test", "/dns-query"),
    ] {
        let want = Secure { protocol, place, server_name: name.into(), path: path.into(), ca: None };
        assert_eq!(secure(&format!("'{text}', 'system'")), want, "{text}");
    }
}

#[cfg(feature = "tls")]
#[test]
fn what_cannot_be_an_encrypted_upstream_is_told() {
    for (text, why) in [
        ("tls://", "is not the address of an upstream; write \"tls://1.1.1.1#cloudflare-dns.com\""),
        ("tls://fd00::2", "must stand in brackets"),
        ("tls://0.0.0.0", "is no host's address"),
        ("tls://1.1.1.1:0", "has port 0"),
        ("tls://dns.test:0", "has no port that there is"),
        ("tls://dns.test:99999", "has no port that there is"),
        ("tls://a..test", "is not a host name"),
        ("tls://user@dns.test", "is not the address of an upstream"),
        ("tls://1.1.1.1#", "behind # must stand the name that the certificate is for"),
        ("tls://1.1.1.1#a b", "behind # must stand the name"),
        ("tls://1.1.1.1/dns-query", "tls:// has no path"),
        ("https://1.1.1.1/dns-query{?dns}", "without {?dns}"),
        ("https://[fd00::2]/dns-query", "cannot be what an https:// certificate is for"),
        ("tls://127.0.0.1:5300", "is where zonelet itself listens"),
    ] {
        let found = problem(&forward(&format!("'{text}', 'system'")));
        assert!(found.contains(why), "{text}: {found}");
    }
    let told = problem(&forward("'https://1.1.1.1/secret {}', 'system'"));
    assert!(!told.contains("secret"), "{told}");
}

#[cfg(feature = "tls")]
#[test]
fn a_host_is_looked_up_through_somebody_who_is_not_encrypted() {
    let found = problem(&forward("'tls://dns.google', 'tls://1.1.1.1'"));
    assert!(found.contains("tls://dns.google has to be looked up"), "{found}");
    assert!(found.contains("write tls://, its address and #dns.google"), "{found}");
    let other = "\n[[forward]]\ndomain = 'corp.test'\nupstreams = ['10.0.0.2']";
    assert!(read(&(forward("'tls://dns.google'") + other)).is_ok());
}

#[cfg(feature = "tls")]
#[test]
fn who_vouches_for_upstreams_is_read_from_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["ca.test".to_owned()]).unwrap().self_signed(&key);
    let pem = certificate.unwrap().pem();
    write("ca.pem", &pem);
    write("key.pem", &key.serialize_pem());
    write("damaged.pem", &pem.replace("MII", "AII"));
    let load = |upstream: &str, ca: &str| {
        write("config.toml", &format!("{}\nca = '{ca}'", forward(upstream)));
        Config::load(Some(&dir.path().join("config.toml")), &Environment::default())
    };
    let config = load("'tls://1.1.1.1', '10.0.0.2'", "ca.pem").unwrap();
    let UpstreamSpec::Secure(secure) = &config.upstream.domains[0].upstreams[0] else { panic!() };
    assert_eq!(secure.ca.as_deref(), Some(pem.as_bytes()));
    for (upstream, ca, why) in [
        ("'tls://1.1.1.1'", "none.pem", "none.pem cannot be read"),
        ("'tls://1.1.1.1'", "key.pem", "there is no certificate in it"),
        ("'tls://1.1.1.1'", "damaged.pem", "a certificate cannot be used"),
        ("'10.0.0.2'", "ca.pem", "none of the upstreams is encrypted"),
    ] {
        let found = super::lines(load(upstream, ca));
        assert!(found.len() == 1 && found[0].contains(why), "{found:#?}");
    }
}

#[test]
fn a_build_without_a_transport_names_the_feature() {
    for protocol in Protocol::ALL {
        let text = format!("'{}://1.1.1.1', 'system'", protocol.scheme());
        if protocol.is_built() {
            assert!(read(&forward(&text)).is_ok());
        } else {
            let found = problem(&forward(&text));
            let why = format!("built without the feature \"{}\"", protocol.feature());
            assert!(found.contains(&why), "{found}");
        }
    }
}
