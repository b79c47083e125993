//! What the end of a deployment changes for those that follow: what is in force and verified, where the schemas are,
//! which image is in quarantine, and what is owed.

use std::collections::BTreeMap;

use esclusa_adapters::control::rows::{
    DeploymentPointerRow, EnvironmentRow, ReleaseKind, RevisionRow, StepRow, VerifiedRow,
};
use esclusa_adapters::control::{Change, Expected, Key, Repository, Stored};
use esclusa_adapters::deployments::Work;
use esclusa_adapters::planning::{brought_by, service_name};
use esclusa_core::error::Failure;
use esclusa_core::evidence::Blame;
use esclusa_core::gate::Lifted;
use esclusa_core::hotfix::{Debt, owes};
use esclusa_core::pipeline::Name;
use esclusa_core::plan::{Plan, PlannedStep, VerifiedRevision};
use esclusa_core::quarantine::{self, Quarantine, is_shown_by};
use esclusa_core::schema::{SchemaState, moved};
use esclusa_core::verdict::{End, Mode, StepRecord, Verdict};
use esclusa_core::way_back::WayBack;
use jiff::Timestamp;

use crate::Record;

/// How many debts one end settles.
const SETTLED_AT_ONCE: usize = 5;

impl Record {
    /// What the schemas are that the deployment moved, by database.
    pub(crate) async fn schemas(
        &self,
        work: &Work,
        plan: &Plan,
        steps: &[StepRow],
        way_back: &WayBack,
        now: Timestamp,
    ) -> Result<BTreeMap<Name, Option<SchemaState>>, Failure> {
        let deployment_id = &work.deployment.row.deployment_id;
        let mut revisions = BTreeMap::new();
        for revision in &plan.revisions {
            let key = Key::revision(deployment_id, revision.key.as_str());
            if let Some(stored) = self.journal.control().get::<RevisionRow>(&key).await? {
                revisions.insert(revision.key.clone(), stored.row.task_definition_arn);
            }
        }
        let records: Vec<StepRecord> = steps.iter().map(|row| row.record.clone()).collect();
        Ok(moved(plan, &records, &way_back.steps, &revisions, deployment_id, now))
    }

    pub(crate) async fn schema_changes(
        &self,
        work: &Work,
        database: &Name,
        state: Option<&SchemaState>,
    ) -> Result<Vec<Change>, Failure> {
        let (application, environment) = (
            work.release.row.application.as_str(),
            work.deployment.row.environment.as_str(),
        );
        let key = Key::schema(application, environment, database.as_str());
        let stored: Option<Stored<SchemaState>> = self.journal.control().get(&key).await?;
        let Some(state) = state else {
            return Ok(stored
                .map(|stored| Change::delete(key, stored.revision))
                .into_iter()
                .collect());
        };
        let since = format!("{:.3}", state.since);
        let moved = Key::schema_moved(application, environment, database.as_str(), &since);
        // What is gone back to is in the history already.
        let is_known = self.journal.control().get::<SchemaState>(&moved).await?.is_some();
        let history = (!is_known)
            .then(|| Change::put(moved, state, Expected::Absent))
            .transpose()?;
        let current = Change::put(key, state, Expected::unchanged(stored.as_ref()))?;
        Ok(history.into_iter().chain([current]).collect())
    }

    /// The quarantine of the released image, where the end shows that it does not work. A way back by hand shows
    /// nothing about an image that worked once.
    pub(crate) async fn quarantined(
        &self,
        work: &Work,
        end: &End,
        steps: &[StepRow],
        now: Timestamp,
    ) -> Result<Option<Change>, Failure> {
        let (release, deployment) = (&work.release.row, &work.deployment.row);
        let blames: Vec<Blame> = steps
            .iter()
            .filter(|row| row.record.step.mode == Mode::Forward)
            .filter_map(|row| row.diagnosis.as_ref().map(|diagnosis| diagnosis.blame))
            .collect();
        if release.kind == ReleaseKind::Rollback || !is_shown_by(end, &blames) {
            return Ok(None);
        }
        let repository = Repository {
            account: &release.account,
            region: &release.region,
            name: &release.repository,
        };
        let key = Key::quarantine(repository, &release.digest);
        let stored: Option<Stored<Quarantine>> = self.journal.control().get(&key).await?;
        if stored.as_ref().is_some_and(|stored| stored.row.is_in_force()) {
            return Ok(None);
        }
        let row = Quarantine {
            digest: release
                .digest
                .parse()
                .map_err(|error| Failure::defect(format!("{error}")))?,
            application: release.application.clone(),
            tag: release.tag.clone(),
            cause: quarantine::Cause::Failed {
                environment: deployment.environment.clone(),
                release_id: release.release_id.clone(),
                deployment_id: deployment.deployment_id.clone(),
            },
            why: end.reasons.first().cloned().unwrap_or_default(),
            since: now,
            released: None,
        };
        Change::put(key, &row, Expected::unchanged(stored.as_ref())).map(Some)
    }

    /// From now on this is what the next deployments of the image are compared with.
    pub(crate) async fn in_force(&self, work: &Work) -> Result<Change, Failure> {
        let (release, deployment) = (&work.release.row, &work.deployment.row);
        let partition = Key::deployments_into(&release.application, &deployment.environment, &release.image);
        let key = Key::deployment_in_force(&partition);
        let stored: Option<Stored<DeploymentPointerRow>> = self.journal.control().get(&key).await?;
        let row = DeploymentPointerRow {
            deployment_id: deployment.deployment_id.clone(),
            release_id: release.release_id.clone(),
            asked: release.asked.clone(),
        };
        Change::put(key, &row, Expected::unchanged(stored.as_ref()))
    }

    /// What is in force of other images that went back with the one of a rollback, because they were verified together.
    pub(crate) async fn others_in_force(&self, work: &Work, plan: &Plan) -> Result<Vec<Change>, Failure> {
        let (release, environment) = (&work.release.row, &work.deployment.row.environment);
        let (control, application) = (self.journal.control(), &release.application);
        let mut changes = Vec::new();
        let others = plan.images.iter().filter(|(image, _)| image.as_str() != release.image);
        for (image, digest) in others.filter(|_| release.kind == ReleaseKind::Rollback) {
            let (image, digest) = (image.as_str(), digest.as_str());
            let key = Key::deployment_in_force(&Key::deployments_into(application, environment, image));
            let Some(stored) = control.get::<DeploymentPointerRow>(&key).await? else {
                continue;
            };
            if self.journal.release(&stored.row.release_id).await?.row.digest == digest {
                continue;
            }
            let brought = brought_by(control, application, environment, image, digest).await?;
            changes.push(match brought {
                Some((deployment_id, brought)) => {
                    let row = DeploymentPointerRow {
                        deployment_id,
                        release_id: brought.release_id,
                        asked: brought.asked,
                    };
                    Change::put(key, &row, Expected::Revision(stored.revision))?
                }
                // The row of the environment says which it is.
                None => Change::delete(key, stored.revision),
            });
        }
        Ok(changes)
    }

    /// That what hotfixes owe here is settled by a release in good order that was verified.
    pub(crate) async fn settled_debts(&self, work: &Work, end: &End, now: Timestamp) -> Result<Vec<Change>, Failure> {
        let (release, deployment) = (&work.release.row, &work.deployment.row);
        let (application, environment) = (release.application.as_str(), deployment.environment.as_str());
        if release.is_hotfix || end.verdict != Verdict::Succeeded || release.kind == ReleaseKind::Rollback {
            return Ok(Vec::new());
        }
        let open = self.journal.debts(application, Some(environment)).await?;
        let settle = |(_, stored): (String, Stored<Debt>)| {
            let key = Key::debt(application, environment, &stored.row.release_id);
            let settled = Lifted {
                by: release.release_id.clone(),
                reason: format!("`{}` came in good order", release.tag),
                at: now,
            };
            let debt = Debt {
                settled: Some(settled),
                ..stored.row
            };
            Ok(Change::put(key, &debt, Expected::Revision(stored.revision))?.spent_since(now))
        };
        // As many as fit beside what else is written at an end; the others are settled by the next.
        open.into_iter().take(SETTLED_AT_ONCE).map(settle).collect()
    }

    /// What a proven deployment leaves for those that follow: the verified revisions of its services, and what the
    /// environment runs.
    pub(crate) async fn proven(
        &self,
        work: &Work,
        plan: &Plan,
        steps: &[StepRow],
        now: Timestamp,
    ) -> Result<Vec<Change>, Failure> {
        let defect = |error: &dyn std::fmt::Display| Failure::defect(error.to_string());
        let home = work.deployment.row.place.as_ref().unwrap_or(self.places.home());
        let release = &work.release.row;
        let release_id: esclusa_core::identity::ReleaseId =
            release.release_id.parse().map_err(|error| defect(&error))?;
        let at = format!("{now:.3}");
        let mut changes = Vec::new();
        for (index, step) in plan.steps.iter().enumerate() {
            let PlannedStep::Service(service) = step else { continue };
            let proof = steps
                .iter()
                .filter(|row| row.record.step.mode == Mode::Forward && row.record.step.index == index)
                .find_map(|row| row.proof.clone())
                .ok_or_else(|| Failure::defect(format!("service `{}` is in force without a proof", service.name)))?;
            let row = VerifiedRow {
                revision: VerifiedRevision {
                    task_definition_arn: proof.task_definition_arn,
                    digests: service.digests.clone(),
                    release_id: release_id.clone(),
                    verified_at: now,
                    version: service.version.clone(),
                    revoked: None,
                },
                service_revision_arn: proof.service_revision_arn,
                tag: release.tag.clone(),
                deployment_id: work.deployment.row.deployment_id.clone(),
            };
            let name = service_name(home, &service.cluster, &service.service);
            changes.push(Change::put(Key::verified(&name, &at), &row, Expected::Absent)?);
        }
        let (application, environment) = (release.application.as_str(), work.deployment.row.environment.as_str());
        let key = Key::environment(application, environment);
        let stored: Option<Stored<EnvironmentRow>> = self.journal.control().get(&key).await?;
        // An image that this release did not bring stays what it was.
        let mut digests = stored
            .as_ref()
            .map(|stored| stored.row.digests.clone())
            .unwrap_or_default();
        digests.extend(
            plan.images
                .iter()
                .map(|(image, digest)| (image.to_string(), digest.to_string())),
        );
        let row = EnvironmentRow {
            release_id: release.release_id.clone(),
            deployment_id: work.deployment.row.deployment_id.clone(),
            digests,
            tag: release.tag.clone(),
            since: now,
            revoked: None,
            looked_at: None,
        };
        changes.push(Change::put(key, &row, Expected::unchanged(stored.as_ref()))?);
        changes.push(Change::put(
            Key::environment_history(application, environment, &at),
            &row,
            Expected::Absent,
        )?);
        Ok(changes)
    }
}

/// What a hotfix owes that is in force: windows only where they were closed when its first step was begun.
pub(crate) fn debt(
    work: &Work,
    plan: Option<&Plan>,
    steps: &[StepRow],
    now: Timestamp,
) -> Result<Option<Change>, Failure> {
    let (release, deployment) = (&work.release.row, &work.deployment.row);
    let Some(plan) = plan.filter(|plan| release.is_hotfix && !plan.unchanged) else {
        return Ok(None);
    };
    let forward = steps.iter().filter(|row| row.record.step.mode == Mode::Forward);
    let began_at = forward.map(|row| row.begun_at).min();
    let owes = owes(&plan.skipped, began_at.unwrap_or(deployment.created_at));
    if owes.is_empty() {
        return Ok(None);
    }
    let debt = Debt {
        release_id: release.release_id.clone(),
        tag: release.tag.clone(),
        by: release.requested_by.clone(),
        reason: release.reason.clone(),
        since: now,
        owes,
        settled: None,
    };
    let key = Key::debt(&release.application, &deployment.environment, &release.release_id);
    Change::put(key, &debt, Expected::Absent).map(Some)
}
