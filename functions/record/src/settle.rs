//! The end of a deployment for the release that waits for it, also when its execution died before it could write one.

use esclusa_adapters::control::rows::{DeploymentRow, Progress};
use esclusa_adapters::step_functions::Execution;
use esclusa_core::error::Failure;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::{Record, StateFailure};

/// How long a function that an execution invoked may outlive the execution: longer than the longest timeout of a function in `template.yaml`.
const AFTERLIFE: SignedDuration = SignedDuration::from_secs(90);

/// How long the description of an execution may not show one that was started: longer than any read is behind.
const UNSEEN: SignedDuration = SignedDuration::from_secs(120);

impl Record {
    /// Answers how a deployment ended, and concludes it from its rows where nobody else will: its execution is over, or was never started.
    ///
    /// # Errors
    /// `Transient` while its execution may still write the end itself.
    pub(crate) async fn settle_deployment(
        &self,
        deployment_id: &str,
        failure: Option<&StateFailure>,
    ) -> Result<Value, Failure> {
        let work = self.journal.work(deployment_id).await?;
        let deployment = &work.deployment.row;
        if let Some(end) = &deployment.end {
            return Ok(crate::deployment_end::answer(end));
        }
        let execution_arn = deployment.execution_arn.clone().unwrap_or_default();
        let execution = match deployment.progress {
            Progress::Claimed => None,
            Progress::Started | Progress::Ended => self.executions.describe(&execution_arn).await?,
        };
        let died = how_it_died(deployment, execution.as_ref(), self.journal.clock().now()?)?;
        let failures: Vec<StateFailure> = failure.cloned().into_iter().chain(died).collect();
        self.end_deployment(deployment_id, &execution_arn, &failures).await
    }
}

/// What ended an execution that wrote no end; nothing where none was started.
fn how_it_died(
    deployment: &DeploymentRow,
    execution: Option<&Execution>,
    now: Timestamp,
) -> Result<Option<StateFailure>, Failure> {
    let id = &deployment.deployment_id;
    let still = |what: &str| {
        Err(Failure::transient(format!(
            "the end of deployment `{id}` is not written yet: {what}"
        )))
    };
    let since = |then: Timestamp| now.duration_since(then);
    match execution {
        None if deployment.progress == Progress::Claimed => Ok(None),
        // Locks were taken, so it was there.
        None if !deployment.fences.is_empty() && since(deployment.created_at) < SignedDuration::from_hours(24) => {
            still("its execution cannot be seen")
        }
        None if since(deployment.created_at) < UNSEEN => still("its execution may not be seen yet"),
        None => Ok(Some(died("its execution was not started", "StartDeployment"))),
        Some(execution) => match execution.stopped_at {
            None => still("its execution runs"),
            Some(stopped_at) if since(stopped_at) < AFTERLIFE => still("a function of it may still be at work"),
            Some(_) => {
                let words = [execution.error.as_deref(), execution.cause.as_deref()];
                let why: String = words.into_iter().flatten().map(|word| format!(": {word}")).collect();
                let status = execution.status.as_str();
                Ok(Some(died(
                    &format!("its execution ended as `{status}` before the end was written{why}"),
                    "RecordEnd",
                )))
            }
        },
    }
}

fn died(message: &str, state: &str) -> StateFailure {
    StateFailure {
        kind: "ExecutionDied".to_owned(),
        message: message.to_owned(),
        state: state.to_owned(),
        mode: None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use esclusa_core::error::ErrorKind;
    use esclusa_events::ExecutionStatus;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    fn deployment(progress: Progress, holds_locks: bool) -> DeploymentRow {
        let fences = if holds_locks {
            BTreeMap::from([("environment/shop/staging".to_owned(), 1)])
        } else {
            BTreeMap::new()
        };
        DeploymentRow {
            deployment_id: "shop-1-staging-1".to_owned(),
            release_id: "shop-1".to_owned(),
            application: "shop".to_owned(),
            environment: "staging".to_owned(),
            attempt: 1,
            plan_hash: String::new(),
            unchanged: false,
            progress,
            locks: Vec::new(),
            fences,
            execution_arn: None,
            created_at: at(0),
            ended_at: None,
            end: None,
        }
    }

    fn execution(status: &str, stopped: Option<i64>) -> Execution {
        Execution {
            status: ExecutionStatus::from(status.to_owned()),
            started_at: Some(at(1)),
            stopped_at: stopped.map(at),
            output: None,
            error: Some("Stopped".to_owned()),
            cause: None,
        }
    }

    #[test]
    fn only_an_execution_that_can_do_nothing_more_is_concluded_for() {
        let started = deployment(Progress::Started, true);
        let waiting = deployment(Progress::Started, false);
        let running = execution("RUNNING", None);
        let aborted = execution("ABORTED", Some(100));
        let day = 86_400;
        for (deployment, execution, now, expected) in [
            (&deployment(Progress::Claimed, false), None, 1, Ok(None)),
            (&waiting, None, 10, Err(())),
            (&waiting, None, 200, Ok(Some("its execution was not started"))),
            (&started, None, 200, Err(())),
            (&started, None, day, Ok(Some("its execution was not started"))),
            (&started, Some(&running), day, Err(())),
            (&started, Some(&aborted), 110, Err(())),
            (
                &started,
                Some(&aborted),
                191,
                Ok(Some(
                    "its execution ended as `ABORTED` before the end was written: Stopped",
                )),
            ),
        ] {
            let given = how_it_died(deployment, execution, at(now));
            match (given, expected) {
                (Ok(given), Ok(expected)) => {
                    assert_eq!(given.map(|failure| failure.message), expected.map(str::to_owned));
                }
                (Err(failure), Err(())) => assert_eq!(failure.kind, ErrorKind::Transient),
                (given, expected) => panic!("at {now}: {given:?} instead of {expected:?}"),
            }
        }
    }
}
