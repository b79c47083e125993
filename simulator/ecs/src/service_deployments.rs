//! The operations on service deployments and service revisions.

use jiff::Timestamp;
use serde_json::{Value, json};
use simulator_kernel::{ApiError, Kernel};

use crate::Ecs;
use crate::deployment_records::{Monitor, Revision, ServiceDeployment, ServiceDeploymentStatus};
use crate::input::{
    Answer, bounded_texts, copy, epoch_seconds, invalid_parameter, only, page, required_text, set, set_some, text,
    texts,
};
use crate::services::{Service, ServiceKey};
use crate::task_definitions::TaskDefinition;

impl Ecs {
    pub(crate) fn is_deployment_visible(&self, deployment: &ServiceDeployment, now: Timestamp) -> bool {
        now.duration_since(deployment.created_at) >= self.settings.deployment_visible_after
    }

    pub(crate) fn list_service_deployments(&self, input: &Value, kernel: &Kernel) -> Answer {
        let known = ["service", "cluster", "status", "createdAt", "nextToken", "maxResults"];
        only("ListServiceDeployments", input, &known)?;
        let service = self.service(input, required_text(input, "service")?)?;
        let statuses = texts(input, "status");
        let bound = |key: &str| {
            input
                .get("createdAt")
                .and_then(|range| range.get(key))
                .and_then(Value::as_f64)
        };
        let (after, before) = (bound("after"), bound("before"));
        let deployments: Vec<&ServiceDeployment> = service
            .service_deployments
            .iter()
            .rev()
            .filter(|deployment| self.is_deployment_visible(deployment, kernel.now()))
            .filter(|deployment| statuses.is_empty() || statuses.contains(&deployment.status.name()))
            .filter(|deployment| {
                let created = deployment.created_at.as_duration().as_secs_f64();
                after.is_none_or(|after| created > after) && before.is_none_or(|before| created < before)
            })
            .collect();
        let brief = |deployment: &&ServiceDeployment| {
            let mut brief = json!({
                "serviceDeploymentArn": deployment.arn,
                "serviceArn": service.arn,
                "clusterArn": service.cluster_arn,
                "createdAt": epoch_seconds(deployment.created_at),
                "targetServiceRevisionArn": service.revisions.get(&deployment.target).map(|revision| &revision.arn),
                "status": deployment.status.name(),
            });
            set_some(&mut brief, "startedAt", deployment.started_at.map(epoch_seconds));
            set_some(&mut brief, "finishedAt", deployment.finished_at.map(epoch_seconds));
            set_some(
                &mut brief,
                "statusReason",
                deployment.status_reason.as_ref().map(|reason| json!(reason)),
            );
            brief
        };
        page(
            "serviceDeployments",
            &deployments,
            |deployment| &deployment.arn,
            brief,
            input,
            20,
        )
    }

    pub(crate) fn describe_service_deployments(&self, input: &Value, kernel: &Kernel) -> Answer {
        only("DescribeServiceDeployments", input, &["serviceDeploymentArns"])?;
        let mut deployments = Vec::new();
        let mut failures = Vec::new();
        for arn in bounded_texts(input, "serviceDeploymentArns", 20)? {
            match self
                .find_deployment(arn)
                .filter(|(_, one)| self.is_deployment_visible(one, kernel.now()))
            {
                Some((service, deployment)) => deployments.push(self.describe_service_deployment(service, deployment)),
                None => failures.push(json!({"arn": arn, "reason": "MISSING"})),
            }
        }
        Ok(json!({"serviceDeployments": deployments, "failures": failures}))
    }

    fn describe_service_deployment(&self, service: &Service, deployment: &ServiceDeployment) -> Value {
        let is_current = service
            .service_deployments
            .last()
            .is_some_and(|last| last.arn == deployment.arn);
        let rolls_back = deployment.rollback.as_ref().map(|rollback| rollback.revision.as_str());
        let summary = |id: &String| {
            let revision = service.revisions.get(id)?;
            let wanted = rolls_back.unwrap_or(&deployment.target);
            let requested = if is_current && wanted == id {
                service.desired_count
            } else {
                0
            };
            Some(self.revision_summary(service, revision, requested))
        };
        let sources: Vec<Value> = deployment.sources.iter().filter_map(summary).collect();
        let mut described = json!({
            "serviceDeploymentArn": deployment.arn,
            "serviceArn": service.arn,
            "clusterArn": service.cluster_arn,
            "createdAt": epoch_seconds(deployment.created_at),
            "updatedAt": epoch_seconds(deployment.updated_at),
            "sourceServiceRevisions": sources,
            "targetServiceRevision": summary(&deployment.target),
            "status": deployment.status.name(),
            "deploymentConfiguration": deployment.deployment_configuration,
            "deploymentCircuitBreaker": {
                "status": deployment.breaker.name(),
                "failureCount": self.failure_count(service, deployment, is_current),
                "threshold": deployment.breaker_configuration.threshold(service.desired_count),
            },
        });
        set_some(&mut described, "startedAt", deployment.started_at.map(epoch_seconds));
        set_some(&mut described, "finishedAt", deployment.finished_at.map(epoch_seconds));
        set_some(&mut described, "stoppedAt", deployment.stopped_at.map(epoch_seconds));
        set_some(
            &mut described,
            "statusReason",
            deployment.status_reason.as_ref().map(|reason| json!(reason)),
        );
        if deployment.alarms != Monitor::Disabled {
            let names = deployment.deployment_configuration.pointer("/alarms/alarmNames");
            let alarms = json!({
                "status": deployment.alarms.name(),
                "alarmNames": names,
                "triggeredAlarmNames": deployment.triggered_alarms,
            });
            set(&mut described, "alarms", alarms);
        }
        if let Some(rollback) = &deployment.rollback {
            let revision = service.revisions.get(&rollback.revision).map(|revision| &revision.arn);
            let shown = json!({
                "reason": rollback.reason,
                "startedAt": epoch_seconds(rollback.started_at),
                "serviceRevisionArn": revision,
            });
            set(&mut described, "rollback", shown);
        }
        described
    }

    fn failure_count(&self, service: &Service, deployment: &ServiceDeployment, is_current: bool) -> u32 {
        let live = service
            .primary()
            .filter(|_| is_current && deployment.breaker == Monitor::Monitoring);
        live.map_or(deployment.failures, |primary| primary.breaker.failures())
    }

    pub(crate) fn describe_service_revisions(&self, input: &Value) -> Answer {
        only("DescribeServiceRevisions", input, &["serviceRevisionArns"])?;
        let mut revisions = Vec::new();
        let mut failures = Vec::new();
        for arn in bounded_texts(input, "serviceRevisionArns", 20)? {
            match self.find_revision(arn) {
                Some((service, revision)) => revisions.push(self.describe_revision(service, revision)),
                None => failures.push(json!({"arn": arn, "reason": "MISSING"})),
            }
        }
        Ok(json!({"serviceRevisions": revisions, "failures": failures}))
    }

    fn describe_revision(&self, service: &Service, revision: &Revision) -> Value {
        let definition =
            text(&revision.configuration, "taskDefinition").and_then(|arn| self.task_definitions.find(arn));
        let images: Vec<Value> = definition
            .into_iter()
            .flat_map(TaskDefinition::container_definitions)
            .map(|container| {
                let name = text(container, "name").unwrap_or_default();
                let mut image = json!({"containerName": name, "image": text(container, "image")});
                set_some(
                    &mut image,
                    "imageDigest",
                    revision.digests.get(name).map(|digest| json!(digest)),
                );
                image
            })
            .collect();
        let mut described = json!({
            "serviceRevisionArn": revision.arn,
            "serviceArn": service.arn,
            "clusterArn": service.cluster_arn,
            "platformFamily": "Linux",
            "containerImages": images,
            "guardDutyEnabled": self.settings.injected_sidecar.is_some(),
            "createdAt": epoch_seconds(revision.created_at),
        });
        if let (Some(members), Some(configuration)) = (described.as_object_mut(), revision.configuration.as_object()) {
            let keys: Vec<&str> = configuration.keys().map(String::as_str).collect();
            copy(&revision.configuration, &keys, members);
        }
        described
    }

    pub(crate) fn stop_service_deployment(&mut self, input: &Value, kernel: &mut Kernel) -> Answer {
        only("StopServiceDeployment", input, &["serviceDeploymentArn", "stopType"])?;
        match text(input, "stopType") {
            None | Some("ROLLBACK") => {}
            Some("ABORT") => return Err(ApiError::unsupported("stop type `ABORT` of ecs:StopServiceDeployment")),
            Some(_) => return Err(invalid_parameter("stopType must be ROLLBACK.")),
        }
        let arn = required_text(input, "serviceDeploymentArn")?;
        let key = self.find_deployment(arn).map(|(service, _)| service.key.clone());
        let deployment = key.as_ref().and_then(|key| {
            let deployments = &mut self.services.get_mut(key)?.service_deployments;
            deployments.iter_mut().find(|deployment| deployment.arn == arn)
        });
        let (Some(key), Some(deployment)) = (&key, deployment) else {
            return Err(ApiError::client(
                "ServiceDeploymentNotFoundException",
                "The service deployment was not found.",
            ));
        };
        match deployment.status {
            ServiceDeploymentStatus::Pending | ServiceDeploymentStatus::InProgress => {
                let reason = Some("A user asked for a rollback.".to_owned());
                deployment.enter(ServiceDeploymentStatus::RollbackRequested, reason, kernel.now());
                self.schedule(key, kernel);
            }
            status if status.is_final() => {
                let message = format!("The service deployment is {} and cannot be stopped.", status.name());
                return Err(ApiError::client("ConflictException", message));
            }
            _ => {}
        }
        Ok(json!({"serviceDeploymentArn": arn}))
    }

    fn find_deployment(&self, arn: &str) -> Option<(&Service, &ServiceDeployment)> {
        let (_, path) = arn.split_once(":service-deployment/")?;
        let service = self.services.get(&ServiceKey::from_path(path)?)?;
        let deployment = service
            .service_deployments
            .iter()
            .find(|deployment| deployment.arn == arn)?;
        Some((service, deployment))
    }

    fn find_revision(&self, arn: &str) -> Option<(&Service, &Revision)> {
        let (_, path) = arn.split_once(":service-revision/")?;
        let service = self.services.get(&ServiceKey::from_path(path)?)?;
        let revision = service.revisions.values().find(|revision| revision.arn == arn)?;
        Some((service, revision))
    }
}
