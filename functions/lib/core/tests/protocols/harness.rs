//! How a model is checked: breadth first, so that a path that is printed is a shortest one.

use std::fmt::Debug;
use std::hash::Hash;

use stateright::{Checker, HasDiscoveries, Model};

/// A model of a protocol that the checker explores and whose paths can be printed.
pub(crate) trait Protocol:
    Model<State: Clone + Debug + Hash + PartialEq + Send + Sync + 'static, Action: Clone + Debug + PartialEq>
    + Send
    + Sync
    + 'static
{
    /// Asserts that no path breaks a property and that every example that is asked for is reached; otherwise prints the
    /// path.
    ///
    /// `states` is the size of the space: a fault that never happens, or a step that is never taken, makes it smaller.
    #[track_caller]
    fn assert_holds(self, states: usize) {
        let checker = explore(self, HasDiscoveries::All);
        checker.assert_properties();
        assert_eq!(checker.unique_state_count(), states, "the size of the checked space");
    }

    /// Asserts that the checker finds the fault that is planted in this model: a path on which `property` is broken.
    #[track_caller]
    fn assert_finds(self, property: &'static str) {
        assert!(
            self.property(property).expectation.discovery_is_failure(),
            "`{property}` is an example to reach, it cannot be broken"
        );
        let checker = explore(self, HasDiscoveries::AnyOf([property].into()));
        assert!(
            checker.discovery(property).is_some(),
            "no path breaks `{property}`: the planted fault is not found"
        );
    }

    /// Whether nothing that may still happen changes the world.
    fn is_at_rest(&self, world: &Self::State) -> bool {
        let mut actions = Vec::new();
        self.actions(world, &mut actions);
        actions
            .into_iter()
            .all(|action| self.next_state(world, action).is_none())
    }
}

/// Explores the model until `enough` is discovered or no state is left.
fn explore<M: Protocol>(model: M, enough: HasDiscoveries) -> impl Checker<M> {
    model.checker().finish_when(enough).spawn_bfs().join()
}
