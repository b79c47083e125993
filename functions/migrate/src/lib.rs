//! The Lambda function `migrate`: secures the restore points of databases, runs one-off tasks, at most one per attempt,
//! and judges what became of them by what can be proven.

mod judge;
mod restore_point;
mod run;

use std::borrow::Cow;

use aws_config::SdkConfig;
use esclusa_adapters::databases::{DatabaseReader, SnapshotTaker};
use esclusa_adapters::ecs::{EcsReader, TaskRunner};
use esclusa_adapters::journal::Journal;
use esclusa_adapters::logs::LogReader;
use esclusa_adapters::places::{Placed, Places, TargetRoles};
use esclusa_core::error::Failure;
use esclusa_core::plan::{PlannedStep, PlannedTask};
use esclusa_core::verdict::StepReference;
use esclusa_runtime::{Environment, Function, Invocation, parse_request};
use serde::Deserialize;
use serde_json::Value;

/// Who its records name.
const ACTOR: &str = "esclusa/migrate";

/// The function.
#[derive(Debug, Clone)]
pub struct Migrate {
    journal: Journal,
    ecs: EcsReader,
    runner: TaskRunner,
    logs: LogReader,
    databases: DatabaseReader,
    snapshots: SnapshotTaker,
    places: Places,
}

#[derive(Debug, Deserialize)]
#[serde(
    tag = "action",
    rename_all = "snake_case",
    rename_all_fields = "camelCase",
    deny_unknown_fields
)]
enum Request {
    SecureRestorePoint {
        deployment_id: String,
        step: StepReference,
    },
    RunTask {
        deployment_id: String,
        step: StepReference,
    },
    JudgeTask {
        deployment_id: String,
        task_arn: Option<String>,
        step: StepReference,
    },
    StopTask {
        deployment_id: String,
        task_arn: String,
        step: StepReference,
    },
}

impl Migrate {
    /// The same function in the place of a deployment. What it writes down it writes at home.
    async fn at(&self, deployment_id: &str) -> Result<Cow<'_, Self>, Failure> {
        let placed = self.places.of_deployment(&self.journal, deployment_id).await?;
        Ok(placed.map_or(Cow::Borrowed(self), |placed| Cow::Owned(self.with(&placed))))
    }

    fn with(&self, Placed { place, config }: &Placed) -> Self {
        Self {
            journal: self.journal.of_place(place),
            ecs: EcsReader::new(config),
            runner: TaskRunner::new(config),
            logs: LogReader::new(config),
            databases: DatabaseReader::new(config),
            snapshots: SnapshotTaker::new(config),
            ..self.clone()
        }
    }

    async fn task(&self, deployment_id: &str, step: StepReference) -> Result<PlannedTask, Failure> {
        match self.journal.planned_step(deployment_id, step).await? {
            PlannedStep::Task(task) => Ok(task),
            PlannedStep::Service(_) => Err(Failure::invalid_input(format!(
                "step {} of deployment `{deployment_id}` is no task",
                step.index
            ))),
        }
    }
}

impl Function for Migrate {
    const NAME: &'static str = "migrate";

    fn build(config: &SdkConfig, environment: &Environment) -> Result<Self, Failure> {
        let control = environment.required("ESCLUSA_CONTROL_TABLE")?;
        let ledger = environment.required("ESCLUSA_LEDGER_TABLE")?;
        let places = Places::new(
            config,
            Self::NAME,
            environment.required("ESCLUSA_HOME_ACCOUNT")?,
            environment.required("AWS_REGION")?,
            TargetRoles::read(|name| environment.optional(name)),
        )?;
        Ok(Self {
            journal: Journal::new(config, control, ledger),
            ecs: EcsReader::new(config),
            runner: TaskRunner::new(config),
            logs: LogReader::new(config),
            databases: DatabaseReader::new(config),
            snapshots: SnapshotTaker::new(config),
            places,
        })
    }

    async fn handle(&self, payload: Value, _invocation: &Invocation) -> Result<Value, Failure> {
        match parse_request(payload)? {
            Request::SecureRestorePoint { deployment_id, step } => {
                let there = self.at(&deployment_id).await?;
                there.secure_restore_point(&deployment_id, step).await
            }
            Request::RunTask { deployment_id, step } => {
                let there = self.at(&deployment_id).await?;
                there.run_task(&deployment_id, step).await
            }
            Request::JudgeTask {
                deployment_id,
                task_arn,
                step,
            } => {
                let there = self.at(&deployment_id).await?;
                there.judge_task(&deployment_id, task_arn.as_deref(), step).await
            }
            Request::StopTask {
                deployment_id,
                task_arn,
                step,
            } => {
                let there = self.at(&deployment_id).await?;
                there.stop_task(&deployment_id, &task_arn, step).await
            }
        }
    }
}
