//! The real program with an encrypted upstream.

use crate::harness::program::{Home, outside, until};
use crate::harness::speaker::{Authority, Heard, Move, NAME, Speaker, Speech};

fn speaker(speech: Speech, authority: &Authority, name: &str) -> Speaker {
    let config = authority.server(name, 2090);
    let script = async |heard: Heard| Move::Reply(heard.question.address(300, 1));
    outside().block_on(Speaker::with(speech, &authority.pem, config, script))
}

#[test]
fn an_encrypted_upstream_is_asked_as_the_configuration_says() {
    let authority = Authority::new();
    for (speech, scheme, path) in [(Speech::Tls, "tls", ""), (Speech::Https, "https", "/dns-query/token")] {
        let server = speaker(speech, &authority, NAME);
        let home = Home::new(&format!(
            "[[forward]]\ndomain = '.'\nupstreams = ['{scheme}://{}{path}#{NAME}']\nca = 'ca.pem'\n",
            server.addr
        ));
        home.put("ca.pem", &authority.pem);
        let program = home.start();
        for n in 0..3 {
            let want = format!("NOERROR; n{n}.test. 300 A 192.0.2.1");
            assert_eq!(program.ask(&format!("n{n}.test. A")), want, "{scheme}");
        }
        let protocol = format!("protocol=\"{scheme}\"");
        assert_eq!(program.metric("zonelet_upstream_sends_total", &[&protocol]), 3.0, "{scheme}");
        assert_eq!(program.metric("zonelet_upstream_connections_total", &[&protocol]), 1.0, "{scheme}");
        let text = program.get("/metrics").1 + &program.log().concat();
        assert!(!text.contains("token"), "{scheme}");
        let checked = home.run(&["check"]);
        assert!(!String::from_utf8_lossy(&checked.stdout).contains("token"), "{scheme}");
    }
}

#[test]
fn a_bad_certificate_is_a_failure_of_its_own_kind_and_a_new_configuration_heals_it() {
    let authority = Authority::new();
    let server = speaker(Speech::Tls, &authority, "other.test");
    let config = |name: &str| {
        let upstream = format!("tls://{}#{name}", server.addr);
        format!("[[forward]]\ndomain = '.'\nupstreams = ['{upstream}']\nca = 'ca.pem'\n")
    };
    let home = Home::new(&config(NAME));
    home.put("ca.pem", &authority.pem);
    let program = home.start();
    let told = program.ask("a.test. A");
    assert!(told.starts_with("SERVFAIL") && told.contains("its certificate is for another name"), "{told}");
    assert!(program.metric("zonelet_upstream_failures_total", &["reason=\"tls\""]) >= 1.0);
    home.configure(&config("other.test"));
    program.signal("HUP");
    until("the new configuration", || program.ask("b.test. A").starts_with("NOERROR").then_some(()));
}
