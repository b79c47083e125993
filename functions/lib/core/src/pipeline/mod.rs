//! The pipeline file: its model, its parser, its rules, and what it means in one environment.
//!
//! [`parse`] reads YAML and reports everything that is wrong with a position; [`resolve`] gives the one form that later
//! decisions use.

mod gates;
mod made;
mod model;
mod names;
mod overlays;
mod parse;
mod parts;
mod path;
mod problem;
mod pusher;
mod references;
mod resolve;
mod rollout;
mod schema;
mod structure;
mod tree;
mod validate;
mod verification;

pub use gates::{
    Acknowledgement, Approval, AtExpiry, Day, Hotfix, People, Person, Skip, UnknownPusher, Window, Windows,
};
pub use model::{
    Environment, Hazard, LockPolicy, Newest, Notifications, OnFailure, Pipeline, SameAs, SlackNotifications, Soaking,
    TagPolicy, Trigger, Waiting,
};
pub use names::{
    AccountId, ApplicationName, ChannelId, Digest, EnvironmentName, InvalidName, MemberId, Name, Region,
    RepositoryName, Tag,
};
pub use overlays::{
    CircuitBreakerOverlay, DatabaseOverlay, DeploymentOverlay, DownOverlay, Replica, RestorePointOverlay,
    ScalingOverlay, ServiceOverlay, TaskDefinitionOverlay, TaskOverlay,
};
pub use parse::parse;
pub use parts::{
    CircuitBreaker, Container, ContainerOverride, Database, DefinitionSource, Deployment, Down, HealthCheck, Image,
    Log, Network, Phase, Port, Protocol, RestorePoint, Scaling, Service, Task, TaskDefinition, Threshold,
    ThresholdKind,
};
pub use problem::{PipelineError, PipelineErrors};
pub use pusher::{Pushed, Pusher};
pub use resolve::{
    ResolveError, ResolveProblem, ResolvedEnvironment, ResolvedService, ResolvedStep, ResolvedTask, resolve,
};
pub use rollout::{NoProgress, Percentages};
pub use schema::schema;
pub use verification::{
    Ask, Check, Choice, ConsumersMeasure, FunctionMeasure, HttpMeasure, Idle, Limit, LogMeasure, Measure, Method,
    Metric, MetricMeasure, NoData, Pace, Reaction, Samples, SmokeMeasure, SmokeStep, TargetsMeasure, Verification,
};

#[cfg(test)]
mod tests;
