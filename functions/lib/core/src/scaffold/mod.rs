//! A first pipeline file, written from services that run: one whose first release changes nothing but images.
//!
//! What is found decides what is written; what cannot be known is left to a person, in a comment that says where it is
//! explained.

mod gather;
mod names;
mod write;

use std::collections::BTreeMap;

use serde_json::Value;

pub use names::{Place, environments};

use crate::error::Failure;
use crate::pipeline::{ApplicationName, EnvironmentName};
use crate::task_definition::Home;

/// Where the reference of the file is.
pub const REFERENCE: &str = "https://github.com/esclusa/esclusa/blob/main/docs/PIPELINE.md";

/// What runs, as it was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Observed {
    /// The application to be.
    pub application: ApplicationName,
    /// The account and Region, whose registry the images must be in.
    pub home: Home,
    /// The environments, in order of promotion.
    pub environments: Vec<ObservedEnvironment>,
}

/// One environment as it was found.
#[derive(Debug, Clone, PartialEq)]
pub struct ObservedEnvironment {
    /// Its name to be.
    pub name: EnvironmentName,
    /// How names of resources call it, where not by its name: `stg` in `shop-stg-web`.
    pub suffix: Option<String>,
    /// The name of its cluster.
    pub cluster: String,
    /// Its services.
    pub services: Vec<ObservedService>,
}

/// One service as it was found.
#[derive(Debug, Clone, PartialEq)]
pub struct ObservedService {
    /// The service as ECS describes it.
    pub service: Value,
    /// The revision that it runs, as ECS describes it; none where that is not there any more, or the service says
    /// none.
    pub definition: Option<Value>,
    /// The ARN of the newest active revision of that family, which a release is based on.
    pub newest: Option<String>,
}

/// A first pipeline file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scaffold {
    /// The file.
    pub text: String,
    /// The keys of the services in it.
    pub services: Vec<String>,
    /// The services that are not in it, each with the reason.
    pub left_out: BTreeMap<String, String>,
    /// What else the first release changes, or is refused for.
    pub notes: Vec<String>,
}

/// Writes the file.
///
/// # Errors
/// `Refused`: nothing that was found can be deployed by a pipeline.
pub fn scaffold(observed: &Observed) -> Result<Scaffold, Failure> {
    let shape = gather::gather(observed);
    if shape.services.is_empty() {
        let reasons: Vec<String> = shape
            .left_out
            .iter()
            .map(|(name, reason)| format!("`{name}`: {reason}"))
            .collect();
        return Err(Failure::refused(match reasons.as_slice() {
            [] => "the clusters have no services: create them with your infrastructure code first".to_owned(),
            reasons => format!("no service can be written into a pipeline file: {}", reasons.join("; ")),
        }));
    }
    Ok(Scaffold {
        text: write::write(observed, &shape),
        services: shape.services.iter().map(|service| service.key.clone()).collect(),
        notes: shape.notes(),
        left_out: shape.left_out,
    })
}

#[cfg(test)]
mod tests;
