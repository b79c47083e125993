//! The operations of the EventBridge API.

use serde_json::{Value, json};
use simulator_kernel::{ApiError, Authorization, INTERNAL, Kernel, Request};

use super::requests::{
    DeleteRule, Entry, ListBuses, ListRuleNamesByTarget, ListRules, ListTargetsByRule, NamedBus, NamedRule, PutEvents,
    PutRule, PutTargets, RemoveTargets, TestEventPattern,
};
use super::{EventBridge, Rule, Trigger};
use crate::expression::Expression;
use crate::input::{check_name, parse, validation};
use crate::pattern::{Pattern, PatternError};
use crate::target::FORWARD;

const BUS: &str = "default";
const MAXIMUM_TARGETS: usize = 5;
const MAXIMUM_RULES: usize = 300;
const MAXIMUM_PATTERN_CHARACTERS: usize = 2048;
const MAXIMUM_ENTRIES: usize = 10;
const MAXIMUM_ENTRIES_BYTES: usize = 256 * 1024;

impl From<PatternError> for ApiError {
    fn from(error: PatternError) -> Self {
        Self::client("InvalidEventPatternException", error.to_string())
    }
}

/// Everything that can be asked of it.
const OPERATIONS: [&str; 14] = [
    "PutRule",
    "DescribeRule",
    "ListRules",
    "DeleteRule",
    "EnableRule",
    "DisableRule",
    "PutTargets",
    "ListTargetsByRule",
    "ListRuleNamesByTarget",
    "RemoveTargets",
    "PutEvents",
    "TestEventPattern",
    "DescribeEventBus",
    "ListEventBuses",
];

/// The permissions of a request.
pub(super) fn authorizations(request: &Request, kernel: &Kernel) -> Vec<Authorization> {
    let text = |member: &str| request.input.get(member).and_then(Value::as_str).unwrap_or_default();
    let action = format!("events:{}", request.operation);
    let rule = |name: &str| kernel.arn("events", &format!("rule/{name}"));
    match request.operation.as_str() {
        "PutRule" | "DescribeRule" | "DeleteRule" | "EnableRule" | "DisableRule" => {
            vec![Authorization::new(action, rule(text("Name")))]
        }
        "ListTargetsByRule" | "RemoveTargets" => vec![Authorization::new(action, rule(text("Rule")))],
        "PutTargets" => {
            let targets = request
                .input
                .get("Targets")
                .and_then(Value::as_array)
                .cloned()
                .unwrap_or_default();
            let roles = targets
                .iter()
                .filter_map(|target| target.get("RoleArn")?.as_str())
                .map(|role| {
                    Authorization::new("iam:PassRole", role).with("iam:PassedToService", EventBridge::PRINCIPAL)
                });
            std::iter::once(Authorization::new(action, rule(text("Rule"))))
                .chain(roles)
                .collect()
        }
        "PutEvents" => {
            let entries = request
                .input
                .get("Entries")
                .and_then(Value::as_array)
                .cloned()
                .unwrap_or_default();
            let bus = Authorization::new(action, kernel.arn("events", &format!("event-bus/{BUS}")));
            let sources = entries.iter().filter_map(|entry| entry.get("Source")?.as_str());
            vec![sources.fold(bus, |bus, source| bus.with("events:source", source))]
        }
        operation if is_forward(operation) => {
            let bus = Authorization::new("events:PutEvents", kernel.arn("events", &format!("event-bus/{BUS}")));
            vec![
                bus.with("events:source", text("source"))
                    .with("events:detail-type", text("detail-type")),
            ]
        }
        "DescribeEventBus" => {
            let bus = kernel.arn("events", &format!("event-bus/{BUS}"));
            vec![Authorization::new(action, bus)]
        }
        "ListRules" | "ListRuleNamesByTarget" | "ListEventBuses" | "TestEventPattern" => {
            vec![Authorization::new(action, "*")]
        }
        _ => Vec::new(),
    }
}

/// The one bus.
fn bus(kernel: &Kernel) -> Value {
    json!({"Name": BUS, "Arn": kernel.arn("events", &format!("event-bus/{BUS}"))})
}

impl EventBridge {
    /// Carries out one operation.
    pub(super) fn operate(&mut self, request: &Request, kernel: &mut Kernel) -> Result<Value, ApiError> {
        let (operation, input) = (request.operation.as_str(), &request.input);
        match operation {
            "PutRule" => self.put_rule(parse(operation, input)?, kernel),
            "DescribeRule" => self.describe_rule(&parse(operation, input)?),
            "ListRules" => self.list_rules(&parse(operation, input)?),
            "DeleteRule" => self.delete_rule(&parse(operation, input)?),
            "EnableRule" => self.set_enabled(&parse(operation, input)?, true, kernel),
            "DisableRule" => self.set_enabled(&parse(operation, input)?, false, kernel),
            "PutTargets" => self.put_targets(parse(operation, input)?, kernel),
            "ListTargetsByRule" => self.list_targets(&parse(operation, input)?),
            "ListRuleNamesByTarget" => self.list_rules_of_target(&parse(operation, input)?),
            "DescribeEventBus" => {
                let named: NamedBus = parse(operation, input)?;
                check_bus(named.name.as_deref())?;
                Ok(bus(kernel))
            }
            "ListEventBuses" => {
                let listed: ListBuses = parse(operation, input)?;
                let is_meant = listed.name_prefix.is_none_or(|prefix| BUS.starts_with(&prefix));
                let buses: Vec<Value> = is_meant.then(|| bus(kernel)).into_iter().collect();
                Ok(json!({"EventBuses": buses}))
            }
            "RemoveTargets" => self.remove_targets(&parse(operation, input)?),
            "PutEvents" => self.put_events(&parse(operation, input)?, kernel),
            "TestEventPattern" => test_event_pattern(&parse(operation, input)?),
            _ if is_forward(operation) => {
                self.arrive(input, kernel);
                Ok(json!({}))
            }
            _ => Err(ApiError::unknown_operation("events", operation, &OPERATIONS)),
        }
    }

    fn put_rule(&mut self, input: PutRule, kernel: &mut Kernel) -> Result<Value, ApiError> {
        check_bus(input.event_bus_name.as_deref())?;
        check_name("Name", &input.name)?;
        let enabled = match input.state.as_str() {
            "ENABLED" => true,
            "DISABLED" => false,
            state => return Err(ApiError::unsupported(format!("the rule state `{state}`"))),
        };
        let trigger = trigger(input.event_pattern, input.schedule_expression)?;
        if !self.rules.contains_key(&input.name) && self.rules.len() >= MAXIMUM_RULES {
            return Err(limit_exceeded());
        }
        let arn = kernel.arn("events", &format!("rule/{}", input.name));
        let targets = self
            .rules
            .remove(&input.name)
            .map(|rule| rule.targets)
            .unwrap_or_default();
        let rule = Rule {
            arn: arn.clone(),
            description: input.description,
            enabled,
            trigger,
            targets,
        };
        self.rules.insert(input.name.clone(), rule);
        self.set_tick(&input.name, kernel);
        Ok(json!({"RuleArn": arn}))
    }

    fn describe_rule(&self, input: &NamedRule) -> Result<Value, ApiError> {
        check_bus(input.event_bus_name.as_deref())?;
        let rule = self.rules.get(&input.name).ok_or_else(|| no_rule(&input.name))?;
        Ok(rule.description(&input.name))
    }

    fn list_rules(&self, input: &ListRules) -> Result<Value, ApiError> {
        check_bus(input.event_bus_name.as_deref())?;
        let prefix = input.name_prefix.as_deref().unwrap_or_default();
        let rules: Vec<Value> = self
            .rules
            .iter()
            .filter(|(name, _)| name.starts_with(prefix))
            .map(|(name, rule)| rule.description(name))
            .collect();
        Ok(json!({"Rules": rules}))
    }

    fn list_rules_of_target(&self, input: &ListRuleNamesByTarget) -> Result<Value, ApiError> {
        check_bus(input.event_bus_name.as_deref())?;
        let aims_at = |rule: &Rule| rule.targets.values().any(|(target, _)| target.arn == input.target_arn);
        let rules = self.rules.iter().filter(|(_, rule)| aims_at(rule));
        let names: Vec<&String> = rules.map(|(name, _)| name).collect();
        Ok(json!({"RuleNames": names}))
    }

    fn delete_rule(&mut self, input: &DeleteRule) -> Result<Value, ApiError> {
        check_bus(input.event_bus_name.as_deref())?;
        if self.rules.get(&input.name).is_some_and(|rule| !rule.targets.is_empty()) {
            return Err(validation("Rule can't be deleted since it has targets."));
        }
        self.rules.remove(&input.name);
        self.ticks.retain(|_, name| *name != input.name);
        Ok(json!({}))
    }

    fn set_enabled(&mut self, input: &NamedRule, enabled: bool, kernel: &mut Kernel) -> Result<Value, ApiError> {
        self.rule_mut(&input.name, input.event_bus_name.as_deref())?.enabled = enabled;
        self.set_tick(&input.name, kernel);
        Ok(json!({}))
    }

    fn put_targets(&mut self, input: PutTargets, kernel: &Kernel) -> Result<Value, ApiError> {
        let rule = self.rule_mut(&input.rule, input.event_bus_name.as_deref())?;
        let mut targets = rule.targets.clone();
        for target in input.targets {
            let aim = target.aim(kernel)?;
            targets.insert(target.id.clone(), (target, aim));
        }
        if targets.len() > MAXIMUM_TARGETS {
            return Err(limit_exceeded());
        }
        rule.targets = targets;
        Ok(json!({"FailedEntryCount": 0, "FailedEntries": []}))
    }

    fn list_targets(&self, input: &ListTargetsByRule) -> Result<Value, ApiError> {
        check_bus(input.event_bus_name.as_deref())?;
        let rule = self.rules.get(&input.rule).ok_or_else(|| no_rule(&input.rule))?;
        Ok(json!({"Targets": rule.targets.values().map(|(target, _)| target).collect::<Vec<_>>()}))
    }

    fn remove_targets(&mut self, input: &RemoveTargets) -> Result<Value, ApiError> {
        let rule = self.rule_mut(&input.rule, input.event_bus_name.as_deref())?;
        rule.targets.retain(|id, _| !input.ids.contains(id));
        Ok(json!({"FailedEntryCount": 0, "FailedEntries": []}))
    }

    fn put_events(&mut self, input: &PutEvents, kernel: &mut Kernel) -> Result<Value, ApiError> {
        if input.entries.is_empty() || input.entries.len() > MAXIMUM_ENTRIES {
            return Err(validation(format!(
                "`Entries` must have 1 to {MAXIMUM_ENTRIES} members"
            )));
        }
        if input.entries.iter().map(Entry::size).sum::<usize>() >= MAXIMUM_ENTRIES_BYTES {
            return Err(validation(
                "Total size of the entries in the request is over the limit.",
            ));
        }
        let mut failed = 0;
        let mut entries = Vec::new();
        for entry in &input.entries {
            match entry.event(kernel) {
                Ok(event) => {
                    entries.push(json!({"EventId": event.get("id")}));
                    self.arrive(&event, kernel);
                }
                Err(error) => {
                    failed += 1;
                    entries.push(json!({"ErrorCode": error.code, "ErrorMessage": error.message}));
                }
            }
        }
        Ok(json!({"FailedEntryCount": failed, "Entries": entries}))
    }

    fn rule_mut(&mut self, name: &str, bus: Option<&str>) -> Result<&mut Rule, ApiError> {
        check_bus(bus)?;
        self.rules.get_mut(name).ok_or_else(|| no_rule(name))
    }
}

impl Rule {
    fn description(&self, name: &str) -> Value {
        let mut description = json!({
            "Name": name,
            "Arn": self.arn,
            "State": if self.enabled { "ENABLED" } else { "DISABLED" },
            "EventBusName": BUS,
        });
        let trigger = match &self.trigger {
            Trigger::Pattern { text, .. } => ("EventPattern", text),
            Trigger::Schedule { text, .. } => ("ScheduleExpression", text),
        };
        if let Some(members) = description.as_object_mut() {
            members.insert(trigger.0.to_owned(), trigger.1.clone().into());
            if let Some(text) = &self.description {
                members.insert("Description".to_owned(), text.clone().into());
            }
        }
        description
    }
}

impl Entry {
    /// The size as EventBridge counts it: the time is 14 bytes, the rest as written.
    fn size(&self) -> usize {
        let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let time = if self.time.is_some() { 14 } else { 0 };
        time + length(&self.source)
            + length(&self.detail_type)
            + length(&self.detail)
            + self.resources.iter().map(String::len).sum::<usize>()
    }

    /// The event that the entry describes, or why it is refused while others are taken.
    fn event(&self, kernel: &mut Kernel) -> Result<Value, ApiError> {
        let required = |value: &Option<String>, name: &str| {
            value.clone().filter(|text| !text.is_empty()).ok_or_else(|| {
                ApiError::client(
                    "InvalidArgument",
                    format!("Parameter {name} is not valid. Reason: {name} is a required argument."),
                )
            })
        };
        let source = required(&self.source, "Source")?;
        let detail_type = required(&self.detail_type, "DetailType")?;
        let detail = required(&self.detail, "Detail")?;
        if source.starts_with("aws.") {
            return Err(ApiError::client(
                "NotAuthorizedForSourceException",
                "Not authorized for the source.",
            ));
        }
        check_bus(self.event_bus_name.as_deref())?;
        let detail: Value = serde_json::from_str(&detail)
            .ok()
            .filter(Value::is_object)
            .ok_or_else(|| ApiError::client("MalformedDetail", "Detail is malformed."))?;
        let time = match self.time {
            None => kernel.now(),
            Some(seconds) => jiff::SignedDuration::try_from_secs_f64(seconds)
                .ok()
                .and_then(|since| jiff::Timestamp::from_duration(since).ok())
                .ok_or_else(|| ApiError::client("InvalidArgument", "Parameter Time is not valid."))?,
        };
        Ok(json!({
            "version": "0",
            "id": kernel.uuid(),
            "detail-type": detail_type,
            "source": source,
            "account": kernel.account(),
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            "region": kernel.region(),
            "resources": self.resources,
            "detail": detail,
        }))
    }
}

fn is_forward(operation: &str) -> bool {
    operation.strip_prefix(INTERNAL) == Some(FORWARD)
}

fn trigger(pattern: Option<String>, schedule: Option<String>) -> Result<Trigger, ApiError> {
    match (pattern, schedule) {
        (Some(text), None) => {
            if text.chars().count() > MAXIMUM_PATTERN_CHARACTERS {
                return Err(limit_exceeded());
            }
            let pattern = Pattern::parse(&text)?;
            Ok(Trigger::Pattern { text, pattern })
        }
        (None, Some(text)) => match Expression::parse(&text)? {
            Expression::At(_) => Err(validation("Parameter ScheduleExpression is not valid.")),
            expression @ Expression::Rate(_) => Ok(Trigger::Schedule { text, expression }),
        },
        (Some(_), Some(_)) => Err(ApiError::unsupported(
            "a rule with both `EventPattern` and `ScheduleExpression`",
        )),
        (None, None) => Err(validation(
            "Parameter(s) EventPattern or ScheduleExpression must be specified.",
        )),
    }
}

fn test_event_pattern(input: &TestEventPattern) -> Result<Value, ApiError> {
    let pattern = Pattern::parse(&input.event_pattern)?;
    let event: Value = serde_json::from_str(&input.event)
        .map_err(|error| validation(format!("Parameter Event is not valid. Reason: not JSON: {error}")))?;
    for field in ["id", "account", "source", "time", "region", "resources", "detail-type"] {
        if event.get(field).is_none() {
            return Err(validation(format!(
                "Parameter Event is not valid. Reason: Event must contain {field}."
            )));
        }
    }
    Ok(json!({"Result": pattern.matches(&event)}))
}

fn check_bus(name: Option<&str>) -> Result<(), ApiError> {
    match name {
        None | Some(BUS) => Ok(()),
        Some(arn) if arn.ends_with(":event-bus/default") => Ok(()),
        Some(other) => Err(ApiError::client(
            "ResourceNotFoundException",
            format!("Event bus {other} does not exist."),
        )),
    }
}

fn no_rule(name: &str) -> ApiError {
    ApiError::client(
        "ResourceNotFoundException",
        format!("Rule {name} does not exist on EventBus {BUS}."),
    )
}

fn limit_exceeded() -> ApiError {
    ApiError::client(
        "LimitExceededException",
        "The requested resource exceeds the maximum number allowed.",
    )
}
