//! Reading the registry: a push whose event was lost is found by its image.

use esclusa_adapters::control::rows::{PipelineCurrentRow, SeenTagRow};
use esclusa_adapters::control::{Key, Stored};
use esclusa_adapters::ecr::{self, Image};
use esclusa_adapters::planning::current_pipeline;
use esclusa_core::error::Failure;
use esclusa_core::identity::{is_overdue, sought_since};
use esclusa_core::image::elsewhere;
use esclusa_core::pipeline::{Image as PipelineImage, Name};
use esclusa_core::tags::environments_for;
use esclusa_runtime::Round;
use jiff::Timestamp;
use serde_json::Value;

use crate::Intake;
use crate::take::{Origin, Push, Taken};

impl Intake {
    /// Claims a release for every push whose event should have come and did not. One application that cannot be read
    /// does not keep the others waiting.
    pub(crate) async fn read_registry(&self, round: &mut Round) -> Result<Vec<Value>, Failure> {
        let applications: Vec<(String, Stored<PipelineCurrentRow>)> = self.control().all(Key::APPLICATIONS, "").await?;
        let mut releases = Vec::new();
        for (_, current) in round.in_turn(applications) {
            if !round.has_time(self.journal.clock().now()?) {
                break;
            }
            if let Err(failure) = self.overdue(&current.row, round, &mut releases).await {
                let application = current.row.application;
                round.failed(&format!("the registry of application `{application}`"), &failure);
            }
        }
        Ok(releases)
    }

    /// A push that cannot be claimed does not keep the others waiting either.
    async fn overdue(
        &self,
        current: &PipelineCurrentRow,
        round: &mut Round,
        releases: &mut Vec<Value>,
    ) -> Result<(), Failure> {
        let clock = self.journal.clock();
        let now = clock.now()?;
        let since = sought_since(current.applied_at, now);
        let (_, pipeline) = current_pipeline(self.control(), &current.application).await?;
        // Events of other accounts and Regions do not come here, so none of them can be lost.
        let is_here = |(key, image): &(&Name, &PipelineImage)| elsewhere(key, image, &self.home).is_none();
        for (_, image) in pipeline.images.iter().filter(is_here) {
            let repository = ecr::Repository::of(image, &self.home);
            for found in self.images.tagged_since(&repository, since).await? {
                for push in self.pushes(image, &found, now) {
                    if !round.has_time(clock.now()?) {
                        return Err(Failure::transient("there was not enough time for all its images"));
                    }
                    // What the rules do not let in is no loss, and was told when its event came.
                    if environments_for(&pipeline, &push.tag)?.is_err() {
                        continue;
                    }
                    let taken = match self.is_seen(&push).await {
                        Ok(true) => continue,
                        Ok(false) => self.take(&push, &Origin::Registry).await,
                        Err(failure) => Err(failure),
                    };
                    match taken {
                        Ok(Taken::Release(answer)) => releases.push(answer),
                        Ok(Taken::Ignored(_)) => {}
                        Err(failure) => {
                            round.failed(&format!("the push of `{}:{}`", push.repository, push.tag), &failure);
                        }
                    }
                }
            }
        }
        Ok(())
    }

    async fn is_seen(&self, push: &Push) -> Result<bool, Failure> {
        let key = Key::tag(push.repository_key(), push.tag.as_str());
        let seen: Option<Stored<SeenTagRow>> = self.control().get(&key).await?;
        Ok(seen.is_some_and(|seen| seen.row.tag.digest == push.digest))
    }

    /// One push for each tag of an image; none while the event may still come.
    fn pushes(&self, image: &PipelineImage, found: &Image, now: Timestamp) -> Vec<Push> {
        let is_overdue = found.pushed_at.is_some_and(|pushed_at| is_overdue(pushed_at, now));
        let tags = found.tags.iter().filter(|_| is_overdue);
        let push = |tag: &String| {
            Some(Push {
                account: self.home.account.clone(),
                region: self.home.region.clone(),
                repository: image.repository.clone(),
                tag: tag.parse().ok()?,
                digest: found.digest.parse().ok()?,
                // As events tell it, in whole seconds: a push of the same second is not before it.
                at: Timestamp::from_second(now.as_second()).unwrap_or(now),
            })
        };
        tags.filter_map(push).collect()
    }
}
