//! Amazon Simple Notification Service: topics and who subscribes to them. Nothing is published: what an alarm does is
//! for people to see in a real account. <https://docs.aws.amazon.com/sns/latest/api/API_ListSubscriptionsByTopic.html>

use std::collections::BTreeMap;

use serde_json::{Value, json};
use simulator_kernel::{ApiError, Authorization, Kernel, Reply, Request, Service};

use super::{Input, only, page};

/// The name of the service.
const NAME: &str = "sns";

const OPERATIONS: [&str; 2] = ["ListSubscriptionsByTopic", "Subscribe"];

/// How many subscriptions an answer lists.
const PAGE_SIZE: usize = 100;

/// What AWS shows in the place of the ARN of a subscription that waits for its confirmation.
const PENDING: &str = "PendingConfirmation";

#[derive(Debug)]
struct Subscription {
    arn: String,
    protocol: String,
    endpoint: String,
}

/// The service `sns`.
#[derive(Debug, Default)]
pub struct Sns {
    /// By the ARN of the topic.
    topics: BTreeMap<String, Vec<Subscription>>,
}

impl Sns {
    /// Creates a topic that nobody subscribes to, as a template does.
    pub(crate) fn create(&mut self, arn: &str) {
        self.topics.entry(arn.to_owned()).or_default();
    }

    /// A queue is subscribed at once by its owner; a person confirms first that they want to hear.
    fn subscribe(&mut self, input: Input<'_>, kernel: &mut Kernel) -> Result<Value, ApiError> {
        let known = ["TopicArn", "Protocol", "Endpoint", "ReturnSubscriptionArn"];
        only(NAME, "Subscribe", input, &known)?;
        let topic = input.required("TopicArn")?;
        let (protocol, endpoint) = (input.required("Protocol")?, input.required("Endpoint")?);
        let arn = match protocol {
            "email" => PENDING.to_owned(),
            "sqs" => format!("{topic}:{}", kernel.uuid()),
            other => {
                return Err(ApiError::unsupported(format_args!(
                    "the protocol `{other}` of `Subscribe` of `sns`"
                )));
            }
        };
        let subscriptions = self.topics.get_mut(topic).ok_or_else(no_topic)?;
        subscriptions.push(Subscription {
            arn: arn.clone(),
            protocol: protocol.to_owned(),
            endpoint: endpoint.to_owned(),
        });
        let shown = if arn == PENDING { "pending confirmation" } else { &arn };
        Ok(json!({"SubscriptionArn": shown}))
    }

    fn list(&self, input: Input<'_>, kernel: &Kernel) -> Result<Value, ApiError> {
        let topic = input.required("TopicArn")?;
        let subscriptions = self.topics.get(topic).ok_or_else(no_topic)?.iter().map(|one| {
            json!({
                "SubscriptionArn": one.arn,
                "Owner": kernel.account(),
                "Protocol": one.protocol,
                "Endpoint": one.endpoint,
                "TopicArn": topic,
            })
        });
        let (subscriptions, next) = page(subscriptions.collect(), input.text("NextToken"), PAGE_SIZE)?;
        Ok(json!({"Subscriptions": subscriptions, "NextToken": next}))
    }
}

fn no_topic() -> ApiError {
    ApiError {
        status: 404,
        ..ApiError::client("NotFound", "Topic does not exist")
    }
}

impl Service for Sns {
    fn name(&self) -> &'static str {
        NAME
    }

    fn authorizations(&self, request: &Request, _: &Kernel) -> Vec<Authorization> {
        let operation = request.operation.as_str();
        if !OPERATIONS.contains(&operation) {
            return Vec::new();
        }
        let topic = Input(&request.input).text("TopicArn").unwrap_or_default();
        vec![Authorization::new(format!("sns:{operation}"), topic)]
    }

    fn call(&mut self, request: &Request, kernel: &mut Kernel) -> Reply {
        let input = Input(&request.input);
        Reply::Now(match request.operation.as_str() {
            "Subscribe" => self.subscribe(input, kernel),
            "ListSubscriptionsByTopic" => self.list(input, kernel),
            other => Err(ApiError::unknown_operation(NAME, other, &OPERATIONS)),
        })
    }
}

#[cfg(test)]
mod tests {
    use simulator_kernel::{Principal, RequestId};

    use super::*;

    const TOPIC: &str = "arn:aws:sns:us-east-1:123456789012:alarms";

    fn call(sns: &mut Sns, kernel: &mut Kernel, operation: &str, input: Value) -> Result<Value, ApiError> {
        let request = Request {
            id: RequestId(1),
            operation: operation.to_owned(),
            input,
            principal: Principal::Administrator,
            access_key_id: None,
        };
        match sns.call(&request, kernel) {
            Reply::Now(result) => result,
            Reply::Later => panic!("the answer comes later"),
        }
    }

    #[test]
    fn a_person_who_has_not_confirmed_is_listed_without_an_arn() {
        let start = "2026-11-02T09:00:00Z".parse().unwrap();
        let mut kernel = Kernel::new("123456789012", "us-east-1", start, 7);
        let mut sns = Sns::default();
        let subscribe = |protocol: &str| json!({"TopicArn": TOPIC, "Protocol": protocol, "Endpoint": "somebody"});
        let absent = call(&mut sns, &mut kernel, "Subscribe", subscribe("email")).unwrap_err();
        assert_eq!(absent.code, "NotFound");
        sns.create(TOPIC);
        let waiting = call(&mut sns, &mut kernel, "Subscribe", subscribe("email")).unwrap();
        assert_eq!(waiting["SubscriptionArn"], "pending confirmation");
        call(&mut sns, &mut kernel, "Subscribe", subscribe("sqs")).unwrap();
        let unknown = call(&mut sns, &mut kernel, "Subscribe", subscribe("sms")).unwrap_err();
        assert_eq!(unknown.code, "UnsupportedBySimulatorException");
        let listed = call(
            &mut sns,
            &mut kernel,
            "ListSubscriptionsByTopic",
            json!({"TopicArn": TOPIC}),
        )
        .unwrap();
        let arns: Vec<&str> = listed["Subscriptions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["SubscriptionArn"].as_str().unwrap())
            .collect();
        assert_eq!(arns[0], PENDING);
        assert!(arns[1].starts_with(TOPIC), "{arns:?}");
    }
}
