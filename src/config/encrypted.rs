//! The part of `[server]` that is about TLS, HTTPS and QUIC: listeners, certificate, path.

use std::net::SocketAddr;
use std::path::Path;

use crate::server;
use crate::server::settings::CertificateFiles;

use super::read::{Item, Section};
use super::sections::path;

/// Keys of listeners, and the feature that each needs.
const LISTENERS: [(&str, &str, bool); 3] = [
    ("tls", "tls", cfg!(feature = "tls")),
    ("https", "tls", cfg!(feature = "tls")),
    ("quic", "doq", cfg!(feature = "doq")),
];

/// Reads into `settings` what stands in `section`.
pub(super) fn encrypted(section: &Section<'_>, base: &Path, settings: &mut server::Settings) {
    let [tls, https, quic] = LISTENERS.map(|(key, feature, is_built)| {
        let list = section.read(key, Vec::new(), |item| item.list(|i| i.listen_address()));
        if !is_built && !list.is_empty() {
            let fix = format!("build with the feature `{feature}`, or remove the key");
            section.reject(key, "is not part of this build", Some(&fix));
        }
        list
    });
    (settings.tls, settings.https, settings.quic) = (tls, https, quic);
    let default = std::mem::take(&mut settings.https_path);
    settings.https_path = section.read("https_path", default, url_path);
    settings.certificate = certificate(section, base, settings.is_encrypted());
    refuse_shared_ports(section, settings);
}

fn url_path(item: &Item<'_>) -> Option<String> {
    let text = item.text()?;
    let is_path =
        text.starts_with('/') && text.bytes().all(|b| b.is_ascii_graphic() && !b"?#{}\"<>\\^`|".contains(&b));
    if !is_path {
        item.reject(format!("{text:?} is not the path of a URL"), Some("write \"/dns-query\"".to_owned()));
    }
    is_path.then(|| text.to_owned())
}

/// The files. That they are no good does not end the rest: they may be mended, without a reload, at any time.
fn certificate(section: &Section<'_>, base: &Path, is_needed: bool) -> Option<CertificateFiles> {
    let chain = section.read("certificate", None, |item| path(item, base));
    let key = section.read("key", None, |item| path(item, base));
    let files = match (chain, key) {
        (Some(chain), Some(key)) => CertificateFiles { chain, key },
        (None, None) if !is_needed => return None,
        (chain, _) => {
            let missing = if chain.is_none() { "certificate" } else { "key" };
            let fix = "name the PEM files of a certificate with its chain and of its key";
            section.reject(missing, "is missing for the encrypted listeners", Some(fix));
            return None;
        }
    };
    if is_needed {
        find_faults(section, &files);
    } else {
        section.warn("certificate", "nothing is served with it", Some("set tls, https or quic to addresses"));
    }
    Some(files)
}

#[cfg(feature = "tls")]
fn find_faults(section: &Section<'_>, files: &CertificateFiles) {
    if let Err(error) = server::certificate::check(files) {
        let key = if error.is_of_key(files) { "key" } else { "certificate" };
        section.fault(key, &error.with_causes(), Some(error.remedy()));
    }
}

/// The listeners themselves have been refused.
#[cfg(not(feature = "tls"))]
fn find_faults(_: &Section<'_>, _: &CertificateFiles) {}

/// TLS and HTTPS cannot share an address with each other or with plain TCP, nor QUIC with plain UDP.
fn refuse_shared_ports(section: &Section<'_>, settings: &server::Settings) {
    let taken = |key: &str, list: &[SocketAddr], others: &[(&str, &[SocketAddr])]| {
        for address in list.iter().filter(|address| address.port() != 0) {
            let Some((other, _)) = others.iter().find(|(_, list)| list.contains(address)) else { continue };
            let what = format!("{address} is in server.{other} as well");
            section.reject(key, &what, Some("choose another port"));
        }
    };
    let plain = ("listen", &*settings.listen);
    taken("tls", &settings.tls, &[plain]);
    taken("https", &settings.https, &[plain, ("tls", &settings.tls)]);
    taken("quic", &settings.quic, &[plain]);
}

/// All addresses that clients reach, with the keys they stand under.
pub(super) fn listeners(settings: &server::Settings) -> [(&'static str, &[SocketAddr]); 4] {
    [
        ("listen", &settings.listen),
        ("tls", &settings.tls),
        ("https", &settings.https),
        ("quic", &settings.quic),
    ]
}
