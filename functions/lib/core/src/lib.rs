//! The decisions of Esclusa, pure: pipeline, plan, protocols, verdicts, audit chain.

pub mod canonical;
pub mod delivery;
pub mod error;
pub mod evidence;
pub mod gate;
pub mod identity;
pub mod image;
pub mod ledger;
pub mod migration;
pub mod pipeline;
pub mod plan;
pub mod protocol;
pub mod quarantine;
pub mod restore_point;
pub mod scaling;
pub mod schema;
pub mod secret;
pub mod service_deployment;
pub mod supersession;
pub mod tags;
pub mod task_definition;
pub mod timestamp;
pub mod verdict;
pub mod verification;
pub mod version;
pub mod way_back;
