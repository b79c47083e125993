//! Whether an image runs, as ECS sees it.

use aws_config::SdkConfig;
use aws_sdk_ecs::Client;
use aws_sdk_ecs::types::{
    DeploymentRolloutState, DesiredStatus, Service, ServiceDeploymentBrief, ServiceDeploymentStatus, Task,
    TaskDefinition,
};
use esclusa_adapters::client;
use esclusa_adapters::sdk::OnFirstUse;

use super::{Arrival, Opinion, Question, asked, name, short};

/// The most services of one `DescribeServices`.
const SERVICES_AT_ONCE: usize = 10;

/// Whether every service of the cluster that runs an image of the repository runs this one, and nothing else of it.
pub async fn image_runs(config: &SdkConfig, question: &Question) -> Opinion {
    let mut opinion = Opinion::default();
    let look = Look {
        client: client!(aws_sdk_ecs, config),
        question,
    };
    if let Err(finding) = look.at_cluster(&mut opinion).await {
        opinion.findings.push(format!("{}: {finding}", question.environment));
    }
    opinion
}

struct Look<'a> {
    client: OnFirstUse<Client>,
    question: &'a Question,
}

impl Look<'_> {
    async fn at_cluster(&self, opinion: &mut Opinion) -> Result<(), String> {
        let Question {
            environment,
            cluster,
            repository,
            ..
        } = self.question;
        let mut seen = false;
        for service in self.services().await? {
            let definition = self
                .task_definition(service.task_definition().unwrap_or_default())
                .await?;
            if images(&definition).any(|image| is_of(image, repository)) {
                seen = true;
                self.at_service(&service, &definition, opinion).await?;
            }
        }
        if !seen {
            opinion.findings.push(format!(
                "{environment}: no service of cluster `{cluster}` runs an image of repository `{repository}`"
            ));
        }
        Ok(())
    }

    async fn at_service(
        &self,
        service: &Service,
        definition: &TaskDefinition,
        opinion: &mut Opinion,
    ) -> Result<(), String> {
        let Question {
            environment,
            repository,
            digest,
            ..
        } = self.question;
        let called = format!(
            "{environment}: service `{}`",
            service.service_name().unwrap_or_default()
        );
        self.counts(&called, service, opinion);
        self.newest_deployment(&called, service, opinion).await?;

        let revision = name(definition.task_definition_arn().unwrap_or_default());
        let pinned = format!("{repository}@{digest}");
        let foreign = images(definition).find(|image| is_of(image, repository) && !image.ends_with(&pinned));
        opinion.require(
            foreign.is_none(),
            format_args!(
                "{called} is set to task definition `{revision}`, pinned to {}",
                short(digest)
            ),
            format_args!(
                "{called} is set to task definition `{revision}`, which runs `{}`",
                foreign.map_or("", within_registry)
            ),
        );
        self.tasks(&called, service, opinion).await
    }

    /// One deployment, completed, with all its tasks, and at least one.
    fn counts(&self, called: &str, service: &Service, opinion: &mut Opinion) {
        let desired = service.desired_count();
        let [primary] = service.deployments() else {
            let deployments = service.deployments().len();
            opinion.findings.push(format!(
                "{called} has {deployments} deployments where there should be one"
            ));
            return;
        };
        let state = primary
            .rollout_state()
            .map_or("unknown", DeploymentRolloutState::as_str);
        let is_complete = primary.status() == Some("PRIMARY")
            && primary.rollout_state() == Some(&DeploymentRolloutState::Completed)
            && primary.task_definition() == service.task_definition();
        let is_full = desired > 0 && service.running_count() == desired && primary.running_count() == desired;
        opinion.require(
            is_complete && is_full,
            format_args!("{called} has one deployment, COMPLETED, with {desired} of {desired} tasks running"),
            format_args!(
                "{called} has a deployment that is {state}, with {} of {desired} tasks running",
                primary.running_count()
            ),
        );
    }

    /// The newest service deployment succeeded, and what it brought is what the service is set to.
    async fn newest_deployment(&self, called: &str, service: &Service, opinion: &mut Opinion) -> Result<(), String> {
        let Some(newest) = self
            .service_deployments(service)
            .await?
            .into_iter()
            .max_by_key(|brief| brief.created_at().map(|at| (at.secs(), at.subsec_nanos())))
        else {
            opinion.findings.push(format!("{called} has no service deployment"));
            return Ok(());
        };
        let status = newest.status().map_or("unknown", ServiceDeploymentStatus::as_str);
        let returned = newest.status() == Some(&ServiceDeploymentStatus::RollbackSuccessful);
        if self.question.arrival == Arrival::Restored && returned {
            opinion
                .proven
                .push(format!("{called}: its newest service deployment is {status}"));
            return Ok(());
        }
        let target = self
            .revision(newest.target_service_revision_arn().unwrap_or_default())
            .await?;
        opinion.require(
            newest.status() == Some(&ServiceDeploymentStatus::Successful)
                && target.as_deref() == service.task_definition(),
            format_args!("{called}: its newest service deployment is SUCCESSFUL and brought that task definition"),
            format_args!(
                "{called}: its newest service deployment is {status} and brought `{}`",
                name(target.as_deref().unwrap_or("no task definition"))
            ),
        );
        Ok(())
    }

    /// As many tasks as desired, all of them with this image.
    async fn tasks(&self, called: &str, service: &Service, opinion: &mut Opinion) -> Result<(), String> {
        let Question {
            cluster,
            repository,
            digest,
            ..
        } = self.question;
        let listed = self
            .client
            .list_tasks()
            .cluster(cluster)
            .set_service_name(service.service_name().map(str::to_owned));
        let arns = asked(
            "ecs:ListTasks",
            listed.desired_status(DesiredStatus::Running).send().await,
        )?
        .task_arns
        .unwrap_or_default();
        let tasks = if arns.is_empty() {
            Vec::new()
        } else {
            let described = self
                .client
                .describe_tasks()
                .cluster(cluster)
                .set_tasks(Some(arns))
                .send()
                .await;
            asked("ecs:DescribeTasks", described)?.tasks.unwrap_or_default()
        };
        let desired = usize::try_from(service.desired_count()).unwrap_or_default();
        let ours = tasks.iter().filter(|task| runs(task, repository, digest)).count();
        opinion.require(
            ours == desired && tasks.len() == desired && desired > 0,
            format_args!(
                "{called}: ECS pulled {} for every running task, {ours} of {desired}",
                short(digest)
            ),
            format_args!(
                "{called}: {ours} of {} tasks run {}, {desired} are desired",
                tasks.len(),
                short(digest)
            ),
        );
        Ok(())
    }

    async fn services(&self) -> Result<Vec<Service>, String> {
        let mut arns = Vec::new();
        let mut from = None;
        loop {
            let page = self
                .client
                .list_services()
                .cluster(&self.question.cluster)
                .set_next_token(from)
                .send()
                .await;
            let page = asked("ecs:ListServices", page)?;
            arns.extend(page.service_arns.unwrap_or_default());
            from = page.next_token;
            if from.is_none() {
                break;
            }
        }
        let mut services = Vec::new();
        for some in arns.chunks(SERVICES_AT_ONCE) {
            let described = self
                .client
                .describe_services()
                .cluster(&self.question.cluster)
                .set_services(Some(some.to_vec()));
            services.extend(
                asked("ecs:DescribeServices", described.send().await)?
                    .services
                    .unwrap_or_default(),
            );
        }
        Ok(services)
    }

    async fn task_definition(&self, arn: &str) -> Result<TaskDefinition, String> {
        let answer = self.client.describe_task_definition().task_definition(arn).send().await;
        let definition = asked("ecs:DescribeTaskDefinition", answer)?.task_definition;
        definition.ok_or_else(|| format!("`{arn}` is described without a task definition"))
    }

    async fn service_deployments(&self, service: &Service) -> Result<Vec<ServiceDeploymentBrief>, String> {
        let asking = self.client.list_service_deployments().cluster(&self.question.cluster);
        let answer = asking
            .set_service(service.service_name().map(str::to_owned))
            .send()
            .await;
        Ok(asked("ecs:ListServiceDeployments", answer)?
            .service_deployments
            .unwrap_or_default())
    }

    /// The task definition of a service revision.
    async fn revision(&self, arn: &str) -> Result<Option<String>, String> {
        let answer = self
            .client
            .describe_service_revisions()
            .service_revision_arns(arn)
            .send()
            .await;
        let revisions = asked("ecs:DescribeServiceRevisions", answer)?
            .service_revisions
            .unwrap_or_default();
        Ok(revisions
            .into_iter()
            .next()
            .and_then(|revision| revision.task_definition))
    }
}

fn images(definition: &TaskDefinition) -> impl Iterator<Item = &str> {
    definition
        .container_definitions()
        .iter()
        .filter_map(|container| container.image())
}

/// An image without its registry, with as much of its digest as tells two apart.
fn within_registry(image: &str) -> &str {
    let path = image.split_once('/').map_or(image, |(_, path)| path);
    path.find("@sha256:")
        .and_then(|at| path.get(..at + "@sha256:".len() + 12))
        .unwrap_or(path)
}

/// Whether an image, as `registry/repository:tag` or `registry/repository@digest`, is of this repository.
fn is_of(image: &str, repository: &str) -> bool {
    let path = within_registry(image);
    let path = path.split_once('@').map_or(path, |(path, _)| path);
    path.split_once(':').map_or(path, |(path, _)| path) == repository
}

/// Whether a task runs, and every container of it that runs an image of the repository runs this digest.
fn runs(task: &Task, repository: &str, digest: &str) -> bool {
    let mut ours = task
        .containers()
        .iter()
        .filter(|container| container.image().is_some_and(|image| is_of(image, repository)))
        .peekable();
    task.last_status() == Some("RUNNING")
        && ours.peek().is_some()
        && ours.all(|container| container.image_digest() == Some(digest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_known_by_its_repository_whatever_names_the_version() {
        let registry = "123456789012.dkr.ecr.us-east-1.amazonaws.com";
        for image in ["shop/api:v1", "shop/api@sha256:00", "shop/api:v1@sha256:00", "shop/api"] {
            assert!(is_of(&format!("{registry}/{image}"), "shop/api"), "{image}");
        }
        assert!(!is_of(&format!("{registry}/shop/api-admin:v1"), "shop/api"));
        assert!(!is_of(&format!("{registry}/other/shop/api:v1"), "shop/api"));
    }
}
