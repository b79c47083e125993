//! Esclusa under everything that can go wrong, in as many ways as there are seeds.
//!
//! A [`Plan`] is drawn from a seed: pushes, wishes of people, calls that fail, events that do not come, services that
//! are away, clocks that are off, others who act. [`run`] carries it out in a simulated account, waits until nothing
//! more happens, and holds the invariants of [`invariants`] against what is there. The same seed gives the same run, so
//! that a violation can be looked at, cut shorter with [`shrink`] and kept as a test.

mod carry_out;
pub mod coverage;
mod draw;
pub mod invariants;
mod plan;
mod seen;
mod shop;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use simulator::ApiError;

pub use coverage::{Known, KnownCall, Landed, landed};
pub use invariants::Violation;
pub use plan::{Asked, Delivery, Happening, Mishap, Plan, Point, SomebodysAct, What};
pub use shop::{Account, Image, Member, Place, Shop, Story};

use crate::deployer::InstallError;
use crate::walk::Line;
use carry_out::{NOTICED, Run, carry_out};

/// How long every schedule takes to have had a round.
const SWEPT: SignedDuration = SignedDuration::from_mins(6);

/// How long a lost push may take to be found, and what was left behind to be swept.
const HEALED: SignedDuration = SignedDuration::from_mins(20);

/// What the run brought about, as opposed to what Esclusa made of it.
#[derive(Debug, Clone)]
pub struct Truth {
    /// The images that were pushed, in order.
    pub pushed: Vec<Pushed>,
    /// What somebody else changed.
    pub changed: Vec<Changed>,
    /// The digests of images that cannot be pulled any more.
    pub removed: BTreeSet<String>,
    /// The digests of images whose servers answer with errors.
    pub erring: BTreeSet<String>,
    /// When the alarm of the verification began and ceased to fire.
    pub alarm: Vec<(Timestamp, bool)>,
    /// When the last service is back that was away.
    pub back_at: Option<Timestamp>,
    /// How soon the end of what is waited for is noticed, whatever went wrong.
    pub noticed_within: SignedDuration,
    /// Whether everything came to its end in time.
    pub settled: bool,
}

impl Truth {
    /// Whether the alarm of the verification fires from one moment to another without a break.
    #[must_use]
    pub fn fires_throughout(&self, from: Timestamp, to: Timestamp) -> bool {
        let before = self.alarm.iter().rfind(|(at, _)| *at <= from);
        let mut within = self.alarm.iter().filter(|(at, _)| *at > from && *at <= to);
        before.is_some_and(|(_, fires)| *fires) && within.all(|(_, fires)| *fires)
    }
}

impl Default for Truth {
    fn default() -> Self {
        Self {
            pushed: Vec::new(),
            changed: Vec::new(),
            removed: BTreeSet::new(),
            erring: BTreeSet::new(),
            alarm: Vec::new(),
            back_at: None,
            noticed_within: NOTICED,
            settled: false,
        }
    }
}

/// An image as it was pushed.
#[derive(Debug, Clone)]
pub struct Pushed {
    /// When.
    pub at: Timestamp,
    /// Of which application.
    pub application: &'static str,
    /// Under which tag.
    pub tag: String,
    /// Its digest.
    pub digest: String,
}

/// A service of the shop that somebody else changed.
#[derive(Debug, Clone)]
pub struct Changed {
    /// When.
    pub at: Timestamp,
    /// Its cluster.
    pub cluster: &'static str,
    /// The service.
    pub service: String,
    /// Whether no task of it is wanted since.
    pub to_zero: bool,
}

/// What a run came to.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// What must not be.
    pub violations: Vec<Violation>,
    /// How often each pair of verdict and effect is the end of a deployment, and of a release.
    pub ends: BTreeMap<String, u64>,
    /// The faults that struck a call.
    pub landed: Vec<Landed>,
    /// What happened, where it was asked for.
    pub transcript: Vec<Line>,
}

/// The calls that undisturbed runs make, which are those that can go wrong, and what the state machines ask for.
///
/// # Errors
/// When the shop cannot be opened, or a Task of a state machine cannot be recognised.
pub fn known_calls() -> Result<Known, InstallError> {
    let mut known: BTreeMap<Point, BTreeMap<Story, u64>> = BTreeMap::new();
    let mut tasks = BTreeMap::new();
    for story in Story::ALL {
        let mut shop = Shop::open_in(1, story.account)?;
        tasks.extend(coverage::tasks(&mut shop)?);
        shop.push("v1", story.image).map_err(|error| refused(&error))?;
        if story.is_followed {
            shop.run_for(SignedDuration::from_secs(20));
            shop.push("v2", Image::Good).map_err(|error| refused(&error))?;
        }
        if story.account == Account::Gated {
            // Its cards are shown by then.
            shop.run_for(SignedDuration::from_mins(3));
            shop.acknowledge();
            shop.vote(Member::Ana, true);
            shop.vote(Member::Luis, true);
        }
        shop.lab.settle();
        shop.run_for(HEALED);
        let world = shop.lab.world();
        for call in world.calls().iter().skip(shop.calls_before) {
            let is_invocation = call.service == "lambda" && call.operation == "Invoke";
            if call.function.is_none() && !is_invocation {
                continue;
            }
            let payload = match call.invocation {
                Some(invocation) => world.payload(invocation),
                None => call.input.get("Payload"),
            };
            let point = Point {
                function: call.function.clone(),
                service: call.service.clone(),
                operation: call.operation.clone(),
                asked: payload.and_then(Asked::of),
            };
            *known.entry(point).or_default().entry(story).or_default() += 1;
        }
    }
    let calls = known.into_iter().map(|(point, counts)| KnownCall { point, counts });
    Ok(Known {
        tasks,
        calls: calls.collect(),
    })
}

/// Every so many-th seed waits until everything must have healed although nothing is left to heal: what happens then
/// must change nothing.
const PATIENT: u64 = 4;

/// Carries out a plan. With `tells` the outcome has a transcript.
///
/// # Errors
/// When the shop cannot be opened.
pub fn run(plan: &Plan, tells: bool) -> Result<Outcome, InstallError> {
    let mut run = carry_out(plan, tells)?;
    let (mut violations, mut ends) = invariants::check(&mut run.shop, &run.truth);
    if !violations.is_empty() || plan.seed.is_multiple_of(PATIENT) {
        run.come_to_rest(HEALED);
        (violations, ends) = invariants::check(&mut run.shop, &run.truth);
    }
    let Run {
        mut shop, transcript, ..
    } = run;
    if plan.changes_only_the_time() {
        let mut in_time = carry_out(&plan.in_time(), false)?;
        violations.extend(invariants::compare(&mut shop, &mut in_time.shop));
    }
    Ok(Outcome {
        violations,
        ends,
        landed: landed(shop.lab.world()),
        transcript,
    })
}

/// The shortest plan that this finds in which the same invariants are violated: one happening after the other is left
/// out.
///
/// # Errors
/// When the shop cannot be opened.
pub fn shrink(plan: &Plan, violations: &[Violation]) -> Result<Plan, InstallError> {
    let wanted = |found: &[Violation]| {
        let mut names = violations.iter().map(|violation| violation.invariant);
        names.any(|name| found.iter().any(|found| found.invariant == name))
    };
    shortest(plan, |shorter| Ok(wanted(&run(shorter, false)?.violations)))
}

/// The plan without every happening that is not needed for it to violate.
fn shortest<E>(plan: &Plan, mut violates: impl FnMut(&Plan) -> Result<bool, E>) -> Result<Plan, E> {
    let mut shortest = plan.clone();
    for index in (0..plan.happenings.len()).rev() {
        let mut shorter = shortest.clone();
        shorter.happenings.remove(index);
        if violates(&shorter)? {
            shortest = shorter;
        }
    }
    Ok(shortest)
}

fn refused(error: &ApiError) -> InstallError {
    InstallError::Account(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_violation_does_not_need_is_cut_off_and_what_it_needs_stays_in_its_order() {
        let known = known_calls().unwrap();
        let mut plans = (0..).map(|seed| Plan::draw(seed, &known));
        let plan = plans.find(|plan| plan.happenings.len() >= 6).unwrap();
        let needed = [plan.happenings[1].clone(), plan.happenings[4].clone()];
        let mut tried = 0;
        let found = shortest(&plan, |shorter| {
            tried += 1;
            Ok::<_, InstallError>(needed.iter().all(|happening| shorter.happenings.contains(happening)))
        });
        let found = found.unwrap();
        assert_eq!((found.happenings, found.seed), (needed.to_vec(), plan.seed));
        assert_eq!(tried, plan.happenings.len());
        let nothing = shortest(&plan, |_| Ok::<_, InstallError>(false)).unwrap();
        assert_eq!(nothing.happenings, plan.happenings);
    }
}
