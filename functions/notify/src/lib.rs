//! The Lambda function `notify`: people are told in Slack what becomes of releases. It is the only holder of the token
//! of the app, and writes nothing but what was told.
//!
//! Every round looks at what is true and at what was told last. What differs is told, so that a round that is lost, or
//! a Slack that is away, costs nothing but time; and nothing waits for what it does.

mod candidates;
mod tell;

use std::collections::BTreeMap;

use aws_config::SdkConfig;
use esclusa_adapters::journal::Journal;
use esclusa_adapters::secrets::SecretReader;
use esclusa_adapters::slack::{SlackClient, Tested};
use esclusa_core::error::Failure;
use esclusa_core::pipeline::ChannelId;
use esclusa_events::Event;
use esclusa_runtime::{Environment, Function, Invocation, Round, parse_request};
use serde::Deserialize;
use serde_json::{Value, json};

use tell::RESERVE;

/// The function.
#[derive(Debug)]
pub struct Notify {
    journal: Journal,
    slack: SlackClient,
    /// None where no Slack is configured.
    token: Option<SecretReader>,
}

#[derive(Debug, Deserialize)]
#[serde(
    tag = "action",
    rename_all = "snake_case",
    rename_all_fields = "camelCase",
    deny_unknown_fields
)]
enum Request {
    /// Tell people what is not told yet.
    Tell {},
    /// Ask Slack whether it takes the token and what these channels are to the app, and tell nobody anything.
    Check {
        #[serde(default)]
        channels: Vec<ChannelId>,
    },
}

impl Notify {
    /// Tells people what differs, where they have a Slack.
    async fn tell_everybody(&self, round: &mut Round) -> Result<Value, Failure> {
        match &self.token {
            Some(token) => self.round(token, round).await,
            None => Ok(unconfigured()),
        }
    }

    /// What Slack says of the token, for `esclusa doctor`.
    async fn check(&self, channels: &[ChannelId]) -> Result<Value, Failure> {
        let Some(token) = &self.token else {
            return Ok(unconfigured());
        };
        let token = token.read().await?;
        let (team, scopes) = match self.slack.test(&token).await? {
            Tested::Valid { team, scopes } => (team, scopes),
            Tested::Refused { code } => return Ok(json!({"refused": code})),
        };
        let mut seen = BTreeMap::new();
        for channel in channels {
            seen.insert(channel.as_str(), self.slack.membership(&token, channel.as_str()).await?);
        }
        Ok(json!({"team": team, "scopes": scopes, "channels": seen}))
    }
}

impl Function for Notify {
    const NAME: &'static str = "notify";

    fn build(config: &SdkConfig, environment: &Environment) -> Result<Self, Failure> {
        let control = environment.required("ESCLUSA_CONTROL_TABLE")?;
        let ledger = environment.required("ESCLUSA_LEDGER_TABLE")?;
        let token = environment.optional("ESCLUSA_SLACK_BOT_TOKEN_ARN");
        Ok(Self {
            journal: Journal::new(config, control, ledger),
            slack: SlackClient::new(config),
            token: token.map(|arn| SecretReader::new(config, arn)),
        })
    }

    async fn handle(&self, payload: Value, invocation: &Invocation) -> Result<Value, Failure> {
        let event = esclusa_events::parse(payload).map_err(|error| Failure::invalid_input(error.to_string()))?;
        let mut round = Round::begin(Self::NAME, invocation, self.journal.clock().now()?, RESERVE);
        match event {
            Event::Request(request) => match parse_request(request.payload)? {
                Request::Tell {} => {
                    let told = self.tell_everybody(&mut round).await?;
                    round.end();
                    Ok(told)
                }
                Request::Check { channels } => self.check(&channels).await,
            },
            // Whatever it says: everything is looked at.
            Event::StepFunctionsExecutionStatusChange(_) => {
                let told = self.tell_everybody(&mut round).await?;
                round.end_of_event();
                Ok(told)
            }
            Event::EcsTaskStateChange(_)
            | Event::EcsDeploymentStateChange(_)
            | Event::EcsServiceAction(_)
            | Event::EcrImageAction(_)
            | Event::CloudWatchAlarmStateChange(_)
            | Event::Scheduled(_)
            | Event::Unknown(_) => Ok(json!({"ignored": "nobody is notified of events of this kind"})),
        }
    }
}

/// The answer where nobody is told anything.
fn unconfigured() -> Value {
    json!({"ignored": "Slack is not configured: set the parameter `SlackBotTokenArn` of the stack with `scripts/deploy --guided`"})
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[tokio::test]
    async fn without_a_slack_it_does_nothing_and_says_what_is_missing() {
        let tables = [("ESCLUSA_CONTROL_TABLE", "control"), ("ESCLUSA_LEDGER_TABLE", "ledger")];
        let config = SdkConfig::builder()
            .behavior_version(aws_config::BehaviorVersion::v2026_01_12())
            .build();
        let notify = Notify::build(&config, &Environment::from_iter(tables)).unwrap();
        let invocation = Invocation {
            request_id: "r-1".to_owned(),
            function_arn: "arn:aws:lambda:us-east-1:123456789012:function:notify".to_owned(),
            deadline: Timestamp::UNIX_EPOCH,
            trace_id: None,
        };
        let answer = notify.handle(json!({"action": "tell"}), &invocation).await.unwrap();
        assert!(answer.to_string().contains("`SlackBotTokenArn`"), "{answer}");
        let failure = notify
            .handle(json!({"action": "shout"}), &invocation)
            .await
            .unwrap_err();
        assert_eq!(failure.kind, esclusa_core::error::ErrorKind::InvalidInput);
    }
}
