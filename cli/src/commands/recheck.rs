//! `esclusa recheck`: looks once more whether what was verified works.

use esclusa_adapters::control::rows::EnvironmentRow;
use esclusa_adapters::control::{Key, Stored};
use esclusa_core::pipeline::{ApplicationName, EnvironmentName};
use serde_json::{Value, json};

use super::parse;
use crate::arguments::Recheck;
use crate::error::{CommandError, Exit};
use crate::output::{Format, Output};
use crate::render::palette;
use crate::session::Session;

pub(super) async fn execute(command: &Recheck, session: &Session, output: &mut Output) -> Result<Exit, CommandError> {
    let Recheck {
        application,
        environment,
    } = command;
    parse::<ApplicationName>(application)?;
    parse::<EnvironmentName>(environment)?;
    let current: Option<Stored<EnvironmentRow>> = session
        .control()
        .get(&Key::environment(application, environment))
        .await?;
    let Some(current) = current else {
        return Err(CommandError::refused(format!(
            "nothing has been deployed into `{environment}` of `{application}` yet: see `esclusa status`"
        )));
    };
    let answer = session
        .observe(&json!({"action": "recheck", "deploymentId": current.row.deployment_id}))
        .await?;
    if answer.get("checked") != Some(&json!(true)) {
        let why = answer
            .get("why")
            .and_then(Value::as_str)
            .unwrap_or("no reason was given");
        return Err(CommandError::refused(format!(
            "`{}` cannot be checked: {why}",
            current.row.tag
        )));
    }
    let result = answer.get("result").cloned().unwrap_or_default();
    let holds = result.get("holds") == Some(&json!(true));
    if output.format() == Format::Json {
        output.document(&result)?;
    } else {
        output.text(told(&current.row.tag, environment, holds, &result))?;
    }
    Ok(if holds { Exit::Success } else { Exit::Failure })
}

fn told(tag: &str, environment: &str, holds: bool, result: &Value) -> String {
    let mut text = String::new();
    for measured in result.get("checks").and_then(Value::as_array).into_iter().flatten() {
        let said = |member: &str| measured.get(member).and_then(Value::as_str).unwrap_or_default();
        text.push_str(&format!(
            "  `{}` {}: {}\n",
            said("check"),
            said("outcome"),
            said("sentence")
        ));
    }
    let changed = result.get("changed") == Some(&json!(true));
    let verdict = match (holds, changed) {
        (true, true) => palette::good(format!("`{tag}` works again in `{environment}`")).to_string(),
        (true, false) => palette::good(format!("the verification of `{tag}` in `{environment}` holds")).to_string(),
        (false, _) => palette::error(format!(
            "`{tag}` fails verification in `{environment}`: it goes no further, and no rollback returns to it"
        ))
        .to_string(),
    };
    format!("{text}{verdict}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recheck_shows_every_check_and_what_it_comes_to() {
        let told = |holds, changed| {
            let checks = json!([{"check": "errors", "outcome": if holds { "pass" } else { "fail" }, "sentence": "in `ALARM`: `shop-errors`"}]);
            let text = told(
                "v1.4.0",
                "staging",
                holds,
                &json!({"checks": checks, "changed": changed}),
            );
            anstream::adapter::strip_str(&text).to_string()
        };
        insta::assert_snapshot!([told(false, true), told(true, true), told(true, false)].join("\n"));
    }
}
