//! Who agrees that a release comes, and what becomes of one with which not enough have agreed in time.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use wildmatch::WildMatch;

use super::acknowledged::acknowledged;
use super::{GateFacts, GatePolicy, GateReport, OpenTimes, Opening, open, waits};
use crate::pipeline::{Approval, AtExpiry, Name, People, Person, UnknownPusher, Windows};
use crate::slack::Member;

/// What somebody said about a plan, written once.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Vote {
    /// The plan that it is about. A vote about another plan is none.
    pub plan_hash: String,
    /// The principal of whoever says so: an ARN, or a member of Slack.
    pub principal: String,
    /// Whether the release may come.
    pub approves: bool,
    /// Why, in the words of that person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// Who may agree with what comes into an environment, as a version of the pipeline says.
#[derive(Debug, Clone, Copy)]
pub struct Approvers<'a> {
    /// Who must agree; nobody where it does not say.
    pub approval: Option<&'a Approval>,
    /// The people of that version.
    pub people: &'a People,
}

impl Approvers<'_> {
    /// Those who must agree by an earlier version and may not any more.
    #[must_use]
    pub fn removed(&self, earlier: &Approval) -> Vec<Name> {
        let named = earlier.approvers.iter();
        named.filter(|person| !self.still_name(person)).cloned().collect()
    }

    /// Whether somebody of an earlier version is still the same person, and one of those who may.
    #[must_use]
    pub fn still_know(&self, person: &Name, principal: &str) -> bool {
        person_of(self.people, principal) == Some(person) && self.still_name(person)
    }

    /// Whether there still is somebody of that name, and one of those who may.
    fn still_name(&self, person: &Name) -> bool {
        self.people.contains_key(person) && self.approval.is_none_or(|approval| approval.approvers.contains(person))
    }
}

/// The person that a principal is: an ARN, or a member of Slack as `slack:T0123ABCD/U0123ABCD`.
#[must_use]
pub fn person_of<'a>(people: &'a People, principal: &str) -> Option<&'a Name> {
    let member = Member::of(principal);
    let known = |pattern: &String| WildMatch::new(pattern).matches(principal);
    let is_meant = |person: &Person| match &member {
        Some(member) => person.slack.iter().any(|known| member.is(known)),
        None => person.iam.iter().any(known),
    };
    let mut people = people.iter();
    people.find(|(_, person)| is_meant(person)).map(|(name, _)| name)
}

/// Whether the time to agree is over and the pipeline lets the release in then. Nobody has agreed by that: it is
/// written down as what the pipeline declares, and whoever says no before the deployment is started is still heard.
/// Nobody is silent who has held the release, nor where everything is frozen.
#[must_use]
pub fn is_let_in_at_expiry(policy: &GatePolicy<'_>, facts: &GateFacts<'_>, now: Timestamp) -> bool {
    let silence = policy
        .approval
        .and_then(|approval| Some((approval, lets_in(approval, policy, facts)?)));
    let Some((approval, hours)) = silence else {
        return false;
    };
    let mut orders = facts.freezes.iter().chain(facts.hold);
    if orders.any(|order| order.holds(now)) {
        return false;
    }
    // Nor does silence see to anything.
    if acknowledged(policy.acknowledgements, policy.people, facts.acknowledged).is_some_and(|report| !report.is_open) {
        return false;
    }
    let Ok(times) = policy.windows.map(OpenTimes::new).transpose() else {
        return false;
    };
    let agreed = agreed(approval, policy, facts, times.as_ref());
    agreed.is_missing
        && agreed.rejected.is_none()
        && expiry(hours, times.as_ref(), facts.since, now).is_some_and(|at| at <= now)
}

/// The open hours after which silence lets a release in; none where it does not.
pub(super) fn hours_of_silence(approval: &Approval) -> Option<u32> {
    approval
        .expires_open_hours
        .filter(|_| approval.at_expiry == AtExpiry::Approve)
}

/// The open hours after which silence lets this release in: the longer of what the version says that it began with and
/// of what the newest one says, and only where both do. A hotfix needs people, because its hours are not those in which
/// somebody looks.
pub(super) fn lets_in(approval: &Approval, policy: &GatePolicy<'_>, facts: &GateFacts<'_>) -> Option<u32> {
    let hours = hours_of_silence(approval).filter(|_| !facts.is_hotfix)?;
    match policy.now {
        None => Some(hours),
        Some(now) => now.approval.and_then(hours_of_silence).map(|newest| newest.max(hours)),
    }
}

/// Whether whoever agrees at a moment does so in time with a release that stands at the gates of an environment with
/// these windows since then.
#[must_use]
pub fn agrees_in_time(approval: &Approval, windows: Option<&Windows>, since: Timestamp, at: Timestamp) -> bool {
    // Windows that are none keep everything out, whoever agrees.
    let Ok(times) = windows.map(OpenTimes::new).transpose() else {
        return true;
    };
    is_in_time(approval.expires_open_hours, times.as_ref(), since, at)
}

/// Whether a moment is one at which somebody may agree.
fn is_in_time(open_hours: Option<u32>, times: Option<&OpenTimes>, since: Timestamp, at: Timestamp) -> bool {
    let until = open_hours.and_then(|hours| expiry(hours, times, since, at));
    until.is_none_or(|until| at < until)
}

/// What the votes come to.
pub(super) struct Agreed {
    pub(super) report: GateReport,
    pub(super) rejected: Option<String>,
    pub(super) is_missing: bool,
}

/// Counts the votes. Whoever agrees must be one of the approvers by the version that the release began with, and by the
/// newest one. A no of somebody who might say it stands, whatever becomes of that person, and however late it is: a yes
/// after the time to agree is none, whenever the gates are asked.
pub(super) fn agreed(
    approval: &Approval,
    policy: &GatePolicy<'_>,
    facts: &GateFacts<'_>,
    times: Option<&OpenTimes>,
) -> Agreed {
    let people = policy.people;
    let silence = lets_in(approval, policy, facts);
    let open_hours = silence.or(approval.expires_open_hours);
    let requester = facts.requested_by.and_then(|principal| person_of(people, principal));
    let (mut agree, mut removed): (Vec<&Name>, Vec<&Name>) = (Vec::new(), Vec::new());
    let mut rejected = None;
    for vote in facts.votes.iter().filter(|vote| vote.plan_hash == facts.plan_hash) {
        let Some(person) = person_of(people, &vote.principal).filter(|person| approval.approvers.contains(person))
        else {
            continue;
        };
        let is_own = requester == Some(person)
            || facts.requested_by == Some(vote.principal.as_str())
            || facts.pushed_by == Some(person);
        let still_may = policy.now.is_none_or(|now| now.still_know(person, &vote.principal));
        // Whoever asked for it or pushed it may take it back, and may not agree with it.
        if !vote.approves {
            let why = vote.reason.as_ref().map(|reason| format!(": {reason}"));
            rejected = rejected.or_else(|| Some(format!("`{person}`{}", why.unwrap_or_default())));
        } else if !is_own && is_in_time(open_hours, times, facts.since, vote.at) {
            let counted = if still_may { &mut agree } else { &mut removed };
            if !counted.contains(&person) {
                counted.push(person);
            }
        }
    }
    removed.retain(|person| !agree.contains(person));
    let may: Vec<&Name> = approval
        .approvers
        .iter()
        .filter(|name| requester != Some(name) && facts.pushed_by != Some(name))
        .collect();
    // Whoever is removed lowers no bar: it is that of the version that the release began with.
    // Whoever is nobody of the pipeline may be one of them by another name.
    let is_anybodys = requester.is_none() && facts.pushed_by.is_none();
    let quorum = quorum(approval, is_anybodys);
    let let_in = silence.zip(facts.let_in_at);
    let is_missing = agree.len() < quorum && let_in.is_none();
    let sentence = if agree.len() >= quorum {
        format!("{} agreed", names(&agree))
    } else if let Some((hours, at)) = let_in {
        format!("nobody rejected it within {hours} open hours, so it was admitted at {at:.0} (`at_expiry: approve`)")
    } else {
        let still_named = |name: &&Name| policy.now.is_none_or(|now| now.still_name(name));
        let left: Vec<&Name> = may
            .into_iter()
            .filter(|name| still_named(name) && !agree.contains(name) && !removed.contains(name))
            .collect();
        let tally = Tally {
            missing: quorum.saturating_sub(agree.len()),
            left: &left,
            agree: &agree,
            removed: &removed,
        };
        let by_default =
            silence.map(|hours| format!("; it is admitted if nobody rejects it within {hours} open hours"));
        format!("{tally}{}", by_default.unwrap_or_default())
    };
    let report = if is_missing {
        waits("approval", sentence, None)
    } else {
        open("approval", sentence)
    };
    Agreed {
        report,
        rejected,
        is_missing,
    }
}

/// Who has agreed, and who must.
struct Tally<'a> {
    missing: usize,
    left: &'a [&'a Name],
    agree: &'a [&'a Name],
    removed: &'a [&'a Name],
}

impl std::fmt::Display for Tally<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.left.is_empty() {
            write!(formatter, "{} more must agree", self.missing)?;
        } else {
            write!(formatter, "{} of {} must agree", self.missing, names(self.left))?;
        }
        if !self.agree.is_empty() {
            write!(formatter, "; {} agreed", names(self.agree))?;
        }
        if !self.removed.is_empty() {
            let removed = names(self.removed);
            write!(
                formatter,
                "; {removed} agreed, but may no longer approve in the current pipeline version"
            )?;
        }
        if self.left.len() < self.missing {
            formatter.write_str("; too few approvers are left: `esclusa stop` ends it")?;
        }
        Ok(())
    }
}

fn names(names: &[&Name]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

/// How many must agree: one more where whoever pushed is unknown and may be one of them. Where there are not so many,
/// nobody can let it in.
pub(super) fn quorum(approval: &Approval, nobody_asked: bool) -> usize {
    let wanted = usize::try_from(approval.quorum).unwrap_or(usize::MAX);
    let is_unknown = nobody_asked && approval.unknown_pusher == UnknownPusher::RaisesQuorum;
    wanted.saturating_add(usize::from(is_unknown))
}

/// When nobody may agree any more, as far as that is known now: the moment itself, or the one at which there is more to
/// know.
pub(super) fn expiry(
    open_hours: u32,
    times: Option<&OpenTimes>,
    since: Timestamp,
    now: Timestamp,
) -> Option<Timestamp> {
    let limit = SignedDuration::from_hours(i64::from(open_hours));
    let Some(times) = times else {
        return Some(since.saturating_add(limit).unwrap_or(Timestamp::MAX));
    };
    let left = limit.saturating_sub(times.open_between(since, now));
    if left <= SignedDuration::ZERO {
        return Some(now);
    }
    match times.at(now) {
        Opening::Closed { until, .. } => until,
        Opening::Open { until, .. } => {
            let at = now.saturating_add(left).unwrap_or(Timestamp::MAX);
            Some(until.map_or(at, |until| at.min(until)))
        }
    }
}
