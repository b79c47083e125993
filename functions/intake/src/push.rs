//! From a push event to a release, or to a recorded reason why not.

use esclusa_adapters::control::rows::IgnoredEventRow;
use esclusa_adapters::control::{Change, Expected, Key};
use esclusa_adapters::journal::{Commit, Committed};
use esclusa_core::canonical::sha256_hex;
use esclusa_core::error::Failure;
use esclusa_core::ledger::{Body, Chain, Draft, RecordKind};
use esclusa_core::pipeline::{AccountId, Digest, Region, RepositoryName, Tag};
use esclusa_events::{EcrAction, EcrImageAction, EcrResult, Envelope};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::take::{Origin, Push, Taken};
use crate::{ACTOR, Intake};

/// How long it is remembered that an event starts nothing: longer than any event is delivered again.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(24 * 7);

impl Intake {
    /// Takes an event of the registry up.
    pub(crate) async fn heard(&self, envelope: &Envelope<EcrImageAction>) -> Result<Value, Failure> {
        match (&envelope.detail.action_type, &envelope.detail.result) {
            (EcrAction::Delete | EcrAction::UpdateStorageClass, EcrResult::Success) => self.removed(envelope).await,
            _ => self.pushed(envelope).await,
        }
    }

    async fn pushed(&self, envelope: &Envelope<EcrImageAction>) -> Result<Value, Failure> {
        let taken = match self.read(envelope)? {
            Ok(push) => self.take(&push, &Origin::Event(envelope)).await?,
            Err(reason) => Taken::Ignored(reason),
        };
        match taken {
            Taken::Release(answer) => Ok(answer),
            Taken::Ignored(reason) => self.ignore(envelope, &reason).await,
        }
    }

    /// What the event says, or why it is no push for us. Only what cannot be named in a record is an error.
    fn read(&self, envelope: &Envelope<EcrImageAction>) -> Result<Result<Push, String>, Failure> {
        let detail = &envelope.detail;
        let invalid =
            |error: &dyn std::fmt::Display| Failure::invalid_input(format!("a push event cannot be read: {error}"));
        // These three name the chain of the record.
        let account: AccountId = envelope.account.parse().map_err(|error| invalid(&error))?;
        let region: Region = envelope.region.parse().map_err(|error| invalid(&error))?;
        let repository: RepositoryName = detail.repository_name.parse().map_err(|error| invalid(&error))?;
        let push = || {
            if account != self.home.account {
                return Err(format!(
                    "the event is of account `{account}`, and esclusa runs in `{}`",
                    self.home.account
                ));
            }
            if region != self.home.region {
                return Err(format!(
                    "the event is of region `{region}`, and esclusa runs in `{}`",
                    self.home.region
                ));
            }
            if detail.action_type != EcrAction::Push || detail.result != EcrResult::Success {
                return Err(format!(
                    "`{}` with result `{}` is not a push",
                    detail.action_type.as_str(),
                    detail.result.as_str()
                ));
            }
            let Some(tag) = &detail.image_tag else {
                return Err("the image was pushed without a tag".to_owned());
            };
            let tag = tag.parse::<Tag>().map_err(|error| error.to_string())?;
            let Some(digest) = &detail.image_digest else {
                return Err("the event names no digest".to_owned());
            };
            let digest = digest.parse::<Digest>().map_err(|error| error.to_string())?;
            let at = envelope.time.ok_or_else(|| "the event has no time".to_owned())?;
            Ok((tag, digest, at))
        };
        Ok(push().map(|(tag, digest, at)| Push {
            account: account.clone(),
            region: region.clone(),
            repository: repository.clone(),
            tag,
            digest,
            at,
        }))
    }

    /// Records once that an event starts nothing, and why.
    async fn ignore(&self, envelope: &Envelope<EcrImageAction>, reason: &str) -> Result<Value, Failure> {
        let facts = json!({"reason": reason});
        self.witness(envelope, RecordKind::PushIgnored, &chain(envelope), &facts, reason)
            .await?;
        tracing::info!(
            reason,
            repository = envelope.detail.repository_name,
            "a push starts no release"
        );
        Ok(json!({"ignored": reason}))
    }

    /// Records once what an event came to that starts nothing. Whether it is new: the same event may have been recorded
    /// before.
    pub(crate) async fn witness(
        &self,
        envelope: &Envelope<EcrImageAction>,
        kind: RecordKind,
        chain: &Chain,
        facts: &Value,
        reason: &str,
    ) -> Result<bool, Failure> {
        let now = self.journal.clock().now()?;
        let expires_at = now.saturating_add(REMEMBERED).unwrap_or(Timestamp::MAX).as_second();
        let row = IgnoredEventRow {
            reason: reason.to_owned(),
            expires_at,
        };
        let key = Key::ignored_event(&sha256_hex(envelope.id.as_bytes()));
        let mut draft = Draft::new(kind, ACTOR, event_body(envelope, facts)?);
        draft.digest.clone_from(&envelope.detail.image_digest);
        let commit = Commit::new()
            .change(Change::put(key, &row, Expected::Absent)?)
            .record(chain, draft);
        match self.journal.commit(commit).await? {
            Committed::Written(_) => Ok(true),
            Committed::Lost(_) => Ok(false),
            fenced @ Committed::FencedOut(_) => fenced.or_failure().map(|_| true),
        }
    }
}

fn chain(envelope: &Envelope<EcrImageAction>) -> Chain {
    Chain::repository(&envelope.account, &envelope.region, &envelope.detail.repository_name)
}

pub(crate) fn event_body(envelope: &Envelope<EcrImageAction>, facts: &Value) -> Result<Body, Failure> {
    let detail = &envelope.detail;
    Body::new(&json!({
        "event": envelope.id,
        "eventTime": envelope.time,
        "repository": detail.repository_name,
        "tag": detail.image_tag,
        "digest": detail.image_digest,
        "action": detail.action_type,
        "result": detail.result,
        "facts": facts,
    }))
}
