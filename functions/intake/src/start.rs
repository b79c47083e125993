//! Starting executions: by deterministic name, so that a second start finds the first.

use esclusa_adapters::control::rows::{
    DeploymentRow, MadeEnvironmentRow, OpenDeploymentRow, Progress, ReleasePointerRow, ReleaseRow,
};
use esclusa_adapters::control::{Change, Expected, Key, Stored};
use esclusa_adapters::deployments::Work;
use esclusa_adapters::journal::{Commit, Committed};
use esclusa_adapters::step_functions::{StartOutcome, execution_arn};
use esclusa_core::error::Failure;
use esclusa_core::ledger::{Chain, Draft, RecordKind};
use esclusa_core::pipeline::Pipeline;
use esclusa_runtime::{Function, Invocation, Measure, Round};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::{ACTOR, Intake};

/// What is left of the time of a reconciliation when it begins nothing more: longer than one repository takes to be
/// read.
const RESERVE: SignedDuration = SignedDuration::from_secs(10);

/// How long an environment that was made from a pattern is known when nothing comes into it any more.
const MADE_KEPT: SignedDuration = SignedDuration::from_hours(24 * 90);

/// How old what is known of it may be: rows that change with every push would be in each other's way.
const MADE_FRESH: SignedDuration = SignedDuration::from_hours(24);

impl Intake {
    /// Takes note of the environments among these that are made from a pattern of the pipeline: the file does not name
    /// them.
    pub(crate) async fn made(&self, pipeline: &Pipeline, environments: &[String]) -> Result<Vec<Change>, Failure> {
        let mut changes = Vec::new();
        for name in environments.iter().filter(|name| !pipeline.is_named(name)) {
            let key = Key::made_environment(pipeline.application.as_str(), name);
            let stored: Option<Stored<MadeEnvironmentRow>> = self.control().get(&key).await?;
            let now = self.journal.clock().now()?;
            let is_fresh = |known: &Stored<MadeEnvironmentRow>| now.duration_since(known.row.asked_at) < MADE_FRESH;
            if !stored.as_ref().is_some_and(is_fresh) {
                let row = MadeEnvironmentRow {
                    asked_at: now,
                    expires_at: now.saturating_add(MADE_KEPT).unwrap_or(Timestamp::MAX).as_second(),
                };
                changes.push(Change::put(key, &row, Expected::unchanged(stored.as_ref()))?);
            }
        }
        Ok(changes)
    }

    /// Writes a release down together with `commit`, and starts its execution. A release that is there already is
    /// started again, which finds the first. `None` when another row of `commit` was not as expected: the caller
    /// decides again.
    pub(crate) async fn claim(
        &self,
        release: &ReleaseRow,
        claimed: Draft,
        commit: Commit<'_>,
    ) -> Result<Option<Value>, Failure> {
        let release_id = &release.release_id;
        let key = Key::release(release_id);
        let pointer = ReleasePointerRow {
            release_id: release_id.clone(),
        };
        let listing = Key::release_listing(&release.application, &format!("{:.3}", release.created_at), release_id);
        let commit = commit
            .change(Change::put(key.clone(), release, Expected::Absent)?)
            .change(Change::put(listing, &pointer, Expected::Absent)?)
            .change(Change::put(Key::open_release(release_id), &pointer, Expected::Absent)?)
            .record(&Chain::release(release_id), claimed);
        if let Committed::Lost(_) = self.journal.commit(commit).await? {
            let there: Option<Stored<ReleaseRow>> = self.control().get(&key).await?;
            if there.is_none() {
                return Ok(None);
            }
        }
        self.start_release(release_id).await.map(Some)
    }

    /// Starts the execution of a claimed release, or finds it started.
    pub(crate) async fn start_release(&self, release_id: &str) -> Result<Value, Failure> {
        let outcome = self
            .executions
            .start(
                &self.release_state_machine,
                release_id,
                &json!({"releaseId": release_id}),
            )
            .await?;
        let (StartOutcome::Running { execution_arn } | StartOutcome::AlreadyExists { execution_arn }) = outcome;
        Ok(json!({"releaseId": release_id, "executionArn": execution_arn}))
    }

    /// Starts the execution of a planned deployment, or finds it started. That it is about to start is written down
    /// first: a deployment that nobody started is told from one whose start was not seen.
    pub(crate) async fn start_deployment(&self, deployment_id: &str) -> Result<Value, Failure> {
        // The row proves that the id is one of ours before it becomes the name of an execution.
        let work = self.journal.work(deployment_id).await?;
        let execution_arn = execution_arn(&self.deployment_state_machine, deployment_id)?;
        let answer = json!({"executionArn": execution_arn});
        match work.deployment.row.progress {
            Progress::Claimed => self.about_to_start(&work, &execution_arn).await?,
            // Whoever looks for the execution counts from the last call that may have started it.
            Progress::Started if work.deployment.row.fences.is_empty() => self.start_again(&work).await?,
            Progress::Started => {}
            // It ran and is over, or was concluded before it could start: what has an end is not started again.
            Progress::Ended => return Ok(answer),
        }
        let input = json!({"deploymentId": deployment_id});
        let (StartOutcome::Running { .. } | StartOutcome::AlreadyExists { .. }) = self
            .executions
            .start(&self.deployment_state_machine, deployment_id, &input)
            .await?;
        Ok(answer)
    }

    async fn start_again(&self, work: &Work) -> Result<(), Failure> {
        let row = DeploymentRow {
            started_at: Some(self.journal.clock().now()?),
            ..work.deployment.row.clone()
        };
        let key = Key::deployment(&row.deployment_id);
        let commit = Commit::new().change(Change::put(key, &row, Expected::Revision(work.deployment.revision))?);
        self.journal.commit(commit).await?.or_failure().map(|_| ())
    }

    async fn about_to_start(&self, work: &Work, execution_arn: &str) -> Result<(), Failure> {
        let row = DeploymentRow {
            progress: Progress::Started,
            execution_arn: Some(execution_arn.to_owned()),
            started_at: Some(self.journal.clock().now()?),
            ..work.deployment.row.clone()
        };
        let facts = json!({"execution": execution_arn});
        let draft = work.subject.draft(RecordKind::DeploymentStarted, ACTOR, &facts)?;
        let key = Key::deployment(&row.deployment_id);
        let pointer = OpenDeploymentRow {
            deployment_id: row.deployment_id.clone(),
        };
        let open = Key::open_deployment(&row.deployment_id);
        let commit = Commit::new()
            .change(Change::put(key, &row, Expected::Revision(work.deployment.revision))?)
            .change(Change::put(open, &pointer, Expected::Absent)?)
            .record(&work.subject.chain, draft);
        self.journal.commit(commit).await?.or_failure().map(|_| ())
    }

    /// Makes up for what was lost: starts what was claimed and never started, and claims what was pushed and never
    /// seen. One that fails does not keep the others waiting.
    pub(crate) async fn reconcile(&self, invocation: &Invocation) -> Result<Value, Failure> {
        let clock = self.journal.clock();
        let mut round = Round::begin(Self::NAME, invocation, clock.now()?, RESERVE);
        let open: Vec<(String, Stored<ReleasePointerRow>)> = self.control().all(Key::OPEN_RELEASES, "").await?;
        let mut started = Vec::new();
        for (_, pointer) in round.in_turn(open) {
            if !round.has_time(clock.now()?) {
                break;
            }
            let release_id = pointer.row.release_id;
            let start = match self.journal.release(&release_id).await {
                Ok(release) if release.row.progress != Progress::Claimed => continue,
                Ok(_) => self.start_release(&release_id).await,
                Err(failure) => Err(failure),
            };
            match start {
                Ok(_) => started.push(release_id),
                Err(failure) => round.failed(&format!("the claimed release `{release_id}`"), &failure),
            }
        }
        let found = self.read_registry(&mut round).await?;
        Measure::Found {
            found: "release",
            count: started.len(),
        }
        .emit();
        Measure::Found {
            found: "push",
            count: found.len(),
        }
        .emit();
        let failed = round.end();
        Ok(json!({"started": started, "found": found, "failed": failed}))
    }
}
