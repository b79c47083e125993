//! `esclusa doctor`: whether everything is as it must be.

mod clock;
mod delivery;
mod looking;
mod pipelines;
mod stack;

use esclusa_core::doctor::{Finding, Observed, Seen, SlackFacts, Status, diagnose};
use serde_json::json;

use crate::arguments::Doctor;
use crate::error::{CommandError, Exit};
use crate::output::{Format, Output};
use crate::render::{palette, words};
use crate::session::Session;

/// What follows the name of the stack in the name of its control table.
const CONTROL: &str = "-control";

pub(super) async fn execute(command: &Doctor, session: &Session, output: &mut Output) -> Result<Exit, CommandError> {
    let stack = match (session.stack(), session.control_table().strip_suffix(CONTROL)) {
        (Some(stack), _) => stack.to_owned(),
        (None, Some(stack)) => stack.to_owned(),
        (None, None) => {
            return Err(CommandError::InvalidInput(format!(
                "the name of the control table, `{}`, does not say that of the stack: give `--stack NAME`",
                session.control_table()
            )));
        }
    };
    let observed = observe(&stack, command.application.as_deref(), session, output).await?;
    let findings = diagnose(&observed);
    if output.format() == Format::Json {
        output.document(&json!({"stack": stack, "findings": findings}))?;
    } else {
        output.text(told(&findings))?;
    }
    let is_ill = findings.iter().any(|finding| finding.status == Status::Problem);
    Ok(if is_ill { Exit::Failure } else { Exit::Success })
}

async fn observe(
    stack: &str,
    application: Option<&str>,
    session: &Session,
    output: &mut Output,
) -> Result<Observed, CommandError> {
    // Who cannot even be known can look at nothing.
    let home = session.home().await?;
    let partition = session.caller().await?.partition().to_owned();
    output.moment("looking at the stack".to_owned());
    let functions = stack::functions(stack, session).await;
    let (rules, push) = stack::rules(stack, session).await;
    let alarms = delivery::alarms(stack, session).await;
    let observed = Observed {
        clock_ahead: clock::ahead(session).await,
        tables: stack::tables(stack, session).await,
        machines: stack::machines(stack, &partition, &home, &functions, session).await,
        schedules: stack::schedules(stack, session).await,
        dead_letters: delivery::dead_letters(stack, session).await,
        topics: delivery::topics(&alarms, session).await,
        slack: SlackFacts::default(),
        stack: stack.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        now: session.now()?,
        functions,
        rules,
        alarms,
        pipelines: Seen::Absent,
    };
    output.moment("looking at the pipelines".to_owned());
    let pipelines = pipelines::all(application, &home, &push, session).await;
    let told = pipelines.found().into_iter().flatten();
    let channels = told.flat_map(|pipeline| pipeline.channels.clone()).collect();
    Ok(Observed {
        slack: delivery::slack(stack, &observed.functions, &channels, session).await,
        pipelines,
        ..observed
    })
}

/// The findings for people: what is well on one line, what is not with what helps.
fn told(findings: &[Finding]) -> String {
    let mut text = String::new();
    let mut group = None;
    for finding in findings {
        if group != Some(&finding.group) {
            let blank = if group.is_some() { "\n" } else { "" };
            text.push_str(&format!("{blank}{}\n", palette::heading(&finding.group)));
            group = Some(&finding.group);
        }
        let status = format!("{:<7}", finding.status.as_str());
        let status = match finding.status {
            Status::Ok => palette::good(status).to_string(),
            Status::Warning => palette::warning(status).to_string(),
            Status::Problem => palette::error(status).to_string(),
            Status::Unknown => palette::faint(status).to_string(),
        };
        let printable = |text: &str| text.replace(char::is_control, " ");
        text.push_str(&format!(
            "  {status}  {}: {}\n",
            printable(&finding.check),
            printable(&finding.seen)
        ));
        if let Some(help) = &finding.help {
            text.push_str(&format!("           → {}\n", printable(help)));
        }
    }
    text.push_str(&format!("\n{}\n", summary(findings)));
    text
}

/// How many findings there are of each kind, the worst first.
fn summary(findings: &[Finding]) -> String {
    let count = |status| findings.iter().filter(|finding| finding.status == status).count();
    let parts = [(Status::Problem, "problem"), (Status::Warning, "warning")]
        .map(|(status, noun)| (count(status), words::count(count(status), noun)));
    let mut parts: Vec<String> = parts
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(_, text)| text)
        .collect();
    if count(Status::Unknown) > 0 {
        parts.push(format!("{} unknown", count(Status::Unknown)));
    }
    parts.push(format!("{} ok", count(Status::Ok)));
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_grouped_and_what_is_not_well_says_what_helps() {
        let finding = |group: &str, check: &str, status, help: Option<&str>| Finding {
            group: group.to_owned(),
            check: check.to_owned(),
            status,
            seen: "as it was seen".to_owned(),
            help: help.map(str::to_owned),
        };
        let findings = [
            finding("stack", "table esclusa-control", Status::Ok, None),
            finding(
                "stack",
                "table esclusa-ledger",
                Status::Problem,
                Some("`aws dynamodb …`"),
            ),
            finding(
                "pipeline shop",
                "production: service web",
                Status::Warning,
                Some("turn it on"),
            ),
            finding(
                "pipeline shop",
                "production: alarm\nerrors",
                Status::Unknown,
                Some("ask"),
            ),
        ];
        insta::assert_snapshot!(anstream::adapter::strip_str(&told(&findings)).to_string());
    }
}
