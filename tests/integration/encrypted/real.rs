//! Clients that are not ours: kdig of Knot DNS, and curl.

use std::io::Write;
use std::net::SocketAddr;
use std::process::Stdio;

use data_encoding::BASE64URL_NOPAD;
use zonelet::metrics::Proto;

use crate::answers::CORP;
use crate::harness::client::message;
use crate::harness::dns::{Plan, Stack, asked, unknown};
use crate::harness::encrypted::{Authority, NAME, addr_of};
use crate::harness::packages;

fn scene() -> (Authority, Stack) {
    let authority = Authority::new();
    let stack = Plan::new().zone(CORP).served(|settings| authority.add_to(settings)).start(unknown);
    (authority, stack)
}

/// What `program` of the Debian package `package` prints.
fn output(program: &str, package: &str, arguments: &[String], input: &[u8]) -> Vec<u8> {
    let mut child = packages::command(program, package)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("{program}: {e}"));
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {said}{}",
        String::from_utf8_lossy(&output.stdout)
    );
    output.stdout
}

fn kdig(authority: &Authority, addr: SocketAddr, how: &[&str], question: &str) -> String {
    let mut arguments = vec![format!("@{}", addr.ip()), "-p".to_owned(), addr.port().to_string()];
    arguments.push(format!("+tls-ca={}", authority.root().display()));
    arguments.push(format!("+tls-hostname={NAME}"));
    arguments.extend(how.iter().map(|word| (*word).to_owned()));
    arguments.extend(question.split(' ').map(str::to_owned));
    String::from_utf8(output("kdig", "knot-dnsutils", &arguments, b"")).unwrap()
}

#[test]
fn kdig_is_answered_over_tls_and_over_https() {
    let (authority, stack) = scene();
    let https = format!("+https={NAME}/dns-query");
    for (proto, how) in [
        (Proto::Tls, &["+tls"][..]),
        (Proto::Tls, &["+tls", "+padding=128", "+dnssec"]),
        (Proto::Https, &[&*https]),
        (Proto::Https, &[&*https, "+https-get"]),
    ] {
        let addr = addr_of(&stack.encrypted, proto);
        let said = kdig(&authority, addr, how, "www.corp.internal A");
        for part in ["status: NOERROR", "10.0.0.1", "10.0.0.2", "10.0.0.3", "Flags: qr aa rd ra"] {
            assert!(said.contains(part), "{part} is not in\n{said}");
        }
        let said = kdig(&authority, addr, how, "nope.corp.internal AAAA");
        assert!(said.contains("status: NXDOMAIN") && said.contains("SOA"), "{said}");
    }
    // Several questions on one connection.
    let both = "glued.corp.internal A host.apps.corp.internal A";
    let said = kdig(&authority, addr_of(&stack.encrypted, Proto::Tls), &["+tls", "+keepopen"], both);
    assert!(said.contains("10.0.3.2") && said.contains("10.0.1.2"), "{said}");
}

#[cfg(feature = "doq")]
#[test]
fn kdig_is_answered_over_quic() {
    let (authority, stack) = scene();
    let addr = addr_of(&stack.encrypted, Proto::Quic);
    let said = kdig(&authority, addr, &["+quic"], "www.corp.internal A");
    assert!(said.contains("status: NOERROR") && said.contains("10.0.0.1"), "{said}");
}

fn curl(authority: &Authority, arguments: &[String], input: &[u8]) -> Vec<u8> {
    let own =
        ["--silent", "--show-error", "--noproxy", "*", "--max-time", "20", "--cacert"].map(str::to_owned);
    let all = [&own[..], &[authority.root().display().to_string()], arguments].concat();
    output("curl", "curl", &all, input)
}

#[test]
fn curl_is_answered_over_http_2_and_1_1() {
    let (authority, stack) = scene();
    let addr = addr_of(&stack.encrypted, Proto::Https);
    let query = asked("glued.corp.internal. A").bytes();
    let url = format!("https://{addr}/dns-query");
    for version in ["--http2", "--http1.1"] {
        let get = [version.to_owned(), format!("{url}?dns={}", BASE64URL_NOPAD.encode(&query))];
        let post = [version, "-H", "Content-Type: application/dns-message", "--data-binary", "@-", &*url];
        for (arguments, input) in [(get.to_vec(), &[][..]), (post.map(str::to_owned).to_vec(), &query)] {
            let response = message(&curl(&authority, &arguments, input));
            assert_eq!(response.answers[0].data.to_string(), "10.0.3.2", "{arguments:?}");
        }
    }
    let head = curl(&authority, &["--http2", "-D", "-", "-o", "/dev/null", &url].map(str::to_owned), b"");
    assert!(head.starts_with(b"HTTP/2 400"), "{}", String::from_utf8_lossy(&head));
}

#[test]
fn curl_finds_hosts_through_us() {
    let authority = Authority::new();
    // The name that it fetches from is one of ours, and leads back to us.
    let zone = "$ORIGIN dns.test.\n$TTL 60\n@ SOA ns.test. admin.test. 1 7200 900 1209600 86400\n@ NS ns.test.\n@ A 127.0.0.1\n";
    let stack = Plan::new().zone(zone).served(|settings| authority.add_to(settings)).start(unknown);
    let addr = addr_of(&stack.encrypted, Proto::Https);
    let arguments = [
        "--doh-url".to_owned(),
        format!("https://{addr}/dns-query"),
        "-o".to_owned(),
        "-".to_owned(),
        "-w".to_owned(),
        "%{http_code} %{remote_ip}".to_owned(),
        format!("https://{NAME}:{}/", addr.port()),
    ];
    let said = curl(&authority, &arguments, b"");
    assert_eq!(String::from_utf8_lossy(&said), "404 127.0.0.1");
}
