//! What could not be delivered, who hears of it, and Slack.

use super::expected::ALARMS;
use super::installation::is_needed;
use super::{AlarmFacts, AppFacts, DEPLOY, Group, Membership, Observed, Seen, Verdict, listed};
use crate::words;

/// What the app needs to write.
const WRITE: &str = "chat:write";

/// The alarm over the dead-letter queue.
const DEAD_LETTERS: &str = "dead-letters";

pub(super) fn delivery(observed: &Observed, group: &mut Group<'_>) {
    let queue = format!("{}-{DEAD_LETTERS}", observed.stack);
    group.look(
        format!("queue {queue}"),
        &observed.dead_letters,
        DEPLOY,
        |messages| match messages {
            0 => Verdict::ok("empty"),
            messages => Verdict::problem(
                format!("{} could not be delivered", words::counted(*messages, "message")),
                format!(
                    "each says what is broken: `aws sqs receive-message --queue-url $(aws sqs get-queue-url --queue-name {queue} --query QueueUrl --output text) --attribute-names All --message-attribute-names All --max-number-of-messages 10`"
                ),
            ),
        },
    );
    let Seen::Found(alarms) = &observed.alarms else {
        group.look("alarms", &observed.alarms, "", |_| Verdict::ok(""));
        return;
    };
    for (name, only) in ALARMS {
        let name = format!("{}-{name}", observed.stack);
        match alarms.get(&name) {
            Some(alarm) => group.add(format!("alarm {name}"), alarm_verdict(&name, alarm)),
            None if is_needed(observed, only) == Some(true) => {
                group.add(format!("alarm {name}"), Verdict::problem("does not exist", DEPLOY));
            }
            None => {}
        }
    }
    for (arn, subscriptions) in &observed.topics {
        let name = arn.rsplit(':').next().unwrap_or(arn);
        let subscribe =
            format!("`aws sns subscribe --topic-arn {arn} --protocol email --notification-endpoint ADDRESS`");
        group.look(format!("topic {name}"), subscriptions, DEPLOY, |heard| {
            match (heard.confirmed, heard.pending) {
                (0, 0) => Verdict::warning("nobody is notified of these alarms: it has no subscription", subscribe),
                (0, pending) => Verdict::warning(
                    format!("nobody is notified of these alarms: confirmation pending for {pending}"),
                    "follow the link in the message that each address was sent",
                ),
                (1, _) => Verdict::ok("1 confirmed subscription"),
                (confirmed, _) => Verdict::ok(format!("{confirmed} confirmed subscriptions")),
            }
        });
    }
}

fn alarm_verdict(name: &str, alarm: &AlarmFacts) -> Verdict {
    if alarm.state == "ALARM" {
        return Verdict::problem(
            "it is firing",
            format!("`aws cloudwatch describe-alarms --alarm-names {name}` says why"),
        );
    }
    if !alarm.actions_enabled {
        return Verdict::warning(
            "its actions are off: it notifies nobody",
            format!("`aws cloudwatch enable-alarm-actions --alarm-names {name}`"),
        );
    }
    if alarm.actions.is_empty() {
        return Verdict::warning("it notifies nobody", DEPLOY);
    }
    Verdict::ok(match alarm.state.as_str() {
        "INSUFFICIENT_DATA" => "no data yet",
        state => state,
    })
}

pub(super) fn slack(observed: &Observed, group: &mut Group<'_>) {
    let telling: Vec<&str> = observed
        .pipelines
        .found()
        .into_iter()
        .flatten()
        .filter(|pipeline| !pipeline.channels.is_empty())
        .map(|pipeline| pipeline.application.as_str())
        .collect();
    let secrets = [
        ("bot token", &observed.slack.bot_token, "SlackBotTokenArn", "notify"),
        (
            "signing secret",
            &observed.slack.signing_secret,
            "SlackSigningSecretArn",
            "console",
        ),
    ];
    for (what, secret, parameter, function) in secrets {
        match secret {
            Some(secret) => group.look(
                what,
                secret,
                format!("create the secret, and name it in the parameter `{parameter}` with `scripts/deploy --guided`"),
                |is_kept| {
                    if *is_kept {
                        Verdict::ok("its secret exists")
                    } else {
                        Verdict::problem(
                            "its secret is being deleted",
                            "`aws secretsmanager restore-secret --secret-id ARN`",
                        )
                    }
                },
            ),
            None if observed
                .functions
                .get(function)
                .is_some_and(|seen| seen.found().is_none()) => {}
            None if telling.is_empty() => {}
            None => group.add(
                what,
                Verdict::problem(
                    format!(
                        "none is configured, and the pipelines {} name a channel",
                        listed(telling.clone())
                    ),
                    format!("set the parameter `{parameter}` of the stack with `scripts/deploy --guided`"),
                ),
            ),
        }
    }
    if let Some(app) = &observed.slack.app {
        group.look("app", app, "", |facts| match facts {
            AppFacts::Refused { code } => Verdict::problem(
                format!("Slack rejects its token: `{code}`"),
                "store the token of the installed app: `aws secretsmanager put-secret-value --secret-id ARN --secret-string file:///dev/stdin`",
            ),
            AppFacts::Valid { scopes, .. } if !scopes.is_empty() && !scopes.iter().any(|scope| scope == WRITE) => {
                Verdict::problem(
                    format!("it may not post: it has the scopes {}", listed(scopes.iter().map(String::as_str))),
                    format!("add the scope `{WRITE}` to the app, and install it again"),
                )
            }
            AppFacts::Valid { team, .. } => Verdict::ok(format!("posts to the workspace `{team}`")),
        });
        if let Some(AppFacts::Valid { channels, .. }) = app.found() {
            for (channel, membership) in channels {
                group.add(format!("channel {channel}"), member(*membership));
            }
        }
    }
}

fn member(membership: Membership) -> Verdict {
    let invite = "invite the app there: `/invite @Esclusa`";
    match membership {
        Membership::Member => Verdict::ok("the app is a member"),
        Membership::Stranger => Verdict::problem("the app is no member, and may not post there", invite),
        Membership::NotThere => Verdict::problem(
            "Slack shows the app no such channel",
            "name it in the pipeline by the id in its details; if it is private, invite the app there: `/invite @Esclusa`",
        ),
        Membership::NotTold => Verdict::ok(
            "whether the app is a member shows with its first card: it may not ask without the scopes `channels:read` and `groups:read`",
        ),
    }
}
