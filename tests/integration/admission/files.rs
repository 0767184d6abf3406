//! The real program: its configuration, a hosts file that changes, connections of one client.

use crate::harness::client::{TcpClient, ask};
use crate::harness::dns::{Via, line};
use crate::harness::program::{Home, forward, until, upstream};

use hickory_proto::rr::{DNSClass, RecordType};

#[test]
fn a_hosts_file_is_followed_overrides_are_reloaded_and_both_are_explained() {
    let upstream = upstream(|q| q.address(60, 7));
    let home = Home::new("");
    home.put("hosts", "10.1.0.1 one.test\n");
    let config = |more: &str| {
        let hosts = "[[source]]\nkind = 'hosts'\npath = 'hosts'\nttl = '5s'\n";
        home.configure(&format!("{}{hosts}{more}", forward(upstream.addr)));
    };
    config("");
    let program = home.start();
    program.answers("one.test A", "NOERROR aa; one.test. 5 A 10.1.0.1");
    program.answers("two.test A", "NOERROR; two.test. 60 A 192.0.2.7");
    home.put("hosts", "10.1.0.1 one.test\n10.1.0.2 two.test\n");
    until("the changed file", || {
        (program.ask("two.test A") == "NOERROR aa; two.test. 5 A 10.1.0.2").then_some(())
    });
    assert_eq!(program.metric("zonelet_source_hosts_names", &[]), 2.0);

    config("[[override]]\nnames = ['one.test', '*.ads.test']\naddress = ['10.9.0.1']\n");
    program.signal("HUP");
    program.logged("configuration reloaded");
    program.answers("one.test A", "NOERROR aa; one.test. 30 A 10.9.0.1");
    program.answers("two.test A", "NOERROR aa; two.test. 5 A 10.1.0.2");
    let said = home.run(&["explain", "x.ads.test", "A"]);
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(text.contains("an [[override]] says what ads.test. is"), "{text}");
    let said = home.run(&["explain", "--offline", "two.test", "A"]);
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(text.contains("a hosts file says what two.test. is"), "{text}");
    std::fs::remove_file(home.path("hosts")).unwrap();
    program.logged("what it said before stays");
    program.answers("two.test A", "NOERROR aa; two.test. 5 A 10.1.0.2");
}

#[test]
fn other_special_names_have_hosts_files_told_of_anew() {
    let upstream = upstream(|q| q.address(60, 7));
    let home = Home::new("");
    home.put("hosts", "10.1.0.1 one.test\n10.1.0.9 localhost\n");
    let config = |special: &str| {
        let hosts = "[[source]]\nkind = 'hosts'\npath = 'hosts'\nttl = '5s'\n";
        home.configure(&format!("{}{hosts}{special}", forward(upstream.addr)));
    };
    config("[special]\nlocalhost = false\n");
    let program = home.start();
    program.answers("localhost A", "NOERROR aa; localhost. 5 A 10.1.0.9");
    let told = || program.log().iter().filter(|line| line.contains("a hosts file is not heard here")).count();
    assert_eq!(told(), 0, "{:#?}", program.log());
    config("");
    program.signal("HUP");
    program.logged("configuration reloaded");
    until("the name to be told of", || (told() == 1).then_some(()));
    assert!(program.ask("localhost A").contains("127.0.0.1"));
}

#[test]
fn everything_at_the_front_comes_from_the_configuration() {
    let upstream = upstream(|q| q.address(60, 7));
    let mut home = Home::new("");
    let more = "\
[[access]]
action = 'refuse'
domains = ['secret.test']
[[relief]]
domain = 'cluster.local'
kind = 'kubernetes'
";
    home.configure(&format!("{}{more}", forward(upstream.addr)));
    home.variable("ZONELET_SERVER__IDENTITY", "node-7").variable("ZONELET_SERVER__VERSION", "auto");
    home.variable("ZONELET_LIMITS__TCP_CONNECTIONS_PER_CLIENT", "1");
    let program = home.start();
    program.answers("x.secret.test A", "REFUSED EDE 15 an access rule refuses this name");
    assert!(
        program.ask("a.b.c.d.svc.cluster.local A").starts_with("NXDOMAIN aa | cluster.local. 30 SOA EDE 29")
    );
    assert_eq!(program.metric("zonelet_answer_relieved_total", &[]), 1.0);
    let query = ask("version.bind.", RecordType::TXT).class(DNSClass::CH);
    let version = program.ask_via(Via::Udp, &query);
    assert!(version.contains("zonelet "), "{version}");

    let mut first = TcpClient::connect(program.addr());
    let one = ask("x.test.", RecordType::A).bytes();
    assert!(line(&one, &first.ask(&one)).starts_with("NOERROR;"));
    assert!(TcpClient::connect(program.addr()).recv_after(&one).is_none(), "closed at once");
    assert!(line(&one, &first.ask(&one)).starts_with("NOERROR;"));
    drop(first);
    until("a free place", || TcpClient::connect(program.addr()).recv_after(&one));
}

#[test]
fn names_of_a_hosts_file_that_are_not_heard_are_told_with_their_lines_once() {
    let upstream = upstream(|q| q.address(60, 7));
    let home = Home::new("");
    home.put("hosts", "127.0.0.1 localhost\n::1 localhost ip6-localhost\n\n10.1.0.1 fine.test db.localhost\n10.1.0.2 x.onion\n");
    home.configure(&format!("{}[[source]]\nkind = 'hosts'\npath = 'hosts'\n", forward(upstream.addr)));
    let program = home.start();
    assert!(program.ask("fine.test A").ends_with(" A 10.1.0.1"));
    let told = || {
        let lines = program.log().into_iter().filter(|line| line.contains("is not heard here"));
        lines.collect::<Vec<_>>()
    };
    let path = home.path("hosts").display().to_string();
    let lines = told();
    assert_eq!(lines.len(), 2, "{lines:#?}");
    assert!(lines[0].contains(&format!("{path}:4")) && lines[0].contains("db.localhost."), "{lines:#?}");
    assert!(lines[1].contains(&format!("{path}:5")) && lines[1].contains("x.onion."), "{lines:#?}");
    program.signal("HUP");
    program.logged("configuration reloaded");
    assert_eq!(told().len(), 2, "once");
}
