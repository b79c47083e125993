//! From YAML text to a pipeline, or to everything that is wrong with it.

use serde_saphyr::Error as YamlError;
use serde_saphyr::options::DuplicateKeyPolicy;

use super::model::Pipeline;
use super::problem::{PipelineError, PipelineErrors};
use super::tree::{Node, line_and_column};
use super::{structure, validate};

/// How deep a document may be nested. The format needs about eight levels.
const DEPTH_MAX: usize = 64;

/// Reads a pipeline file.
///
/// Everything that is wrong is reported at once, as far as it can be told apart: what depends on a field that is itself
/// wrong is checked once that field is right. A pipeline that is returned resolves in every one of its environments.
pub fn parse(yaml: &str) -> Result<Pipeline, PipelineErrors> {
    let (root, mut errors) = read(yaml);
    let pipeline = root.and_then(|root| check(&root, &mut errors));
    match pipeline {
        Some(pipeline) if errors.is_empty() => Ok(pipeline),
        _ => Err(PipelineErrors::new(errors)),
    }
}

/// The pipeline that the document describes, if it has the right shape, and what is wrong with it.
fn check(root: &Node, errors: &mut Vec<PipelineError>) -> Option<Pipeline> {
    let structure = structure::check(root);
    let is_sound = structure.errors.is_empty() && errors.is_empty();
    errors.extend(structure.errors);
    let pipeline = match serde_json::from_value::<Pipeline>(structure.value) {
        Ok(pipeline) => pipeline,
        Err(error) => {
            if is_sound {
                errors.push(PipelineError {
                    line: 1,
                    column: 1,
                    path: String::new(),
                    message: error.to_string(),
                    hint: None,
                });
            }
            return None;
        }
    };
    let references = validate::references(&pipeline, root);
    let is_connected = references.is_empty();
    errors.extend(references);
    if is_sound && is_connected {
        errors.extend(validate::environments(&pipeline, root));
    }
    Some(pipeline)
}

/// The document with its positions. After a duplicate key reading goes on with the first of the two, so that the rest
/// is checked as well.
fn read(yaml: &str) -> (Option<Node>, Vec<PipelineError>) {
    let first = read_with(yaml, DuplicateKeyPolicy::Error);
    let error = match first {
        Ok(root) => return (Some(root), Vec::new()),
        Err(error) => error,
    };
    let is_duplicate = matches!(error.without_snippet(), YamlError::DuplicateMappingKey { .. });
    let root = is_duplicate
        .then(|| read_with(yaml, DuplicateKeyPolicy::FirstWins).ok())
        .flatten();
    (root, vec![syntax_error(&error)])
}

fn read_with(yaml: &str, duplicate_keys: DuplicateKeyPolicy) -> Result<Node, YamlError> {
    let options = serde_saphyr::options! {
        duplicate_keys: duplicate_keys,
        strict_booleans: true,
        with_snippet: false,
        budget: serde_saphyr::budget! { max_depth: DEPTH_MAX },
    };
    serde_saphyr::from_str_with_options(yaml, options)
}

fn syntax_error(error: &YamlError) -> PipelineError {
    let (line, column) = error.location().map_or((1, 1), |location| line_and_column(&location));
    let message = match error.without_snippet() {
        YamlError::DuplicateMappingKey { key: Some(key), .. } => format!("duplicate key `{}`", key.escape_debug()),
        other => format!("the YAML cannot be read: {other}"),
    };
    PipelineError {
        line,
        column,
        path: String::new(),
        message,
        hint: None,
    }
}
