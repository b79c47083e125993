//! The service scheduler: keeps every service at its desired count and carries its deployments on.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use simulator_kernel::Kernel;

use crate::deployment_records::Rollout;
use crate::events::ServiceAction;
use crate::input::{flag, list, text};
use crate::lifecycle::Launch;
use crate::quota::VCPU_LIMIT;
use crate::rules::Rules;
use crate::services::{Service, ServiceKey, ServiceStatus};
use crate::targets::LoadBalanced;
use crate::tasks::{Membership, Task, TaskStatus};
use crate::{Ecs, Timer};

/// How often a steady service says so again.
const STEADY_STATE_PERIOD: SignedDuration = SignedDuration::from_hours(6);
/// The pause after which a task that found no capacity is tried again.
const PLACEMENT_RETRY: SignedDuration = SignedDuration::from_secs(60);
/// The first pause of the start throttle, and its longest.
const FIRST_START_PAUSE: SignedDuration = SignedDuration::from_secs(30);
const LONGEST_START_PAUSE: SignedDuration = SignedDuration::from_mins(27);
/// How often every task of a service may fail to start before the throttle sets in.
const FREE_START_FAILURES: u32 = 3;
/// How many tasks one turn of the scheduler starts at most.
const LARGEST_BATCH: u32 = 20;

/// The tasks of a service as the scheduler counts them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Census {
    /// Tasks whose containers run or may still run, wanted or not.
    present: u32,
    /// Of these, the ones on their way out.
    leaving: u32,
    /// Wanted tasks of the primary deployment.
    new: u32,
    /// Wanted and healthy tasks of all deployments.
    healthy: u32,
    /// Wanted and healthy tasks of older deployments.
    old_healthy: u32,
}

/// What one turn of the scheduler does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Turn {
    start: u32,
    stop_old: u32,
}

impl Turn {
    /// Decides between the two percentages. Old tasks go when there are enough healthy ones, or earlier when the new
    /// ones have no room and the minimum allows it.
    fn plan(rules: &Rules, desired: u32, census: Census) -> Self {
        let maximum = rules.maximum(desired);
        let missing = desired.saturating_sub(census.new);
        let room = maximum.saturating_sub(census.present);
        let room_soon = room.saturating_add(census.leaving).min(maximum);
        let surplus = census.healthy.saturating_sub(desired);
        let expendable = census.healthy.saturating_sub(rules.minimum_healthy(desired));
        let in_the_way = missing.saturating_sub(room_soon);
        Self {
            start: missing.min(room).min(LARGEST_BATCH),
            stop_old: surplus.max(in_the_way.min(expendable)).min(census.old_healthy),
        }
    }
}

impl Ecs {
    /// Lets the scheduler look at the service soon.
    pub(crate) fn schedule(&mut self, key: &ServiceKey, kernel: &mut Kernel) {
        let delay = self.settings.durations.scheduling.draw(kernel);
        self.schedule_at(
            key,
            kernel.now().saturating_add(delay).unwrap_or(Timestamp::MAX),
            kernel,
        );
    }

    /// Lets the scheduler look at the service at a moment, unless it does so earlier.
    pub(crate) fn schedule_at(&mut self, key: &ServiceKey, at: Timestamp, kernel: &mut Kernel) {
        let Some(service) = self
            .services
            .get_mut(key)
            .filter(|service| service.status != ServiceStatus::Inactive)
        else {
            return;
        };
        if service.tick.is_none_or(|(earlier, _)| at < earlier) {
            let timer = self.timers.set_at(at, Timer::Schedule(key.clone()), kernel);
            service.tick = Some((at, timer));
        }
    }

    /// One turn of the scheduler.
    pub(crate) fn take_turn(&mut self, key: &ServiceKey, kernel: &mut Kernel) {
        let Some(service) = self.services.get_mut(key) else {
            return;
        };
        service.tick = None;
        match service.status {
            ServiceStatus::Inactive => {}
            ServiceStatus::Draining => self.drain(key, kernel),
            ServiceStatus::Active => {
                self.advance_service_deployments(key, kernel.now());
                // A rollback begins with a turn of its own.
                if self.judge_primary(key, kernel) {
                    return;
                }
                self.scale(key, kernel);
                self.drop_drained_deployments(key);
                self.complete(key, kernel);
                self.watch_alarms(key, kernel);
                self.announce_steady_state(key, kernel);
            }
        }
    }

    fn drain(&mut self, key: &ServiceKey, kernel: &mut Kernel) {
        let wanted: Vec<String> = self.wanted_tasks(key).map(|task| task.id.clone()).collect();
        for id in wanted {
            self.begin_stop(&id, "ServiceSchedulerInitiated", "The service is being deleted", kernel);
        }
        let quiet = self
            .tasks
            .values()
            .filter(|task| task.belongs_to(key))
            .all(|task| task.status >= TaskStatus::Stopping);
        if let Some(service) = self.services.get_mut(key).filter(|_| quiet) {
            service.status = ServiceStatus::Inactive;
            service.deployments.clear();
            service.service_deployments.clear();
        }
    }

    fn wanted_tasks(&self, key: &ServiceKey) -> impl Iterator<Item = &Task> {
        self.tasks
            .values()
            .filter(move |task| task.belongs_to(key) && task.is_wanted())
    }

    fn scale(&mut self, key: &ServiceKey, kernel: &mut Kernel) {
        let Some(service) = self.services.get(key) else { return };
        let Some(primary) = service.primary().filter(|primary| primary.rollout != Rollout::Failed) else {
            return;
        };
        let (desired, revision) = (service.desired_count, primary.revision.clone());
        let initiator = format!("Scaling activity initiated by (deployment {})", primary.id);
        let turn = Turn::plan(&service.rules, desired, self.census(key, &revision));
        let stops = self.tasks_to_stop(key, &revision, desired, turn.stop_old);
        for id in &stops {
            self.begin_stop(id, "ServiceSchedulerInitiated", &initiator, kernel);
        }
        if let Some(service) = self.services.get_mut(key).filter(|_| !stops.is_empty()) {
            let named: Vec<String> = stops.iter().map(|id| format!("(task {id})")).collect();
            service.say(
                &format!("has stopped {} running tasks: {}.", stops.len(), named.join(" ")),
                kernel,
            );
        }
        if turn.start > 0 {
            self.start_tasks(key, &revision, turn.start, kernel);
        }
    }

    fn census(&self, key: &ServiceKey, revision: &str) -> Census {
        let mut census = Census::default();
        for task in self
            .tasks
            .values()
            .filter(|task| task.belongs_to(key) && task.may_run())
        {
            let is_new = task.runs_revision(key, revision);
            census.present += 1;
            census.leaving += u32::from(!task.is_wanted());
            census.new += u32::from(is_new && task.is_wanted());
            census.healthy += u32::from(task.is_healthy());
            census.old_healthy += u32::from(!is_new && task.is_healthy());
        }
        census
    }

    /// Old tasks that never became healthy, as many healthy old ones as may go, and new ones beyond the desired count.
    fn tasks_to_stop(&self, key: &ServiceKey, revision: &str, desired: u32, stop_old: u32) -> Vec<String> {
        let count = |count: u32| usize::try_from(count).unwrap_or(usize::MAX);
        let (mut new, mut old): (Vec<&Task>, Vec<&Task>) = self
            .wanted_tasks(key)
            .partition(|task| task.runs_revision(key, revision));
        old.sort_by_key(|task| (task.is_healthy(), task.created_at, &task.id));
        new.sort_by_key(|task| (!task.is_healthy(), task.created_at, &task.id));
        let failing = old.iter().filter(|task| !task.is_healthy()).count();
        let old = old.into_iter().take(failing + count(stop_old));
        let new = new.into_iter().skip(count(desired));
        old.chain(new).map(|task| task.id.clone()).collect()
    }

    fn start_tasks(&mut self, key: &ServiceKey, revision: &str, number: u32, kernel: &mut Kernel) {
        let Some(launch) = self.launch_of(key, revision) else {
            return;
        };
        let number = number.min(self.room_for(&launch));
        let has_capacity = self.settings.shortage(kernel.now()).is_none();
        let Some(service) = self.services.get_mut(key) else {
            return;
        };
        if let Some(not_before) = service.start_not_before.filter(|at| *at > kernel.now()) {
            return self.schedule_at(key, not_before, kernel);
        }
        if !has_capacity || number == 0 {
            let retry = kernel.now().saturating_add(PLACEMENT_RETRY).unwrap_or(Timestamp::MAX);
            service.start_not_before = Some(retry);
            let reason = if has_capacity {
                VCPU_LIMIT
            } else {
                "Capacity is unavailable at this time. Please try again later or in a different availability zone"
            };
            service.say(&format!("was unable to place a task. Reason: {reason}."), kernel);
            ServiceAction::TaskPlacementFailure.emit(&service.arn, &service.cluster_arn, kernel);
            return self.schedule_at(key, retry, kernel);
        }
        let started: Vec<String> = (0..number)
            .filter_map(|_| self.launch(&launch, kernel))
            .map(|id| format!("(task {id})"))
            .collect();
        if let Some(service) = self.services.get_mut(key) {
            service.say(
                &format!("has started {} tasks: {}.", started.len(), started.join(" ")),
                kernel,
            );
        }
        if number == LARGEST_BATCH {
            self.schedule(key, kernel);
        }
    }

    fn launch_of(&self, key: &ServiceKey, revision: &str) -> Option<Launch> {
        let service = self.services.get(key)?;
        let configuration = &service.revisions.get(revision)?.configuration;
        let definition = self.task_definitions.find(text(configuration, "taskDefinition")?)?;
        let provider = list(configuration, "capacityProviderStrategy").first();
        let default = || self.clusters.get(&key.cluster)?.default_capacity_provider();
        let launched_on_fargate = text(configuration, "launchType").is_some();
        let provider = provider
            .and_then(|item| text(item, "capacityProvider"))
            .or_else(default);
        Some(Launch {
            cluster: key.cluster.clone(),
            cluster_arn: service.cluster_arn.clone(),
            definition_arn: definition.arn.clone(),
            group: format!("service:{}", key.name),
            started_by: service.primary().map(|primary| primary.id.clone()),
            membership: Some(Membership {
                service: key.clone(),
                revision: revision.to_owned(),
            }),
            overrides: json!({}),
            tags: propagated_tags(service, &definition.tags),
            capacity_provider: provider.filter(|_| !launched_on_fargate).map(str::to_owned),
            enable_execute_command: flag(&service.settings, "enableExecuteCommand"),
            platform_version: text(configuration, "platformVersion").map(str::to_owned),
            network_configuration: configuration.get("networkConfiguration").cloned().unwrap_or_default(),
            load_balanced: LoadBalanced::of(configuration),
            grace_period: service.grace_period(),
        })
    }

    /// A task of the service has reached `RUNNING`: the start throttle is lifted.
    pub(crate) fn task_started(&mut self, key: &ServiceKey) {
        if let Some(service) = self.services.get_mut(key) {
            service.start_failures = 0;
            service.impaired = false;
            service.start_not_before = None;
        }
    }

    /// A task of the service never reached `RUNNING`. When that goes on, ECS pauses longer and longer before it tries
    /// again.
    pub(crate) fn slow_down(&mut self, key: &ServiceKey, kernel: &mut Kernel) {
        let Some(service) = self.services.get_mut(key) else {
            return;
        };
        service.start_failures = service.start_failures.saturating_add(1);
        let rounds = service.start_failures / service.desired_count.max(1);
        let Some(beyond) = rounds.checked_sub(FREE_START_FAILURES) else {
            return;
        };
        let pause = FIRST_START_PAUSE
            .saturating_mul(1 << beyond.min(10))
            .min(LONGEST_START_PAUSE);
        service.start_not_before = kernel.now().checked_add(pause).ok();
        if !service.impaired {
            service.impaired = true;
            service.say("is unable to consistently start tasks successfully.", kernel);
            ServiceAction::TaskStartImpaired.emit(&service.arn, &service.cluster_arn, kernel);
        }
    }

    /// Deployments that are not primary leave the list with their last task.
    fn drop_drained_deployments(&mut self, key: &ServiceKey) {
        let Some(service) = self.services.get_mut(key) else {
            return;
        };
        let tasks = &self.tasks;
        let mut rank = 0;
        service.deployments.retain(|deployment| {
            rank += 1;
            let has_tasks = || {
                tasks
                    .values()
                    .any(|task| task.may_run() && task.runs_revision(key, &deployment.revision))
            };
            rank == 1 || has_tasks()
        });
    }

    fn announce_steady_state(&mut self, key: &ServiceKey, kernel: &mut Kernel) {
        let steady = self.services.get(key).is_some_and(|service| {
            service
                .primary()
                .is_some_and(|primary| primary.rollout == Rollout::Completed)
                && self.is_complete(service)
        });
        let Some(service) = self.services.get_mut(key) else {
            return;
        };
        if !steady {
            service.steady = None;
        } else if service.steady.is_none() {
            service.say("has reached a steady state.", kernel);
            ServiceAction::SteadyState.emit(&service.arn, &service.cluster_arn, kernel);
            let timer = self
                .timers
                .set_after(STEADY_STATE_PERIOD, Timer::SteadyState(key.clone()), kernel);
            service.steady = Some(timer);
        }
    }

    /// A steady service says so once more.
    pub(crate) fn repeat_steady_state(&mut self, key: &ServiceKey, kernel: &mut Kernel) {
        if let Some(service) = self.services.get_mut(key) {
            service.steady = None;
        }
        self.announce_steady_state(key, kernel);
    }
}

fn propagated_tags(service: &Service, definition_tags: &[Value]) -> Vec<Value> {
    let mut tags: Vec<Value> = match text(&service.settings, "propagateTags") {
        Some("TASK_DEFINITION") => definition_tags.to_vec(),
        Some("SERVICE") => service.tags.clone(),
        _ => Vec::new(),
    };
    if flag(&service.settings, "enableECSManagedTags") {
        tags.push(json!({"key": "aws:ecs:clusterName", "value": service.key.cluster}));
        tags.push(json!({"key": "aws:ecs:serviceName", "value": service.key.name}));
    }
    tags
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rules(minimum: u32, maximum: u32) -> Rules {
        Rules::read(&json!({"minimumHealthyPercent": minimum, "maximumPercent": maximum})).unwrap()
    }

    #[test]
    fn the_old_tasks_stay_until_the_new_ones_are_healthy() {
        let rules = rules(100, 200);
        let started = Census {
            present: 2,
            healthy: 2,
            old_healthy: 2,
            ..Census::default()
        };
        assert_eq!(Turn::plan(&rules, 2, started), Turn { start: 2, stop_old: 0 });
        let one_healthy = Census {
            present: 4,
            new: 2,
            healthy: 3,
            old_healthy: 2,
            ..Census::default()
        };
        assert_eq!(Turn::plan(&rules, 2, one_healthy), Turn { start: 0, stop_old: 1 });
    }

    #[test]
    fn percentages_round_against_the_deployment() {
        let stuck = Census {
            present: 2,
            healthy: 2,
            old_healthy: 2,
            ..Census::default()
        };
        assert_eq!(Turn::plan(&rules(75, 100), 2, stuck), Turn { start: 0, stop_old: 0 });
        let stuck = Census {
            present: 3,
            healthy: 3,
            old_healthy: 3,
            ..Census::default()
        };
        assert_eq!(Turn::plan(&rules(100, 125), 3, stuck), Turn { start: 0, stop_old: 0 });
    }

    #[test]
    fn nothing_starts_while_the_old_task_is_still_leaving() {
        let rules = rules(0, 100);
        let before = Census {
            present: 1,
            healthy: 1,
            old_healthy: 1,
            ..Census::default()
        };
        assert_eq!(Turn::plan(&rules, 1, before), Turn { start: 0, stop_old: 1 });
        let leaving = Census {
            present: 1,
            leaving: 1,
            ..Census::default()
        };
        assert_eq!(Turn::plan(&rules, 1, leaving), Turn { start: 0, stop_old: 0 });
        assert_eq!(Turn::plan(&rules, 1, Census::default()), Turn { start: 1, stop_old: 0 });
    }

    proptest! {
        #[test]
        fn no_turn_leaves_the_bounds(
            (minimum, maximum, desired) in (0_u32..=100, 100_u32..=200, 0_u32..20),
            (old_healthy, new_healthy, new_starting, leaving) in (0_u32..20, 0_u32..20, 0_u32..20, 0_u32..5),
        ) {
            let rules = rules(minimum, maximum);
            let census = Census {
                present: old_healthy + new_healthy + new_starting + leaving,
                leaving,
                new: new_healthy + new_starting,
                healthy: old_healthy + new_healthy,
                old_healthy,
            };
            let turn = Turn::plan(&rules, desired, census);
            prop_assert!(turn.start == 0 || census.present + turn.start <= rules.maximum(desired));
            prop_assert!(census.new + turn.start <= desired.max(census.new));
            prop_assert!(turn.stop_old == 0 || census.healthy - turn.stop_old >= rules.minimum_healthy(desired));
        }
    }
}
