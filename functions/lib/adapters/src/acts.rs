//! Acts on the outside world: announced before, settled after, and fenced.

use std::collections::BTreeMap;

use esclusa_core::error::{ErrorKind, Failure};
use esclusa_core::gate::Stop;
use esclusa_core::ledger::{Body, Chain, Draft, RecordKind};
use esclusa_core::protocol::intent::{self, Held, Intent, IntentStatus, Open};
use esclusa_core::protocol::lock::Lock;
use esclusa_core::verdict::StepReference;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::control::rows::{DeploymentRow, ReleaseRow};
use crate::control::{Change, Expected, Key, Stored};
use crate::journal::{Commit, Committed, Fence, Journal};

/// What records are about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The chain they belong to.
    pub chain: Chain,
    /// The application.
    pub application: String,
    /// The environment, where it is one.
    pub environment: Option<String>,
    /// The digest of the release.
    pub digest: Option<String>,
    /// The release.
    pub release_id: String,
    /// The deployment, where it is one.
    pub deployment_id: Option<String>,
}

impl Subject {
    /// Records about a release.
    #[must_use]
    pub fn release(release: &ReleaseRow) -> Self {
        Self {
            chain: Chain::release(&release.release_id),
            application: release.application.clone(),
            environment: None,
            digest: Some(release.digest.clone()),
            release_id: release.release_id.clone(),
            deployment_id: None,
        }
    }

    /// Records about a deployment of a release.
    #[must_use]
    pub fn deployment(release: &ReleaseRow, deployment: &DeploymentRow) -> Self {
        Self {
            environment: Some(deployment.environment.clone()),
            deployment_id: Some(deployment.deployment_id.clone()),
            ..Self::release(release)
        }
    }

    /// A draft about this subject.
    ///
    /// # Errors
    /// `Defect` when the facts cannot be written down.
    pub fn draft(&self, kind: RecordKind, actor: &str, facts: &Value) -> Result<Draft, Failure> {
        Ok(Draft {
            application: Some(self.application.clone()),
            environment: self.environment.clone(),
            digest: self.digest.clone(),
            release_id: Some(self.release_id.clone()),
            deployment_id: self.deployment_id.clone(),
            ..Draft::new(kind, actor, Body::new(facts)?)
        })
    }
}

/// How long a function that an execution invoked may outlive the execution: longer than the longest timeout of a
/// function in `template.yaml`.
pub const AFTERLIFE: SignedDuration = SignedDuration::from_secs(90);

/// One act, as it is announced.
#[derive(Debug, Clone)]
pub struct Act<'a> {
    /// What its records are about.
    pub subject: &'a Subject,
    /// Who acts, such as `esclusa/update`.
    pub actor: &'static str,
    /// The deployment that acts, with its locks.
    pub deployment: &'a DeploymentRow,
    /// The step it belongs to; none for what changes nothing that runs.
    pub step: Option<StepReference>,
    /// Whether it brings the deployment on, so that it is not begun any more once the release is stopped.
    pub goes_on: bool,
    /// In IAM's spelling, such as `ecs:UpdateService`.
    pub action: &'static str,
    /// What it is aimed at.
    pub target: String,
    /// What will be asked for. No secret, and no value of an environment variable.
    pub facts: Value,
}

/// The row of an intent, with when it was opened: a token of ECS does not live for ever.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IntentRow {
    /// The intent.
    #[serde(flatten)]
    pub intent: Intent,
    /// When it was announced.
    pub opened_at: Timestamp,
}

/// The pointer by which the sweeper finds an open intent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenIntentRow {
    /// The deployment.
    pub deployment_id: String,
    /// The intent.
    pub intent_id: String,
    /// When it was announced.
    pub opened_at: Timestamp,
}

/// What announcing an act comes to.
#[derive(Debug, Clone, PartialEq)]
#[must_use = "an act goes on only from here"]
pub enum Announced {
    /// It is announced for the first time: act.
    Now,
    /// It was announced before and nobody knows whether it was done: compare with the truth, then act.
    Before {
        /// When it was announced.
        opened_at: Timestamp,
    },
    /// It was done, and this came of it: do not act.
    Settled(Value),
}

impl Act<'_> {
    /// The id of the announcement: the same for the same act of the same attempt.
    #[must_use]
    pub fn intent_id(&self) -> String {
        intent::intent_id(&self.deployment.deployment_id, self.step, self.action, &self.target)
    }

    fn intent(&self, sequence: u64) -> Intent {
        Intent {
            status: IntentStatus::Open,
            step: self.step,
            action: self.action.to_owned(),
            target: self.target.clone(),
            chain: self.subject.chain.clone(),
            sequence,
            is_taken_up: false,
            outcome: None,
        }
    }

    fn key(&self) -> Key {
        Key::intent(&self.deployment.deployment_id, &self.intent_id())
    }

    fn open_key(&self) -> Key {
        Key::open_intent(&self.deployment.deployment_id, &self.intent_id())
    }
}

/// The locks of a deployment, as a commit must find them.
#[must_use]
pub fn fences(deployment: &DeploymentRow) -> Vec<Fence> {
    fences_of(
        &deployment.fences,
        deployment.execution_arn.as_deref().unwrap_or_default(),
    )
}

fn fences_of(fences: &BTreeMap<String, u64>, owner: &str) -> Vec<Fence> {
    fences
        .iter()
        .map(|(lock, fence)| Fence {
            lock: lock.clone(),
            owner: owner.to_owned(),
            fence: *fence,
        })
        .collect()
}

impl Journal {
    /// Announces an act together with the rows that say what it is about to change, or finds that it was announced
    /// before. No act without this.
    ///
    /// # Errors
    /// `FenceLost` when a lock of the deployment is gone; `Stopped` when the act goes on and the release is stopped;
    /// `Conflict` when a row of `commit` was not as expected; otherwise those of [`Journal::commit`].
    pub async fn announce(&self, act: &Act<'_>, commit: Commit<'_>) -> Result<Announced, Failure> {
        let stored: Option<Stored<IntentRow>> = self.control().get(&act.key()).await?;
        let locks = self.locks(act.deployment).await?;
        let owner = act.deployment.execution_arn.as_deref().unwrap_or_default();
        let held: Vec<Held<'_>> = locks
            .iter()
            .map(|(lock, fence)| Held {
                lock: lock.as_ref(),
                fence: *fence,
            })
            .collect();
        let opened = intent::open(
            &held,
            owner,
            stored.as_ref().map(|stored| &stored.row.intent),
            act.intent(0),
        )?;
        match (opened, stored) {
            (Open::Settled { outcome }, _) => settled(&outcome),
            (Open::TakeUp { intent, .. }, Some(stored)) => self.take_up(act, stored, intent.row).await,
            (Open::FindOut, Some(stored)) => Ok(Announced::Before {
                opened_at: stored.row.opened_at,
            }),
            _ if held.is_empty() => Err(Failure::fence_lost(format!(
                "deployment `{}` holds no lock",
                act.deployment.deployment_id
            ))),
            (Open::Write { .. } | Open::TakeUp { .. } | Open::FindOut, _) => self.open(act, commit).await,
        }
    }

    /// Says in the row of an act that another run than that which announced it is at it.
    async fn take_up(
        &self,
        act: &Act<'_>,
        announced: Stored<IntentRow>,
        taken_up: Intent,
    ) -> Result<Announced, Failure> {
        let opened_at = announced.row.opened_at;
        let row = IntentRow {
            intent: taken_up,
            opened_at,
        };
        let expected = Expected::Revision(announced.revision);
        let commit = Commit::new()
            .fenced(fences(act.deployment))
            .change(Change::put(act.key(), &row, expected)?);
        // Lost to a run that took it up or settled it at the same time: the next one reads which.
        self.commit(commit).await?.or_failure()?;
        Ok(Announced::Before { opened_at })
    }

    /// That a release is not stopped.
    ///
    /// # Errors
    /// `Stopped` when it is; otherwise those of [`ControlTable::get`](crate::control::ControlTable::get).
    pub async fn unless_stopped(&self, release_id: &str) -> Result<(), Failure> {
        match self.stop(release_id).await? {
            None => Ok(()),
            Some(Stop { by, reason, .. }) => Err(Failure::stopped(format!(
                "release `{release_id}` was stopped by `{by}`: {reason}"
            ))),
        }
    }

    /// That a release stops, where somebody has ordered it.
    ///
    /// # Errors
    /// Those of [`ControlTable::get`](crate::control::ControlTable::get).
    pub async fn stop(&self, release_id: &str) -> Result<Option<Stop>, Failure> {
        let stored: Option<Stored<Stop>> = self.control().get(&Key::stop(release_id)).await?;
        Ok(stored.map(|stored| stored.row))
    }

    /// Whether an act was announced before, whatever became of it.
    ///
    /// # Errors
    /// Those of [`ControlTable::get`](crate::control::ControlTable::get).
    pub async fn is_announced(&self, act: &Act<'_>) -> Result<bool, Failure> {
        Ok(self.control().get::<IntentRow>(&act.key()).await?.is_some())
    }

    /// The locks that a deployment was given, as they stand now.
    async fn locks(&self, deployment: &DeploymentRow) -> Result<Vec<(Option<Lock>, u64)>, Failure> {
        let mut locks = Vec::new();
        for (name, fence) in &deployment.fences {
            let stored: Option<Stored<Lock>> = self.control().get(&Key::lock(name)).await?;
            locks.push((stored.map(|stored| stored.row), *fence));
        }
        Ok(locks)
    }

    async fn open(&self, act: &Act<'_>, commit: Commit<'_>) -> Result<Announced, Failure> {
        let opened_at = self.clock().now()?;
        let intent_id = act.intent_id();
        let mut draft = act.subject.draft(
            RecordKind::Intent,
            act.actor,
            &json!({"action": act.action, "target": act.target, "step": act.step, "facts": act.facts}),
        )?;
        draft.intent_id = Some(intent_id.clone());
        let pointer = OpenIntentRow {
            deployment_id: act.deployment.deployment_id.clone(),
            intent_id,
            opened_at,
        };
        // In the transaction of the announcement: from the moment of a stop nothing more is begun.
        let unless_stopped = act
            .goes_on
            .then(|| Change::absent(Key::stop(&act.deployment.release_id)));
        let commit = commit
            .fenced(fences(act.deployment))
            .changes(unless_stopped)
            .record(&act.subject.chain, draft)
            .change(Change::put(act.open_key(), &pointer, Expected::Absent)?)
            .change_with(|records| {
                let sequence = records.last().map_or(0, |record| record.sequence);
                Change::put(
                    act.key(),
                    &IntentRow {
                        intent: act.intent(sequence),
                        opened_at,
                    },
                    Expected::Absent,
                )
            });
        match self.commit(commit).await? {
            lost @ Committed::Lost(_) => {
                // Where the act is announced, a run of it at the same time was faster, and the next one takes it up.
                if act.goes_on && !self.is_announced(act).await? {
                    self.unless_stopped(&act.deployment.release_id).await?;
                }
                Err(match lost.or_failure() {
                    Err(failure) => failure,
                    Ok(_) => Failure::defect("a lost commit was written"),
                })
            }
            written => written.or_failure().map(|_| Announced::Now),
        }
    }

    /// Settles an act whose only call AWS refused, so that it is known to have moved nothing, and answers the failure.
    /// Any other failure leaves the act open, as does the refusal of a repeat, which says nothing about the call before
    /// it. Where another run has taken the act up meanwhile, the answer is a `Conflict`: the next run finds out.
    pub async fn settle_refused(
        &self,
        act: &Act<'_>,
        announced: &Announced,
        failure: Failure,
        commit: Commit<'_>,
    ) -> Failure {
        if *announced != Announced::Now || !matches!(failure.kind, ErrorKind::Refused | ErrorKind::AccessDenied) {
            return failure;
        }
        match self.close_refused(act, &failure, commit).await {
            Ok(()) => failure,
            Err(unsettled) => unsettled,
        }
    }

    /// Settles an act that is given up, because the world shows that no call of it did anything, and answers why.
    pub async fn settle_given_up(&self, act: &Act<'_>, failure: Failure) -> Failure {
        match self.settle(act, &refused(&failure), Commit::new()).await {
            Ok(_) => failure,
            Err(unsettled) => unsettled,
        }
    }

    async fn close_refused(&self, act: &Act<'_>, failure: &Failure, commit: Commit<'_>) -> Result<(), Failure> {
        let stored = self.control().require::<IntentRow>(&act.key()).await?;
        let outcome = refused(failure);
        match intent::close_refused(Some(&stored.row.intent), &outcome.to_string())? {
            Some(write) => self.close(act, stored, write.row, &outcome, commit).await,
            None => Ok(()),
        }
    }

    /// Writes down what came of an act, together with the rows that follow from it, and answers what is written: where
    /// that was done before, the outcome from then.
    ///
    /// # Errors
    /// `Conflict` when a row was not as expected; `Defect` when nobody announced the act; otherwise those of
    /// [`Journal::commit`].
    pub async fn settle(&self, act: &Act<'_>, outcome: &Value, commit: Commit<'_>) -> Result<Value, Failure> {
        let stored = self.control().require::<IntentRow>(&act.key()).await?;
        if let Some(recorded) = &stored.row.intent.outcome {
            return parsed(recorded);
        }
        if let Some(write) = intent::close(Some(&stored.row.intent), &outcome.to_string())? {
            self.close(act, stored, write.row, outcome, commit).await?;
        }
        Ok(outcome.clone())
    }

    /// Writes the row of an act with its outcome, the record of it, and the rows that follow from it.
    async fn close(
        &self,
        act: &Act<'_>,
        stored: Stored<IntentRow>,
        closed: Intent,
        outcome: &Value,
        commit: Commit<'_>,
    ) -> Result<(), Failure> {
        let draft = closing(act.subject, act.actor, &act.intent_id(), &closed, outcome)?;
        let row = IntentRow {
            intent: closed,
            opened_at: stored.row.opened_at,
        };
        let commit = commit.record(&act.subject.chain, draft).change(Change::put(
            act.key(),
            &row,
            Expected::Revision(stored.revision),
        )?);
        let commit = self.without_pointer(act.open_key(), commit).await?;
        self.commit(commit).await?.or_failure().map(|_| ())
    }

    /// Writes down what the world shows of an act of a deployment that has ended without its outcome. The chain of its
    /// release is closed and anchored, so the record goes into that of the application. Nothing is written where
    /// the outcome is there.
    ///
    /// # Errors
    /// `Conflict` when somebody else wrote the row; otherwise those of [`Journal::commit`].
    pub async fn settle_late(
        &self,
        subject: &Subject,
        actor: &str,
        pointer: &OpenIntentRow,
        outcome: &Value,
    ) -> Result<(), Failure> {
        let OpenIntentRow {
            deployment_id,
            intent_id,
            ..
        } = pointer;
        let key = Key::intent(deployment_id, intent_id);
        let stored = self.control().require::<IntentRow>(&key).await?;
        let mut commit = Commit::new();
        if stored.row.intent.status == IntentStatus::Open
            && let Some(write) = intent::close(Some(&stored.row.intent), &outcome.to_string())?
        {
            let draft = closing(subject, actor, intent_id, &write.row, outcome)?;
            let row = IntentRow {
                intent: write.row,
                opened_at: stored.row.opened_at,
            };
            commit = commit
                .record(&Chain::application(&subject.application), draft)
                .change(Change::put(key, &row, Expected::Revision(stored.revision))?);
        }
        let commit = self
            .without_pointer(Key::open_intent(deployment_id, intent_id), commit)
            .await?;
        self.commit(commit).await?.or_failure().map(|_| ())
    }

    /// Takes the pointer of an intent out, where it is there.
    async fn without_pointer<'a>(&self, key: Key, commit: Commit<'a>) -> Result<Commit<'a>, Failure> {
        Ok(match self.control().get::<OpenIntentRow>(&key).await? {
            Some(pointer) => commit.change(Change::delete(key, pointer.revision)),
            None => commit,
        })
    }
}

/// The record of an outcome.
fn closing(
    subject: &Subject,
    actor: &str,
    intent_id: &str,
    intent: &Intent,
    outcome: &Value,
) -> Result<Draft, Failure> {
    let facts = json!({"action": intent.action, "target": intent.target, "step": intent.step, "outcome": outcome});
    let mut draft = subject.draft(RecordKind::Outcome, actor, &facts)?;
    draft.intent_id = Some(intent_id.to_owned());
    Ok(draft)
}

/// The outcome of an act that was refused.
fn refused(failure: &Failure) -> Value {
    json!({"refused": failure})
}

/// An act that was done, or refused: then the refusal holds for every repeat.
fn settled(outcome: &str) -> Result<Announced, Failure> {
    let outcome = parsed(outcome)?;
    match outcome.get("refused").cloned().map(serde_json::from_value::<Failure>) {
        None => Ok(Announced::Settled(outcome)),
        Some(Ok(refused)) => Err(refused),
        Some(Err(error)) => Err(Failure::defect(format!(
            "the refusal of an act cannot be read: {error}"
        ))),
    }
}

fn parsed(outcome: &str) -> Result<Value, Failure> {
    serde_json::from_str(outcome)
        .map_err(|error| Failure::defect(format!("the outcome of an act is not JSON: {error}")))
}
