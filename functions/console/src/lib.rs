//! The Lambda function `console`: the HTTP entry. It takes what people decide, in Slack and through the API, and writes
//! that down, and has `intake` make the releases that they ask for; it completes nothing and calls no service of the
//! deployed. That the waits are looked at then and there saves the time until the next sweep, and nothing else.

mod api;
mod interactions;
mod request;

use aws_config::SdkConfig;
use esclusa_adapters::journal::Journal;
use esclusa_adapters::requests::ReleaseRequester;
use esclusa_adapters::secrets::SecretReader;
use esclusa_adapters::slack::SlackClient;
use esclusa_adapters::sweep::SweepStarter;
use esclusa_core::error::Failure;
use esclusa_runtime::{Environment, Function, Invocation, parse_request};
use serde_json::{Value, json};

use crate::request::{HttpRequest, Response};

/// The function.
#[derive(Debug)]
pub struct Console {
    journal: Journal,
    slack: SlackClient,
    /// The secret that Slack signs with; none where no Slack is configured.
    signing: Option<SecretReader>,
    sweep: SweepStarter,
    requester: ReleaseRequester,
}

impl Function for Console {
    const NAME: &'static str = "console";

    fn build(config: &SdkConfig, environment: &Environment) -> Result<Self, Failure> {
        let control = environment.required("ESCLUSA_CONTROL_TABLE")?;
        let ledger = environment.required("ESCLUSA_LEDGER_TABLE")?;
        let signing = environment.optional("ESCLUSA_SLACK_SIGNING_SECRET_ARN");
        Ok(Self {
            journal: Journal::new(config, control, ledger),
            slack: SlackClient::new(config),
            signing: signing.map(|arn| SecretReader::new(config, arn)),
            sweep: SweepStarter::new(config, environment.required("ESCLUSA_RESUME_FUNCTION")?),
            requester: ReleaseRequester::new(config, environment.required("ESCLUSA_INTAKE_FUNCTION")?),
        })
    }

    async fn handle(&self, payload: Value, _invocation: &Invocation) -> Result<Value, Failure> {
        let request: HttpRequest = parse_request(payload)?;
        let response = match request.route_key.as_str() {
            "POST /slack/interactions" => self.interaction(&request).await?,
            "POST /api/votes" => self.post_vote(&request).await?,
            "POST /api/answers" => self.post_answer(&request).await?,
            "POST /releases/{kind}" => self.post_release(&request).await?,
            "POST /orders/{order}" => self.post_order(&request).await?,
            _ => Response::error(404, "there is no such route"),
        };
        if response.is_waited_for {
            self.sweep.begin().await;
        }
        Ok(json!(response))
    }
}
