//! Events of ECS, and the task that they share with answers of the ECS API.

mod service;
mod task;

pub use service::{
    EcsDeploymentStateChange, EcsServiceAction, ServiceActionName, ServiceDeploymentName, ServiceEventType,
};
pub use task::{Container, Task, TaskStatus};
