//! Checking once more what was verified: a release that does not work any more is no source of a promotion or of a way
//! back.

use esclusa_adapters::control::rows::{AlarmWatchRow, DeploymentPointerRow, EnvironmentRow, VerifiedRow};
use esclusa_adapters::control::{Change, Expected, Key, Stored};
use esclusa_adapters::deployments::{Decision, Work, environment_lock};
use esclusa_adapters::gates::{HISTORY, verified_there};
use esclusa_adapters::journal::{Commit, Committed};
use esclusa_adapters::locks::environment_lock_row;
use esclusa_adapters::planning::service_name;
use esclusa_core::error::{ErrorKind, Failure};
use esclusa_core::ledger::{Chain, RecordKind};
use esclusa_core::plan::{Plan, PlannedStep};
use esclusa_core::protocol::lock::LockStatus;
use esclusa_core::verdict::Verdict;
use esclusa_core::verification::{Revoked, State, Stretch, VerificationEnd, rejudge, still_watched, stretch};
use esclusa_events::AlarmState;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::verification::{Look, listed};
use crate::{ACTOR, Observe};

/// How often a re-check is written that others overtake: another one of the same deployment at the same moment.
const WRITES: usize = 3;

/// What a re-check changes.
struct Revision {
    changes: Vec<Change>,
    /// What did not hold before it, and what does not after it.
    before: Option<Revoked>,
    after: Option<Revoked>,
}

impl Observe {
    /// An alarm went into another state: whatever was verified with it is checked once more.
    pub(crate) async fn alarm_changed(&self, arn: &str, alarm: &str, state: &AlarmState) -> Result<Value, Failure> {
        if *state != AlarmState::Alarm && *state != AlarmState::Ok {
            return Ok(json!({"ignored": "without data nothing is known"}));
        }
        let watches: Vec<(String, Stored<AlarmWatchRow>)> =
            self.journal.control().list(&Key::alarm_rows(alarm), "").await?;
        let mut answers = Vec::new();
        let mut failed = None;
        for (_, watch) in watches {
            match self.recheck_of(&watch.row.deployment_id, arn, alarm).await {
                Ok(answer) => answers.extend(answer),
                // One that cannot be looked at keeps no other from it.
                Err(failure) => failed = failed.or(Some(failure)),
            }
        }
        match failed {
            Some(failure) => Err(failure),
            None => Ok(json!({"rechecked": answers})),
        }
    }

    /// One look at what stands where a deployment was verified with an alarm of this name: that one, or the one before
    /// it where it did not come into force. Only where it is this very alarm.
    async fn recheck_of(&self, watching: &str, arn: &str, alarm: &str) -> Result<Option<Value>, Failure> {
        let work = self.journal.work(watching).await?;
        let Some(standing) = self.standing(&work).await? else {
            return Ok(None);
        };
        let deployment_id = standing.as_str();
        if !self.places.is_of(&self.journal, deployment_id, arn).await? {
            return Ok(None);
        }
        let plan = self.journal.decision(deployment_id).await?;
        let looks_at_it = matches!(&plan, Some(Decision::CarryOut(plan))
            if plan.verification.as_ref().is_some_and(|policy| policy.alarms().any(|name| name == alarm)));
        if !looks_at_it {
            return Ok(None);
        }
        let there = self.at(deployment_id).await?;
        match there.recheck(deployment_id).await {
            // Its place is reached no more: nobody can say anything about it.
            Err(failure) if failure.kind == ErrorKind::Refused => Ok(Some(
                json!({"deploymentId": deployment_id, "checked": false, "why": failure.message}),
            )),
            looked => looked.map(Some),
        }
    }

    /// One look at a deployment that was verified and is in force. What fails revokes the verification, what is well
    /// again restores it, and what is not clear changes nothing.
    pub(crate) async fn recheck(&self, deployment_id: &str) -> Result<Value, Failure> {
        let nothing = |why: &str| Ok(json!({"deploymentId": deployment_id, "checked": false, "why": why}));
        let work = self.journal.work_here(deployment_id).await?;
        let (release, deployment) = (&work.release.row, &work.deployment.row);
        if self.standing(&work).await?.as_deref() != Some(deployment_id) {
            return nothing("it is not in force");
        }
        // What another deployment moves, or has left half-way, says nothing about this one.
        let lock_key = Key::lock(&environment_lock(&release.application, &deployment.environment));
        let lock = environment_lock_row(self.journal.control(), &release.application, &deployment.environment).await?;
        match lock.as_ref().map(|stored| stored.row.status) {
            Some(LockStatus::Held) => return nothing("another deployment is under way there"),
            Some(LockStatus::Quarantined) => return nothing("a deployment left its lock in quarantine there"),
            Some(LockStatus::Free) | None => {}
        }
        let Some(Decision::CarryOut(plan)) = self.journal.decision(deployment_id).await? else {
            return nothing("its plan is no longer kept");
        };
        let verified: Option<Stored<State>> = self.journal.control().get(&Key::verification(deployment_id)).await?;
        let Some((policy, state)) = plan.verification.as_ref().zip(verified.map(|stored| stored.row)) else {
            return nothing("it was not verified by checks");
        };
        if !matches!(state.end, Some(VerificationEnd::Passed { .. })) {
            return nothing("its verification did not pass");
        }
        let now = self.journal.clock().now()?;
        let free_since = lock.as_ref().map(|stored| stored.row.since);
        let Stretch { begun_at, since } = stretch(policy, (state.begun_at, deployment.ended_at), free_since, now);
        let look = Look {
            work: &work,
            plan: &plan,
            policy,
            acted_at: state.acted_at.unwrap_or(deployment.created_at),
            begun_at,
            since,
            known: &state.checks,
            goes_on: false,
            now,
        };
        let measured = self.measured(&look, still_watched(policy, &state)).await;
        let judged = rejudge(&measured, now);
        let chain = Chain::application(&release.application);
        for _ in 0..WRITES {
            let Some(revision) = self.revision(&work, &plan, judged.as_ref(), now).await? else {
                return nothing("a later look has been written down");
            };
            let facts = json!({
                "deploymentId": deployment_id,
                "checks": listed(&measured),
                "holds": revision.after.is_none(),
                "changed": revision.after != revision.before,
                "revoked": revision.after,
            });
            // The chain of the release is closed with it.
            let draft = work.subject.draft(RecordKind::Rechecked, ACTOR, &facts)?;
            let still_alone = match &lock {
                Some(stored) => Change::unchanged(lock_key.clone(), stored.revision),
                None => Change::absent(lock_key.clone()),
            };
            let commit = Commit::new().changes(revision.changes).change(still_alone);
            match self.journal.commit(commit.record(&chain, draft)).await? {
                Committed::Written(_) => return Ok(json!({"checked": true, "result": facts})),
                Committed::Lost(key) if key == lock_key => {
                    return nothing("another deployment began there meanwhile");
                }
                Committed::Lost(_) | Committed::FencedOut(_) => {}
            }
        }
        Err(Failure::conflict(
            "others write down at the same moment what they saw of it",
        ))
    }

    /// The deployment that brought what is in force, of the image and the environment of another one: where that was
    /// found in force already, the one that had verified it before.
    async fn standing(&self, of: &Work) -> Result<Option<String>, Failure> {
        let control = self.journal.control();
        let (release, environment) = (&of.release.row, &of.deployment.row.environment);
        let deployments = Key::deployments_into(&release.application, environment, &release.image);
        let in_force: Option<Stored<DeploymentPointerRow>> =
            control.get(&Key::deployment_in_force(&deployments)).await?;
        let Some(in_force) = in_force else {
            return Ok(None);
        };
        let asked_last = self.journal.work(&in_force.row.deployment_id).await?;
        let end = asked_last.deployment.row.end.as_ref();
        if end.is_none_or(|end| end.verdict != Verdict::Unchanged) {
            return Ok(Some(in_force.row.deployment_id));
        }
        let verified = verified_there(control, &asked_last.release.row, environment).await?;
        Ok(verified.map(|row| row.deployment_id))
    }

    /// What a re-check changes that looked at `looked_at`; nothing is to be written where a later one was.
    async fn revision(
        &self,
        work: &Work,
        plan: &Plan,
        judged: Option<&Result<(), Revoked>>,
        looked_at: Timestamp,
    ) -> Result<Option<Revision>, Failure> {
        let (release, deployment) = (&work.release.row, &work.deployment.row);
        let control = self.journal.control();
        let rows = Key::environment_rows(&release.application, &deployment.environment);
        let history: Vec<(String, Stored<EnvironmentRow>)> =
            control.latest(&rows, Key::VERIFIED_PREFIX, HISTORY).await?;
        let mut history = history.into_iter().map(|(_, stored)| stored);
        let Some(proven) = history.find(|stored| stored.row.deployment_id == deployment.deployment_id) else {
            return Ok(Some(Revision {
                changes: Vec::new(),
                before: None,
                after: None,
            }));
        };
        if proven.row.looked_at.is_some_and(|at| at > looked_at) {
            return Ok(None);
        }
        let before = proven.row.revoked.clone();
        let after = match judged {
            Some(Err(revoked)) => before.clone().or(Some(revoked.clone())),
            Some(Ok(())) => None,
            None => before.clone(),
        };
        let since = format!("{:.3}", proven.row.since);
        let mut changes = Vec::new();
        let revised = |row: EnvironmentRow| EnvironmentRow {
            revoked: after.clone(),
            // What is unclear is no look.
            looked_at: judged.map_or(row.looked_at, |_| Some(looked_at)),
            ..row
        };
        let key = Key::environment_history(&release.application, &deployment.environment, &since);
        let unchanged = Expected::Revision(proven.revision);
        changes.push(Change::put(key, &revised(proven.row), unchanged)?);
        if after == before {
            return Ok(Some(Revision { changes, before, after }));
        }
        let key = Key::environment(&release.application, &deployment.environment);
        if let Some(current) = control.get::<EnvironmentRow>(&key).await?
            && current.row.deployment_id == deployment.deployment_id
        {
            let unchanged = Expected::Revision(current.revision);
            changes.push(Change::put(key, &revised(current.row), unchanged)?);
        }
        for step in &plan.steps {
            let PlannedStep::Service(service) = step else { continue };
            let name = service_name(
                deployment.place.as_ref().unwrap_or(self.places.home()),
                &service.cluster,
                &service.service,
            );
            let key = Key::verified(&name, &since);
            if let Some(stored) = control.get::<VerifiedRow>(&key).await? {
                let mut row = stored.row;
                row.revision.revoked = after.clone();
                changes.push(Change::put(key, &row, Expected::Revision(stored.revision))?);
            }
        }
        Ok(Some(Revision { changes, before, after }))
    }
}
