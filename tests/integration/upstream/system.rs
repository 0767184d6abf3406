//! `system`: the resolver file, ourselves left out of it, and its changes.

use std::net::SocketAddr;
use std::path::Path;

use zonelet::clock::Clock;
use zonelet::upstream::{BootstrapResolver, Forwarder, Settings};
use zonelet::wire::Name;

use crate::harness::agent::forward_all;
use crate::harness::message::name;
use crate::harness::upstream::{Out, Scripted};

fn settings(dir: &Path) -> Settings {
    Settings {
        resolv_conf: dir.join("resolv.conf"),
        resolved_conf: dir.join("resolved.conf"),
        ..Settings::default()
    }
}

fn forwarder(settings: Settings) -> std::sync::Arc<Forwarder> {
    Forwarder::new(settings, Clock::manual(), tokio::runtime::Handle::current())
}

fn addresses(list: &[&str]) -> Vec<SocketAddr> {
    list.iter().map(|a| a.parse().unwrap()).collect()
}

#[tokio::test]
async fn we_are_left_out_of_the_systems_servers() {
    let dir = tempfile::tempdir().unwrap();
    let text = "search corp.test\nnameserver 169.254.20.10\nnameserver 172.20.0.10\nnameserver 10.0.0.2\n";
    std::fs::write(dir.path().join("resolv.conf"), text).unwrap();
    let own = addresses(&["169.254.20.10:53", "172.20.0.10:53"]);
    let forwarder = forwarder(Settings { own, ..settings(dir.path()) });
    assert_eq!(forwarder.upstreams(name("a.test").as_ref()), addresses(&["10.0.0.2:53"]));
    assert!(forwarder.health().borrow().unserved.is_empty());
    assert!(forwarder.is_vpc_resolver(Name::root().as_ref()));
}

#[tokio::test]
async fn with_no_server_left_the_domain_is_reported_until_there_is_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("resolv.conf");
    std::fs::write(&path, "nameserver 127.0.0.1\n").unwrap();
    let own = addresses(&["127.0.0.1:53"]);
    let forwarder = forwarder(Settings { own, ..settings(dir.path()) });
    let mut health = forwarder.health();
    assert_eq!(health.borrow_and_update().unserved, [Name::root()]);
    std::fs::write(&path, "nameserver 1.1.1.1\n").unwrap();
    forwarder.look_at_system();
    assert!(health.has_changed().unwrap());
    assert!(health.borrow().unserved.is_empty());
    assert!(!forwarder.is_vpc_resolver(Name::root().as_ref()));
}

#[tokio::test]
async fn a_file_swapped_through_a_symbolic_link_is_read_again() {
    let dir = tempfile::tempdir().unwrap();
    for (target, text) in [("one", "nameserver 10.0.0.2\n"), ("two", "nameserver 10.0.0.3\n")] {
        std::fs::write(dir.path().join(target), text).unwrap();
    }
    let link = dir.path().join("resolv.conf");
    std::os::unix::fs::symlink("one", &link).unwrap();
    let forwarder = forwarder(settings(dir.path()));
    let root = Name::root();
    assert_eq!(forwarder.upstreams(root.as_ref()), addresses(&["10.0.0.2:53"]));
    std::os::unix::fs::symlink("two", dir.path().join("new")).unwrap();
    std::fs::rename(dir.path().join("new"), &link).unwrap();
    forwarder.look_at_system();
    assert_eq!(forwarder.upstreams(root.as_ref()), addresses(&["10.0.0.3:53"]));
}

#[tokio::test(start_paused = true)]
async fn the_file_is_watched_until_shutdown() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("resolv.conf");
    std::fs::write(&path, "nameserver 10.0.0.2\n").unwrap();
    let forwarder = forwarder(settings(dir.path()));
    let shutdown = tokio_util::sync::CancellationToken::new();
    let watching = tokio::spawn(std::sync::Arc::clone(&forwarder).run(shutdown.clone()));
    std::fs::write(&path, "nameserver 10.0.0.3\n").unwrap();
    while forwarder.upstreams(Name::root().as_ref()) != addresses(&["10.0.0.3:53"]) {
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    }
    shutdown.cancel();
    watching.await.unwrap();
}

#[tokio::test]
async fn an_upstream_that_is_ourselves_is_left_out_however_it_is_written() {
    let own = addresses(&["127.0.0.1:5300"]);
    let mut settings = forward_all(&addresses(&["127.0.0.1:5300", "10.0.0.2:53"]));
    settings.own = own;
    let forwarder = forwarder(settings);
    assert_eq!(forwarder.upstreams(name("a.test").as_ref()), addresses(&["10.0.0.2:53"]));
}

#[tokio::test]
async fn host_names_are_resolved_through_the_upstreams_of_their_domain() {
    let upstream = Scripted::start(|asked| {
        let out = match asked.question.qtype {
            zonelet::wire::Rtype::A => asked.question.address(60, 5),
            _ => asked.question.reply(0, &[], &[]),
        };
        vec![Out::Reply(out)]
    })
    .await;
    let other = Scripted::silent().await;
    let mut settings = forward_all(&[other.addr]);
    settings.domains.push(crate::harness::agent::forward("amazonaws.test", &[upstream.addr]));
    let resolver = BootstrapResolver::new(forwarder(settings));
    let found = resolver.lookup("route53.amazonaws.test").await.unwrap();
    assert_eq!(found, ["192.0.2.5".parse::<std::net::IpAddr>().unwrap()]);
    assert_eq!(resolver.lookup("10.1.2.3").await.unwrap().len(), 1);
    assert_eq!(other.count(), 0);
}
