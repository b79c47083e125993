//! Starting and stopping a task. A repeat of the same attempt finds the task of the first.

use esclusa_adapters::acts::{Act, Announced};
use esclusa_adapters::control::rows::{StartedByRow, StepRow};
use esclusa_adapters::control::{Change, Expected, Key};
use esclusa_adapters::deployments::{Work, step_key};
use esclusa_adapters::ecs::{RunTask, StopTaskOutcome, TaskFilter};
use esclusa_adapters::journal::Commit;
use esclusa_core::error::Failure;
use esclusa_core::migration::{RunTaskDecision, TaskFacts, decide_answer, decide_error, is_same_run, started_by};
use esclusa_core::plan::PlannedTask;
use esclusa_core::verdict::{Mode, StepKind, StepOutcome, StepRecord, StepReference};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::{ACTOR, Migrate};

/// How long the client token of `RunTask` is trusted to find the task of an earlier call. ECS promises an hour after
/// the task has stopped.
const TOKEN_TRUSTED: SignedDuration = SignedDuration::from_mins(45);

impl Migrate {
    /// Runs the task of one attempt. `taskArn` is null when ECS placed nothing.
    pub(crate) async fn run_task(&self, deployment_id: &str, step: StepReference) -> Result<Value, Failure> {
        let task = self.task(deployment_id, step).await?;
        self.require_restore_point(deployment_id, step, &task).await?;
        let work = self.journal.work_here(deployment_id).await?;
        let revision = self.journal.revision(deployment_id, task.revision.as_str()).await?;
        let act = Act {
            subject: &work.subject,
            actor: ACTOR,
            deployment: &work.deployment.row,
            step: Some(step),
            goes_on: step.mode == Mode::Forward,
            action: "ecs:RunTask",
            target: format!("{}/{}", task.cluster, task.name),
            facts: json!({"task": task.name, "taskDefinitionArn": revision, "container": task.container, "database": task.database}),
        };
        let intent_id = act.intent_id();
        let request = RunTask {
            cluster: task.cluster.clone(),
            task_definition: revision,
            started_by: started_by(&intent_id),
            client_token: intent_id,
            launch_type: task.launch_type.clone(),
            network: task.network.clone(),
            group: task.group.clone(),
            container_overrides: task.container_overrides.clone(),
            tags: [("esclusa:deployment".to_owned(), deployment_id.to_owned())].into(),
        };
        let mark = StartedByRow {
            deployment_id: deployment_id.to_owned(),
            step,
            name: task.name.to_string(),
            task_arn: None,
        };
        let marked = Commit::new().change(Change::put(
            Key::started_by(&request.client_token),
            &mark,
            Expected::Absent,
        )?);
        let announced = self.journal.announce(&act, marked).await?;
        let started = match &announced {
            Announced::Settled(outcome) => return Ok(answer(outcome)),
            Announced::Now => match self.start(&request).await {
                Ok(started) => started,
                Err(failure) => {
                    let commit = self.never_started(deployment_id, step, &task, &failure.message).await?;
                    return Err(self.journal.settle_refused(&act, &announced, failure, commit).await);
                }
            },
            Announced::Before { opened_at } => self.start_again(&request, *opened_at).await?,
        };
        let (outcome, row) = match &started {
            Started::Task(arn) => (
                json!({"taskArn": arn}),
                begun(&task, step, Some(arn), self.journal.clock().now()?),
            ),
            Started::Nothing(reasons) => {
                let mut row = begun(&task, step, None, self.journal.clock().now()?);
                row.record.outcome = StepOutcome::NeverStarted;
                row.record.sentence = format!("ECS placed no task: {}", reasons.join("; "));
                (json!({"taskArn": null, "reasons": reasons}), row)
            }
        };
        self.settled(&act, &work, outcome, row).await
    }

    async fn settled(&self, act: &Act<'_>, work: &Work, outcome: Value, row: StepRow) -> Result<Value, Failure> {
        let deployment_id = &work.deployment.row.deployment_id;
        let commit = match self.journal.step(deployment_id, row.record.step).await? {
            Some(_) => Commit::new(),
            None => Commit::new().change(Change::put(
                step_key(deployment_id, row.record.step),
                &row,
                Expected::Absent,
            )?),
        };
        let recorded = self.journal.settle(act, &outcome, commit).await?;
        Ok(answer(&recorded))
    }

    /// The row of a step whose task was refused, unless a row is there.
    async fn never_started(
        &self,
        deployment_id: &str,
        step: StepReference,
        task: &PlannedTask,
        why: &str,
    ) -> Result<Commit<'static>, Failure> {
        if self.journal.step(deployment_id, step).await?.is_some() {
            return Ok(Commit::new());
        }
        let now = self.journal.clock().now()?;
        let mut row = begun(task, step, None, now);
        row.record.outcome = StepOutcome::NeverStarted;
        row.record.sentence = why.to_owned();
        row.judged_at = Some(now);
        Ok(Commit::new().change(Change::put(step_key(deployment_id, step), &row, Expected::Absent)?))
    }

    async fn start(&self, request: &RunTask) -> Result<Started, Failure> {
        let decision = match self.runner.run(request).await {
            Ok(answer) => decide_answer(&answer),
            Err(error) => decide_error(&error),
        };
        match decision {
            RunTaskDecision::Started { task_arn } => Ok(Started::Task(task_arn)),
            RunTaskDecision::NotPlaced { reasons } => Ok(Started::Nothing(reasons)),
            RunTaskDecision::CallAgain { why } => Err(Failure::transient(format!(
                "ECS did not say whether the task was started: {why}"
            ))),
            RunTaskDecision::GiveUp(failure) => Err(failure),
            RunTaskDecision::Inspect { task_arns } => {
                let tasks = self.described(&request.cluster, &task_arns).await?;
                let ours = tasks
                    .into_iter()
                    .find(|task| is_same_run(task, &request.task_definition, &request.started_by));
                ours.map(|task| Started::Task(task.task_arn)).ok_or_else(|| {
                    Failure::unknown_effect(format!(
                        "the client token of this attempt belongs to other tasks: `{}`; look at them before anything is run again",
                        task_arns.join("`, `")
                    ))
                })
            }
        }
    }

    /// The call before this one may have started the task, whatever this one is answered: a repeat with the same token
    /// finds it while ECS remembers the token, after that only the mark of the task can tell, and a task that is
    /// neither found nor refused for certain is left to a person.
    async fn start_again(&self, request: &RunTask, opened_at: Timestamp) -> Result<Started, Failure> {
        let is_remembered = self.journal.clock().now()?.duration_since(opened_at) < TOKEN_TRUSTED;
        let repeated = match is_remembered {
            true => match self.start(request).await {
                Ok(Started::Task(arn)) => return Ok(Started::Task(arn)),
                Ok(Started::Nothing(reasons)) => format!("the repeated call placed none: {}", reasons.join("; ")),
                Err(failure) if failure.kind.is_retryable() => return Err(failure),
                Err(failure) => format!("the repeated call failed: {failure}"),
            },
            false => format!("it was announced at {opened_at}, too long ago for ECS to remember its client token"),
        };
        let marked = self
            .ecs
            .list_tasks(&request.cluster, &TaskFilter::StartedBy(&request.started_by))
            .await?;
        marked.into_iter().next().map(Started::Task).ok_or_else(|| {
            Failure::unknown_effect(format!(
                "nothing proves whether this attempt started its task ({repeated}): look at the database before it is run again"
            ))
        })
    }

    async fn described(&self, cluster: &str, arns: &[String]) -> Result<Vec<TaskFacts>, Failure> {
        let described = self.ecs.describe_tasks(cluster, arns).await?;
        described.found.iter().map(TaskFacts::from_json).collect()
    }

    /// Stops a task that took too long. What it did until then is judged afterwards.
    pub(crate) async fn stop_task(
        &self,
        deployment_id: &str,
        task_arn: &str,
        step: StepReference,
    ) -> Result<Value, Failure> {
        let task = self.task(deployment_id, step).await?;
        let work = self.journal.work_here(deployment_id).await?;
        let reason = format!("esclusa: not over within {} seconds", task.timeout_seconds);
        let act = Act {
            subject: &work.subject,
            actor: ACTOR,
            deployment: &work.deployment.row,
            step: Some(step),
            goes_on: false,
            action: "ecs:StopTask",
            target: task_arn.to_owned(),
            facts: json!({"task": task.name, "reason": reason}),
        };
        let announced = self.journal.announce(&act, Commit::new()).await?;
        if let Announced::Settled(_) = announced {
            return Ok(json!({}));
        }
        // Stopping twice is harmless, and a task that is gone has stopped.
        let outcome = match self.runner.stop(&task.cluster, task_arn, &reason).await {
            Ok(StopTaskOutcome::Stopping) => json!({"stopping": true}),
            Ok(StopTaskOutcome::NotFound) => json!({"stopping": false, "reason": "the task no longer exists"}),
            Err(failure) => {
                let refused = self.journal.settle_refused(&act, &announced, failure, Commit::new());
                return Err(refused.await);
            }
        };
        self.journal.settle(&act, &outcome, Commit::new()).await?;
        Ok(json!({}))
    }
}

/// What the state machine reads of an outcome.
fn answer(outcome: &Value) -> Value {
    json!({"taskArn": outcome.get("taskArn")})
}

/// What a call of `RunTask` came to.
enum Started {
    /// There is a task.
    Task(String),
    /// ECS says that it placed none.
    Nothing(Vec<String>),
}

fn begun(task: &PlannedTask, step: StepReference, arn: Option<&str>, now: Timestamp) -> StepRow {
    StepRow {
        kind: StepKind::Task,
        name: task.name.to_string(),
        record: StepRecord {
            step,
            outcome: StepOutcome::Begun,
            sentence: String::new(),
            already_there: false,
        },
        resource_arn: arn.map(str::to_owned),
        ecs_deployment_id: None,
        service_deployment_arn: None,
        previous_task_definition_arn: None,
        before: None,
        proof: None,
        diagnosis: None,
        is_stopped: false,
        begun_at: now,
        judged_at: None,
    }
}
