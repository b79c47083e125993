//! What is wrong with a pipeline file, as its author sees it.

use std::fmt;

use serde::Serialize;

/// One thing that is wrong with a pipeline file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct PipelineError {
    /// Line of the file, from 1.
    pub line: u64,
    /// Column of the line in characters, from 1.
    pub column: u64,
    /// The keys that lead there, such as `services.api.task_definition`; empty for the document itself.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What would be right, where that is known.
    pub hint: Option<String>,
}

impl fmt::Display for PipelineError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            line,
            column,
            path,
            message,
            hint,
        } = self;
        write!(formatter, "{line}:{column}: ")?;
        if !path.is_empty() {
            write!(formatter, "{path}: ")?;
        }
        formatter.write_str(message)?;
        match hint {
            Some(hint) => write!(formatter, " ({hint})"),
            None => Ok(()),
        }
    }
}

/// Everything that is wrong with a pipeline file, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PipelineErrors(Vec<PipelineError>);

impl PipelineErrors {
    /// Sorts `errors` by position and merges what was found twice.
    pub(super) fn new(mut errors: Vec<PipelineError>) -> Self {
        errors.sort();
        let key = |error: &PipelineError| (error.line, error.column, error.path.clone(), error.message.clone());
        errors.dedup_by_key(|error| key(error));
        Self(errors)
    }

    /// The errors, in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = &PipelineError> {
        self.0.iter()
    }
}

impl fmt::Display for PipelineErrors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, error) in self.0.iter().enumerate() {
            if position > 0 {
                formatter.write_str("\n")?;
            }
            write!(formatter, "{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for PipelineErrors {}

/// The name in `known` that `given` was probably meant to be.
pub(super) fn nearest<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(given, name), name))
        .filter(|(distance, name)| *distance <= 1.max(given.chars().count().max(name.chars().count()) / 3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// A hint that names the nearest of `known`, or else all of them.
pub(super) fn suggestion<'a>(given: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> Option<String> {
    if let Some(name) = nearest(given, known.clone()) {
        return Some(format!("did you mean `{name}`?"));
    }
    let names: Vec<String> = known.into_iter().take(12).map(|name| format!("`{name}`")).collect();
    (!names.is_empty()).then(|| format!("known: {}", names.join(", ")))
}
