//! What the templates say, read as plain data: short intrinsic functions (`!Ref X`, `!GetAtt X.Y`, `!Sub …`) are their
//! text.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// A file of the project that cannot be read.
#[derive(Debug)]
pub struct Unreadable {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub reason: String,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.path.display(), self.reason)
    }
}

impl std::error::Error for Unreadable {}

/// The directory of the workspace.
#[must_use]
pub fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Reads a definition below `statemachine/`, e.g. `release`.
///
/// # Errors
/// The file is missing or not JSON.
pub fn definition(name: &str) -> Result<Value, Unreadable> {
    let path = project().join("statemachine").join(format!("{name}.asl.json"));
    let json = read(&path)?;
    serde_json::from_str(&json).map_err(|error| Unreadable {
        path,
        reason: error.to_string(),
    })
}

fn read(path: &Path) -> Result<String, Unreadable> {
    std::fs::read_to_string(path).map_err(|error| Unreadable {
        path: path.to_owned(),
        reason: error.to_string(),
    })
}

/// The template.
#[derive(Debug, Clone)]
pub struct Template(pub Value);

/// One `Allow` or `Deny`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Its `Sid`.
    pub sid: String,
    /// Whether it allows; otherwise it denies.
    pub allows: bool,
    /// Its actions.
    pub actions: BTreeSet<String>,
    /// Its resources, intrinsic functions as their text.
    pub resources: BTreeSet<String>,
    /// Whether it is bound to a condition.
    pub conditional: bool,
}

impl Template {
    /// Reads `template.yaml`.
    ///
    /// # Errors
    /// The file is missing or not YAML.
    pub fn read() -> Result<Self, Unreadable> {
        Self::read_file("template.yaml")
    }

    /// Reads a template of that name.
    ///
    /// # Errors
    /// The file is missing or not YAML.
    pub fn read_file(name: &str) -> Result<Self, Unreadable> {
        let path = project().join(name);
        let yaml = read(&path)?;
        serde_saphyr::from_str(&yaml).map(Self).map_err(|error| Unreadable {
            path,
            reason: error.to_string(),
        })
    }

    /// The properties of all resources of a type, by logical id.
    #[must_use]
    pub fn resources(&self, type_name: &str) -> BTreeMap<&str, &Value> {
        let resources = self.0.get("Resources").and_then(Value::as_object).into_iter().flatten();
        let typed = resources.filter(|(_, resource)| resource.get("Type").and_then(Value::as_str) == Some(type_name));
        typed
            .map(|(id, resource)| (id.as_str(), resource.get("Properties").unwrap_or(&Value::Null)))
            .collect()
    }

    /// The properties of one resource; null when there is none.
    #[must_use]
    pub fn properties(&self, logical_id: &str) -> &Value {
        let resource = self.0.get("Resources").and_then(|resources| resources.get(logical_id));
        resource
            .and_then(|resource| resource.get("Properties"))
            .unwrap_or(&Value::Null)
    }

    /// The statements of a role's own policies; those that it shares with others are with [`Self::policy_statements`].
    #[must_use]
    pub fn role_statements(&self, logical_id: &str) -> Vec<Statement> {
        let policies = self
            .properties(logical_id)
            .get("Policies")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        policies
            .filter_map(|policy| policy.get("PolicyDocument"))
            .flat_map(statements)
            .collect()
    }

    /// The statements of a policy that is attached to several roles.
    #[must_use]
    pub fn policy_statements(&self, logical_id: &str) -> Vec<Statement> {
        self.properties(logical_id)
            .get("PolicyDocument")
            .map(statements)
            .unwrap_or_default()
    }
}

/// The statements of a policy document.
#[must_use]
pub fn statements(document: &Value) -> Vec<Statement> {
    let statements = document
        .get("Statement")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    // `!If` is a list here: what is there only under a condition is a statement as well.
    let statements = statements.flat_map(|statement| match statement {
        Value::Array(branches) => branches.iter().filter(|branch| branch.is_object()).collect(),
        statement => vec![statement],
    });
    let text = |statement: &Value, field: &str| {
        statement
            .get(field)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let read = |statement: &Value| Statement {
        sid: text(statement, "Sid"),
        allows: text(statement, "Effect") == "Allow",
        actions: one_or_many(statement.get("Action")),
        resources: one_or_many(statement.get("Resource")),
        conditional: statement.get("Condition").is_some(),
    };
    statements.map(read).collect()
}

/// A text, or a list of texts.
#[must_use]
pub fn one_or_many(value: Option<&Value>) -> BTreeSet<String> {
    match value {
        Some(Value::String(text)) => BTreeSet::from([text.clone()]),
        Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => BTreeSet::new(),
    }
}
