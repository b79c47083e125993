//! Every call of a deployment, disturbed in every way: the loops of steno and omicron, over the real state machines.

use crate::many::{each, sample};
use crate::observation::Observation;
use crate::points::{Disturbed, every_disturbance};
use crate::shop::{Image, SAMPLE, Shop};

struct Loop {
    image: Image,
    seed: u64,
    undisturbed: Observation,
    disturbances: Vec<Disturbed>,
}

impl Loop {
    /// One run without faults, and everything that can be disturbed in it.
    fn of(image: Image, seed: u64) -> Self {
        let mut shop = Shop::open(seed);
        let digest = shop.deploy(image);
        let disturbances = every_disturbance(&shop);
        let undisturbed = shop.observe(&digest);
        assert_eq!(undisturbed.problems, Vec::<String>::new(), "{image:?} with seed {seed}");
        Self {
            image,
            seed,
            undisturbed,
            disturbances,
        }
    }

    /// One in so many; another seed takes others.
    fn sampled(self) -> Self {
        let offset = usize::try_from(self.seed).unwrap();
        Self {
            disturbances: sample(self.disturbances, SAMPLE, offset),
            ..self
        }
    }

    /// Makes every disturbed run, and fails with all that ended otherwise.
    fn run(&self) {
        each(&self.disturbances, |disturbed| self.difference(disturbed));
    }

    /// What was other than without the disturbance.
    fn difference(&self, disturbed: &Disturbed) -> Option<String> {
        let mut shop = Shop::open(self.seed);
        shop.fault(disturbed.point.selector(), disturbed.mishap.fault());
        let digest = shop.deploy(self.image);
        let observed = shop.observe(&digest);
        if observed.end == self.undisturbed.end && observed.problems.is_empty() {
            return None;
        }
        let expected = &self.undisturbed.end;
        Some(format!(
            "{disturbed} (seed {})\n  path: {}\n  end: {:?}\n  not: {expected:?}\n  problems: {:#?}",
            self.seed,
            observed.path.join(" "),
            observed.end,
            observed.problems,
        ))
    }
}

/// F20, F21, F22, F24, F28, F43, F46, F73: a Lambda function dies before or after any of its calls, loses an answer, or runs twice.
#[test]
fn a_disturbed_deployment_ends_as_an_undisturbed_one() {
    Loop::of(Image::Good, 1).sampled().run();
}

#[test]
#[ignore = "takes minutes: every call in every way; the sample above takes one in so many"]
fn a_deployment_that_is_disturbed_anywhere_ends_as_an_undisturbed_one() {
    Loop::of(Image::Good, 1).run();
}

/// F20 with a migration that ends with exit code 1: no second run of it, whatever happens around it.
#[test]
fn a_disturbed_deployment_with_a_bad_migration_fails_as_an_undisturbed_one() {
    Loop::of(Image::BadMigration, 1).sampled().run();
}

#[test]
#[ignore = "takes minutes: every call in every way; the sample above takes one in so many"]
fn a_deployment_with_a_bad_migration_that_is_disturbed_anywhere_fails_as_an_undisturbed_one() {
    Loop::of(Image::BadMigration, 1).run();
}

/// F20 and F50: the second service crashes, ECS rolls it back, the first is brought back.
#[test]
fn a_disturbed_way_back_leads_where_an_undisturbed_one_does() {
    Loop::of(Image::CrashingWeb, 1).sampled().run();
}

#[test]
#[ignore = "takes minutes: every call in every way; the sample above takes one in so many"]
fn a_way_back_that_is_disturbed_anywhere_leads_where_an_undisturbed_one_does() {
    Loop::of(Image::CrashingWeb, 1).run();
}
