//! Asking for a release, and following it to its end.

use std::time::Duration;

use esclusa_adapters::requests::{HOTFIX, ReleaseRequest};
use esclusa_core::canonical::canonical_sha256;
use esclusa_core::error::Failure;
use esclusa_core::pipeline::{ApplicationName, EnvironmentName, Name};
use esclusa_core::span::span;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{WHY, check_reason, parse};
use crate::arguments::Request;
use crate::error::{CommandError, Exit};
use crate::output::{Format, Output};
use crate::render::{palette, words};
use crate::session::Session;
use crate::situation::{self, ReleaseSituation};

/// How often a release is looked at.
const INTERVAL: Duration = Duration::from_secs(3);

/// How many looks in a row may fail before following ends.
pub(super) const FAILURES: usize = 20;

/// Hexadecimal digits of a request id.
const REQUEST_ID_DIGITS: usize = 32;

/// The release that `intake` answers with.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Asked {
    release_id: String,
    execution_arn: String,
}

/// Asks for a release and, unless told otherwise, follows it.
pub(super) async fn execute(
    wish: &ReleaseRequest,
    request: &Request,
    session: &Session,
    output: &mut Output,
) -> Result<Exit, CommandError> {
    parse::<ApplicationName>(&wish.application)?;
    parse::<EnvironmentName>(&wish.environment)?;
    wish.image.as_deref().map(parse::<Name>).transpose()?;
    wish.reason
        .as_deref()
        .map(|reason| check_reason(reason, WHY))
        .transpose()?;
    let caller = session.caller().await?.arn;
    let request_id = match &request.request_id {
        Some(request_id) => request_id.clone(),
        // Whoever asks the same at the same nanosecond asks once.
        None => canonical_sha256(&json!([session.now()?, caller, wish]))
            .chars()
            .take(REQUEST_ID_DIGITS)
            .collect(),
    };
    let answer = match session.console() {
        Some(console) => {
            let (path, body) = posted(wish, &request_id)?;
            console.post(&path, &body).await
        }
        None => session.request(&wish.payload(&request_id, &caller)?).await,
    };
    let answer = answer.map_err(|failure| {
        if failure.kind.is_retryable() {
            failure.context(format!(
                "nobody knows whether the release was made: the same command with `--request-id {request_id}` asks for no second one"
            ))
        } else {
            failure
        }
    })?;
    let asked = Asked::deserialize(&answer)
        .map_err(|error| Failure::defect(format!("the answer of the function cannot be read: {error}")))?;
    output.note(format_args!(
        "release `{}` requested: {}",
        asked.release_id, asked.execution_arn
    ))?;
    if request.no_wait {
        return asked_only(&asked, output);
    }
    if output.is_animated() {
        output.note(palette::faint("following it; Ctrl-C stops following, not the release"))?;
    }
    follow(&asked, session, output).await
}

/// The address of the console that takes a request, with what is asked for in it, and the fields.
fn posted(wish: &ReleaseRequest, request_id: &str) -> Result<(String, Value), Failure> {
    let document = serde_json::to_value(wish).map_err(|error| Failure::defect(error.to_string()))?;
    let Value::Object(mut fields) = document else {
        return Err(Failure::defect("a request is no object"));
    };
    let kind = fields.remove("kind");
    let kind = kind.as_ref().and_then(Value::as_str).unwrap_or_default();
    let kind = match fields.remove("hotfix") {
        Some(Value::Bool(true)) => HOTFIX,
        _ => kind,
    };
    fields.insert("requestId".to_owned(), json!(request_id));
    Ok((format!("/releases/{kind}"), Value::Object(fields)))
}

fn asked_only(asked: &Asked, output: &mut Output) -> Result<Exit, CommandError> {
    let Asked {
        release_id,
        execution_arn,
    } = asked;
    if output.format() == Format::Json {
        output.document(&json!({"release_id": release_id, "execution_arn": execution_arn}))?;
    } else {
        output.line(release_id)?;
        output.note(format_args!(
            "`esclusa status --release {release_id} --watch` follows it"
        ))?;
    }
    Ok(Exit::Success)
}

/// Shows what changes until the release has ended.
async fn follow(asked: &Asked, session: &Session, output: &mut Output) -> Result<Exit, CommandError> {
    let mut shown: Vec<String> = Vec::new();
    let mut failures = 0;
    loop {
        match look(&asked.release_id, session).await {
            Ok(release) if release.end.is_some() => return ended(asked, &release, output),
            Ok(release) => {
                failures = 0;
                let lines = release.lines();
                let now = session.now()?;
                for line in lines.iter().filter(|line| !shown.contains(line)) {
                    output.note(format_args!("{}  {line}", words::time(now)))?;
                }
                output.moment(format!(
                    "{} since {}",
                    asked.release_id,
                    span(now.duration_since(release.created_at))
                ));
                shown = lines;
            }
            Err(failure) if failure.kind.is_retryable() && failures < FAILURES => {
                failures += 1;
                output.moment(failure.message);
            }
            Err(failure) => {
                return Err(failure.context(continues(&asked.release_id)).into());
            }
        }
        session.pause(INTERVAL).await?;
    }
}

/// What is said where following ends before the release does.
pub(super) fn continues(release_id: &str) -> String {
    format!("the release continues: `esclusa status --release {release_id}`")
}

async fn look(release_id: &str, session: &Session) -> Result<ReleaseSituation, Failure> {
    let row = session.journal.release(release_id).await?;
    situation::release(&session.journal, &row.row).await
}

fn ended(asked: &Asked, release: &ReleaseSituation, output: &mut Output) -> Result<Exit, CommandError> {
    if output.format() == Format::Json {
        let mut document = serde_json::to_value(release).map_err(std::io::Error::from)?;
        if let Some(members) = document.as_object_mut() {
            members.insert("execution_arn".to_owned(), json!(asked.execution_arn));
        }
        output.document(&document)?;
    } else {
        output.text(conclusion(release))?;
    }
    Ok(exit(release))
}

/// What became of a release, in lines.
pub(super) fn conclusion(release: &ReleaseSituation) -> String {
    let Some(end) = &release.end else { return String::new() };
    let verdict = end.verdict.to_string();
    let verdict = if end.verdict.is_in_force() {
        palette::good(verdict).to_string()
    } else {
        palette::error(verdict).to_string()
    };
    let mut text = format!("{verdict}, effect {}\n", end.effect);
    for reason in &end.reasons {
        text.push_str(&format!("  {reason}\n"));
    }
    if !end.verdict.is_in_force() {
        text.push_str(&format!(
            "`esclusa audit --release {}` shows what happened\n",
            release.release_id
        ));
    }
    if end.effect.is_dirty() {
        text.push_str(&format!(
            "{} no deployments there until a person has looked: `esclusa locks`\n",
            palette::warning("attention:")
        ));
    }
    text
}

/// The exit that tells what became of a release; success while it is on its way.
pub(super) fn exit(release: &ReleaseSituation) -> Exit {
    match &release.end {
        Some(end) if !end.verdict.is_in_force() => Exit::Failure,
        Some(_) | None => Exit::Success,
    }
}

#[cfg(test)]
mod tests {
    use esclusa_adapters::control::rows::{Progress, ReleaseKind};
    use esclusa_core::verdict::{Effect, End, Reason, Verdict};

    use super::*;

    fn ended(verdict: Verdict, effect: Effect, reasons: &[&str]) -> ReleaseSituation {
        let at = "2026-11-21T14:05:07Z".parse().unwrap();
        let reasons = reasons.iter().map(|reason| (*reason).to_owned()).collect();
        ReleaseSituation {
            release_id: "shop-0f0f0f0f0f0f0f0f0f0f".to_owned(),
            application: "shop".to_owned(),
            kind: ReleaseKind::Deploy,
            tag: "v1.4.0".to_owned(),
            digest: format!("sha256:{}", "0f".repeat(32)),
            requested_by: "arn:aws:iam::123456789012:user/ana".to_owned(),
            reason: None,
            progress: Progress::Ended,
            created_at: at,
            ended_at: Some(at),
            end: Some(End {
                verdict,
                effect,
                reason: Reason::Proven,
                reasons,
            }),
            environments: Vec::new(),
        }
    }

    #[test]
    fn only_a_release_in_force_is_a_success_and_a_dirty_one_names_the_way_out() {
        let proven = ended(
            Verdict::Succeeded,
            Effect::None,
            &["the release is in force in `develop`"],
        );
        let unchanged = ended(Verdict::Unchanged, Effect::None, &[]);
        let back = ended(
            Verdict::RolledBack,
            Effect::Reverted,
            &["the rollout of `api` failed", "ECS brought it back"],
        );
        let dirty = ended(Verdict::Failed, Effect::Unknown, &["nothing proves what `migrate` did"]);
        assert_eq!([&proven, &unchanged].map(exit), [Exit::Success; 2]);
        assert_eq!([&back, &dirty].map(exit), [Exit::Failure; 2]);
        let text: String = [proven, unchanged, back, dirty]
            .iter()
            .map(conclusion)
            .collect::<Vec<_>>()
            .join("\n");
        insta::assert_snapshot!(anstream::adapter::strip_str(&text).to_string());
    }
}
