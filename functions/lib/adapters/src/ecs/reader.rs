//! Reading ECS.

use std::collections::BTreeMap;

use aws_config::SdkConfig;
use aws_sdk_ecs::Client;
use aws_sdk_ecs::error::ProvideErrorMetadata;
use aws_sdk_ecs::operation::list_service_deployments::ListServiceDeploymentsError;
use aws_sdk_ecs::types::{DesiredStatus, SortOrder, TaskDefinitionField, TaskDefinitionStatus};
use esclusa_core::error::Failure;
use serde::Deserialize;
use serde_json::Value;

use super::described::{Described, Missing, TaskDefinition};
use super::{Tag, read, take, take_list};
use crate::client;
use crate::raw::ResponseBody;
use crate::sdk::{OnFirstUse, failure};

/// What one call of an operation may ask for (Amazon ECS API Reference).
const CLUSTERS_PER_CALL: usize = 100;
const SERVICES_PER_CALL: usize = 10;
const TASKS_PER_CALL: usize = 100;
const SERVICE_DEPLOYMENTS_PER_CALL: usize = 20;
const SERVICE_REVISIONS_PER_CALL: usize = 20;

/// Pages read of one list before it is taken for endless: 100 entries each.
const PAGES: usize = 50;

/// Which tasks of a cluster to list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskFilter<'a> {
    /// Tasks that shall run of the service of that name.
    Service(&'a str),
    /// Tasks that have stopped of the service of that name: those that ECS still knows.
    Stopped(&'a str),
    /// Tasks that shall run and were started with that `startedBy`, which admits no filter beside it.
    StartedBy(&'a str),
}

/// Reads clusters, services, tasks and task definitions. Changes nothing.
#[derive(Debug, Clone)]
pub struct EcsReader {
    client: OnFirstUse<Client>,
}

impl EcsReader {
    /// A reader in the Region of `config`.
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        Self {
            client: client!(aws_sdk_ecs, config),
        }
    }

    /// Describes clusters by name or ARN.
    ///
    /// # Errors
    /// As every call to AWS: `Transient`, `AccessDenied`, `Refused`.
    pub async fn describe_clusters(&self, clusters: &[String]) -> Result<Described, Failure> {
        const ACTION: &str = "ecs:DescribeClusters";
        let mut described = Described::default();
        for chunk in clusters.chunks(CLUSTERS_PER_CALL) {
            let body = ResponseBody::default();
            let operation = self
                .client
                .describe_clusters()
                .set_clusters(Some(chunk.to_vec()))
                .customize();
            operation
                .interceptor(body.clone())
                .send()
                .await
                .map_err(|error| failure(ACTION, &error))?;
            collect(&mut described, ACTION, body.json(ACTION)?, "clusters")?;
        }
        Ok(described)
    }

    /// Describes services of one cluster by name or ARN. A service that was deleted may still be found, `INACTIVE`.
    ///
    /// # Errors
    /// As every call to AWS; `Refused` when the cluster does not exist.
    pub async fn describe_services(&self, cluster: &str, services: &[String]) -> Result<Described, Failure> {
        const ACTION: &str = "ecs:DescribeServices";
        let mut described = Described::default();
        for chunk in services.chunks(SERVICES_PER_CALL) {
            let body = ResponseBody::default();
            let operation = self
                .client
                .describe_services()
                .cluster(cluster)
                .set_services(Some(chunk.to_vec()));
            let operation = operation.customize().interceptor(body.clone());
            operation.send().await.map_err(|error| failure(ACTION, &error))?;
            collect(&mut described, ACTION, body.json(ACTION)?, "services")?;
        }
        Ok(described)
    }

    /// Lists the ARNs of the services of one cluster.
    ///
    /// # Errors
    /// As every call to AWS; `Refused` when the cluster does not exist or the list has no end.
    pub async fn list_services(&self, cluster: &str) -> Result<Vec<String>, Failure> {
        const ACTION: &str = "ecs:ListServices";
        let mut arns = Vec::new();
        let mut token = None;
        for _ in 0..PAGES {
            let request = self.client.list_services().cluster(cluster).max_results(100);
            let page = request.set_next_token(token).send().await;
            let page = page.map_err(|error| failure(ACTION, &error))?;
            arns.extend(page.service_arns.unwrap_or_default());
            token = page.next_token;
            if token.is_none() {
                return Ok(arns);
            }
        }
        Err(endless(ACTION))
    }

    /// Describes tasks of one cluster by ARN. A task that was just started, or stopped more than an hour ago, may be
    /// missing.
    ///
    /// # Errors
    /// As every call to AWS; `Refused` when the cluster does not exist.
    pub async fn describe_tasks(&self, cluster: &str, tasks: &[String]) -> Result<Described, Failure> {
        const ACTION: &str = "ecs:DescribeTasks";
        let mut described = Described::default();
        for chunk in tasks.chunks(TASKS_PER_CALL) {
            let body = ResponseBody::default();
            let operation = self
                .client
                .describe_tasks()
                .cluster(cluster)
                .set_tasks(Some(chunk.to_vec()));
            let operation = operation.customize().interceptor(body.clone());
            operation.send().await.map_err(|error| failure(ACTION, &error))?;
            collect(&mut described, ACTION, body.json(ACTION)?, "tasks")?;
        }
        Ok(described)
    }

    /// Lists the ARNs of tasks of one cluster.
    ///
    /// # Errors
    /// As every call to AWS; `Refused` when the cluster or the service does not exist or the list has no end.
    pub async fn list_tasks(&self, cluster: &str, filter: &TaskFilter<'_>) -> Result<Vec<String>, Failure> {
        const ACTION: &str = "ecs:ListTasks";
        let mut arns = Vec::new();
        let mut token = None;
        for _ in 0..PAGES {
            let request = self.client.list_tasks().cluster(cluster).set_next_token(token);
            let request = match filter {
                TaskFilter::Service(name) => request.service_name(*name).desired_status(DesiredStatus::Running),
                TaskFilter::Stopped(name) => request.service_name(*name).desired_status(DesiredStatus::Stopped),
                TaskFilter::StartedBy(started_by) => request.started_by(*started_by),
            };
            let page = request.send().await.map_err(|error| failure(ACTION, &error))?;
            arns.extend(page.task_arns.unwrap_or_default());
            token = page.next_token;
            if token.is_none() {
                return Ok(arns);
            }
        }
        Err(endless(ACTION))
    }

    /// Describes a revision of a task definition, or the newest active one of a family; nothing where there is none.
    ///
    /// # Errors
    /// As every call to AWS.
    pub async fn describe_task_definition(&self, family_or_arn: &str) -> Result<Option<TaskDefinition>, Failure> {
        const ACTION: &str = "ecs:DescribeTaskDefinition";
        let body = ResponseBody::default();
        let operation = self.client.describe_task_definition().task_definition(family_or_arn);
        let operation = operation
            .include(TaskDefinitionField::Tags)
            .customize()
            .interceptor(body.clone());
        if let Err(error) = operation.send().await {
            let absent = error.as_service_error().is_some_and(|error| {
                error.is_client_exception()
                    && error
                        .message()
                        .is_some_and(|text| text.contains("Unable to describe task definition"))
            });
            return if absent { Ok(None) } else { Err(failure(ACTION, &error)) };
        }
        task_definition(ACTION, body.json(ACTION)?).map(Some)
    }

    /// Lists the ARNs of a family's active revisions, newest first, at most `limit` (1 to 100).
    ///
    /// # Errors
    /// As every call to AWS.
    pub async fn list_task_definitions(&self, family: &str, limit: i32) -> Result<Vec<String>, Failure> {
        let request = self
            .client
            .list_task_definitions()
            .family_prefix(family)
            .sort(SortOrder::Desc);
        let request = request.status(TaskDefinitionStatus::Active).max_results(limit);
        let page = request
            .send()
            .await
            .map_err(|error| failure("ecs:ListTaskDefinitions", &error))?;
        Ok(page.task_definition_arns.unwrap_or_default())
    }

    /// Lists the service deployments of a service, newest first, at most 100; nothing where the service does not exist.
    ///
    /// # Errors
    /// As every call to AWS; `Refused` when the cluster does not exist.
    pub async fn list_service_deployments(&self, cluster: &str, service: &str) -> Result<Described, Failure> {
        const ACTION: &str = "ecs:ListServiceDeployments";
        const NEWEST: i32 = 100;
        let mut described = Described::default();
        let body = ResponseBody::default();
        let operation = self
            .client
            .list_service_deployments()
            .cluster(cluster)
            .service(service)
            .max_results(NEWEST);
        if let Err(error) = operation.customize().interceptor(body.clone()).send().await {
            let absent = error
                .as_service_error()
                .is_some_and(ListServiceDeploymentsError::is_service_not_found_exception);
            return if absent {
                Ok(described)
            } else {
                Err(failure(ACTION, &error))
            };
        }
        collect(&mut described, ACTION, body.json(ACTION)?, "serviceDeployments")?;
        let created_at = |one: &Value| one.get("createdAt").and_then(Value::as_f64).unwrap_or_default();
        described
            .found
            .sort_by(|one, other| created_at(other).total_cmp(&created_at(one)));
        Ok(described)
    }

    /// Describes service deployments by ARN. AWS keeps them for 90 days.
    ///
    /// # Errors
    /// As every call to AWS.
    pub async fn describe_service_deployments(&self, arns: &[String]) -> Result<Described, Failure> {
        const ACTION: &str = "ecs:DescribeServiceDeployments";
        let mut described = Described::default();
        for chunk in arns.chunks(SERVICE_DEPLOYMENTS_PER_CALL) {
            let body = ResponseBody::default();
            let operation = self.client.describe_service_deployments();
            let operation = operation.set_service_deployment_arns(Some(chunk.to_vec())).customize();
            operation
                .interceptor(body.clone())
                .send()
                .await
                .map_err(|error| failure(ACTION, &error))?;
            collect(&mut described, ACTION, body.json(ACTION)?, "serviceDeployments")?;
        }
        Ok(described)
    }

    /// Describes service revisions by ARN.
    ///
    /// # Errors
    /// As every call to AWS.
    pub async fn describe_service_revisions(&self, arns: &[String]) -> Result<Described, Failure> {
        const ACTION: &str = "ecs:DescribeServiceRevisions";
        let mut described = Described::default();
        for chunk in arns.chunks(SERVICE_REVISIONS_PER_CALL) {
            let body = ResponseBody::default();
            let operation = self.client.describe_service_revisions();
            let operation = operation.set_service_revision_arns(Some(chunk.to_vec())).customize();
            operation
                .interceptor(body.clone())
                .send()
                .await
                .map_err(|error| failure(ACTION, &error))?;
            collect(&mut described, ACTION, body.json(ACTION)?, "serviceRevisions")?;
        }
        Ok(described)
    }
}

/// Adds one answer of a batch operation to what was described so far.
fn collect(described: &mut Described, action: &str, mut answer: Value, member: &str) -> Result<(), Failure> {
    described.found.append(&mut take_list(&mut answer, member));
    for item in take_list(&mut answer, "failures") {
        described.missing.push(read::<Missing>(action, item)?);
    }
    Ok(())
}

/// Reads `{"taskDefinition": …, "tags": […]}`, as describing and registering answer.
pub(super) fn task_definition(action: &str, mut answer: Value) -> Result<TaskDefinition, Failure> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Facts {
        task_definition_arn: String,
        #[serde(default)]
        status: Option<String>,
    }
    let tags = take_list(&mut answer, "tags")
        .into_iter()
        .map(|tag| read::<Tag>(action, tag));
    let tags: BTreeMap<_, _> = tags
        .map(|tag| tag.map(|tag| (tag.key, tag.value)))
        .collect::<Result<_, _>>()?;
    let raw = take(&mut answer, "taskDefinition");
    let Facts {
        task_definition_arn,
        status,
    } = read(action, raw.clone())?;
    Ok(TaskDefinition {
        arn: task_definition_arn,
        status,
        tags,
        raw,
    })
}

fn endless(action: &str) -> Failure {
    Failure::refused(format!(
        "`{action}` lists more than {PAGES} pages: esclusa does not act on a part of a list"
    ))
}
