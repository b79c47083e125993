//! What is known about the end of a resource: the inbox, and the AWS API.

use esclusa_adapters::control::rows::{DeploymentRow, GatesRow};
use esclusa_adapters::control::{Key, Stored};
use esclusa_adapters::ecs::cluster_of;
use esclusa_adapters::gates::{Said, companions, rivals};
use esclusa_adapters::journal::Commit;
use esclusa_adapters::locks::StandingLock;
use esclusa_adapters::rollouts;
use esclusa_core::error::Failure;
use esclusa_core::gate::{TOGETHER, are_ready};
use esclusa_core::migration::{TaskFacts, redact};
use esclusa_core::protocol::lock::{Acquire, Claimant};
use esclusa_core::protocol::rendezvous::{Truth, WaitKind, WaitStatus, is_forgotten, truth};
use esclusa_core::service_deployment::is_over;
use esclusa_core::supersession::superseded_by;
use esclusa_core::verification::State;

use serde_json::Value;

use crate::{Resume, WaitRow};

/// The state that waits for a rollout on its way back.
const GOING_BACK: &str = "AwaitRollback";

impl Resume {
    pub(crate) async fn truth(&self, row: &WaitRow) -> Result<Truth, Failure> {
        if row.waiter.status != WaitStatus::Open {
            return Ok(Truth::NotVisible);
        }
        let inbox = if row.waiter.kind.keeps_events() {
            self.journal.inbox(&row.resource).await?
        } else {
            Vec::new()
        };
        let known = truth(&inbox, None);
        if known == Truth::Over {
            return Ok(known);
        }
        let described = match row.waiter.kind {
            WaitKind::Task => self.at_resource(&row.resource).await?.task_is_over(row).await?,
            WaitKind::Service => self.at_resource(&row.resource).await?.rollout_is_over(row).await?,
            WaitKind::Execution => self
                .executions
                .describe(&row.resource)
                .await?
                .map(|execution| execution.status.is_closed()),
            WaitKind::Lock => Some(self.turn_has_come(row).await?),
            WaitKind::Gate => Some(self.is_said(row).await?),
            WaitKind::Look => Some(self.is_told(row, inbox.len()).await?),
        };
        Ok(truth(&inbox, described))
    }

    async fn task_is_over(&self, row: &WaitRow) -> Result<Option<bool>, Failure> {
        let task_arn = row.resource.as_str();
        let described = self
            .ecs
            .describe_tasks(cluster_of(task_arn)?, &[task_arn.to_owned()])
            .await?;
        let Some(task) = described.found.first() else {
            return Ok(is_forgotten(&row.waiter, self.clock.now()?).then_some(true));
        };
        let is_over = TaskFacts::from_json(task)?.is_stopped();
        if is_over {
            // ECS forgets a stopped task, and another read of it may be behind this one: whoever judges finds it here.
            let version = task.get("version").and_then(Value::as_u64);
            let seen = self.event(None, version, true, &redact(task))?;
            self.keep(task_arn, "described", seen, Commit::new()).await?;
        }
        Ok(Some(is_over))
    }

    /// Whether the deployment need not wait for its locks any more: it may take them, or nobody may.
    async fn turn_has_come(&self, row: &WaitRow) -> Result<bool, Failure> {
        let deployment_id = &row.waiter.deployment_id;
        let deployment: Stored<DeploymentRow> = self.control().require(&Key::deployment(deployment_id)).await?;
        if self.journal.stop(&deployment.row.release_id).await?.is_some() {
            return Ok(true);
        }
        let claimant = Claimant {
            owner: row.execution_arn.clone(),
            deployment_id: deployment_id.clone(),
        };
        let at = self.clock.now()?;
        for name in &deployment.row.locks {
            let acquired = StandingLock::read(self.control(), name).await?.acquire(&claimant, at);
            if matches!(acquired, Ok(Acquire::Wait { .. })) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether people have said something since the gates were asked last, a newer release is there, another
    /// environment of the wave has failed, or they need not be asked any more.
    async fn is_said(&self, row: &WaitRow) -> Result<bool, Failure> {
        let deployment_id = &row.waiter.deployment_id;
        let Some(gates) = self.control().get::<GatesRow>(&Key::gates(deployment_id)).await? else {
            return Ok(false);
        };
        let deployment: Stored<DeploymentRow> = self.control().require(&Key::deployment(deployment_id)).await?;
        // It was started or is over: nobody stands at the gates any more.
        if deployment.row.execution_arn.is_some() || deployment.row.end.is_some() {
            return Ok(true);
        }
        let release = self.journal.release(&deployment.row.release_id).await?;
        let (environment, approval) = (&deployment.row.environment, gates.row.approval.as_ref());
        let said = Said::read(self.control(), &release.row, environment, approval).await?;
        if gates.row.closed.is_some() || said.fingerprint() != gates.row.seen {
            return Ok(true);
        }
        if self.journal.wave_failed(&release.row, environment).await?.is_some() {
            return Ok(true);
        }
        let others = companions(self.control(), &release.row, environment, &gates.row.together).await?;
        let said = gates.row.reports.iter().find(|report| report.gate == TOGETHER);
        if said.is_some_and(|report| report.is_open != are_ready(&others)) {
            return Ok(true);
        }
        let rivals = rivals(self.control(), &release.row, environment).await?;
        let newer = superseded_by(gates.row.newest, gates.row.waiting, &release.row.asked, &rivals);
        Ok(newer.is_some())
    }

    async fn release_of(&self, deployment_id: &str) -> Result<String, Failure> {
        let deployment: Stored<DeploymentRow> = self.control().require(&Key::deployment(deployment_id)).await?;
        Ok(deployment.row.release_id)
    }

    /// Whether there were events of its alarms that the verification has not taken into account, it is over, or its
    /// release is stopped: then nobody pauses any more.
    async fn is_told(&self, row: &WaitRow, told: usize) -> Result<bool, Failure> {
        let key = Key::verification(&row.waiter.deployment_id);
        let stored: Option<Stored<State>> = self.control().get(&key).await?;
        let is_told = stored.is_some_and(|stored| told > stored.row.told || stored.row.end.is_some());
        let release_id = self.release_of(&row.waiter.deployment_id).await?;
        Ok(is_told || self.journal.stop(&release_id).await?.is_some())
    }

    async fn rollout_is_over(&self, row: &WaitRow) -> Result<Option<bool>, Failure> {
        let step = row
            .step
            .ok_or_else(|| Failure::defect("a wait for a service names no step"))?;
        let deployment_id = &row.waiter.deployment_id;
        let rollout = rollouts::observe(&self.journal, &self.ecs, deployment_id, step).await?;
        // What goes back is waited for until it is over.
        let is_over = is_over(&rollout.expected, &rollout.observed);
        let is_stopped = !is_over
            && row.state != GOING_BACK
            && rollout
                .is_stopped(&self.journal, &self.release_of(deployment_id).await?)
                .await?;
        Ok(Some(is_over || is_stopped))
    }
}
