//! A person puts an image into quarantine: one that is known to be bad before anything has failed.

use esclusa_core::error::Failure;
use esclusa_core::ledger::{Body, Draft, RecordKind};
use esclusa_core::pipeline::Digest;
use esclusa_core::quarantine::{Cause, Quarantine};
use serde_json::{Value, json};

use super::{Ordered, Orderer, refused};
use crate::control::rows::{Progress, ReleaseRow, RepositoryRow};
use crate::control::{Change, Expected, Key, Repository, Stored};
use crate::journal::Journal;
use crate::planning::{current_pipeline, environments_that_run};

/// An image that shall go nowhere.
#[derive(Debug, Clone, Copy)]
pub(super) struct Suspect<'a> {
    /// Where it lies.
    pub(super) repository: Repository<'a>,
    /// Its digest.
    pub(super) digest: &'a Digest,
    /// The tag by which people know it.
    pub(super) tag: Option<&'a str>,
}

impl Journal {
    /// Puts an image into quarantine, and tells which releases are on their way with it and which environments run it:
    /// both go on until somebody stops the one and takes back the other.
    pub(super) async fn put_into_quarantine(
        &self,
        suspect: &Suspect<'_>,
        reason: &str,
        orderer: &Orderer<'_>,
    ) -> Ordered {
        let Suspect {
            repository,
            digest,
            tag,
        } = *suspect;
        let owner: Option<Stored<RepositoryRow>> = self.control().get(&Key::repository(repository)).await?;
        let Some(RepositoryRow { application, image }) = owner.map(|stored| stored.row) else {
            return Ok(Err(refused(format!(
                "no pipeline has the repository `{repository}`: `esclusa pipelines list` shows the applications"
            ))));
        };
        let key = Key::quarantine(repository, digest.as_str());
        let stored: Option<Stored<Quarantine>> = self.control().get(&key).await?;
        if let Some(known) = stored
            .as_ref()
            .map(|stored| &stored.row)
            .filter(|row| row.is_in_force())
        {
            return Ok(Err(refused(format!(
                "`{digest}` is already in quarantine, since {}: {}",
                known.since, known.why
            ))));
        }
        let row = Quarantine {
            digest: digest.clone(),
            application: application.clone(),
            tag: tag.map_or_else(|| digest.to_string(), str::to_owned),
            why: reason.trim().to_owned(),
            since: orderer.at,
            released: None,
            cause: Cause::Ordered {
                by: orderer.by.to_owned(),
            },
        };
        let body = json!({"decision": "quarantine", "digest": digest, "image": image, "tag": tag, "reason": row.why});
        let draft = Draft {
            application: Some(application.clone()),
            digest: Some(digest.to_string()),
            ..Draft::new(RecordKind::PersonDecided, orderer.by, Body::new(&body)?)
        };
        let change = Change::put(key, &row, Expected::unchanged(stored.as_ref()))?;
        let what = "the quarantine of the image has just changed";
        // Read before it is written: whoever is told of an error then asks again, and whoever asks again after it is
        // told that it is there already.
        let on_their_way = self.on_their_way(suspect).await?;
        // More environments than can be looked through keep nobody from the order.
        let runs_in = self.runs_in(&application, &image, digest).await;
        let runs_in = runs_in.inspect_err(|failure| {
            tracing::warn!(kind = %failure.kind, message = %failure.message, "which environments run the image cannot be told");
        });
        let written = self
            .written(&application, (vec![change], draft), (json!(row), what), orderer)
            .await?;
        let row = match written {
            Ok(row) => row,
            Err(refusal) => return Ok(Err(refusal)),
        };
        Ok(Ok(json!({
            "quarantine": row,
            "onTheirWay": on_their_way,
            "runsIn": runs_in.ok(),
        })))
    }

    async fn runs_in(&self, application: &str, image: &str, digest: &Digest) -> Result<Vec<String>, Failure> {
        let (_, pipeline) = current_pipeline(self.control(), application).await?;
        environments_that_run(self.control(), &pipeline, image, digest.as_str()).await
    }

    /// The releases that have not ended with an image, and the environments in which each is at work.
    async fn on_their_way(&self, suspect: &Suspect<'_>) -> Result<Vec<Value>, Failure> {
        let open = self.open_releases().await?;
        let mut found = Vec::new();
        for release in open.into_iter().filter(|release| is_of(release, suspect)) {
            let mut at_work_in = Vec::new();
            for environment in &release.environments {
                let last = self.last_deployment(&release.release_id, environment).await?;
                let is_at_work = last.is_some_and(|last| last.row.progress == Progress::Started);
                at_work_in.extend(is_at_work.then_some(environment));
            }
            found.push(json!({"release": release.release_id, "tag": release.tag, "atWorkIn": at_work_in}));
        }
        Ok(found)
    }
}

fn is_of(release: &ReleaseRow, suspect: &Suspect<'_>) -> bool {
    let Repository { account, region, name } = suspect.repository;
    let is_there = (
        release.account.as_str(),
        release.region.as_str(),
        release.repository.as_str(),
    ) == (account, region, name);
    is_there && release.digest == suspect.digest.as_str() && release.progress != Progress::Ended
}
