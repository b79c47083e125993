//! The pipeline file: its model, its parser, its rules, and what it means in one environment.
//!
//! [`parse`] reads YAML and reports everything that is wrong with a position; [`resolve`] gives the one form that later decisions use.

mod model;
mod names;
mod parse;
mod path;
mod problem;
mod references;
mod resolve;
mod rollout;
mod schema;
mod structure;
mod tree;
mod validate;
mod verification;

pub use model::{
    CircuitBreaker, CircuitBreakerOverlay, Container, ContainerOverride, Database, DatabaseOverlay, DefinitionSource,
    Deployment, DeploymentOverlay, Down, DownOverlay, Environment, Hazard, HealthCheck, Image, LockPolicy, Log,
    Network, Newest, OnFailure, Phase, Pipeline, Port, Protocol, RestorePoint, RestorePointOverlay, SameAs, Scaling,
    ScalingOverlay, Service, ServiceOverlay, TagPolicy, Task, TaskDefinition, TaskDefinitionOverlay, TaskOverlay,
    Threshold, ThresholdKind, Trigger, Waiting,
};
pub use names::{AccountId, ApplicationName, Digest, EnvironmentName, InvalidName, Key, Region, RepositoryName, Tag};
pub use parse::parse;
pub use problem::{PipelineError, PipelineErrors};
pub use resolve::{
    ResolveError, ResolveProblem, ResolvedEnvironment, ResolvedService, ResolvedStep, ResolvedTask, resolve,
};
pub use rollout::{NoProgress, Percentages};
pub use schema::schema;
pub use verification::{
    Check, HttpMeasure, Limit, LogMeasure, Measure, Metric, MetricMeasure, NoData, Pace, Reaction, Samples,
    TargetsMeasure, Verification,
};

#[cfg(test)]
mod tests;
