//! Brings the resources of a template into the world, as a stack's creation does.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use simulator_dynamodb::DynamoDb;
use simulator_kernel::{ApiError, Reply, Request, RequestId};
use simulator_template::{Function, Queue, StateMachine, Table, Target, Template};

use crate::lambda::{FunctionConfiguration, Lambda};
use crate::services::{CloudWatch, HttpApis, Iam, Sns, Sqs};
use crate::world::World;

/// Why a template cannot be brought into the world.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// The definition of a state machine cannot be read.
    #[error("the definition `{path}` of the state machine `{name}` cannot be read: {source}")]
    Definition {
        /// The state machine.
        name: String,
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The definition of a state machine has a placeholder that the template does not fill.
    #[error(
        "the definition of the state machine `{name}` says `${{{placeholder}}}`, which its `DefinitionSubstitutions` do not have"
    )]
    Placeholder {
        /// The state machine.
        name: String,
        /// The placeholder's name.
        placeholder: String,
    },
    /// A service may not assume the role that it is to act as.
    #[error("the role of `{name}` does not trust `{service}`: {reason}")]
    Untrusted {
        /// The function, state machine, rule or schedule that names the role.
        name: String,
        /// The service.
        service: &'static str,
        /// What the trust policy says.
        reason: String,
    },
    /// A service refuses a resource.
    #[error("the resource `{name}` is refused: {source}")]
    Refused {
        /// The resource's physical name.
        name: String,
        /// What the service says.
        source: ApiError,
    },
}

impl World {
    /// Creates everything that the template describes; `directory` is where the template lies. From now on roles may do
    /// what it says, and no more.
    ///
    /// # Errors
    ///
    /// When a file is missing, a role does not trust the service that is to act as it, or a service refuses a resource:
    /// the world is then half-built and good for nothing.
    pub fn load(&mut self, template: Template, directory: &Path) -> Result<(), DeployError> {
        check_trust(&template)?;
        for table in template.tables.values() {
            self.create_table(table)?;
        }
        for queue in template.queues.values() {
            self.create_queue(queue)?;
        }
        if let Some((sns, _)) = self.service_mut::<Sns>() {
            template.topics.values().for_each(|arn| sns.create(arn));
        }
        if let Some((cloudwatch, kernel)) = self.service_mut::<CloudWatch>() {
            for alarm in template.alarms.values() {
                cloudwatch.provide(&alarm.name, &alarm.properties, kernel);
            }
        }
        for group in template.log_groups.values() {
            self.provision(
                &group.name,
                "logs",
                "CreateLogGroup",
                json!({"logGroupName": group.name}),
            )?;
        }
        for function in template.functions.values() {
            self.create_function(function)?;
        }
        for machine in template.state_machines.values() {
            self.create_state_machine(machine, &template, directory)?;
        }
        for rule in template.rules.values() {
            self.provision(&rule.name, "events", "PutRule", rule.put_rule_input())?;
            if !rule.targets.is_empty() {
                self.provision(&rule.name, "events", "PutTargets", rule.put_targets_input())?;
            }
        }
        for schedule in template.schedules.values() {
            self.provision(
                &schedule.name,
                "scheduler",
                "CreateSchedule",
                schedule.create_schedule_input(),
            )?;
        }
        if let Some((apis, _)) = self.service_mut::<HttpApis>() {
            apis.load(&template);
        }
        for role in template.roles.values() {
            if let Some((iam, kernel)) = self.service_mut::<Iam>() {
                iam.know(&role.name, &role.arn, kernel);
            }
            let principal = self.kernel().role(self.kernel().account(), &role.name);
            self.register_principal(principal);
        }
        self.access
            .set_template(self.kernel().here().as_ref().clone(), template);
        Ok(())
    }

    /// The template that was loaded.
    #[must_use]
    pub fn template(&self) -> Option<&Template> {
        self.access.template(self.kernel().here())
    }

    /// Carries out one operation at once, as the administrator, without time, fault or record: to set a scene.
    ///
    /// # Errors
    ///
    /// What the service says, or that it would answer later.
    pub fn administer(&mut self, service: &str, operation: &str, input: Value) -> Result<Value, ApiError> {
        let id = RequestId(self.kernel_mut().next_id());
        let request = Request {
            id,
            operation: operation.to_owned(),
            input,
            principal: self.kernel().administrator(),
            access_key_id: None,
        };
        match self.call_service(service, &request) {
            Some(Reply::Now(result)) => result,
            Some(Reply::Later) => Err(ApiError::unsupported(format_args!(
                "`{operation}` of `{service}` at once"
            ))),
            None => Err(ApiError::unsupported(format_args!("the service `{service}`"))),
        }
    }

    fn provision(&mut self, name: &str, service: &str, operation: &str, input: Value) -> Result<Value, DeployError> {
        let refused = |source| DeployError::Refused {
            name: name.to_owned(),
            source,
        };
        let output = self.administer(service, operation, input).map_err(refused)?;
        // `PutTargets` reports what it refuses beside the answer.
        match output.get("FailedEntries").and_then(|entries| entries.get(0)) {
            None => Ok(output),
            Some(entry) => Err(refused(ApiError::client("FailedEntry", entry.to_string()))),
        }
    }

    fn create_table(&mut self, table: &Table) -> Result<(), DeployError> {
        if table.stream_view.is_some() {
            return Err(unsupported(&table.name, "streams of `dynamodb`"));
        }
        self.provision(&table.name, "dynamodb", "CreateTable", table.create_table_input())?;
        if let Some(attribute) = &table.time_to_live_attribute {
            let specification = json!({"Enabled": true, "AttributeName": attribute});
            let input = json!({"TableName": table.name, "TimeToLiveSpecification": specification});
            self.provision(&table.name, "dynamodb", "UpdateTimeToLive", input)?;
        }
        if let Some((tables, kernel)) = self.service_mut::<DynamoDb>()
            && table.recovery_days.is_some()
        {
            tables.recover_from_now_on(&table.name, kernel.now());
        }
        Ok(())
    }

    fn create_queue(&mut self, queue: &Queue) -> Result<(), DeployError> {
        if queue.redrive.is_some() {
            return Err(unsupported(&queue.name, "the redrive policy of a queue of `sqs`"));
        }
        let attributes = BTreeMap::from([
            (
                "VisibilityTimeout".to_owned(),
                queue.visibility_timeout_seconds.to_string(),
            ),
            ("MessageRetentionPeriod".to_owned(), queue.retention_seconds.to_string()),
            ("DelaySeconds".to_owned(), queue.delay_seconds.to_string()),
            (
                "ReceiveMessageWaitTimeSeconds".to_owned(),
                queue.receive_wait_seconds.to_string(),
            ),
        ]);
        if let Some((sqs, _)) = self.service_mut::<Sqs>() {
            sqs.create(&queue.name, attributes);
        }
        Ok(())
    }

    fn create_function(&mut self, function: &Function) -> Result<(), DeployError> {
        let asynchronous = &function.asynchronous;
        if asynchronous.on_success.is_some() {
            return Err(unsupported(
                &function.name,
                "the `OnSuccess` destination of a function of `lambda`",
            ));
        }
        for destination in [&asynchronous.on_failure, &function.dead_letter_arn]
            .into_iter()
            .flatten()
        {
            if !destination.starts_with("arn:aws:sqs:") {
                return Err(unsupported(
                    &function.name,
                    "a failure destination of `lambda` that is not a queue",
                ));
            }
        }
        if let Some((lambda, _)) = self.service_mut::<Lambda>() {
            lambda.configure(FunctionConfiguration {
                name: function.name.clone(),
                role: Some(function.role.clone()),
                timeout_seconds: function.timeout_seconds,
                memory_mebibytes: function.memory_mebibytes,
                environment: function.environment.clone(),
                log_group: function.logging.as_ref().and_then(|logging| logging.group.clone()),
                reserved_concurrency: function.reserved_concurrent_executions,
                maximum_retry_attempts: asynchronous.maximum_retry_attempts,
                maximum_event_age_seconds: asynchronous.maximum_event_age_seconds,
                on_failure: asynchronous.on_failure.clone(),
                dead_letter_queue: function.dead_letter_arn.clone(),
            });
        }
        Ok(())
    }

    fn create_state_machine(
        &mut self,
        machine: &StateMachine,
        template: &Template,
        directory: &Path,
    ) -> Result<(), DeployError> {
        let path = directory.join(&machine.definition_uri);
        let text = std::fs::read_to_string(&path).map_err(|source| DeployError::Definition {
            name: machine.name.clone(),
            path,
            source,
        })?;
        let definition = substitute(&text, &machine.substitutions).map_err(|placeholder| DeployError::Placeholder {
            name: machine.name.clone(),
            placeholder,
        })?;
        let role = template
            .roles
            .values()
            .find(|role| role.name == machine.role)
            .map_or_else(
                || format!("arn:aws:iam::{}:role/{}", self.kernel().account(), machine.role),
                |role| role.arn.clone(),
            );
        let input = json!({"name": machine.name, "definition": definition, "roleArn": role, "type": machine.kind});
        self.provision(&machine.name, "states", "CreateStateMachine", input)?;
        Ok(())
    }
}

/// Every service may assume the roles that the template gives it, for the resources that it works for.
fn check_trust(template: &Template) -> Result<(), DeployError> {
    let check = |name: &str, role: &str, service: &'static str, source_arn: Option<&str>| {
        let decision = template.trusts(role, service, source_arn);
        decision.reason().map_or(Ok(()), |reason| {
            Err(DeployError::Untrusted {
                name: name.to_owned(),
                service,
                reason: reason.to_owned(),
            })
        })
    };
    for function in template.functions.values() {
        check(&function.name, &function.role, "lambda.amazonaws.com", None)?;
    }
    for machine in template.state_machines.values() {
        check(&machine.name, &machine.role, "states.amazonaws.com", Some(&machine.arn))?;
    }
    for rule in template.rules.values() {
        for role in rule.targets.iter().filter_map(Target::role) {
            check(&rule.name, role, "events.amazonaws.com", Some(&rule.arn))?;
        }
    }
    for schedule in template.schedules.values() {
        if let Some(role) = schedule.target.role() {
            check(
                &schedule.name,
                role,
                "scheduler.amazonaws.com",
                Some(&schedule.group_arn()),
            )?;
        }
    }
    Ok(())
}

fn unsupported(name: &str, what: &str) -> DeployError {
    DeployError::Refused {
        name: name.to_owned(),
        source: ApiError::unsupported(what),
    }
}

/// Puts the template's values in the place of `${name}`. The error is the first name that has no value.
fn substitute(text: &str, values: &BTreeMap<String, String>) -> Result<String, String> {
    let mut filled = String::with_capacity(text.len());
    let mut parts = text.split("${");
    filled.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let (name, rest) = part.split_once('}').unwrap_or((part, ""));
        filled.push_str(values.get(name).ok_or_else(|| name.to_owned())?);
        filled.push_str(rest);
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_and_a_forgotten_one_is_named() {
        let values = BTreeMap::from([("Intake".to_owned(), "arn:1".to_owned())]);
        assert_eq!(
            substitute(r#"{"a": "${Intake}", "b": "x${Intake}"}"#, &values).unwrap(),
            r#"{"a": "arn:1", "b": "xarn:1"}"#
        );
        assert_eq!(substitute("${Intake} ${Observe}", &values), Err("Observe".to_owned()));
    }
}
