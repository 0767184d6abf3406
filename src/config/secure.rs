//! Upstreams over encrypted transports: `tls://`, `https://`, `quic://`, and who vouches for them.

use std::io::Read;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use crate::upstream::settings::{Place, Protocol, Secure, UpstreamSpec};

use super::address::{is_host_name, upstream_address};
use super::read::{Item, Section};
use super::sections::path;

/// A file of certificates is not larger.
const MAX_CA: u64 = 4 << 20;
/// Where servers of DNS over HTTPS mostly are.
const USUAL_PATH: &str = "/dns-query";

/// What is wrong, and what to write.
type Refused = (String, String);

/// What stands behind `scheme://`.
pub(super) fn secure(protocol: Protocol, text: &str) -> Result<UpstreamSpec, Refused> {
    if !protocol.is_built() {
        let (scheme, feature) = (protocol.scheme(), protocol.feature());
        let what = format!("this zonelet was built without the feature {feature:?}, which {scheme}:// needs");
        return Err((what, format!("build it with --features {feature}, or write an address")));
    }
    let (rest, name) = match text.split_once('#') {
        Some((rest, name)) => (rest, Some(name)),
        None => (text, None),
    };
    let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let place = place(protocol, authority)?;
    let server_name = match name {
        Some(name) => certificate_name(protocol, name)?,
        None => match &place {
            Place::Address(address) => address.ip().to_string(),
            Place::Host(host, _) => host.to_string(),
        },
    };
    if protocol == Protocol::Https && server_name.contains(':') {
        let what = "an IPv6 address cannot be what an https:// certificate is for here".to_owned();
        return Err((what, format!("write {:?}", example(protocol))));
    }
    let (server_name, path) = (server_name.into(), url_path(protocol, path)?.into());
    Ok(UpstreamSpec::Secure(Arc::new(Secure { protocol, place, server_name, path, ca: None })))
}

fn example(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tls => "tls://1.1.1.1#cloudflare-dns.com",
        Protocol::Https => "https://1.1.1.1/dns-query#cloudflare-dns.com",
        Protocol::Quic => "quic://94.140.14.14#dns.adguard.com",
    }
}

fn place(protocol: Protocol, authority: &str) -> Result<Place, Refused> {
    let refused = |what: String| (what, format!("write {:?}", example(protocol)));
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !host.contains([':', '[']) => (host, Some(port)),
        _ => (authority, None),
    };
    if !is_host_name(host) {
        let address = upstream_address(authority, protocol.port()).map_err(|(what, _)| refused(what))?;
        return Ok(Place::Address(address));
    }
    let port = match port.map(str::parse::<u16>) {
        None => protocol.port(),
        Some(Ok(port)) if port > 0 => port,
        Some(_) => return Err(refused(format!("{authority:?} has no port that there is"))),
    };
    Ok(Place::Host(
        host_name(host).ok_or_else(|| refused(format!("{host:?} is not a host name")))?.into(),
        port,
    ))
}

/// A host name in the form that certificates have.
fn host_name(text: &str) -> Option<String> {
    let text = text.strip_suffix('.').unwrap_or(text);
    let is_name = is_host_name(text) && text.parse::<crate::wire::Name>().is_ok();
    is_name.then(|| text.to_ascii_lowercase())
}

fn certificate_name(protocol: Protocol, name: &str) -> Result<String, Refused> {
    if let Ok(address) = name.parse::<IpAddr>() {
        return Ok(address.to_string());
    }
    host_name(name).ok_or_else(|| {
        let what = format!("behind # must stand the name that the certificate is for, not {name:?}");
        (what, format!("write {:?}", example(protocol)))
    })
}

/// The path is not repeated in problems: it may hold a token.
fn url_path(protocol: Protocol, path: &str) -> Result<&str, Refused> {
    let plain = |c: char| c.is_ascii_graphic() && !"{}<>\"\\^`|".contains(c);
    match (protocol, path) {
        (Protocol::Https, "") => Ok(USUAL_PATH),
        (Protocol::Https, path) if path.chars().all(plain) => Ok(path),
        (Protocol::Https, _) => {
            let what = "the path of the URL has characters that must be escaped".to_owned();
            Err((what, "write the path alone, without {?dns}".to_owned()))
        }
        (_, "") => Ok(""),
        (_, _) => {
            let what = format!("{}:// has no path", protocol.scheme());
            Err((what, format!("write {:?}", example(protocol))))
        }
    }
}

/// `specs` with the certificates of the key `ca`: those who may vouch for the encrypted ones.
pub(super) fn with_ca(
    section: &Section<'_>,
    base: &Path,
    specs: Option<Vec<UpstreamSpec>>,
) -> Option<Vec<UpstreamSpec>> {
    let ca = section.read("ca", None, |item| ca(item, base));
    let (Some(specs), Some(pem)) = (&specs, ca) else { return specs };
    if !specs.iter().any(|spec| matches!(spec, UpstreamSpec::Secure(_))) {
        let fix = "remove it, or write tls:// and an address";
        section.reject("ca", "has no meaning: none of the upstreams is encrypted", Some(fix));
    }
    let vouched = |spec: &UpstreamSpec| match spec {
        UpstreamSpec::Secure(secure) => {
            UpstreamSpec::Secure(Arc::new(Secure { ca: Some(Arc::clone(&pem)), ..(**secure).clone() }))
        }
        other => other.clone(),
    };
    Some(specs.iter().map(vouched).collect())
}

/// The content of a file of certificates; an empty path is none.
fn ca(item: &Item<'_>, base: &Path) -> Option<Option<Arc<[u8]>>> {
    let Some(path) = path(item, base)? else { return Some(None) };
    let mut pem = Vec::new();
    let read = std::fs::File::open(&path).and_then(|file| file.take(MAX_CA).read_to_end(&mut pem));
    if let Err(error) = read {
        item.reject(format!("{} cannot be read: {error}", path.display()), None);
        return None;
    }
    #[cfg(feature = "tls")]
    if let Err(what) = crate::upstream::check_ca(&pem) {
        let fix = "name a PEM file of the certificates that are to be trusted".to_owned();
        item.reject(format!("{}: {what}", path.display()), Some(fix));
        return None;
    }
    Some(Some(pem.into()))
}

/// The first of `specs` whose address somebody else has to be asked for.
pub(super) fn named_only(specs: &[UpstreamSpec]) -> Option<&Secure> {
    specs.iter().find_map(|spec| match spec {
        UpstreamSpec::Secure(secure) if matches!(secure.place, Place::Host(..)) => Some(&**secure),
        _ => None,
    })
}

/// Whether a query to this upstream is sent in the clear.
pub(super) fn is_clear(spec: &UpstreamSpec) -> bool {
    !matches!(spec, UpstreamSpec::Secure(_))
}
