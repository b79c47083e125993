//! I5, I6 and I7: nothing comes that may not, that nobody agreed to, or that is older than what it replaces.

use std::collections::BTreeMap;

use esclusa_adapters::control::rows::{DeploymentRow, ReleaseKind};
use esclusa_core::supersession::Asked;
use esclusa_core::verdict::Verdict;
use jiff::{SignedDuration, Timestamp};

use super::Findings;
use crate::explorer::seen::place_of;
use crate::explorer::{Account, Member, Shop};

/// How far the clock of a function may be ahead.
const SKEWED: SignedDuration = SignedDuration::from_secs(240);

/// What brings a deployment on, as its intents name it.
const GOES_ON: [&str; 3] = ["ecs:RegisterTaskDefinition", "ecs:RunTask", "ecs:UpdateService"];

impl Findings<'_> {
    /// Where windows and approvals are, what begins something begins it after the window has opened, and after an approver who did not ask for it has agreed
    /// with the plan that is carried out; a no is the end of it.
    pub(super) fn nobody_comes_unasked(&mut self) {
        let account = self.shop.account;
        let is_windowed = |environment: &str| match account {
            Account::Small | Account::Abroad => false,
            Account::Large => environment == Shop::ENVIRONMENT,
            Account::Gated => true,
        };
        let mut found = Vec::new();
        for deployment in self.deployments.iter().filter(|row| row.application == Shop::NAME) {
            let DeploymentRow {
                deployment_id: id,
                release_id,
                environment,
                ..
            } = deployment;
            let release = self.releases.iter().find(|release| release.release_id == *release_id);
            let Some(release) = release.filter(|release| release.kind != ReleaseKind::Rollback) else {
                continue;
            };
            let mine = self.acts.iter().filter(|act| act.deployment_id == *id);
            let Some(first) = mine.map(|act| act.at).min() else {
                continue;
            };
            if is_windowed(environment) && first < Shop::OPENS_AT - SKEWED {
                found.push(format!("`{id}` acts at {first}, before its window opens"));
            }
            if account != Account::Gated {
                continue;
            }
            let about = format!("{release_id}#{environment}");
            let votes = self.written.votes.iter();
            let votes = votes.filter(|vote| vote.about == about && vote.plan_hash == deployment.plan_hash);
            let said = |member: Member, approves: bool| {
                let mut theirs = votes.clone();
                theirs.find(|vote| vote.approves == approves && vote.principal.ends_with(member.id()))
            };
            // Whoever uses the command line is Ana.
            let others = [Member::Ana, Member::Luis].into_iter();
            let mut others = others.filter(|member| *member != Member::Ana || release.kind == ReleaseKind::Push);
            if !others.any(|member| said(member, true).is_some_and(|vote| vote.at < first)) {
                found.push(format!(
                    "`{id}` acts at {first}, and nobody who may has agreed with its plan"
                ));
            }
            let locked = self.written.locked.get(id).copied().unwrap_or(first);
            for member in [Member::Ana, Member::Luis] {
                if said(member, false).is_some_and(|vote| vote.at < locked) {
                    found.push(format!("`{id}` acts at {first}, and {member:?} had said no"));
                }
            }
        }
        for what in found {
            self.violated("I5", what);
        }
    }

    pub(super) fn newer_stays(&mut self) {
        let mut newest: BTreeMap<(String, String), (Timestamp, &str)> = BTreeMap::new();
        let mut found = Vec::new();
        for deployment in self.deployments {
            let place = place_of(deployment);
            let brought = deployment
                .end
                .as_ref()
                .is_some_and(|end| end.verdict == Verdict::Succeeded);
            let release = self
                .releases
                .iter()
                .find(|release| release.release_id == deployment.release_id);
            let Some(release) = release.filter(|_| brought) else {
                continue;
            };
            match &release.asked {
                Asked::Person { .. } => {
                    newest.remove(&place);
                }
                Asked::Push { .. } => {
                    let pushed =
                        self.truth.pushed.iter().rev().find(|pushed| {
                            pushed.application == release.application && pushed.digest == release.digest
                        });
                    let Some(pushed) = pushed else { continue };
                    if let Some((at, digest)) = newest.get(&place)
                        && pushed.at < *at
                    {
                        found.push(format!(
                            "`{}` takes the place of `{digest}`, which was pushed after it",
                            release.digest
                        ));
                    }
                    newest.insert(place, (pushed.at, &release.digest));
                }
            }
        }
        for what in found {
            self.violated("I6", what);
        }
    }

    /// From a stop on nothing more of a release is begun, and whoever takes locks during a freeze begins nothing before it is lifted.
    pub(super) fn nobody_comes_who_may_not(&mut self) {
        let mut found = Vec::new();
        // People stop and freeze only what is of the shop.
        for deployment in self.deployments.iter().filter(|row| row.application == Shop::NAME) {
            let id = &deployment.deployment_id;
            let intents = self.written.intents.get(id).into_iter().flatten();
            let begun = |(_, intent): &&(Timestamp, String)| {
                GOES_ON.iter().any(|action| intent.contains(action)) && !intent.contains("way_back")
            };
            let stopped = self.written.stops.get(&deployment.release_id);
            let locked = self.written.locked.get(id);
            let is_rollback = self
                .releases
                .iter()
                .any(|release| release.release_id == deployment.release_id && release.kind == ReleaseKind::Rollback);
            for (at, _) in intents.filter(begun) {
                if stopped.is_some_and(|stopped| stopped < at) {
                    found.push(format!("`{id}` begins something at {at}, and its release is stopped"));
                }
                let is_frozen = self.written.freezes.values().any(|(from, lifted)| {
                    locked.is_some_and(|locked| from < locked) && lifted.is_none_or(|lifted| *at < lifted)
                });
                if is_frozen && !is_rollback {
                    found.push(format!("`{id}` begins something at {at}, and everything is frozen"));
                }
            }
        }
        for what in found {
            self.violated("I7", what);
        }
    }
}
