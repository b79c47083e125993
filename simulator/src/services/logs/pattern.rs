//! Filter patterns over lines without structure: words and quoted phrases, all of which, or one of which with `?`, must
//! be in the line. <https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html>
//!
//! Patterns over JSON and over columns, regular expressions, and terms that must not be there are refused by name.

use simulator_kernel::ApiError;

/// What a line must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FilterPattern {
    terms: Vec<String>,
    /// Whether one of the terms is enough.
    any: bool,
}

impl FilterPattern {
    /// Reads `ERROR`, `ERROR "no connection"` or `?ERROR ?FATAL`. An empty pattern matches every line.
    ///
    /// # Errors
    /// `UnsupportedBySimulatorException` for every other pattern.
    pub(super) fn parse(text: &str) -> Result<Self, ApiError> {
        let mut terms = Vec::new();
        let mut optional = 0_usize;
        let mut rest = text.trim_start();
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix('?') {
                optional = optional.saturating_add(1);
                rest = after;
            }
            let (term, after) = match rest.strip_prefix('"') {
                Some(quoted) => quoted
                    .split_once('"')
                    .ok_or_else(|| unsupported(text, "an open quotation mark"))?,
                None => rest.split_at(rest.find(char::is_whitespace).unwrap_or(rest.len())),
            };
            let is_quoted = rest.starts_with('"');
            let is_word = term.chars().all(|each| each.is_alphanumeric() || each == '_');
            if term.is_empty()
                || !(is_quoted || is_word)
                || !(after.is_empty() || after.starts_with(char::is_whitespace))
            {
                return Err(unsupported(text, "something else than words and quoted phrases"));
            }
            terms.push(term.to_owned());
            rest = after.trim_start();
        }
        if optional > 0 && optional < terms.len() {
            return Err(unsupported(text, "terms with `?` beside others"));
        }
        Ok(Self {
            terms,
            any: optional > 0,
        })
    }

    /// Whether a line is as the pattern asks. Upper and lower case are different.
    pub(super) fn matches(&self, line: &str) -> bool {
        let mut found = self.terms.iter().map(|term| has_term(line, term));
        if self.any {
            found.any(|found| found)
        } else {
            found.all(|found| found)
        }
    }
}

/// Whether a term stands in a line as whole words.
fn has_term(line: &str, term: &str) -> bool {
    let is_inside = |outer: Option<char>, inner: Option<char>| {
        outer.is_some_and(char::is_alphanumeric) && inner.is_some_and(char::is_alphanumeric)
    };
    line.match_indices(term).any(|(at, _)| {
        let (before, from) = line.split_at_checked(at).unwrap_or_default();
        let after = from.strip_prefix(term).unwrap_or_default();
        !is_inside(before.chars().next_back(), term.chars().next())
            && !is_inside(after.chars().next(), term.chars().next_back())
    })
}

fn unsupported(pattern: &str, what: &str) -> ApiError {
    ApiError::unsupported(format_args!(
        "{what} in the filter pattern `{pattern}` of `FilterLogEvents`"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_all_terms_or_one_of_the_optional_ones() {
        for (pattern, line, matches) in [
            ("", "anything", true),
            ("ERROR", "[ERROR 400] BAD REQUEST", true),
            ("ERROR", "error", false),
            ("ERROR", "3 ERRORS", false),
            ("ERROR REQUEST", "[ERROR 400] BAD REQUEST", true),
            ("ERROR timeout", "[ERROR 400] BAD REQUEST", false),
            ("\"BAD REQUEST\"", "[ERROR 400] BAD REQUEST", true),
            ("\"REQUEST BAD\"", "[ERROR 400] BAD REQUEST", false),
            ("\"[ERROR\"", "[ERROR 400] BAD REQUEST", true),
            ("?ERROR ?FATAL", "FATAL: no room", true),
            ("?ERROR ?\"no room\"", "FATAL: no room", true),
            ("?ERROR ?FATAL", "all is well", false),
        ] {
            let parsed = FilterPattern::parse(pattern).unwrap();
            assert_eq!(parsed.matches(line), matches, "`{pattern}` in `{line}`");
        }
    }

    #[test]
    fn other_patterns_are_refused_by_name() {
        for pattern in [
            "{ $.level = \"ERROR\" }",
            "[ip, user, status = 5*]",
            "%ERROR|FATAL%",
            "ERROR -timeout",
            "?ERROR REQUEST",
            "ERROR:",
            "\"ERROR",
            "?",
        ] {
            let error = FilterPattern::parse(pattern).unwrap_err().to_string();
            assert!(error.contains(&format!("`{pattern}`")), "{error}");
        }
    }
}
