//! What has happened about a release that stands at the gates of an environment: what people have said, and who else
//! comes there.

use std::collections::BTreeMap;

use esclusa_core::canonical::canonical_sha256;
use esclusa_core::error::Failure;
use esclusa_core::gate::{Acknowledged, Approvers, Companion, FailedUpstream, Order, Pin, Stands, Stop, Vote};
use esclusa_core::pipeline::{Approval, People, Tag};
use esclusa_core::quarantine::Quarantine;
use esclusa_core::supersession::{Asked, Rival};
use esclusa_core::wave::before;
use serde_json::json;

use crate::control::rows::{
    DeploymentPointerRow, DeploymentRow, EnvironmentRow, GatesRow, PipelineCurrentRow, ReleaseRow, SeenTagRow,
    TogetherRow,
};
use crate::control::{ControlTable, Key, Repository, Stored};
use crate::planning::{digest_in_force, pipeline_version};

/// What stands for all applications, and for all environments of one.
pub const EVERYTHING: &str = "*";

/// How many of the newest verified states of an environment are looked back upon.
pub const HISTORY: usize = 50;

/// Who may agree as a version of the pipeline says.
#[derive(Debug, Clone, Default)]
pub struct Electorate {
    /// The people of that version.
    pub people: People,
    /// Who must agree before something comes into the environment; nobody where it does not say.
    pub approval: Option<Approval>,
}

impl Electorate {
    /// What the version says that is in force now.
    ///
    /// # Errors
    /// `Refused` when this program does not take it any more; otherwise those of [`ControlTable::get`].
    pub async fn now(control: &ControlTable, application: &str, environment: &str) -> Result<Self, Failure> {
        let current: Stored<PipelineCurrentRow> = control.require(&Key::pipeline_current(application)).await?;
        Self::of(control, application, environment, current.row.version).await
    }

    /// What a version says.
    ///
    /// # Errors
    /// Those of [`Electorate::now`].
    pub async fn of(
        control: &ControlTable,
        application: &str,
        environment: &str,
        version: u32,
    ) -> Result<Self, Failure> {
        let (_, pipeline) = pipeline_version(control, application, version).await?;
        let found = pipeline.environment(environment);
        Ok(Self {
            approval: found.and_then(|environment| environment.approval.clone()),
            people: pipeline.people,
        })
    }

    /// The same, as it is asked.
    #[must_use]
    pub fn approvers(&self) -> Approvers<'_> {
        Approvers {
            approval: self.approval.as_ref(),
            people: &self.people,
        }
    }
}

/// Votes and orders, what was found of the version elsewhere, and who may decide, as they stand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    /// What was said about the release in the environment, about this plan and others.
    pub votes: Vec<Vote>,
    /// What was seen to, by name.
    pub acknowledged: BTreeMap<String, Acknowledged>,
    /// The freezes over the environment, those that are over as well.
    pub freezes: Vec<Order>,
    /// The hold of the release, one that is over as well.
    pub hold: Option<Order>,
    /// The pin of the environment, one that is over as well.
    pub pin: Option<Pin>,
    /// That the release stops.
    pub stop: Option<Stop>,
    /// Where it was found not to work since it came through.
    pub failed_upstream: Option<FailedUpstream>,
    /// The quarantine of its image, one that was released as well.
    pub quarantine: Option<Quarantine>,
    /// The version of the pipeline that is in force, where people must agree: another one may name others.
    pub pipeline_version: Option<u32>,
}

impl Said {
    /// Reads what was said of a release before an environment in which `approval` says who must agree.
    ///
    /// # Errors
    /// Those of [`ControlTable::list`].
    pub async fn read(
        control: &ControlTable,
        release: &ReleaseRow,
        environment: &str,
        approval: Option<&Approval>,
    ) -> Result<Self, Failure> {
        let ReleaseRow {
            release_id,
            application,
            ..
        } = release;
        let votes = Self::votes(control, release_id, environment).await?;
        let rows = Key::acknowledgement_rows(release_id, environment);
        let acknowledged: Vec<(String, Stored<Acknowledged>)> = control.list(&rows, "").await?;
        let hold: Option<Stored<Order>> = control.get(&Key::hold(release_id)).await?;
        let stop: Option<Stored<Stop>> = control.get(&Key::stop(release_id)).await?;
        let repository = Repository {
            account: &release.account,
            region: &release.region,
            name: &release.repository,
        };
        let quarantine: Option<Stored<Quarantine>> = control.get(&Key::quarantine(repository, &release.digest)).await?;
        let mut pipeline_version = None;
        if approval.is_some() {
            let current: Stored<PipelineCurrentRow> = control.require(&Key::pipeline_current(application)).await?;
            pipeline_version = Some(current.row.version);
        }
        Ok(Self {
            pipeline_version,
            votes,
            acknowledged: acknowledged
                .into_iter()
                .map(|(name, stored)| (name, stored.row))
                .collect(),
            freezes: freezes(control, application, environment).await?,
            hold: hold.map(|stored| stored.row),
            pin: pin(control, application, environment).await?,
            stop: stop.map(|stored| stored.row),
            failed_upstream: failed_upstream(control, release, environment).await?,
            quarantine: quarantine.map(|stored| stored.row),
        })
    }

    /// What was said about a release in an environment, about this plan and others, the first word first.
    ///
    /// # Errors
    /// Those of [`ControlTable::list`].
    pub async fn votes(control: &ControlTable, release_id: &str, environment: &str) -> Result<Vec<Vote>, Failure> {
        let votes: Vec<(String, Stored<Vote>)> = control.list(&Key::vote_rows(release_id, environment), "").await?;
        let mut votes: Vec<Vote> = votes.into_iter().map(|(_, stored)| stored.row).collect();
        votes.sort_by_key(|vote| vote.at);
        Ok(votes)
    }

    /// A hash over everything, by which a change shows.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        canonical_sha256(&json!({
            "votes": self.votes,
            "acknowledged": self.acknowledged,
            "freezes": self.freezes,
            "hold": self.hold,
            "pin": self.pin,
            "stop": self.stop,
            "failedUpstream": self.failed_upstream,
            "quarantine": self.quarantine,
            "pipelineVersion": self.pipeline_version,
        }))
    }
}

/// The first of the environments that a release comes through before this one, in which it was found not to work since
/// it was verified there.
///
/// # Errors
/// Those of [`ControlTable::latest`].
pub async fn failed_upstream(
    control: &ControlTable,
    release: &ReleaseRow,
    environment: &str,
) -> Result<Option<FailedUpstream>, Failure> {
    for upstream in before(&release.environments, &release.waves, environment) {
        let verified = verified_there(control, release, upstream).await?;
        if let Some(revoked) = verified.and_then(|row| row.revoked) {
            let environment = upstream.to_owned();
            return Ok(Some(FailedUpstream { environment, revoked }));
        }
    }
    Ok(None)
}

/// The last time that the image of a release was verified in an environment. By the digest: where it was in force
/// already it came with an earlier release.
///
/// # Errors
/// Those of [`ControlTable::latest`].
pub async fn verified_there(
    control: &ControlTable,
    release: &ReleaseRow,
    environment: &str,
) -> Result<Option<EnvironmentRow>, Failure> {
    let rows = Key::environment_rows(&release.application, environment);
    let history: Vec<(String, Stored<EnvironmentRow>)> = control.latest(&rows, Key::VERIFIED_PREFIX, HISTORY).await?;
    let mut history = history.into_iter().map(|(_, stored)| stored.row);
    Ok(history.find(|row| row.digests.get(&release.image) == Some(&release.digest)))
}

/// The freezes over an environment, those that are over as well.
///
/// # Errors
/// Those of [`ControlTable::list`].
pub async fn freezes(control: &ControlTable, application: &str, environment: &str) -> Result<Vec<Order>, Failure> {
    let mut freezes = Vec::new();
    for of in [EVERYTHING, application] {
        let rows: Vec<(String, Stored<Order>)> = control.all(&Key::freezes_of(of), "").await?;
        let is_here = |key: &str| {
            let over = key.split('#').next();
            over == Some(EVERYTHING) || over == Some(environment)
        };
        let here = rows.into_iter().filter(|(key, _)| is_here(key));
        freezes.extend(here.map(|(_, stored)| stored.row));
    }
    Ok(freezes)
}

/// The pin of an environment, one that is over as well.
///
/// # Errors
/// Those of [`ControlTable::get`].
pub async fn pin(control: &ControlTable, application: &str, environment: &str) -> Result<Option<Pin>, Failure> {
    let stored: Option<Stored<Pin>> = control.get(&Key::pin(application, environment)).await?;
    Ok(stored.map(|stored| stored.row))
}

/// How many of the newest deployments of an image are looked at.
const RIVALS: usize = 25;

/// The deployments of an image into an environment, by its key: those that were planned last, the newest first, and the
/// one in force.
///
/// # Errors
/// Those of [`ControlTable::list`].
pub async fn deployments_into(
    control: &ControlTable,
    application: &str,
    environment: &str,
    image: &str,
) -> Result<Vec<DeploymentPointerRow>, Failure> {
    let partition = Key::deployments_into(application, environment, image);
    let planned: Vec<(String, Stored<DeploymentPointerRow>)> =
        control.latest(&partition, Key::PLANNED_PREFIX, RIVALS).await?;
    let in_force: Option<Stored<DeploymentPointerRow>> = control.get(&Key::deployment_in_force(&partition)).await?;
    let all = planned.into_iter().map(|(_, stored)| stored).chain(in_force);
    Ok(all.map(|stored| stored.row).collect())
}

/// The other deployments of the image of a release into an environment.
///
/// # Errors
/// Those of [`ControlTable::list`].
pub async fn rivals(control: &ControlTable, release: &ReleaseRow, environment: &str) -> Result<Vec<Rival>, Failure> {
    let others = deployments_into(control, &release.application, environment, &release.image).await?;
    let mut rivals = Vec::new();
    for DeploymentPointerRow {
        deployment_id,
        release_id,
        asked,
    } in others
    {
        if release_id == release.release_id {
            continue;
        }
        let deployment: Stored<DeploymentRow> = control.require(&Key::deployment(&deployment_id)).await?;
        rivals.push(Rival {
            release_id,
            asked,
            end: deployment.row.end,
        });
    }
    Ok(rivals)
}

/// Where the other images stand that come into an environment together with that of a release. None where it comes
/// alone: what a person asks for, and a hotfix.
///
/// # Errors
/// Those of [`ControlTable::list`].
pub async fn companions(
    control: &ControlTable,
    release: &ReleaseRow,
    environment: &str,
    together: &[TogetherRow],
) -> Result<Vec<Companion>, Failure> {
    let Asked::Push { tag, .. } = &release.asked else {
        return Ok(Vec::new());
    };
    let comes_together = together.iter().any(|image| image.image == release.image);
    if release.is_hotfix || !comes_together {
        return Ok(Vec::new());
    }
    let mut companions = Vec::new();
    for image in together.iter().filter(|image| image.image != release.image) {
        companions.push(Companion {
            image: image.image.clone(),
            stands: stands(control, &release.application, environment, image, tag).await?,
        });
    }
    Ok(companions)
}

/// Where the image that a tag points to now stands in an environment: it runs there, whoever brought it, or its release
/// is on the way there.
async fn stands(
    control: &ControlTable,
    application: &str,
    environment: &str,
    image: &TogetherRow,
    tag: &Tag,
) -> Result<Stands, Failure> {
    let seen: Option<Stored<SeenTagRow>> = control.get(&Key::tag(image.repository(), tag.as_str())).await?;
    let Some(SeenTagRow { tag: seen, release_id }) = seen.map(|stored| stored.row) else {
        return Ok(Stands::Elsewhere);
    };
    let running = digest_in_force(control, application, environment, &image.image).await?;
    if running.as_deref() == Some(seen.digest.as_str()) {
        return Ok(Stands::Ready);
    }
    let deployments = deployments_into(control, application, environment, &image.image).await?;
    let Some(pointer) = deployments.iter().find(|pointer| pointer.release_id == release_id) else {
        return Ok(Stands::Elsewhere);
    };
    let deployment: Stored<DeploymentRow> = control.require(&Key::deployment(&pointer.deployment_id)).await?;
    let DeploymentRow { end, execution_arn, .. } = deployment.row;
    let gates: Option<Stored<GatesRow>> = control.get(&Key::gates(&pointer.deployment_id)).await?;
    let gates = gates.map(|stored| stored.row);
    let is_closed = gates.as_ref().is_some_and(|gates| gates.closed.is_some());
    if end.is_some() || is_closed {
        return Ok(Stands::Elsewhere);
    }
    if execution_arn.is_some() {
        return Ok(Stands::Ready);
    }
    let release: Stored<ReleaseRow> = control.require(&Key::release(&release_id)).await?;
    let approval = gates.as_ref().and_then(|gates| gates.approval.as_ref());
    let said = Said::read(control, &release.row, environment, approval).await?;
    // What was said since its gates were asked last may be against it.
    let asked = gates.filter(|gates| gates.seen == said.fingerprint());
    Ok(Stands::of(asked.as_ref().map(|gates| gates.reports.as_slice())))
}
