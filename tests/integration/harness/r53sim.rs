//! The Route 53 simulator of tests/r53sim and its control calls.

use serde_json::{Value, json};

use super::python::{PythonServer, json_call, repository};

/// The VPC that the zones of tests belong to.
pub const VPC: &str = "vpc-0a1b2c3d4e5f60718";
/// Its region.
pub const VPC_REGION: &str = "eu-west-1";

/// A running simulator, one for each test: its faults and its log are its own.
pub struct Sim(PythonServer);

impl Sim {
    /// Starts one.
    pub fn start() -> Self {
        Self(PythonServer::start("python3", &repository("tests/r53sim/r53sim.py")))
    }

    /// The endpoint of the API and of instance metadata.
    pub fn url(&self) -> &str {
        &self.0.url
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.url().rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port in the url")
    }

    /// Makes a control call and returns its answer; a refused one is the test's mistake.
    pub async fn control(&self, method: &str, path: &str, body: Value) -> Value {
        json_call(self.url(), method, &format!("/_sim/{path}"), body).await
    }

    /// Makes a private zone of [`VPC`] with the further `fields`, and returns its id.
    pub async fn zone(&self, name: &str, fields: Value) -> String {
        let mut zone = json!({ "name": name, "vpcs": [{ "id": VPC, "region": VPC_REGION }] });
        for (key, value) in fields.as_object().expect("fields are an object") {
            zone[key] = value.clone();
        }
        let made = self.control("POST", "zone", zone).await;
        made["id"].as_str().expect("a zone has an id").to_owned()
    }

    /// Adds a fault to the plan.
    pub async fn fault(&self, fault: Value) {
        self.control("POST", "faults", fault).await;
    }

    /// Ends all faults.
    pub async fn heal(&self) {
        self.control("DELETE", "faults", json!({})).await;
    }

    /// The calls of the API so far, in order.
    pub async fn calls(&self) -> Vec<Value> {
        self.control("GET", "calls", json!({})).await.as_array().expect("calls are a list").clone()
    }

    /// Forgets the calls so far.
    pub async fn forget_calls(&self) {
        self.control("DELETE", "calls", json!({})).await;
    }
}
