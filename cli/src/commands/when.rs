//! `esclusa when`: if a version were pushed now, when would it come where. Answered by the functions that the gates are
//! asked with.

use std::fmt::Write as _;

use esclusa_adapters::control::rows::{DeploymentRow, EnvironmentRow};
use esclusa_adapters::control::{Key, Repository, Stored};
use esclusa_adapters::gates::{freezes, pin};
use esclusa_adapters::planning::written;
use esclusa_core::gate::{Forecast, GatePolicy, Standing, forecast};
use esclusa_core::hotfix::{ease, is_hotfix};
use esclusa_core::pipeline::{ApplicationName, Name, ResolvedEnvironment, Tag, resolve};
use esclusa_core::span::span;
use esclusa_core::tags::environments_for;
use esclusa_core::task_definition::Home;
use esclusa_core::wave::{in_waves, is_last, waves_of};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::json;

use super::parse;
use crate::arguments::When;
use crate::error::{CommandError, Exit};
use crate::output::{Format, Output};
use crate::pipelines;
use crate::render::words;
use crate::session::Session;

/// One environment on the way.
#[derive(Debug, Clone, Serialize)]
struct Stage {
    environment: String,
    /// When it would come to the gates; none where nobody can say.
    #[serde(skip_serializing_if = "Option::is_none")]
    arrives: Option<Timestamp>,
    #[serde(flatten)]
    forecast: Option<Forecast>,
    /// Seconds that a deployment takes there, soak and all.
    takes_seconds: i64,
    /// Whether that was measured there; otherwise it is the soak alone.
    is_measured: bool,
    /// Where its images must have been replicated to before: how long that takes nobody knows, so that it comes at the
    /// earliest when the gates open.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    replicated_to: Vec<String>,
}

impl Stage {
    /// When it would be through; none where nobody can say.
    fn through(&self) -> Option<Timestamp> {
        let opens = self.forecast.as_ref()?.opens?;
        opens.checked_add(SignedDuration::from_secs(self.takes_seconds)).ok()
    }
}

pub(super) async fn execute(command: &When, session: &Session, output: &mut Output) -> Result<Exit, CommandError> {
    parse::<ApplicationName>(&command.application)?;
    let tag: Tag = parse(&command.tag)?;
    let row = pipelines::current(session.control(), &command.application).await?;
    let pipeline = written(&row)?;
    let environments = environments_for(&pipeline, &tag)?.map_err(CommandError::refused)?;
    if command.hotfix && pipeline.hotfix.is_none() {
        return Err(CommandError::refused(format!(
            "the pipeline of `{}` declares no hotfix: add `hotfix` to it, and apply it with `esclusa pipelines apply`",
            command.application
        )));
    }
    let is_hotfix = command.hotfix || is_hotfix(&pipeline, &tag)?;
    let now = session.now()?;
    let mut at = Some(now);
    let mut stages = Vec::new();
    let waves = waves_of(&pipeline, &environments);
    for wave in in_waves(&environments, &waves) {
        let mut through = Some(Timestamp::MIN);
        for name in &wave {
            let mut environment =
                resolve(&pipeline, name).map_err(|error| CommandError::InvalidInput(error.to_string()))?;
            if is_hotfix {
                ease(&mut environment, is_last(&environments, &waves, name));
            }
            let stage = stage((&command.application, name), &environment, (at, is_hotfix), session).await?;
            // What comes after a wave waits for the last of it.
            through = through.zip(stage.through()).map(|(one, other)| one.max(other));
            stages.push(stage);
        }
        at = through;
    }
    if output.format() == Format::Json {
        output.document(&json!({"application": command.application, "tag": tag, "pushed": now, "hotfix": is_hotfix, "environments": stages}))?;
    } else {
        output.text(text(&tag, is_hotfix, now, &stages))?;
    }
    Ok(Exit::Success)
}

async fn stage(
    (application, name): (&str, &str),
    environment: &ResolvedEnvironment,
    (arrives, is_hotfix): (Option<Timestamp>, bool),
    session: &Session,
) -> Result<Stage, CommandError> {
    let soak = environment
        .verification
        .as_ref()
        .map_or(0, |policy| i64::from(policy.soak_seconds));
    let measured = rollouts_seconds(application, name, session).await?;
    let freezes = freezes(session.control(), application, name).await?;
    let pin = pin(session.control(), application, name).await?;
    let policy = GatePolicy {
        windows: environment.windows.as_ref(),
        approval: environment.approval.as_ref(),
        acknowledgements: &environment.acknowledgements,
        people: &environment.people,
        now: None,
    };
    let standing = Standing {
        freezes: &freezes,
        pin: pin.as_ref(),
        // Nobody knows the digest of what was not pushed yet.
        comes: None,
        is_hotfix,
    };
    let mut forecast = arrives.map(|arrives| forecast(&policy, &standing, arrives));
    if let Some(forecast) = forecast.as_mut().filter(|_| !environment.together.is_empty()) {
        let names = words::names(environment.together.iter().map(Name::as_str));
        forecast
            .people
            .push(format!("all of {names} must have arrived under the same tag"));
    }
    let replicated_to = if environment.replicas.is_empty() {
        Vec::new()
    } else {
        replicated_to(environment, &session.home().await?)
    };
    Ok(Stage {
        environment: name.to_owned(),
        arrives,
        forecast,
        takes_seconds: measured.unwrap_or(0).saturating_add(soak),
        is_measured: measured.is_some(),
        replicated_to,
    })
}

/// The repositories that images are replicated to before they can come into an environment.
fn replicated_to(environment: &ResolvedEnvironment, home: &Home) -> Vec<String> {
    let pulled = environment
        .replicas
        .keys()
        .filter_map(|key| environment.pulled_from(key, home));
    pulled.map(|image| Repository::of(&image, home).to_string()).collect()
}

/// How long the deployment in force took without its soak; none where there is none.
async fn rollouts_seconds(
    application: &str,
    environment: &str,
    session: &Session,
) -> Result<Option<i64>, CommandError> {
    let current: Option<Stored<EnvironmentRow>> = session
        .control()
        .get(&Key::environment(application, environment))
        .await?;
    let Some(current) = current else { return Ok(None) };
    let key = Key::deployment(&current.row.deployment_id);
    let deployment: Option<Stored<DeploymentRow>> = session.control().get(&key).await?;
    let Some(deployment) = deployment.map(|stored| stored.row) else {
        return Ok(None);
    };
    let (Some(started_at), Some(ended_at)) = (deployment.started_at, deployment.ended_at) else {
        return Ok(None);
    };
    let plan = session.journal.plan(&deployment.deployment_id).await?;
    let soak = plan.verification.map_or(0, |policy| i64::from(policy.soak_seconds));
    Ok(Some(
        ended_at
            .duration_since(started_at)
            .as_secs()
            .saturating_sub(soak)
            .max(0),
    ))
}

fn text(tag: &Tag, is_hotfix: bool, now: Timestamp, stages: &[Stage]) -> String {
    let what = if is_hotfix { ", a hotfix," } else { "" };
    let mut text = format!("`{tag}`{what} pushed now ({}) would reach\n", words::time(now));
    for stage in stages {
        // Writing to a `String` cannot fail.
        let _ = writeln!(text, "  {}", line(stage));
    }
    text
}

fn line(stage: &Stage) -> String {
    let Stage {
        environment,
        forecast,
        takes_seconds,
        is_measured,
        replicated_to,
        ..
    } = stage;
    let Some(Forecast { opens, waits, people }) = forecast else {
        return format!("`{environment}` after that");
    };
    let when = match opens {
        Some(opens) if !replicated_to.is_empty() => format!(
            "not before {}, once it has been replicated to {}, which cannot be predicted",
            words::time(*opens),
            words::names(replicated_to)
        ),
        Some(opens) => format!("at {}", words::time(*opens)),
        None => "once somebody lets it through".to_owned(),
    };
    let agreed = if people.is_empty() {
        String::new()
    } else {
        format!(" ({} first)", people.join(" and "))
    };
    let waits: Vec<String> = waits.iter().map(words::gate).collect();
    let waits = if waits.is_empty() {
        String::new()
    } else {
        format!("; it waits for {}", waits.join(", then "))
    };
    let least = if *is_measured { "about" } else { "at least" };
    let takes = span(SignedDuration::from_secs(*takes_seconds));
    format!("`{environment}` {when}{agreed}, which takes {least} {takes}{waits}")
}
