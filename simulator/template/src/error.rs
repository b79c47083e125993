//! What is wrong with a template, and where.

/// A part of a template that cannot be read, or lies outside the subset of SAM that is understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("template line {line}, `{path}`: {message}")]
pub struct TemplateError {
    /// The line in the template, counted from one.
    pub line: usize,
    /// The keys that lead there, joined by dots, such as `Resources.Intake.Properties.Timeout`.
    pub path: String,
    /// What is wrong.
    pub message: String,
}

impl TemplateError {
    pub(crate) fn new(line: usize, path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            line,
            path: path.into(),
            message: message.into(),
        }
    }
}
