//! Encrypted listeners: what they need, and what they may not share.

use super::*;

#[cfg(not(feature = "tls"))]
#[test]
fn listeners_that_this_build_lacks_name_the_feature() {
    let said = lines(read("[server]\ntls = ['127.0.0.1:853']\nhttps = ['127.0.0.1:443']\n"));
    assert!(
        said.iter()
            .any(|p| p.contains(":2:7: server.tls: is not part of this build; build with the feature `tls`")),
        "{said:#?}"
    );
    assert!(said.iter().any(|p| p.contains(":3:9: server.https: is not part of this build")), "{said:#?}");
}

#[cfg(not(feature = "doq"))]
#[test]
fn quic_names_its_feature() {
    let said = lines(read("[server]\nquic = ['127.0.0.1:853']\n"));
    assert!(
        said.iter()
            .any(|p| p.contains("server.quic: is not part of this build; build with the feature `doq`")),
        "{said:#?}"
    );
}

#[cfg(feature = "tls")]
#[test]
fn listeners_need_a_certificate_and_a_key() {
    let said = lines(read("[server]\ntls = ['127.0.0.1:853']\n"));
    assert!(
        said.iter().any(|p| p.contains("server.certificate: is missing for the encrypted listeners; name")),
        "{said:#?}"
    );
}

#[cfg(feature = "tls")]
#[test]
fn files_that_cannot_be_used_keep_nothing_else_from_being_served() {
    let text = "[server]\ntls = ['127.0.0.1:853']\ncertificate = 'absent.pem'\nkey = 'absent.key'\n";
    let wanted = ":3:15: server.certificate: absent.pem cannot be read: No such file";
    let config = read(text).unwrap();
    let said: Vec<String> = config.faults.iter().map(ToString::to_string).collect();
    assert!(said.len() == 1 && said[0].contains(wanted), "{said:#?}");
    // Beside another problem it is told of, too.
    let said = lines(read(&format!("{text}workers = 0\n")));
    assert!(said.len() == 2 && said.iter().any(|p| p.contains(wanted)), "{said:#?}");
}

#[test]
fn ports_are_not_shared_over_one_protocol() {
    let text = "[server]\nlisten = ['127.0.0.1:53']\ntls = ['127.0.0.1:53', '127.0.0.1:853']\n\
                https = ['127.0.0.1:853']\nquic = ['127.0.0.1:53']\n[admin]\nlisten = '127.0.0.1:853'\n";
    let said = lines(read(text)).join("\n");
    for part in [
        "server.tls: 127.0.0.1:53 is in server.listen as well; choose another port",
        "server.https: 127.0.0.1:853 is in server.tls as well",
        "server.quic: 127.0.0.1:53 is in server.listen as well",
        "admin.listen: 127.0.0.1:853 is in server.tls as well",
    ] {
        assert!(said.contains(part), "{part}\nis not in\n{said}");
    }
}

#[test]
fn the_path_of_queries_is_one_of_a_url() {
    for bad in ["", "dns-query", "/a b", "/a?b", "/a#b", "/{?dns}", "/\u{e4}"] {
        let said = lines(read(&format!("[server]\nhttps_path = '{bad}'\n"))).join("\n");
        assert!(said.contains("server.https_path") && said.contains("write \"/dns-query\""), "{bad}: {said}");
    }
    assert_eq!(read("[server]\nhttps_path = '/q/1'\n").unwrap().server.https_path, "/q/1");
}

#[test]
fn a_certificate_without_listeners_is_warned_of() {
    let config = read("[server]\ncertificate = 'a.pem'\nkey = 'b.pem'\n").unwrap();
    assert!(config.warnings.iter().any(|w| w.to_string().contains("nothing is served with it")));
}
