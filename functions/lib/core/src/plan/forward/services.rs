//! The services of a release on its way into an environment.

use std::collections::BTreeMap;

use super::Planner;
use crate::pipeline::{Hazard, Name, ResolvedService, Scaling};
use crate::plan::preflight::Findings;
use crate::plan::refusal::{Refusal, RefusalKind};
use crate::plan::{
    PinnedDigest, PlannedRevision, PlannedService, PlannedStep, RevisionAction, Target, capacity, compatibility,
    fallback, powers, preflight, service,
};
use crate::scaling::{PlannedScaling, ScalingFacts, resource_id, undeclared};

impl Planner<'_> {
    pub(super) fn service(
        &mut self,
        service: &ResolvedService,
        revision: Option<&PlannedRevision>,
    ) -> Option<PlannedService> {
        let cluster = &self.input.environment.cluster;
        let observed = self.observed.services.get(&service.service);
        let deployment_configuration = match service::deployment_configuration(cluster, service, observed) {
            Ok(configuration) => configuration,
            Err(refusals) => {
                self.refusals.extend(refusals);
                return None;
            }
        };
        if let Some(powers) = &self.input.powers {
            let refused = powers::check_hook_roles(&service.service, &deployment_configuration, powers);
            self.refusals.extend(refused);
        }
        let floor = self.floor();
        let stays = observed.is_some_and(|live| !compatibility::is_kept(live, floor.as_ref()));
        if let Some(live) = observed {
            let environment = &self.input.environment;
            self.take(preflight::check(environment, service, live, self.observed));
            self.take(fallback::check(environment, &service.service, &live.fallback));
            self.take(compatibility::check_running(
                environment,
                &service.service,
                live,
                floor.as_ref(),
            ));
        }
        let scaling = service.scaling.as_ref().map(|declared| self.scaling(service, declared));
        let revision = revision?;
        let planned = PlannedService {
            name: service.name.clone(),
            service: service.service.clone(),
            cluster: cluster.clone(),
            target: Target::Revision {
                key: revision.key.clone(),
            },
            previous_task_definition_arn: observed
                .and_then(|observed| observed.facts.primary())
                .map(|primary| primary.task_definition_arn.clone()),
            digests: self.digests(&service.task_definition),
            version: self.declared.version.clone(),
            stays,
            deployment_configuration: if stays {
                compatibility::without_rollback(deployment_configuration)
            } else {
                deployment_configuration
            },
            start_count: service.start_count,
            scaling,
            timeout_seconds: service.timeout_seconds,
        };
        if let Some(live) = observed
            && !self.runs_already(&planned, revision)
        {
            let (environment, definition) = (&self.input.environment, &revision.definition);
            let usage = self.observed.fargate;
            self.take(capacity::check_service(environment, &planned, live, definition, usage));
            let watch = preflight::watch(&service.service, live, self.observed);
            self.notes.extend(watch.notes);
            if let Some((message, help)) = watch.blind {
                let mut findings = Findings::default();
                findings.add(&self.input.environment, Hazard::AlarmFiring, message, help);
                self.take(findings);
            }
        }
        Some(planned)
    }

    /// How a service shall scale, what is registered otherwise, and who is in the way.
    fn scaling(&mut self, service: &ResolvedService, declared: &Scaling) -> PlannedScaling {
        let nothing = ScalingFacts::default();
        let live = self.observed.scaling.get(&service.service).unwrap_or(&nothing);
        let planned = PlannedScaling::new(declared, live);
        let resource = resource_id(&self.input.environment.cluster, &service.service);
        let command = |policy: &str| {
            format!(
                "`aws application-autoscaling delete-scaling-policy --service-namespace ecs --scalable-dimension ecs:service:DesiredCount --resource-id {resource} --policy-name {policy}`"
            )
        };
        for other in planned.policies.iter().filter_map(|policy| policy.kept_out_by(live)) {
            let name = &other.name;
            let message = format!(
                "`{}` scales by the policy `{name}` of somebody else, which keeps the same metric at {}: Application Auto Scaling accepts no second one",
                service.service, other.target_value
            );
            let help = format!(
                "remove it with your infrastructure code or with {}, or leave the metric out of `scaling` of `services.{}`",
                command(name),
                service.name
            );
            self.refusals.push(Refusal::new(RefusalKind::Scaling, message, help));
        }
        self.notes.extend(undeclared(&planned, live).map(|name| {
            format!(
                "`{}` still scales by the policy `{name}`, whose metric is no longer declared; {} removes it",
                service.service,
                command(name)
            )
        }));
        planned
    }

    /// The digests that the containers of a task definition then run.
    fn digests(&self, definition: &Name) -> BTreeMap<String, PinnedDigest> {
        let containers = self
            .input
            .environment
            .task_definitions
            .get(definition)
            .into_iter()
            .flat_map(|definition| &definition.containers);
        let pinned = containers.filter_map(|(name, container)| {
            let image = container.image.as_ref()?;
            let digest = self.input.digests.get(image)?.clone();
            let platforms = self
                .observed
                .images
                .get(image)
                .into_iter()
                .flat_map(|observed| &observed.platforms);
            let platforms = platforms.filter_map(|platform| platform.digest.clone()).collect();
            Some((name.clone(), PinnedDigest { digest, platforms }))
        });
        pinned.collect()
    }

    /// Whether every service already runs what the plan would bring, we saw it run with these digests, and it scales as
    /// declared.
    pub(super) fn is_unchanged(&self, steps: &[PlannedStep], revisions: &[PlannedRevision]) -> bool {
        let mut services = steps
            .iter()
            .filter_map(|step| {
                if let PlannedStep::Service(service) = step {
                    Some(service)
                } else {
                    None
                }
            })
            .peekable();
        let runs_already = |service: &PlannedService| {
            let scales_otherwise = |scaling: &PlannedScaling| !scaling.changes.is_empty();
            let Target::Revision { key } = &service.target else {
                return false;
            };
            if service.scaling.as_ref().is_some_and(scales_otherwise) {
                return false;
            }
            let mut of_service = revisions.iter().filter(|revision| revision.key == *key);
            of_service.any(|revision| self.runs_already(service, revision))
        };
        services.peek().is_some() && services.all(runs_already)
    }

    fn runs_already(&self, service: &PlannedService, revision: &PlannedRevision) -> bool {
        let RevisionAction::Reuse { arn } = &revision.action else {
            return false;
        };
        let observed = self.observed.services.get(&service.service);
        observed.is_some_and(|observed| {
            let in_force = observed.facts.primary().is_some_and(|primary| {
                primary.task_definition_arn == *arn && primary.rollout_state.as_deref() == Some("COMPLETED")
            });
            let verified = observed.verified.first().is_some_and(|verified| {
                verified.revoked.is_none()
                    && verified.task_definition_arn == *arn
                    && is_same_digests(&verified.digests, &service.digests)
            });
            in_force && verified && observed.facts.desired > 0
        })
    }
}

/// Platforms are left out: they follow from the digest, but may not have been known before.
fn is_same_digests(left: &BTreeMap<String, PinnedDigest>, right: &BTreeMap<String, PinnedDigest>) -> bool {
    left.len() == right.len()
        && left
            .iter()
            .all(|(container, pinned)| right.get(container).is_some_and(|other| other.digest == pinned.digest))
}
