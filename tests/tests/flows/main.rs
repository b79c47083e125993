//! Whole flows in the simulated account: the path of states, the end, what ECS runs afterwards, the calls that were
//! made, and what is left behind.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot read what it checks has failed"
)]

mod alarms;
mod approvals;
mod by_hand;
mod console;
mod criteria;
mod drift;
mod events;
mod examples;
mod gates;
mod guide;
mod locks;
mod made;
mod measures;
mod migrations;
mod mixed_versions;
mod orders;
mod path;
mod places;
mod planning;
mod preflight;
mod products;
mod pushes;
mod quarantine;
mod records;
mod refusals;
mod restore_points;
mod rollouts;
mod scaling;
mod schemas;
mod sizes;
mod slack;
mod soak;
mod success;
mod support;
mod telemetry;
mod verification;
mod waves;
