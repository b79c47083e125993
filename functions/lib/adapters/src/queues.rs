//! Reading how much lies in a queue of SQS. No message is received: that is a person's to do.

use aws_config::SdkConfig;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::QueueAttributeName;
use esclusa_core::error::Failure;

use crate::client;
use crate::sdk::{OnFirstUse, failure};

/// Reads one queue. Changes nothing.
#[derive(Debug, Clone)]
pub struct QueueReader {
    client: OnFirstUse<Client>,
    url: String,
}

impl QueueReader {
    /// A reader of the queue with that URL.
    #[must_use]
    pub fn new(config: &SdkConfig, url: impl Into<String>) -> Self {
        Self {
            client: client!(aws_sdk_sqs, config),
            url: url.into(),
        }
    }

    /// About how many messages lie in the queue, whether somebody looks at them at the moment or not.
    ///
    /// # Errors
    /// As every call to AWS; `Transient` when the answer has no number.
    pub async fn depth(&self) -> Result<u64, Failure> {
        const ACTION: &str = "sqs:GetQueueAttributes";
        const COUNTED: [QueueAttributeName; 2] = [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
        ];
        let request = self.client.get_queue_attributes().queue_url(&self.url);
        let answer = request.set_attribute_names(Some(COUNTED.to_vec())).send().await;
        let attributes = answer.map_err(|error| failure(ACTION, &error))?.attributes;
        let attributes = attributes.unwrap_or_default();
        let mut depth = 0_u64;
        for name in COUNTED {
            let number = attributes.get(&name).and_then(|number| number.parse::<u64>().ok());
            let number = number.ok_or_else(|| Failure::transient(format!("`{ACTION}` did not report `{name}`")))?;
            depth = depth.saturating_add(number);
        }
        Ok(depth)
    }
}
