//! The queue of SQS that hints come through.

use std::sync::Arc;
use std::time::Duration;

use aws_config::Region;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::DeleteMessageBatchRequestEntry;
use aws_smithy_types::timeout::TimeoutConfig;
use tokio::sync::OnceCell;
use tracing::debug;

use crate::metrics::source::{ApiCall, SourceMetrics};
use crate::source::route53::error::counted;
use crate::source::route53::reply::CappedReplies;
use crate::source::route53::session::{Connection, Session};
use crate::source::settings::{HintQueue, Route53Settings};
use crate::source::{HostResolver, SourceError};

/// The most messages of one call.
pub const MAX_BATCH: usize = 10;
/// How long a call waits for messages, the longest that SQS allows: an idle queue costs three calls
/// a minute.
const WAIT: Duration = Duration::from_secs(20);

/// How the source's session is come by, opened here where the source has not done so yet.
#[derive(Clone, Debug)]
pub struct Door {
    /// The source's settings.
    pub settings: Route53Settings,
    /// What it uses in place of its environment.
    pub connection: Connection,
    /// Where host names are resolved.
    pub resolver: Arc<dyn HostResolver>,
    /// The source's own session.
    pub session: Arc<OnceCell<Session>>,
}

impl Door {
    async fn session(&self) -> Result<&Session, SourceError> {
        let open = || Session::open(&self.settings, &self.connection, Arc::clone(&self.resolver));
        self.session.get_or_try_init(open).await
    }
}

/// A message, and by what it is deleted.
#[derive(Debug)]
pub struct Message {
    /// Whatever the sender wrote.
    pub body: String,
    receipt: String,
}

#[cfg(test)]
impl Message {
    /// A message that cannot be deleted.
    pub fn of(body: String) -> Self {
        Self { body, receipt: String::new() }
    }
}

/// One queue.
#[derive(Debug)]
pub struct Queue {
    queue: HintQueue,
    door: Door,
    metrics: SourceMetrics,
    client: OnceCell<Client>,
}

impl Queue {
    /// Nothing is asked yet.
    pub fn new(queue: HintQueue, door: Door, metrics: SourceMetrics) -> Self {
        Self { queue, door, metrics, client: OnceCell::new() }
    }

    /// Where it is.
    pub fn url(&self) -> &str {
        &self.queue.url
    }

    /// The messages that there are, or that come within 20 s; up to ten.
    ///
    /// # Errors
    /// [`SourceError::Gone`] without such a queue, [`SourceError::Denied`] without permission.
    pub async fn wait(&self) -> Result<Vec<Message>, SourceError> {
        self.receive(WAIT).await
    }

    /// Up to ten more of the messages that there are.
    ///
    /// # Errors
    /// As [`Queue::wait`].
    pub async fn more(&self) -> Result<Vec<Message>, SourceError> {
        self.receive(Duration::ZERO).await
    }

    async fn receive(&self, wait: Duration) -> Result<Vec<Message>, SourceError> {
        let client = self.client().await?;
        let request = client
            .receive_message()
            .queue_url(&self.queue.url)
            .max_number_of_messages(MAX_BATCH as i32)
            .wait_time_seconds(wait.as_secs() as i32);
        let what = "receiving of hints (sqs:ReceiveMessage)";
        let reply = counted(&self.metrics, ApiCall::ReceiveMessage, what, request.send()).await?;
        let message = |message: aws_sdk_sqs::types::Message| {
            let body = message.body.unwrap_or_default();
            Some(Message { body, receipt: message.receipt_handle? })
        };
        Ok(reply.messages.unwrap_or_default().into_iter().filter_map(message).collect())
    }

    /// Takes messages out of the queue. What is not taken out comes again, which does no harm.
    ///
    /// # Errors
    /// The first call's that failed; the others are made all the same.
    pub async fn delete(&self, messages: &[Message]) -> Result<(), SourceError> {
        let client = self.client().await?;
        let mut outcome = Ok(());
        for batch in messages.chunks(MAX_BATCH) {
            let entry = |(at, message): (usize, &Message)| {
                let entry = DeleteMessageBatchRequestEntry::builder().id(at.to_string());
                entry.receipt_handle(&message.receipt).build().ok()
            };
            let entries = batch.iter().enumerate().filter_map(entry).collect();
            let request = client.delete_message_batch().queue_url(&self.queue.url).set_entries(Some(entries));
            let what = "deletion of hints (sqs:DeleteMessage)";
            match counted(&self.metrics, ApiCall::DeleteMessageBatch, what, request.send()).await {
                Ok(reply) if reply.failed().is_empty() => {}
                Ok(reply) => debug!(failed = reply.failed().len(), "hints were not deleted"),
                Err(error) => outcome = outcome.and(Err(error)),
            }
        }
        outcome
    }

    async fn client(&self) -> Result<&Client, SourceError> {
        let connect = async || {
            let session = self.door.session().await?;
            Ok::<_, SourceError>(client(&self.queue, session, &self.door.connection))
        };
        self.client.get_or_try_init(connect).await
    }
}

/// The queue's own URL says where it is asked, so that VPC endpoints and doubles need no other key.
pub fn client(queue: &HintQueue, session: &Session, connection: &Connection) -> Client {
    let region = queue.region.as_deref().unwrap_or_else(|| session.partition.signing_region());
    let longest = WAIT + connection.call_timeout;
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(connection.connect_timeout)
        .operation_attempt_timeout(longest)
        .operation_timeout(longest);
    let config = aws_sdk_sqs::config::Builder::from(&session.sdk)
        .region(Region::new(region.to_owned()))
        .endpoint_url(queue.endpoint())
        .timeout_config(timeouts.build())
        .interceptor(CappedReplies);
    Client::from_conf(config.build())
}
