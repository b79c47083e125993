//! What a template says, with every name resolved.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::template::role_name;

/// A Lambda function.
#[derive(Debug, Clone, PartialEq)]
pub struct Function {
    /// The physical name.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// Such as `bootstrap`.
    pub handler: String,
    /// Such as `provided.al2023`.
    pub runtime: String,
    /// Such as `arm64`.
    pub architectures: Vec<String>,
    /// Where its code lies, relative to the template.
    pub code_uri: String,
    /// Memory in MiB.
    pub memory_mebibytes: u32,
    /// How long one invocation may take.
    pub timeout_seconds: u32,
    /// Environment variables.
    pub environment: BTreeMap<String, String>,
    /// The name of the role it runs as.
    pub role: String,
    /// How many invocations may run at once; `None` for the share of the account.
    pub reserved_concurrent_executions: Option<u32>,
    /// `Active` or `PassThrough`.
    pub tracing: Option<String>,
    /// The log format, levels and group.
    pub logging: Option<Logging>,
    /// The subnets and security groups of a VPC in which it runs.
    pub vpc: Option<Vpc>,
    /// What happens to asynchronous invocations.
    pub asynchronous: AsynchronousInvocation,
    /// The ARN of the queue or topic for asynchronous invocations that failed, from `DeadLetterQueue`.
    pub dead_letter_arn: Option<String>,
    /// The description.
    pub description: Option<String>,
    /// The `Metadata` of the resource, such as how it is built.
    pub metadata: Value,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

/// `VpcConfig` of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vpc {
    /// The ids of the subnets.
    pub subnets: Vec<String>,
    /// The ids of the security groups.
    pub security_groups: Vec<String>,
}

/// `LoggingConfig` of a function.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Logging {
    /// `JSON` or `Text`.
    pub format: Option<String>,
    /// The least level of the function's own lines.
    pub application_level: Option<String>,
    /// The least level of Lambda's lines.
    pub system_level: Option<String>,
    /// The log group, in place of `/aws/lambda/{name}`.
    pub group: Option<String>,
}

/// `EventInvokeConfig` of a function, with Lambda's defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AsynchronousInvocation {
    /// Tries after the first, 0 to 2.
    pub maximum_retry_attempts: u32,
    /// How long an event may wait, 60 to 21600.
    pub maximum_event_age_seconds: u32,
    /// The ARN that receives the record of a failure.
    pub on_failure: Option<String>,
    /// The ARN that receives the record of a success.
    pub on_success: Option<String>,
}

/// The URL of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionUrl {
    /// The ARN of the function.
    pub function_arn: String,
    /// `NONE` or `AWS_IAM`.
    pub authorization: String,
    /// The URL.
    pub url: String,
}

/// An HTTP API of API Gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpApi {
    /// The id, which its host name begins with.
    pub id: String,
    /// Whose callers are asked who they are, unless a route says otherwise: `AWS_IAM` or nobody.
    pub default_authorizer: Option<String>,
}

/// A route of an HTTP API, which leads to a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpRoute {
    /// The id of the API.
    pub api_id: String,
    /// The method, in capital letters.
    pub method: String,
    /// The path.
    pub path: String,
    /// The ARN of the function.
    pub function_arn: String,
    /// `AWS_IAM`, `NONE`, or what the API says.
    pub authorizer: Option<String>,
}

/// A state machine.
#[derive(Debug, Clone, PartialEq)]
pub struct StateMachine {
    /// The physical name.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// Where its definition lies, relative to the template.
    pub definition_uri: String,
    /// What stands for `${name}` in the definition.
    pub substitutions: BTreeMap<String, String>,
    /// The name of the role it runs as.
    pub role: String,
    /// `STANDARD` or `EXPRESS`.
    pub kind: String,
    /// Whether traces are written.
    pub tracing: bool,
    /// The logging configuration as written.
    pub logging: Option<Value>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

/// A DynamoDB table.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// The physical name.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// Key attributes of the table and its indexes with their types `S`, `N` or `B`.
    pub attributes: BTreeMap<String, String>,
    /// The key of the table.
    pub key: Key,
    /// Global secondary indexes.
    pub indexes: BTreeMap<String, Index>,
    /// `PAY_PER_REQUEST` or `PROVISIONED`.
    pub billing_mode: String,
    /// The attribute that tells when an item expires.
    pub time_to_live_attribute: Option<String>,
    /// For how many days the table can be restored to any point in time; `None` when it cannot.
    pub recovery_days: Option<u32>,
    /// Whether the table refuses to be deleted.
    pub deletion_protection: bool,
    /// What the stream shows of a change; `None` without a stream.
    pub stream_view: Option<String>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

/// The key of a table or index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// The partition key.
    pub partition: String,
    /// The sort key.
    pub sort: Option<String>,
}

/// A global secondary index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// Its key.
    pub key: Key,
    /// `ALL`, `KEYS_ONLY` or `INCLUDE`.
    pub projection: String,
    /// The attributes that `INCLUDE` includes.
    pub included: Vec<String>,
}

/// An SQS queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queue {
    /// The physical name.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// Its URL.
    pub url: String,
    /// How long a received message stays hidden.
    pub visibility_timeout_seconds: u32,
    /// How long a message is kept.
    pub retention_seconds: u32,
    /// How long a new message stays hidden.
    pub delay_seconds: u32,
    /// How long a receive waits for a message.
    pub receive_wait_seconds: u32,
    /// Where messages go that were received too often.
    pub redrive: Option<Redrive>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

/// The redrive policy of a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redrive {
    /// The ARN of the queue that receives the messages.
    pub queue_arn: String,
    /// After how many receives.
    pub maximum_receives: u32,
}

/// An IAM role. What it may do is asked of the template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// The physical name.
    pub name: String,
    /// Its ARN.
    pub arn: String,
}

/// A rule of the default event bus.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// The physical name.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// The events it wants.
    pub pattern: Option<Value>,
    /// When it runs.
    pub schedule: Option<String>,
    /// The description.
    pub description: Option<String>,
    /// Whether it is on.
    pub enabled: bool,
    /// Its targets.
    pub targets: Vec<Target>,
}

/// A target of a rule or schedule.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// Its id within the rule; empty for a schedule, which has one target.
    pub id: String,
    /// Its ARN.
    pub arn: String,
    /// The role that calls it.
    pub role_arn: Option<String>,
    /// A fixed input.
    pub input: Option<String>,
    /// The part of the event it receives.
    pub input_path: Option<String>,
    /// `InputTransformer` as written.
    pub input_transformer: Option<Value>,
    /// The queue for events that could not be delivered.
    pub dead_letter_arn: Option<String>,
    /// How often delivery is tried again.
    pub maximum_retry_attempts: Option<u32>,
    /// How long delivery is tried.
    pub maximum_event_age_seconds: Option<u32>,
}

/// A schedule of EventBridge Scheduler.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// The physical name.
    pub name: String,
    /// The schedule group.
    pub group: String,
    /// Its ARN.
    pub arn: String,
    /// Such as `rate(5 minutes)`.
    pub expression: String,
    /// The time zone of the expression.
    pub time_zone: Option<String>,
    /// How late it may run; `None` for no flexible window.
    pub flexible_minutes: Option<u32>,
    /// The description.
    pub description: Option<String>,
    /// Whether it is on.
    pub enabled: bool,
    /// Its target.
    pub target: Target,
}

/// A permission in the policy of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permission {
    /// The action, such as `lambda:InvokeFunction`.
    pub action: String,
    /// The ARN of the function.
    pub function_arn: String,
    /// The service, account or role, or `*`.
    pub principal: String,
    /// The ARN that the call must come from.
    pub source_arn: Option<String>,
}

/// A log group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogGroup {
    /// The physical name.
    pub name: String,
    /// For how long lines are kept; `None` for ever.
    pub retention_days: Option<u32>,
}

/// A CloudWatch alarm.
#[derive(Debug, Clone, PartialEq)]
pub struct Alarm {
    /// The physical name.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// Its properties as written.
    pub properties: Value,
}

/// A CloudWatch dashboard.
#[derive(Debug, Clone, PartialEq)]
pub struct Dashboard {
    /// The physical name.
    pub name: String,
    /// What it shows.
    pub body: Value,
}

/// A parameter of Systems Manager.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredParameter {
    /// The physical name.
    pub name: String,
    /// `String` or `StringList`.
    pub kind: String,
    /// The value.
    pub value: String,
}

/// An output of the stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// The value.
    pub value: String,
    /// The description.
    pub description: Option<String>,
}

impl Key {
    fn schema(&self) -> Value {
        let partition = json!({"AttributeName": self.partition, "KeyType": "HASH"});
        let sort = self
            .sort
            .iter()
            .map(|name| json!({"AttributeName": name, "KeyType": "RANGE"}));
        std::iter::once(partition).chain(sort).collect()
    }
}

impl Table {
    /// The input of `CreateTable`.
    #[must_use]
    pub fn create_table_input(&self) -> Value {
        let attributes: Vec<Value> = self
            .attributes
            .iter()
            .map(|(name, kind)| json!({"AttributeName": name, "AttributeType": kind}))
            .collect();
        let mut input = json!({
            "TableName": self.name,
            "AttributeDefinitions": attributes,
            "KeySchema": self.key.schema(),
            "BillingMode": self.billing_mode,
            "DeletionProtectionEnabled": self.deletion_protection,
        });
        let indexes: Vec<Value> = self.indexes.iter().map(|(name, index)| index.input(name)).collect();
        if let Some(members) = input.as_object_mut()
            && !indexes.is_empty()
        {
            members.insert("GlobalSecondaryIndexes".to_owned(), indexes.into());
        }
        input
    }
}

impl Index {
    fn input(&self, name: &str) -> Value {
        let projection = if self.included.is_empty() {
            json!({"ProjectionType": self.projection})
        } else {
            json!({"ProjectionType": self.projection, "NonKeyAttributes": self.included})
        };
        json!({"IndexName": name, "KeySchema": self.key.schema(), "Projection": projection})
    }
}

impl Rule {
    /// The input of `PutRule`.
    #[must_use]
    pub fn put_rule_input(&self) -> Value {
        let state = if self.enabled { "ENABLED" } else { "DISABLED" };
        without_nulls(json!({
            "Name": self.name,
            "EventPattern": self.pattern.as_ref().map(Value::to_string),
            "ScheduleExpression": self.schedule,
            "Description": self.description,
            "State": state,
        }))
    }

    /// The input of `PutTargets`.
    #[must_use]
    pub fn put_targets_input(&self) -> Value {
        let targets: Vec<Value> = self.targets.iter().map(Target::input).collect();
        json!({"Rule": self.name, "Targets": targets})
    }
}

impl Target {
    /// The name of the role that calls it.
    #[must_use]
    pub fn role(&self) -> Option<&str> {
        self.role_arn.as_deref().and_then(role_name)
    }

    fn input(&self) -> Value {
        let id = Some(&self.id).filter(|id| !id.is_empty());
        let retry = without_nulls(json!({
            "MaximumRetryAttempts": self.maximum_retry_attempts,
            "MaximumEventAgeInSeconds": self.maximum_event_age_seconds,
        }));
        let retry = Some(retry).filter(|retry| retry.as_object().is_some_and(|members| !members.is_empty()));
        without_nulls(json!({
            "Id": id,
            "Arn": self.arn,
            "RoleArn": self.role_arn,
            "Input": self.input,
            "InputPath": self.input_path,
            "InputTransformer": self.input_transformer,
            "DeadLetterConfig": self.dead_letter_arn.as_ref().map(|arn| json!({"Arn": arn})),
            "RetryPolicy": retry,
        }))
    }
}

impl Schedule {
    /// The ARN of its group, which EventBridge Scheduler names as `aws:SourceArn` when it assumes a role.
    /// See <https://docs.aws.amazon.com/scheduler/latest/UserGuide/cross-service-confused-deputy-prevention.html>.
    #[must_use]
    pub fn group_arn(&self) -> String {
        let group = self.arn.rsplit_once('/').map_or(self.arn.as_str(), |(group, _)| group);
        group.replace(":schedule/", ":schedule-group/")
    }

    /// The input of `CreateSchedule`.
    #[must_use]
    pub fn create_schedule_input(&self) -> Value {
        let window = match self.flexible_minutes {
            None => json!({"Mode": "OFF"}),
            Some(minutes) => json!({"Mode": "FLEXIBLE", "MaximumWindowInMinutes": minutes}),
        };
        without_nulls(json!({
            "Name": self.name,
            "GroupName": self.group,
            "ScheduleExpression": self.expression,
            "ScheduleExpressionTimezone": self.time_zone,
            "FlexibleTimeWindow": window,
            "Description": self.description,
            "State": if self.enabled { "ENABLED" } else { "DISABLED" },
            "Target": self.target.input(),
        }))
    }
}

fn without_nulls(mut value: Value) -> Value {
    if let Some(members) = value.as_object_mut() {
        members.retain(|_, member| !member.is_null());
    }
    value
}
