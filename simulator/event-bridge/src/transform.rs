//! What a target receives in place of the event: `Input`, `InputPath` or `InputTransformer`.
//!
//! Follows the EventBridge user guide, "Amazon EventBridge input transformation", with its two traps kept: a variable
//! whose path does not exist leaves nothing behind, and values are not escaped. Either can leave a text that is no
//! longer JSON; such an event cannot be delivered.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use simulator_kernel::ApiError;

use crate::input::validation;

const RULE_ARN: &str = "aws.events.rule-arn";
const RULE_NAME: &str = "aws.events.rule-name";
const INGESTION_TIME: &str = "aws.events.event.ingestion-time";
const EVENT_WITHOUT_DETAIL: &str = "aws.events.event";
const EVENT: &str = "aws.events.event.json";

/// Variables taken from the event, and the text they are put into.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct InputTransformer {
    #[serde(default)]
    pub(crate) input_paths_map: BTreeMap<String, String>,
    pub(crate) input_template: String,
}

/// What the predefined variables say.
pub(crate) struct Context<'a> {
    pub(crate) rule_arn: &'a str,
    pub(crate) rule_name: &'a str,
    pub(crate) ingestion_time: String,
}

impl InputTransformer {
    /// Refuses what EventBridge would refuse when the target is put.
    pub(crate) fn check(&self) -> Result<(), ApiError> {
        if self.input_paths_map.len() > 100 || self.input_template.is_empty() || self.input_template.len() > 8192 {
            return Err(validation(
                "InputTransformer takes up to 100 paths and a template of 1 to 8192 characters",
            ));
        }
        for (variable, path) in &self.input_paths_map {
            let named = |character: char| character.is_ascii_alphanumeric() || matches!(character, '_' | '-');
            if variable.is_empty() || variable.len() > 256 || !variable.chars().all(named) {
                return Err(validation(format!("Invalid InputPathsMap key `{variable}`")));
            }
            Path::parse(path)?;
        }
        for piece in pieces(&self.input_template) {
            if let Piece::Variable { name, .. } = piece
                && !self.input_paths_map.contains_key(name)
                && ![RULE_ARN, RULE_NAME, INGESTION_TIME, EVENT_WITHOUT_DETAIL, EVENT].contains(&name)
            {
                return Err(validation(format!(
                    "InputTemplate uses the variable `{name}` that InputPathsMap does not define"
                )));
            }
        }
        Ok(())
    }

    /// The text for one event. It need not be JSON.
    pub(crate) fn render(&self, event: &Value, context: &Context<'_>) -> String {
        let mut text = String::new();
        for piece in pieces(&self.input_template) {
            match piece {
                Piece::Literal(literal) => text.push_str(literal),
                Piece::Variable { name, quoted } => {
                    if let Some(value) = self.variable(name, event, context) {
                        push(&mut text, &value, quoted);
                    }
                }
            }
        }
        text
    }

    fn variable(&self, name: &str, event: &Value, context: &Context<'_>) -> Option<Value> {
        match name {
            RULE_ARN => Some(context.rule_arn.into()),
            RULE_NAME => Some(context.rule_name.into()),
            INGESTION_TIME => Some(context.ingestion_time.clone().into()),
            EVENT => Some(event.clone()),
            EVENT_WITHOUT_DETAIL => {
                let mut envelope = event.clone();
                envelope.as_object_mut()?.shift_remove("detail");
                Some(envelope)
            }
            _ => Path::parse(self.input_paths_map.get(name)?).ok()?.value(event).cloned(),
        }
    }
}

/// A string is put between quotation marks unless it already stands between some; nothing in it is escaped.
fn push(text: &mut String, value: &Value, quoted: bool) {
    match value {
        Value::String(value) if quoted => text.push_str(value),
        Value::String(value) => {
            text.push('"');
            text.push_str(value);
            text.push('"');
        }
        other => text.push_str(&other.to_string()),
    }
}

/// A part of a template.
enum Piece<'a> {
    Literal(&'a str),
    Variable { name: &'a str, quoted: bool },
}

/// Cuts a template at its `<variables>`, noting which stand inside a JSON string.
fn pieces(template: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut quoted = false;
    let mut rest = template;
    while let Some((literal, tail)) = rest.split_once('<') {
        quoted ^= quotation_marks(literal) % 2 == 1;
        let variable = tail.split_once('>').filter(|(name, _)| is_variable(name));
        pieces.push(Piece::Literal(literal));
        match variable {
            Some((name, after)) => {
                pieces.push(Piece::Variable { name, quoted });
                rest = after;
            }
            None => {
                pieces.push(Piece::Literal("<"));
                rest = tail;
            }
        }
    }
    pieces.push(Piece::Literal(rest));
    pieces
}

fn is_variable(name: &str) -> bool {
    !name.is_empty()
        && name
            .chars()
            .all(|character| character.is_ascii_alphanumeric() || matches!(character, '_' | '-' | '.'))
}

/// Quotation marks that open or close a string, so without escaped ones.
fn quotation_marks(text: &str) -> usize {
    let mut escaped = false;
    let mut marks = 0;
    for character in text.chars() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => marks += 1,
            _ => {}
        }
    }
    marks
}

/// A path in dot notation, such as `$.detail.findings[0].title`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Path {
    steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq)]
enum Step {
    Member(String),
    Element(usize),
}

impl Path {
    pub(crate) fn parse(text: &str) -> Result<Self, ApiError> {
        if text.contains('*') {
            return Err(ApiError::unsupported(format!("the wildcard in the path `{text}`")));
        }
        steps(text)
            .map(|steps| Self { steps })
            .ok_or_else(|| validation(format!("Invalid JSON path `{text}`")))
    }

    pub(crate) fn value<'a>(&self, event: &'a Value) -> Option<&'a Value> {
        self.steps.iter().try_fold(event, |value, step| match step {
            Step::Member(name) => value.get(name),
            Step::Element(index) => value.get(index),
        })
    }
}

fn steps(text: &str) -> Option<Vec<Step>> {
    let rest = text.strip_prefix('$')?;
    let mut steps = Vec::new();
    if rest.is_empty() {
        return Some(steps);
    }
    for part in rest.strip_prefix('.')?.split('.') {
        let (name, indices) = part
            .split_once('[')
            .map_or((part, None), |(name, indices)| (name, Some(indices)));
        let named = |character: char| character.is_ascii_alphanumeric() || matches!(character, '_' | '-' | '/');
        if name.is_empty() || !name.chars().all(named) {
            return None;
        }
        steps.push(Step::Member(name.to_owned()));
        if let Some(indices) = indices {
            for index in indices.strip_suffix(']')?.split("][") {
                steps.push(Step::Element(index.parse().ok()?));
            }
        }
    }
    Some(steps)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn render(paths: &[(&str, &str)], template: &str, event: &Value) -> String {
        let transformer = InputTransformer {
            input_paths_map: paths
                .iter()
                .map(|(name, path)| ((*name).to_owned(), (*path).to_owned()))
                .collect(),
            input_template: template.to_owned(),
        };
        transformer.check().unwrap();
        let context = Context {
            rule_arn: "arn:rule",
            rule_name: "push",
            ingestion_time: "2026-11-02T09:00:00Z".to_owned(),
        };
        transformer.render(event, &context)
    }

    #[test]
    fn variables_take_the_place_that_json_has_for_them() {
        let event = json!({"id": "1", "detail": {"tag": "v1", "size": 3, "list": [{"a": "x"}]}});
        let paths = [
            ("tag", "$.detail.tag"),
            ("size", "$.detail.size"),
            ("first", "$.detail.list[0]"),
        ];
        assert_eq!(
            render(
                &paths,
                r#"{"tag": <tag>, "text": "pushed <tag> (<size>)", "n": <size>, "first": <first>}"#,
                &event
            ),
            r#"{"tag": "v1", "text": "pushed v1 (3)", "n": 3, "first": {"a":"x"}}"#
        );
        assert_eq!(
            render(
                &[],
                r#"{"rule": <aws.events.rule-name>, "at": "<aws.events.event.ingestion-time>", "event": <aws.events.event>}"#,
                &event
            ),
            r#"{"rule": "push", "at": "2026-11-02T09:00:00Z", "event": {"id":"1"}}"#
        );
    }

    #[test]
    fn a_path_that_does_not_exist_leaves_nothing_behind() {
        let event = json!({"detail": {}});
        let paths = [("tag", "$.detail.image-tag")];
        assert_eq!(render(&paths, r#"{"tag": <tag>}"#, &event), r#"{"tag": }"#);
        assert_eq!(render(&paths, r#"{"tag": "<tag>"}"#, &event), r#"{"tag": ""}"#);
    }

    #[test]
    fn a_value_with_a_quotation_mark_changes_the_document() {
        let event = json!({"detail": {"tag": r#"v1", "admin": "yes"#}});
        let paths = [("tag", "$.detail.tag")];
        let document = r#"{"tag": "v1", "admin": "yes"}"#;
        assert_eq!(render(&paths, r#"{"tag": <tag>}"#, &event), document);
        assert_eq!(render(&paths, r#"{"tag": "<tag>"}"#, &event), document);
    }

    #[test]
    fn what_is_no_variable_stays() {
        assert_eq!(
            render(&[], r#""a < b and <not this>""#, &json!({})),
            r#""a < b and <not this>""#
        );
    }

    #[test]
    fn a_variable_without_a_path_is_refused_when_the_target_is_put() {
        let transformer = InputTransformer {
            input_paths_map: BTreeMap::new(),
            input_template: "<tag>".to_owned(),
        };
        assert!(transformer.check().unwrap_err().message.contains("`tag`"));
        assert_eq!(Path::parse("$.a[*]").unwrap_err().status, 501);
        for wrong in ["a.b", "$a", "$.", "$.a[x]", "$.a[0", "$..a"] {
            assert_eq!(Path::parse(wrong).unwrap_err().code, "ValidationException", "{wrong}");
        }
    }
}
