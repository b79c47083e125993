//! Services, and the operations that create, change and read them.

use std::collections::{BTreeMap, VecDeque};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use simulator_kernel::{ApiError, Kernel, Request, TimerId};

use crate::Ecs;
use crate::deployment_records::{Deployment, Revision, Rollout, ServiceDeployment};
use crate::input::{
    Answer, bounded_texts, checked_number, copy, epoch_seconds, includes_tags, invalid_parameter, is_empty, list,
    merge_tags, only, page, required_text, set, short_name, text,
};
use crate::rules::{Rules, merge_deployment_configuration};
use crate::run_task::{capacity_provider, check_network};
use crate::task_definitions::caller_arn;
use crate::tasks::{Task, TaskStatus};

/// Members whose change starts a new deployment.
const REVISION_MEMBERS: [&str; 8] = [
    "taskDefinition",
    "networkConfiguration",
    "platformVersion",
    "loadBalancers",
    "serviceRegistries",
    "serviceConnectConfiguration",
    "volumeConfigurations",
    "vpcLatticeConfigurations",
];

/// Members that take effect without a new deployment.
const SERVICE_MEMBERS: [&str; 7] = [
    "availabilityZoneRebalancing",
    "enableECSManagedTags",
    "enableExecuteCommand",
    "healthCheckGracePeriodSeconds",
    "placementConstraints",
    "placementStrategy",
    "propagateTags",
];

/// How many entries `events` of a service keeps.
const MESSAGES_KEPT: usize = 100;

/// A service within its cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ServiceKey {
    pub(crate) cluster: String,
    pub(crate) name: String,
}

impl ServiceKey {
    /// Reads `cluster/service`, as ARNs of services and of their deployments begin.
    pub(crate) fn from_path(path: &str) -> Option<Self> {
        let mut parts = path.split('/');
        let (cluster, name) = (parts.next()?, parts.next()?);
        Some(Self {
            cluster: cluster.to_owned(),
            name: name.to_owned(),
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ServiceStatus {
    Active,
    Draining,
    Inactive,
}

#[derive(Debug)]
struct Message {
    id: String,
    at: Timestamp,
    text: String,
}

#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) key: ServiceKey,
    pub(crate) arn: String,
    pub(crate) cluster_arn: String,
    pub(crate) status: ServiceStatus,
    pub(crate) desired_count: u32,
    /// What the next revision is made of: [`REVISION_MEMBERS`], `launchType` and `capacityProviderStrategy`.
    pub(crate) configuration: Value,
    /// [`SERVICE_MEMBERS`].
    pub(crate) settings: Value,
    pub(crate) deployment_configuration: Value,
    pub(crate) rules: Rules,
    /// `PRIMARY` first.
    pub(crate) deployments: Vec<Deployment>,
    pub(crate) revisions: BTreeMap<String, Revision>,
    /// In the order they were created.
    pub(crate) service_deployments: Vec<ServiceDeployment>,
    /// The revision of the most recent `COMPLETED` deployment that a rollback can return to.
    pub(crate) last_completed: Option<String>,
    pub(crate) tags: Vec<Value>,
    pub(crate) tick: Option<(Timestamp, TimerId)>,
    /// The timer of the next steady state announcement, while the service is steady.
    pub(crate) steady: Option<TimerId>,
    /// Tasks in a row that never reached `RUNNING`.
    pub(crate) start_failures: u32,
    pub(crate) impaired: bool,
    /// No task is started before this moment.
    pub(crate) start_not_before: Option<Timestamp>,
    messages: VecDeque<Message>,
    created_at: Timestamp,
    created_by: String,
    creation: Value,
}

impl Service {
    pub(crate) fn is_active(&self) -> bool {
        self.status == ServiceStatus::Active
    }

    pub(crate) fn primary(&self) -> Option<&Deployment> {
        self.deployments.first()
    }

    pub(crate) fn primary_mut(&mut self) -> Option<&mut Deployment> {
        self.deployments.first_mut()
    }

    /// Whether the service still needs this task definition.
    pub(crate) fn references(&self, definition_arn: &str) -> bool {
        let uses = |configuration: &Value| text(configuration, "taskDefinition") == Some(definition_arn);
        self.status != ServiceStatus::Inactive
            && (uses(&self.configuration)
                || self
                    .deployments
                    .iter()
                    .filter_map(|deployment| self.revisions.get(&deployment.revision))
                    .any(|revision| uses(&revision.configuration)))
    }

    /// Adds a line to `events`.
    pub(crate) fn say(&mut self, what: &str, kernel: &mut Kernel) {
        let text = format!("(service {}) {what}", self.key.name);
        self.messages.push_front(Message {
            id: kernel.uuid(),
            at: kernel.now(),
            text,
        });
        self.messages.truncate(MESSAGES_KEPT);
    }

    pub(crate) fn grace_period(&self) -> SignedDuration {
        let seconds = self
            .settings
            .get("healthCheckGracePeriodSeconds")
            .and_then(Value::as_i64)
            .unwrap_or(0);
        SignedDuration::from_secs(seconds)
    }
}

impl Ecs {
    /// The service that a name or ARN in a request means, in the request's cluster.
    pub(crate) fn service(&self, input: &Value, reference: &str) -> Result<&Service, ApiError> {
        let (cluster, _) = self.cluster(input)?;
        let key = ServiceKey {
            cluster,
            name: short_name(reference).to_owned(),
        };
        self.services
            .get(&key)
            .ok_or_else(|| ApiError::client("ServiceNotFoundException", "Service not found."))
    }

    pub(crate) fn create_service(&mut self, request: &Request, kernel: &mut Kernel) -> Answer {
        let input = &request.input;
        let own = [
            "cluster",
            "serviceName",
            "clientToken",
            "desiredCount",
            "deploymentConfiguration",
            "deploymentController",
            "schedulingStrategy",
            "launchType",
            "capacityProviderStrategy",
            "role",
            "tags",
        ];
        only(
            "CreateService",
            input,
            &[&own[..], &REVISION_MEMBERS, &SERVICE_MEMBERS].concat(),
        )?;
        check_kind("CreateService", input)?;
        let (cluster, cluster_record) = self.cluster(input)?;
        let name = required_text(input, "serviceName")?.to_owned();
        let key = ServiceKey { cluster, name };
        if let Some(existing) = self
            .services
            .get(&key)
            .filter(|service| service.status != ServiceStatus::Inactive)
        {
            if existing.creation == *input && input.get("clientToken").is_some() {
                return Ok(json!({"service": self.describe_service(&key, true, kernel.now())}));
            }
            return Err(invalid_parameter("Creation of service was not idempotent."));
        }
        capacity_provider("CreateService", input, cluster_record.default_capacity_provider())?;
        let mut configuration = Map::new();
        copy(input, &REVISION_MEMBERS, &mut configuration);
        copy(input, &["launchType", "capacityProviderStrategy"], &mut configuration);
        let definition = self.usable_definition(required_text(input, "taskDefinition")?, kernel.now())?;
        check_network(definition, input)?;
        configuration.insert("taskDefinition".to_owned(), json!(definition.arn));
        configuration
            .entry("platformVersion")
            .or_insert_with(|| json!("LATEST"));
        let mut settings = Map::new();
        copy(input, &SERVICE_MEMBERS, &mut settings);
        let deployment_configuration =
            merge_deployment_configuration(&Value::Null, input.get("deploymentConfiguration"));
        let mut tags = Vec::new();
        merge_tags(&mut tags, list(input, "tags"))?;
        let service = Service {
            arn: kernel.arn("ecs", &format!("service/{}/{}", key.cluster, key.name)),
            cluster_arn: cluster_record.arn.clone(),
            key: key.clone(),
            status: ServiceStatus::Active,
            desired_count: checked_number(input, "desiredCount")?.unwrap_or(0),
            configuration: Value::Object(configuration),
            settings: Value::Object(settings),
            rules: Rules::read(&deployment_configuration)?,
            deployment_configuration,
            deployments: Vec::new(),
            revisions: BTreeMap::new(),
            service_deployments: Vec::new(),
            last_completed: None,
            tags,
            tick: None,
            steady: None,
            start_failures: 0,
            impaired: false,
            start_not_before: None,
            messages: VecDeque::new(),
            created_at: kernel.now(),
            created_by: caller_arn(&request.principal, kernel),
            creation: input.clone(),
        };
        self.services.insert(key.clone(), service);
        self.start_deployment(&key, kernel);
        Ok(json!({"service": self.describe_service(&key, true, kernel.now())}))
    }

    pub(crate) fn update_service(&mut self, input: &Value, kernel: &mut Kernel) -> Answer {
        let own = [
            "cluster",
            "service",
            "desiredCount",
            "deploymentConfiguration",
            "deploymentController",
            "capacityProviderStrategy",
            "forceNewDeployment",
        ];
        only(
            "UpdateService",
            input,
            &[&own[..], &REVISION_MEMBERS, &SERVICE_MEMBERS].concat(),
        )?;
        check_kind("UpdateService", input)?;
        let service = self.service(input, required_text(input, "service")?)?;
        if !service.is_active() {
            return Err(ApiError::client("ServiceNotActiveException", "Service was not ACTIVE."));
        }
        let key = service.key.clone();
        let mut configuration = service.configuration.as_object().cloned().unwrap_or_default();
        copy(input, &REVISION_MEMBERS, &mut configuration);
        if let Some(reference) = text(input, "taskDefinition") {
            let named = self
                .task_definitions
                .find(reference)
                .map(|definition| definition.arn.clone());
            let current = text(&service.configuration, "taskDefinition").map(str::to_owned);
            // Naming the definition that already runs asks for nothing that could be refused.
            let arn = match named {
                Some(arn) if Some(&arn) == current.as_ref() => arn,
                _ => self.usable_definition(reference, kernel.now())?.arn.clone(),
            };
            configuration.insert("taskDefinition".to_owned(), json!(arn));
        }
        let configuration = Value::Object(configuration);
        let deploys = configuration != service.configuration || input.get("forceNewDeployment") == Some(&json!(true));
        let deployment_configuration =
            merge_deployment_configuration(&service.deployment_configuration, input.get("deploymentConfiguration"));
        let rules = Rules::read(&deployment_configuration)?;
        let desired_count = checked_number(input, "desiredCount")?.unwrap_or(service.desired_count);
        let mut settings = service.settings.as_object().cloned().unwrap_or_default();
        copy(input, &SERVICE_MEMBERS, &mut settings);
        if let Some(service) = self.services.get_mut(&key) {
            service.configuration = configuration;
            if let Some(strategy) = input.get("capacityProviderStrategy") {
                set(&mut service.configuration, "capacityProviderStrategy", strategy.clone());
            }
            service.deployment_configuration = deployment_configuration;
            service.rules = rules;
            service.desired_count = desired_count;
            service.settings = Value::Object(settings);
        }
        if deploys {
            self.start_deployment(&key, kernel);
        }
        self.schedule(&key, kernel);
        Ok(json!({"service": self.describe_service(&key, true, kernel.now())}))
    }

    pub(crate) fn delete_service(&mut self, input: &Value, kernel: &mut Kernel) -> Answer {
        only("DeleteService", input, &["cluster", "service", "force"])?;
        let service = self.service(input, required_text(input, "service")?)?;
        if service.status == ServiceStatus::Inactive {
            return Err(ApiError::client("ServiceNotFoundException", "Service not found."));
        }
        let key = service.key.clone();
        if service.desired_count > 0 && input.get("force") != Some(&json!(true)) {
            return Err(invalid_parameter(
                "The service cannot be stopped while the primary deployment is scaled above 0.",
            ));
        }
        if let Some(service) = self.services.get_mut(&key) {
            service.status = ServiceStatus::Draining;
            service.desired_count = 0;
            service.steady = None;
        }
        self.schedule(&key, kernel);
        Ok(json!({"service": self.describe_service(&key, true, kernel.now())}))
    }

    pub(crate) fn describe_services(&self, input: &Value, kernel: &Kernel) -> Answer {
        only("DescribeServices", input, &["cluster", "services", "include"])?;
        let (cluster, _) = self.cluster(input)?;
        let mut services = Vec::new();
        let mut failures = Vec::new();
        for reference in bounded_texts(input, "services", 10)? {
            let key = ServiceKey {
                cluster: cluster.clone(),
                name: short_name(reference).to_owned(),
            };
            if self.services.contains_key(&key) {
                services.push(self.describe_service(&key, includes_tags(input), kernel.now()));
            } else {
                let path = format!("service/{cluster}/{}", key.name);
                failures.push(json!({"arn": kernel.arn("ecs", &path), "reason": "MISSING"}));
            }
        }
        Ok(json!({"services": services, "failures": failures}))
    }

    pub(crate) fn list_services(&self, input: &Value) -> Answer {
        let known = ["cluster", "nextToken", "maxResults", "launchType", "schedulingStrategy"];
        only("ListServices", input, &known)?;
        let (cluster, _) = self.cluster(input)?;
        let launch_type = text(input, "launchType");
        let arns: Vec<&str> = self
            .services
            .values()
            .filter(|service| service.key.cluster == cluster && service.is_active())
            .filter(|service| launch_type.is_none() || launch_type == text(&service.configuration, "launchType"))
            .filter(|_| text(input, "schedulingStrategy").is_none_or(|strategy| strategy == "REPLICA"))
            .map(|service| service.arn.as_str())
            .collect();
        page("serviceArns", &arns, |arn| arn, |arn| json!(arn), input, 10)
    }

    pub(crate) fn describe_service(&self, key: &ServiceKey, with_tags: bool, now: Timestamp) -> Value {
        let Some(service) = self.services.get(key) else {
            return Value::Null;
        };
        let messages: Vec<Value> = service
            .messages
            .iter()
            .map(|message| json!({"id": message.id, "createdAt": epoch_seconds(message.at), "message": message.text}))
            .collect();
        let deployments: Vec<Value> = service
            .deployments
            .iter()
            .enumerate()
            .map(|(rank, _)| self.describe_deployment(service, rank))
            .collect();
        let tasks = || self.tasks.values().filter(|task| task.belongs_to(key));
        let mut described = json!({
            "serviceArn": service.arn,
            "serviceName": key.name,
            "clusterArn": service.cluster_arn,
            "status": match service.status {
                ServiceStatus::Active => "ACTIVE",
                ServiceStatus::Draining => "DRAINING",
                ServiceStatus::Inactive => "INACTIVE",
            },
            "desiredCount": service.desired_count,
            "runningCount": tasks().filter(|task| is_running(task)).count(),
            "pendingCount": tasks().filter(|task| is_pending(task)).count(),
            "deploymentConfiguration": service.deployment_configuration,
            "deployments": deployments,
            "events": messages,
            "createdAt": epoch_seconds(service.created_at),
            "createdBy": service.created_by,
            "deploymentController": {"type": "ECS"},
            "schedulingStrategy": "REPLICA",
            "platformFamily": "Linux",
            "loadBalancers": [],
            "serviceRegistries": [],
            "placementConstraints": [],
            "placementStrategy": [],
            "enableECSManagedTags": false,
            "enableExecuteCommand": false,
            "propagateTags": "NONE",
        });
        if let Some(members) = described.as_object_mut() {
            copy(&service.configuration, &REVISION_MEMBERS, members);
            copy(
                &service.configuration,
                &["launchType", "capacityProviderStrategy"],
                members,
            );
            copy(&service.settings, &SERVICE_MEMBERS, members);
            // These belong to deployments and revisions, not to the service.
            for key in [
                "serviceConnectConfiguration",
                "volumeConfigurations",
                "vpcLatticeConfigurations",
            ] {
                members.shift_remove(key);
            }
        }
        set(
            &mut described,
            "currentServiceRevisions",
            json!(self.current_revisions(service)),
        );
        if let Some(newest) = service
            .service_deployments
            .iter()
            .rev()
            .find(|one| self.is_deployment_visible(one, now))
        {
            set(&mut described, "currentServiceDeployment", json!(newest.arn));
        }
        if with_tags {
            set(&mut described, "tags", json!(service.tags));
        }
        described
    }

    fn describe_deployment(&self, service: &Service, rank: usize) -> Value {
        let Some(deployment) = service.deployments.get(rank) else {
            return Value::Null;
        };
        let revision = service.revisions.get(&deployment.revision);
        let tasks = || {
            self.tasks
                .values()
                .filter(|task| task.runs_revision(&service.key, &deployment.revision))
        };
        let wanted = if rank == 0 && deployment.rollout != Rollout::Failed {
            service.desired_count
        } else {
            0
        };
        let mut described = json!({
            "id": deployment.id,
            "status": if rank == 0 { "PRIMARY" } else { "ACTIVE" },
            "desiredCount": wanted,
            "pendingCount": tasks().filter(|task| is_pending(task)).count(),
            "runningCount": tasks().filter(|task| is_running(task)).count(),
            "failedTasks": deployment.breaker.failures(),
            "createdAt": epoch_seconds(deployment.created_at),
            "updatedAt": epoch_seconds(deployment.updated_at),
            "platformFamily": "Linux",
            "rolloutState": deployment.rollout.name(),
            "rolloutStateReason": deployment.reason,
        });
        if let (Some(revision), Some(members)) = (revision, described.as_object_mut()) {
            let shown = [
                "taskDefinition",
                "capacityProviderStrategy",
                "launchType",
                "platformVersion",
                "networkConfiguration",
                "serviceConnectConfiguration",
                "volumeConfigurations",
                "vpcLatticeConfigurations",
            ];
            copy(&revision.configuration, &shown, members);
        }
        described
    }

    fn current_revisions(&self, service: &Service) -> Vec<Value> {
        service
            .deployments
            .iter()
            .enumerate()
            .filter_map(|(rank, deployment)| {
                let revision = service.revisions.get(&deployment.revision)?;
                let requested = if rank == 0 { service.desired_count } else { 0 };
                Some(self.revision_summary(service, revision, requested))
            })
            .collect()
    }

    /// A revision with its task counts, as `ServiceDeployment` and `Service` show it.
    pub(crate) fn revision_summary(&self, service: &Service, revision: &Revision, requested: u32) -> Value {
        let tasks = || {
            self.tasks
                .values()
                .filter(|task| task.runs_revision(&service.key, &revision.id))
        };
        json!({
            "arn": revision.arn,
            "requestedTaskCount": requested,
            "runningTaskCount": tasks().filter(|task| is_running(task)).count(),
            "pendingTaskCount": tasks().filter(|task| is_pending(task)).count(),
        })
    }
}

pub(crate) fn is_running(task: &Task) -> bool {
    task.status == TaskStatus::Running
}

pub(crate) fn is_pending(task: &Task) -> bool {
    task.status < TaskStatus::Running
}

/// Only rolling replica services of the ECS controller are simulated.
fn check_kind(operation: &str, input: &Value) -> Result<(), ApiError> {
    let refused = [
        ("/deploymentController/type", "ECS"),
        ("/schedulingStrategy", "REPLICA"),
        ("/deploymentConfiguration/strategy", "ROLLING"),
    ]
    .into_iter()
    .find_map(|(pointer, only)| {
        input
            .pointer(pointer)
            .filter(|value| *value != only)
            .map(|value| (pointer, value))
    });
    if let Some((pointer, value)) = refused {
        let member = pointer.trim_start_matches('/').replace('/', ".");
        return Err(ApiError::unsupported(format!("`{member}` {value} in ecs:{operation}")));
    }
    let hooks = input.pointer("/deploymentConfiguration/lifecycleHooks");
    if hooks.is_some_and(|hooks| !is_empty(hooks)) {
        return Err(ApiError::unsupported(format!(
            "`deploymentConfiguration.lifecycleHooks` in ecs:{operation}"
        )));
    }
    Ok(())
}
