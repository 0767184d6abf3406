//! Variables, and directories of the service manager.

use super::*;
use crate::upstream::settings::UpstreamSpec;

#[test]
fn variables_override_the_file_under_the_same_checks() {
    let file = "[server]\nlisten = ['127.0.0.1:1']\n[cache]\nmax_ttl = '1h'\n";
    let config = with(
        file,
        &[
            ("ZONELET_SERVER__LISTEN", "127.0.0.1:53, [::1]:53"),
            ("ZONELET_SERVER__WORKERS", "3"),
            ("ZONELET_SPECIAL__ONION", "false"),
            ("ZONELET_ADMIN__LISTEN", ""),
            ("ZONELET_LIMITS__IN_FLIGHT", "7"),
            ("ZONELET_FORWARD", "[{ domain = '.', upstreams = ['10.0.0.2'] }]"),
            ("ZONELET_SERVER__ACCESS", "['loopback']"),
        ],
    )
    .unwrap();
    assert_eq!(config.server.listen, ["127.0.0.1:53".parse().unwrap(), "[::1]:53".parse().unwrap()]);
    assert_eq!((config.server.workers, config.answer.max_in_flight), (3, 7));
    assert!(!config.answer.special.onion);
    assert_eq!(config.admin.listen, None);
    assert_eq!(config.answer.access.len(), 2);
    assert_eq!(config.cache.max_ttl, Duration::from_secs(3600));
    assert_eq!(config.upstream.domains[0].upstreams, [UpstreamSpec::Plain("10.0.0.2:53".parse().unwrap())]);
}

#[test]
fn problems_of_variables_name_the_variable() {
    let found = lines(with(
        "[limits]\nin_flight = 0",
        &[
            ("ZONELET_SERVER__LISEN", "127.0.0.1:53"),
            ("ZONELET_SERVER__WORKERS", "many"),
            ("ZONELET_LIMITS__WAITERS", "few"),
            ("ZONELET_SPECIAL__ONION", "no"),
            ("ZONELET_SOURCE", "zone.json"),
            ("ZONELET_FORWARD__0__DOMAIN", "."),
        ],
    ));
    let want = [
        "c:2:13: limits.in_flight: must be above zero",
        "ZONELET_FORWARD__0__DOMAIN: forward.0.domain: a list of tables is set whole; write ZONELET_FORWARD=",
        "ZONELET_LIMITS__WAITERS: limits.waiters: expected an integer, found a string",
        "ZONELET_SERVER__LISEN: server.lisen: unknown key; did you mean `listen`?",
        "ZONELET_SERVER__WORKERS: server.workers: \"many\" is not a number of threads; write \"auto\" or 2",
        "ZONELET_SOURCE: source: not a TOML list of tables: ",
        "ZONELET_SPECIAL__ONION: special.onion: expected true or false, found a string",
    ];
    assert_eq!(found.len(), want.len(), "{found:#?}");
    for (found, want) in found.iter().zip(want) {
        assert!(found.starts_with(want), "{found}\nis not\n{want}");
    }
}

#[test]
fn variables_that_kubernetes_sets_for_a_service_named_zonelet_are_left_alone() {
    let service = [
        ("ZONELET_SERVICE_HOST", "10.100.0.53"),
        ("ZONELET_SERVICE_PORT", "53"),
        ("ZONELET_PORT", "udp://10.100.0.53:53"),
        ("ZONELET_PORT_53_UDP_ADDR", "10.100.0.53"),
        ("ZONELET_CONFIG", "/etc/zonelet/config.toml"),
    ];
    assert_eq!(with("", &service).unwrap(), Config::default());
}

#[test]
fn a_variable_short_of_an_underscore_is_warned_about() {
    let config = with("", &[("ZONELET_SERVER_LISTEN", "127.0.0.1:53")]).unwrap();
    assert_eq!(config.server, Config::default().server);
    let [warning] = config.warnings.as_slice() else { panic!("{:?}", config.warnings) };
    assert!(warning.to_string().contains("did you mean ZONELET_SERVER__LISTEN?"));
}

#[test]
fn directories_of_the_service_manager_are_taken_where_none_is_set() {
    let systemd = [("STATE_DIRECTORY", "/var/lib/zonelet:/other"), ("RUNTIME_DIRECTORY", "/run/zonelet")];
    let config = with("", &systemd).unwrap();
    assert_eq!(config.import.state_dir.as_deref(), Some(Path::new("/var/lib/zonelet")));
    assert_eq!(config.admin.socket.as_deref(), Some(Path::new("/run/zonelet/admin.sock")));
    let config = with("[admin]\nsocket = 'own.sock'\n[state]\ndir = '/srv'", &systemd).unwrap();
    assert_eq!(config.import.state_dir.as_deref(), Some(Path::new("/srv")));
    assert_eq!(config.admin.socket.as_deref(), Some(Path::new("own.sock")));
}
