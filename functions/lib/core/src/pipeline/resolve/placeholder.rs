//! Placeholders: `${name}` stands for the application, the environment or a variable of the environment; `$${` writes
//! `${` itself.

use serde_json::{Map, Value};

use super::ResolveProblem;
use crate::pipeline::model::{Environment, Pipeline};
use crate::pipeline::path::Path;
use crate::pipeline::problem::nearest;

/// The placeholders that are known in one environment.
#[derive(Debug)]
pub(super) struct Placeholders<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Placeholders<'a> {
    /// The application, the environment and the environment's variables.
    pub(super) fn new(pipeline: &'a Pipeline, environment: &'a Environment) -> Self {
        let own = [
            ("application", pipeline.application.as_str()),
            ("environment", environment.name.as_str()),
        ];
        let variables = environment
            .variables
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        Self(own.into_iter().chain(variables).collect())
    }

    /// Fills in every text below `value`, names of containers and variables among them; what cannot be filled in is
    /// reported with its path.
    pub(super) fn fill(&self, value: &mut Value, path: &Path, problems: &mut Vec<ResolveProblem>) {
        match value {
            Value::String(text) => match self.fill_text(text) {
                Ok(filled) => *text = filled,
                Err((message, hint)) => problems.push(ResolveProblem {
                    path: path.clone(),
                    message,
                    hint: Some(hint),
                }),
            },
            Value::Array(elements) => {
                for (index, element) in elements.iter_mut().enumerate() {
                    self.fill(element, &path.index(index), problems);
                }
            }
            Value::Object(members) => {
                let mut filled = Map::new();
                for (name, mut member) in std::mem::take(members) {
                    let path = path.key(&name);
                    self.fill(&mut member, &path, problems);
                    match self.fill_text(&name) {
                        Ok(name) if filled.contains_key(&name) => {
                            let message = format!("`{}` is written twice", name.escape_debug());
                            problems.push(ResolveProblem {
                                path,
                                message,
                                hint: None,
                            });
                        }
                        Ok(name) => {
                            filled.insert(name, member);
                        }
                        Err((message, hint)) => problems.push(ResolveProblem {
                            path,
                            message,
                            hint: Some(hint),
                        }),
                    }
                }
                *members = filled;
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn fill_text(&self, text: &str) -> Result<String, (String, String)> {
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            if let Some(before) = before.strip_suffix('$') {
                filled.push_str(before);
                filled.push_str("${");
                rest = after;
                continue;
            }
            filled.push_str(before);
            let unclosed = || {
                (
                    "a placeholder is not closed".to_owned(),
                    "write `$${` for the characters `${` themselves".to_owned(),
                )
            };
            let (name, after) = after.split_once('}').ok_or_else(unclosed)?;
            let known = self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
            filled.push_str(known.ok_or_else(|| self.unknown(name))?);
            rest = after;
        }
        filled.push_str(rest);
        Ok(filled)
    }

    fn unknown(&self, name: &str) -> (String, String) {
        let hint = match nearest(name, self.0.iter().map(|(known, _)| *known)) {
            Some(nearest) => format!("did you mean `${{{nearest}}}`?"),
            None => {
                let known: Vec<String> = self.0.iter().map(|(known, _)| format!("`${{{known}}}`")).collect();
                format!(
                    "known here: {}; write `$${{` for the characters `${{` themselves",
                    known.join(", ")
                )
            }
        };
        (format!("unknown placeholder `${{{}}}`", name.escape_debug()), hint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_in_and_escaped_ones_are_kept() {
        let placeholders = Placeholders(vec![("application", "shop"), ("domain", "catalog")]);
        let fill = |text: &str| {
            placeholders
                .fill_text(text)
                .map_err(|(message, hint)| format!("{message} ({hint})"))
        };
        assert_eq!(fill("/ecs/${application}-${domain}").unwrap(), "/ecs/shop-catalog");
        assert_eq!(fill("curl :$${PORT} $HOME $$ $").unwrap(), "curl :${PORT} $HOME $$ $");
        assert_eq!(
            fill("${domian}").unwrap_err(),
            "unknown placeholder `${domian}` (did you mean `${domain}`?)"
        );
        assert!(fill("${open").unwrap_err().starts_with("a placeholder is not closed"));
    }
}
