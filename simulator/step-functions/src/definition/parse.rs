//! From JSON to types. What the fields say to each other is checked afterwards.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::fields::Fields;
use super::{
    Action, Catcher, Choice, Definition, DefinitionError, Fail, Flow, Kind, Map, Parallel, Recovery, Resource, Retrier,
    Rule, State, Task, Transition, Until,
};
use crate::names::NAME_LENGTH;

/// The longest `MaxDelaySeconds`.
const MAX_DELAY_SECONDS: u64 = 31_622_400;
/// The longest wait or time-out, in seconds.
const MAX_SECONDS: u64 = 99_999_999;

pub(super) fn definition(text: &str) -> Result<Definition, DefinitionError> {
    let value: Value = serde_json::from_str(text)
        .map_err(|error| DefinitionError::invalid("definition", format!("not JSON: {error}")))?;
    let mut fields = Fields::new("definition", value)?;
    query_language(&mut fields, true)?;
    if fields.text("Version")?.is_some_and(|version| version != "1.0") {
        return Err(fields.invalid("field `Version` must be `1.0`"));
    }
    let comment = fields.text("Comment")?;
    let timeout_seconds = fields.integer("TimeoutSeconds", 1)?;
    if timeout_seconds.is_some_and(|seconds| seconds > MAX_SECONDS) {
        return Err(fields.invalid(format!("field `TimeoutSeconds` must be at most {MAX_SECONDS}")));
    }
    let flow = flow(&mut fields)?;
    fields.finish()?;
    Ok(Definition {
        comment,
        timeout_seconds,
        flow: Arc::new(flow),
    })
}

fn query_language(fields: &mut Fields, top_level: bool) -> Result<(), DefinitionError> {
    match fields.text("QueryLanguage")?.as_deref() {
        Some("JSONata") => Ok(()),
        None if !top_level => Ok(()),
        None | Some("JSONPath") => Err(fields.unsupported("only `\"QueryLanguage\": \"JSONata\"` is supported")),
        Some(other) => Err(fields.invalid(format!("`{other}` is not a query language"))),
    }
}

fn flow(fields: &mut Fields) -> Result<Flow, DefinitionError> {
    let start_at = fields.required_text("StartAt")?;
    let Value::Object(members) = fields.required("States")? else {
        return Err(fields.invalid("field `States` must be an object"));
    };
    let states = members
        .into_iter()
        .map(|(name, value)| {
            let length = name.chars().count();
            if !(1..=NAME_LENGTH).contains(&length) {
                return Err(fields.invalid(format!(
                    "the name of state `{name}` must have 1 to {NAME_LENGTH} characters"
                )));
            }
            let state = state(&name, value)?;
            Ok((name, Arc::new(state)))
        })
        .collect::<Result<BTreeMap<_, _>, _>>()?;
    Ok(Flow { start_at, states })
}

fn state(name: &str, value: Value) -> Result<State, DefinitionError> {
    let mut fields = Fields::new(format!("state `{name}`"), value)?;
    query_language(&mut fields, false)?;
    let comment = fields.text("Comment")?;
    let type_name = fields.required_text("Type")?;
    let kind = match type_name.as_str() {
        "Task" => Kind::Task(task(&mut fields)?),
        "Choice" => Kind::Choice(choice(&mut fields)?),
        "Wait" => Kind::Wait(until(&mut fields)?),
        "Pass" => Kind::Pass,
        "Succeed" => Kind::Succeed,
        "Fail" => Kind::Fail(Fail {
            error: fields.template("Error")?,
            cause: fields.template("Cause")?,
        }),
        "Map" => Kind::Map(map(&mut fields)?),
        "Parallel" => Kind::Parallel(parallel(&mut fields)?),
        other => return Err(fields.unsupported(format!("state type `{other}` is not supported"))),
    };
    let transition = match kind {
        Kind::Choice(_) | Kind::Succeed | Kind::Fail(_) => None,
        _ => Some(transition(&mut fields)?),
    };
    let recovery = match kind {
        Kind::Task(_) | Kind::Map(_) | Kind::Parallel(_) => recovery(&mut fields)?,
        _ => Recovery::default(),
    };
    let output = if matches!(kind, Kind::Fail(_)) {
        None
    } else {
        fields.template("Output")?
    };
    let assign = if matches!(kind, Kind::Fail(_) | Kind::Succeed) {
        BTreeMap::new()
    } else {
        fields.assign()?
    };
    fields.finish()?;
    Ok(State {
        comment,
        assign,
        output,
        transition,
        recovery,
        kind,
    })
}

fn transition(fields: &mut Fields) -> Result<Transition, DefinitionError> {
    match (fields.text("Next")?, fields.take("End")) {
        (Some(next), None | Some(Value::Bool(false))) => Ok(Transition::Next(next)),
        (None, Some(Value::Bool(true))) => Ok(Transition::End),
        _ => Err(fields.invalid("must have either `Next` or `\"End\": true`")),
    }
}

fn task(fields: &mut Fields) -> Result<Task, DefinitionError> {
    let resource = fields.required_text("Resource")?;
    let resource = self::resource(&resource)
        .ok_or_else(|| fields.unsupported(format!("resource `{resource}` is not supported")))?;
    Ok(Task {
        resource,
        arguments: fields.template("Arguments")?,
        timeout_seconds: fields.quantity("TimeoutSeconds", 1)?,
        heartbeat_seconds: fields.quantity("HeartbeatSeconds", 1)?,
    })
}

fn resource(arn: &str) -> Option<Resource> {
    const SUFFIX: &str = ".waitForTaskToken";
    let (base, wait_for_task_token) = match arn.strip_suffix(SUFFIX) {
        Some(base) => (base, true),
        None => (arn, false),
    };
    let action = match base {
        "arn:aws:states:::lambda:invoke" => Action::LambdaInvoke,
        "arn:aws:states:::states:startExecution" => Action::StartExecution,
        "arn:aws:states:::events:putEvents" => Action::PutEvents,
        function
            if !wait_for_task_token && function.starts_with("arn:aws:lambda:") && function.contains(":function:") =>
        {
            Action::LambdaFunction(function.to_owned())
        }
        _ => return None,
    };
    Some(Resource {
        action,
        wait_for_task_token,
    })
}

fn choice(fields: &mut Fields) -> Result<Choice, DefinitionError> {
    let rules = fields.list("Choices")?.unwrap_or_default();
    if rules.is_empty() {
        return Err(fields.invalid("field `Choices` must have at least one rule"));
    }
    let rules = rules
        .into_iter()
        .enumerate()
        .map(|(index, value)| {
            let mut rule = Fields::new(format!("{}, rule {}", fields.location(), index + 1), value)?;
            rule.text("Comment")?;
            let condition = rule.condition("Condition")?;
            let next = rule.required_text("Next")?;
            let assign = rule.assign()?;
            let output = rule.template("Output")?;
            rule.finish()?;
            Ok(Rule {
                condition,
                next,
                assign,
                output,
            })
        })
        .collect::<Result<_, _>>()?;
    Ok(Choice {
        rules,
        default: fields.text("Default")?,
    })
}

fn until(fields: &mut Fields) -> Result<Until, DefinitionError> {
    match (fields.quantity("Seconds", 0)?, fields.template("Timestamp")?) {
        (Some(seconds), None) => Ok(Until::Seconds(seconds)),
        (None, Some(timestamp)) => Ok(Until::Timestamp(timestamp)),
        _ => Err(fields.invalid("must have either `Seconds` or `Timestamp`")),
    }
}

fn map(fields: &mut Fields) -> Result<Map, DefinitionError> {
    let processor = fields.required("ItemProcessor")?;
    let mut processor = Fields::new(format!("{}, item processor", fields.location()), processor)?;
    if let Some(config) = processor.take("ProcessorConfig") {
        let mut config = Fields::new(processor.location(), config)?;
        if config.text("Mode")?.is_some_and(|mode| mode != "INLINE") {
            return Err(config.unsupported("only the mode `INLINE` is supported"));
        }
        config.finish()?;
    }
    processor.text("Comment")?;
    let flow = flow(&mut processor)?;
    processor.finish()?;
    Ok(Map {
        items: fields.template("Items")?,
        item_selector: fields.template("ItemSelector")?,
        processor: Arc::new(flow),
        max_concurrency: fields.quantity("MaxConcurrency", 0)?,
    })
}

fn parallel(fields: &mut Fields) -> Result<Parallel, DefinitionError> {
    let branches = fields.list("Branches")?.unwrap_or_default();
    if branches.is_empty() {
        return Err(fields.invalid("field `Branches` must have at least one branch"));
    }
    let branches = branches
        .into_iter()
        .enumerate()
        .map(|(index, value)| {
            let mut branch = Fields::new(format!("{}, branch {}", fields.location(), index + 1), value)?;
            branch.text("Comment")?;
            let flow = flow(&mut branch)?;
            branch.finish()?;
            Ok(Arc::new(flow))
        })
        .collect::<Result<_, _>>()?;
    Ok(Parallel {
        arguments: fields.template("Arguments")?,
        branches,
    })
}

fn recovery(fields: &mut Fields) -> Result<Recovery, DefinitionError> {
    let retry = fields.list("Retry")?.unwrap_or_default();
    let catch = fields.list("Catch")?.unwrap_or_default();
    let location = fields.location();
    Ok(Recovery {
        retry: retry
            .into_iter()
            .enumerate()
            .map(|(index, value)| retrier(Fields::new(format!("{location}, retrier {}", index + 1), value)?))
            .collect::<Result<_, _>>()?,
        catch: catch
            .into_iter()
            .enumerate()
            .map(|(index, value)| catcher(Fields::new(format!("{location}, catcher {}", index + 1), value)?))
            .collect::<Result<_, _>>()?,
    })
}

fn retrier(mut fields: Fields) -> Result<Retrier, DefinitionError> {
    fields.text("Comment")?;
    let error_equals = error_equals(&mut fields)?;
    let backoff_rate = fields.number("BackoffRate")?.unwrap_or(2.0);
    if !(backoff_rate >= 1.0 && backoff_rate.is_finite()) {
        return Err(fields.invalid("field `BackoffRate` must be at least 1.0"));
    }
    let jitter = match fields.text("JitterStrategy")?.as_deref() {
        None | Some("NONE") => false,
        Some("FULL") => true,
        Some(other) => {
            return Err(fields.invalid(format!("`{other}` is not a jitter strategy: write `FULL` or `NONE`")));
        }
    };
    let retrier = Retrier {
        error_equals,
        interval_seconds: fields.integer("IntervalSeconds", 1)?.unwrap_or(1),
        max_attempts: fields.integer("MaxAttempts", 0)?.unwrap_or(3),
        backoff_rate,
        max_delay_seconds: fields.integer("MaxDelaySeconds", 1)?,
        jitter,
    };
    if retrier.interval_seconds > MAX_SECONDS || retrier.max_attempts > MAX_SECONDS {
        return Err(fields.invalid(format!(
            "fields `IntervalSeconds` and `MaxAttempts` must be at most {MAX_SECONDS}"
        )));
    }
    if let Some(delay) = retrier.max_delay_seconds
        && !(retrier.interval_seconds + 1..=MAX_DELAY_SECONDS).contains(&delay)
    {
        return Err(fields.invalid(format!(
            "field `MaxDelaySeconds` must be greater than `IntervalSeconds` and at most {MAX_DELAY_SECONDS}"
        )));
    }
    fields.finish()?;
    Ok(retrier)
}

fn catcher(mut fields: Fields) -> Result<Catcher, DefinitionError> {
    fields.text("Comment")?;
    let catcher = Catcher {
        error_equals: error_equals(&mut fields)?,
        next: fields.required_text("Next")?,
        assign: fields.assign()?,
        output: fields.template("Output")?,
    };
    fields.finish()?;
    Ok(catcher)
}

fn error_equals(fields: &mut Fields) -> Result<Vec<String>, DefinitionError> {
    let names: Vec<String> = fields
        .list("ErrorEquals")?
        .unwrap_or_default()
        .into_iter()
        .map(|name| match name {
            Value::String(name) => Ok(name),
            _ => Err(fields.invalid("field `ErrorEquals` must hold strings")),
        })
        .collect::<Result<_, _>>()?;
    if names.is_empty() {
        return Err(fields.invalid("field `ErrorEquals` must name at least one error"));
    }
    Ok(names)
}
