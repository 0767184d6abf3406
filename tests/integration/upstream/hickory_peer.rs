//! hickory-server as an upstream over HTTPS, and over QUIC where that is built: a server that is not ours.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::rr::rdata::{A, SOA};
use hickory_proto::rr::{LowerName, Name, RData, Record};
use hickory_server::Server;
use hickory_server::store::in_memory::InMemoryZoneHandler;
use hickory_server::zone_handler::{AxfrPolicy, Catalog, ZoneType};
use rustls::ServerConfig;
use tokio::net::TcpListener;
#[cfg(feature = "doq")]
use tokio::net::UdpSocket;

use crate::harness::dns::{Via, asked};
use crate::harness::program::{Home, outside};
use crate::harness::speaker::{Authority, NAME};

/// A zone with one host, and a name of many addresses.
fn catalog() -> Catalog {
    let name = |text: &str| Name::from_ascii(text).unwrap();
    let soa = SOA::new(name("ns.test."), name("admin.test."), 1, 7200, 900, 86_400, 60);
    let mut zone: InMemoryZoneHandler =
        InMemoryZoneHandler::empty(name("test."), ZoneType::Primary, AxfrPolicy::Deny);
    zone.upsert_mut(Record::from_rdata(name("test."), 60, RData::SOA(soa)), 1);
    let host = |owner: &str, last| Record::from_rdata(name(owner), 60, RData::A(A::new(192, 0, 2, last)));
    zone.upsert_mut(host("a.test.", 1), 1);
    (0..200).for_each(|last| assert!(zone.upsert_mut(host("big.test.", last), 1)));
    let mut catalog = Catalog::new();
    catalog.upsert(LowerName::new(&name("test.")), vec![Arc::new(zone)]);
    catalog
}

fn tls(home: &Home, protocol: &[u8]) -> Arc<ServerConfig> {
    let authority = Authority::new();
    home.put("ca.pem", &authority.pem);
    let mut config = authority.server(NAME, 2090);
    config.alpn_protocols = vec![protocol.to_vec()];
    // The most that RFC 9001 §4.6.1 lets a server of QUIC say.
    config.max_early_data_size = if protocol == b"doq" { u32::MAX } else { 0 };
    Arc::new(config)
}

/// Asks for what there is and what there is not, through a configuration with this upstream.
fn is_asked(home: &Home, upstream: &str, protocol: &str) {
    home.configure(&format!("[[forward]]\ndomain = '.'\nupstreams = ['{upstream}']\nca = 'ca.pem'\n"));
    let program = home.start();
    assert_eq!(program.ask("a.test. A"), "NOERROR; a.test. 60 A 192.0.2.1");
    assert!(program.ask("nowhere.test. A").starts_with("NXDOMAIN"));
    assert!(program.ask("a.test. AAAA").starts_with("NOERROR"));
    let big = program.ask_via(Via::Tcp, &asked("big.test. A").edns(1232, false));
    assert_eq!(big.matches("A 192.0.2.").count(), 200, "{big}");
    let label = format!("protocol=\"{protocol}\"");
    assert_eq!(program.metric("zonelet_upstream_connections_total", &[&label]), 1.0);
}

#[test]
fn hickory_server_is_asked_over_https() {
    let home = Home::new("");
    let config = tls(&home, b"h2");
    let address: SocketAddr = outside().block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let (address, mut server) = (listener.local_addr().unwrap(), Server::new(catalog()));
        let path = "/dns-query".to_owned();
        let (patience, name) = (Duration::from_secs(20), Some(NAME.to_owned()));
        server.register_https_listener_with_tls_config(listener, patience, config, name, path).unwrap();
        tokio::spawn(async move { server.block_until_done().await });
        address
    });
    is_asked(&home, &format!("https://{address}/dns-query#{NAME}"), "https");
}

#[cfg(feature = "doq")]
#[test]
fn hickory_server_is_asked_over_quic() {
    let home = Home::new("");
    let config = tls(&home, b"doq");
    let address: SocketAddr = outside().block_on(async {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let (address, mut server) = (socket.local_addr().unwrap(), Server::new(catalog()));
        server.register_quic_listener_and_tls_config(socket, Duration::from_secs(20), config).unwrap();
        tokio::spawn(async move { server.block_until_done().await });
        address
    });
    is_asked(&home, &format!("quic://{address}#{NAME}"), "quic");
}
