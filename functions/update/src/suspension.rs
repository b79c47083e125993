//! Scaling that is suspended while a service is deployed, and that does not stay so: the deployment restores it when
//! the step is judged, and a sweep restores what one that has ended, or died, has left.

use std::borrow::Cow;

use esclusa_adapters::acts::{AFTERLIFE, Act, Announced};
use esclusa_adapters::control::rows::SuspendedScalingRow;
use esclusa_adapters::control::{Change, Expected, Key, Stored};
use esclusa_adapters::deployments::Work;
use esclusa_adapters::journal::Commit;
use esclusa_core::error::Failure;
use esclusa_core::ledger::{Chain, Draft, RecordKind};
use esclusa_core::plan::PlannedService;
use esclusa_core::scaling::{Suspended, before_suspension, is_to_be_restored, resource_id};
use esclusa_runtime::{Function, Invocation, Round};
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::{ACTOR, Update};

/// The call that suspends and restores.
const ACTION: &str = "application-autoscaling:RegisterScalableTarget";

/// What is left of the time of a sweep when it begins no further look: longer than one takes.
const RESERVE: SignedDuration = SignedDuration::from_secs(8);

/// What is done to the scaling of a service before it is updated.
const SUSPENDED: &str = "suspended";

impl Update {
    /// Suspends the scaling of a service. Whether it is for this deployment to restore.
    pub(crate) async fn suspend(&self, work: &Work, planned: &PlannedService) -> Result<bool, Failure> {
        let PlannedService { cluster, service, .. } = planned;
        let deployment_id = &work.deployment.row.deployment_id;
        let key = Key::suspended_scaling(work.deployment.row.place.as_ref(), cluster, service);
        let stored: Option<Stored<SuspendedScalingRow>> = self.journal.control().get(&key).await?;
        let live = self.scaling.facts(cluster, service).await?;
        if stored.as_ref().is_some_and(|stored| stored.row.is_swept) {
            return Err(Failure::transient(format!(
                "the scaling of `{service}` is being restored after an earlier deployment"
            )));
        }
        let held = stored.as_ref().filter(|stored| stored.row.restored_at.is_none());
        let Some(before) = before_suspension(&live, held.map(|held| held.row.before)) else {
            return Ok(false);
        };
        let row = SuspendedScalingRow {
            deployment_id: deployment_id.clone(),
            name: planned.name.to_string(),
            place: work.deployment.row.place.clone(),
            cluster: cluster.clone(),
            service: service.clone(),
            before,
            restored_at: None,
            is_swept: false,
        };
        let act = act(
            work,
            &row,
            SUSPENDED,
            &json!({"service": planned.name, "suspended": Suspended::ALL}),
        );
        let is_ours = held.is_some_and(|held| held.row.deployment_id == *deployment_id);
        let mut commit = Commit::new();
        if !is_ours {
            commit = commit.change(Change::put(key, &row, Expected::unchanged(stored.as_ref()))?);
        }
        let announced = self.journal.announce(&act, commit).await?;
        match announced {
            Announced::Settled(_) => return Ok(true),
            // A run that comes late: the deployment has restored it, and it must not be suspended again.
            Announced::Before { .. } if !is_ours => {
                return Err(Failure::conflict(format!(
                    "the scaling of `{service}` is not suspended for deployment `{deployment_id}` any more"
                )));
            }
            Announced::Now | Announced::Before { .. } => {}
        }
        if live.suspended != Suspended::ALL
            && let Err(failure) = self.registrar.suspend(cluster, service, Suspended::ALL).await
        {
            let refused = self.journal.settle_refused(&act, &announced, failure, Commit::new());
            return Err(refused.await);
        }
        self.journal
            .settle(&act, &json!({"suspended": true}), Commit::new())
            .await?;
        Ok(true)
    }

    /// Restores what a deployment has suspended.
    pub(crate) async fn restore_scaling(&self, deployment_id: &str) -> Result<Value, Failure> {
        let work = self.journal.work_here(deployment_id).await?;
        for stored in self.suspended().await? {
            if stored.row.deployment_id == deployment_id && stored.row.restored_at.is_none() {
                self.restore(&work, stored).await?;
            }
        }
        Ok(json!({}))
    }

    async fn restore(&self, work: &Work, stored: Stored<SuspendedScalingRow>) -> Result<(), Failure> {
        let row = stored.row;
        let act = act(work, &row, "restored", &restoring(&row));
        let due = self.due(&row).await?;
        let outcome = due.outcome();
        if due == Due::Call {
            // One that was settled and shows as suspended is not shown yet; the sweep looks again.
            let announced = self.journal.announce(&act, Commit::new()).await?;
            if !matches!(announced, Announced::Settled(_)) {
                if let Err(failure) = self.registrar.suspend(&row.cluster, &row.service, row.before).await {
                    let refused = self.journal.settle_refused(&act, &announced, failure, Commit::new());
                    return Err(refused.await);
                }
                self.journal.settle(&act, &outcome, Commit::new()).await?;
            }
        } else if self.journal.is_announced(&act).await? {
            self.journal.settle(&act, &outcome, Commit::new()).await?;
        }
        let key = Key::suspended_scaling(row.place.as_ref(), &row.cluster, &row.service);
        let restored = SuspendedScalingRow {
            restored_at: Some(self.journal.clock().now()?),
            ..row
        };
        let commit = Commit::new().change(Change::put(key, &restored, Expected::Revision(stored.revision))?);
        self.journal.commit(commit).await?.or_failure().map(|_| ())
    }

    /// Looks at everything that is, or was, suspended. Which fails is said, and does not keep the others.
    pub(crate) async fn sweep(&self, invocation: &Invocation) -> Result<Value, Failure> {
        let clock = self.journal.clock();
        let mut round = Round::begin(Self::NAME, invocation, clock.now()?, RESERVE);
        let mut settled = 0_u32;
        for stored in round.in_turn(self.suspended().await?) {
            if !round.has_time(clock.now()?) {
                break;
            }
            let service = stored.row.service.clone();
            let there = match &stored.row.place {
                Some(place) => self.in_place(place).await,
                None => Ok(Cow::Borrowed(self)),
            };
            let looked = match there {
                Ok(there) => there.look_again(stored).await,
                Err(failure) => Err(failure),
            };
            match looked {
                Ok(true) => settled += 1,
                Ok(false) => {}
                Err(failure) => round.failed(&format!("the suspended scaling of `{service}`"), &failure),
            }
        }
        let failed = round.end();
        Ok(json!({"swept": settled, "failed": failed}))
    }

    /// Lets go of one that nobody can suspend any more, restored where its deployment has not done so.
    async fn look_again(&self, stored: Stored<SuspendedScalingRow>) -> Result<bool, Failure> {
        let row = &stored.row;
        let work = self.journal.work_here(&row.deployment_id).await?;
        let now = self.journal.clock().now()?;
        let over_since = row.restored_at.or(work.deployment.row.ended_at);
        if over_since.is_none_or(|since| now.duration_since(since) <= AFTERLIFE) {
            return Ok(false);
        }
        let key = Key::suspended_scaling(row.place.as_ref(), &row.cluster, &row.service);
        let due = self.due(row).await?;
        let is_due = due == Due::Call;
        let mut revision = stored.revision;
        if is_due && !row.is_swept {
            // The chain of the release is closed. That nobody has taken the row over meanwhile is the fence.
            let announced = SuspendedScalingRow {
                is_swept: true,
                ..row.clone()
            };
            let change = Change::put(key.clone(), &announced, Expected::Revision(revision))?;
            let draft = late(&work, row, RecordKind::Intent, &json!({"facts": restoring(row)}))?;
            let commit = Commit::new().change(change).record(&chain(&work), draft);
            self.journal.commit(commit).await?.or_failure()?;
            let written: Stored<SuspendedScalingRow> = self.journal.control().require(&key).await?;
            if written.row != announced {
                return Err(Failure::conflict(format!(
                    "the scaling of `{}` is suspended anew",
                    row.service
                )));
            }
            revision = written.revision;
        }
        if is_due {
            self.registrar.suspend(&row.cluster, &row.service, row.before).await?;
        }
        let mut commit = Commit::new().change(Change::delete(key, revision));
        if is_due || row.is_swept {
            let draft = late(&work, row, RecordKind::Outcome, &json!({"outcome": due.outcome()}))?;
            commit = commit.record(&chain(&work), draft);
        }
        self.journal.commit(commit).await?.or_failure().map(|_| true)
    }

    /// What it takes to restore what was suspended.
    async fn due(&self, row: &SuspendedScalingRow) -> Result<Due, Failure> {
        let live = self.scaling.facts(&row.cluster, &row.service).await?;
        if !is_to_be_restored(&live, row.before) {
            return Ok(Due::Nothing);
        }
        let services = std::slice::from_ref(&row.service);
        let described = self.ecs.describe_services(&row.cluster, services).await?;
        let status = described.found.first().and_then(|service| service.get("status"));
        Ok(match status.and_then(Value::as_str) {
            Some("ACTIVE") => Due::Call,
            _ => Due::Gone,
        })
    }

    async fn suspended(&self) -> Result<Vec<Stored<SuspendedScalingRow>>, Failure> {
        let rows: Vec<(String, Stored<SuspendedScalingRow>)> =
            self.journal.control().all(Key::SUSPENDED_SCALING, "").await?;
        Ok(rows.into_iter().map(|(_, stored)| stored).collect())
    }
}

/// What it takes to restore what was suspended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    /// It is as it was, or as somebody else has made it since.
    Nothing,
    /// A call.
    Call,
    /// The service was deleted: nothing scales it, and how it would scale cannot be registered any more.
    Gone,
}

impl Due {
    /// What is written down once it is done.
    fn outcome(self) -> Value {
        match self {
            Self::Nothing | Self::Call => json!({"restored": true}),
            Self::Gone => json!({"restored": false, "why": "the service was deleted"}),
        }
    }
}

fn restoring(row: &SuspendedScalingRow) -> Value {
    json!({"service": row.name, "suspended": row.before})
}

fn target(row: &SuspendedScalingRow, what: &str) -> String {
    format!("{}/{what}", resource_id(&row.cluster, &row.service))
}

fn act<'a>(work: &'a Work, row: &SuspendedScalingRow, what: &str, facts: &Value) -> Act<'a> {
    Act {
        subject: &work.subject,
        actor: ACTOR,
        deployment: &work.deployment.row,
        // Of no step: whatever became of it, what runs is the same.
        step: None,
        goes_on: what == SUSPENDED,
        action: ACTION,
        target: target(row, what),
        facts: facts.clone(),
    }
}

/// The chain for what is found out about a deployment after its end.
fn chain(work: &Work) -> Chain {
    Chain::application(&work.subject.application)
}

/// The record of an act for a deployment that has ended.
fn late(work: &Work, row: &SuspendedScalingRow, kind: RecordKind, more: &Value) -> Result<Draft, Failure> {
    let act = act(work, row, "restored-later", &Value::Null);
    let mut facts = json!({"action": act.action, "target": act.target, "step": null});
    if let (Some(facts), Some(more)) = (facts.as_object_mut(), more.as_object()) {
        facts.extend(more.clone());
    }
    let mut draft = work.subject.draft(kind, ACTOR, &facts)?;
    draft.intent_id = Some(act.intent_id());
    Ok(draft)
}
