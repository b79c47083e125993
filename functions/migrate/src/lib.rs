//! The Lambda function `migrate`: secures the restore points of databases, runs one-off tasks, at most one per attempt, and judges what became of them by
//! what can be proven.

mod judge;
mod restore_point;
mod run;

use aws_config::SdkConfig;
use esclusa_adapters::databases::{DatabaseReader, SnapshotTaker};
use esclusa_adapters::ecs::{EcsReader, TaskRunner};
use esclusa_adapters::journal::Journal;
use esclusa_adapters::logs::LogReader;
use esclusa_core::error::Failure;
use esclusa_core::plan::{PlannedStep, PlannedTask};
use esclusa_core::verdict::StepReference;
use esclusa_runtime::{Environment, Function, Invocation, parse_request};
use serde::Deserialize;
use serde_json::Value;

/// Who its records name.
const ACTOR: &str = "esclusa/migrate";

/// The function.
#[derive(Debug)]
pub struct Migrate {
    journal: Journal,
    ecs: EcsReader,
    runner: TaskRunner,
    logs: LogReader,
    databases: DatabaseReader,
    snapshots: SnapshotTaker,
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
        Ok(Self {
            journal: Journal::new(config, control, ledger),
            ecs: EcsReader::new(config),
            runner: TaskRunner::new(config),
            logs: LogReader::new(config),
            databases: DatabaseReader::new(config),
            snapshots: SnapshotTaker::new(config),
        })
    }

    async fn handle(&self, payload: Value, _invocation: &Invocation) -> Result<Value, Failure> {
        match parse_request(payload)? {
            Request::SecureRestorePoint { deployment_id, step } => {
                self.secure_restore_point(&deployment_id, step).await
            }
            Request::RunTask { deployment_id, step } => self.run_task(&deployment_id, step).await,
            Request::JudgeTask {
                deployment_id,
                task_arn,
                step,
            } => self.judge_task(&deployment_id, task_arn.as_deref(), step).await,
            Request::StopTask {
                deployment_id,
                task_arn,
                step,
            } => self.stop_task(&deployment_id, &task_arn, step).await,
        }
    }
}
