//! I1 and I12: everything comes to one end, and what is over is noticed in time.

use std::collections::BTreeMap;

use esclusa_adapters::control::rows::ReleaseRow;
use esclusa_core::verdict::legal;
use jiff::Timestamp;

use super::{Findings, pair};
use crate::explorer::seen::text;

impl Findings<'_> {
    pub(super) fn everything_ends(&mut self) {
        if !self.truth.settled {
            self.violated("I12", "an execution still runs");
        }
        let ends = self.deployments.iter().map(|row| (&row.deployment_id, &row.end));
        let ends: Vec<_> = ends
            .chain(self.releases.iter().map(|row| (&row.release_id, &row.end)))
            .collect();
        for (id, end) in ends {
            match end {
                None => self.violated("I1", format!("`{id}` has no end")),
                Some(end) if !legal(end.verdict, end.effect) => {
                    self.violated("I1", format!("`{id}` ends as {}, which is no end", pair(end)));
                }
                Some(_) => {}
            }
        }
        let mut current = BTreeMap::new();
        for pushed in &self.truth.pushed {
            current.insert((pushed.application, &pushed.tag), &pushed.digest);
        }
        for ((application, tag), digest) in current {
            let is_of = |release: &&ReleaseRow| release.application == application && &release.digest == digest;
            if !self.truth.removed.contains(digest) && !self.releases.iter().any(|release| is_of(&release)) {
                self.violated("I1", format!("the push of `{tag}` of `{application}` has no release"));
            }
        }
    }

    /// Whoever waits is woken soon after what it waits for is over: by its event, or by a sweep where something went
    /// wrong.
    pub(super) fn ends_are_noticed(&mut self) {
        let world = self.shop.lab.world();
        let within = self.truth.noticed_within;
        // What is over: the pointer at which the invocation that notices it names it, and its name.
        let mut over: Vec<(&str, &str, Timestamp)> = Vec::new();
        for event in world.events().iter().skip(self.shop.events_before) {
            let Ok(at) = text(event, "/time").parse::<Timestamp>() else {
                continue;
            };
            match text(event, "/detail-type") {
                "ECS Task State Change" if text(event, "/detail/lastStatus") == "STOPPED" => {
                    over.push(("/taskArn", text(event, "/detail/taskArn"), at));
                }
                "Step Functions Execution Status Change" if text(event, "/detail/status") != "RUNNING" => {
                    over.push(("/deploymentId", text(event, "/detail/name"), at));
                }
                _ => {}
            }
        }
        let noticing = |pointer: &str| {
            if pointer == "/taskArn" {
                "judge_task"
            } else {
                "settle_deployment"
            }
        };
        let mut found = Vec::new();
        for (pointer, name, at) in over {
            let noticed = world.calls().iter().find(|call| {
                call.service == "lambda"
                    && text(&call.input, &format!("/Payload{pointer}")) == name
                    && text(&call.input, "/Payload/action") == noticing(pointer)
            });
            if let Some(noticed) = noticed
                && noticed.at.duration_since(at) > within
            {
                let late = noticed.at.duration_since(at);
                found.push(format!(
                    "the end of `{name}` is noticed {late:#} after it, not within {within:#}"
                ));
            }
        }
        for what in found {
            self.violated("I12", what);
        }
    }
}
