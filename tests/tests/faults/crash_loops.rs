//! Every call of a deployment, disturbed in every way: the loops of steno and omicron, over the real state machines.

use crate::many::{each, sample};
use crate::observation::Observation;
use crate::points::{Disturbed, every_disturbance};
use crate::shop::{SAMPLE, Shop};
use crate::stories::Story;

struct Loop {
    story: Story,
    seed: u64,
    undisturbed: Observation,
    disturbances: Vec<Disturbed>,
}

impl Loop {
    /// One run without faults, and everything that can be disturbed in it.
    fn of(story: Story, seed: u64) -> Self {
        let mut shop = Shop::open(seed);
        let digest = story.tell(&mut shop);
        let disturbances = every_disturbance(&shop);
        let undisturbed = shop.observe(&digest);
        assert_eq!(undisturbed.problems, Vec::<String>::new(), "{story:?} with seed {seed}");
        Self {
            story,
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
        let digest = self.story.tell(&mut shop);
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

/// F20, F21, F22, F24, F28, F43, F46, F73: a Lambda function dies before or after any of its calls, loses an answer, or
/// runs twice.
#[test]
fn a_disturbed_deployment_ends_as_an_undisturbed_one() {
    Loop::of(Story::Good, 1).sampled().run();
}

#[test]
#[ignore = "takes minutes: every call in every way; the sample above takes one in so many"]
fn a_deployment_that_is_disturbed_anywhere_ends_as_an_undisturbed_one() {
    Loop::of(Story::Good, 1).run();
}

/// F20 with a migration that ends with exit code 1: no second run of it, whatever happens around it.
#[test]
fn a_disturbed_deployment_with_a_bad_migration_fails_as_an_undisturbed_one() {
    Loop::of(Story::BadMigration, 1).sampled().run();
}

#[test]
#[ignore = "takes minutes: every call in every way; the sample above takes one in so many"]
fn a_deployment_with_a_bad_migration_that_is_disturbed_anywhere_fails_as_an_undisturbed_one() {
    Loop::of(Story::BadMigration, 1).run();
}

/// F20 and F50: the second service crashes, ECS rolls it back, the first is brought back.
#[test]
fn a_disturbed_way_back_leads_where_an_undisturbed_one_does() {
    Loop::of(Story::WayBack, 1).sampled().run();
}

#[test]
#[ignore = "takes minutes: every call in every way; the sample above takes one in so many"]
fn a_way_back_that_is_disturbed_anywhere_leads_where_an_undisturbed_one_does() {
    Loop::of(Story::WayBack, 1).run();
}

/// What is stopped at its deadline: a rollout, which goes back, and a migration, of which nobody knows what it did.
#[test]
fn a_disturbed_stop_leads_where_an_undisturbed_one_does() {
    Loop::of(Story::HangingRollout, 1).sampled().run();
    Loop::of(Story::HangingMigration, 1).sampled().run();
}

#[test]
#[ignore = "takes minutes: every call in every way; the sample above takes one in so many"]
fn a_stop_that_is_disturbed_anywhere_leads_where_an_undisturbed_one_does() {
    Loop::of(Story::HangingRollout, 1).run();
    Loop::of(Story::HangingMigration, 1).run();
}
