//! The knobs of the simulated ECS.

use jiff::{SignedDuration, Timestamp};
use simulator_kernel::Kernel;

/// What tests and the world may turn. The defaults are what an idle account on Fargate shows.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Whether the request buckets of the account answer `ThrottlingException` when they are empty.
    pub throttling: bool,
    /// How long a new task is still `MISSING` to `DescribeTasks` and absent from `ListTasks`.
    pub task_visible_after: SignedDuration,
    /// How long a new service deployment is hidden from `currentServiceDeployment`, lists and descriptions.
    pub deployment_visible_after: SignedDuration,
    /// How long a deregistered task definition can still be run and deployed.
    pub deregistered_usable_for: SignedDuration,
    /// Windows in which Fargate has no room for new tasks.
    pub capacity_shortages: Vec<CapacityShortage>,
    /// How many vCPU Fargate may run on demand at once: the quota `Fargate On-Demand vCPU resource count` of an
    /// account that has grown.
    pub fargate_vcpus: u32,
    /// The name of a container that AWS adds to every task, such as `aws-guardduty-agent-nm40lC`.
    pub injected_sidecar: Option<String>,
    /// How long things take.
    pub durations: Durations,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            throttling: true,
            task_visible_after: SignedDuration::from_secs(1),
            deployment_visible_after: SignedDuration::from_secs(1),
            deregistered_usable_for: SignedDuration::from_mins(10),
            capacity_shortages: Vec::new(),
            fargate_vcpus: 4_000,
            injected_sidecar: None,
            durations: Durations::default(),
        }
    }
}

impl Settings {
    pub(crate) fn shortage(&self, now: Timestamp) -> Option<&CapacityShortage> {
        self.capacity_shortages
            .iter()
            .find(|shortage| shortage.from <= now && now < shortage.until)
    }
}

/// A time in which no task can be placed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CapacityShortage {
    /// The first moment without capacity.
    pub from: Timestamp,
    /// The first moment with capacity again.
    pub until: Timestamp,
    /// The `reason` in `RunTask`'s failures.
    pub reason: String,
}

impl CapacityShortage {
    /// A shortage with the reason that Fargate gives.
    #[must_use]
    pub fn fargate(from: Timestamp, until: Timestamp) -> Self {
        let reason = "Capacity is unavailable at this time. Please try again later or in a different availability zone";
        Self {
            from,
            until,
            reason: reason.to_owned(),
        }
    }
}

/// How long the steps of tasks and deployments take. Each occurrence is drawn from the seed.
#[derive(Debug, Clone)]
pub struct Durations {
    /// `PROVISIONING`: the network interface is attached.
    pub provisioning: DurationRange,
    /// From `PENDING` until all images are there.
    pub pull: DurationRange,
    /// `ACTIVATING`: targets are registered.
    pub activating: DurationRange,
    /// `DEACTIVATING`: targets are deregistered.
    pub deactivating: DurationRange,
    /// From the stop signal to the exit of a container that obeys it.
    pub stopping: DurationRange,
    /// `DEPROVISIONING`: the network interface is detached.
    pub deprovisioning: DurationRange,
    /// From a change to the service scheduler's reaction.
    pub scheduling: DurationRange,
}

impl Default for Durations {
    fn default() -> Self {
        Self {
            provisioning: DurationRange::milliseconds(6_000, 12_000),
            pull: DurationRange::milliseconds(5_000, 15_000),
            activating: DurationRange::milliseconds(50, 400),
            deactivating: DurationRange::milliseconds(500, 2_000),
            stopping: DurationRange::milliseconds(500, 3_000),
            deprovisioning: DurationRange::milliseconds(5_000, 15_000),
            scheduling: DurationRange::milliseconds(500, 3_000),
        }
    }
}

/// A duration between two bounds, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DurationRange {
    shortest_milliseconds: u32,
    longest_milliseconds: u32,
}

impl DurationRange {
    /// Between `shortest` and `longest` milliseconds.
    #[must_use]
    pub fn milliseconds(shortest: u32, longest: u32) -> Self {
        Self {
            shortest_milliseconds: shortest,
            longest_milliseconds: longest.max(shortest),
        }
    }

    pub(crate) fn draw(self, kernel: &mut Kernel) -> SignedDuration {
        let milliseconds = kernel.rng().u32(self.shortest_milliseconds..=self.longest_milliseconds);
        SignedDuration::from_millis(i64::from(milliseconds))
    }
}
