//! Ends for executions that cannot write their own: the release concludes for its deployment, and an event or the sweep
//! for both.

use esclusa_adapters::acts::AFTERLIFE;
use esclusa_adapters::control::rows::{
    DeploymentRow, OpenDeploymentRow, Progress, QuarantinedLockRow, ReleasePointerRow, ReleaseRow,
};
use esclusa_adapters::control::{Key, Stored};
use esclusa_adapters::step_functions::Execution;
use esclusa_core::error::Failure;
use esclusa_core::task_definition::masked_text;
use esclusa_events::StepFunctionsExecutionStatusChange;
use esclusa_runtime::{Function, Invocation, Measure, Round};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::{Record, StateFailure};

/// How long the description of an execution may not show one that is about to be started: longer than any read is
/// behind.
const UNSEEN: SignedDuration = SignedDuration::from_secs(120);

/// How long the description of an execution that was at work may not show it. After 90 days Step Functions forgets it
/// for good.
const INVISIBLE: SignedDuration = SignedDuration::from_hours(24);

/// How long whoever has written the end of a release is left alone to close it.
const CLOSING: SignedDuration = SignedDuration::from_secs(60);

/// What is left of the time of a sweep when it concludes no further end: longer than one takes.
const RESERVE: SignedDuration = SignedDuration::from_secs(10);

/// How much is kept of what an execution says about its end.
const WHY_CHARACTERS: usize = 500;

/// What is known about a deployment whose execution nobody can see.
#[derive(Debug, Clone, Copy)]
pub(crate) enum NeverStarted<'a> {
    /// Its release may still start it.
    MayBe,
    /// Its release does not start it any more, for this reason if there is one.
    Because(Option<&'a StateFailure>),
}

impl Record {
    /// Answers how a deployment ended, and concludes it from its rows where nobody else will: its execution is over, or
    /// was never started. Only its release can say that nobody will start it any more, and why: `never_started`.
    ///
    /// # Errors
    /// `Transient` while its execution may still write the end itself.
    pub(crate) async fn settle_deployment(
        &self,
        deployment_id: &str,
        never_started: NeverStarted<'_>,
    ) -> Result<Value, Failure> {
        let work = self.journal.work(deployment_id).await?;
        let deployment = &work.deployment.row;
        if let Some(end) = &deployment.end {
            return Ok(crate::deployment_end::answer(end));
        }
        let execution_arn = deployment.execution_arn.as_deref();
        let execution = match execution_arn {
            None => None,
            Some(execution_arn) => self.executions.describe(execution_arn).await?,
        };
        let now = self.journal.clock().now()?;
        let last_seen_by = deployment.started_at.unwrap_or(deployment.created_at);
        let since = now.duration_since(last_seen_by);
        let may_come = match (never_started, deployment.progress) {
            (NeverStarted::MayBe, _) => true,
            (NeverStarted::Because(_), Progress::Claimed) => false,
            // Locks were taken, so it was there.
            (NeverStarted::Because(_), _) if !deployment.fences.is_empty() => since < INVISIBLE,
            (NeverStarted::Because(_), _) => since < UNSEEN,
        };
        let died = how_it_died(execution.as_ref(), may_come, now)?;
        let failures: Vec<StateFailure> = match (execution, never_started) {
            (None, NeverStarted::Because(failure)) => failure.cloned().into_iter().collect(),
            _ => Vec::new(),
        };
        self.end_deployment(deployment_id, execution_arn, &failures, Some(died.cause()))
            .await
    }

    /// Closes a release whose execution is over without having closed it, or in the middle of that. What it started is
    /// concluded first.
    ///
    /// # Errors
    /// `Transient` while its execution, or a deployment of it, may still write an end.
    async fn settle_release(&self, release_id: &str) -> Result<(), Failure> {
        let release: Stored<ReleaseRow> = self.journal.release(release_id).await?;
        let release = release.row;
        if release.end.is_some() {
            let now = self.journal.clock().now()?;
            let ended_at = release.ended_at.unwrap_or(release.created_at);
            // Whoever wrote its end may still be at it.
            if now.duration_since(ended_at) > CLOSING && self.pointer(release_id).await?.is_some() {
                self.close_release(release_id, &release.execution_arn, None).await?;
            }
            return Ok(());
        }
        let execution = self.executions.describe(&release.execution_arn).await?;
        // A release that was never started is started by the reconciliation, however old it is.
        let now = self.journal.clock().now()?;
        let may_come = release.progress == Progress::Claimed || now.duration_since(release.created_at) < INVISIBLE;
        let died = how_it_died(execution.as_ref(), may_come, now)?;
        for environment in &release.environments {
            let deployment = self.journal.last_deployment(release_id, environment).await?;
            if let Some(deployment) = deployment.filter(|deployment| is_at_work(&deployment.row)) {
                self.settle_deployment(&deployment.row.deployment_id, NeverStarted::Because(None))
                    .await?;
            }
        }
        self.close_release(release_id, &release.execution_arn, Some(&died))
            .await
            .map(|_| ())
    }

    /// Concludes for every execution that is over and wrote no end. One that cannot be concluded does not keep the
    /// others waiting.
    pub(crate) async fn sweep(&self, invocation: &Invocation) -> Result<Value, Failure> {
        let (control, clock) = (self.journal.control(), self.journal.clock());
        let mut round = Round::begin(Self::NAME, invocation, clock.now()?, RESERVE);
        let quarantined: Vec<(String, Stored<QuarantinedLockRow>)> = control.all(Key::QUARANTINED_LOCKS, "").await?;
        Measure::Quarantined {
            locks: quarantined.len(),
        }
        .emit();
        let deployments: Vec<(String, Stored<OpenDeploymentRow>)> = control.all(Key::OPEN_DEPLOYMENTS, "").await?;
        let mut found = Found::default();
        for (_, open) in round.in_turn(deployments) {
            if !round.has_time(clock.now()?) {
                break;
            }
            let deployment_id = &open.row.deployment_id;
            let settled = self.settle_deployment(deployment_id, NeverStarted::MayBe).await;
            found.count(deployment_id, settled.map(|_| ()), &mut round);
        }
        let releases: Vec<(String, Stored<ReleasePointerRow>)> = control.all(Key::OPEN_RELEASES, "").await?;
        for (_, open) in round.in_turn(releases) {
            if !round.has_time(clock.now()?) {
                break;
            }
            let release_id = &open.row.release_id;
            found.count(release_id, self.settle_release(release_id).await, &mut round);
        }
        let Found { open, settled } = found;
        Measure::Found {
            found: "end",
            count: settled,
        }
        .emit();
        let failed = round.end();
        Ok(json!({"open": open, "settled": settled, "failed": failed}))
    }

    /// An execution of ours is over: whoever it was concludes now what it left, if it left anything.
    ///
    /// # Errors
    /// `Transient` while a function of a deployment may still be at work: the event is then delivered again, and the
    /// sweep comes by. A release may have to wait for a deployment of hours, which only the sweep does.
    pub(crate) async fn execution_changed(
        &self,
        change: &StepFunctionsExecutionStatusChange,
    ) -> Result<Value, Failure> {
        let name = change.execution_arn.rsplit(':').next().unwrap_or_default();
        let is_deployment = self
            .journal
            .control()
            .get::<DeploymentRow>(&Key::deployment(name))
            .await?
            .is_some();
        if is_deployment {
            return self.settle_deployment(name, NeverStarted::MayBe).await;
        }
        match self.settle_release(name).await {
            Ok(()) => Ok(json!({})),
            Err(failure) if failure.kind.is_retryable() => Ok(json!({"open": failure.message})),
            Err(failure) => Err(failure),
        }
    }
}

/// What a sweep found.
#[derive(Default)]
struct Found {
    open: usize,
    settled: usize,
}

impl Found {
    fn count(&mut self, id: &str, settled: Result<(), Failure>, round: &mut Round) {
        match settled {
            Ok(()) => self.settled = self.settled.saturating_add(1),
            Err(failure) if failure.kind.is_retryable() => self.open = self.open.saturating_add(1),
            Err(failure) => round.failed(&format!("the end of `{id}`"), &failure),
        }
    }
}

fn is_at_work(deployment: &DeploymentRow) -> bool {
    deployment.progress == Progress::Started && deployment.end.is_none()
}

/// What ended an execution that wrote no end. An execution that `may_come` is not seen yet.
fn how_it_died(execution: Option<&Execution>, may_come: bool, now: Timestamp) -> Result<StateFailure, Failure> {
    let still = |what: &str| Err(Failure::transient(format!("the end is not written yet: {what}")));
    match execution {
        None if may_come => still("the execution cannot be seen"),
        None => Ok(died("its execution cannot be found", "StartDeployment")),
        Some(execution) => match execution.stopped_at {
            None => still("the execution runs"),
            Some(stopped_at) if now.duration_since(stopped_at) < AFTERLIFE => {
                still("a function of the execution may still be at work")
            }
            Some(_) => {
                let words = [execution.error.as_deref(), execution.cause.as_deref()];
                let why: String = words.into_iter().flatten().map(|word| format!(": {word}")).collect();
                // Whoever stopped it may have written anything.
                let why: String = masked_text(&why).chars().take(WHY_CHARACTERS).collect();
                let status = execution.status.as_str();
                Ok(died(
                    &format!("its execution ended as `{status}` before the end was written{why}"),
                    "RecordEnd",
                ))
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
    use esclusa_core::error::ErrorKind;
    use esclusa_events::ExecutionStatus;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
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
        let running = execution("RUNNING", None);
        let aborted = execution("ABORTED", Some(100));
        for (execution, may_come, now, expected) in [
            (None, true, 1, None),
            (None, false, 1, Some("its execution cannot be found")),
            (Some(&running), false, 86_400, None),
            (Some(&aborted), false, 110, None),
            (
                Some(&aborted),
                true,
                191,
                Some("its execution ended as `ABORTED` before the end was written: Stopped"),
            ),
        ] {
            let given = how_it_died(execution, may_come, at(now));
            match (given, expected) {
                (Ok(given), Some(expected)) => assert_eq!(given.message, expected),
                (Err(failure), None) => assert_eq!(failure.kind, ErrorKind::Transient),
                (given, expected) => panic!("at {now}: {given:?} instead of {expected:?}"),
            }
        }
    }

    #[test]
    fn one_that_cannot_be_concluded_does_not_hide_the_others() {
        let mut found = Found::default();
        let invocation = Invocation {
            request_id: "r-1".to_owned(),
            function_arn: "arn".to_owned(),
            deadline: at(30),
            trace_id: None,
        };
        let mut round = Round::begin(Record::NAME, &invocation, at(0), RESERVE);
        found.count("a", Ok(()), &mut round);
        found.count("b", Err(Failure::access_denied("denied")), &mut round);
        found.count("c", Err(Failure::transient("runs")), &mut round);
        found.count("d", Ok(()), &mut round);
        assert_eq!((found.open, found.settled, round.end()), (1, 2, 1));
    }
}
