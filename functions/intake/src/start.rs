//! Starting executions: by deterministic name, so that a second start finds the first.

use esclusa_adapters::control::rows::{Progress, ReleasePointerRow, ReleaseRow};
use esclusa_adapters::control::{Change, Expected, Key, Stored};
use esclusa_adapters::journal::{Commit, Committed};
use esclusa_adapters::step_functions::StartOutcome;
use esclusa_core::error::Failure;
use esclusa_core::ledger::{Chain, Draft};
use serde_json::{Value, json};

use crate::Intake;

impl Intake {
    /// Writes a release down together with `commit`, and starts its execution. A release that is there already is started again, which finds the first.
    /// `None` when another row of `commit` was not as expected: the caller decides again.
    pub(crate) async fn claim(
        &self,
        release: &ReleaseRow,
        claimed: Draft,
        commit: Commit<'_>,
    ) -> Result<Option<Value>, Failure> {
        let release_id = &release.release_id;
        let key = Key::release(release_id);
        let pointer = ReleasePointerRow {
            release_id: release_id.clone(),
        };
        let listing = Key::release_listing(&release.application, &format!("{:.3}", release.created_at), release_id);
        let commit = commit
            .change(Change::put(key.clone(), release, Expected::Absent)?)
            .change(Change::put(listing, &pointer, Expected::Absent)?)
            .change(Change::put(Key::open_release(release_id), &pointer, Expected::Absent)?)
            .record(&Chain::release(release_id), claimed);
        if let Committed::Lost(_) = self.journal.commit(commit).await? {
            let there: Option<Stored<ReleaseRow>> = self.control().get(&key).await?;
            if there.is_none() {
                return Ok(None);
            }
        }
        self.start_release(release_id).await.map(Some)
    }

    /// Starts the execution of a claimed release, or finds it started.
    pub(crate) async fn start_release(&self, release_id: &str) -> Result<Value, Failure> {
        let outcome = self
            .executions
            .start(
                &self.release_state_machine,
                release_id,
                &json!({"releaseId": release_id}),
            )
            .await?;
        let (StartOutcome::Running { execution_arn } | StartOutcome::AlreadyExists { execution_arn }) = outcome;
        Ok(json!({"releaseId": release_id, "executionArn": execution_arn}))
    }

    /// Starts the execution of a planned deployment, or finds it started.
    pub(crate) async fn start_deployment(&self, deployment_id: &str) -> Result<Value, Failure> {
        // The row proves that the id is one of ours before it becomes the name of an execution.
        self.journal.work(deployment_id).await?;
        let input = json!({"deploymentId": deployment_id});
        let outcome = self
            .executions
            .start(&self.deployment_state_machine, deployment_id, &input)
            .await?;
        let (StartOutcome::Running { execution_arn } | StartOutcome::AlreadyExists { execution_arn }) = outcome;
        Ok(json!({"executionArn": execution_arn}))
    }

    /// Starts what was claimed and whose start was lost. One that fails does not keep the others waiting.
    pub(crate) async fn reconcile(&self) -> Result<Value, Failure> {
        let open: Vec<(String, Stored<ReleasePointerRow>)> = self.control().list(Key::OPEN_RELEASES, "").await?;
        let (mut started, mut failed) = (Vec::new(), None);
        for (_, pointer) in open {
            let release_id = pointer.row.release_id;
            let release = self.journal.release(&release_id).await?;
            if release.row.progress != Progress::Claimed {
                continue;
            }
            match self.start_release(&release_id).await {
                Ok(_) => started.push(release_id),
                Err(failure) => {
                    tracing::warn!(release_id, kind = %failure.kind, message = %failure.message, "a claimed release could not be started");
                    failed = Some(failure);
                }
            }
        }
        failed.map_or_else(|| Ok(json!({"started": started})), Err)
    }
}
