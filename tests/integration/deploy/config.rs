//! The config files of the Kubernetes shapes, loaded as the program loads them, and held against
//! the manifests that mount them.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde_json::Value;
use zonelet::config::{Config, Environment};
use zonelet::upstream::settings::UpstreamSpec;

use super::kubernetes::{container, workloads};
use super::top;

/// What `$(NODE_IP)` stands for on some node.
const NODE_IP: &str = "10.0.1.2";

/// The overrides that a container sets, references to other variables resolved.
fn environment(container: &Value) -> Environment {
    let variables = container["env"].as_array().cloned().unwrap_or_default();
    let pair = |v: &Value| {
        let value = v["value"].as_str().unwrap_or(NODE_IP).replace("$(NODE_IP)", NODE_IP);
        Some((v["name"].as_str()?.to_owned(), value))
    };
    variables.iter().filter_map(pair).collect()
}

/// The configuration of each shape, with its directory and workload.
fn shapes() -> Vec<(&'static str, Value, Config)> {
    let load = |(dir, workload): (&'static str, Value)| {
        let path = top(dir).join("config.toml");
        let config = Config::load(Some(&path), &environment(container(&workload)));
        let config = config.unwrap_or_else(|problems| panic!("{dir}: {problems}"));
        (dir, workload, config)
    };
    workloads().into_iter().map(load).collect()
}

#[test]
fn configs_have_no_problems_and_warn_only_of_the_open_metrics() {
    for (dir, _, config) in shapes() {
        let unexpected: Vec<_> = config.warnings.iter().filter(|w| w.key != "admin.listen").collect();
        assert!(unexpected.is_empty(), "{dir}: {unexpected:?}");
    }
}

#[test]
fn overrides_in_manifests_reach_a_key() {
    for (dir, workload, config) in shapes() {
        let variables = container(&workload)["env"].as_array().cloned().unwrap_or_default();
        for variable in variables.iter().filter_map(|v| v["name"].as_str()) {
            let ours = variable == "NODE_IP" || variable == "ZONELET_ADMIN__LISTEN";
            assert!(ours, "{dir}: {variable} is not known to this test");
            if variable == "ZONELET_ADMIN__LISTEN" {
                let address = config.admin.listen.expect("a listener");
                assert_eq!(address.ip(), NODE_IP.parse::<IpAddr>().expect("an address"), "{dir}");
            }
        }
    }
}

#[test]
fn arguments_read_the_file_that_the_config_map_mounts() {
    for (dir, workload, _) in shapes() {
        let container = container(&workload);
        let arguments: Vec<_> =
            container["args"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        assert_eq!(arguments, ["run", "--config", "/etc/zonelet/config.toml"], "{dir}");
        let mounts = container["volumeMounts"].as_array().cloned().unwrap_or_default();
        let config = mounts.iter().find(|mount| mount["mountPath"] == "/etc/zonelet");
        assert_eq!(config.expect("the config's mount")["readOnly"], true, "{dir}");
    }
}

#[test]
fn what_is_written_lies_on_a_mounted_volume() {
    for (dir, workload, config) in shapes() {
        let mounts = container(&workload)["volumeMounts"].as_array().cloned().unwrap_or_default();
        let writable = |path: &std::path::Path| {
            mounts
                .iter()
                .any(|m| m["readOnly"] != true && path.starts_with(m["mountPath"].as_str().unwrap_or("-")))
        };
        let state = config.import.state_dir.as_deref().expect("last-good zones are kept");
        assert!(writable(state), "{dir}: {}", state.display());
        let socket = config.admin.socket.as_deref();
        assert!(socket.is_none_or(writable), "{dir}: the admin socket");
    }
}

#[test]
fn probes_ask_the_admin_listener_for_live_and_ready() {
    for (dir, workload, config) in shapes() {
        let container = container(&workload);
        let port = config.admin.listen.expect("an admin listener").port();
        let ports = container["ports"].as_array().expect("ports");
        let mut paths = Vec::new();
        for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
            let Some(get) = container[probe]["httpGet"].as_object() else { continue };
            let named = ports.iter().find(|p| p["name"] == get["port"]).expect("a port of that name");
            assert_eq!(named["containerPort"], port, "{dir}: {probe}");
            paths.push((probe, get["path"].as_str().expect("a path")));
        }
        assert!(paths.contains(&("livenessProbe", "/livez")), "{dir}");
        assert!(paths.iter().any(|(_, path)| *path == "/readyz"), "{dir}");
        assert!(paths.iter().all(|(_, path)| ["/livez", "/readyz"].contains(path)), "{dir}");
    }
}

#[test]
fn listeners_are_where_the_manifest_says() {
    for (dir, workload, config) in shapes() {
        let ports = container(&workload)["ports"].as_array().cloned().unwrap_or_default();
        let dns: Vec<_> =
            ports.iter().filter(|p| p["name"].as_str().is_some_and(|n| n.starts_with("dns"))).collect();
        for listen in &config.server.listen {
            assert!(dns.iter().all(|p| p["containerPort"] == listen.port()), "{dir}: {listen}");
            let host = dns.iter().filter_map(|p| p["hostIP"].as_str());
            assert!(host.into_iter().all(|ip| ip == listen.ip().to_string()), "{dir}: {listen}");
        }
        assert_eq!(dns.is_empty(), config.server.listen.iter().all(|a| a.ip().is_loopback()), "{dir}");
        let host_network = workload["spec"]["template"]["spec"]["hostNetwork"] == true;
        let wildcard = config.server.listen.iter().any(|address| address.ip().is_unspecified());
        assert!(!(host_network && wildcard), "{dir}: would take port 53 of every address of the node");
    }
}

#[test]
fn pods_are_given_longer_to_stop_than_the_drain_takes() {
    for (dir, workload, config) in shapes() {
        let grace = &workload["spec"]["template"]["spec"]["terminationGracePeriodSeconds"];
        // Kubernetes' own default, which a sidecar leaves to the pod.
        let grace = Duration::from_secs(grace.as_u64().unwrap_or(30));
        assert!(grace > config.drain.delay + config.drain.grace, "{dir}: {:?}", config.drain);
    }
}

#[test]
fn everything_else_is_never_forwarded_to_the_cluster_dns_or_to_ourselves() {
    for (dir, workload, config) in shapes() {
        let upstreams = |domain: &str| -> Vec<&UpstreamSpec> {
            let found = config.upstream.domains.iter().filter(|d| d.domain == domain.parse().expect(domain));
            found.flat_map(|d| &d.upstreams).collect()
        };
        let root = upstreams(".");
        assert!(!root.is_empty(), "{dir}");
        for cluster in upstreams("cluster.local") {
            assert!(!root.contains(&cluster), "{dir}: `.` goes to the cluster DNS");
        }
        let none = workload["spec"]["template"]["spec"]["dnsPolicy"] == "None";
        assert!(!(none && root.contains(&&UpstreamSpec::System)), "{dir}: `system` would be zonelet itself");
        let own = |spec: &UpstreamSpec| spec.address().is_some_and(|a| config.server.listen.contains(&a));
        assert!(!config.upstream.domains.iter().flat_map(|d| &d.upstreams).any(own), "{dir}");
    }
}

#[test]
fn memory_limits_leave_room_for_the_cache() {
    for (dir, workload, config) in shapes() {
        let limit =
            container(&workload)["resources"]["limits"]["memory"].as_str().expect("a limit").to_owned();
        let mebibytes: u64 = limit.strip_suffix("Mi").and_then(|n| n.parse().ok()).expect("a limit in Mi");
        assert!(mebibytes << 20 >= 2 * config.cache.max_bytes + (32 << 20), "{dir}: {limit}");
    }
}

#[test]
fn readme_and_systemd_unit_load_the_checked_in_example() {
    let example = Config::load(Some(&top("config.toml")), &Environment::default());
    let example = example.unwrap_or_else(|problems| panic!("{problems}"));
    assert!(
        example.server.listen.contains(&SocketAddr::from(([127, 0, 0, 1], 5300))),
        "as deploy/README.md says"
    );
    let stop = super::read("deploy/systemd/zonelet.service");
    let stop = stop.lines().find_map(|line| line.strip_prefix("TimeoutStopSec=")).expect("a time to stop");
    let stop = stop.strip_suffix('s').and_then(|n| n.parse().ok()).expect("seconds");
    // Beyond loopback the default delay is longer.
    let drain = zonelet::config::Drain::for_listeners(&[SocketAddr::from(([10, 0, 0, 1], 53))]);
    assert!(Duration::from_secs(stop) > drain.delay + drain.grace);
}
