//! The plan comes first, twice: before the gate, and again under the lock.

use esclusa_adapters::acts::Subject;
use esclusa_adapters::control::rows::{
    DeploymentPointerRow, DeploymentRow, EnvironmentRow, PlanRow, Progress, ReleaseRow,
};
use esclusa_adapters::control::{Change, Expected, Key, Stored};
use esclusa_adapters::deployments::{Decision, database_lock, environment_lock};
use esclusa_adapters::gates::{failed_upstream, rivals};
use esclusa_adapters::journal::{Commit, Committed};
use esclusa_adapters::planning::PlanRequest;
use esclusa_core::card::Summary;
use esclusa_core::error::Failure;
use esclusa_core::identity::{DeploymentId, ReleaseId};
use esclusa_core::ledger::RecordKind;
use esclusa_core::pipeline::{EnvironmentName, ResolvedEnvironment};
use esclusa_core::plan::{Plan, PlannedStep, Target};
use esclusa_core::supersession::superseded_by;
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::{ACTOR, Observe, listed};

/// The longest plan that is kept, in bytes: an item of DynamoDB holds 400 KB.
const PLAN_BYTES_MAX: usize = 350_000;

/// The most seconds that all steps of a plan may take, so that the state machine outlives them.
const STEPS_SECONDS_MAX: u64 = 172_800;

impl Observe {
    /// Plans one attempt at each environment of a wave. What is refused for one of them is refused for all: nothing of
    /// the wave has begun.
    pub(crate) async fn plan_wave(
        &self,
        release_id: &str,
        environments: &[String],
        attempt: u8,
    ) -> Result<Value, Failure> {
        let plans = environments
            .iter()
            .map(|environment| self.plan_environment(release_id, environment, attempt));
        let mut planned = Vec::new();
        for (environment, plan) in environments.iter().zip(join_all(plans).await) {
            planned.push(plan.map_err(|failure| match environments {
                [_] => failure,
                _ => Failure::new(failure.kind, format!("`{environment}`: {}", failure.message)),
            })?);
        }
        Ok(json!({"planned": planned}))
    }

    /// Plans one attempt at one environment and writes the deployment down. A repeat answers what was written.
    pub(crate) async fn plan_environment(
        &self,
        release_id: &str,
        environment: &str,
        attempt: u8,
    ) -> Result<Value, Failure> {
        let deployment_id = deployment_id(release_id, environment, attempt)?;
        let key = Key::deployment(deployment_id.as_str());
        let release = self.journal.release(release_id).await?;
        if let Some(stored) = self.journal.control().get::<DeploymentRow>(&key).await? {
            return Ok(planned(&stored.row));
        }
        if release.row.end.is_some() {
            return Err(Failure::refused(format!("release `{release_id}` has ended")));
        }
        let request = PlanRequest {
            asks_again: attempt > 1,
            ..PlanRequest::of(&release.row, environment)?
        };
        let plan = self.planned(&request).await?;
        // One that stood at the gates stands there again, and is kept while that may be mended.
        if !request.asks_again {
            self.upstream(&release.row, environment).await?;
        }
        let policy = self.planner.environment(&request).await?;
        let row = DeploymentRow {
            deployment_id: deployment_id.to_string(),
            lock_wait_seconds: policy.lock.wait_seconds,
            queued_at: None,
            release_id: release_id.to_owned(),
            application: release.row.application.clone(),
            environment: environment.to_owned(),
            attempt: u32::from(attempt),
            plan_hash: plan.plan_hash.clone(),
            unchanged: plan.unchanged,
            pushed_by: plan.pushed_by.clone(),
            place: Some(policy.place(self.places.home())).filter(|place| place != self.places.home()),
            locks: self.locks(&plan, &policy),
            fences: std::collections::BTreeMap::new(),
            execution_arn: None,
            progress: Progress::Claimed,
            created_at: plan.planned_at,
            started_at: None,
            ended_at: None,
            end: None,
        };
        let subject = Subject::deployment(&release.row, &row);
        let draft = subject.draft(RecordKind::Planned, ACTOR, &outline(&plan))?;
        let pointer = DeploymentPointerRow {
            deployment_id: row.deployment_id.clone(),
            release_id: row.release_id.clone(),
            asked: release.row.asked.clone(),
        };
        let listing = Key::deployment_listing(
            &Key::deployments_into(&row.application, environment, &release.row.image),
            &format!("{:.3}", row.created_at),
            &row.deployment_id,
        );
        let in_force: Option<Stored<EnvironmentRow>> = self
            .journal
            .control()
            .get(&Key::environment(&row.application, environment))
            .await?;
        let summary = Summary::of(&plan, in_force.as_ref().map(|stored| stored.row.tag.as_str()));
        // A run that nobody waits for any more must leave nothing behind the end of its release: nobody would conclude
        // it.
        let commit = Commit::new()
            .change(Change::unchanged(Key::release(release_id), release.revision))
            .change(Change::put(key.clone(), &row, Expected::Absent)?)
            .change(Change::put(listing, &pointer, Expected::Absent)?)
            .change(Change::put(
                Key::summary(&row.deployment_id),
                &summary,
                Expected::Absent,
            )?)
            .record(&subject.chain, draft);
        match self.journal.commit(commit).await? {
            lost @ Committed::Lost(_) => match self.journal.control().get::<DeploymentRow>(&key).await? {
                Some(stored) => Ok(planned(&stored.row)),
                None => lost.or_failure().map(|_| planned(&row)),
            },
            written => written.or_failure().map(|_| planned(&row)),
        }
    }

    /// Decides under the lock, once: to give way to a newer release, or to carry out the plan that passed the gate and
    /// no other.
    pub(crate) async fn plan_deployment(&self, deployment_id: &str, verifies: bool) -> Result<Value, Failure> {
        let decision = match self.journal.decision(deployment_id).await? {
            Some(decision) => decision,
            None => self.decide(deployment_id, verifies).await?,
        };
        let (steps, revisions) = match &decision {
            Decision::CarryOut(plan) if !plan.unchanged => (listed(&plan.steps), plan.revisions.len()),
            Decision::CarryOut(_) | Decision::GiveWay { .. } => (json!([]), 0),
        };
        let is_verified = matches!(&decision, Decision::CarryOut(plan) if plan.verification.is_some());
        Ok(json!({"revisions": revisions, "steps": steps, "verification": is_verified}))
    }

    async fn decide(&self, deployment_id: &str, verifies: bool) -> Result<Decision, Failure> {
        let work = self.journal.work(deployment_id).await?;
        let (release, deployment) = (&work.release.row, &work.deployment.row);
        let decision = match self.superseded_by(release, &deployment.environment).await? {
            Some(to) => Decision::GiveWay { to },
            None => {
                // Nothing is called for what is in force already.
                if !deployment.unchanged {
                    self.still_open(release, deployment).await?;
                }
                self.upstream(release, &deployment.environment).await?;
                let request = PlanRequest::of(release, &deployment.environment)?;
                let mut plan = self.planned(&request).await?;
                if !verifies {
                    plan.drop_verification();
                }
                Decision::CarryOut(Box::new(plan))
            }
        };
        let row = match &decision {
            Decision::GiveWay { to } => PlanRow::GiveWay { to: to.clone() },
            // No gate was asked before it: nothing was to be done.
            Decision::CarryOut(plan) if deployment.unchanged && !plan.unchanged => {
                return Err(Failure::plan_changed(
                    "the release was in force when it was planned, and another one is now",
                ));
            }
            Decision::CarryOut(plan) if plan.plan_hash != deployment.plan_hash => {
                let decided: Option<Stored<Summary>> = self.journal.control().get(&Key::summary(deployment_id)).await?;
                let different = decided.map(|stored| {
                    let now = Summary::of(plan, stored.row.replaces.as_deref());
                    now.words_since(&stored.row)
                });
                return Err(Failure::plan_changed(format!(
                    "between the gate and the lock the plan changed from `{}` to `{}`: {}",
                    short(&deployment.plan_hash),
                    short(&plan.plan_hash),
                    different.as_deref().unwrap_or("it cannot be told what")
                )));
            }
            Decision::CarryOut(plan) => PlanRow::CarryOut {
                plan_hash: plan.plan_hash.clone(),
                plan: written(plan)?,
            },
        };
        let commit = Commit::new().change(Change::put(Key::plan(deployment_id), &row, Expected::Absent)?);
        self.journal.commit(commit).await?.or_failure()?;
        Ok(decision)
    }

    /// The newer release that this one gives way to in an environment, if there is one. Read under the lock of the
    /// environment.
    pub(crate) async fn superseded_by(
        &self,
        release: &ReleaseRow,
        environment: &str,
    ) -> Result<Option<String>, Failure> {
        let rivals = rivals(self.journal.control(), release, environment).await?;
        if rivals.is_empty() {
            return Ok(None);
        }
        let request = PlanRequest::of(release, environment)?;
        let policy = self.planner.environment(&request).await?;
        Ok(superseded_by(policy.newest, policy.lock.waiting, &release.asked, &rivals).map(str::to_owned))
    }

    /// That the release still holds in the environments that it came through: one that was found not to work there goes
    /// no further.
    ///
    /// # Errors
    /// `Refused` when it does not hold any more.
    async fn upstream(&self, release: &ReleaseRow, environment: &str) -> Result<(), Failure> {
        let Some(failed) = failed_upstream(self.journal.control(), release, environment).await? else {
            return Ok(());
        };
        Err(Failure::refused(format!(
            "{}; fix it and push again, or run `esclusa recheck {} {}` and deploy it by hand",
            failed.sentence(&format!("`{}`", release.tag)),
            release.application,
            failed.environment
        )))
    }

    async fn planned(&self, request: &PlanRequest) -> Result<Plan, Failure> {
        let plan = self
            .planner
            .plan(request)
            .await?
            .map_err(|refusals| Failure::refused(refusals.to_string()))?;
        let seconds: u64 = plan
            .steps
            .iter()
            .map(|step| match step {
                PlannedStep::Task(task) => {
                    let snapshot = task.restore_point.as_ref().filter(|point| point.snapshot);
                    let snapshot = snapshot.map_or(0, |point| u64::from(point.timeout_seconds));
                    snapshot + u64::from(task.timeout_seconds) * u64::from(task.start_attempts)
                }
                PlannedStep::Service(service) => u64::from(service.timeout_seconds),
            })
            .sum();
        if seconds > STEPS_SECONDS_MAX {
            return Err(Failure::refused(format!(
                "the steps may take {seconds} seconds with all their attempts, more than {STEPS_SECONDS_MAX}: lower `timeout_seconds` or `start_attempts`"
            )));
        }
        written(&plan)?;
        Ok(plan)
    }

    fn locks(&self, plan: &Plan, environment: &ResolvedEnvironment) -> Vec<String> {
        let own = environment_lock(environment.application.as_str(), environment.name.as_str());
        let databases = plan.databases().into_iter();
        let place = environment.place(self.places.home());
        let databases = databases.map(|database| database_lock(&place, environment, database));
        std::iter::once(own).chain(databases).collect()
    }
}

/// The plan as it is kept.
fn written(plan: &Plan) -> Result<String, Failure> {
    let text = serde_json::to_string(plan)
        .map_err(|error| Failure::defect(format!("the plan cannot be written down: {error}")))?;
    if text.len() > PLAN_BYTES_MAX {
        return Err(Failure::refused(format!(
            "the plan has {} bytes, more than the {PLAN_BYTES_MAX} that can be kept: split the application",
            text.len()
        )));
    }
    Ok(text)
}

fn deployment_id(release_id: &str, environment: &str, attempt: u8) -> Result<DeploymentId, Failure> {
    let invalid = |error: &dyn std::fmt::Display| Failure::invalid_input(error.to_string());
    let release_id: ReleaseId = release_id.parse().map_err(|error| invalid(&error))?;
    let environment: EnvironmentName = environment.parse().map_err(|error| invalid(&error))?;
    DeploymentId::new(release_id, environment, attempt).map_err(|error| invalid(&error))
}

fn planned(row: &DeploymentRow) -> Value {
    json!({
        "deploymentId": row.deployment_id,
        "planHash": row.plan_hash,
        "unchanged": row.unchanged,
        "environment": row.environment,
    })
}

/// The plan as the ledger keeps it: everything but the definitions, whose hashes stand for them.
fn outline(plan: &Plan) -> Value {
    let revisions: Vec<Value> = plan
        .revisions
        .iter()
        .map(|revision| {
            json!({
                "name": revision.key,
                "family": revision.family,
                "base": revision.base_arn,
                "contentSha256": revision.content_sha256,
                "action": revision.action,
                "changes": revision.changes,
            })
        })
        .collect();
    let steps: Vec<Value> = plan
        .steps
        .iter()
        .map(|step| match step {
            PlannedStep::Task(task) => json!({
                "task": task.name,
                "revision": task.revision,
                "container": task.container,
                "database": task.database,
                "restorePoint": task.restore_point,
                "timeoutSeconds": task.timeout_seconds,
            }),
            PlannedStep::Service(service) => json!({
                "service": service.name,
                "name": service.service,
                "target": match &service.target {
                    Target::Revision { key } => key.to_string(),
                    Target::Arn { arn } => arn.clone(),
                },
                "startCount": service.start_count,
                "scaling": service.scaling,
                "timeoutSeconds": service.timeout_seconds,
            }),
        })
        .collect();
    // A list: a name that somebody chose is a value, never a member.
    let images: Vec<Value> = plan
        .images
        .iter()
        .map(|(image, digest)| json!({"image": image, "digest": digest}))
        .collect();
    let mut outline = json!({
        "planHash": plan.plan_hash,
        "pipelineVersion": plan.pipeline_version,
        "cluster": plan.cluster,
        "images": images,
        "revisions": revisions,
        "steps": steps,
        "unchanged": plan.unchanged,
        "notes": plan.notes,
    });
    if let (Some(person), Some(members)) = (&plan.pushed_by, outline.as_object_mut()) {
        members.insert("pushedBy".to_owned(), json!(person));
    }
    outline
}

fn short(hash: &str) -> String {
    hash.chars().take(12).collect()
}
