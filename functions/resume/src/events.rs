//! The event's side: first the inbox, then the waiters.

use esclusa_adapters::control::{Change, Expected, Key, Stored};
use esclusa_adapters::journal::Commit;
use esclusa_core::canonical::sha256_hex;
use esclusa_core::error::Failure;
use esclusa_core::migration::{TaskFacts, redact};
use esclusa_core::protocol::rendezvous::{InboxEvent, on_event};
use esclusa_events::ecs::{EcsDeploymentStateChange, Task};
use esclusa_events::{Envelope, StepFunctionsExecutionStatusChange};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::Resume;
use crate::wait::Source;

/// How long an inbox event is kept: longer than any wait.
const KEPT: SignedDuration = SignedDuration::from_hours(24 * 14);

/// The row of an inbox event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct InboxRow {
    /// The event.
    #[serde(flatten)]
    pub event: InboxEvent,
    /// When DynamoDB may remove the row, in seconds since the epoch.
    pub expires_at: i64,
}

impl Resume {
    pub(crate) async fn task_changed(&self, envelope: &Envelope<Task>, detail: &Value) -> Result<Value, Failure> {
        let task = &envelope.detail;
        let name = task.version.map_or_else(
            || sha256_hex(envelope.id.as_bytes()),
            |version| format!("{version:012}"),
        );
        let is_over = TaskFacts::from_json(detail)?.is_stopped();
        let event = self.event(envelope.time, task.version, is_over, &redact(detail))?;
        self.receive(&task.task_arn, &name, event).await
    }

    pub(crate) async fn deployment_changed(
        &self,
        envelope: &Envelope<EcsDeploymentStateChange>,
        detail: &Value,
    ) -> Result<Value, Failure> {
        let service = envelope
            .resource()
            .ok_or_else(|| Failure::invalid_input("an `ECS Deployment State Change` event names no service"))?;
        // Never the end by itself: a completed rollback looks the same, and only ECS knows which deployment it was.
        let event = self.event(envelope.time, None, false, detail)?;
        self.receive(service, &sha256_hex(envelope.id.as_bytes()), event).await
    }

    pub(crate) async fn execution_changed(
        &self,
        envelope: &Envelope<StepFunctionsExecutionStatusChange>,
    ) -> Result<Value, Failure> {
        let change = &envelope.detail;
        // Input and output stay where they are: the inbox needs the status only.
        let detail = json!({"status": change.status, "executionArn": change.execution_arn});
        let event = self.event(envelope.time, None, change.status.is_closed(), &detail)?;
        self.receive(&change.execution_arn, &sha256_hex(envelope.id.as_bytes()), event)
            .await
    }

    fn event(
        &self,
        at: Option<Timestamp>,
        version: Option<u64>,
        is_over: bool,
        detail: &Value,
    ) -> Result<InboxEvent, Failure> {
        let received_at = self.clock.now()?;
        Ok(InboxEvent {
            version,
            is_over,
            detail: detail.to_string(),
            event_time: at.unwrap_or(received_at),
            received_at,
        })
    }

    async fn receive(&self, resource: &str, name: &str, event: InboxEvent) -> Result<Value, Failure> {
        let key = Key::event(resource, name);
        let stored: Option<Stored<InboxRow>> = self.control().get(&key).await?;
        let expires_at = event
            .received_at
            .saturating_add(KEPT)
            .unwrap_or(Timestamp::MAX)
            .as_second();
        if let Some(write) = on_event(stored.as_ref().map(|stored| &stored.row.event), event) {
            let row = InboxRow {
                event: write.row,
                expires_at,
            };
            let commit = Commit::new().change(Change::put(key, &row, Expected::Absent)?);
            // Lost means that the same event arrived twice at once: it is stored, and the look follows all the same.
            let _outcome = self.journal.commit(commit).await?;
        }
        let waits = self.waits_of(resource).await?;
        for wait in &waits {
            self.look_at(wait, Source::Event).await?;
        }
        Ok(json!({"waits": waits.len()}))
    }
}
