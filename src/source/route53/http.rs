//! The HTTP client under the SDK: our own name resolution, proxies, and CA bundle.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_http_client::{Builder, Connector};
use aws_smithy_runtime_api::client::dns::{DnsFuture, ResolveDns, ResolveDnsError};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::source::{HostResolver, SourceError};

/// An HTTP client that resolves names through `resolver`, and goes through the proxies of
/// `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` except to addresses of this host and of its link,
/// where instance metadata and container credentials live.
///
/// `ca_bundle` (PEM, from `AWS_CA_BUNDLE`) replaces the system's roots, as in other AWS tools.
///
/// # Errors
/// [`SourceError::Misconfigured`] for a bundle without usable certificates.
pub fn client(
    resolver: Arc<dyn HostResolver>,
    ca_bundle: Option<Vec<u8>>,
) -> Result<SharedHttpClient, SourceError> {
    let tls = tls_context(ca_bundle)?;
    let hosts = Hosts(resolver);
    let build = |proxy: ProxyConfig| {
        let (tls, hosts) = (tls.clone(), hosts.clone());
        Builder::new().build_with_connector_fn(move |settings, components| {
            let mut builder = Connector::builder()
                .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
                .tls_context(tls.clone())
                .proxy_config(proxy.clone());
            builder.set_connector_settings(settings.cloned());
            builder.set_sleep_impl(components.and_then(RuntimeComponents::sleep_impl));
            builder.build_with_resolver(hosts.clone())
        })
    };
    let client = Routed { direct: build(ProxyConfig::disabled()), proxied: build(ProxyConfig::from_env()) };
    Ok(SharedHttpClient::new(client))
}

fn tls_context(ca_bundle: Option<Vec<u8>>) -> Result<TlsContext, SourceError> {
    let mut trust = TrustStore::default();
    if let Some(pem) = ca_bundle {
        check_bundle(&pem)
            .map_err(|problem| SourceError::Misconfigured(format!("AWS_CA_BUNDLE: {problem}")))?;
        trust = TrustStore::empty().with_pem_certificate(pem);
    }
    let context = TlsContext::builder().with_trust_store(trust).build();
    context.map_err(|error| SourceError::Misconfigured(format!("the TLS settings cannot be used: {error}")))
}

/// Tries the certificates where an error is one: the client below would panic.
fn check_bundle(pem: &[u8]) -> Result<(), String> {
    let certificates = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
    let certificates = certificates.map_err(|error| format!("not PEM: {error}"))?;
    if certificates.is_empty() {
        return Err("no certificate in it".into());
    }
    let mut roots = rustls::RootCertStore::empty();
    for (at, certificate) in certificates.into_iter().enumerate() {
        roots.add(certificate).map_err(|error| format!("certificate {}: {error}", at + 1))?;
    }
    Ok(())
}

/// Our resolver in the SDK's clothes.
#[derive(Clone, Debug)]
struct Hosts(Arc<dyn HostResolver>);

impl ResolveDns for Hosts {
    fn resolve_dns<'a>(&'a self, name: &'a str) -> DnsFuture<'a> {
        DnsFuture::new(async move {
            // RFC 6761 §6.3: never asked of anybody.
            if name.eq_ignore_ascii_case("localhost") {
                return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
            }
            self.0.resolve(name).await.map_err(ResolveDnsError::new)
        })
    }
}

/// Sends requests directly or through the proxies, by where they go.
#[derive(Debug)]
struct Routed<T> {
    direct: T,
    proxied: T,
}

impl HttpClient for Routed<SharedHttpClient> {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(Routed {
            direct: self.direct.http_connector(settings, components),
            proxied: self.proxied.http_connector(settings, components),
        })
    }
}

impl HttpConnector for Routed<SharedHttpConnector> {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        if is_local(request.uri()) { self.direct.call(request) } else { self.proxied.call(request) }
    }
}

/// Whether `uri` names this host, its link, or the addresses of AWS' metadata services.
fn is_local(uri: &str) -> bool {
    let Some((_, rest)) = uri.split_once("://") else {
        return false;
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = match authority.strip_prefix('[') {
        Some(literal) => literal.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(ip)) => ip.is_loopback() || ip.is_link_local(),
        Ok(IpAddr::V6(ip)) => {
            ip.is_loopback() || ip.is_unicast_link_local() || ip.segments().starts_with(&[0xfd00, 0xec2])
        }
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_and_this_host_are_reached_without_a_proxy() {
        for local in [
            "http://169.254.169.254/latest/api/token",
            "http://169.254.170.23/v1/credentials",
            "http://[fd00:ec2::254]/latest",
            "http://[fe80::1]:80/",
            "http://127.0.0.1:8080/2013-04-01",
            "http://localhost:5/x",
        ] {
            assert!(is_local(local), "{local}");
        }
        for remote in
            ["https://route53.amazonaws.com/x", "http://10.0.0.1/", "", "x", "http://localhost.test/"]
        {
            assert!(!is_local(remote), "{remote}");
        }
    }

    #[test]
    fn a_bad_ca_bundle_is_an_error_and_no_panic() {
        let wrapped = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let open = "-----BEGIN CERTIFICATE-----\nAAAA\n";
        for bad in ["", "no pem", wrapped, open] {
            let error = tls_context(Some(bad.into())).err().map(|e| e.to_string());
            assert!(error.is_some_and(|e| e.starts_with("AWS_CA_BUNDLE")), "{bad}");
        }
    }
}
