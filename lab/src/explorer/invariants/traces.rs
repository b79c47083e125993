//! I10 and I11: no token is where people read, and nothing is left behind.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use simulator_step_functions::{Status, StepFunctions};

use super::{Findings, LEDGER, is_at};
use crate::explorer::Place;
use crate::explorer::seen::{plain, text};

impl Findings<'_> {
    pub(super) fn nothing_leaks(&mut self) {
        let world = self.shop.lab.world();
        let tokens: BTreeSet<&str> = world
            .calls()
            .iter()
            .filter(|call| call.service == "lambda")
            .filter_map(|call| call.input.pointer("/Payload/wait/token")?.as_str())
            .collect();
        let leaks = |text: &str| tokens.iter().any(|token| text.contains(token));
        let mut found = Vec::new();
        for item in self.shop.items(LEDGER).iter().filter(|item| leaks(&item.to_string())) {
            found.push(format!("a token is in the ledger: {item}"));
        }
        for event in world.events().iter().filter(|event| leaks(&event.to_string())) {
            found.push(format!("a token is in an event: {event}"));
        }
        for (group, streams) in &world.kernel().logs.groups {
            for line in streams.values().flatten().filter(|line| leaks(&line.message)) {
                found.push(format!("a token is in log group `{group}`: {}", line.message));
            }
        }
        for what in found {
            self.violated("I10", what);
        }
    }

    pub(super) fn nothing_is_left(&mut self) {
        let mut found: Vec<String> = self
            .control
            .iter()
            .map(plain)
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
            let locks = self.control.iter().map(plain).filter(|row| text(row, "/sk") == "LOCK");
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
        let suspended = targets.as_array().into_iter().flatten().filter(is_suspended);
        found.extend(suspended.map(|target| format!("`{}` does not scale any more", text(target, "/ResourceId"))));
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
