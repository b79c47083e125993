//! I2: what an end says of the services is what runs, and nothing that was seen to fail is called verified.

use esclusa_adapters::control::rows::DeploymentRow;
use esclusa_core::verdict::{Effect, Reason, Verdict};
use jiff::SignedDuration;

use super::{Findings, is_at, pair, told};
use crate::explorer::Place;
use crate::explorer::seen::{migrations, running};

/// How long an alarm of the verification may fire without being seen: looks at it are twenty seconds apart, and may be
/// a minute late.
const SEEN_WITHIN: SignedDuration = SignedDuration::from_secs(110);

impl Findings<'_> {
    /// Walks through the ends of each environment, and compares what must run after them with what does.
    pub(super) fn what_is_said_is_what_runs(&mut self) {
        let mut found = Vec::new();
        for place in self.shop.account.places() {
            let deployments: Vec<&DeploymentRow> = self.deployments.iter().filter(|row| is_at(row, place)).collect();
            for service in place.services {
                let Some(expected) = self.expected(place, service, &deployments) else {
                    continue;
                };
                let running = running(self.shop, place.cluster, service);
                let other = running.iter().any(|digest| !is(&expected, digest));
                // What is stopped cannot be replaced when its image is gone.
                let may_be_less = self.truth.removed.contains(&expected);
                if other || (running.is_empty() && !may_be_less) {
                    let all: Vec<String> = deployments.iter().map(|row| told(row)).collect();
                    found.push(format!(
                        "`{service}` of `{}` runs {running:?}, and should run `{expected}` after {}",
                        place.cluster,
                        all.join(", ")
                    ));
                }
            }
        }
        for what in found {
            self.violated("I2", what);
        }
    }

    /// What a service must run, empty for what it ran before; none where only a person knows.
    fn expected(&self, place: &Place, service: &str, deployments: &[&DeploymentRow]) -> Option<String> {
        let changes = self
            .truth
            .changed
            .iter()
            .filter(|changed| changed.cluster == place.cluster && changed.service == service);
        let changed = changes.map(|changed| changed.at).max();
        // What somebody else changes after its step was proven is nothing that a deployment looks at again.
        let is_before = |deployment: &DeploymentRow| changed.is_some_and(|changed| deployment.created_at <= changed);
        let mut expected = changed.is_none().then(String::new);
        for deployment in deployments {
            let end = deployment.end.as_ref()?;
            // One that gave way while it soaked is what runs until it is replaced.
            if end.verdict.is_in_force() || end.reason == Reason::GaveWay {
                expected = self.digest_of(deployment);
            } else if end.effect.is_dirty() {
                expected = None;
            }
            if is_before(deployment) {
                expected = None;
            }
        }
        expected
    }

    fn digest_of(&self, deployment: &DeploymentRow) -> Option<String> {
        let release = self
            .releases
            .iter()
            .find(|release| release.release_id == deployment.release_id);
        release.map(|release| release.digest.clone())
    }

    /// The alarm had fired for a while when a release was called good, its servers answered with errors all the time, or
    /// nobody wanted a task of one of its services any more.
    pub(super) fn verified_works(&mut self) {
        let mut found = Vec::new();
        for (deployment_id, at) in &self.written.verified {
            if self.truth.fires_throughout(*at - SEEN_WITHIN, *at) {
                found.push(format!(
                    "`{deployment_id}` is called verified at {at}, while its alarm fires"
                ));
            }
            let mut deployments = self.deployments.iter();
            let deployment = deployments.find(|row| row.deployment_id == *deployment_id);
            let release = deployment.map(|row| &row.release_id);
            let digest = self.releases.iter().find(|row| Some(&row.release_id) == release);
            let mut places = self.shop.account.places().iter();
            let place = deployment.and_then(|deployment| places.find(|place| is_at(deployment, place)));
            let mine = self.acts.iter().filter(|act| act.deployment_id == *deployment_id);
            let updated = mine
                .filter(|act| act.operation == "UpdateService")
                .map(|act| act.at)
                .max();
            let emptied = self.truth.changed.iter().find(|changed| {
                changed.to_zero
                    && place.is_some_and(|place| changed.cluster == place.cluster)
                    && updated.is_some_and(|updated| changed.at > updated)
                    && changed.at < *at - SEEN_WITHIN
            });
            if let Some(changed) = emptied {
                found.push(format!(
                    "`{deployment_id}` is called verified at {at}, and no task of `{}` is wanted since {}",
                    changed.service, changed.at
                ));
            }
            if digest.is_some_and(|row| self.truth.erring.contains(&row.digest)) {
                found.push(format!(
                    "`{deployment_id}` is called verified at {at}, and its servers answer with errors"
                ));
            }
        }
        for what in found {
            self.violated("I2", what);
        }
    }

    /// An end without an effect has changed nothing.
    pub(super) fn none_is_nothing(&mut self) {
        let tasks = migrations(self.shop);
        let mut found = Vec::new();
        for deployment in self.deployments {
            let Some(end) = &deployment.end else { continue };
            if end.effect != Effect::None || end.verdict == Verdict::Succeeded {
                continue;
            }
            let mine = || {
                self.acts
                    .iter()
                    .filter(|act| act.deployment_id == deployment.deployment_id)
            };
            let nothing_at_all = matches!(end.verdict, Verdict::Unchanged | Verdict::Superseded);
            if nothing_at_all && mine().next().is_some() {
                found.push(format!(
                    "`{}` ends as {} and has acted",
                    deployment.deployment_id,
                    pair(end)
                ));
            }
            let updated = mine().any(|act| act.operation == "UpdateService");
            if updated && end.reason != Reason::ForeignChange {
                found.push(format!(
                    "`{}` ends as {} and has updated a service",
                    deployment.deployment_id,
                    pair(end)
                ));
            }
            let migrated = tasks
                .values()
                .any(|task| task.started_at.is_some() && mine().any(|act| act.started_by == task.started_by));
            if migrated {
                found.push(format!(
                    "`{}` ends as {} and its migration has run",
                    deployment.deployment_id,
                    pair(end)
                ));
            }
        }
        for what in found {
            self.violated("I2", what);
        }
    }
}

/// Whether a task runs what is expected: the digest, or for the empty one the image that was there before.
fn is(expected: &str, digest: &str) -> bool {
    if expected.is_empty() {
        digest == "unknown"
    } else {
        digest == expected
    }
}
