//! The transitions that must be right under crashes, repeats and interleavings.
//!
//! Each is a pure function from the row as it was read, and an input, to the row as it must be written together with
//! the condition under which it may be; or to a refusal with its reason. The Lambdas run them against DynamoDB, the
//! models in `tests/` check every interleaving of the same functions. `docs/SEMANTICS.md` says in words what they
//! promise.

mod attempt;
pub mod intent;
pub mod lock;
pub mod rendezvous;

pub use attempt::Attempt;

/// What a write expects to find.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Condition<R> {
    /// No row.
    NotExists,
    /// The row exactly as it was read. A store that counts the writes of a row may compare that count instead: it is
    /// the stronger condition.
    Unchanged(R),
}

impl<R: PartialEq> Condition<R> {
    /// Whether the condition holds for what is stored now.
    pub fn holds(&self, stored: Option<&R>) -> bool {
        match self {
            Self::NotExists => stored.is_none(),
            Self::Unchanged(read) => stored == Some(read),
        }
    }
}

/// A row to write, and the condition under which it may be written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[must_use = "a transition that is not written has not happened"]
pub struct Write<R> {
    /// The row.
    pub row: R,
    /// What must be found.
    pub condition: Condition<R>,
}

impl<R: Clone + PartialEq> Write<R> {
    /// Writes `row` where what was read is still there.
    pub fn after(read: Option<&R>, row: R) -> Self {
        let condition = read.map_or(Condition::NotExists, |read| Condition::Unchanged(read.clone()));
        Self { row, condition }
    }

    /// Writes into `stored` as a conditional put does: whole, or not at all. Says whether it was written.
    #[must_use = "a lost compare-and-set must be read again"]
    pub fn apply(self, stored: &mut Option<R>) -> bool {
        let holds = self.condition.holds(stored.as_ref());
        if holds {
            *stored = Some(self.row);
        }
        holds
    }
}
