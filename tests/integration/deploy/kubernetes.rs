//! deploy/kubernetes: what refers to something finds it, and every pod is locked down.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{VERSION, files_below, read, yaml, yaml_one};

/// The kustomizations that stand by themselves; the sidecar is a patch for other people's.
const BASES: [&str; 2] = ["deploy/kubernetes/stub-domain", "deploy/kubernetes/node-local"];
const SIDECAR: &str = "deploy/kubernetes/sidecar";

fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn texts<'a>(value: &'a Value, pointer: &str) -> Vec<&'a str> {
    list(value, pointer).iter().filter_map(Value::as_str).collect()
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn named<'a>(values: &'a [Value], name: &str) -> &'a Value {
    values.iter().find(|v| v["name"] == name).unwrap_or_else(|| panic!("nothing is called {name}"))
}

/// Everything that a base makes, but for what kustomize generates.
fn objects(base: &str) -> Vec<Value> {
    let kustomization = yaml_one(&format!("{base}/kustomization.yaml"));
    texts(&kustomization, "/resources").iter().flat_map(|file| yaml(&format!("{base}/{file}"))).collect()
}

/// The Deployment or DaemonSet of a base, or the sidecar's patch.
pub(super) fn workload(dir: &str) -> Value {
    let all = if dir == SIDECAR { yaml(&format!("{SIDECAR}/patch.yaml")) } else { objects(dir) };
    let kinds = ["Deployment", "DaemonSet"];
    all.into_iter()
        .find(|o| kinds.contains(&text(o, "/kind")))
        .unwrap_or_else(|| panic!("{dir}: no workload"))
}

/// The container that runs zonelet in a workload.
pub(super) fn container(workload: &Value) -> &Value {
    let pod = "/spec/template/spec";
    let all = list(workload, &format!("{pod}/containers")).iter();
    let mut all = all.chain(list(workload, &format!("{pod}/initContainers")));
    all.find(|c| c["name"] == "zonelet").expect("a container called zonelet")
}

/// Each workload with the directory it comes from.
pub(super) fn workloads() -> Vec<(&'static str, Value)> {
    BASES.into_iter().chain([SIDECAR]).map(|dir| (dir, workload(dir))).collect()
}

#[test]
fn kustomizations_list_just_the_files_beside_them() {
    for dir in BASES.into_iter().chain([SIDECAR]) {
        let kustomization = yaml_one(&format!("{dir}/kustomization.yaml"));
        let kind = if dir == SIDECAR { "Component" } else { "Kustomization" };
        assert_eq!(kustomization["kind"], kind, "{dir}");
        let mut listed: BTreeSet<String> =
            texts(&kustomization, "/resources").into_iter().map(str::to_owned).collect();
        listed.extend(list(&kustomization, "/patches").iter().map(|p| text(p, "/path").to_owned()));
        for map in list(&kustomization, "/configMapGenerator") {
            listed.extend(texts(map, "/files").into_iter().map(str::to_owned));
        }
        let beside = |path: &String| path.strip_prefix(&format!("{dir}/")).map(str::to_owned);
        let present: BTreeSet<String> = files_below(dir)
            .iter()
            .filter_map(beside)
            .filter(|name| !name.contains('/') && name != "kustomization.yaml")
            .collect();
        assert_eq!(listed, present, "{dir}");
    }
}

#[test]
fn selectors_find_the_pods_they_are_for() {
    for base in BASES {
        let workload = workload(base);
        let labels = &workload["spec"]["template"]["metadata"]["labels"];
        assert!(labels.as_object().is_some_and(|map| map.len() == 2), "{base}");
        assert_eq!(&workload["spec"]["selector"]["matchLabels"], labels, "{base}");
        for spread in list(&workload, "/spec/template/spec/topologySpreadConstraints") {
            assert_eq!(&spread["labelSelector"]["matchLabels"], labels, "{base}");
        }
        for object in objects(base) {
            match text(&object, "/kind") {
                "Service" => assert_eq!(&object["spec"]["selector"], labels, "{base}"),
                "PodDisruptionBudget" => {
                    assert_eq!(&object["spec"]["selector"]["matchLabels"], labels, "{base}");
                    let spare =
                        object["spec"]["minAvailable"].as_u64() < workload["spec"]["replicas"].as_u64();
                    assert!(spare, "{base}: a node could never be drained");
                }
                _ => {}
            }
            if object["kind"] != "Namespace" {
                assert_eq!(
                    &object["metadata"]["labels"],
                    labels,
                    "{base}: {}",
                    text(&object, "/metadata/name")
                );
            }
        }
    }
}

#[test]
fn volumes_accounts_and_ports_that_are_named_exist() {
    for (dir, workload) in workloads() {
        let pod = &workload["spec"]["template"]["spec"];
        let kustomization = yaml_one(&format!("{dir}/kustomization.yaml"));
        let volumes = list(pod, "/volumes");
        for mount in list(container(&workload), "/volumeMounts") {
            named(volumes, text(mount, "/name"));
        }
        for map in
            volumes.iter().map(|volume| text(volume, "/configMap/name")).filter(|name| !name.is_empty())
        {
            named(list(&kustomization, "/configMapGenerator"), map);
        }
        let ports = list(container(&workload), "/ports");
        if dir == SIDECAR {
            continue;
        }
        let account = text(pod, "/serviceAccountName");
        for object in objects(dir) {
            match text(&object, "/kind") {
                "ServiceAccount" => assert_eq!(text(&object, "/metadata/name"), account, "{dir}"),
                "Service" => {
                    for port in list(&object, "/spec/ports") {
                        let target = named(ports, text(port, "/targetPort"));
                        assert_eq!(target["protocol"], port["protocol"], "{dir}");
                    }
                }
                _ => {}
            }
        }
    }
}

#[test]
fn zonelet_runs_unprivileged_with_one_capability_and_a_read_only_root() {
    for (dir, workload) in workloads() {
        let container = container(&workload);
        let pod = workload.pointer("/spec/template/spec/securityContext").cloned().unwrap_or_default();
        let of = |key: &str| {
            Some(&container["securityContext"][key]).filter(|v| !v.is_null()).unwrap_or(&pod[key])
        };
        assert_eq!(of("runAsNonRoot"), true, "{dir}");
        assert_eq!(of("runAsUser"), 65532, "{dir}");
        assert_eq!(of("allowPrivilegeEscalation"), false, "{dir}");
        assert_eq!(of("readOnlyRootFilesystem"), true, "{dir}");
        assert_eq!(of("seccompProfile")["type"], "RuntimeDefault", "{dir}");
        let capabilities = serde_json::json!({ "drop": ["ALL"], "add": ["NET_BIND_SERVICE"] });
        assert_eq!(of("capabilities"), &capabilities, "{dir}: the binary's file capability needs it");
        assert_eq!(container["image"], format!("zonelet:{VERSION}"), "{dir}");
    }
}

#[test]
fn every_container_has_bounded_memory_and_no_cpu_limit() {
    for (dir, workload) in workloads() {
        let pod = &workload["spec"]["template"]["spec"];
        for container in list(pod, "/containers").iter().chain(list(pod, "/initContainers")) {
            let resources = &container["resources"];
            assert!(
                resources["requests"]["cpu"].is_string() && resources["limits"]["cpu"].is_null(),
                "{dir}"
            );
            assert!(resources["requests"]["memory"].is_string() && resources["limits"]["memory"].is_string());
            assert!(
                !text(container, "/image").ends_with(":latest") && text(container, "/image").contains(':')
            );
            assert_eq!(container["securityContext"]["allowPrivilegeEscalation"], false, "{dir}");
        }
        for volume in list(pod, "/volumes").iter().filter(|volume| !volume["emptyDir"].is_null()) {
            assert!(volume["emptyDir"]["sizeLimit"].is_string(), "{dir}: {}", text(volume, "/name"));
        }
    }
}

#[test]
fn pods_never_ask_the_cluster_dns_that_may_ask_them() {
    for base in BASES {
        assert_eq!(workload(base)["spec"]["template"]["spec"]["dnsPolicy"], "Default", "{base}");
    }
    let patch = workload(SIDECAR);
    let pod = &patch["spec"]["template"]["spec"];
    assert_eq!(
        (&pod["dnsPolicy"], texts(pod, "/dnsConfig/nameservers")),
        (&"None".into(), vec!["127.0.0.1"])
    );
    let sidecar = container(&patch);
    assert_eq!(sidecar["restartPolicy"], "Always", "a sidecar that outlives its start");
    assert!(pod["securityContext"].is_null(), "the pod's own settings stay as they are");
}

#[test]
fn node_local_address_is_one_and_the_same_everywhere() {
    let base = "deploy/kubernetes/node-local";
    let address = "169.254.20.10";
    let workload = workload(base);
    let pod = &workload["spec"]["template"]["spec"];
    assert_eq!(
        (&pod["hostNetwork"], &pod["priorityClassName"]),
        (&true.into(), &"system-node-critical".into())
    );
    let script = texts(&pod["initContainers"][0], "/command").concat();
    assert!(script.contains(&format!("ip address add {address}/32 dev zonelet0")));
    for file in ["10-zonelet.netdev", "10-zonelet.network"] {
        assert!(read(&format!("{base}/host/{file}")).contains("Name=zonelet0\n"), "{file}");
    }
    assert!(read(&format!("{base}/host/10-zonelet.network")).contains(&format!("Address={address}/32\n")));
    for port in list(container(&workload), "/ports").iter().filter(|port| port["name"] != "admin") {
        assert_eq!((&port["containerPort"], &port["hostIP"]), (&53.into(), &address.into()));
    }
}

#[test]
fn coredns_gets_the_same_block_by_hand_and_by_the_add_on() {
    let dir = "deploy/kubernetes/stub-domain/coredns";
    let uncommented = |text: &str| {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        lines.collect::<Vec<_>>().join("\n")
    };
    let block = uncommented(&read(&format!("{dir}/Corefile.snippet")));
    let add_on = yaml_one(&format!("{dir}/eks-addon.yaml"));
    let corefile = uncommented(text(&add_on, "/corefile"));
    assert!(corefile.starts_with(&block), "the add-on's Corefile begins with the snippet");
    assert!(corefile[block.len()..].trim_start().starts_with(".:53 {"), "and keeps the root block");
    for text in [&block, &corefile] {
        assert_eq!(text.matches('{').count(), text.matches('}').count());
    }
    assert!(block.starts_with("corp.internal:53 {") && block.contains("forward . 172.20.0.53 {"));
}

#[test]
fn the_surge_component_lets_two_pods_meet_on_one_node() {
    const SURGE: &str = "deploy/kubernetes/node-local-surge";
    let component = yaml_one(&format!("{SURGE}/kustomization.yaml"));
    assert_eq!((text(&component, "/kind"), text(&component, "/patches/0/path")), ("Component", "patch.yaml"));
    let (patch, base) = (yaml_one(&format!("{SURGE}/patch.yaml")), workload("deploy/kubernetes/node-local"));
    assert_eq!((&patch["kind"], &patch["metadata"]["name"]), (&base["kind"], &base["metadata"]["name"]));
    let update = "/spec/updateStrategy/rollingUpdate";
    assert_eq!(patch.pointer(update), Some(&serde_json::json!({ "maxSurge": 1, "maxUnavailable": 0 })));
    // Ports would keep the second pod from being scheduled; probes name the number then.
    let ours = container(&patch);
    assert_eq!(ours["ports"], serde_json::json!([{ "$patch": "replace" }]));
    let named = list(container(&base), "/ports").iter().find(|port| port["name"] == "admin").expect("a port");
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
        assert_eq!(ours[probe]["httpGet"]["port"], named["containerPort"], "{probe}");
    }
    // One directory for both, which the user of the container may write.
    let state = named_volume(&patch, "state");
    assert!(state["emptyDir"].is_null() && state["hostPath"]["path"] == "/var/lib/zonelet");
    assert!(read("deploy/kubernetes/node-local/config.toml").contains("dir = \"/var/lib/zonelet\""));
    let user = container(&base)["securityContext"]["runAsUser"].as_u64().expect("a user");
    let maker = named_in(&patch, "/spec/template/spec/initContainers", "state");
    assert!(texts(maker, "/command").iter().any(|line| line.contains(&format!("chown {user}:{user} "))));
}

fn named_in<'a>(object: &'a Value, pointer: &str, name: &str) -> &'a Value {
    named(list(object, pointer), name)
}

fn named_volume<'a>(workload: &'a Value, name: &str) -> &'a Value {
    named_in(workload, "/spec/template/spec/volumes", name)
}
