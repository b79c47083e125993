//! `esclusa quarantine`: images that failed, or that a person put there, and go nowhere until a person lets them out.

use std::collections::BTreeMap;

use esclusa_adapters::control::{Change, Expected, Key, Repository, Stored};
use esclusa_adapters::decisions::Wish;
use esclusa_adapters::ecr::{ImageReader, Lookup, Repository as EcrRepository};
use esclusa_adapters::journal::{Commit, Committed};
use esclusa_adapters::planning::quarantines;
use esclusa_adapters::planning::written;
use esclusa_core::error::Failure;
use esclusa_core::ledger::{Body, Chain, Draft, RecordKind};
use esclusa_core::pipeline::{ApplicationName, Digest};
use esclusa_core::quarantine::{Cause, Quarantine};
use esclusa_core::version::Version;
use serde_json::{Value, json};

use super::{WHY, check_reason, order};
use crate::arguments::{Quarantine as Arguments, QuarantineCommand};
use crate::commands::parse;
use crate::error::{CommandError, Exit};
use crate::output::{Format, Output};
use crate::pipelines;
use crate::render::table::Columns;
use crate::render::words;
use crate::session::Session;

pub(super) async fn execute(command: &Arguments, session: &Session, output: &mut Output) -> Result<Exit, CommandError> {
    match &command.command {
        None | Some(QuarantineCommand::List) => list(session, output).await,
        Some(QuarantineCommand::Add {
            application,
            version,
            image,
            reason,
        }) => {
            let suspect = Suspect {
                application,
                version: &parse(version)?,
                image: image.as_deref(),
            };
            add(&suspect, reason, session, output).await
        }
        Some(QuarantineCommand::Release { digest, reason }) => release(&parse(digest)?, reason, session, output).await,
    }
}

/// Every quarantine that is known of the repositories of all pipelines, by the key of its row.
async fn all(session: &Session) -> Result<BTreeMap<Key, Stored<Quarantine>>, CommandError> {
    let control = session.control();
    let home = session.home().await?;
    let mut found = BTreeMap::new();
    for application in pipelines::applications(control).await? {
        let row = pipelines::version(control, &application.application, application.version).await?;
        for image in written(&row)?.images.values() {
            let repository = Repository::of(image, &home);
            for stored in quarantines(control, image, &home).await? {
                found.insert(Key::quarantine(repository, stored.row.digest.as_str()), stored);
            }
        }
    }
    Ok(found)
}

async fn list(session: &Session, output: &mut Output) -> Result<Exit, CommandError> {
    let rows = all(session).await?.into_values().map(|stored| stored.row);
    let rows: Vec<Quarantine> = rows.filter(Quarantine::is_in_force).collect();
    if output.format() == Format::Json {
        output.document(&json!({"quarantined": rows}))?;
        return Ok(Exit::Success);
    }
    if rows.is_empty() {
        output.note("no image is in quarantine")?;
        return Ok(Exit::Success);
    }
    output.text(table(&rows, output.width()))?;
    Ok(Exit::Success)
}

fn table(rows: &[Quarantine], width: Option<u16>) -> String {
    let mut table = Columns::new(&["image", "tag", "since", "failed in", "release", "why"], width);
    for row in rows {
        let (place, release, why) = match &row.cause {
            Cause::Failed {
                environment,
                release_id,
                ..
            } => (
                format!("{}/{environment}", row.application),
                release_id.as_str(),
                row.why.clone(),
            ),
            Cause::Ordered { by } => (
                format!("{}, by hand", row.application),
                "",
                format!("{by}: {}", row.why),
            ),
        };
        table.row([
            row.digest.to_string(),
            row.tag.clone(),
            words::time(row.since),
            place,
            release.to_owned(),
            why,
        ]);
    }
    table.to_string()
}

/// An image that somebody knows to be bad.
struct Suspect<'a> {
    application: &'a str,
    version: &'a Version,
    image: Option<&'a str>,
}

async fn add(
    suspect: &Suspect<'_>,
    reason: &str,
    session: &Session,
    output: &mut Output,
) -> Result<Exit, CommandError> {
    check_reason(reason, WHY)?;
    let Suspect {
        application,
        version,
        image,
    } = suspect;
    parse::<ApplicationName>(application)?;
    let pipeline = written(&pipelines::current(session.control(), application).await?)?;
    let (_, image) = pipeline.image(*image).map_err(CommandError::refused)?;
    let home = session.home().await?;
    let digest = match version {
        // It need not be there: what is known to be bad elsewhere is kept out before it comes.
        Version::Digest(digest) => digest.clone(),
        Version::Tag(tag) => {
            let images = ImageReader::new(session.config());
            let Lookup::Found(found) = images.by_version(&EcrRepository::of(image, &home), version).await? else {
                let repository = &image.repository;
                return Err(CommandError::refused(format!(
                    "there is no image `{tag}` in repository `{repository}`: check with `aws ecr list-images --repository-name {repository}`, or name its digest"
                )));
            };
            parse(&found.digest)?
        }
    };
    let Repository { account, region, name } = Repository::of(image, &home);
    let wish = Wish::Quarantine {
        account: account.to_owned(),
        region: region.to_owned(),
        repository: name.to_owned(),
        digest: digest.clone(),
        tag: version.tag().map(ToString::to_string),
        reason: reason.to_owned(),
    };
    order::give(&wish, session, output, |told| added(application, &digest, told)).await
}

/// What came of it, and what else there is to do.
fn added(application: &str, digest: &Digest, told: &Value) -> String {
    let list = |value: &Value, member: &str| value.get(member).and_then(Value::as_array).cloned().unwrap_or_default();
    let mut lines = vec![format!(
        "`{digest}` is in quarantine: it no longer enters any environment (`esclusa quarantine release {digest}` lets it out)"
    )];
    for release in list(told, "onTheirWay") {
        let id = release.get("release").and_then(Value::as_str).unwrap_or_default();
        let at_work_in = list(&release, "atWorkIn");
        let environments = words::names(at_work_in.iter().filter_map(Value::as_str));
        lines.push(if at_work_in.is_empty() {
            format!("release `{id}` goes no further with it: at its gates it waits for an hour and is then refused")
        } else {
            format!(
                "release `{id}` is deploying it in {environments} and goes no further: `esclusa stop {id}` stops it"
            )
        });
    }
    if told.get("runsIn").is_none_or(Value::is_null) {
        lines.push(
            "which environments run it could not be determined: `esclusa status` shows what runs where".to_owned(),
        );
    }
    for environment in list(told, "runsIn").iter().filter_map(Value::as_str) {
        lines.push(format!(
            "it runs in `{environment}`: `esclusa rollback {application} {environment}` rolls it back"
        ));
    }
    lines.join("\n")
}

async fn release(digest: &Digest, reason: &str, session: &Session, output: &mut Output) -> Result<Exit, CommandError> {
    check_reason(reason, "`--reason` must say what was found")?;
    let mut found = all(session).await?;
    found.retain(|_, stored| stored.row.digest == *digest);
    // The same image may lie in several repositories: it is out only when it is out everywhere.
    let quarantined = |stored: &Stored<Quarantine>| stored.row.is_in_force();
    let any_in_force = found.values().any(quarantined);
    if any_in_force {
        found.retain(|_, stored| quarantined(stored));
    }
    if found.is_empty() {
        return Err(CommandError::refused(format!(
            "`{digest}` is not in quarantine: `esclusa quarantine` lists those that are"
        )));
    }
    let by = session.caller().await?.arn;
    let mut released = Vec::new();
    for (key, stored) in found {
        let row = stored.row.release(&by, reason, session.now()?)?;
        let body = Body::new(&json!({
            "decision": "release_quarantine",
            "digest": row.digest,
            "reason": reason,
            "since": row.since,
            "because": row.why,
        }))?;
        let draft = Draft {
            application: Some(row.application.clone()),
            digest: Some(row.digest.to_string()),
            ..Draft::new(RecordKind::PersonDecided, &by, body)
        };
        let commit = Commit::new()
            .change(Change::put(key, &row, Expected::Revision(stored.revision))?.spent_since(session.now()?))
            .record(&Chain::application(&row.application), draft);
        if let Committed::Lost(_) = session.journal.commit(commit).await? {
            return Err(Failure::conflict(format!("`{digest}` has just changed: run the command again")).into());
        }
        released.push(row);
    }
    if output.format() == Format::Json {
        output.document(&json!({"released": released}))?;
    } else {
        output.line(format_args!(
            "`{digest}` is no longer in quarantine; `esclusa deploy` deploys it"
        ))?;
    }
    Ok(Exit::Success)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_quarantine_is_shown_with_why_and_where_it_failed() {
        let row = Quarantine {
            digest: format!("sha256:{}", "0f".repeat(32)).parse().unwrap(),
            application: "shop".to_owned(),
            tag: "v1.4.0".to_owned(),
            cause: Cause::Failed {
                environment: "develop".to_owned(),
                release_id: "shop-0f0f0f0f0f0f0f0f0f0f".to_owned(),
                deployment_id: "shop-0f0f0f0f0f0f0f0f0f0f-develop-1".to_owned(),
            },
            why: "`api`: container `api` ends with exit code 1 (3 of 3 stopped tasks)".to_owned(),
            since: "2026-11-21T14:05:07Z".parse().unwrap(),
            released: None,
        };
        let ordered = Quarantine {
            cause: Cause::Ordered {
                by: "arn:aws:iam::123456789012:user/ana".to_owned(),
            },
            why: "it sends every mail twice".to_owned(),
            ..row.clone()
        };
        insta::assert_snapshot!(table(&[row, ordered], None));
    }
}
