//! The beginning and the end of a release.

use esclusa_adapters::acts::Subject;
use esclusa_adapters::control::rows::{AnchorRow, DeploymentRow, Progress, ReleasePointerRow, ReleaseRow};
use esclusa_adapters::control::{Change, Expected, Key, Stored};
use esclusa_adapters::event_bridge::OutgoingEvent;
use esclusa_adapters::journal::{Commit, Committed};
use esclusa_core::error::{ErrorKind, Failure, Reaction};
use esclusa_core::ledger::{Body, Chain, Draft, Head, RecordKind};
use esclusa_core::verdict::{End, EnvironmentEnd, release_end};
use esclusa_core::wave::in_waves;
use esclusa_runtime::Measure;
use serde_json::{Value, json};

use crate::settle::NeverStarted;
use crate::{ACTOR, Record, StateFailure};

impl Record {
    /// Takes note that the execution of a release is at work. A repeat answers the same.
    pub(crate) async fn open_release(&self, release_id: &str, execution_arn: &str) -> Result<Value, Failure> {
        let release = self.journal.release(release_id).await?;
        if release.row.progress == Progress::Claimed {
            let started = ReleaseRow {
                progress: Progress::Started,
                ..release.row.clone()
            };
            let draft = Subject::release(&release.row).draft(
                RecordKind::ReleaseStarted,
                ACTOR,
                &json!({"execution": execution_arn, "environments": release.row.environments, "waves": release.row.waves}),
            )?;
            let commit = Commit::new()
                .change(Change::put(
                    Key::release(release_id),
                    &started,
                    Expected::Revision(release.revision),
                )?)
                .record(&Chain::release(release_id), draft);
            self.journal.commit(commit).await?.or_failure()?;
        }
        // `environments` is what an execution of an earlier definition walks through, one after another.
        Ok(json!({
            "application": release.row.application,
            "environments": release.row.environments,
            "waves": in_waves(&release.row.environments, &release.row.waves),
        }))
    }

    /// The pointer by which a release is found that is not closed.
    pub(crate) async fn pointer(&self, release_id: &str) -> Result<Option<Stored<ReleasePointerRow>>, Failure> {
        self.journal.control().get(&Key::open_release(release_id)).await
    }

    /// Nothing of the release is left to do: no sweep comes back to it.
    async fn no_longer_open(&self, release_id: &str) -> Result<(), Failure> {
        let Some(stored) = self.pointer(release_id).await? else {
            return Ok(());
        };
        let commit = Commit::new().change(Change::delete(Key::open_release(release_id), stored.revision));
        match self.journal.commit(commit).await? {
            // Another run was faster.
            Committed::Lost(_) => Ok(()),
            written => written.or_failure().map(|_| ()),
        }
    }

    /// Concludes a release from the ends of its deployments, anchors the head of its chain in the chain of its
    /// application, and announces the end. Until all of it is done the sweep finds the release.
    pub(crate) async fn close_release(
        &self,
        release_id: &str,
        execution_arn: &str,
        failure: Option<&StateFailure>,
    ) -> Result<Value, Failure> {
        let release = self.journal.release(release_id).await?;
        let end = match &release.row.end {
            Some(end) => end.clone(),
            None => self.end_release(&release, execution_arn, failure).await?,
        };
        let head = self.anchor(&release.row, &end).await?;
        self.notify(&release.row, &end).await?;
        self.no_longer_open(release_id).await?;
        Ok(json!({"verdict": end.verdict, "effect": end.effect, "head": head}))
    }

    async fn end_release(
        &self,
        release: &Stored<ReleaseRow>,
        execution_arn: &str,
        failure: Option<&StateFailure>,
    ) -> Result<End, Failure> {
        let (mut environments, mut unplanned) = (Vec::new(), Vec::new());
        for environment in &release.row.environments {
            let mut deployment = self
                .journal
                .last_deployment(&release.row.release_id, environment)
                .await?;
            if let Some(planned) = deployment.as_ref().filter(|planned| is_only_planned(&planned.row)) {
                // Nobody will start it any more, and nobody shall wait for it.
                let deployment_id = planned.row.deployment_id.clone();
                self.settle_deployment(&deployment_id, NeverStarted::Because(failure))
                    .await?;
                deployment = self
                    .journal
                    .last_deployment(&release.row.release_id, environment)
                    .await?;
            }
            // A plan that is written down meanwhile would be nobody's: then all of it is looked at again.
            let next = deployment.as_ref().map_or(1, |last| last.row.attempt.saturating_add(1));
            unplanned.push(Change::absent(Key::attempt(&release.row.release_id, environment, next)));
            environments.push(EnvironmentEnd {
                environment: environment.clone(),
                started: deployment
                    .as_ref()
                    .is_some_and(|deployment| deployment.row.progress != Progress::Claimed),
                end: deployment.and_then(|deployment| deployment.row.end),
            });
        }
        let cause = failure.map(|failure| {
            let kind = failure.error_kind().unwrap_or(ErrorKind::Transient);
            Failure::new(kind, failure.words())
        });
        let end = release_end(&environments, cause.as_ref());
        let now = self.journal.clock().now()?;
        let ended = ReleaseRow {
            progress: Progress::Ended,
            ended_at: Some(now),
            end: Some(end.clone()),
            ..release.row.clone()
        };
        let draft = Subject::release(&release.row).draft(
            RecordKind::ReleaseEnded,
            ACTOR,
            &json!({"execution": execution_arn, "end": end}),
        )?;
        let commit = Commit::new()
            .change(Change::put(
                Key::release(&release.row.release_id),
                &ended,
                Expected::Revision(release.revision),
            )?)
            .changes(unplanned)
            .record(&Chain::release(&release.row.release_id), draft);
        self.journal.commit(commit).await?.or_failure()?;
        Measure::ReleaseEnded {
            release_id: &release.row.release_id,
            verdict: end.verdict,
            effect: end.effect,
            took: now.duration_since(release.row.created_at),
        }
        .emit();
        Ok(end)
    }

    /// A chain can be cut off at its end without a gap. Its head in another chain shows that.
    async fn anchor(&self, release: &ReleaseRow, end: &End) -> Result<Head, Failure> {
        let key = Key::anchor(&release.release_id);
        if let Some(anchored) = self.journal.control().get::<AnchorRow>(&key).await? {
            return Ok(anchored.row.head);
        }
        let head = self.journal.head(&Chain::release(&release.release_id)).await?;
        let body = Body::new(&json!({"end": end, "head": head}))?;
        let draft = Draft {
            application: Some(release.application.clone()),
            digest: Some(release.digest.clone()),
            release_id: Some(release.release_id.clone()),
            ..Draft::new(RecordKind::ReleaseEnded, ACTOR, body)
        };
        let commit = Commit::new()
            .change(Change::put(
                key.clone(),
                &AnchorRow { head: head.clone() },
                Expected::Absent,
            )?)
            .record(&Chain::application(&release.application), draft);
        match self.journal.commit(commit).await? {
            Committed::Lost(_) => Ok(self.journal.control().require::<AnchorRow>(&key).await?.row.head),
            written => written.or_failure().map(|_| head),
        }
    }

    /// Tells the account's event bus. May be told twice; the release's id tells a repeat.
    async fn notify(&self, release: &ReleaseRow, end: &End) -> Result<(), Failure> {
        let event = OutgoingEvent {
            detail_type: "Esclusa Release Ended".to_owned(),
            detail: json!({
                "releaseId": release.release_id,
                "application": release.application,
                "environments": release.environments,
                "digest": release.digest,
                "tag": release.tag,
                "verdict": end.verdict,
                "effect": end.effect,
                "reason": end.reason,
                "reasons": end.reasons,
            }),
            resources: Vec::new(),
        };
        match self.events.publish(&[event]).await {
            // What nobody could be told is in the ledger; the end of a release does not depend on a listener.
            Err(failure) if failure.kind.reaction() != Reaction::Retry => {
                tracing::error!(
                    release_id = release.release_id,
                    kind = %failure.kind,
                    message = %failure.message,
                    "the end of a release could not be announced"
                );
                Ok(())
            }
            told => told,
        }
    }
}

fn is_only_planned(deployment: &DeploymentRow) -> bool {
    deployment.progress == Progress::Claimed
}
