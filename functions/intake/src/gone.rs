//! An image that was deleted or archived: whoever runs it is told, before a task that stops cannot be started again.

use esclusa_adapters::control::rows::{EnvironmentRow, RepositoryRow};
use esclusa_adapters::control::{Key, Repository, Stored};
use esclusa_adapters::ecr::{self, Lookup};
use esclusa_adapters::planning::environment_names;
use esclusa_core::error::Failure;
use esclusa_core::ledger::{Chain, RecordKind};
use esclusa_events::{EcrImageAction, Envelope};
use esclusa_runtime::Measure;
use serde_json::{Value, json};

use crate::Intake;

impl Intake {
    /// Looks who runs an image that was deleted or archived. Images that nobody runs go every day, and leave nothing behind.
    pub(crate) async fn removed(&self, envelope: &Envelope<EcrImageAction>) -> Result<Value, Failure> {
        let repository = Repository {
            account: &envelope.account,
            region: &envelope.region,
            name: &envelope.detail.repository_name,
        };
        let is_home =
            (repository.account, repository.region) == (self.home.account.as_str(), self.home.region.as_str());
        let Some(digest) = envelope.detail.image_digest.as_deref().filter(|_| is_home) else {
            return Ok(json!({"ignored": "the event names no image of a repository of here"}));
        };
        let owner: Option<Stored<RepositoryRow>> = self.control().get(&Key::repository(repository)).await?;
        let Some(owner) = owner else {
            return Ok(json!({"ignored": "the repository belongs to no pipeline"}));
        };
        let environments = self.running(&owner.row, digest).await?;
        // Of an image with several tags one may go, and what is archived may be restored by now.
        if environments.is_empty() || self.can_be_pulled(envelope, digest).await? {
            return Ok(json!({"ignored": "nobody runs it, or it can be pulled still"}));
        }
        let chain = Chain::application(&owner.row.application);
        let facts = json!({"environments": environments, "image": owner.row.image});
        let reason = "an image that runs is gone from its repository";
        // Before it is written down, because nobody says it again then: an event that comes twice wakes the same person twice.
        Measure::ImageGone {
            environments: environments.len(),
        }
        .emit();
        tracing::warn!(
            application = owner.row.application,
            environments = environments.join(", "),
            digest,
            "an image that runs is gone from its repository"
        );
        self.witness(envelope, RecordKind::ImageGone, &chain, &facts, reason)
            .await?;
        Ok(json!({"gone": digest, "environments": environments}))
    }

    /// The environments of an application in which a digest is in force.
    async fn running(&self, owner: &RepositoryRow, digest: &str) -> Result<Vec<String>, Failure> {
        let (_, pipeline) = self.current_pipeline(&owner.application).await?;
        let mut running = Vec::new();
        for name in environment_names(self.control(), &pipeline).await? {
            let key = Key::environment(&owner.application, &name);
            let in_force: Option<Stored<EnvironmentRow>> = self.control().get(&key).await?;
            let runs = in_force.and_then(|stored| stored.row.digests.get(&owner.image).cloned());
            if runs.as_deref() == Some(digest) {
                running.push(name);
            }
        }
        Ok(running)
    }

    async fn can_be_pulled(&self, envelope: &Envelope<EcrImageAction>, digest: &str) -> Result<bool, Failure> {
        let repository = ecr::Repository {
            account: envelope.account.clone(),
            name: envelope.detail.repository_name.clone(),
        };
        Ok(match self.images.by_digest(&repository, digest).await? {
            Lookup::Found(image) => image.status.is_none_or(|status| status == "ACTIVE"),
            Lookup::ImageNotFound | Lookup::RepositoryNotFound => false,
        })
    }
}
