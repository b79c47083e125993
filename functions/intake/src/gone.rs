//! An image that was deleted or archived: whoever runs it is told, before a task that stops cannot be started again.

use esclusa_adapters::control::rows::RepositoryRow;
use esclusa_adapters::control::{Key, Repository, Stored};
use esclusa_adapters::ecr::{self, Lookup};
use esclusa_adapters::planning::{current_pipeline, environments_that_run};
use esclusa_core::error::Failure;
use esclusa_core::ledger::{Chain, RecordKind};
use esclusa_events::{EcrImageAction, Envelope};
use esclusa_runtime::Measure;
use serde_json::{Value, json};

use crate::Intake;

impl Intake {
    /// Looks who runs an image that was deleted or archived. Images that nobody runs go every day, and leave nothing
    /// behind.
    pub(crate) async fn removed(&self, envelope: &Envelope<EcrImageAction>) -> Result<Value, Failure> {
        let repository = Repository {
            account: &envelope.account,
            region: &envelope.region,
            name: &envelope.detail.repository_name,
        };
        let is_home =
            (repository.account, repository.region) == (self.home.account.as_str(), self.home.region.as_str());
        let Some(digest) = envelope.detail.image_digest.as_deref().filter(|_| is_home) else {
            return Ok(json!({"ignored": "the event names no image of a repository in this account and Region"}));
        };
        let owner: Option<Stored<RepositoryRow>> = self.control().get(&Key::repository(repository)).await?;
        let Some(owner) = owner else {
            return Ok(json!({"ignored": "the repository belongs to no pipeline"}));
        };
        let RepositoryRow { application, image } = &owner.row;
        let (_, pipeline) = current_pipeline(self.control(), application).await?;
        let environments = environments_that_run(self.control(), &pipeline, image, digest).await?;
        // Of an image with several tags one may go, and what is archived may be restored by now.
        if environments.is_empty() || self.can_be_pulled(envelope, digest).await? {
            return Ok(json!({"ignored": "nobody runs it, or it can still be pulled"}));
        }
        let chain = Chain::application(&owner.row.application);
        let facts = json!({"environments": environments, "image": owner.row.image});
        let reason = "an image that runs is gone from its repository";
        // Before it is written down, because nobody says it again then: an event that comes twice wakes the same person
        // twice.
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
