//! Looks at what could not be delivered, at who hears of it, and at the secrets of Slack.

use std::collections::{BTreeMap, BTreeSet};

use esclusa_adapters::client;
use esclusa_adapters::queues::QueueReader;
use esclusa_core::doctor::{ALARMS, AlarmFacts, AppFacts, FunctionFacts, Seen, SlackFacts, Subscriptions};
use esclusa_core::pipeline::ChannelId;
use serde::Deserialize;
use serde_json::{Value, json};

use super::looking::{seen, seen_by};
use crate::aws;
use crate::session::Session;

/// What AWS shows in the place of the ARN of a subscription that waits for its confirmation.
const PENDING: &str = "PendingConfirmation";

pub(super) async fn dead_letters(stack: &str, session: &Session) -> Seen<u64> {
    let client = client!(aws_sdk_sqs, session.config());
    let request = client.get_queue_url().queue_name(format!("{stack}-dead-letters"));
    match seen("sqs:GetQueueUrl", request.send().await) {
        Seen::Found(answer) => {
            let url = answer.queue_url.unwrap_or_default();
            let depth = QueueReader::new(session.config(), url).depth().await;
            seen_by("sqs:GetQueueAttributes", depth)
        }
        other => other.map(|_| 0),
    }
}

/// The alarms of the stack.
pub(super) async fn alarms(stack: &str, session: &Session) -> Seen<BTreeMap<String, AlarmFacts>> {
    let client = client!(aws_sdk_cloudwatch, session.config());
    let names = ALARMS.map(|(name, _)| format!("{stack}-{name}"));
    let request = client.describe_alarms().set_alarm_names(Some(names.to_vec()));
    seen("cloudwatch:DescribeAlarms", request.send().await).map(|answer| {
        let alarms = answer.metric_alarms.unwrap_or_default().into_iter();
        let facts = alarms.filter_map(|alarm| {
            let facts = AlarmFacts {
                state: alarm.state_value?.as_str().to_owned(),
                actions_enabled: alarm.actions_enabled.unwrap_or(false),
                actions: alarm.alarm_actions.unwrap_or_default(),
            };
            Some((alarm.alarm_name?, facts))
        });
        facts.collect()
    })
}

/// Who hears of the topics that the alarms tell.
pub(super) async fn topics(
    alarms: &Seen<BTreeMap<String, AlarmFacts>>,
    session: &Session,
) -> BTreeMap<String, Seen<Subscriptions>> {
    let client = client!(aws_sdk_sns, session.config());
    let actions = alarms.found().into_iter().flat_map(BTreeMap::values);
    let topics: BTreeSet<&String> = actions
        .flat_map(|alarm| &alarm.actions)
        .filter(|action| action.split(':').nth(2) == Some("sns"))
        .collect();
    let mut heard = BTreeMap::new();
    for topic in topics {
        let answer = client.list_subscriptions_by_topic().topic_arn(topic).send().await;
        let subscriptions = seen("sns:ListSubscriptionsByTopic", answer).map(|answer| {
            let arns = answer.subscriptions.unwrap_or_default().into_iter();
            let arns = arns.filter_map(|subscription| subscription.subscription_arn);
            arns.fold(
                Subscriptions {
                    confirmed: 0,
                    pending: 0,
                },
                |mut counted, arn| {
                    if arn == PENDING {
                        counted.pending = counted.pending.saturating_add(1);
                    } else {
                        counted.confirmed = counted.confirmed.saturating_add(1);
                    }
                    counted
                },
            )
        });
        heard.insert(topic.clone(), subscriptions);
    }
    heard
}

/// Whether the secrets that functions were told of are there, and what Slack says of the token. Their values are not
/// asked for: only `notify` has the token, and it asks Slack.
pub(super) async fn slack(
    stack: &str,
    functions: &BTreeMap<String, Seen<FunctionFacts>>,
    channels: &BTreeSet<ChannelId>,
    session: &Session,
) -> SlackFacts {
    let client = client!(aws_sdk_secretsmanager, session.config());
    let told = |function: &str, variable: &str| {
        let facts = functions.get(function)?.found()?;
        facts.variables.get(variable).filter(|arn| !arn.is_empty())
    };
    let mut found = [None, None];
    for (secret, (function, variable)) in found.iter_mut().zip([
        ("notify", "ESCLUSA_SLACK_BOT_TOKEN_ARN"),
        ("console", "ESCLUSA_SLACK_SIGNING_SECRET_ARN"),
    ]) {
        let Some(arn) = told(function, variable) else { continue };
        let answer = client.describe_secret().secret_id(arn).send().await;
        *secret = Some(seen("secretsmanager:DescribeSecret", answer).map(|answer| answer.deleted_date.is_none()));
    }
    let [bot_token, signing_secret] = found;
    let app = match bot_token {
        Some(_) => Some(app(stack, channels, session).await),
        None => None,
    };
    SlackFacts {
        bot_token,
        signing_secret,
        app,
    }
}

async fn app(stack: &str, channels: &BTreeSet<ChannelId>, session: &Session) -> Seen<AppFacts> {
    let answer = aws::invoke(
        session.config(),
        &format!("{stack}-notify"),
        aws::STACK,
        &json!({"action": "check", "channels": channels}),
    )
    .await;
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
    seen_by("lambda:InvokeFunction", answer).map(|answer| match answer.get("refused") {
        Some(code) => AppFacts::Refused { code: text(Some(code)) },
        None => AppFacts::Valid {
            team: text(answer.get("team")),
            scopes: answer
                .get("scopes")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .map(|scope| text(Some(scope)))
                .collect(),
            // What it does not say, or in other words, is not known.
            channels: answer
                .get("channels")
                .and_then(|channels| BTreeMap::deserialize(channels).ok())
                .unwrap_or_default(),
        },
    })
}
