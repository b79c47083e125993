//! What must hold after every run, read from ECS, Step Functions, the tables and the calls that were made; no decision
//! of Esclusa is asked.
//!
//! | | holds |
//! |---|---|
//! | I1 | every release comes to one end of the closed table, and every push that is still there has a release |
//! | I2 | what an end says of the services is what runs, and nothing that was seen to fail is called verified |
//! | I3 | only one deployment at a time acts in an environment, from its first act to its end, and none behind a dirty end |
//! | I4 | a migration that is not idempotent starts once for a release, and never beside another; no code comes onto a schema that does not take it |
//! | I5 | nothing comes into an environment whose window is closed, nor without the agreement of somebody else with the very plan where that is asked |
//! | I6 | an older push never takes the place of a newer one |
//! | I7 | nothing is begun of a release that is stopped or held, that does not work where it came through, nor where everything is frozen or another version pinned |
//! | I8 | no act without its intent, no intent without an end, and the record is whole |
//! | I9 | where only events are lost, late, out of order or come twice, everything comes to what it comes to when they are not |
//! | I10 | no task token and no secret is where people read |
//! | I11 | nothing is left behind, and what was suspended scales again |
//! | I12 | everything comes to its end, without a person where the end is clean, and what is waited for is noticed in time |

mod acts;
mod ends;
mod gates;
mod schema;
mod services;
mod traces;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use esclusa_adapters::control::rows::{DeploymentRow, ReleaseRow};
use esclusa_core::verdict::End;
use serde_json::Value;

use super::seen::{Act, Written, acts, rows, running, written};
use super::{Place, Shop, Truth};

/// The tables of the deployer.
const CONTROL: &str = "esclusa-control";
const LEDGER: &str = "esclusa-ledger";

/// An invariant that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which, such as `I4`.
    pub invariant: &'static str,
    /// What is there instead.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.invariant, self.what)
    }
}

/// Everything that is not as it must be, and how often each end came out.
#[must_use]
pub fn check(shop: &mut Shop, truth: &Truth) -> (Vec<Violation>, BTreeMap<String, u64>) {
    let control = shop.items(CONTROL);
    let mut deployments: Vec<DeploymentRow> = rows(&control, "DEPLOYMENT");
    deployments.sort_by_key(|deployment| deployment.ended_at);
    let releases: Vec<ReleaseRow> = rows(&control, "RELEASE");
    let mut findings = Findings {
        acts: acts(shop, &deployments),
        written: written(shop),
        shop,
        truth,
        control: &control,
        deployments: &deployments,
        releases: &releases,
        violations: Vec::new(),
    };
    findings.everything_ends();
    findings.one_acts_at_a_time();
    findings.migrations_run_once();
    findings.code_fits_its_schema();
    findings.what_is_said_is_what_runs();
    findings.verified_works();
    findings.none_is_nothing();
    findings.newer_stays();
    findings.nobody_comes_who_may_not();
    findings.nobody_comes_unasked();
    findings.acts_are_announced();
    findings.nothing_leaks();
    findings.nothing_is_left();
    findings.ends_are_noticed();
    let violations = findings.violations;
    let mut ends = BTreeMap::new();
    for (what, end) in deployments
        .iter()
        .map(|deployment| ("deployment", &deployment.end))
        .chain(releases.iter().map(|release| ("release", &release.end)))
    {
        let end = end.as_ref().map_or_else(|| "no end".to_owned(), pair);
        *ends.entry(format!("{what} {end}")).or_default() += 1;
    }
    (violations, ends)
}

/// I9: what is there after events did not come as they should, compared with what is there when they did.
#[must_use]
pub fn compare(late: &mut Shop, in_time: &mut Shop) -> Vec<Violation> {
    let (late, in_time) = (came_to(late), came_to(in_time));
    let all: BTreeSet<&String> = late.keys().chain(in_time.keys()).collect();
    let found = all.into_iter().filter(|what| late.get(*what) != in_time.get(*what));
    let violation = |what: &String| {
        let [late, in_time] = [&late, &in_time].map(|came_to| came_to.get(what).map_or("nothing", String::as_str));
        Violation {
            invariant: "I9",
            what: format!("{what}: {late}, and when every event comes as it should: {in_time}"),
        }
    };
    found.map(violation).collect()
}

/// What everything has come to: what every service runs, and where one push of an application was all, its end.
fn came_to(shop: &mut Shop) -> BTreeMap<String, String> {
    let releases: Vec<ReleaseRow> = rows(&shop.items(CONTROL), "RELEASE");
    let mut came_to = BTreeMap::new();
    for place in shop.account.places() {
        for service in place.services {
            let runs: BTreeSet<String> = running(shop, place.cluster, service).into_iter().collect();
            came_to.insert(format!("`{service}` of `{}` runs", place.cluster), format!("{runs:?}"));
        }
        let mut mine = releases
            .iter()
            .filter(|release| release.application == place.application);
        if let (Some(only), None) = (mine.next(), mine.next()) {
            let end = only.end.as_ref().map_or_else(|| "no end".to_owned(), pair);
            came_to.insert(format!("the release of `{}` ends as", place.application), end);
        }
    }
    came_to
}

struct Findings<'a> {
    shop: &'a mut Shop,
    truth: &'a Truth,
    control: &'a [Value],
    deployments: &'a [DeploymentRow],
    releases: &'a [ReleaseRow],
    acts: Vec<Act>,
    written: Written,
    violations: Vec<Violation>,
}

impl Findings<'_> {
    fn violated(&mut self, invariant: &'static str, what: impl Into<String>) {
        let what = what.into();
        self.violations.push(Violation { invariant, what });
    }

    fn dirty(&self) -> impl Iterator<Item = &DeploymentRow> {
        let is_dirty = |end: &End| end.effect.is_dirty();
        self.deployments
            .iter()
            .filter(move |row| row.end.as_ref().is_some_and(is_dirty))
    }
}

fn pair(end: &End) -> String {
    format!("{} {}", end.verdict.as_str(), end.effect.as_str())
}

fn told(deployment: &DeploymentRow) -> String {
    let end = deployment.end.as_ref().map_or_else(|| "no end".to_owned(), pair);
    format!("`{}`: {end}", deployment.deployment_id)
}

fn is_at(deployment: &DeploymentRow, place: &Place) -> bool {
    deployment.application == place.application && deployment.environment == place.environment
}
