//! Certificates of the running program: what is wrong with them is said, what is new is taken.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use zonelet::metrics::Proto;

use crate::harness::dns::{asked, line};
use crate::harness::encrypted::{Authority, HttpsClient, TlsClient, listener};
use crate::harness::program::{Home, until};

#[test]
fn the_program_listens_where_it_is_told_and_says_so() {
    let authority = Authority::new();
    let home = authority.home("TLS=127.0.0.1:0 HTTPS=127.0.0.1:0");
    let program = home.start();
    let query = asked("localhost. A").bytes();
    let over_tls = TlsClient::connect(&authority, listener(&program, Proto::Tls)).ask(&query);
    let over_https = HttpsClient::connect(&authority, listener(&program, Proto::Https), b"h2").ask(&query);
    assert_eq!(over_tls, over_https);
    let said = line(&query, &over_tls);
    assert!(said.contains("A 127.0.0.1"), "{said}");
    for proto in ["tls", "https"] {
        assert_eq!(program.metric("zonelet_server_queries_total", &[&format!("proto=\"{proto}\"")]), 1.0);
    }
    assert_eq!(program.metric("zonelet_server_https_responses_total", &["status=\"200\""]), 1.0);
    assert!(program.metric("zonelet_server_certificate_expiry_seconds", &[]) > 1.7e9);
    assert_eq!(program.terminate().0, Some(0));
}

#[test]
fn a_certificate_that_cannot_be_used_is_named_with_line_key_and_remedy() {
    let (authority, other) = (Authority::new(), Authority::new());
    let home = Home::new("");
    let write = |chain: &str, key: &str| {
        let text = format!(
            "[server]\nlisten = ['127.0.0.1:0']\ntls = ['127.0.0.1:0']\ncertificate = '{chain}'\nkey = '{key}'\n"
        );
        home.put("config.toml", &text);
    };
    let show = |path: &std::path::Path| path.display().to_string();
    let (mine, others) = (authority.files(), other.files());
    for (chain, key, said) in [
        (show(&mine.chain), show(&others.key), "config.toml:5:7: server.key: the key in"),
        (show(&mine.chain), "absent.pem".to_owned(), "config.toml:5:7: server.key: "),
        (show(&others.key), show(&mine.key), "config.toml:4:15: server.certificate: "),
        (show(&mine.chain), String::new(), "server.key: is missing"),
    ] {
        write(&chain, &key);
        let ended = home.run(&["check"]);
        let text =
            String::from_utf8_lossy(&ended.stdout).into_owned() + &String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(2), "{text}");
        assert!(text.contains(said) && text.contains("name "), "{said}\nis not in\n{text}");
        assert!(!text.contains("no problems"), "{text}");
    }
    write(&show(&mine.chain), &show(&mine.key));
    assert_eq!(home.run(&["check"]).status.code(), Some(0));
}

#[test]
fn without_a_good_certificate_all_else_is_served_and_the_encrypted_listeners_once_there_is_one() {
    let authority = Authority::new();
    let files = authority.files();
    let good = std::fs::read(&files.chain).unwrap();
    std::fs::write(&files.chain, "no certificate").unwrap();
    let home = authority.home("TLS=127.0.0.1:0 HTTPS=127.0.0.1:0");
    let program = home.start();
    let query = asked("localhost. A").bytes();
    assert!(program.ask("localhost. A").contains("A 127.0.0.1"));
    let said = program.logged("no certificate: connections over TLS");
    assert!(
        said.contains("chain.pem holds no certificate in PEM") && said.contains("name the PEM files"),
        "{said}"
    );
    assert_eq!(program.metric("zonelet_server_certificate_unusable", &[]), 1.0);
    for proto in [Proto::Tls, Proto::Https] {
        let config = Arc::new(authority.client(&[]));
        assert!(TlsClient::connect_with(config, listener(&program, proto)).is_err(), "closed at once");
    }
    let closed = || program.metric("zonelet_server_tcp_closed_total", &["reason=\"certificate\""]);
    until("both to be closed for that", || (closed() == 2.0).then_some(()));
    // A reload is no worse off.
    home.configure("[[override]]\nnames = ['db.nick.test']\naddress = ['192.0.2.9']\n");
    program.signal("HUP");
    until("the rest of the file", || program.ask("db.nick.test. A").contains("A 192.0.2.9").then_some(()));
    std::fs::write(&files.chain, good).unwrap();
    let connect = || {
        TlsClient::connect_with(Arc::new(authority.client(&[b"dot"])), listener(&program, Proto::Tls)).ok()
    };
    let mut client = until("the listener to serve", connect);
    assert!(line(&query, &client.ask(&query)).contains("A 127.0.0.1"));
    HttpsClient::connect(&authority, listener(&program, Proto::Https), b"h2").ask(&query);
    assert_eq!(program.metric("zonelet_server_certificate_unusable", &[]), 0.0);
    assert_eq!(program.metric("zonelet_server_certificate_reloads_total", &["result=\"taken\""]), 0.0);
}

#[test]
fn a_new_certificate_is_shown_to_new_connections_while_queries_go_on() {
    let authority = Arc::new(Authority::new());
    let home = authority.home("TLS=127.0.0.1:0 HTTPS=127.0.0.1:0");
    let program = home.start();
    let tls = listener(&program, Proto::Tls);
    let query = asked("localhost. A").bytes();
    let mut old = TlsClient::connect(&authority, tls);
    let first = old.shown();
    let want = old.ask(&query);
    let (asked, is_over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let load = {
        let (authority, asked, is_over) = (Arc::clone(&authority), Arc::clone(&asked), Arc::clone(&is_over));
        let (query, want) = (query.clone(), want.clone());
        thread::spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                let mut client = TlsClient::connect(&authority, tls);
                (0..5).for_each(|_| assert_eq!(client.ask(&query), want));
                asked.fetch_add(1, Ordering::Relaxed);
            }
        })
    };
    let shown = || TlsClient::connect(&authority, tls).shown();
    for round in 0..5 {
        let before = shown();
        authority.issue();
        program.signal("HUP");
        until("the new certificate", || (shown() != before).then_some(()));
        assert_eq!(old.ask(&query), want, "round {round}: what was open stays");
    }
    assert_ne!(shown(), first);
    is_over.store(true, Ordering::Relaxed);
    load.join().unwrap();
    assert!(asked.load(Ordering::Relaxed) > 0);
    // A key that is none leaves what there was, and the rest of the reload is taken.
    let last = shown();
    std::fs::write(authority.files().key, "no key").unwrap();
    home.configure("[[override]]\nnames = ['db.nick.test']\naddress = ['192.0.2.9']\n");
    program.signal("HUP");
    program.logged("the new certificate is refused, the old one stays");
    until("the rest of the file", || program.ask("db.nick.test. A").contains("A 192.0.2.9").then_some(()));
    assert_eq!(shown(), last);
    assert_eq!(old.ask(&query), want);
}

#[test]
fn files_that_change_are_noticed_without_being_told() {
    let authority = Authority::new();
    let home = authority.home("TLS=127.0.0.1:0");
    let program = home.start();
    let shown = || TlsClient::connect(&authority, listener(&program, Proto::Tls)).shown();
    let first = shown();
    authority.issue();
    until("the new certificate", || (shown() != first).then_some(()));
    assert_eq!(program.metric("zonelet_server_certificate_reloads_total", &["result=\"taken\""]), 1.0);
}
