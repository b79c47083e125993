//! `esclusa why`: why a version runs in an environment, or why it does not.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use esclusa_adapters::control::rows::{EnvironmentRow, GatesRow, ReleasePointerRow, ReleaseRow};
use esclusa_adapters::control::{Key, Stored};
use esclusa_adapters::planning::{release_in_force, written};
use esclusa_core::error::Failure;
use esclusa_core::gate::{Vote, person_of};
use esclusa_core::pipeline::{ApplicationName, EnvironmentName, Pipeline, Tag, Trigger};
use esclusa_core::tags::TagRules;
use esclusa_core::version::Version;
use serde::Serialize;
use serde_json::json;

use super::parse;
use crate::arguments::Why;
use crate::error::{CommandError, Exit};
use crate::output::{Format, Output};
use crate::pipelines;
use crate::render::words;
use crate::session::Session;
use crate::situation::{self, AtGates, ReleaseSituation};

/// How many of the newest releases are looked through for a version.
const LOOKED_THROUGH: usize = 200;

/// How many releases of a version are told of.
const TOLD: usize = 3;

/// What is known about a version and an environment.
#[derive(Debug, Clone, Serialize)]
struct Story {
    application: String,
    environment: String,
    /// What runs there.
    in_force: Option<EnvironmentRow>,
    /// The releases of the version, the newest first.
    releases: Vec<Told>,
    /// Why a push of the version does not come there, where it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_taken: Option<String>,
}

/// A release, as far as it concerns the environment.
#[derive(Debug, Clone, Serialize)]
struct Told {
    #[serde(flatten)]
    release: ReleaseSituation,
    /// Whether its image is what runs there.
    is_in_force: bool,
    /// What the gates said last.
    #[serde(skip_serializing_if = "Option::is_none")]
    gates: Option<GatesRow>,
    /// What people said about it there.
    votes: Vec<Vote>,
}

pub(super) async fn execute(command: &Why, session: &Session, output: &mut Output) -> Result<Exit, CommandError> {
    let Why {
        application,
        environment,
        version,
    } = command;
    parse::<ApplicationName>(application)?;
    parse::<EnvironmentName>(environment)?;
    let version: Option<Version> = version.as_deref().map(parse).transpose()?;
    let row = pipelines::current(session.control(), application).await?;
    let pipeline = written(&row)?;
    let in_force: Option<Stored<EnvironmentRow>> = session
        .control()
        .get(&Key::environment(application, environment))
        .await?;
    let in_force = in_force.map(|stored| stored.row);
    let rows = match (&version, &in_force) {
        (Some(version), _) => {
            let mut ids = newest(application, session).await?;
            if let Some(in_force) = &in_force {
                ids.extend(in_force_there(application, environment, in_force, session).await?);
            }
            of_version(ids, version, session).await?
        }
        (None, Some(in_force)) => vec![session.journal.release(&in_force.release_id).await?.row],
        (None, None) => {
            return Err(CommandError::refused(format!(
                "nothing deployed by Esclusa runs in `{application}/{environment}`: name a version with `--version`"
            )));
        }
    };
    let mut releases = Vec::new();
    // What runs comes first, told by its digest: an environment with several images has one row.
    let runs = |row: &ReleaseRow| {
        let digest = in_force.as_ref().and_then(|in_force| in_force.digests.get(&row.image));
        digest == Some(&row.digest)
    };
    let running = rows.iter().filter(|row| runs(row));
    let others = rows.iter().filter(|row| !runs(row));
    for row in running.chain(others).take(TOLD) {
        releases.push(told_of(row, environment, runs(row), session).await?);
    }
    let story = Story {
        application: application.clone(),
        environment: environment.clone(),
        in_force,
        releases,
        not_taken: match &version {
            Some(Version::Tag(tag)) => not_taken(&pipeline, environment, tag)?,
            Some(Version::Digest(_)) | None => None,
        },
    };
    if output.format() == Format::Json {
        output.document(&json!(story))?;
    } else {
        output.text(text(&story, version.as_ref()))?;
    }
    Ok(Exit::Success)
}

/// The newest releases of an application, the newest first.
async fn newest(application: &str, session: &Session) -> Result<Vec<String>, Failure> {
    let pointers: Vec<(String, Stored<ReleasePointerRow>)> = session
        .control()
        .latest(&Key::releases_of(application), "", LOOKED_THROUGH)
        .await?;
    Ok(pointers
        .into_iter()
        .map(|(_, pointer)| pointer.row.release_id)
        .collect())
}

/// The releases that brought the images in force, however many have come since.
async fn in_force_there(
    application: &str,
    environment: &str,
    in_force: &EnvironmentRow,
    session: &Session,
) -> Result<Vec<String>, Failure> {
    let mut ids = vec![in_force.release_id.clone()];
    for image in in_force.digests.keys() {
        let release = release_in_force(session.control(), application, environment, image).await?;
        ids.extend(release.map(|release| release.release_id));
    }
    Ok(ids)
}

/// Those releases that are of a version, in their order and each once.
async fn of_version(ids: Vec<String>, version: &Version, session: &Session) -> Result<Vec<ReleaseRow>, Failure> {
    let mut releases = Vec::new();
    let mut seen = BTreeSet::new();
    for id in ids.into_iter().filter(|id| seen.insert(id.clone())) {
        let release = session.journal.release(&id).await?.row;
        let is_it = match version {
            Version::Tag(tag) => release.tag == tag.as_str(),
            Version::Digest(digest) => release.digest == digest.as_str(),
        };
        if is_it {
            releases.push(release);
        }
    }
    Ok(releases)
}

async fn told_of(row: &ReleaseRow, environment: &str, is_in_force: bool, session: &Session) -> Result<Told, Failure> {
    let release = situation::release(&session.journal, row).await?;
    let here = release
        .environments
        .iter()
        .find(|there| there.environment == environment);
    let deployment = here.and_then(|here| here.deployment.as_ref());
    let gates: Option<Stored<GatesRow>> = match deployment {
        Some(deployment) => session.control().get(&Key::gates(&deployment.deployment_id)).await?,
        None => None,
    };
    let partition = Key::vote_rows(&row.release_id, environment);
    let votes: Vec<(String, Stored<Vote>)> = session.control().list(&partition, "").await?;
    let mut votes: Vec<Vote> = votes.into_iter().map(|(_, stored)| stored.row).collect();
    votes.sort_by_key(|vote| vote.at);
    Ok(Told {
        release,
        is_in_force,
        gates: gates.map(|stored| stored.row),
        votes,
    })
}

/// Why a push of a tag does not come into an environment, where it does not.
fn not_taken(pipeline: &Pipeline, environment: &str, tag: &Tag) -> Result<Option<String>, CommandError> {
    let Some(environment) = pipeline.environment(environment) else {
        return Err(CommandError::InvalidInput(format!(
            "the pipeline of `{}` has no environment `{environment}`",
            pipeline.application
        )));
    };
    let rules = TagRules::new(&environment.tags).map_err(|error| Failure::defect(error.to_string()))?;
    let decision = rules.decide(tag);
    Ok(match environment.trigger {
        _ if !decision.is_allowed() => Some(format!(
            "the tags of `{}` do not accept `{tag}`: {decision}",
            environment.name
        )),
        Trigger::Manual => Some(format!(
            "pushes do not reach `{}`: a person deploys there with `esclusa deploy`",
            environment.name
        )),
        Trigger::Push => None,
    })
}

fn text(story: &Story, version: Option<&Version>) -> String {
    let place = format!("{}/{}", story.application, story.environment);
    let mut lines = vec![headline(story, version, &place)];
    for release in &story.releases {
        lines.extend(tale(release, &story.environment));
    }
    if !story.releases.iter().any(|release| release.is_in_force) {
        lines.extend(story.not_taken.clone());
    }
    let mut text = String::new();
    for line in lines {
        // Writing to a `String` cannot fail.
        let _ = writeln!(text, "{line}");
    }
    text
}

fn headline(story: &Story, version: Option<&Version>, place: &str) -> String {
    let runs = match &story.in_force {
        Some(in_force) => format!(
            "`{}` has been running in `{place}` since {}",
            in_force.tag,
            words::time(in_force.since)
        ),
        None => format!("nothing deployed by Esclusa runs in `{place}`"),
    };
    match version {
        Some(version) if !story.releases.iter().any(|release| release.is_in_force) => {
            let nothing = if story.releases.is_empty() {
                ", and no release of it is known"
            } else {
                ""
            };
            format!("`{version}` does not run there: {runs}{nothing}")
        }
        Some(_) | None => runs,
    }
}

/// What became of a release on its way to the environment.
fn tale(told_of: &Told, environment: &str) -> Vec<String> {
    let release = &told_of.release;
    let why = release
        .reason
        .as_ref()
        .map(|reason| format!(": {reason}"))
        .unwrap_or_default();
    let mut lines = vec![format!(
        "release {} of `{}` ({}), requested at {} by {}{why}",
        release.release_id,
        release.tag,
        words::digest(&release.digest),
        words::time(release.created_at),
        release.requested_by
    )];
    if !release
        .environments
        .iter()
        .any(|there| there.environment == environment)
    {
        let goes: Vec<&str> = release
            .environments
            .iter()
            .map(|there| there.environment.as_str())
            .collect();
        lines.push(format!("  it does not go there, but to {}", words::names(goes)));
    }
    for there in &release.environments {
        let Some(deployment) = &there.deployment else {
            continue;
        };
        // What each gate says follows here.
        let stands = deployment
            .gates
            .as_ref()
            .filter(|gates| gates.closed.is_none() && there.environment == environment);
        let sentence = stands.map_or_else(|| deployment.sentence(), AtGates::stands);
        lines.push(format!("  {}: {sentence}", there.environment));
        if there.environment == environment {
            let reasons = deployment.end.iter().flat_map(|end| &end.reasons);
            lines.extend(reasons.map(|reason| format!("    {reason}")));
            lines.extend(gates(told_of));
            break;
        }
    }
    let is_there = release
        .environments
        .iter()
        .any(|there| there.environment == environment && there.deployment.is_some());
    if let (false, Some(end)) = (is_there, &release.end) {
        let reasons = end.reasons.join("; ");
        lines.push(format!(
            "  it ended earlier: {} ({}): {reasons}",
            end.verdict, end.reason
        ));
    }
    lines
}

fn gates(told_of: &Told) -> Vec<String> {
    let Some(gates) = &told_of.gates else {
        return Vec::new();
    };
    let said = gates
        .reports
        .iter()
        .map(|report| format!("    gate {}", words::gate(report)));
    let votes = told_of.votes.iter().map(|vote| {
        let person =
            person_of(&gates.people, &vote.principal).map_or(vote.principal.as_str(), |person| person.as_str());
        let what = if vote.approves { "approved" } else { "rejected" };
        let why = vote
            .reason
            .as_ref()
            .map(|reason| format!(": {reason}"))
            .unwrap_or_default();
        format!("    {person} {what} at {}{why}", words::time(vote.at))
    });
    said.chain(votes).collect()
}
