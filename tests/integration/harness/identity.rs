//! The double of STS and of the containers' endpoint in tests/r53sim/identity.py.

use serde_json::{Value, json};

use super::python::{PythonServer, json_call, repository};

/// A running double, one for each test.
pub struct Identity(PythonServer);

impl Identity {
    /// Starts one.
    pub fn start() -> Self {
        Self(PythonServer::start("python3", &repository("tests/r53sim/identity.py")))
    }

    /// Where STS is.
    pub fn url(&self) -> &str {
        &self.0.url
    }

    /// Where a container's credentials are.
    pub fn container(&self) -> String {
        format!("{}/v1/credentials", self.url())
    }

    /// Changes how it answers.
    pub async fn set(&self, settings: Value) {
        json_call(self.url(), "POST", "/_identity/settings", settings).await;
    }

    /// What it was asked so far.
    pub async fn requests(&self) -> Vec<Value> {
        let requests = json_call(self.url(), "GET", "/_identity/requests", json!({})).await;
        requests.as_array().expect("requests are a list").clone()
    }
}
