//! The names of chains.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The name of a chain.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Chain(String);

impl Chain {
    /// Everything about one release, including its deployments.
    pub fn release(release_id: &str) -> Self {
        Self(format!("release/{release_id}"))
    }

    /// What happens to an application: pipelines, locks, the ends of its releases with their heads.
    pub fn application(application: &str) -> Self {
        Self(format!("application/{application}"))
    }

    /// The pushes into one repository.
    pub fn repository(account: &str, region: &str, name: &str) -> Self {
        Self(format!("repository/{account}/{region}/{name}"))
    }

    /// The name as it is stored.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}
