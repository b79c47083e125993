//! Does the document have the shape that the JSON Schema describes? Every deviation is found, not only the first.

use std::sync::LazyLock;

use serde_json::{Map, Value};

use super::names;
use super::path::Path;
use super::problem::{PipelineError, nearest, suggestion};
use super::schema::schema;
use super::tree::{Content, Kind, Node, line_and_column};

/// What a walk through the document found.
#[derive(Debug)]
pub(super) struct Structure {
    /// The document without what does not belong there.
    pub(super) value: Value,
    /// The deviations.
    pub(super) errors: Vec<PipelineError>,
}

/// Compares the document with the schema of the pipeline file.
pub(super) fn check(root: &Node) -> Structure {
    // It never changes, and making it takes longer than reading a file.
    static SCHEMA: LazyLock<Value> = LazyLock::new(schema);
    let mut walk = Walk {
        schema: &SCHEMA,
        errors: Vec::new(),
    };
    let value = walk.node(&SCHEMA, root, &Path::default());
    Structure {
        value,
        errors: walk.errors,
    }
}

struct Walk<'a> {
    schema: &'a Value,
    errors: Vec<PipelineError>,
}

impl<'a> Walk<'a> {
    fn node(&mut self, schema: &'a Value, node: &Node, path: &Path) -> Value {
        if takes_anything(schema) {
            return plain(node);
        }
        let alternatives = self.alternatives(schema);
        let kind = node.value.kind();
        let fitting: Vec<&Value> = alternatives
            .iter()
            .copied()
            .filter(|alternative| accepts(alternative, kind))
            .collect();
        let Some(first) = fitting.first() else {
            self.wrong_kind(&alternatives, node, path);
            return plain(node);
        };
        match &node.value {
            Content::Mapping(members) => {
                let knows = |schema: &&&Value| {
                    members
                        .iter()
                        .any(|(name, _)| properties(schema).contains(&name.value.as_str()))
                };
                match fitting.iter().find(knows) {
                    Some(schema) => self.mapping(schema, node, members, path),
                    None if fitting.len() == 1 => self.mapping(first, node, members, path),
                    None => {
                        self.no_alternative(&fitting, node, members, path);
                        plain(node)
                    }
                }
            }
            Content::Sequence(elements) => self.sequence(first, node, elements, path),
            Content::Scalar(value) => {
                self.scalar(&fitting, node, value, path);
                value.clone()
            }
        }
    }

    /// A mapping that may be one of several, and is none of them.
    fn no_alternative(
        &mut self,
        alternatives: &[&Value],
        node: &Node,
        members: &[(serde_saphyr::Spanned<String>, Node)],
        path: &Path,
    ) {
        let known: Vec<&str> = alternatives.iter().flat_map(|schema| properties(schema)).collect();
        match members.first() {
            Some((name, _)) => {
                let message = format!("unknown field `{}`", name.value.escape_debug());
                self.report(
                    &name.referenced,
                    path,
                    message,
                    suggestion(&name.value, known.iter().copied()),
                );
            }
            None => {
                let message = format!("must have one of `{}`", known.join("`, `"));
                self.report(&node.referenced, path, message, None);
            }
        }
    }

    /// The schemas of which one must fit, with references followed.
    fn alternatives(&self, schema: &'a Value) -> Vec<&'a Value> {
        let mut found = Vec::new();
        let mut open = vec![self.follow(schema)];
        while let Some(next) = open.pop() {
            match ["oneOf", "anyOf"]
                .iter()
                .find_map(|keyword| next.get(*keyword))
                .and_then(Value::as_array)
            {
                Some(choices) => open.extend(choices.iter().rev().map(|choice| self.follow(choice))),
                None => found.push(next),
            }
        }
        found
    }

    fn follow(&self, schema: &'a Value) -> &'a Value {
        let reference = schema
            .get("$ref")
            .and_then(Value::as_str)
            .and_then(|reference| reference.strip_prefix('#'));
        reference
            .and_then(|pointer| self.schema.pointer(pointer))
            .unwrap_or(schema)
    }

    fn mapping(
        &mut self,
        schema: &'a Value,
        node: &Node,
        members: &[(serde_saphyr::Spanned<String>, Node)],
        path: &Path,
    ) -> Value {
        let fields = schema.get("properties").and_then(Value::as_object);
        let named = schema
            .get("patternProperties")
            .and_then(Value::as_object)
            .and_then(|patterns| patterns.iter().next());
        let others = schema.get("additionalProperties").filter(|others| others.is_object());
        let mut value = Map::new();
        for (name, member) in members {
            let member_path = path.key(&name.value);
            let member_schema = fields
                .and_then(|fields| fields.get(&name.value))
                .or_else(|| named.map(|(_, member_schema)| member_schema))
                .or(others);
            let Some(member_schema) = member_schema else {
                let known = properties(schema);
                let free = known
                    .iter()
                    .copied()
                    .filter(|field| !members.iter().any(|(other, _)| other.value == *field));
                let hint = nearest(&name.value, free).map(|field| format!("did you mean `{field}`?"));
                let hint = hint.or_else(|| suggestion(&name.value, known.iter().copied()));
                self.report(
                    &name.referenced,
                    path,
                    format!("unknown field `{}`", name.value.escape_debug()),
                    hint,
                );
                continue;
            };
            if let Some(Err(error)) = named.and_then(|(pattern, _)| names::check_by_pattern(pattern, &name.value)) {
                self.report(&name.referenced, path, error.to_string(), None);
                continue;
            }
            let member_value = self.node(member_schema, member, &member_path);
            value.insert(name.value.clone(), member_value);
        }
        for field in schema
            .get("required")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
        {
            if !members.iter().any(|(name, _)| name.value == field) {
                self.report(&node.referenced, path, format!("missing field `{field}`"), None);
            }
        }
        if schema
            .get("minProperties")
            .and_then(Value::as_u64)
            .is_some_and(|least| length(members) < least)
        {
            self.report(&node.referenced, path, "must not be empty".to_owned(), None);
        }
        Value::Object(value)
    }

    fn sequence(&mut self, schema: &'a Value, node: &Node, elements: &[Node], path: &Path) -> Value {
        if let Some(least) = schema
            .get("minItems")
            .and_then(Value::as_u64)
            .filter(|least| length(elements) < *least)
        {
            self.report(
                &node.referenced,
                path,
                format!("must have at least {least} {}", noun(least)),
                None,
            );
        }
        if let Some(most) = schema
            .get("maxItems")
            .and_then(Value::as_u64)
            .filter(|most| length(elements) > *most)
        {
            self.report(
                &node.referenced,
                path,
                format!("must have at most {most} {}", noun(most)),
                None,
            );
        }
        let Some(items) = schema.get("items") else {
            return plain(node);
        };
        elements
            .iter()
            .enumerate()
            .map(|(index, element)| self.node(items, element, &path.index(index)))
            .collect()
    }

    fn scalar(&mut self, alternatives: &[&'a Value], node: &Node, value: &Value, path: &Path) {
        let choices: Vec<&str> = alternatives
            .iter()
            .flat_map(|alternative| constants(alternative))
            .collect();
        if let Some(text) = value.as_str() {
            if !choices.is_empty() && !choices.contains(&text) {
                let hint = suggestion(text, choices);
                return self.report(
                    &node.referenced,
                    path,
                    format!("unknown value `{}`", text.escape_debug()),
                    hint,
                );
            }
            let pattern = alternatives
                .first()
                .and_then(|schema| schema.get("pattern"))
                .and_then(Value::as_str);
            if let Some(Err(error)) = pattern.and_then(|pattern| names::check_by_pattern(pattern, text)) {
                self.report(&node.referenced, path, error.to_string(), None);
            }
        }
        let Some(number) = value.as_i64() else { return };
        let limit = |keyword| {
            alternatives
                .first()
                .and_then(|schema| schema.get(keyword))
                .and_then(Value::as_i64)
        };
        let (least, most) = (limit("minimum"), limit("maximum"));
        if least.is_none_or(|least| number >= least) && most.is_none_or(|most| number <= most) {
            return;
        }
        let message = match (least, most) {
            (Some(least), Some(most)) if least == most => format!("must be {least}"),
            (Some(least), Some(most)) => format!("must be from {least} to {most}"),
            (Some(least), None) => format!("must be at least {least}"),
            (_, Some(most)) => format!("must be at most {most}"),
            (None, None) => return,
        };
        self.report(&node.referenced, path, message, None);
    }

    fn wrong_kind(&mut self, alternatives: &[&'a Value], node: &Node, path: &Path) {
        let mut expected: Vec<String> = Vec::new();
        for alternative in alternatives {
            let constants: Vec<String> = constants(alternative).map(|constant| format!("`{constant}`")).collect();
            let names = if constants.is_empty() {
                kinds(alternative).map(|kind| kind.to_string()).collect()
            } else {
                constants
            };
            expected.extend(names);
        }
        expected.dedup();
        let hint = match &node.value {
            Content::Scalar(value)
                if !value.is_null() && alternatives.iter().any(|schema| accepts(schema, Kind::String)) =>
            {
                Some(format!("write it in quotes: \"{value}\""))
            }
            Content::Scalar(Value::Null) if alternatives.iter().any(|schema| accepts(schema, Kind::Mapping)) => {
                Some("write `{}` for an empty one".to_owned())
            }
            _ => None,
        };
        let message = format!("expected {}, found {}", expected.join(" or "), node.value.kind());
        self.report(&node.referenced, path, message, hint);
    }

    fn report(&mut self, location: &serde_saphyr::Location, path: &Path, message: String, hint: Option<String>) {
        let (line, column) = line_and_column(location);
        self.errors.push(PipelineError {
            line,
            column,
            path: path.to_string(),
            message,
            hint,
        });
    }
}

/// Whether a schema says nothing about the value, as that of a JSON document which is passed on.
fn takes_anything(schema: &Value) -> bool {
    let keywords = ["$ref", "oneOf", "anyOf", "type", "const", "enum"];
    keywords.iter().all(|keyword| schema.get(*keyword).is_none())
}

/// The fields that a mapping of this schema may have.
fn properties(schema: &Value) -> Vec<&str> {
    let properties = schema.get("properties").and_then(Value::as_object);
    properties
        .into_iter()
        .flat_map(|known| known.keys().map(String::as_str))
        .collect()
}

/// The kinds of value a schema without alternatives allows.
fn kinds(schema: &Value) -> impl Iterator<Item = Kind> {
    let types = schema.get("type");
    let names = types
        .and_then(Value::as_array)
        .map_or_else(|| types.into_iter().collect::<Vec<_>>(), |names| names.iter().collect());
    names
        .into_iter()
        .filter_map(Value::as_str)
        .filter_map(Kind::from_schema)
}

fn accepts(schema: &Value, kind: Kind) -> bool {
    // Every whole number is a number.
    kinds(schema).any(|accepted| accepted == kind || (accepted == Kind::Number && kind == Kind::Integer))
}

/// The texts a schema without alternatives allows, where it lists them.
fn constants(schema: &Value) -> impl Iterator<Item = &str> {
    let listed = schema.get("enum").and_then(Value::as_array).into_iter().flatten();
    schema.get("const").into_iter().chain(listed).filter_map(Value::as_str)
}

/// The document as it is, without positions.
fn plain(node: &Node) -> Value {
    match &node.value {
        Content::Scalar(value) => value.clone(),
        Content::Sequence(elements) => elements.iter().map(plain).collect(),
        Content::Mapping(members) => Value::Object(
            members
                .iter()
                .map(|(name, member)| (name.value.clone(), plain(member)))
                .collect(),
        ),
    }
}

fn length<T>(list: &[T]) -> u64 {
    u64::try_from(list.len()).unwrap_or(u64::MAX)
}

fn noun(count: u64) -> &'static str {
    if count == 1 { "element" } else { "elements" }
}
