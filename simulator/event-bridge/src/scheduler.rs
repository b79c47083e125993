//! EventBridge Scheduler: `rate(...)` and `at(...)` schedules.
//!
//! A schedule runs within a minute after it is due (within its flexible window when it has one), at least once. A rate
//! counts from the moment the schedule was created or updated. A spent one-time schedule stays unless
//! `ActionAfterCompletion` is `DELETE`.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use simulator_kernel::{ApiError, Authorization, CallId, Kernel, Reply, Request, Service, TimerId};

use crate::bus::scheduled_event;
use crate::courier::{Courier, Parcel, Undelivered};
use crate::expression::Expression;
use crate::input::{check_name, parse, validation};
use crate::target::{Aim, DeadLetterConfig, Destination, RetryPolicy, queue_url, role_principal};

/// How late a schedule without a flexible window may run.
const PRECISION_SECONDS: u32 = 60;

/// EventBridge Scheduler.
#[derive(Debug)]
pub struct Scheduler {
    schedules: BTreeMap<Key, Schedule>,
    /// The next run of every schedule: the moment it is due, which the run may follow by the precision.
    due: BTreeMap<TimerId, (Key, Timestamp)>,
    courier: Courier,
}

/// Group and name.
type Key = (String, String);

#[derive(Debug)]
struct Schedule {
    arn: String,
    definition: Definition,
    checked: Checked,
    created: Timestamp,
    modified: Timestamp,
}

/// Everything that can be asked of it.
const OPERATIONS: [&str; 5] = [
    "CreateSchedule",
    "UpdateSchedule",
    "GetSchedule",
    "DeleteSchedule",
    "ListSchedules",
];

/// What the texts of a definition mean.
#[derive(Debug)]
struct Checked {
    expression: Expression,
    zone: TimeZone,
    aim: Aim,
}

/// The body of `CreateSchedule` and `UpdateSchedule`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Definition {
    name: String,
    #[serde(default = "default_group")]
    group_name: String,
    schedule_expression: String,
    #[serde(default = "utc")]
    schedule_expression_timezone: String,
    flexible_time_window: FlexibleTimeWindow,
    target: ScheduleTarget,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(default)]
    state: State,
    #[serde(default)]
    action_after_completion: ActionAfterCompletion,
    #[serde(skip_serializing)]
    client_token: Option<String>,
}

fn default_group() -> String {
    "default".to_owned()
}

fn utc() -> String {
    "UTC".to_owned()
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct FlexibleTimeWindow {
    mode: Mode,
    #[serde(skip_serializing_if = "Option::is_none")]
    maximum_window_in_minutes: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Mode {
    Off,
    Flexible,
}

#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum State {
    #[default]
    Enabled,
    Disabled,
}

#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum ActionAfterCompletion {
    #[default]
    None,
    Delete,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ScheduleTarget {
    arn: String,
    role_arn: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dead_letter_config: Option<DeadLetterConfig>,
    #[serde(default)]
    retry_policy: RetryPolicy,
}

/// `GetSchedule` and `DeleteSchedule`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct NamedSchedule {
    name: String,
    #[serde(default = "default_group")]
    group_name: String,
    /// Deleting is repeatable without it.
    #[serde(rename = "ClientToken")]
    _client_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ListSchedules {
    group_name: Option<String>,
    name_prefix: Option<String>,
    state: Option<State>,
}

impl Default for Scheduler {
    fn default() -> Self {
        Self::new()
    }
}

impl Scheduler {
    const NAME: &str = "scheduler";
    const PRINCIPAL: &str = "scheduler.amazonaws.com";

    /// A scheduler without schedules.
    #[must_use]
    pub fn new() -> Self {
        Self {
            schedules: BTreeMap::new(),
            due: BTreeMap::new(),
            courier: Courier::new(Self::NAME),
        }
    }

    /// The events that targets did not receive, in the order delivery ended.
    #[must_use]
    pub fn undelivered(&self) -> &[Undelivered] {
        self.courier.undelivered()
    }

    fn operate(&mut self, request: &Request, kernel: &mut Kernel) -> Result<Value, ApiError> {
        let (operation, input) = (request.operation.as_str(), &request.input);
        match operation {
            "CreateSchedule" => self.create(parse(operation, input)?, kernel),
            "UpdateSchedule" => self.update(parse(operation, input)?, kernel),
            "GetSchedule" => self.get(&parse(operation, input)?),
            "DeleteSchedule" => self.delete(parse(operation, input)?),
            "ListSchedules" => Ok(self.list(&parse(operation, input)?)),
            _ => Err(ApiError::unknown_operation(Self::NAME, operation, &OPERATIONS)),
        }
    }

    fn create(&mut self, definition: Definition, kernel: &mut Kernel) -> Result<Value, ApiError> {
        if let Some(existing) = self.schedules.get(&definition.key()) {
            let token = &existing.definition.client_token;
            if token.is_some() && *token == definition.client_token {
                return Ok(json!({"ScheduleArn": existing.arn}));
            }
            let message = format!("Schedule {} already exists.", definition.name);
            return Err(ApiError::client("ConflictException", message));
        }
        self.put(definition, kernel.now(), kernel)
    }

    fn update(&mut self, definition: Definition, kernel: &mut Kernel) -> Result<Value, ApiError> {
        let key = definition.key();
        let created = self.schedules.get(&key).ok_or_else(|| no_schedule(&key.1))?.created;
        self.put(definition, created, kernel)
    }

    fn put(&mut self, definition: Definition, created: Timestamp, kernel: &mut Kernel) -> Result<Value, ApiError> {
        let checked = definition.check(kernel)?;
        let now = kernel.now();
        let Some(due) = checked.expression.next(now, &checked.zone) else {
            return Err(validation(format!(
                "Invalid Schedule Expression `{}`: it is over",
                definition.schedule_expression
            )));
        };
        let key = definition.key();
        let arn = kernel.arn("scheduler", &format!("schedule/{}/{}", key.0, key.1));
        self.due.retain(|_, (scheduled, _)| *scheduled != key);
        if definition.state == State::Enabled {
            self.set_due(&key, due, &definition, kernel);
        }
        let schedule = Schedule {
            arn: arn.clone(),
            definition,
            checked,
            created,
            modified: now,
        };
        self.schedules.insert(key, schedule);
        Ok(json!({"ScheduleArn": arn}))
    }

    fn set_due(&mut self, key: &Key, due: Timestamp, definition: &Definition, kernel: &mut Kernel) {
        let window = definition
            .flexible_time_window
            .maximum_window_in_minutes
            .map_or(PRECISION_SECONDS, |minutes| minutes * 60);
        let late = SignedDuration::from_secs(kernel.rng().i64(0..i64::from(window)));
        let timer = kernel.wake_at(due.saturating_add(late).unwrap_or(Timestamp::MAX), Self::NAME);
        self.due.insert(timer, (key.clone(), due));
    }

    fn get(&self, input: &NamedSchedule) -> Result<Value, ApiError> {
        let key = (input.group_name.clone(), input.name.clone());
        let schedule = self.schedules.get(&key).ok_or_else(|| no_schedule(&input.name))?;
        let mut answer = serde_json::to_value(&schedule.definition)
            .map_err(|error| ApiError::server("InternalServerException", error.to_string()))?;
        if let Some(members) = answer.as_object_mut() {
            members.extend(schedule.identity());
        }
        Ok(answer)
    }

    fn delete(&mut self, input: NamedSchedule) -> Result<Value, ApiError> {
        let key = (input.group_name, input.name);
        self.schedules.remove(&key).ok_or_else(|| no_schedule(&key.1))?;
        self.due.retain(|_, (scheduled, _)| *scheduled != key);
        Ok(json!({}))
    }

    fn list(&self, input: &ListSchedules) -> Value {
        let schedules: Vec<Value> = self
            .schedules
            .values()
            .filter(|schedule| {
                let definition = &schedule.definition;
                input
                    .group_name
                    .as_ref()
                    .is_none_or(|group| *group == definition.group_name)
                    && input
                        .name_prefix
                        .as_ref()
                        .is_none_or(|prefix| definition.name.starts_with(prefix))
                    && input.state.is_none_or(|state| state == definition.state)
            })
            .map(|schedule| {
                let definition = &schedule.definition;
                let mut summary = schedule.identity();
                summary.insert("Name".to_owned(), definition.name.clone().into());
                summary.insert("GroupName".to_owned(), definition.group_name.clone().into());
                summary.insert("State".to_owned(), json!(definition.state));
                summary.insert("Target".to_owned(), json!({"Arn": definition.target.arn}));
                Value::Object(summary)
            })
            .collect();
        json!({"Schedules": schedules})
    }

    /// Runs a schedule that is due, and sets its next run or ends it.
    fn fire(&mut self, key: &Key, due: Timestamp, kernel: &mut Kernel) {
        let Some(schedule) = self.schedules.get(key) else {
            return;
        };
        let definition = schedule.definition.clone();
        let (parcel, unreadable) = schedule.parcel(due, kernel);
        let next = match schedule.checked.expression {
            Expression::Rate(_) => schedule.checked.expression.next(due, &schedule.checked.zone),
            Expression::At(_) => None,
        };
        match next {
            Some(next) => self.set_due(key, next, &definition, kernel),
            None if definition.action_after_completion == ActionAfterCompletion::Delete => {
                self.schedules.remove(key);
            }
            None => {}
        }
        match unreadable {
            None => self.courier.send(parcel, kernel),
            Some(reason) => self.courier.give_up(&parcel, "INVALID_JSON", &reason, None, kernel),
        }
    }
}

impl Definition {
    fn key(&self) -> Key {
        (self.group_name.clone(), self.name.clone())
    }

    fn check(&self, kernel: &Kernel) -> Result<Checked, ApiError> {
        check_name("Name", &self.name)?;
        check_name("GroupName", &self.group_name)?;
        self.flexible_time_window.check()?;
        let aim = Aim {
            destination: Destination::of(&self.target.arn)?,
            principal: role_principal(&self.target.role_arn, kernel)?,
        };
        self.target.retry_policy.check()?;
        if let Some(queue) = self.target.dead_letter_queue() {
            queue_url(queue)?;
        }
        let zone = TimeZone::get(&self.schedule_expression_timezone)
            .map_err(|_| validation(format!("Invalid time zone `{}`", self.schedule_expression_timezone)))?;
        let expression = Expression::parse(&self.schedule_expression)?;
        Ok(Checked { expression, zone, aim })
    }
}

impl FlexibleTimeWindow {
    fn check(&self) -> Result<(), ApiError> {
        match (self.mode, self.maximum_window_in_minutes) {
            (Mode::Off, None) | (Mode::Flexible, Some(1..=1440)) => Ok(()),
            _ => Err(validation(
                "FlexibleTimeWindow is OFF, or FLEXIBLE with 1 to 1440 MaximumWindowInMinutes",
            )),
        }
    }
}

impl ScheduleTarget {
    fn dead_letter_queue(&self) -> Option<&str> {
        self.dead_letter_config.as_ref()?.arn.as_deref()
    }
}

impl Schedule {
    fn identity(&self) -> serde_json::Map<String, Value> {
        let mut members = serde_json::Map::new();
        members.insert("Arn".to_owned(), self.arn.clone().into());
        members.insert("CreationDate".to_owned(), self.created.as_second().into());
        members.insert("LastModificationDate".to_owned(), self.modified.as_second().into());
        members
    }

    /// What a run sends, with the reason where the input with its context attributes is no JSON.
    fn parcel(&self, due: Timestamp, kernel: &mut Kernel) -> (Parcel, Option<String>) {
        let target = &self.definition.target;
        let Aim { destination, principal } = self.checked.aim.clone();
        let (payload, unreadable) = match &target.input {
            None => (scheduled_event(&self.arn, "aws.scheduler", &"{}".into(), kernel), None),
            Some(input) => {
                let text = self.with_context(input, due, kernel);
                match serde_json::from_str(&text) {
                    Ok(payload) => (payload, None),
                    Err(error) => (Value::Null, Some(format!("the input is not JSON ({error}): {text}"))),
                }
            }
        };
        let parcel = Parcel {
            origin: self.arn.clone(),
            target: target.arn.clone(),
            destination,
            principal: principal.clone(),
            event: payload.to_string(),
            payload,
            dead_letter_queue: target.dead_letter_queue().map(str::to_owned),
            dead_letter_principal: principal,
            policy: target.retry_policy.clone(),
            since: kernel.now(),
            retries: 0,
        };
        (parcel, unreadable)
    }

    /// Fills in the context attributes that an input may name.
    fn with_context(&self, input: &str, due: Timestamp, kernel: &mut Kernel) -> String {
        if !input.contains("<aws.scheduler.") {
            return input.to_owned();
        }
        input
            .replace("<aws.scheduler.schedule-arn>", &self.arn)
            .replace(
                "<aws.scheduler.scheduled-time>",
                &due.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            )
            .replace("<aws.scheduler.execution-id>", &kernel.uuid())
            .replace("<aws.scheduler.attempt-number>", "1")
    }
}

fn no_schedule(name: &str) -> ApiError {
    ApiError::client("ResourceNotFoundException", format!("Schedule {name} does not exist."))
}

impl Service for Scheduler {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn authorizations(&self, request: &Request, kernel: &Kernel) -> Vec<Authorization> {
        let text = |pointer: &str| request.input.pointer(pointer).and_then(Value::as_str);
        let action = format!("scheduler:{}", request.operation);
        let group = text("/GroupName").unwrap_or("default");
        let arn = kernel.arn(
            "scheduler",
            &format!("schedule/{group}/{}", text("/Name").unwrap_or_default()),
        );
        match request.operation.as_str() {
            "GetSchedule" | "DeleteSchedule" => vec![Authorization::new(action, arn)],
            "CreateSchedule" | "UpdateSchedule" => {
                let role = text("/Target/RoleArn").unwrap_or("*");
                let pass = Authorization::new("iam:PassRole", role).with("iam:PassedToService", Self::PRINCIPAL);
                vec![Authorization::new(action, arn), pass]
            }
            "ListSchedules" => vec![Authorization::new(action, "*")],
            _ => Vec::new(),
        }
    }

    fn call(&mut self, request: &Request, kernel: &mut Kernel) -> Reply {
        Reply::Now(self.operate(request, kernel))
    }

    fn wake(&mut self, timer: TimerId, kernel: &mut Kernel) {
        match self.due.remove(&timer) {
            Some((key, due)) => self.fire(&key, due, kernel),
            None => self.courier.wake(timer, kernel),
        }
    }

    fn replied(&mut self, call: CallId, result: Result<Value, ApiError>, kernel: &mut Kernel) {
        self.courier.replied(call, result, kernel);
    }
}
