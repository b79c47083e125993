//! The inputs of the operations of the EventBridge API.

use serde::Deserialize;

use crate::target::Target;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct PutRule {
    pub(super) name: String,
    pub(super) event_pattern: Option<String>,
    pub(super) schedule_expression: Option<String>,
    #[serde(default = "enabled")]
    pub(super) state: String,
    pub(super) description: Option<String>,
    pub(super) event_bus_name: Option<String>,
}

fn enabled() -> String {
    "ENABLED".to_owned()
}

/// `DescribeRule`, `EnableRule` and `DisableRule`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct NamedRule {
    pub(super) name: String,
    pub(super) event_bus_name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct DeleteRule {
    pub(super) name: String,
    pub(super) event_bus_name: Option<String>,
    /// Only managed rules need it, and the simulator has none.
    #[serde(rename = "Force")]
    _force: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct ListRules {
    pub(super) name_prefix: Option<String>,
    pub(super) event_bus_name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct ListRuleNamesByTarget {
    pub(super) target_arn: String,
    pub(super) event_bus_name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct NamedBus {
    pub(super) name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct ListBuses {
    pub(super) name_prefix: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct ListTargetsByRule {
    pub(super) rule: String,
    pub(super) event_bus_name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct PutTargets {
    pub(super) rule: String,
    pub(super) event_bus_name: Option<String>,
    pub(super) targets: Vec<Target>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct RemoveTargets {
    pub(super) rule: String,
    pub(super) event_bus_name: Option<String>,
    pub(super) ids: Vec<String>,
    #[serde(rename = "Force")]
    _force: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct PutEvents {
    pub(super) entries: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Entry {
    /// Seconds since 1970.
    pub(super) time: Option<f64>,
    pub(super) source: Option<String>,
    #[serde(default)]
    pub(super) resources: Vec<String>,
    pub(super) detail_type: Option<String>,
    pub(super) detail: Option<String>,
    pub(super) event_bus_name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct TestEventPattern {
    pub(super) event_pattern: String,
    pub(super) event: String,
}
