//! What is true about a release in an environment, read: what a card shows.

use esclusa_core::card::{Card, Facts, Standing, Summary, Upstream, approval_expires, card};
use esclusa_core::error::Failure;
use esclusa_core::gate::Vote;
use esclusa_core::pipeline::{Pipeline, ResolvedEnvironment, Windows};
use esclusa_core::quarantine::Quarantine;
use esclusa_core::verdict::Reason;
use esclusa_core::verification::State;
use esclusa_core::wave::before;
use jiff::{SignedDuration, Timestamp};

use crate::control::rows::{DeploymentRow, GatesRow, ReleaseKind, ReleaseRow};
use crate::control::{ControlTable, Key, Repository, Stored};
use crate::gates::{Said, verified_there};

/// How long after it came to the gates a release is shown there: a round looks every minute.
const SHOWN_WITHIN: SignedDuration = SignedDuration::from_mins(1);

/// What is known about a release in an environment.
#[derive(Debug)]
pub struct Known {
    deployment: Option<DeploymentRow>,
    gates: Option<GatesRow>,
    summary: Option<Summary>,
    earlier: Option<Summary>,
    upstream: Option<Vec<Upstream>>,
    votes: Vec<Vote>,
    verification: Option<State>,
    quarantine: Option<Quarantine>,
}

impl Known {
    /// Reads it. `pipeline` is the one that the release began with, and `deployment` its last attempt there.
    ///
    /// # Errors
    /// Those of [`ControlTable::list`].
    pub async fn read(
        control: &ControlTable,
        release: &ReleaseRow,
        pipeline: &Pipeline,
        environment: &str,
        deployment: Option<DeploymentRow>,
    ) -> Result<Self, Failure> {
        let mut known = Self {
            deployment,
            gates: None,
            summary: None,
            earlier: None,
            upstream: None,
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
            known.quarantine = quarantine.filter(|row| row.is_in_force() && row.is_of(id));
        }
        known.gates = gates.map(|stored| stored.row);
        if known.stands_at_gates() {
            known.upstream = upstream(control, release, pipeline, environment).await?;
            known.earlier = earlier(control, deployment).await?;
        }
        known.summary = summary.map(|stored| stored.row);
        known.verification = verification.map(|stored| stored.row);
        Ok(known)
    }

    /// What was seen in the environments before, while it stands at the gates; none where there are none.
    #[must_use]
    pub fn upstream(&self) -> Option<&[Upstream]> {
        self.upstream.as_deref()
    }

    /// What its plan changes.
    #[must_use]
    pub const fn summary(&self) -> Option<&Summary> {
        self.summary.as_ref()
    }

    /// What people said about it.
    #[must_use]
    pub fn votes(&self) -> &[Vote] {
        &self.votes
    }

    /// The card that shows it; none where there is nothing to show.
    #[must_use]
    pub fn card(&self, release: &ReleaseRow, environment: &ResolvedEnvironment) -> Option<Card> {
        let standing = self.standing(release, environment.windows.as_ref())?;
        Some(card(&Facts {
            application: &release.application,
            environment: environment.name.as_str(),
            release_id: &release.release_id,
            tag: &release.tag,
            digest: &release.digest,
            requested_by: (release.kind != ReleaseKind::Push).then_some(release.requested_by.as_str()),
            pushed_by: self
                .deployment
                .as_ref()
                .and_then(|deployment| deployment.pushed_by.as_ref()),
            reason: release.reason.as_deref(),
            is_rollback: release.kind == ReleaseKind::Rollback,
            people: &environment.people,
            plan_hash: self.deployment.as_ref().map(|deployment| deployment.plan_hash.as_str()),
            summary: self.summary.as_ref(),
            earlier: self.earlier.as_ref(),
            upstream: self.upstream.as_deref(),
            standing,
            votes: &self.votes,
            verification: self.verification.as_ref(),
            quarantined: self.quarantine.as_ref().map(|quarantine| quarantine.why.as_str()),
        }))
    }

    /// Whether its plan is made and nothing is started.
    fn stands_at_gates(&self) -> bool {
        self.deployment.as_ref().is_some_and(DeploymentRow::stands_at_gates)
    }

    fn standing<'a>(&'a self, release: &'a ReleaseRow, windows: Option<&'a Windows>) -> Option<Standing<'a>> {
        let Some(deployment) = &self.deployment else {
            // It ended before anything was planned here.
            return release.end.as_ref().map(|end| Standing::Ended {
                end,
                at: release.ended_at,
                asks_again: false,
            });
        };
        Some(match &deployment.end {
            Some(end) => Standing::Ended {
                end,
                at: deployment.ended_at,
                asks_again: release.end.is_none() && end.reason == Reason::PlanChanged,
            },
            None if deployment.stands_at_gates() => {
                let gates = self.gates.as_ref();
                Standing::Gates {
                    reports: gates.map(|gates| gates.reports.as_slice()).unwrap_or_default(),
                    since: gates.map(|gates| gates.since),
                    closed: gates.and_then(|gates| gates.closed.as_ref()),
                    approval: gates.and_then(|gates| gates.approval.as_ref()),
                    removed: gates.map(|gates| gates.removed.as_slice()).unwrap_or_default(),
                    windows,
                }
            }
            None => match deployment.queued_at.filter(|_| deployment.fences.is_empty()) {
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

/// When a release that stands at these gates ends because nobody agreed, or saw to what is asked for, as far as that
/// can be said.
#[must_use]
pub fn expires(gates: &GatesRow, environment: Option<&ResolvedEnvironment>) -> Option<Timestamp> {
    let windows = environment.and_then(|environment| environment.windows.as_ref());
    approval_expires(&gates.reports, gates.since, gates.approval.as_ref()?, windows)
}

/// What the plan of the attempt before changed; none where it is the same plan, which is only asked about again.
async fn earlier(control: &ControlTable, deployment: &DeploymentRow) -> Result<Option<Summary>, Failure> {
    let Some(before) = deployment.attempt.checked_sub(1).filter(|before| *before > 0) else {
        return Ok(None);
    };
    let key = Key::attempt(&deployment.release_id, &deployment.environment, before);
    let Some(before) = control.get::<DeploymentRow>(&key).await? else {
        return Ok(None);
    };
    if before.row.plan_hash == deployment.plan_hash {
        return Ok(None);
    }
    let stored: Option<Stored<Summary>> = control.get(&Key::summary(&before.row.deployment_id)).await?;
    Ok(stored.map(|stored| stored.row))
}

/// What was seen of the image of a release before it comes into an environment, the nearest first: in the environments
/// on its way, and where there are none in those that the pipeline names before this one. By the digest, because it may
/// have come there with another release. None where no environment is before this one.
async fn upstream(
    control: &ControlTable,
    release: &ReleaseRow,
    pipeline: &Pipeline,
    environment: &str,
) -> Result<Option<Vec<Upstream>>, Failure> {
    let mut names = before(&release.environments, &release.waves, environment);
    if names.is_empty() && pipeline.is_named(environment) {
        let wave = pipeline.environment(environment).and_then(|here| here.wave.clone());
        let earlier = pipeline
            .named()
            .take_while(|earlier| earlier.name.as_str() != environment);
        let apart = earlier.filter(|earlier| wave.is_none() || earlier.wave != wave);
        names = apart.map(|earlier| earlier.name.as_str()).collect();
    }
    if names.is_empty() {
        return Ok(None);
    }
    let mut seen = Vec::new();
    for name in names.into_iter().rev() {
        let Some(there) = verified_there(control, release, name).await? else {
            continue;
        };
        let verification: Option<Stored<State>> = control.get(&Key::verification(&there.deployment_id)).await?;
        seen.push(Upstream {
            environment: name.to_owned(),
            release_id: there.release_id,
            since: there.since,
            revoked: there.revoked,
            verification: verification.map(|stored| stored.row),
        });
    }
    Ok(Some(seen))
}
