//! Every call refused once: not the end of an undisturbed run any more, but one that tells the truth and leaves nothing
//! behind.

use simulator::{ApiError, FaultKind};

use crate::many::{each, sample};
use crate::observation::Observation;
use crate::points::{Point, calls_of_functions};
use crate::shop::{Image, SAMPLE, Shop};

fn denied(point: &Point) -> FaultKind {
    FaultKind::ErrorBefore(ApiError::client(
        "AccessDeniedException",
        format!("not authorized to perform: {point}"),
    ))
}

/// What is untrue or unclean about a run, if anything is.
pub(crate) fn untruth(observed: &Observation) -> Vec<String> {
    let end = &observed.end;
    let is_dirty = end
        .deployments
        .iter()
        .any(|said| said.contains(" partial ") || said.contains(" unknown "));
    let mut untruths = observed.problems.clone();
    let never_started = !observed.path.iter().any(|state| state == "AcquireLocks");
    if never_started {
        untruths.retain(|problem| !problem.contains("DEPLOYMENT"));
    }
    let of_ours = end.running.values().flatten().filter(|ours| **ours).count();
    let of_all = end.running.values().flatten().count();
    // A deployment that ended because its plan had changed is followed by another one.
    for said in end.releases.iter().chain(end.deployments.last()) {
        let is_true = match said.split(' ').take(2).collect::<Vec<_>>().as_slice() {
            ["SUCCEEDED", _] => of_ours == of_all,
            [_, "none"] => of_ours == 0 && end.migrations.is_empty(),
            [_, "reverted" | "schema_moved"] => of_ours == 0,
            [_, "partial" | "unknown"] => true,
            ["", ""] => never_started,
            _ => false,
        };
        if !is_true {
            untruths.push(format!("`{said}` is not what happened"));
        }
    }
    let locks = if is_dirty { "QUARANTINED" } else { "FREE" };
    if !end.locks.values().all(|status| status == locks) {
        untruths.push(format!("the locks are not {locks}"));
    }
    if end.migrations.len() > 1 || end.releases.len() != 1 {
        untruths.push("something happened twice".to_owned());
    }
    untruths
}

fn calls(seed: u64) -> Vec<Point> {
    let mut shop = Shop::open(seed);
    shop.deploy(Image::Good);
    calls_of_functions(&shop)
}

fn deny_each(seed: u64, points: &[Point]) {
    each(points, |point| {
        let mut shop = Shop::open(seed);
        shop.fault(point.selector(), denied(point));
        let digest = shop.deploy(Image::Good);
        let observed = shop.observe(&digest);
        let untruths = untruth(&observed);
        let path = observed.path.join(" ");
        (!untruths.is_empty()).then(|| {
            format!(
                "{point} (seed {seed})\n  path: {path}\n  end: {:?}\n  {untruths:#?}",
                observed.end
            )
        })
    });
}

/// F77 and F85 at any call: whatever permission is missing for a moment, the end is true and clean.
#[test]
fn a_deployment_that_is_denied_a_call_ends_true_and_clean() {
    deny_each(1, &sample(calls(1), SAMPLE, 0));
}

#[test]
#[ignore = "takes minutes: every call of a deployment; the sample above takes one in so many"]
fn a_deployment_that_is_denied_a_call_anywhere_ends_true_and_clean() {
    deny_each(1, &calls(1));
}
