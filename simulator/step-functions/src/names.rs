//! Names and ARNs of state machines and executions.

use simulator_kernel::{ApiError, Kernel, Principal};

/// The longest name of a state machine, an execution or a state, in characters.
pub(crate) const NAME_LENGTH: usize = 80;

/// The ARN of a state machine.
pub(crate) fn state_machine_arn(kernel: &Kernel, name: &str) -> String {
    kernel.arn("states", &format!("stateMachine:{name}"))
}

/// The ARN of an execution of the state machine with this name.
pub(crate) fn execution_arn(kernel: &Kernel, state_machine: &str, execution: &str) -> String {
    kernel.arn("states", &format!("execution:{state_machine}:{execution}"))
}

/// Checks the name of a state machine or an execution by the rules of `StartExecution`.
pub(crate) fn check_name(name: &str) -> Result<(), ApiError> {
    let length = name.chars().count();
    if !(1..=NAME_LENGTH).contains(&length) {
        return Err(ApiError::client(
            "InvalidName",
            format!("`{name}` has {length} characters: a name has 1 to {NAME_LENGTH}"),
        ));
    }
    match name.chars().find(|character| is_forbidden(*character)) {
        Some(character) => Err(ApiError::client(
            "InvalidName",
            format!("`{name}` contains {character:?}, which a name must not"),
        )),
        None => Ok(()),
    }
}

/// Whitespace, brackets, wildcards, special and control characters. Surrogates cannot occur in a Rust string.
fn is_forbidden(character: char) -> bool {
    character.is_whitespace()
        || character.is_control()
        || "<>{}[]?*\"#%\\^|~`$&,;:/".contains(character)
        || matches!(character, '\u{FFFE}' | '\u{FFFF}' | '\u{10FFFF}')
}

/// Checks that `arn` is an ARN of Step Functions of the kind `kind`, such as `stateMachine` or `execution`.
pub(crate) fn check_arn(arn: &str, kind: &str) -> Result<(), ApiError> {
    let mut parts = arn.split(':');
    let valid = parts.next() == Some("arn")
        && parts.next().is_some_and(|partition| !partition.is_empty())
        && parts.next() == Some("states")
        && parts.next().is_some_and(|region| !region.is_empty())
        && parts.next().is_some_and(|account| !account.is_empty())
        && parts.next() == Some(kind)
        && parts.next().is_some_and(|name| !name.is_empty());
    if valid {
        Ok(())
    } else {
        Err(ApiError::client(
            "InvalidArn",
            format!("`{arn}` is not the ARN of a {kind}"),
        ))
    }
}

/// The role on whose behalf the executions of a state machine call other services.
pub(crate) fn role(role_arn: &str) -> Result<Principal, ApiError> {
    let name = role_arn
        .split_once(":role/")
        .filter(|(account, _)| account.starts_with("arn:") && account.contains(":iam::"))
        .and_then(|(_, path)| path.rsplit('/').next())
        .filter(|name| !name.is_empty());
    match name {
        Some(name) => Ok(Principal::Role(name.to_owned())),
        None => Err(ApiError::client(
            "InvalidArn",
            format!("`{role_arn}` is not the ARN of a role"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_to_the_rules_of_start_execution() {
        for good in [
            "a",
            "catalog-prod-0f3a_1",
            "Grüße",
            "(round)",
            "a.b",
            "a=b",
            "a@b!",
            &"x".repeat(80),
        ] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "a b",
            "a\tb",
            "a<b",
            "a>b",
            "{a}",
            "[a]",
            "a?",
            "a*",
            "\"a\"",
            "a#b",
            "a%b",
            "a\\b",
            "a^b",
            "a|b",
            "a~b",
            "a`b",
            "a$b",
            "a&b",
            "a,b",
            "a;b",
            "sha256:0f",
            "a/b",
            "a\u{0}",
            "a\u{7f}",
            "a\u{85}",
            &"x".repeat(81),
        ] {
            assert_eq!(check_name(bad).unwrap_err().code, "InvalidName", "{bad}");
        }
    }

    #[test]
    fn a_role_is_named_by_the_end_of_its_path() {
        assert_eq!(
            role("arn:aws:iam::123456789012:role/release").unwrap(),
            Principal::Role("release".to_owned())
        );
        assert_eq!(
            role("arn:aws:iam::123456789012:role/a/b/release").unwrap(),
            Principal::Role("release".to_owned())
        );
        assert_eq!(role("release").unwrap_err().code, "InvalidArn");
    }

    #[test]
    fn an_arn_of_another_kind_is_refused() {
        let execution = "arn:aws:states:us-east-1:123456789012:execution:release:one";
        assert!(check_arn(execution, "execution").is_ok());
        assert_eq!(check_arn(execution, "stateMachine").unwrap_err().code, "InvalidArn");
        assert_eq!(check_arn("garbage", "execution").unwrap_err().code, "InvalidArn");
    }
}
