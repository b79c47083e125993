//! Where expressions stand in a state, and what they read.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Check, Findings, Machine, list};

/// Where in a state an expression stands: this decides what it can see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// `Arguments`, `Items`, `ItemSelector`, evaluated before the state does its work.
    Arguments,
    /// `TimeoutSeconds`, `HeartbeatSeconds`, `Seconds`, `Condition`.
    Entry,
    /// `Assign` and `Output` of the state or of a choice rule.
    Exit,
    /// `Assign` and `Output` of a catcher.
    Catch,
}

/// An expression and its place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Placed<'a> {
    pub(super) place: Place,
    source: &'a str,
}

/// What an expression reads from outside itself.
#[derive(Debug, Default)]
pub(super) struct References {
    /// Variables, without `$`.
    pub(super) variables: BTreeSet<String>,
    /// Paths below `$states`, e.g. `result.Payload.steps`.
    pub(super) states: BTreeSet<String>,
    /// Functions, without `$`.
    pub(super) functions: BTreeSet<String>,
}

impl Placed<'_> {
    /// Reads the references with a scanner of its own: names behind `$`, outside quoted text.
    pub(super) fn references(&self) -> References {
        let mut references = References::default();
        let mut rest = self.source;
        while let Some(start) = rest.find(['$', '\'', '"', '`']) {
            let (_, from) = rest.split_at(start);
            let mut characters = from.chars();
            let mark = characters.next().unwrap_or_default();
            let after = characters.as_str();
            if mark != '$' {
                rest = after.split_once(mark).map_or("", |(_, behind)| behind);
                continue;
            }
            let (name, behind) = split_name(after);
            if behind.starts_with('(') {
                references.functions.insert(name.to_owned());
                rest = behind;
            } else if name == "states" {
                let (path, behind) = split_path(behind);
                references.states.insert(path);
                rest = behind;
            } else {
                references.variables.insert(name.to_owned());
                rest = behind;
            }
        }
        references
    }
}

/// Splits a name from what follows it.
fn split_name(text: &str) -> (&str, &str) {
    text.split_at(
        text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(text.len()),
    )
}

/// Splits `.a.b` into `a.b` and what follows.
fn split_path(text: &str) -> (String, &str) {
    let mut steps = Vec::new();
    let mut rest = text;
    while let Some((step, behind)) = rest.strip_prefix('.').map(split_name) {
        steps.push(step);
        rest = behind;
    }
    (steps.join("."), rest)
}

/// All expressions of a state.
pub(super) fn of_state(state: &Value) -> Vec<Placed<'_>> {
    let mut found = placed(state, &["Arguments", "Items", "ItemSelector"], Place::Arguments);
    found.extend(placed(
        state,
        &["TimeoutSeconds", "HeartbeatSeconds", "Seconds", "Timestamp"],
        Place::Entry,
    ));
    found.extend(placed(state, &["Assign", "Output"], Place::Exit));
    for rule in list(state, "Choices") {
        found.extend(placed(rule, &["Condition"], Place::Entry));
        found.extend(placed(rule, &["Assign", "Output"], Place::Exit));
    }
    for catcher in list(state, "Catch") {
        found.extend(placed(catcher, &["Assign", "Output"], Place::Catch));
    }
    found
}

fn placed<'a>(holder: &'a Value, fields: &[&str], place: Place) -> Vec<Placed<'a>> {
    let mut texts = Vec::new();
    for value in fields.iter().filter_map(|field| holder.get(*field)) {
        texts_within(value, &mut texts);
    }
    texts
        .into_iter()
        .filter_map(expression)
        .map(|source| Placed { place, source })
        .collect()
}

/// The inside of `{% … %}`.
fn expression(text: &str) -> Option<&str> {
    text.strip_prefix("{%")?.strip_suffix("%}").map(str::trim)
}

fn texts_within<'a>(value: &'a Value, texts: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => texts.push(text),
        Value::Array(items) => items.iter().for_each(|item| texts_within(item, texts)),
        Value::Object(members) => members.values().for_each(|member| texts_within(member, texts)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The names in `${…}` anywhere in a definition.
pub(super) fn substitutions(definition: &Value) -> BTreeSet<String> {
    let mut texts = Vec::new();
    texts_within(definition, &mut texts);
    let tokens = texts.into_iter().flat_map(|text| text.split("${").skip(1));
    tokens
        .filter_map(|token| token.split_once('}'))
        .map(|(name, _)| name.to_owned())
        .collect()
}

/// The functions of JSONata and those that Step Functions adds; it has no `$eval`.
const FUNCTIONS: [&str; 69] = [
    "abs",
    "append",
    "assert",
    "average",
    "base64decode",
    "base64encode",
    "boolean",
    "ceil",
    "clone",
    "contains",
    "count",
    "decodeUrl",
    "decodeUrlComponent",
    "distinct",
    "each",
    "encodeUrl",
    "encodeUrlComponent",
    "error",
    "exists",
    "filter",
    "floor",
    "formatBase",
    "formatInteger",
    "formatNumber",
    "fromMillis",
    "hash",
    "join",
    "keys",
    "length",
    "lookup",
    "lowercase",
    "map",
    "match",
    "max",
    "merge",
    "millis",
    "min",
    "not",
    "now",
    "number",
    "pad",
    "parse",
    "parseInteger",
    "partition",
    "power",
    "random",
    "range",
    "reduce",
    "replace",
    "reverse",
    "round",
    "shuffle",
    "sift",
    "single",
    "sort",
    "split",
    "spread",
    "sqrt",
    "string",
    "substring",
    "substringAfter",
    "substringBefore",
    "sum",
    "toMillis",
    "trim",
    "type",
    "uppercase",
    "uuid",
    "zip",
];

impl Machine<'_> {
    /// What an expression can see depends on when it is evaluated.
    pub(super) fn check_scopes(&self, findings: &mut Findings) {
        for (name, state) in &self.states {
            for placed in of_state(state) {
                let references = placed.references();
                for path in references.states {
                    let visible = match path.split('.').next().unwrap_or_default() {
                        "result" => placed.place == Place::Exit,
                        "errorOutput" => placed.place == Place::Catch,
                        "context" if path == "context.Task.Token" => placed.place == Place::Arguments,
                        _ => true,
                    };
                    if !visible {
                        findings.add(
                            Check::Scope,
                            name,
                            format!("`$states.{path}` does not exist in {:?}", placed.place),
                        );
                    }
                }
                for function in references
                    .functions
                    .iter()
                    .filter(|function| !FUNCTIONS.contains(&function.as_str()))
                {
                    findings.add(
                        Check::Scope,
                        name,
                        format!("Step Functions has no function `${function}`"),
                    );
                }
            }
            let mut texts = Vec::new();
            texts_within(state, &mut texts);
            for text in texts
                .into_iter()
                .filter(|text| expression(text).is_none() && (text.contains("{%") || text.contains("%}")))
            {
                findings.add(
                    Check::Scope,
                    name,
                    format!("`{text}` is not an expression: `{{%` begins and `%}}` ends the text"),
                );
            }
        }
    }
}
