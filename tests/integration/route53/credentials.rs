//! The chain of credentials, link by link, by the real program: each link imports, the API sees
//! its key, and nothing secret comes out, at whatever level is logged.

use std::process::Command;

use serde_json::{Value, json};

use super::fixture::column;
use crate::harness::identity::Identity;
use crate::harness::message::Question;
use crate::harness::program::{Home, Program, forward, outside, until, upstream};
use crate::harness::r53sim::{Sim, VPC, VPC_REGION};
use crate::harness::upstream::Scripted;

const ANSWER: &str = "NOERROR aa; db.corp.internal. 60 A 10.0.0.1";
/// What all secrets that the doubles hand out begin with.
const ISSUED: [&str; 2] = ["issued-secret", "issued-token"];

/// A simulator that accepts no signature but that of us-east-1, an upstream, and a program that is
/// to find its credentials by itself.
struct Scene {
    sim: Sim,
    identity: Identity,
    home: Home,
    server: Scripted,
    variables: Vec<(String, String)>,
}

impl Scene {
    fn new() -> Self {
        Self::with_upstream(|q| q.address(300, 1))
    }

    fn with_upstream(answer: impl Fn(&Question) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let (sim, identity, server) = (Sim::start(), Identity::start(), upstream(answer));
        let record = json!({ "Name": "db.corp.internal.", "Type": "A", "TTL": 60,
            "ResourceRecords": [{ "Value": "10.0.0.1" }] });
        outside().block_on(async {
            sim.zone("corp.internal.", json!({ "records": [record] })).await;
            sim.control("POST", "signing", json!({ "require": true, "region": "us-east-1" })).await;
        });
        let home = Home::new(&format!(
            "[[source]]\nkind = 'route53'\nrefresh = '1s'\nbudget = '50/s'\nzones = {{ vpc = '{VPC}' }}\n\
             region = '{VPC_REGION}'\nendpoint = '{}'\n[log]\nlevel = 'trace'\n{}",
            sim.url(),
            forward(server.addr)
        ));
        let mut scene = Self { sim, identity, home, server, variables: Vec::new() };
        scene.variable("AWS_CONFIG_FILE", "/dev/null").variable("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
        scene
    }

    fn variable(&mut self, name: &str, value: impl Into<String>) -> &mut Self {
        self.variables.push((name.to_owned(), value.into()));
        self
    }

    /// A file beside the configuration; its path.
    fn file(&self, name: &str, content: &str) -> String {
        self.home.put(name, content);
        self.home.path(name).display().to_string()
    }

    fn sts(&mut self) -> &mut Self {
        let url = self.identity.url().to_owned();
        self.variable("AWS_ENDPOINT_URL_STS", url)
    }

    fn web_identity(&mut self) -> &mut Self {
        let token = self.file("token", "a.web.identity");
        self.variable("AWS_WEB_IDENTITY_TOKEN_FILE", token)
            .variable("AWS_ROLE_ARN", "arn:aws:iam::111122223333:role/zonelet")
            .variable("AWS_ROLE_SESSION_NAME", "test")
    }

    fn start(&self) -> Program {
        let mut command: Command = self.home.command(&["run"]);
        command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        Program::start(&mut command)
    }

    /// Starts the program, sees it import with a key that begins with `key`, and ends it.
    fn imports_with(&self, key: &str, secrets: &[&str]) {
        let program = self.start();
        program.answers("db.corp.internal. A", ANSWER);
        let keys = self.keys();
        assert!(!keys.is_empty() && keys.iter().all(|seen| seen.starts_with(key)), "{keys:?}");
        self.end(program, secrets);
    }

    /// Starts the program, sees it fail, and ends it: neither its log nor its listing has a secret.
    fn fails(&self, secrets: &[&str]) -> String {
        let program = self.start();
        program.logged("zones were not listed");
        let listing = self.home.run(&["zones"]);
        for text in [listing.stdout, listing.stderr] {
            free_of_secrets(&String::from_utf8_lossy(&text), secrets);
        }
        assert_eq!(self.keys(), [""; 0], "no call goes out unsigned");
        let failure = program.logged("zones were not listed");
        self.end(program, secrets);
        failure
    }

    fn end(&self, program: Program, secrets: &[&str]) {
        let (code, log) = program.terminate();
        assert_eq!(code, Some(0));
        let is_sdk = |line: &String| line.contains("DEBUG") && line.contains("aws_");
        assert!(log.iter().any(is_sdk), "what the SDK says is logged, too");
        free_of_secrets(&log.join("\n"), secrets);
    }

    fn keys(&self) -> Vec<String> {
        column(&outside().block_on(self.sim.calls()), "access_key")
    }

    fn asked(&self, key: &str) -> Vec<String> {
        column(&outside().block_on(self.identity.requests()), key)
    }

    fn identity(&self, settings: Value) {
        outside().block_on(self.identity.set(settings));
    }
}

fn free_of_secrets(text: &str, secrets: &[&str]) {
    for secret in secrets.iter().chain(&ISSUED) {
        let line = text.lines().find(|line| line.contains(secret));
        assert!(line.is_none(), "{secret} in {}", line.unwrap_or_default());
    }
}

#[test]
fn keys_of_the_environment() {
    let mut scene = Scene::new();
    scene
        .variable("AWS_ACCESS_KEY_ID", "AKIDENVIRONMENT")
        .variable("AWS_SECRET_ACCESS_KEY", "hidden-secret")
        .variable("AWS_SESSION_TOKEN", "hidden-session");
    scene.imports_with("AKIDENVIRONMENT", &["hidden-secret", "hidden-session"]);
}

#[test]
fn a_profile_that_assumes_a_role_with_the_keys_of_another() {
    let mut scene = Scene::new();
    let config = scene.file(
        "aws-config",
        "[profile zonelet]\nrole_arn = arn:aws:iam::111122223333:role/zonelet\nsource_profile = base\n\
         external_id = hidden-external-id\nregion = eu-west-1\n[profile base]\n",
    );
    let keys = "[base]\naws_access_key_id = AKIDBASE\naws_secret_access_key = hidden-secret\n";
    let credentials = scene.file("aws-credentials", keys);
    scene.sts().variable("AWS_PROFILE", "zonelet");
    scene.variable("AWS_CONFIG_FILE", config).variable("AWS_SHARED_CREDENTIALS_FILE", credentials);
    let secrets = ["hidden-secret", "hidden-external-id"];
    scene.imports_with("ASIAROLE", &secrets);
    assert_eq!(scene.asked("access_key"), ["AKIDBASE"]);
    assert_eq!(scene.asked("external_id"), ["hidden-external-id"]);
    assert_eq!(scene.asked("role"), ["arn:aws:iam::111122223333:role/zonelet"]);
    assert_eq!(scene.asked("signing_region"), ["eu-west-1"], "STS is regional, unlike Route 53");

    outside().block_on(scene.sim.forget_calls());
    scene.identity(json!({ "refuse": true }));
    let failure = scene.fails(&secrets);
    assert!(failure.contains("AccessDenied"), "{failure}");
}

#[test]
fn a_process_that_prints_credentials() {
    let mut scene = Scene::new();
    let printed = json!({ "Version": 1, "AccessKeyId": "AKIDPROCESS", "SecretAccessKey": "issued-secret-printed",
        "SessionToken": "issued-token-printed", "Expiration": "2099-01-01T00:00:00Z" });
    let printed = scene.file("printed.json", &printed.to_string());
    let config = scene.file("aws-config", &format!("[default]\ncredential_process = /bin/cat '{printed}'\n"));
    scene.variable("AWS_CONFIG_FILE", config);
    scene.imports_with("AKIDPROCESS", &[]);

    outside().block_on(scene.sim.forget_calls());
    scene.file("printed.json", "{\"Version\": 1, \"SecretAccessKey\": \"issued-secret-cut");
    scene.fails(&[]);
}

#[test]
fn a_web_identity_is_exchanged_with_and_without_a_region() {
    for region in [Some("eu-central-1"), None] {
        let mut scene = Scene::new();
        scene.sts().web_identity();
        if let Some(region) = region {
            scene.variable("AWS_REGION", region);
        }
        scene.imports_with("ASIAWEB", &["a.web.identity"]);
        assert_eq!(scene.asked("token"), ["a.web.identity"]);
        assert_eq!(scene.asked("access_key"), [""], "the token is the proof, nothing is signed");
        outside().block_on(scene.sim.forget_calls());
        scene.identity(json!({ "refuse": true }));
        scene.fails(&["a.web.identity"]);
    }
}

#[test]
fn a_web_identity_goes_to_the_sts_of_the_region_and_else_to_that_of_the_partition() {
    for (region, host) in
        [(Some("eu-central-1"), "sts.eu-central-1.amazonaws.com."), (None, "sts.us-east-1.amazonaws.com.")]
    {
        // The upstream denies every name: it is enough to see which one is looked for.
        let mut scene = Scene::with_upstream(|q| q.reply(3, &[], &[]));
        scene.web_identity();
        if let Some(region) = region {
            scene.variable("AWS_REGION", region);
        }
        scene.fails(&["a.web.identity"]);
        let names: Vec<String> = scene.server.log().iter().map(|a| a.question.qname.to_string()).collect();
        assert!(names.iter().any(|name| name == host), "{names:?}");
        assert!(names.iter().all(|name| name == host || !name.starts_with("sts.")), "{names:?}");
    }
}

#[test]
fn a_container_is_given_new_credentials_for_its_new_token() {
    let mut scene = Scene::new();
    let token = scene.file("pod-token", "hidden-token-one");
    // They run out within the time that the SDK renews them ahead of: each call asks anew.
    scene.identity(json!({ "lifetime": 5, "authorization": "hidden-token-one" }));
    let uri = scene.identity.container();
    scene.variable("AWS_CONTAINER_CREDENTIALS_FULL_URI", uri);
    scene.variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", token).variable("AWS_REGION", "eu-west-1");
    let secrets = ["hidden-token-one", "hidden-token-two"];
    let program = scene.start();
    program.answers("db.corp.internal. A", ANSWER);
    scene.file("pod-token", "hidden-token-two");
    scene.identity(json!({ "lifetime": 3600, "authorization": "hidden-token-two" }));
    until("the new token", || scene.asked("authorization").contains(&secrets[1].to_owned()).then_some(()));
    let renewed = format!("ASIACONTAINER{}", scene.asked("authorization").len());
    until("calls with the new key", || scene.keys().contains(&renewed).then_some(()));
    let keys = scene.keys();
    assert!(keys.iter().all(|key| key.starts_with("ASIACONTAINER")), "{keys:?}");
    assert!(keys.contains(&"ASIACONTAINER1".to_owned()), "{keys:?}");
    scene.end(program, &secrets);
}

#[test]
fn a_container_that_is_refused_or_answered_badly_says_nothing_secret() {
    for settings in [json!({ "refuse": true }), json!({ "spoil": true })] {
        let mut scene = Scene::new();
        let token = scene.file("pod-token", "hidden-token");
        scene.identity(settings);
        let uri = scene.identity.container();
        scene.variable("AWS_CONTAINER_CREDENTIALS_FULL_URI", uri);
        scene.variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", token);
        scene.fails(&["hidden-token"]);
    }
}

#[test]
fn an_instance_has_those_of_its_role() {
    let mut scene = Scene::new();
    let imds = json!({ "vpc_id": VPC, "region": VPC_REGION, "role": "zonelet-node" });
    outside().block_on(scene.sim.control("POST", "imds", imds));
    let url = scene.sim.url().to_owned();
    scene.variable("AWS_EC2_METADATA_SERVICE_ENDPOINT", url).variable("AWS_EC2_METADATA_DISABLED", "false");
    scene.imports_with("ASIAINSTANCE", &[]);
    let asked = outside().block_on(scene.sim.control("GET", "imds", json!({})));
    let tokens = asked["requests"].as_array().unwrap().iter().filter(|r| r["method"] == "PUT");
    assert!(tokens.count() > 0, "version 2 of the metadata service");
}
