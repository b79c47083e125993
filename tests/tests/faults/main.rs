//! What can go wrong goes wrong here: every call of a deployment dies before it and after it, loses its answer or
//! happens twice, every event is lost, late or repeated; and however it was disturbed, a deployment comes to the end it
//! would have come to anyway.
//!
//! The loops are generated from a run without faults and from the machines as they were deployed, so that a call that
//! is added to a handler, or a Task to a machine, is disturbed from then on. What runs by default is a sample of the
//! calls, and every Task once; all of it takes an hour: `cargo test -p esclusa-tests --test faults -- --ignored`.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod abort;
mod crash_loops;
mod denials;
mod determinism;
mod event_races;
mod explored;
mod fixed;
mod many;
mod observation;
mod points;
mod refusals;
mod shop;
mod starts;
mod stories;
mod task_loops;
