//! I10 and I11: no token and no secret is where people read, and nothing is left behind.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use simulator::plain_item;
use simulator::services::Slack;
use simulator_step_functions::{Status, StepFunctions};

use super::{Findings, LEDGER, is_at};
use crate::explorer::seen::text;
use crate::explorer::{Place, Shop};

impl Findings<'_> {
    pub(super) fn nothing_leaks(&mut self) {
        let world = self.shop.lab.world();
        let calls = world.calls().iter();
        let tokens = calls
            .filter(|call| call.service == "lambda")
            .filter_map(|call| call.input.pointer("/Payload/wait/token")?.as_str());
        let slack = world.service::<Slack>();
        let of_slack = slack.map(|slack| [slack.token.as_str(), &slack.signing_secret]);
        let secrets: BTreeSet<&str> = tokens
            .chain(of_slack.into_iter().flatten())
            .chain([Shop::SECRET])
            .collect();
        let mut told: Vec<(&str, String)> = Vec::new();
        told.extend(
            self.shop
                .items(LEDGER)
                .iter()
                .map(|item| ("the ledger", item.to_string())),
        );
        told.extend(world.events().iter().map(|event| ("an event", event.to_string())));
        let lines = world
            .kernel()
            .logs
            .groups
            .values()
            .flat_map(|streams| streams.values().flatten());
        told.extend(lines.map(|line| ("a log", line.message.clone())));
        let messages = slack.map(|slack| slack.messages(Shop::CHANNEL)).into_iter().flatten();
        told.extend(messages.map(|message| ("Slack", format!("{} {}", message.text, message.blocks))));
        let private = slack.map(Slack::private).into_iter().flatten();
        told.extend(private.map(|private| ("Slack", private.text.clone())));
        let starts = world.calls().iter().filter(|call| call.operation == "StartExecution");
        told.extend(starts.map(|call| ("the input of an execution", call.input.to_string())));
        let leaks = told
            .into_iter()
            .filter(|(_, text)| secrets.iter().any(|secret| text.contains(secret)));
        let found: Vec<String> = leaks
            .map(|(place, text)| format!("a token or a secret is in {place}: {text}"))
            .collect();
        for what in found {
            self.violated("I10", what);
        }
    }

    pub(super) fn nothing_is_left(&mut self) {
        let mut found: Vec<String> = self
            .control
            .iter()
            .map(plain_item)
            .filter(is_left)
            .map(|row| format!("row `{}` / `{}` is left open", text(&row, "/pk"), text(&row, "/sk")))
            .collect();
        if let Some(machines) = self.shop.lab.world().service::<StepFunctions>() {
            let still = machines.open_tokens();
            found.extend(still.iter().map(|open| format!("state `{}` still waits", open.state)));
            let running = machines
                .executions()
                .iter()
                .filter(|arn| machines.status(arn) == Some(Status::Running));
            found.extend(running.map(|arn| format!("`{arn}` still runs")));
        }
        // The environment is in the name of every lock, and the application before it.
        let is_dirty = |place: &Place| self.dirty().any(|row| is_at(row, place));
        for place in self.shop.account.places() {
            let name = format!("/{}/{}", place.application, place.environment);
            let locks = self
                .control
                .iter()
                .map(plain_item)
                .filter(|row| text(row, "/sk") == "LOCK");
            let quarantined = locks
                .filter(|row| text(row, "/pk").contains(&name))
                .any(|row| text(&row, "/status") == "QUARANTINED");
            let dirty = is_dirty(place);
            if dirty != quarantined {
                found.push(format!(
                    "`{name}` has a dirty end: {dirty}, a lock in quarantine: {quarantined}"
                ));
            }
        }
        let targets = self.shop.ask(
            "application-autoscaling",
            "DescribeScalableTargets",
            json!({"ServiceNamespace": "ecs"}),
        );
        let targets = targets.map(|described| described.get("ScalableTargets").cloned().unwrap_or_default());
        let is_suspended = |target: &&Value| {
            let states = target.get("SuspendedState").and_then(Value::as_object);
            states.is_some_and(|states| states.values().any(|state| *state == json!(true)))
        };
        let targets = targets.unwrap_or_default();
        for target in targets.as_array().into_iter().flatten().filter(is_suspended) {
            let resource = text(target, "/ResourceId");
            let mut parts = resource.split('/').skip(1);
            let input = json!({"cluster": parts.next(), "services": [parts.next()]});
            let described = self.shop.ask("ecs", "DescribeServices", input).unwrap_or_default();
            // Of a service that was deleted nothing scales.
            if described.pointer("/services/0/status") == Some(&json!("ACTIVE")) {
                found.push(format!("`{resource}` does not scale any more"));
            }
        }
        for what in found {
            self.violated("I11", what);
        }
    }
}

/// A row that only a release under way has.
fn is_left(row: &Value) -> bool {
    text(row, "/pk").starts_with("OPEN#")
        || text(row, "/status") == "OPEN"
        || (text(row, "/sk") == "LOCK" && text(row, "/status") == "HELD")
        || ["CLAIMED", "STARTED"].contains(&text(row, "/progress"))
}
