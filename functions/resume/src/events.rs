//! The event's side: first the inbox, then the waiters.

use esclusa_adapters::acts::fences;
use esclusa_adapters::control::rows::{AlarmWatchRow, DeploymentRow, InboxRow, Progress, StartedByRow};
use esclusa_adapters::control::{Change, Expected, Key, Stored};
use esclusa_adapters::deployments::look_resource;
use esclusa_adapters::journal::{Commit, Committed};
use esclusa_core::canonical::sha256_hex;
use esclusa_core::error::Failure;
use esclusa_core::ledger::RecordKind;
use esclusa_core::migration::{TaskFacts, intent_of, redact};
use esclusa_core::place::{check_event, of_arn};
use esclusa_core::protocol::rendezvous::{InboxEvent, on_event};
use esclusa_events::ecs::{EcsDeploymentStateChange, Task};
use esclusa_events::{AlarmState, CloudWatchAlarmStateChange, Envelope, StepFunctionsExecutionStatusChange};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::wait::Source;
use crate::{ACTOR, LOCKS, Resume};

/// How long an inbox event is kept: longer than any wait.
const KEPT: SignedDuration = SignedDuration::from_hours(24 * 14);

/// That an event speaks of its own place only.
fn check<D>(envelope: &Envelope<D>, arn: &str) -> Result<(), Failure> {
    check_event(&envelope.account, &envelope.region, arn).map_err(Failure::invalid_input)
}

impl Resume {
    pub(crate) async fn task_changed(&self, envelope: &Envelope<Task>, detail: &Value) -> Result<Value, Failure> {
        let task = &envelope.detail;
        check(envelope, &task.task_arn)?;
        let name = task.version.map_or_else(
            || sha256_hex(envelope.id.as_bytes()),
            |version| format!("{version:012}"),
        );
        let is_over = TaskFacts::from_json(detail)?.is_stopped();
        let event = self.event(envelope.time, task.version, is_over, &redact(detail))?;
        let told = self.told(task, &event).await?;
        if is_over {
            return self.receive(&task.task_arn, &name, event, told).await;
        }
        // A task that has not stopped ends no wait, and the event of its end is yet to come.
        self.keep(&task.task_arn, &name, event, told).await?;
        Ok(json!({"waits": 0}))
    }

    /// The record of a task's state, for a task that a deployment of ours started and that is not over.
    async fn told(&self, task: &Task, event: &InboxEvent) -> Result<Commit<'static>, Failure> {
        let nothing = Ok(Commit::new());
        let Some(intent_id) = task.started_by.as_deref().and_then(intent_of) else {
            return nothing;
        };
        let mark = Key::started_by(intent_id);
        let owner: Option<Stored<StartedByRow>> = self.control().get(&mark).await?;
        let Some(owner) = owner else {
            return nothing;
        };
        let StartedByRow {
            deployment_id,
            step,
            name,
            ..
        } = &owner.row;
        let work = self.journal.work(deployment_id).await?;
        let place = work.deployment.row.place.as_ref().unwrap_or(self.places.home());
        if of_arn(&task.task_arn).as_ref() != Some(place) {
            return Err(Failure::invalid_input(format!(
                "task `{}` says that deployment `{deployment_id}` started it, which is in account {}, `{}`",
                task.task_arn, place.account, place.region
            )));
        }
        self.note(mark, &owner, &task.task_arn).await?;
        if work.deployment.row.progress == Progress::Ended {
            return nothing;
        }
        let facts = json!({
            "step": step,
            "name": name,
            "taskArn": task.task_arn,
            "state": {"status": task.last_status, "version": event.version, "at": event.event_time},
        });
        let draft = work.subject.draft(RecordKind::TaskState, ACTOR, &facts)?;
        // Under the locks of the deployment: nothing is told behind its end.
        Ok(Commit::new()
            .fenced(fences(&work.deployment.row))
            .record(&work.subject.chain, draft))
    }

    /// Notes once which task it is that was started with this mark: ECS lists running tasks by it and no others, and where
    /// nobody has written down what was started, the sweep looks later than that.
    async fn note(&self, mark: Key, owner: &Stored<StartedByRow>, task_arn: &str) -> Result<(), Failure> {
        if owner.row.task_arn.is_some() {
            return Ok(());
        }
        let row = StartedByRow {
            task_arn: Some(task_arn.to_owned()),
            ..owner.row.clone()
        };
        // Lost means that another event of the same task has noted it.
        let change = Change::put(mark, &row, Expected::unchanged(Some(owner)))?;
        let _outcome = self.journal.commit(Commit::new().change(change)).await?;
        Ok(())
    }

    pub(crate) async fn deployment_changed(
        &self,
        envelope: &Envelope<EcsDeploymentStateChange>,
    ) -> Result<Value, Failure> {
        let service = envelope
            .resource()
            .ok_or_else(|| Failure::invalid_input("an `ECS Deployment State Change` event names no service"))?;
        check(envelope, service)?;
        // Never the end by itself, so that it is not kept: a completed rollback looks the same, and only ECS knows
        // which deployment it was.
        self.look_for_waits(service).await
    }

    pub(crate) async fn execution_changed(
        &self,
        envelope: &Envelope<StepFunctionsExecutionStatusChange>,
    ) -> Result<Value, Failure> {
        let change = &envelope.detail;
        self.places
            .check_execution(&envelope.account, &envelope.region, &change.execution_arn)?;
        // Input and output stay where they are: the inbox needs the status only.
        let detail = json!({"status": change.status, "executionArn": change.execution_arn});
        let is_closed = change.status.is_closed();
        let event = self.event(envelope.time, None, is_closed, &detail)?;
        let received = self
            .receive(
                &change.execution_arn,
                &sha256_hex(envelope.id.as_bytes()),
                event,
                Commit::new(),
            )
            .await?;
        if is_closed {
            self.locks_may_be_free(&change.execution_arn).await?;
        }
        Ok(received)
    }

    /// An alarm that fires ends the pause between two looks at a deployment that is verified with it.
    pub(crate) async fn alarm_changed(
        &self,
        envelope: &Envelope<CloudWatchAlarmStateChange>,
    ) -> Result<Value, Failure> {
        let change = &envelope.detail;
        if change.state.value != AlarmState::Alarm {
            return Ok(json!({"ignored": "only an alarm that fires is a reason to look"}));
        }
        let alarm = envelope.resource().unwrap_or_default();
        check(envelope, alarm)?;
        let name = sha256_hex(envelope.id.as_bytes());
        let detail = json!({"alarm": change.alarm_name, "state": change.state.value});
        let watches: Vec<(String, Stored<AlarmWatchRow>)> =
            self.control().list(&Key::alarm_rows(&change.alarm_name), "").await?;
        let mut looked = 0_usize;
        for (_, watch) in &watches {
            if !self
                .places
                .is_of(&self.journal, &watch.row.deployment_id, alarm)
                .await?
            {
                continue;
            }
            looked += 1;
            // Whether it is over is for the look to say.
            let event = self.event(envelope.time, None, false, &detail)?;
            let resource = look_resource(&watch.row.deployment_id);
            self.receive(&resource, &name, event, Commit::new()).await?;
        }
        Ok(json!({"verifications": looked}))
    }

    /// Looks at those that wait for a lock of the deployment whose execution is over. An execution has the name of its
    /// deployment.
    async fn locks_may_be_free(&self, execution_arn: &str) -> Result<(), Failure> {
        let name = execution_arn.rsplit(':').next().unwrap_or_default();
        let Some(ended) = self.deployment(name).await? else {
            return Ok(());
        };
        for wait in &self.open_waits(LOCKS).await? {
            let waiting = self.deployment(&wait.waiter.deployment_id).await?;
            // Whoever waits for several locks does so under the name of the one that was busy when it looked.
            if waiting.is_some_and(|waiting| waiting.locks.iter().any(|lock| ended.locks.contains(lock))) {
                self.look_at(wait, Source::Event).await?;
            }
        }
        Ok(())
    }

    async fn deployment(&self, deployment_id: &str) -> Result<Option<DeploymentRow>, Failure> {
        let stored: Option<Stored<DeploymentRow>> = self.control().get(&Key::deployment(deployment_id)).await?;
        Ok(stored.map(|stored| stored.row))
    }

    pub(crate) fn event(
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

    async fn receive(&self, resource: &str, name: &str, event: InboxEvent, told: Commit<'_>) -> Result<Value, Failure> {
        self.keep(resource, name, event, told).await?;
        self.look_for_waits(resource).await
    }

    async fn look_for_waits(&self, resource: &str) -> Result<Value, Failure> {
        let waits = self.open_waits(&format!("{resource}#")).await?;
        for wait in &waits {
            self.look_at(wait, Source::Event).await?;
        }
        Ok(json!({"waits": waits.len()}))
    }

    /// Stores an event once, together with what it tells the ledger.
    pub(crate) async fn keep(
        &self,
        resource: &str,
        name: &str,
        event: InboxEvent,
        told: Commit<'_>,
    ) -> Result<(), Failure> {
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
            let change = || Change::put(key.clone(), &row, Expected::Absent);
            // Lost means that the same event arrived twice at once: it is stored.
            if let Committed::FencedOut(_) = self.journal.commit(told.change(change()?)).await? {
                let _outcome = self.journal.commit(Commit::new().change(change()?)).await?;
            }
        }
        Ok(())
    }
}
