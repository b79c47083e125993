//! Reading the health of the targets of load balancers.

use aws_config::SdkConfig;
use aws_sdk_elasticloadbalancingv2::Client;
use esclusa_core::error::Failure;
use esclusa_core::verification::TargetFacts;

use crate::client;
use crate::sdk::{OnFirstUse, failure};

/// Reads target groups. Changes nothing.
#[derive(Debug, Clone)]
pub struct TargetReader {
    client: OnFirstUse<Client>,
}

impl TargetReader {
    /// A reader of the target groups of this account and Region.
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        Self {
            client: client!(aws_sdk_elasticloadbalancingv2, config),
        }
    }

    /// The targets of a target group, those on their way out among them: `DescribeTargetHealth`
    /// (<https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeTargetHealth.html>), which answers with all of them at once.
    ///
    /// # Errors
    /// As every call to AWS; `Refused` when the group does not exist.
    pub async fn targets(&self, group_arn: &str) -> Result<Vec<TargetFacts>, Failure> {
        let request = self.client.describe_target_health().target_group_arn(group_arn);
        let answer = request.send().await;
        let answer = answer.map_err(|error| failure("elasticloadbalancing:DescribeTargetHealth", &error))?;
        let described = answer.target_health_descriptions.unwrap_or_default().into_iter();
        let targets = described.filter_map(|described| {
            let health = described.target_health?;
            Some(TargetFacts {
                state: health.state?.as_str().to_owned(),
                reason: health.reason.map(|reason| reason.as_str().to_owned()),
            })
        });
        Ok(targets.collect())
    }
}
