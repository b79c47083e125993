//! What is true about a release in an environment, read.

use esclusa_adapters::control::rows::{DeploymentRow, GatesRow, Progress, ReleaseKind, ReleaseRow};
use esclusa_adapters::control::{ControlTable, Key, Repository, Stored};
use esclusa_adapters::gates::Said;
use esclusa_core::card::{Card, Facts, Standing, Summary, card};
use esclusa_core::error::Failure;
use esclusa_core::gate::Vote;
use esclusa_core::pipeline::ResolvedEnvironment;
use esclusa_core::quarantine::Quarantine;
use esclusa_core::verdict::Reason;
use esclusa_core::verification::State;
use jiff::SignedDuration;

/// How long after it came to the gates a release is shown there: a round looks every minute.
const SHOWN_WITHIN: SignedDuration = SignedDuration::from_mins(1);

/// What is known about a release in an environment.
#[derive(Debug)]
pub(crate) struct Known {
    deployment: Option<DeploymentRow>,
    gates: Option<GatesRow>,
    summary: Option<Summary>,
    votes: Vec<Vote>,
    verification: Option<State>,
    quarantine: Option<Quarantine>,
}

impl Known {
    /// Reads it.
    ///
    /// # Errors
    /// Those of [`ControlTable::get`].
    pub(crate) async fn read(
        control: &ControlTable,
        release: &ReleaseRow,
        environment: &str,
        deployment: Option<DeploymentRow>,
    ) -> Result<Self, Failure> {
        let mut known = Self {
            deployment,
            gates: None,
            summary: None,
            votes: Vec::new(),
            verification: None,
            quarantine: None,
        };
        let Some(deployment) = &known.deployment else {
            return Ok(known);
        };
        let id = &deployment.deployment_id;
        let gates: Option<Stored<GatesRow>> = control.get(&Key::gates(id)).await?;
        let summary: Option<Stored<Summary>> = control.get(&Key::summary(id)).await?;
        let verification: Option<Stored<State>> = control.get(&Key::verification(id)).await?;
        known.votes = Said::votes(control, &release.release_id, environment).await?;
        if deployment.end.is_some() {
            let repository = Repository {
                account: &release.account,
                region: &release.region,
                name: &release.repository,
            };
            let key = Key::quarantine(repository, &release.digest);
            let quarantine: Option<Stored<Quarantine>> = control.get(&key).await?;
            let quarantine = quarantine.map(|stored| stored.row);
            // What another release brought about is told with that one.
            known.quarantine = quarantine.filter(|row| row.is_in_force() && row.deployment_id == *id);
        }
        known.gates = gates.map(|stored| stored.row);
        known.summary = summary.map(|stored| stored.row);
        known.verification = verification.map(|stored| stored.row);
        Ok(known)
    }

    /// The card that shows it; none where there is nothing to show.
    pub(crate) fn card(&self, release: &ReleaseRow, environment: &ResolvedEnvironment) -> Option<Card> {
        let standing = self.standing(release)?;
        Some(card(&Facts {
            application: &release.application,
            environment: environment.name.as_str(),
            release_id: &release.release_id,
            tag: &release.tag,
            digest: &release.digest,
            requested_by: (release.kind != ReleaseKind::Push).then_some(release.requested_by.as_str()),
            reason: release.reason.as_deref(),
            is_rollback: release.kind == ReleaseKind::Rollback,
            people: &environment.people,
            plan_hash: self.deployment.as_ref().map(|deployment| deployment.plan_hash.as_str()),
            summary: self.summary.as_ref(),
            standing,
            votes: &self.votes,
            verification: self.verification.as_ref(),
            quarantined: self.quarantine.as_ref().map(|quarantine| quarantine.why.as_str()),
        }))
    }

    fn standing<'a>(&'a self, release: &'a ReleaseRow) -> Option<Standing<'a>> {
        let Some(deployment) = &self.deployment else {
            // It ended before anything was planned here.
            return release.end.as_ref().map(|end| Standing::Ended {
                end,
                at: release.ended_at,
                asks_again: false,
            });
        };
        Some(match (&deployment.end, deployment.progress) {
            (Some(end), _) => Standing::Ended {
                end,
                at: deployment.ended_at,
                asks_again: release.end.is_none() && end.reason == Reason::PlanChanged,
            },
            (None, Progress::Claimed) if deployment.execution_arn.is_none() => {
                let gates = self.gates.as_ref();
                Standing::Gates {
                    reports: gates.map(|gates| gates.reports.as_slice()).unwrap_or_default(),
                    since: gates.map(|gates| gates.since),
                    closed: gates.and_then(|gates| gates.closed.as_ref()),
                    approval: gates.and_then(|gates| gates.approval.as_ref()),
                }
            }
            (None, _) => match deployment.queued_at.filter(|_| deployment.fences.is_empty()) {
                Some(since) => Standing::Queued { since },
                None => Standing::UnderWay {
                    since: deployment.started_at,
                    has_waited: self.has_waited(deployment),
                },
            },
        })
    }

    /// Whether it stood at the gates for long enough that people were shown so.
    fn has_waited(&self, deployment: &DeploymentRow) -> bool {
        let waited = self.gates.as_ref().zip(deployment.started_at);
        waited.is_some_and(|(gates, started_at)| started_at.duration_since(gates.since) > SHOWN_WITHIN)
    }
}
