//! The plan of going back by hand: services to revisions that ran and were verified by us, and, where that is asked
//! for, the schemas after them.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::forward::{check_place, elsewhere, images_of};
use super::refusal::{Refusal, RefusalKind, Refusals};
use super::{
    Observed, ObservedService, Plan, PlannedService, PlannedStep, Target, VerifiedRevision, compatibility, image,
    preflight, service, undo,
};
use crate::identity::ReleaseId;
use crate::pipeline::{Digest, Name, ResolvedEnvironment, ResolvedService, ResolvedStep};
use crate::schema::Declared;
use crate::task_definition::Home;

/// What a plan of going back is made from.
#[derive(Debug, Clone)]
pub struct RollbackInput {
    /// The pipeline in the environment.
    pub environment: ResolvedEnvironment,
    /// The image whose services go back.
    pub image: Name,
    /// The release to go back to; the one before what runs now, unless given.
    pub target: Option<ReleaseId>,
    /// Whether the migrations since then are taken back as well, once the services are back.
    pub undo_migrations: bool,
    /// The version of the pipeline.
    pub pipeline_version: u64,
    /// The release that this rollback is.
    pub release_id: ReleaseId,
    /// The account and Region Esclusa runs in.
    pub home: Home,
}

/// Plans going back, or says everything that is in the way. Nothing is registered, and no one-off command runs but
/// those that take migrations back.
///
/// Without a release to go back to, each service goes to the last revision that was verified before the one it runs was
/// first verified; where what it runs never was, to the last verified one. So going back twice goes back two releases
/// and never forth.
pub fn rollback_plan(input: &RollbackInput, observed: &Observed, now: Timestamp) -> Result<Plan, Refusals> {
    let environment = &input.environment;
    let mut refusals = check_place(environment, observed);
    let mut notes: Vec<String> = elsewhere(environment, &input.home).into_iter().collect();
    let mut steps = Vec::new();
    let mut images = BTreeMap::new();
    let schemas = compatibility::schemas_of(observed, &input.image);
    let mut code = None;
    let mut verified_at = None;
    for service in services(input) {
        let live = observed.services.get(&service.service);
        let deployment_configuration = match service::deployment_configuration(&environment.cluster, service, live) {
            Ok(configuration) => configuration,
            Err(found) => {
                refusals.extend(found);
                continue;
            }
        };
        if let Some(live) = live {
            let findings = preflight::check(environment, service, live, observed);
            refusals.extend(findings.refusals);
            notes.extend(findings.notes);
            // A fire is the usual reason to go back, so that it is no reason not to.
            let watch = preflight::watch(&service.service, live, observed);
            notes.extend(watch.notes);
            notes.extend(watch.blind.map(|(message, _)| message));
        }
        let containers = environment
            .task_definitions
            .get(&service.task_definition)
            .into_iter()
            .flat_map(|definition| &definition.containers)
            .filter_map(|(name, container)| Some((name, container.image.as_ref()?)));
        let images_by_container: BTreeMap<&String, &Name> = containers.collect();
        let digest = |revision: &VerifiedRevision| digest_of(&input.image, &images_by_container, revision);
        // A revision from before its container had this name says nothing.
        let are_same = |left: &VerifiedRevision, right: &VerifiedRevision| {
            digest(left).is_some_and(|left| digest(right).is_some_and(|right| left == right))
        };
        let Some(verified) = live.and_then(|live| target(live, input.target.as_ref(), are_same)) else {
            match &input.target {
                Some(release_id) => notes.push(format!(
                    "`{}` never ran the release `{release_id}` and stays as it is",
                    service.service
                )),
                None => refusals.push(no_verified_revision(input, &service.service)),
            }
            continue;
        };
        let what = format!("what `{}` goes back to", service.service);
        let found = compatibility::check_coming(environment, &what, verified.version.as_ref(), &schemas);
        refusals.extend(found.refusals);
        notes.extend(found.notes);
        code = code.or_else(|| verified.version.clone());
        verified_at = verified_at.max(Some(verified.verified_at));
        let runs = live.and_then(running);
        for (name, image) in &images_by_container {
            let Some(pinned) = verified.digests.get(*name) else {
                continue;
            };
            let moves = runs
                .and_then(|runs| runs.digests.get(*name))
                .is_some_and(|now| now.digest != pinned.digest);
            if moves && **image != input.image {
                notes.push(format!(
                    "`{}` goes back with the image `{image}` as well: `{}` was verified with another one",
                    service.service, verified.task_definition_arn
                ));
                refusals.extend(image::check_quarantine(image, &pinned.digest, observed));
            }
            images.insert((*image).clone(), pinned.digest.clone());
        }
        steps.push(PlannedStep::Service(PlannedService {
            name: service.name.clone(),
            service: service.service.clone(),
            cluster: environment.cluster.clone(),
            target: Target::Arn {
                arn: verified.task_definition_arn.clone(),
            },
            previous_task_definition_arn: live
                .and_then(|live| live.facts.primary())
                .map(|primary| primary.task_definition_arn.clone()),
            digests: verified.digests.clone(),
            version: verified.version.clone(),
            stays: false,
            deployment_configuration,
            start_count: service.start_count,
            scaling: None,
            timeout_seconds: service.timeout_seconds,
        }));
    }
    if let (Some(image), Some(digest)) = (environment.images.get(&input.image), images.get(&input.image)) {
        refusals.extend(image::check_quarantine(&input.image, digest, observed));
        let observed = observed.images.get(&input.image);
        refusals.extend(image::check(&input.image, image, &input.home, digest, observed));
    }
    let mut revisions = Vec::new();
    if input.undo_migrations
        && let Some(verified_at) = verified_at
    {
        match undo::steps(input, observed, &schemas, verified_at) {
            Ok(undo) => {
                let findings = preflight::check_restore_points(environment, undo.steps.iter(), observed, now);
                refusals.extend(findings.refusals);
                notes.extend(findings.notes);
                notes.extend(undo.notes);
                revisions = undo.revisions;
                steps.extend(undo.steps.into_iter().map(PlannedStep::Task));
            }
            Err(found) => refusals.extend(found),
        }
    }
    preflight::postpone(&mut refusals, &mut notes, observed.under_way.as_deref());
    if steps.is_empty() && refusals.is_empty() {
        refusals.push(no_verified_revision(input, environment.name.as_str()));
    }
    if !refusals.is_empty() {
        return Err(Refusals(refusals));
    }
    let unchanged = steps.iter().all(|step| is_in_force(step, observed));
    let plan = Plan {
        plan_hash: String::new(),
        application: environment.application.clone(),
        environment: environment.name.clone(),
        release_id: input.release_id.clone(),
        pipeline_version: input.pipeline_version,
        planned_at: now,
        cluster: environment.cluster.clone(),
        image: Some(input.image.clone()),
        declared: Declared {
            version: code,
            ..Declared::default()
        },
        pushed_by: None,
        schemas,
        images,
        revisions,
        steps,
        // What is gone back to was verified when it came.
        verification: None,
        skipped: Vec::new(),
        unchanged,
        notes,
    };
    Ok(plan.sealed())
}

/// The services that run the image.
fn services(input: &RollbackInput) -> impl Iterator<Item = &ResolvedService> {
    let steps = input.environment.steps.iter();
    let services = steps.filter_map(|step| {
        if let ResolvedStep::Service(service) = step {
            Some(service)
        } else {
            None
        }
    });
    services.filter(|service| images_of(&input.environment, &service.task_definition).contains(&input.image))
}

/// What is known about the revision that a service runs, where it was verified.
fn running(observed: &ObservedService) -> Option<&VerifiedRevision> {
    let current = observed.facts.primary()?.task_definition_arn.as_str();
    let mut verified = observed.verified.iter();
    verified.find(|verified| verified.task_definition_arn == current)
}

/// The digest of an image that a revision was verified with.
fn digest_of(
    image: &Name,
    images_by_container: &BTreeMap<&String, &Name>,
    revision: &VerifiedRevision,
) -> Option<Digest> {
    let mut digests = revision.digests.iter();
    let (_, pinned) =
        digests.find(|(container, _)| images_by_container.get(container).is_some_and(|of| *of == image))?;
    Some(pinned.digest.clone())
}

/// The revision that a service goes back to. One of a named release: where other images in the same task definition have
/// moved on since it was verified, the newest revision with its digest, so that going back with one image takes back no
/// more of another than it must.
fn target<'a>(
    observed: &'a ObservedService,
    release_id: Option<&ReleaseId>,
    are_same: impl Fn(&VerifiedRevision, &VerifiedRevision) -> bool,
) -> Option<&'a VerifiedRevision> {
    let holds = |verified: &&VerifiedRevision| verified.revoked.is_none();
    if let Some(release_id) = release_id {
        let verified = || observed.verified.iter().filter(holds);
        let named = verified().find(|verified| verified.release_id == *release_id)?;
        let newest = verified().find(|verified| are_same(verified, named));
        return newest.filter(|newest| newest.digests != named.digests).or(Some(named));
    }
    let current = observed
        .facts
        .primary()
        .map(|primary| primary.task_definition_arn.as_str());
    let first_verified = observed
        .verified
        .iter()
        .rposition(|verified| Some(verified.task_definition_arn.as_str()) == current);
    let earlier = first_verified.map_or(0, |position| position.saturating_add(1));
    observed.verified.iter().skip(earlier).find(holds)
}

fn is_in_force(step: &PlannedStep, observed: &Observed) -> bool {
    let PlannedStep::Service(service) = step else {
        return false;
    };
    let Target::Arn { arn } = &service.target else {
        return false;
    };
    let observed = observed.services.get(&service.service);
    let primary = observed.and_then(|observed| observed.facts.primary());
    observed.is_some_and(|observed| observed.facts.desired > 0)
        && primary.is_some_and(|primary| {
            primary.task_definition_arn == *arn && primary.rollout_state.as_deref() == Some("COMPLETED")
        })
}

fn no_verified_revision(input: &RollbackInput, subject: &str) -> Refusal {
    let environment = &input.environment;
    let message = match &input.target {
        Some(release_id) => format!("no service of `{subject}` was ever verified with the release `{release_id}`"),
        None => format!("`{subject}` has no earlier revision that was verified"),
    };
    let help = format!(
        "choose one from `esclusa status {} {}`",
        environment.application, environment.name
    );
    Refusal::new(RefusalKind::NoVerifiedRevision, message, help)
}
