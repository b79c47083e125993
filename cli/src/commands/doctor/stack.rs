//! Looks at the pieces of the stack and at what starts them.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::{PointInTimeRecoveryDescription, PointInTimeRecoveryStatus, TimeToLiveStatus};
use esclusa_adapters::client;
use esclusa_core::doctor::{
    FUNCTIONS, FunctionFacts, MACHINES, MachineFacts, RULES, Recovery, RuleFacts, SCHEDULES, ScheduleFacts, Seen,
    TABLES, TableFacts,
};
use esclusa_core::task_definition::Home;
use jiff::Timestamp;
use serde_json::Value;

use super::looking::{or_absent, seen};
use crate::session::Session;

/// The definitions of the state machines as this version has them.
const DEFINITIONS: [&str; 2] = [
    include_str!("../../../../statemachine/release.asl.json"),
    include_str!("../../../../statemachine/deployment.asl.json"),
];

/// What is in front of the name of each piece in a result.
type Pieces<T> = BTreeMap<String, Seen<T>>;

pub(super) async fn tables(stack: &str, session: &Session) -> Pieces<TableFacts> {
    let client = client!(aws_sdk_dynamodb, session.config());
    let mut tables = Pieces::new();
    for (name, _) in TABLES {
        let table = format!("{stack}-{name}");
        let described = client.describe_table().table_name(&table).send().await;
        let described = or_absent(seen("dynamodb:DescribeTable", described).map(|answer| answer.table));
        let (recovery, expires_by) = if described.found().is_some() {
            (recovery(&client, &table).await, expires_by(&client, &table).await)
        } else {
            (Seen::Absent, Seen::Absent)
        };
        let facts = described.map(|described| TableFacts {
            status: described
                .table_status
                .map_or_else(|| "in an unknown state".to_owned(), |status| status.as_str().to_owned()),
            deletion_protection: described.deletion_protection_enabled.unwrap_or(false),
            recovery,
            expires_by,
        });
        tables.insert(name.to_owned(), facts);
    }
    tables
}

async fn recovery(client: &aws_sdk_dynamodb::Client, table: &str) -> Seen<Recovery> {
    let answer = client.describe_continuous_backups().table_name(table).send().await;
    seen("dynamodb:DescribeContinuousBackups", answer).map(|answer| {
        let description = answer.continuous_backups_description;
        let recovery = description.and_then(|description| description.point_in_time_recovery_description);
        let is_on = |recovery: &PointInTimeRecoveryDescription| {
            recovery.point_in_time_recovery_status == Some(PointInTimeRecoveryStatus::Enabled)
        };
        recovery.filter(is_on).map_or(Recovery::Off, |recovery| {
            let latest = recovery.latest_restorable_date_time;
            Recovery::Until(latest.and_then(|latest| Timestamp::from_second(latest.secs()).ok()))
        })
    })
}

async fn expires_by(client: &aws_sdk_dynamodb::Client, table: &str) -> Seen<Option<String>> {
    let answer = client.describe_time_to_live().table_name(table).send().await;
    seen("dynamodb:DescribeTimeToLive", answer).map(|answer| {
        let description = answer.time_to_live_description?;
        let is_on =
            |status: &TimeToLiveStatus| matches!(status, TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling);
        let is_on = description.time_to_live_status.as_ref().is_some_and(is_on);
        description.attribute_name.filter(|_| is_on)
    })
}

pub(super) async fn functions(stack: &str, session: &Session) -> Pieces<FunctionFacts> {
    let client = client!(aws_sdk_lambda, session.config());
    let mut functions = Pieces::new();
    for name in FUNCTIONS {
        let request = client
            .get_function_configuration()
            .function_name(format!("{stack}-{name}"));
        let facts = seen("lambda:GetFunctionConfiguration", request.send().await).map(|answer| FunctionFacts {
            arn: answer.function_arn.unwrap_or_default(),
            state: answer.state.map_or_else(String::new, |state| state.as_str().to_owned()),
            last_update: answer.last_update_status.map(|status| status.as_str().to_owned()),
            variables: answer
                .environment
                .and_then(|environment| environment.variables)
                .into_iter()
                .flatten()
                .collect(),
        });
        functions.insert(name.to_owned(), facts);
    }
    functions
}

pub(super) async fn machines(
    stack: &str,
    partition: &str,
    home: &Home,
    functions: &Pieces<FunctionFacts>,
    session: &Session,
) -> Pieces<MachineFacts> {
    let client = client!(aws_sdk_sfn, session.config());
    let mut machines = Pieces::new();
    for (name, definition) in MACHINES.into_iter().zip(DEFINITIONS) {
        let arn = format!(
            "arn:{partition}:states:{}:{}:stateMachine:{stack}-{name}",
            home.region, home.account
        );
        let answer = client.describe_state_machine().state_machine_arn(arn).send().await;
        let facts = seen("states:DescribeStateMachine", answer).map(|answer| MachineFacts {
            status: answer
                .status
                .map_or_else(|| "ACTIVE".to_owned(), |status| status.as_str().to_owned()),
            definition: serde_json::from_str(&answer.definition).unwrap_or_default(),
            known: filled(definition, functions),
        });
        machines.insert(name.to_owned(), facts);
    }
    machines
}

/// A definition with the ARNs of the functions, as the deployment of the stack fills it; nothing where one of them is
/// not known.
fn filled(definition: &str, functions: &Pieces<FunctionFacts>) -> Option<Value> {
    let mut text = definition.to_owned();
    for (name, facts) in functions {
        let mut letters = name.chars();
        let first = letters.next()?.to_ascii_uppercase();
        let placeholder = format!("${{{first}{}FunctionArn}}", letters.as_str());
        if let Some(facts) = facts.found() {
            text = text.replace(&placeholder, &facts.arn);
        }
    }
    serde_json::from_str(&text)
        .ok()
        .filter(|_| !text.contains("FunctionArn}"))
}

/// The rules, and the pattern of that of pushes.
pub(super) async fn rules(stack: &str, session: &Session) -> (Pieces<RuleFacts>, Seen<String>) {
    let client = client!(aws_sdk_eventbridge, session.config());
    let (mut rules, mut push) = (Pieces::new(), Seen::Absent);
    for rule in RULES {
        let name = format!("{stack}-{}", rule.name);
        let described = seen("events:DescribeRule", client.describe_rule().name(&name).send().await);
        if rule.is_of_pushes() {
            push = described.clone().map(|answer| answer.event_pattern.unwrap_or_default());
        }
        let targets = if described.found().is_some() {
            let answer = client.list_targets_by_rule().rule(&name).send().await;
            seen("events:ListTargetsByRule", answer).map(|answer| {
                let targets = answer.targets.unwrap_or_default().into_iter();
                targets.map(|target| target.arn).collect()
            })
        } else {
            Seen::Absent
        };
        let facts = described.map(|answer| RuleFacts {
            enabled: answer.state.is_some_and(|state| state.as_str() != "DISABLED"),
            targets,
        });
        rules.insert(rule.name.to_owned(), facts);
    }
    (rules, push)
}

pub(super) async fn schedules(stack: &str, session: &Session) -> Pieces<ScheduleFacts> {
    let client = client!(aws_sdk_scheduler, session.config());
    let mut schedules = Pieces::new();
    for schedule in SCHEDULES {
        let request = client.get_schedule().name(format!("{stack}-{}", schedule.name));
        let facts = seen("scheduler:GetSchedule", request.send().await).map(|answer| ScheduleFacts {
            enabled: answer.state.is_some_and(|state| state.as_str() == "ENABLED"),
            target: answer.target.map(|target| target.arn).unwrap_or_default(),
            expression: answer.schedule_expression.unwrap_or_default(),
        });
        schedules.insert(schedule.name.to_owned(), facts);
    }
    schedules
}
