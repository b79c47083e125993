//! From a push to its release, wherever the push is known from.

use esclusa_adapters::control::rows::{Progress, ReleaseKind, ReleaseRow, RepositoryRow, SeenTagRow};
use esclusa_adapters::control::{Change, Expected, Key, Repository, Stored};
use esclusa_adapters::ecr::{self, Image, Lookup};
use esclusa_adapters::journal::Commit;
use esclusa_adapters::planning::current_pipeline;
use esclusa_adapters::step_functions::execution_arn;
use esclusa_core::error::Failure;
use esclusa_core::hotfix::is_hotfix;
use esclusa_core::identity::{FoundBy, PushIdentity, PushObservation, PushSeen, observe_push};
use esclusa_core::image;
use esclusa_core::ledger::{Body, Chain, Draft, RecordKind};
use esclusa_core::pipeline::{AccountId, Digest, Region, RepositoryName, Tag};
use esclusa_core::supersession::Asked;
use esclusa_core::tags::environments_for;
use esclusa_core::wave::waves_of;
use esclusa_events::{EcrImageAction, Envelope};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::push::event_body;
use crate::{ACTOR, Intake};

/// How often a decision is taken again when another one about the same tag was faster.
const TRIES: usize = 5;

/// A push that is formally right, of a tag in this account and Region.
#[derive(Debug)]
pub(crate) struct Push {
    pub account: AccountId,
    pub region: Region,
    pub repository: RepositoryName,
    pub tag: Tag,
    pub digest: Digest,
    /// When it happened by its event; when the registry was read for one whose event did not come.
    pub at: Timestamp,
}

/// Where a push is known from.
#[derive(Debug)]
pub(crate) enum Origin<'a> {
    /// From its event.
    Event(&'a Envelope<EcrImageAction>),
    /// From reading the registry.
    Registry,
}

impl Origin<'_> {
    const fn found_by(&self) -> FoundBy {
        match self {
            Self::Event(_) => FoundBy::Event,
            Self::Registry => FoundBy::Registry,
        }
    }

    /// Who asks for the release.
    fn words(&self) -> String {
        match self {
            Self::Event(envelope) => format!("push of event {}", envelope.id),
            Self::Registry => "push found in the registry: its event did not come".to_owned(),
        }
    }
}

/// What a push came to.
#[derive(Debug)]
pub(crate) enum Taken {
    /// It has a release.
    Release(Value),
    /// It starts nothing, for this reason.
    Ignored(String),
}

impl Push {
    fn chain(&self) -> Chain {
        Chain::repository(self.account.as_str(), self.region.as_str(), self.repository.as_str())
    }

    pub(crate) fn repository_key(&self) -> Repository<'_> {
        Repository {
            account: self.account.as_str(),
            region: self.region.as_str(),
            name: self.repository.as_str(),
        }
    }
}

impl Intake {
    /// Claims a release for a push, finds the one it has, or says why there is none.
    pub(crate) async fn take(&self, push: &Push, origin: &Origin<'_>) -> Result<Taken, Failure> {
        let owner: Option<Stored<RepositoryRow>> = self.control().get(&Key::repository(push.repository_key())).await?;
        let Some(owner) = owner else {
            return Ok(Taken::Ignored("the repository belongs to no pipeline".to_owned()));
        };
        let (version, pipeline) = current_pipeline(self.control(), &owner.row.application).await?;
        let environments = match environments_for(&pipeline, &push.tag)? {
            Ok(environments) => environments,
            Err(reason) => return Ok(Taken::Ignored(reason)),
        };
        for _ in 0..TRIES {
            let tag_key = Key::tag(push.repository_key(), push.tag.as_str());
            // The row first, the registry second: what the registry says is then never older than the row.
            let seen: Option<Stored<SeenTagRow>> = self.control().get(&tag_key).await?;
            let (image, registry_digest) = match self.registry(push).await? {
                Ok(found) => found,
                Err(reason) => return Ok(Taken::Ignored(reason)),
            };
            let pushed_at = image.pushed_at.unwrap_or(push.at);
            let observed = PushSeen {
                digest: push.digest.clone(),
                event_time: push.at,
                pushed_at,
                registry_digest,
                found_by: origin.found_by(),
            };
            let tag = match observe_push(seen.as_ref().map(|seen| &seen.row.tag), &observed) {
                PushObservation::Late(reason) => return Ok(Taken::Ignored(reason.to_string())),
                PushObservation::Duplicate => {
                    let Some(seen) = seen else {
                        return Err(Failure::defect("a push is a duplicate of nothing"));
                    };
                    return self.repeated(&seen.row.release_id).await.map(Taken::Release);
                }
                PushObservation::Accepted(tag) => tag,
            };
            let identity = PushIdentity {
                account: push.account.clone(),
                region: push.region.clone(),
                repository: push.repository.clone(),
                tag: push.tag.clone(),
                generation: tag.generation,
                application: pipeline.application.clone(),
            };
            let release_id = identity.release_id().to_string();
            let release = ReleaseRow {
                execution_arn: execution_arn(&self.release_state_machine, &release_id)?,
                release_id,
                application: pipeline.application.to_string(),
                kind: ReleaseKind::Push,
                image: owner.row.image.clone(),
                account: push.account.to_string(),
                region: push.region.to_string(),
                repository: push.repository.to_string(),
                digest: push.digest.to_string(),
                tag: push.tag.to_string(),
                asked: Asked::Push {
                    tag: push.tag.clone(),
                    generation: tag.generation,
                    at: match origin {
                        // Of a tag that was never seen before, or that was moved to an image which came later, the
                        // registry knows when that came.
                        Origin::Registry if seen.as_ref().is_none_or(|seen| pushed_at > seen.row.tag.event_time) => {
                            pushed_at
                        }
                        Origin::Registry | Origin::Event(_) => tag.event_time,
                    },
                },
                waves: waves_of(&pipeline, &environments),
                environments: environments.clone(),
                pipeline_version: version,
                target_release: None,
                undo_migrations: false,
                is_hotfix: is_hotfix(&pipeline, &push.tag)?,
                requested_by: origin.words(),
                reason: None,
                progress: Progress::Claimed,
                created_at: self.journal.clock().now()?,
                ended_at: None,
                end: None,
            };
            let row = SeenTagRow {
                tag,
                release_id: release.release_id.clone(),
            };
            let commit = Commit::new()
                .change(Change::put(tag_key, &row, Expected::unchanged(seen.as_ref()))?)
                .changes(self.made(&pipeline, &environments).await?)
                .record(&push.chain(), received(push, origin, &release)?);
            if let Some(answer) = self.claim(&release, claimed(&release)?, commit).await? {
                return Ok(Taken::Release(answer));
            }
        }
        Err(Failure::conflict(format!(
            "tag `{}` is being moved by others",
            push.tag
        )))
    }

    /// The image in the registry, and what the tag points to now; or why there is nothing to deploy.
    async fn registry(&self, push: &Push) -> Result<Result<(Image, Option<Digest>), String>, Failure> {
        let repository = ecr::Repository {
            account: push.account.to_string(),
            name: push.repository.to_string(),
        };
        let image = match self.images.by_digest(&repository, push.digest.as_str()).await? {
            Lookup::Found(image) => image,
            Lookup::ImageNotFound | Lookup::RepositoryNotFound => return Ok(Err("the image is gone".to_owned())),
        };
        if let Err(reason) = image::deployable(
            image.manifest_media_type.as_deref(),
            image.artifact_media_type.as_deref(),
            image.status.as_deref(),
        ) {
            return Ok(Err(reason));
        }
        let current = match self.images.by_tag(&repository, push.tag.as_str()).await? {
            Lookup::Found(current) => Some(
                current
                    .digest
                    .parse::<Digest>()
                    .map_err(|error| Failure::transient(error.to_string()))?,
            ),
            Lookup::ImageNotFound | Lookup::RepositoryNotFound => None,
        };
        Ok(Ok((image, current)))
    }

    /// A push that was seen before: its release may have been claimed by a run that died before the start.
    async fn repeated(&self, release_id: &str) -> Result<Value, Failure> {
        let release = self.journal.release(release_id).await?;
        match release.row.progress {
            Progress::Claimed => self.start_release(release_id).await,
            Progress::Started | Progress::Ended => Ok(json!({"releaseId": release_id, "duplicate": true})),
        }
    }
}

fn received(push: &Push, origin: &Origin<'_>, release: &ReleaseRow) -> Result<Draft, Failure> {
    let facts = json!({"release": release.release_id, "generation": release.asked.generation()});
    let body = match origin {
        Origin::Event(envelope) => event_body(envelope, &facts)?,
        Origin::Registry => Body::new(&json!({
            "foundBy": origin.found_by(),
            "repository": push.repository,
            "tag": push.tag,
            "digest": push.digest,
            "facts": facts,
        }))?,
    };
    Ok(Draft {
        application: Some(release.application.clone()),
        digest: Some(release.digest.clone()),
        release_id: Some(release.release_id.clone()),
        ..Draft::new(RecordKind::PushReceived, ACTOR, body)
    })
}

/// The record by which a release begins.
pub(crate) fn claimed(release: &ReleaseRow) -> Result<Draft, Failure> {
    esclusa_adapters::acts::Subject::release(release).draft(
        RecordKind::ReleaseClaimed,
        ACTOR,
        &json!({
            "kind": release.kind,
            "image": release.image,
            "repository": format!("{}/{}/{}", release.account, release.region, release.repository),
            "digest": release.digest,
            "tag": release.tag,
            "generation": release.asked.generation(),
            "environments": release.environments,
            "pipelineVersion": release.pipeline_version,
            "isHotfix": release.is_hotfix,
            "targetRelease": release.target_release,
            "requestedBy": release.requested_by,
            "reason": release.reason,
        }),
    )
}
