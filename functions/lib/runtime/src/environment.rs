//! The environment variables of a function.

use std::collections::BTreeMap;
use std::str::FromStr;

use esclusa_core::error::Failure;

/// The environment variables of a function. Only `main` takes them from the process.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Environment(BTreeMap<String, String>);

/// Lambda keeps credentials in the environment: only names are printed.
impl std::fmt::Debug for Environment {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_set().entries(self.0.keys()).finish()
    }
}

impl Environment {
    /// The variables of this process; those that are no Unicode are left out.
    #[must_use]
    pub fn of_process() -> Self {
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect()
    }

    /// The value of `name`; an empty one counts as none.
    #[must_use]
    pub fn optional(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The value of a variable that the function cannot do without.
    ///
    /// # Errors
    /// `Defect`: it is not set.
    pub fn required(&self, name: &str) -> Result<&str, Failure> {
        self.optional(name).ok_or_else(|| {
            Failure::defect(format!(
                "environment variable `{name}` is not set; the template sets it, so deploy esclusa again: `scripts/deploy`"
            ))
        })
    }

    /// The value of `name`, read as a `T`.
    ///
    /// # Errors
    /// `Defect`: it is set and cannot be read.
    pub fn parsed<T: FromStr>(&self, name: &str) -> Result<Option<T>, Failure> {
        let read = |value: &str| {
            value
                .parse()
                .map_err(|_| Failure::defect(format!("environment variable `{name}` has the wrong form: `{value}`")))
        };
        self.optional(name).map(read).transpose()
    }

    /// Whether `name` is switched on: `1`, `true` or `on`.
    #[must_use]
    pub fn flag(&self, name: &str) -> bool {
        self.optional(name)
            .is_some_and(|value| ["1", "true", "on"].contains(&value.to_ascii_lowercase().as_str()))
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        Self(
            variables
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use esclusa_core::error::ErrorKind;

    use super::*;

    #[test]
    fn a_required_variable_that_is_not_set_is_named_with_what_helps() {
        let environment = Environment::from_iter([("ESCLUSA_LEDGER_TABLE", "")]);
        for name in ["ESCLUSA_CONTROL_TABLE", "ESCLUSA_LEDGER_TABLE"] {
            let failure = environment.required(name).unwrap_err();
            assert_eq!(failure.kind, ErrorKind::Defect);
            assert!(
                failure
                    .message
                    .starts_with(&format!("environment variable `{name}` is not set")),
                "{failure}"
            );
        }
    }

    #[test]
    fn values_are_read_in_the_form_they_are_asked_for() {
        let environment = Environment::from_iter([("COUNT", "7"), ("WRONG", "seven"), ("ON", "True"), ("OFF", "0")]);
        assert_eq!(environment.required("COUNT").unwrap(), "7");
        assert_eq!(environment.parsed::<u32>("COUNT").unwrap(), Some(7));
        assert_eq!(environment.parsed::<u32>("ABSENT").unwrap(), None);
        assert!(
            environment
                .parsed::<u32>("WRONG")
                .unwrap_err()
                .message
                .contains("`seven`")
        );
        assert!(environment.flag("ON") && !environment.flag("OFF") && !environment.flag("ABSENT"));
    }

    #[test]
    fn values_are_not_printed() {
        let environment = Environment::from_iter([("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI")]);
        assert_eq!(format!("{environment:?}"), r#"{"AWS_SECRET_ACCESS_KEY"}"#);
    }
}
