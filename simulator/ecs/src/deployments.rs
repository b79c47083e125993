//! Deployments of a service: how they begin, fail, roll back and complete.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use simulator_kernel::Kernel;

use crate::Ecs;
use crate::breaker::{Breaker, Failure, Sign};
use crate::deployment_records::{
    Deployment, Monitor, Revision, Rollback, Rollout, ServiceDeployment, ServiceDeploymentStatus,
};
use crate::events::DeploymentEvent;
use crate::input::text;
use crate::services::{Service, ServiceKey, is_running};
use crate::targets::LoadBalanced;
use crate::task_definitions::TaskDefinition;
use crate::tasks::{Membership, Task};

/// How often ECS asks CloudWatch for the alarms that watch a rollout. AWS does not say.
const ALARM_INTERVAL: SignedDuration = SignedDuration::from_secs(60);

/// Why a deployment is given up.
enum Cause {
    Breaker(Failure),
    Alarms(Vec<String>),
    Request,
}

impl Cause {
    /// The reason of the failed deployment, in the words of the deployment events.
    fn failure(&self) -> &'static str {
        match self {
            Self::Breaker(Failure::Start) => "ECS deployment circuit breaker: task failed to start.",
            Self::Breaker(Failure::HealthCheck) => "ECS deployment circuit breaker: task failed health checks.",
            Self::Alarms(_) => "ECS deployment alarms: alarm detected.",
            Self::Request => "Service deployment rolled back because it was stopped by a user.",
        }
    }

    fn rolling_back_to(&self, deployment_id: &str) -> String {
        let by = match self {
            Self::Breaker(_) => "ECS deployment circuit breaker: ",
            Self::Alarms(_) => "ECS deployment alarms: ",
            Self::Request => "ECS deployment stopped by user: ",
        };
        format!("{by}rolling back to deploymentId {deployment_id}.")
    }
}

impl Ecs {
    /// Makes a revision of the service's configuration and begins to roll it out. A deployment that is under way is
    /// superseded.
    pub(crate) fn start_deployment(&mut self, key: &ServiceKey, kernel: &mut Kernel) {
        let ignores_alarms = self.has_firing_alarm(key, kernel);
        let sources = self.revisions_with_tasks(key);
        let Some(service) = self.services.get_mut(key) else {
            return;
        };
        let now = kernel.now();
        for entry in LoadBalanced::of(&service.configuration) {
            entry.name(kernel);
        }
        supersede(service, now);
        let revision = Revision {
            id: digits(kernel),
            arn: String::new(),
            configuration: service.configuration.clone(),
            digests: BTreeMap::new(),
            created_at: now,
        };
        let path = format!("service-revision/{}/{}/{}", key.cluster, key.name, revision.id);
        let revision = Revision {
            arn: kernel.arn("ecs", &path),
            ..revision
        };
        let path = format!("service-deployment/{}/{}/{}", key.cluster, key.name, kernel.hex_id(22));
        service.service_deployments.push(ServiceDeployment {
            arn: kernel.arn("ecs", &path),
            status: ServiceDeploymentStatus::Pending,
            status_reason: None,
            target: revision.id.clone(),
            sources,
            deployment_configuration: service.deployment_configuration.clone(),
            rollback: None,
            breaker: Monitor::enabled(service.rules.breaker.enabled),
            breaker_configuration: service.rules.breaker,
            failures: 0,
            alarms: Monitor::enabled(service.rules.alarms.is_some()),
            triggered_alarms: Vec::new(),
            created_at: now,
            started_at: None,
            finished_at: None,
            stopped_at: None,
            updated_at: now,
        });
        let id = format!("ecs-svc/{}", digits(kernel));
        let reason = format!("ECS deployment {id} in progress.");
        let deployment = new_deployment(id, &revision.id, reason, ignores_alarms, now);
        service.revisions.insert(revision.id.clone(), revision);
        self.make_primary(key, deployment, kernel);
    }

    fn make_primary(&mut self, key: &ServiceKey, deployment: Deployment, kernel: &mut Kernel) {
        let Some(service) = self.services.get_mut(key) else {
            return;
        };
        // Tasks belong to revisions: returning to a revision adopts the tasks that still run it.
        service
            .deployments
            .retain(|other| other.revision != deployment.revision);
        service.steady = None;
        service.start_failures = 0;
        service.impaired = false;
        service.start_not_before = None;
        DeploymentEvent::InProgress.emit(&service.arn, &deployment.id, &deployment.reason, kernel);
        service.deployments.insert(0, deployment);
        self.schedule(key, kernel);
    }

    /// Carries service deployments on that wait for nothing but the scheduler.
    pub(crate) fn advance_service_deployments(&mut self, key: &ServiceKey, now: Timestamp) {
        let Some(service) = self.services.get_mut(key) else {
            return;
        };
        for deployment in &mut service.service_deployments {
            match deployment.status {
                ServiceDeploymentStatus::Pending => {
                    deployment.enter(ServiceDeploymentStatus::InProgress, None, now);
                }
                ServiceDeploymentStatus::StopRequested => {
                    deployment.enter(ServiceDeploymentStatus::Stopped, None, now);
                }
                _ => {}
            }
        }
    }

    /// Gives the primary deployment up where a user, an alarm or the circuit breaker says so, and tells whether it did.
    pub(crate) fn judge_primary(&mut self, key: &ServiceKey, kernel: &mut Kernel) -> bool {
        let Some((cause, rollback)) = self.verdict_on_primary(key, kernel) else {
            return false;
        };
        self.give_up(key, &cause, rollback, kernel);
        true
    }

    /// Why the primary deployment is to be given up, if it is, and whether a rollback is wanted then.
    fn verdict_on_primary(&self, key: &ServiceKey, kernel: &Kernel) -> Option<(Cause, bool)> {
        let service = self.services.get(key)?;
        let (primary, current) = (service.primary()?, service.service_deployments.last()?);
        if current.status == ServiceDeploymentStatus::RollbackRequested {
            // The deployment wins the race when all its tasks are there and nothing watches them any longer.
            let has_won = self.is_complete(service) && service.rules.alarms.is_none();
            return (!has_won).then_some((Cause::Request, true));
        }
        if current.status.is_final() || primary.rollout != Rollout::InProgress {
            return None;
        }
        let alarms = self.firing_alarms(key, kernel);
        if let Some(rules) = service
            .rules
            .alarms
            .as_ref()
            .filter(|_| !primary.ignores_alarms && !alarms.is_empty())
        {
            return Some((Cause::Alarms(alarms), rules.rollback));
        }
        let failure = primary.breaker.tripped(&service.rules.breaker, service.desired_count)?;
        Some((Cause::Breaker(failure), service.rules.breaker.rollback))
    }

    /// Ends the primary deployment as failed and returns to the last completed revision, if that is wanted and there is
    /// one.
    fn give_up(&mut self, key: &ServiceKey, cause: &Cause, rollback: bool, kernel: &mut Kernel) {
        let Some(service) = self.services.get_mut(key) else {
            return;
        };
        let now = kernel.now();
        let failure = cause.failure();
        let Some(primary) = service.deployments.first_mut() else {
            return;
        };
        let failed_before = primary.rollout == Rollout::Failed;
        primary.rollout = Rollout::Failed;
        failure.clone_into(&mut primary.reason);
        primary.updated_at = now;
        let (failed_id, was_rollback, failures) = (primary.id.clone(), primary.is_rollback, primary.breaker.failures());
        if !matches!(cause, Cause::Request) && !failed_before {
            DeploymentEvent::Failed.emit(&service.arn, &failed_id, failure, kernel);
            service.say(
                &format!("(deployment {failed_id}) deployment failed: {failure}"),
                kernel,
            );
        }
        let target = if rollback && !was_rollback {
            service.last_completed.take()
        } else {
            None
        };
        let target = target.filter(|revision| service.revisions.contains_key(revision));
        let Some(current) = service.service_deployments.last_mut() else {
            return;
        };
        current.failures = failures;
        match cause {
            Cause::Breaker(_) => current.breaker = Monitor::Triggered,
            Cause::Alarms(names) => {
                current.alarms = Monitor::Triggered;
                current.triggered_alarms.clone_from(names);
            }
            Cause::Request => {}
        }
        let reason = Some(failure.to_owned());
        match target {
            Some(revision) => self.roll_back(key, &revision, cause, kernel),
            None if was_rollback => current.enter(ServiceDeploymentStatus::RollbackFailed, reason, now),
            None if matches!(cause, Cause::Request) => current.enter(ServiceDeploymentStatus::Stopped, reason, now),
            // Nothing to return to: ECS launches nothing any more and the deployment stays as it is.
            None if rollback => current.status_reason = reason,
            None => {
                current.enter(ServiceDeploymentStatus::StopRequested, reason, now);
                self.schedule(key, kernel);
            }
        }
    }

    fn roll_back(&mut self, key: &ServiceKey, revision: &str, cause: &Cause, kernel: &mut Kernel) {
        let ignores_alarms = self.has_firing_alarm(key, kernel);
        let Some(service) = self.services.get_mut(key) else {
            return;
        };
        let now = kernel.now();
        let id = format!("ecs-svc/{}", digits(kernel));
        let reason = cause.rolling_back_to(&id);
        if let Some(configuration) = service
            .revisions
            .get(revision)
            .map(|revision| revision.configuration.clone())
        {
            service.configuration = configuration;
        }
        if let Some(current) = service.service_deployments.last_mut() {
            current.enter(
                ServiceDeploymentStatus::RollbackInProgress,
                Some(cause.failure().to_owned()),
                now,
            );
            current.rollback = Some(Rollback {
                reason: cause.failure().to_owned(),
                started_at: now,
                revision: revision.to_owned(),
            });
        }
        service.say(&format!("rolling back to deployment {id}."), kernel);
        let deployment = Deployment {
            is_rollback: true,
            ..new_deployment(id, revision, reason, ignores_alarms, now)
        };
        self.make_primary(key, deployment, kernel);
    }

    /// Whether every task that should run does so in good health, and no task of another revision is left.
    pub(crate) fn is_complete(&self, service: &Service) -> bool {
        let Some(primary) = service.primary().filter(|primary| primary.rollout != Rollout::Failed) else {
            return false;
        };
        let (new, old): (Vec<&Task>, Vec<&Task>) = self
            .tasks
            .values()
            .filter(|task| task.belongs_to(&service.key) && task.may_run())
            .partition(|task| task.runs_revision(&service.key, &primary.revision));
        let desired = usize::try_from(service.desired_count).unwrap_or(usize::MAX);
        old.is_empty()
            && new.iter().filter(|task| task.is_wanted()).count() == desired
            && new.iter().filter(|task| task.is_healthy()).count() == desired
    }

    /// Ends the primary deployment as completed when it is, after the bake time where alarms watch it.
    pub(crate) fn complete(&mut self, key: &ServiceKey, kernel: &mut Kernel) {
        let complete = self.services.get(key).is_some_and(|service| self.is_complete(service));
        let Some(service) = self.services.get_mut(key).filter(|_| complete) else {
            return;
        };
        let now = kernel.now();
        let bake_time = service.rules.alarms.as_ref().map(|alarms| alarms.bake_time);
        let Some(primary) = service.deployments.first_mut() else {
            return;
        };
        if primary.rollout != Rollout::InProgress {
            return;
        }
        if let Some(bake_time) = bake_time.filter(|_| !primary.ignores_alarms && !primary.is_rollback) {
            let end = now.saturating_add(bake_time).unwrap_or(Timestamp::MAX);
            let until = *primary.bakes_until.get_or_insert(end);
            if now < until {
                return self.schedule_at(key, until, kernel);
            }
        }
        primary.rollout = Rollout::Completed;
        primary.reason = format!("ECS deployment {} completed.", primary.id);
        primary.updated_at = now;
        let (id, reason) = (primary.id.clone(), primary.reason.clone());
        let failures = primary.breaker.failures();
        let status = if primary.is_rollback {
            ServiceDeploymentStatus::RollbackSuccessful
        } else {
            ServiceDeploymentStatus::Successful
        };
        service.last_completed = Some(primary.revision.clone());
        if let Some(current) = service.service_deployments.last_mut() {
            if current.rollback.is_none() {
                current.failures = failures;
            }
            current.enter(status, None, now);
        }
        DeploymentEvent::Completed.emit(&service.arn, &id, &reason, kernel);
        service.say(&format!("(deployment {id}) deployment completed."), kernel);
    }

    /// Tells the circuit breaker of the deployment that runs the task's revision.
    pub(crate) fn observe(&mut self, membership: &Membership, sign: Sign, kernel: &mut Kernel) {
        let running = self
            .tasks
            .values()
            .filter(|task| task.runs_revision(&membership.service, &membership.revision) && is_running(task))
            .count();
        if sign == Sign::FailedToStart {
            self.slow_down(&membership.service, kernel);
        }
        let Some(service) = self.services.get_mut(&membership.service) else {
            return;
        };
        let configuration = service.rules.breaker;
        if let Some(primary) = service.primary_mut()
            && primary.revision == membership.revision
            && primary.rollout == Rollout::InProgress
        {
            primary.breaker.observe(sign, running, &configuration);
            primary.updated_at = kernel.now();
        }
    }

    /// The digests that a revision has fixed, by container.
    pub(crate) fn fixed_images(&self, membership: &Membership) -> BTreeMap<String, String> {
        self.services
            .get(&membership.service)
            .and_then(|service| service.revisions.get(&membership.revision))
            .map(|revision| revision.digests.clone())
            .unwrap_or_default()
    }

    /// The first task of a revision fixes the digests for all that follow, save where the definition disables that.
    pub(crate) fn fix_images(&mut self, membership: &Membership, task_id: &str) {
        let Some(task) = self.tasks.get(task_id) else { return };
        let definition = self.task_definitions.find(&task.definition_arn);
        let is_consistent = |name: &str| {
            definition
                .into_iter()
                .flat_map(TaskDefinition::container_definitions)
                .any(|container| {
                    text(container, "name") == Some(name) && text(container, "versionConsistency") != Some("disabled")
                })
        };
        let digests: Vec<(String, String)> = task
            .containers
            .iter()
            .filter(|container| is_consistent(&container.name))
            .filter_map(|container| Some((container.name.clone(), container.image_digest.clone()?)))
            .collect();
        let service = self.services.get_mut(&membership.service);
        if let Some(revision) = service.and_then(|service| service.revisions.get_mut(&membership.revision)) {
            for (container, digest) in digests {
                revision.digests.entry(container).or_insert(digest);
            }
        }
    }

    fn revisions_with_tasks(&self, key: &ServiceKey) -> Vec<String> {
        let Some(service) = self.services.get(key) else {
            return Vec::new();
        };
        let has_tasks = |revision: &str| {
            self.tasks
                .values()
                .any(|task| task.runs_revision(key, revision) && task.is_wanted())
        };
        let revisions = service.deployments.iter().map(|deployment| deployment.revision.clone());
        revisions.filter(|revision| has_tasks(revision)).collect()
    }

    /// Asks for a look at the alarms of the service, as long as they watch a rollout of it.
    pub(crate) fn watch_alarms(&mut self, key: &ServiceKey, kernel: &mut Kernel) {
        let watched = self.services.get(key).is_some_and(|service| {
            let is_watched = |primary: &Deployment| primary.rollout == Rollout::InProgress && !primary.ignores_alarms;
            service.rules.alarms.is_some() && service.primary().is_some_and(is_watched)
        });
        if watched {
            let next = kernel.now().saturating_add(ALARM_INTERVAL).unwrap_or(Timestamp::MAX);
            self.schedule_at(key, next, kernel);
        }
    }

    /// The alarms of the service that are in `ALARM` now.
    fn firing_alarms(&self, key: &ServiceKey, kernel: &Kernel) -> Vec<String> {
        let rules = self.services.get(key).and_then(|service| service.rules.alarms.as_ref());
        let names = rules.into_iter().flat_map(|rules| &rules.names);
        names.filter(|name| kernel.alarms.is_firing(name)).cloned().collect()
    }

    fn has_firing_alarm(&self, key: &ServiceKey, kernel: &Kernel) -> bool {
        !self.firing_alarms(key, kernel).is_empty()
    }
}

/// A release that is under way makes room for a new one.
fn supersede(service: &mut Service, now: Timestamp) {
    let failures = service.primary().map(|primary| primary.breaker.failures());
    let Some(current) = service
        .service_deployments
        .last_mut()
        .filter(|current| !current.status.is_final())
    else {
        return;
    };
    current.failures = failures.unwrap_or(current.failures);
    let reason = Some("Superseded by a new service deployment.".to_owned());
    let status = match current.status {
        ServiceDeploymentStatus::RollbackInProgress => ServiceDeploymentStatus::RollbackFailed,
        ServiceDeploymentStatus::RollbackRequested => ServiceDeploymentStatus::Stopped,
        _ => ServiceDeploymentStatus::StopRequested,
    };
    current.enter(status, reason, now);
}

fn new_deployment(id: String, revision: &str, reason: String, ignores_alarms: bool, now: Timestamp) -> Deployment {
    Deployment {
        id,
        revision: revision.to_owned(),
        rollout: Rollout::InProgress,
        reason,
        breaker: Breaker::default(),
        is_rollback: false,
        ignores_alarms,
        bakes_until: None,
        created_at: now,
        updated_at: now,
    }
}

/// Nineteen digits, as AWS uses in the ids of deployments and revisions.
fn digits(kernel: &mut Kernel) -> String {
    kernel
        .rng()
        .u64(1_000_000_000_000_000_000..9_223_372_036_854_775_807)
        .to_string()
}
