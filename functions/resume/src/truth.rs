//! What is known about the end of a resource: the inbox, and the AWS API.

use esclusa_adapters::control::{Key, Stored};
use esclusa_adapters::rollouts;
use esclusa_adapters::rollouts::cluster_of;
use esclusa_core::error::Failure;
use esclusa_core::migration::TaskFacts;
use esclusa_core::protocol::rendezvous::{InboxEvent, Truth, WaitKind, WaitStatus, truth};
use esclusa_core::service_deployment::is_over;

use crate::events::InboxRow;
use crate::{Resume, WaitRow};

impl Resume {
    pub(crate) async fn truth(&self, row: &WaitRow) -> Result<Truth, Failure> {
        if row.waiter.status != WaitStatus::Open {
            return Ok(Truth::NotVisible);
        }
        let inbox: Vec<InboxEvent> = self
            .control()
            .list(&Key::resource_rows(&row.resource), Key::EVENT_PREFIX)
            .await?
            .into_iter()
            .map(|(_, stored): (_, Stored<InboxRow>)| stored.row.event)
            .collect();
        let known = truth(&inbox, None);
        if known == Truth::Over {
            return Ok(known);
        }
        let described = match row.waiter.kind {
            WaitKind::Task => self.task_is_over(&row.resource).await?,
            WaitKind::Service => self.rollout_is_over(row).await?,
            WaitKind::Execution => self
                .executions
                .describe(&row.resource)
                .await?
                .map(|execution| execution.status.is_closed()),
        };
        Ok(truth(&inbox, described))
    }

    async fn task_is_over(&self, task_arn: &str) -> Result<Option<bool>, Failure> {
        let described = self
            .ecs
            .describe_tasks(cluster_of(task_arn)?, &[task_arn.to_owned()])
            .await?;
        described
            .found
            .first()
            .map(|task| TaskFacts::from_json(task).map(|facts| facts.is_stopped()))
            .transpose()
    }

    async fn rollout_is_over(&self, row: &WaitRow) -> Result<Option<bool>, Failure> {
        let step = row
            .step
            .ok_or_else(|| Failure::defect("a wait for a service names no step"))?;
        let rollout = rollouts::observe(&self.journal, &self.ecs, &row.waiter.deployment_id, step).await?;
        Ok(Some(is_over(&rollout.expected, &rollout.observed)))
    }
}
