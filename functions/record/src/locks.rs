//! Taking the locks of a deployment: all of them or none.

use std::collections::BTreeMap;

use esclusa_adapters::control::rows::{DeploymentRow, Progress, ReleaseKind};
use esclusa_adapters::control::{Change, Expected, Key};
use esclusa_adapters::deployments::Work;
use esclusa_adapters::journal::Commit;
use esclusa_adapters::locks::{StandingLock, out_of_queues, place_in_queue};
use esclusa_core::error::Failure;
use esclusa_core::ledger::RecordKind;
use esclusa_core::protocol::lock::{Acquire, Claimant, Queued};
use esclusa_core::supersession::is_urgent;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::{ACTOR, Record};

/// A lock that a deployment has to wait for.
struct Behind {
    lock: String,
    deployment_id: String,
}

impl Record {
    /// Takes the locks for the execution of a deployment, or stands it in their queues until its turn comes. A repeat
    /// by the same execution finds them held, or keeps its place.
    ///
    /// # Errors
    /// `Stopped` when the release is; `Refused` when a lock is quarantined; `LockHeld` when its turn did not come in
    /// the time that the pipeline gives it, or at once without a `queue`.
    pub(crate) async fn acquire_locks(
        &self,
        deployment_id: &str,
        execution_arn: &str,
        queue: bool,
    ) -> Result<Value, Failure> {
        let work = self.journal.work(deployment_id).await?;
        let deployment = &work.deployment.row;
        if deployment.progress == Progress::Ended {
            return Err(Failure::refused(format!("deployment `{deployment_id}` has ended")));
        }
        self.journal.unless_stopped(&work.release.row.release_id).await?;
        let claimant = Claimant {
            owner: execution_arn.to_owned(),
            deployment_id: deployment_id.to_owned(),
        };
        let at = self.journal.clock().now()?;
        let mut fences = BTreeMap::new();
        let mut commit = Commit::new();
        let mut any_taken = false;
        let mut behind = Vec::new();
        for name in &deployment.locks {
            let standing = StandingLock::read(self.journal.control(), name).await?;
            match standing.acquire(&claimant, at)? {
                Acquire::AlreadyHeld { fence } => {
                    fences.insert(name.clone(), fence);
                }
                Acquire::Take(write) => {
                    any_taken = true;
                    fences.insert(name.clone(), write.row.fence);
                    commit = commit.change(Change::put(
                        Key::lock(name),
                        &write.row,
                        Expected::unchanged(standing.lock.as_ref()),
                    )?);
                }
                Acquire::Wait { behind: deployment_id } => behind.push(Behind {
                    lock: name.clone(),
                    deployment_id,
                }),
            }
        }
        if !deployment.fences.is_empty() && deployment.fences != fences {
            return Err(Failure::fence_lost(format!(
                "deployment `{deployment_id}` held its locks and lost one of them before it began"
            )));
        }
        if let Some(first) = behind.first().filter(|_| !queue) {
            return Err(Failure::lock_held(format!(
                "deployment `{}` is before at lock `{}`",
                first.deployment_id, first.lock
            )));
        }
        if let Some(first) = behind.first() {
            return self.stand_in_queues(&work, first, at).await;
        }
        if any_taken {
            let holding = DeploymentRow {
                fences: fences.clone(),
                execution_arn: Some(execution_arn.to_owned()),
                progress: Progress::Started,
                ..deployment.clone()
            };
            let draft = work.subject.draft(
                RecordKind::LockAcquired,
                ACTOR,
                &json!({"execution": execution_arn, "locks": fences}),
            )?;
            let commit = commit
                .changes(out_of_queues(self.journal.control(), deployment).await?)
                .change(Change::put(
                    Key::deployment(deployment_id),
                    &holding,
                    Expected::Revision(work.deployment.revision),
                )?)
                .record(&work.subject.chain, draft);
            self.journal.commit(commit).await?.or_failure()?;
        }
        // The fences that count are read from the row before every act.
        Ok(json!({"acquired": true, "lock": null, "waitSeconds": 0}))
    }

    /// Stands in the queues of all locks at once, or stays where it stands.
    async fn stand_in_queues(&self, work: &Work, behind: &Behind, at: Timestamp) -> Result<Value, Failure> {
        let (release, deployment) = (&work.release.row, &work.deployment.row);
        let since = deployment.queued_at.unwrap_or(at);
        let limit = SignedDuration::from_secs(i64::from(deployment.lock_wait_seconds));
        let left = limit - at.duration_since(since);
        if left <= SignedDuration::ZERO {
            return Err(Failure::lock_held(format!(
                "lock `{}` was not released within {} seconds: deployment `{}` is ahead; see `esclusa locks`, then deploy again",
                behind.lock, deployment.lock_wait_seconds, behind.deployment_id
            )));
        }
        if deployment.queued_at.is_none() {
            let place = Queued {
                since,
                deployment_id: deployment.deployment_id.clone(),
                is_urgent: is_urgent(release.kind == ReleaseKind::Rollback, release.is_hotfix),
            };
            let queued = DeploymentRow {
                queued_at: Some(since),
                ..deployment.clone()
            };
            let draft = work.subject.draft(
                RecordKind::LockAwaited,
                ACTOR,
                &json!({"lock": behind.lock, "behind": behind.deployment_id, "waitSeconds": deployment.lock_wait_seconds}),
            )?;
            let mut commit = Commit::new()
                .change(Change::put(
                    Key::deployment(&deployment.deployment_id),
                    &queued,
                    Expected::Revision(work.deployment.revision),
                )?)
                .record(&work.subject.chain, draft);
            for name in &deployment.locks {
                commit = commit.change(Change::put(
                    place_in_queue(name, since, &place.deployment_id),
                    &place,
                    Expected::Absent,
                )?);
            }
            self.journal.commit(commit).await?.or_failure()?;
        }
        Ok(json!({"acquired": false, "lock": behind.lock, "waitSeconds": left.as_secs().max(1)}))
    }
}
