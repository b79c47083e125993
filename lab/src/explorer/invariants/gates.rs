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
    /// Where windows and approvals are, what begins something begins it after the window has opened, and after an
    /// approver who did not ask for it has agreed with the plan that is carried out; a no is the end of it.
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
            if is_windowed(environment) && !release.is_hotfix && first < Shop::OPENS_AT - SKEWED {
                found.push(format!("`{id}` acts at {first}, before its window opens"));
            }
            // What has begun is carried on, however long that takes.
            let [closes, opens] = Shop::CLOSED;
            let is_closed = |at: &&Timestamp| **at > closes + SKEWED && **at < opens - SKEWED;
            let decided = self.written.decided.get(id).filter(is_closed);
            if let Some(at) = decided.filter(|_| is_windowed(environment) && !release.is_hotfix) {
                found.push(format!("`{id}` is let in at {at}, while its window is closed"));
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
            let (approvers, quorum) = if environment == Shop::MIRROR {
                (&Member::ALL[..], 2)
            } else {
                (&[Member::Ana, Member::Luis][..], 1)
            };
            // Whoever uses the command line is Ana.
            let others = approvers.iter().copied();
            let others = others.filter(|member| *member != Member::Ana || release.kind == ReleaseKind::Push);
            let agreed = others.filter(|member| said(*member, true).is_some_and(|vote| vote.at < first));
            let agreed = agreed.count();
            if agreed < quorum {
                found.push(format!(
                    "`{id}` acts at {first}, and of those who may only {agreed} have agreed with its plan, not {quorum}"
                ));
            }
            let acknowledged = self.written.acknowledged.get(&about);
            if environment == Shop::MIRROR && acknowledged.is_none_or(|at| *at >= first) {
                found.push(format!(
                    "`{id}` acts at {first}, and nobody had seen to what is asked for"
                ));
            }
            let locked = self.written.locked.get(id).copied().unwrap_or(first);
            for member in approvers.iter().copied() {
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

    /// From a stop on nothing more of a release is begun, and whoever takes locks during a freeze, a hold or a pin to
    /// another version begins nothing before that is over; nor does a push that was found not to work in the
    /// environment before.
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
            let release = self
                .releases
                .iter()
                .find(|release| release.release_id == deployment.release_id);
            let is_rollback = release.is_some_and(|release| release.kind == ReleaseKind::Rollback);
            // Whether something that began and was over, unless it still stands, stood when the locks were taken and
            // still does.
            let stands = |from: Timestamp, over: Option<Timestamp>, at: Timestamp| {
                locked.is_some_and(|locked| from < *locked) && over.is_none_or(|over| at < over)
            };
            let digest = release.map_or("", |release| &release.digest);
            let failed = release.is_some_and(|release| release.kind == ReleaseKind::Push)
                && deployment.environment != Shop::FIRST
                && locked.is_some_and(|locked| self.failed_before(&deployment.release_id, *locked));
            for (at, _) in intents.filter(begun) {
                if stopped.is_some_and(|stopped| stopped < at) {
                    found.push(format!("`{id}` begins something at {at}, and its release is stopped"));
                }
                if is_rollback {
                    continue;
                }
                let mut freezes = self.written.freezes.values();
                if freezes.any(|(from, lifted)| stands(*from, *lifted, *at)) {
                    found.push(format!("`{id}` begins something at {at}, and everything is frozen"));
                }
                let holds = self.written.holds.iter();
                let mut holds = holds.filter(|((held, _), _)| *held == deployment.release_id);
                if holds.any(|(_, (from, over))| stands(*from, over.map(|over| over - SKEWED), *at)) {
                    found.push(format!("`{id}` begins something at {at}, and its release is held"));
                }
                let mut pins = self.written.pins.values();
                let is_pinned = deployment.environment == Shop::ENVIRONMENT
                    && pins.any(|(from, lifted, to)| stands(*from, *lifted, *at) && !to.contains(digest));
                if is_pinned {
                    found.push(format!(
                        "`{id}` begins something at {at}, and another version is pinned"
                    ));
                }
                if failed {
                    found.push(format!(
                        "`{id}` begins something at {at}, and it does not work in `{}`",
                        Shop::FIRST
                    ));
                }
            }
        }
        for what in found {
            self.violated("I7", what);
        }
    }

    /// Whether the last look before a moment at what a release had come to in the first environment was that it does
    /// not work.
    fn failed_before(&self, release_id: &str, moment: Timestamp) -> bool {
        let is_of = |id: &str| {
            let mut deployments = self.deployments.iter();
            deployments
                .any(|row| row.deployment_id == id && row.release_id == release_id && row.environment == Shop::FIRST)
        };
        let looks = self.written.rechecked.iter();
        let last = looks
            .filter(|(at, id, _)| *at < moment && is_of(id))
            .max_by_key(|(at, ..)| *at);
        last.is_some_and(|(_, _, holds)| !holds)
    }
}
