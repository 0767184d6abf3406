//! States of health checks and hints, tried once.

use crate::metrics::source::ApiCall;
use crate::source::SourceError;
use crate::source::route53::error::counted;
use crate::source::route53::session::Session;
use crate::source::route53::{Route53Source, health, hints};

use super::Trial;
use crate::source::trial::Finding;

impl Route53Source {
    /// What the health of each account's checks is read by.
    pub(super) async fn try_health(&self, session: &Session, trial: &mut Trial) {
        if !self.settings.health {
            return;
        }
        for (_, account) in trial.reachable(session) {
            let what = format!("cloudwatch:GetMetricData of {}", account.name());
            let states = health::try_states(&account.sdk, session.partition, &self.metrics).await;
            trial.note(what, "cloudwatch:GetMetricData", states, |()| "may be read".to_owned());
            let needs = "route53:ListHealthChecks and route53:GetHealthCheck";
            let what = format!("route53:ListHealthChecks of {}", account.name());
            let request = account.client.list_health_checks().max_items(1);
            let listed = self.call(ApiCall::ListHealthChecks, &what, request.send()).await;
            trial.note(what, needs, listed, |_| "may be read".to_owned());
        }
    }

    /// The queue of hints. A message that is met stays where it is.
    pub(super) async fn try_hints(&self, session: &Session, trial: &mut Trial) {
        let Some(queue) = &self.settings.hints else { return };
        let client = hints::client(queue, session, &self.connection);
        let request = client
            .receive_message()
            .queue_url(&queue.url)
            .max_number_of_messages(1)
            .wait_time_seconds(0)
            .visibility_timeout(0);
        let what = "sqs:ReceiveMessage";
        let received = counted(&self.metrics, ApiCall::ReceiveMessage, what, request.send()).await;
        if matches!(received, Err(SourceError::Gone { .. })) {
            let text = format!("there is no queue {}: correct the key, or make the queue", queue.url);
            return trial.findings.push(Finding::fails("hints", text));
        }
        trial.note(what, "sqs:ReceiveMessage and sqs:DeleteMessage", received, |_| {
            format!("{} may be read", queue.url)
        });
    }
}
