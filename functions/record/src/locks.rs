//! Taking the locks of a deployment: all of them or none.

use std::collections::BTreeMap;

use esclusa_adapters::control::rows::{DeploymentRow, Progress};
use esclusa_adapters::control::{Change, Expected, Key, Stored};
use esclusa_adapters::journal::Commit;
use esclusa_core::error::Failure;
use esclusa_core::ledger::RecordKind;
use esclusa_core::protocol::lock::{Acquire, Claimant, Lock, acquire};
use serde_json::{Value, json};

use crate::{ACTOR, Record};

impl Record {
    /// Takes the locks for the execution of a deployment. A repeat by the same execution finds them held.
    pub(crate) async fn acquire_locks(&self, deployment_id: &str, execution_arn: &str) -> Result<Value, Failure> {
        let work = self.journal.work(deployment_id).await?;
        let deployment = &work.deployment.row;
        if deployment.progress == Progress::Ended {
            return Err(Failure::refused(format!("deployment `{deployment_id}` has ended")));
        }
        let claimant = Claimant {
            owner: execution_arn.to_owned(),
            deployment_id: deployment_id.to_owned(),
        };
        let at = self.journal.clock().now()?;
        let mut fences = BTreeMap::new();
        let mut commit = Commit::new();
        let mut any_taken = false;
        for name in &deployment.locks {
            let key = Key::lock(name);
            let stored: Option<Stored<Lock>> = self.journal.control().get(&key).await?;
            let acquired = acquire(stored.as_ref().map(|stored| &stored.row), &claimant, at)
                .map_err(|refusal| Failure::from(refusal).context(format!("lock `{name}`")))?;
            match acquired {
                Acquire::AlreadyHeld { fence } => fences.insert(name.clone(), fence),
                Acquire::Take(write) => {
                    any_taken = true;
                    commit = commit.change(Change::put(key, &write.row, Expected::unchanged(stored.as_ref()))?);
                    fences.insert(name.clone(), write.row.fence)
                }
            };
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
                .change(Change::put(
                    Key::deployment(deployment_id),
                    &holding,
                    Expected::Revision(work.deployment.revision),
                )?)
                .record(&work.subject.chain, draft);
            self.journal.commit(commit).await?.or_failure()?;
        }
        // The machine needs a witness only: the fences that count are read from the row before every act.
        Ok(json!({"fence": fences.values().max()}))
    }
}
