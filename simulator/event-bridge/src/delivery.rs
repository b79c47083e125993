//! Faults of delivery as data: which events do not arrive, arrive late, twice or changed.

use jiff::SignedDuration;
use serde_json::Value;

use crate::Pattern;

/// The plan of disturbances between the services and the bus. The default disturbs nothing.
///
/// EventBridge promises at-least-once delivery of durable events and no order; best-effort events, such as those of
/// ECR, may be lost. A plan stays within those promises, or goes beyond them on purpose.
#[derive(Debug, Clone, Default)]
pub struct Delivery {
    planned: Vec<Planned>,
}

#[derive(Debug, Clone)]
struct Planned {
    disturbance: Disturbance,
    seen: u64,
}

/// One selector and what happens to the events it selects.
#[derive(Debug, Clone, PartialEq)]
pub struct Disturbance {
    /// The events it looks at, as a rule selects them.
    pub pattern: Pattern,
    /// Which of those it disturbs.
    pub occurrence: Occurrence,
    /// What happens to them.
    pub fault: Fault,
}

/// Which of the events that match a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occurrence {
    /// Each of them.
    Every,
    /// The n-th since the disturbance was planned, counted from one.
    Nth(u64),
}

/// What happens to an event on its way to the bus.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    /// It never arrives.
    Drop,
    /// It arrives, and again after this time, with the same `id`.
    Duplicate(SignedDuration),
    /// It arrives later by this time, behind events that were put after it.
    Delay(SignedDuration),
    /// It arrives with another value at this JSON pointer.
    Replace {
        /// Where, such as `/detail/image-digest`.
        pointer: String,
        /// The value that stands there on arrival.
        value: Value,
    },
}

impl Delivery {
    /// Adds a disturbance. The first one that selects an event disturbs it; all of them count it.
    pub fn plan(&mut self, disturbance: Disturbance) {
        self.planned.push(Planned { disturbance, seen: 0 });
    }

    /// Forgets every disturbance.
    pub fn clear(&mut self) {
        self.planned.clear();
    }

    /// Counts an event and says what happens to it.
    pub(crate) fn judge(&mut self, event: &Value) -> Option<Fault> {
        let mut fault = None;
        for planned in &mut self.planned {
            if !planned.disturbance.pattern.matches(event) {
                continue;
            }
            planned.seen += 1;
            let selected = match planned.disturbance.occurrence {
                Occurrence::Every => true,
                Occurrence::Nth(nth) => nth == planned.seen,
            };
            if selected && fault.is_none() {
                fault = Some(planned.disturbance.fault.clone());
            }
        }
        fault
    }
}
