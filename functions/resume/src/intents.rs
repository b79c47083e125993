//! Acts whose outcome nobody wrote down. When their deployment has ended nobody else will, so the sweep writes down
//! what the world shows.

use std::borrow::Cow;

use esclusa_adapters::acts::{AFTERLIFE, IntentRow, OpenIntentRow};
use esclusa_adapters::control::rows::StartedByRow;
use esclusa_adapters::control::{Key, Stored};
use esclusa_adapters::deployments::Work;
use esclusa_adapters::ecs::{TaskFilter, cluster_of};
use esclusa_core::error::Failure;
use esclusa_core::migration::started_by;
use esclusa_core::protocol::intent::Intent;
use esclusa_core::task_definition::TAG_RELEASE;
use esclusa_runtime::Round;
use serde_json::{Map, Value, json};

use crate::{ACTOR, Resume};

/// What is shown of a service, a task, a task definition: enough to tell what came of the act, and no value of an
/// environment variable.
const SHOWN: [&str; 7] = [
    "lastStatus",
    "stopCode",
    "desiredCount",
    "runningCount",
    "taskDefinition",
    "taskDefinitionArn",
    "status",
];

impl Resume {
    /// Settles the open intents of deployments that have ended. Which failed is said, and does not keep the others.
    pub(crate) async fn settle_intents(&self, round: &mut Round) -> Result<usize, Failure> {
        let pointers: Vec<(String, Stored<OpenIntentRow>)> = self.control().all(Key::OPEN_INTENTS, "").await?;
        let mut settled = 0;
        for (_, pointer) in round.in_turn(pointers) {
            if !round.has_time(self.clock.now()?) {
                break;
            }
            match self.settle_intent(&pointer.row).await {
                Ok(true) => settled += 1,
                Ok(false) => {}
                Err(failure) => {
                    let OpenIntentRow {
                        deployment_id,
                        intent_id,
                        ..
                    } = &pointer.row;
                    round.failed(
                        &format!("intent `{intent_id}` of deployment `{deployment_id}`"),
                        &failure,
                    );
                }
            }
        }
        Ok(settled)
    }

    /// Settles one, unless its deployment may still do so itself.
    async fn settle_intent(&self, pointer: &OpenIntentRow) -> Result<bool, Failure> {
        let work = self.journal.work(&pointer.deployment_id).await?;
        let now = self.clock.now()?;
        let is_over = |ended_at| now.duration_since(ended_at) > AFTERLIFE;
        if !work.deployment.row.ended_at.is_some_and(is_over) {
            return Ok(false);
        }
        let key = Key::intent(&pointer.deployment_id, &pointer.intent_id);
        let stored: Stored<IntentRow> = self.control().require(&key).await?;
        let there = match &work.deployment.row.place {
            Some(place) => self.in_place(place).await?,
            None => Cow::Borrowed(self),
        };
        let shown = there.shown(&pointer.intent_id, &stored.row.intent, &work).await?;
        let outcome = json!({"foundLater": shown});
        self.journal
            .settle_late(&work.subject, ACTOR, pointer, &outcome)
            .await?;
        Ok(true)
    }

    /// What ECS shows of what an act was aimed at.
    async fn shown(&self, intent_id: &str, intent: &Intent, work: &Work) -> Result<Value, Failure> {
        let target = intent.target.as_str();
        let place = || {
            target.split_once('/').ok_or_else(|| {
                Failure::defect(format!(
                    "`{target}`, the target of `{}`, names no cluster",
                    intent.action
                ))
            })
        };
        match intent.action.as_str() {
            "ecs:RegisterTaskDefinition" => {
                let latest = self.ecs.describe_task_definition(target).await?;
                let shown = latest.map(|latest| {
                    let release = latest.tags.get(TAG_RELEASE);
                    let ours = release == Some(&work.release.row.release_id);
                    json!({"newestRevision": latest.arn, "ofThisRelease": ours})
                });
                Ok(shown.unwrap_or_else(|| json!({"newestRevision": null})))
            }
            "ecs:RunTask" => {
                let (cluster, _) = place()?;
                let mark = started_by(intent_id);
                let running = self.ecs.list_tasks(cluster, &TaskFilter::StartedBy(&mark)).await?;
                let step = intent
                    .step
                    .ok_or_else(|| Failure::defect("a task that was started is no step"))?;
                let known = self.journal.step(&work.deployment.row.deployment_id, step).await?;
                let known = match known.and_then(|known| known.row.resource_arn) {
                    Some(known) => Some(known),
                    None => {
                        let seen: Option<Stored<StartedByRow>> =
                            self.control().get(&Key::started_by(intent_id)).await?;
                        seen.and_then(|seen| seen.row.task_arn)
                    }
                };
                let heard = match &known {
                    Some(known) => self.heard_of(known).await?,
                    None => None,
                };
                Ok(json!({"running": running, "known": known, "heard": heard}))
            }
            "ecs:StopTask" => {
                let tasks = self
                    .ecs
                    .describe_tasks(cluster_of(target)?, &[target.to_owned()])
                    .await?;
                Ok(json!({"task": tasks.found.first().map(summary)}))
            }
            // It changes nothing that runs, and what is registered says nothing about who did it.
            "application-autoscaling:RegisterScalableTarget" | "application-autoscaling:PutScalingPolicy" => Ok(
                json!({"notRead": format!("`esclusa plan` shows what is registered for `{target}` that differs from what is declared")}),
            ),
            "rds:CreateDBSnapshot" => Ok(json!({
                "notRead": format!("`aws rds describe-db-snapshots --db-snapshot-identifier {target}` shows whether it was taken"),
            })),
            "rds:CreateDBClusterSnapshot" => Ok(json!({
                "notRead": format!("`aws rds describe-db-cluster-snapshots --db-cluster-snapshot-identifier {target}` shows whether it was taken"),
            })),
            "ecs:StopServiceDeployment" => self.shown_service(cluster_of(target)?, target).await,
            _ => {
                let (cluster, service) = place()?;
                self.shown_service(cluster, service).await
            }
        }
    }

    /// What the last event of a task said about it.
    async fn heard_of(&self, task_arn: &str) -> Result<Option<Value>, Failure> {
        let events = self.journal.inbox(task_arn).await?;
        let last = events.iter().max_by_key(|event| (event.version, event.event_time));
        let detail = last.map(|event| serde_json::from_str::<Value>(&event.detail));
        let detail = detail
            .transpose()
            .map_err(|error| Failure::defect(format!("an event of `{task_arn}`: {error}")))?;
        Ok(detail.as_ref().map(summary))
    }

    async fn shown_service(&self, cluster: &str, service: &str) -> Result<Value, Failure> {
        let services = self.ecs.describe_services(cluster, &[service.to_owned()]).await?;
        Ok(json!({"service": services.found.first().map(summary)}))
    }
}

fn summary(described: &Value) -> Value {
    let members = described.as_object().into_iter().flatten();
    let shown = members.filter(|(name, _)| SHOWN.contains(&name.as_str()));
    let mut summary: Map<String, Value> = shown.map(|(name, value)| (name.clone(), value.clone())).collect();
    let containers = described
        .get("containers")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let exit_codes: Map<String, Value> = containers
        .filter_map(|container| {
            let name = container.get("name")?.as_str()?;
            Some((name.to_owned(), container.get("exitCode")?.clone()))
        })
        .collect();
    if !exit_codes.is_empty() {
        summary.insert("exitCodes".to_owned(), Value::Object(exit_codes));
    }
    Value::Object(summary)
}
