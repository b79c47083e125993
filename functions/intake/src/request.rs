//! From the wish of a person to a release: a version into one environment, or the way back in one.

use esclusa_adapters::control::rows::{EnvironmentRow, Progress, ReleaseKind, ReleaseRow};
use esclusa_adapters::control::{Key, Stored};
use esclusa_adapters::ecr::{self, Lookup};
use esclusa_adapters::journal::Commit;
use esclusa_adapters::step_functions::execution_arn;
use esclusa_core::error::Failure;
use esclusa_core::identity::{RequestIdentity, RequestKind};
use esclusa_core::pipeline::{Digest, EnvironmentName, Pipeline, Tag};
use esclusa_core::supersession::Asked;
use serde::Deserialize;
use serde_json::Value;

use crate::Intake;
use crate::take::claimed;

/// How many releases back a rollback looks for another version.
const HISTORY: usize = 50;

/// What a person asks for.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ReleaseRequest {
    kind: RequestKind,
    application: String,
    environment: String,
    /// The key of the image; needed where the application has several.
    #[serde(default)]
    image: Option<String>,
    #[serde(default)]
    tag: Option<String>,
    #[serde(default)]
    digest: Option<String>,
    /// For a rollback: where to.
    #[serde(default)]
    target_release: Option<String>,
    request_id: String,
    requested_by: String,
    #[serde(default)]
    reason: Option<String>,
}

/// The image that a request means.
struct Chosen {
    image: String,
    account: String,
    region: String,
    repository: String,
    digest: String,
    tag: String,
    target_release: Option<String>,
}

impl Intake {
    pub(crate) async fn requested(&self, request: &ReleaseRequest) -> Result<Value, Failure> {
        let (version, pipeline) = self.current_pipeline(&request.application).await?;
        let environment = environment(&pipeline, &request.environment)?;
        let identity = RequestIdentity {
            kind: request.kind,
            application: pipeline.application.clone(),
            environment,
            request_id: request.request_id.clone(),
        };
        let release_id = identity.release_id().to_string();
        if self
            .control()
            .get::<ReleaseRow>(&Key::release(&release_id))
            .await?
            .is_some()
        {
            return self.start_release(&release_id).await;
        }
        let chosen = match request.kind {
            RequestKind::Deploy => self.version(&pipeline, request).await?,
            RequestKind::Rollback => self.earlier(request).await?,
        };
        let now = self.journal.clock().now()?;
        let execution_arn = execution_arn(&self.release_state_machine, &release_id)?;
        let asked = Asked::Person {
            tag: match request.kind {
                RequestKind::Deploy => chosen.tag.parse().ok(),
                RequestKind::Rollback => None,
            },
            at: now,
        };
        let release = ReleaseRow {
            release_id,
            application: pipeline.application.to_string(),
            kind: match request.kind {
                RequestKind::Deploy => ReleaseKind::Deploy,
                RequestKind::Rollback => ReleaseKind::Rollback,
            },
            image: chosen.image,
            account: chosen.account,
            region: chosen.region,
            repository: chosen.repository,
            digest: chosen.digest,
            tag: chosen.tag,
            asked,
            environments: vec![request.environment.clone()],
            pipeline_version: version,
            target_release: chosen.target_release,
            requested_by: request.requested_by.clone(),
            reason: request.reason.clone(),
            execution_arn,
            progress: Progress::Claimed,
            created_at: now,
            ended_at: None,
            end: None,
        };
        let answer = self.claim(&release, claimed(&release)?, Commit::new()).await?;
        answer.ok_or_else(|| Failure::conflict("the release is being written by others"))
    }

    /// The digest that a tag points to now; from here on only the digest counts.
    async fn version(&self, pipeline: &Pipeline, request: &ReleaseRequest) -> Result<Chosen, Failure> {
        let (key, image) = match &request.image {
            Some(name) => pipeline.images.iter().find(|(key, _)| key.as_str() == name),
            None if pipeline.images.len() == 1 => pipeline.images.first(),
            None => None,
        }
        .ok_or_else(|| {
            let keys: Vec<String> = pipeline.images.keys().map(|key| format!("`{key}`")).collect();
            Failure::refused(format!(
                "name one of the images of `{}` with `--image`: {}",
                request.application,
                keys.join(", ")
            ))
        })?;
        let account = image
            .account
            .as_ref()
            .map_or(self.account.as_str(), |account| account.as_str());
        let region = image
            .region
            .as_ref()
            .map_or(self.region.as_str(), |region| region.as_str());
        let repository = ecr::Repository {
            account: account.to_owned(),
            name: image.repository.to_string(),
        };
        let refused =
            |what: String| Failure::refused(format!("{what} in repository `{}`: push it first", image.repository));
        let (found, tag) = match (&request.digest, &request.tag) {
            (Some(digest), tag) => {
                let digest: Digest = digest.parse().map_err(|error| Failure::refused(format!("{error}")))?;
                let lookup = self.images.by_digest(&repository, digest.as_str()).await?;
                (lookup, tag.clone().unwrap_or_else(|| digest.to_string()))
            }
            (None, Some(tag)) => {
                let tag: Tag = tag.parse().map_err(|error| Failure::refused(format!("{error}")))?;
                (self.images.by_tag(&repository, tag.as_str()).await?, tag.to_string())
            }
            (None, None) => return Err(Failure::refused("name a tag or a digest to deploy")),
        };
        let Lookup::Found(found) = found else {
            return Err(refused(format!("there is no image `{tag}`")));
        };
        Ok(Chosen {
            image: key.to_string(),
            account: account.to_owned(),
            region: region.to_owned(),
            repository: image.repository.to_string(),
            digest: found.digest,
            tag,
            target_release: None,
        })
    }

    /// The release to go back to: the one that is named, or the last one that ran here with other images.
    async fn earlier(&self, request: &ReleaseRequest) -> Result<Chosen, Failure> {
        let ReleaseRequest {
            application,
            environment,
            ..
        } = request;
        let current: Option<Stored<EnvironmentRow>> =
            self.control().get(&Key::environment(application, environment)).await?;
        let rows = Key::environment_rows(application, environment);
        let history: Vec<(String, Stored<EnvironmentRow>)> =
            self.control().latest(&rows, Key::VERIFIED_PREFIX, HISTORY).await?;
        let history: Vec<EnvironmentRow> = history.into_iter().map(|(_, stored)| stored.row).collect();
        let nothing = || {
            Failure::refused(format!(
                "nothing else was ever verified in `{environment}`: there is nothing to go back to"
            ))
        };
        let release = match (&request.target_release, current) {
            (Some(target), _) => {
                let known = history.iter().any(|row| row.release_id == *target);
                if !known {
                    return Err(Failure::refused(format!(
                        "release `{target}` was never verified in `{environment}`: choose one of `esclusa audit --application {application} --environment {environment}`"
                    )));
                }
                self.journal.release(target).await?.row
            }
            (None, None) => return Err(nothing()),
            (None, Some(current)) => {
                let image = self.journal.release(&current.row.release_id).await?.row.image;
                self.release_before(&history, &current.row, &image)
                    .await?
                    .ok_or_else(nothing)?
            }
        };
        Ok(Chosen {
            image: release.image,
            account: release.account,
            region: release.region,
            repository: release.repository,
            digest: release.digest,
            tag: release.tag,
            target_release: Some(release.release_id),
        })
    }

    /// The release that brought the digest of `image` which ran before the one that runs now.
    async fn release_before(
        &self,
        history: &[EnvironmentRow],
        current: &EnvironmentRow,
        image: &str,
    ) -> Result<Option<ReleaseRow>, Failure> {
        for row in before(history, current, image) {
            let release = self.journal.release(&row.release_id).await?.row;
            if release.image == image {
                return Ok(Some(release));
            }
        }
        Ok(None)
    }
}

/// What ran, newest first, with the digest of `image` that ran before the current one first did: going back twice goes back two versions, and never forth.
fn before<'a>(history: &'a [EnvironmentRow], current: &EnvironmentRow, image: &str) -> Vec<&'a EnvironmentRow> {
    let digest = |row: &EnvironmentRow| row.digests.get(image).cloned();
    let Some(first) = history.iter().rposition(|row| digest(row) == digest(current)) else {
        return Vec::new();
    };
    let earlier = history
        .iter()
        .skip(first.saturating_add(1))
        .skip_while(|row| digest(row).is_none());
    let target = earlier.clone().next().and_then(digest);
    earlier.take_while(|row| digest(row) == target).collect()
}

fn environment(pipeline: &Pipeline, name: &str) -> Result<EnvironmentName, Failure> {
    let found = pipeline
        .environments
        .iter()
        .find(|environment| environment.name.as_str() == name);
    found.map(|environment| environment.name.clone()).ok_or_else(|| {
        let names: Vec<String> = pipeline
            .environments
            .iter()
            .map(|environment| format!("`{}`", environment.name))
            .collect();
        Failure::refused(format!(
            "`{}` has no environment `{name}`, only {}",
            pipeline.application,
            names.join(", ")
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(release_id: &str, digests: &[(&str, &str)]) -> EnvironmentRow {
        EnvironmentRow {
            release_id: release_id.to_owned(),
            deployment_id: String::new(),
            digests: digests
                .iter()
                .map(|(image, digest)| ((*image).to_owned(), (*digest).to_owned()))
                .collect(),
            tag: String::new(),
            since: jiff::Timestamp::UNIX_EPOCH,
        }
    }

    fn targets(history: &[EnvironmentRow], image: &str) -> Vec<String> {
        before(history, &history[0], image)
            .iter()
            .map(|row| row.release_id.clone())
            .collect()
    }

    #[test]
    fn going_back_twice_goes_back_two_versions_and_never_forth() {
        let after_one = [
            row("back", &[("app", "b")]),
            row("c", &[("app", "c")]),
            row("b", &[("app", "b")]),
            row("a", &[("app", "a")]),
        ];
        assert_eq!(targets(&after_one[1..], "app"), ["b"]);
        assert_eq!(targets(&after_one, "app"), ["a"]);
        assert!(targets(&after_one[3..], "app").is_empty());
    }

    #[test]
    fn the_image_that_goes_back_is_the_one_that_came_last_whatever_came_between() {
        let history = [
            row("backend-2", &[("backend", "b2"), ("frontend", "f2")]),
            row("frontend-2", &[("backend", "b1"), ("frontend", "f2")]),
            row("frontend-1", &[("backend", "b1"), ("frontend", "f1")]),
            row("backend-1", &[("backend", "b1")]),
        ];
        assert_eq!(targets(&history, "backend"), ["frontend-2", "frontend-1", "backend-1"]);
        assert_eq!(targets(&history, "frontend"), ["frontend-1"]);
    }
}
