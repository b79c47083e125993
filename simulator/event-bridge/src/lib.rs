//! Amazon EventBridge and EventBridge Scheduler on a laptop.
//!
//! [`EventBridge`] holds the rules of the default bus. Services put their events on the bus through the kernel; the
//! public API refuses their sources. [`Scheduler`] holds schedules. Both deliver at least once: a target that fails is
//! tried again with exponential back-off and jitter until the retry policy is exhausted, then the event goes to the
//! dead-letter queue, or is lost. [`Delivery`] makes chosen events fail to arrive, arrive late or twice.

mod bus;
mod courier;
mod delivery;
mod expression;
mod input;
mod pattern;
mod scheduler;
mod target;
#[cfg(test)]
mod testing;
mod transform;

pub use bus::EventBridge;
pub use courier::{Exhausted, Undelivered};
pub use delivery::{Delivery, Disturbance, Fault, Occurrence};
pub use pattern::{Pattern, PatternError};
pub use scheduler::Scheduler;
