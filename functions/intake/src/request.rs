//! From the wish of a person to a release: a version into one environment, or the way back in one.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use esclusa_adapters::control::rows::{EnvironmentRow, Progress, ReleaseKind, ReleaseRow};
use esclusa_adapters::control::{Key, Stored};
use esclusa_adapters::deployments::Work;
use esclusa_adapters::gates::{HISTORY, deployments_into};
use esclusa_adapters::journal::Commit;
use esclusa_adapters::locks::environment_lock_row;
use esclusa_adapters::planning::{brought_by, current_pipeline};
use esclusa_adapters::requests::ReleaseRequest;
use esclusa_adapters::step_functions::execution_arn;
use esclusa_adapters::version;
use esclusa_core::decision::check_length;
use esclusa_core::error::Failure;
use esclusa_core::identity::{RequestIdentity, RequestKind};
use esclusa_core::pipeline::{ResolvedEnvironment, resolve};
use esclusa_core::protocol::lock::LockStatus;
use esclusa_core::supersession::Asked;
use esclusa_core::verdict::{End, Reason, StepKind, StepOutcome};
use esclusa_core::verification::Revoked;
use esclusa_core::version::Version;
use jiff::Timestamp;
use serde_json::Value;

use crate::Intake;
use crate::take::claimed;

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
    /// Makes a release of what `requested_by` asks for, once for each id that is given with it.
    pub(crate) async fn requested(
        &self,
        request: &ReleaseRequest,
        request_id: &str,
        requested_by: &str,
    ) -> Result<Value, Failure> {
        let (version, pipeline) = current_pipeline(self.control(), &request.application).await?;
        let environment =
            resolve(&pipeline, &request.environment).map_err(|error| Failure::refused(error.to_string()))?;
        let identity = RequestIdentity {
            kind: request.kind,
            application: pipeline.application.clone(),
            environment: environment.name.clone(),
            request_id: request_id.to_owned(),
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
        check_length(request.reason.as_deref().unwrap_or_default())
            .map_err(|refusal| Failure::refused(refusal.to_string()))?;
        if request.hotfix && environment.hotfix.is_none() {
            return Err(Failure::refused(format!(
                "the pipeline of `{}` declares no hotfix: add `hotfix` to it, and apply it with `esclusa pipelines apply`",
                pipeline.application
            )));
        }
        let chosen = match request.kind {
            RequestKind::Deploy => self.version(&environment, request).await?,
            RequestKind::Rollback => self.earlier(request).await?,
        };
        let now = self.journal.clock().now()?;
        let execution_arn = execution_arn(&self.release_state_machine, &release_id)?;
        let asked = Asked::Person {
            tag: request.version.as_ref().and_then(Version::tag).cloned(),
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
            waves: BTreeMap::new(),
            pipeline_version: version,
            target_release: chosen.target_release,
            undo_migrations: request.undo_migrations && request.kind == RequestKind::Rollback,
            is_hotfix: request.hotfix && request.kind == RequestKind::Deploy,
            requested_by: requested_by.to_owned(),
            reason: request.reason.clone(),
            execution_arn,
            progress: Progress::Claimed,
            created_at: now,
            ended_at: None,
            end: None,
        };
        let commit = Commit::new().changes(self.made(&pipeline, &release.environments).await?);
        let answer = self.claim(&release, claimed(&release)?, commit).await?;
        answer.ok_or_else(|| Failure::conflict("the release is being written by others"))
    }

    async fn version(&self, environment: &ResolvedEnvironment, request: &ReleaseRequest) -> Result<Chosen, Failure> {
        let Some(version) = &request.version else {
            return Err(Failure::refused("name a tag or a digest to deploy"));
        };
        let key = request.image.as_deref();
        let chosen = version::choose(&self.images, environment, key, version, &self.home).await?;
        Ok(Chosen {
            image: chosen.key.to_string(),
            account: self.home.account.to_string(),
            region: self.home.region.to_string(),
            repository: chosen.image.repository.to_string(),
            digest: chosen.digest.to_string(),
            tag: version.to_string(),
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
                let Some(known) = history.iter().find(|row| row.release_id == *target) else {
                    return Err(Failure::refused(format!(
                        "release `{target}` was never verified in `{environment}`: choose one from `esclusa status {application} {environment}`"
                    )));
                };
                if let Some(Revoked { at, why }) = &known.revoked {
                    return Err(Failure::refused(format!(
                        "release `{target}` was verified in `{environment}` but has failed verification since {at}: {why}; choose another one from `esclusa status {application} {environment}`"
                    )));
                }
                self.journal.release(target).await?.row
            }
            (None, None) => return Err(nothing()),
            (None, Some(current)) => {
                let verified = self.journal.release(&current.row.release_id).await?.row;
                let covered = match current.row.revoked {
                    None => self.covered(&current.row, &verified, environment).await?,
                    Some(_) => None,
                };
                let standing = match covered
                    .as_ref()
                    .and_then(|image| current.row.digests.get_key_value(image))
                {
                    Some((image, digest)) => {
                        brought_by(self.control(), application, environment, image, digest).await?
                    }
                    None => None,
                };
                let back = match standing {
                    Some((_, release)) => Some(release),
                    None => {
                        let image = covered.unwrap_or(verified.image);
                        self.release_before(&history, &current.row, &image).await?
                    }
                };
                back.ok_or_else(nothing)?
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

    /// The image of which something runs, or may run, over what was verified last: that is then what somebody goes back
    /// to.
    async fn covered(
        &self,
        current: &EnvironmentRow,
        verified: &ReleaseRow,
        environment: &str,
    ) -> Result<Option<String>, Failure> {
        let application = &verified.application;
        let lock = environment_lock_row(self.control(), application, environment).await?;
        let at_work = lock.and_then(|stored| {
            stored
                .row
                .deployment_id
                .filter(|_| stored.row.status == LockStatus::Held)
        });
        if let Some(deployment_id) = at_work {
            let release = self.journal.work(&deployment_id).await?.release.row;
            if release.kind == ReleaseKind::Rollback {
                return Ok(None);
            }
            // Before it has moved a service, whoever goes back means what runs now.
            let steps = self.journal.steps(&deployment_id).await?;
            let mut steps = steps.iter().map(|stored| &stored.row);
            let has_moved =
                steps.any(|step| step.kind == StepKind::Service && step.record.outcome == StepOutcome::Done);
            return Ok(has_moved.then_some(release.image));
        }
        let mut ended = Vec::new();
        let others = current.digests.keys().filter(|image| **image != verified.image);
        for image in std::iter::once(&verified.image).chain(others) {
            for pointer in deployments_into(self.control(), application, environment, image).await? {
                let Work {
                    release, deployment, ..
                } = self.journal.work(&pointer.deployment_id).await?;
                let over = deployment
                    .row
                    .ended_at
                    .filter(|at| *at > current.since)
                    .zip(deployment.row.end);
                let Some((at, end)) = over else { continue };
                let steps = if end.effect.is_dirty() {
                    self.journal.steps(&pointer.deployment_id).await?
                } else {
                    Vec::new()
                };
                let mut steps = steps.iter().map(|stored| &stored.row);
                ended.push(Ended {
                    image: image.clone(),
                    at,
                    end,
                    is_rollback: release.row.kind == ReleaseKind::Rollback,
                    has_moved: steps
                        .any(|step| step.kind == StepKind::Service && step.record.outcome != StepOutcome::NeverStarted),
                });
            }
        }
        Ok(left_over(ended))
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

/// A deployment that ended after the environment was verified last.
#[derive(Debug, Clone)]
struct Ended {
    image: String,
    at: Timestamp,
    end: End,
    is_rollback: bool,
    /// Whether it has begun to move a service.
    has_moved: bool,
}

/// The image of the newest of these deployments that left its services over what was verified last; none where one of
/// the same image was in force after it: what is in force of another image keeps what runs of this one. A way back that
/// failed is no reason to go forth again.
fn left_over(mut ended: Vec<Ended>) -> Option<String> {
    ended.sort_by_key(|ended| Reverse(ended.at));
    let mut in_force = BTreeSet::new();
    for Ended {
        image,
        end,
        is_rollback,
        has_moved,
        ..
    } in ended
    {
        if in_force.contains(&image) {
            continue;
        }
        if end.reason == Reason::GaveWay && end.is_in_force() {
            return Some(image);
        }
        if end.is_in_force() {
            in_force.insert(image);
        } else if end.effect.is_dirty() && has_moved && !is_rollback {
            return Some(image);
        }
    }
    None
}

/// What ran, newest first, with the digest of `image` that ran before the current one first did: going back twice goes
/// back two versions, and never forth.
fn before<'a>(history: &'a [EnvironmentRow], current: &EnvironmentRow, image: &str) -> Vec<&'a EnvironmentRow> {
    let digest = |row: &EnvironmentRow| row.digests.get(image).cloned();
    let Some(first) = history.iter().rposition(|row| digest(row) == digest(current)) else {
        return Vec::new();
    };
    let earlier = history
        .iter()
        .skip(first.saturating_add(1))
        .skip_while(|row| digest(row).is_none() || row.revoked.is_some());
    let target = earlier.clone().next().and_then(digest);
    earlier.take_while(|row| digest(row) == target).collect()
}

#[cfg(test)]
mod tests {
    use esclusa_core::verdict::{Effect, Verdict};

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
            revoked: None,
            looked_at: None,
        }
    }

    fn targets(history: &[EnvironmentRow], image: &str) -> Vec<String> {
        before(history, &history[0], image)
            .iter()
            .map(|row| row.release_id.clone())
            .collect()
    }

    #[test]
    fn what_was_verified_last_is_gone_back_to_where_something_was_left_over_it() {
        let partial = (Verdict::Failed, Effect::Partial, Reason::RolloutFailed);
        let unknown = (Verdict::Failed, Effect::Unknown, Reason::Interrupted);
        let gave_way = (Verdict::Stopped, Effect::None, Reason::GaveWay);
        let back = (Verdict::RolledBack, Effect::Reverted, Reason::RolloutFailed);
        let unchanged = (Verdict::Unchanged, Effect::None, Reason::NothingToDo);
        let ended = |image: &str, at: i64, (verdict, effect, reason): (Verdict, Effect, Reason)| Ended {
            image: image.to_owned(),
            at: Timestamp::from_second(at).unwrap(),
            end: End {
                verdict,
                effect,
                reason,
                reasons: Vec::new(),
            },
            is_rollback: false,
            has_moved: true,
        };
        let app = |at, how| ended("app", at, how);
        let worker = |at, how| ended("worker", at, how);
        let on_the_way_back = |ended| Ended {
            is_rollback: true,
            ..ended
        };
        let before_a_service = |ended| Ended {
            has_moved: false,
            ..ended
        };
        for (what, ended, expected) in [
            ("it was left as it was", vec![app(1, partial)], Some("app")),
            ("nobody has verified it", vec![app(1, gave_way)], Some("app")),
            (
                "the next one went back to it",
                vec![app(1, partial), app(2, back)],
                Some("app"),
            ),
            ("it moved no service", vec![before_a_service(app(1, unknown))], None),
            (
                "whoever went back goes back again",
                vec![on_the_way_back(app(1, partial))],
                None,
            ),
            (
                "and what was left before that is left",
                vec![on_the_way_back(app(2, partial)), app(1, partial)],
                Some("app"),
            ),
            (
                "what was verified last is in force again",
                vec![app(2, unchanged), app(1, partial)],
                None,
            ),
            (
                "what is in force of another image keeps it",
                vec![worker(2, unchanged), app(1, partial)],
                Some("app"),
            ),
            (
                "the newest is the first to go",
                vec![worker(2, partial), app(1, partial)],
                Some("worker"),
            ),
            (
                "and where that is in force again, the other one",
                vec![worker(3, unchanged), worker(2, partial), app(1, gave_way)],
                Some("app"),
            ),
            ("nothing has happened since", vec![], None),
        ] {
            assert_eq!(left_over(ended).as_deref(), expected, "{what}");
        }
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
    fn what_was_found_not_to_work_afterwards_is_passed_by() {
        let mut history = [
            row("c", &[("app", "c")]),
            row("b", &[("app", "b")]),
            row("a", &[("app", "a")]),
        ];
        history[1].revoked = Some(Revoked {
            at: jiff::Timestamp::UNIX_EPOCH,
            why: "check `errors`: in `ALARM`".to_owned(),
        });
        assert_eq!(targets(&history, "app"), ["a"]);
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
