//! `esclusa status --release`: one release with the steps of its deployments.

use std::fmt::Write as _;

use esclusa_adapters::control::rows::ReleaseRow;
use esclusa_adapters::control::{Key, Stored};
use esclusa_core::verdict::Mode;

use super::View;
use crate::commands::parse_release;
use crate::commands::request::{conclusion, exit};
use crate::error::CommandError;
use crate::render::table::Columns;
use crate::render::{palette, words};
use crate::session::Session;
use crate::situation::{self, DeploymentSituation, ReleaseSituation};

pub(super) async fn view(release_id: &str, session: &Session, width: Option<u16>) -> Result<View, CommandError> {
    let id = parse_release(release_id)?;
    let row: Option<Stored<ReleaseRow>> = session.control().get(&Key::release(release_id)).await?;
    let Some(row) = row else {
        return Err(CommandError::refused(format!(
            "there is no release `{release_id}`: `esclusa status {}` shows those on their way, `esclusa audit --application {}` all",
            id.application(),
            id.application(),
        )));
    };
    let release = situation::release(&session.journal, &row.row).await?;
    Ok(View {
        text: text(&release, width),
        document: serde_json::to_value(&release).map_err(std::io::Error::from)?,
        end: release.end.as_ref().map(|_| exit(&release)),
    })
}

fn text(release: &ReleaseSituation, width: Option<u16>) -> String {
    let mut text = String::new();
    // Writing to a `String` cannot fail.
    let _ = write_release(&mut text, release, width);
    text
}

fn write_release(text: &mut String, release: &ReleaseSituation, width: Option<u16>) -> std::fmt::Result {
    writeln!(text, "{}", palette::heading(&release.release_id))?;
    writeln!(
        text,
        "  {} of `{}`, {}",
        release.kind.as_str(),
        release.tag,
        release.digest
    )?;
    let reason = release
        .reason
        .as_ref()
        .map(|reason| format!(": {reason}"))
        .unwrap_or_default();
    writeln!(
        text,
        "  requested {} by {}{reason}",
        words::time(release.created_at),
        release.requested_by
    )?;
    for environment in &release.environments {
        match &environment.deployment {
            None => writeln!(text, "\n{}: not reached", palette::heading(&environment.environment))?,
            Some(deployment) => {
                writeln!(
                    text,
                    "\n{}: {}",
                    palette::heading(&environment.environment),
                    deployment.sentence()
                )?;
                write_restore_points(text, deployment)?;
                write_steps(text, deployment, width)?;
                write_checks(text, deployment, width)?;
            }
        }
    }
    if release.end.is_some() {
        write!(text, "\n{}", conclusion(release))?;
    }
    Ok(())
}

fn write_restore_points(text: &mut String, deployment: &DeploymentSituation) -> std::fmt::Result {
    for point in &deployment.restore_points {
        let name = &point.name;
        let begun = words::time(point.begun_at);
        let Some(secured) = &point.secured else {
            writeln!(text, "  before `{name}`: snapshot in progress since {begun}")?;
            continue;
        };
        let restorable = match (secured.latest_restorable, &secured.lack) {
            (Some(latest), _) => format!("could be restored to {}", words::time(latest)),
            (None, lack) => format!(
                "no restore point, which the pipeline accepts: {}",
                lack.as_deref().unwrap_or_default()
            ),
        };
        let snapshot = secured
            .snapshot
            .as_ref()
            .map(|snapshot| format!("; snapshot `{snapshot}`"));
        writeln!(text, "  before `{name}`: {restorable}{}", snapshot.unwrap_or_default())?;
    }
    Ok(())
}

fn write_steps(text: &mut String, deployment: &DeploymentSituation, width: Option<u16>) -> std::fmt::Result {
    let mut table = Columns::new(&["begun", "judged", "step"], width);
    for step in &deployment.steps {
        let way = if step.mode == Mode::WayBack { "back: " } else { "" };
        let judged = step.judged_at.map(words::time).unwrap_or_default();
        table.row([words::time(step.begun_at), judged, format!("{way}{}", step.sentence())]);
    }
    if table.is_empty() {
        Ok(())
    } else {
        write!(text, "{table}")
    }
}

fn write_checks(text: &mut String, deployment: &DeploymentSituation, width: Option<u16>) -> std::fmt::Result {
    let mut table = Columns::new(&["measured", "check", "outcome", "failures", "shows"], width);
    let checks = deployment.verification.iter().flat_map(|state| &state.checks);
    for (name, check) in checks {
        let Some(last) = &check.last else { continue };
        table.row([
            words::time(last.at),
            name.clone(),
            last.outcome.as_str().to_owned(),
            check.failures.to_string(),
            last.sentence.clone(),
        ]);
    }
    if table.is_empty() {
        Ok(())
    } else {
        write!(text, "{table}")
    }
}

#[cfg(test)]
mod tests {
    use esclusa_adapters::control::rows::{Progress, ReleaseKind, RestorePointRow};
    use esclusa_core::verdict::{StepKind, StepOutcome};

    use super::*;
    use crate::situation::tests::{deployment, step};
    use crate::situation::{EnvironmentSituation, Wait};

    fn restore_points() -> Vec<RestorePointRow> {
        serde_json::from_value(serde_json::json!([
            {
                "name": "migrate", "begun_at": "2026-11-21T14:05:01Z",
                "secured": {"latest_restorable": "2026-11-21T14:02:10Z", "snapshot": "esclusa-0f", "at": "2026-11-21T14:08:01Z"},
            },
            {
                "name": "import", "begun_at": "2026-11-21T14:05:01Z",
                "secured": {"lack": "there is no instance `reports` in RDS", "at": "2026-11-21T14:05:01Z"},
            },
            {"name": "convert", "begun_at": "2026-11-21T14:09:01Z"},
        ]))
        .unwrap()
    }

    #[test]
    fn a_release_on_its_way_shows_every_environment_and_every_step() {
        let wait = Wait {
            what: "for the rollout of service `api`".to_owned(),
            since: "2026-11-21T14:06:00Z".parse().unwrap(),
            until: Some("2026-11-21T14:36:00Z".parse().unwrap()),
        };
        let steps = vec![
            step(StepKind::Task, "migrate", StepOutcome::Done, "exit code 0"),
            step(StepKind::Service, "api", StepOutcome::Begun, ""),
        ];
        let verification = serde_json::from_value(serde_json::json!({
            "begun_at": "2026-11-21T14:07:00Z",
            "checks": {
                "errors": {"failures": 1, "last": {"at": "2026-11-21T14:08:00Z", "outcome": "fail", "sentence": "6, at most 5 is allowed"}},
                "services": {"last": {"at": "2026-11-21T14:08:00Z", "outcome": "pass", "sentence": "`api` runs 2"}},
            },
        }))
        .unwrap();
        let release = ReleaseSituation {
            release_id: "shop-0f0f0f0f0f0f0f0f0f0f".to_owned(),
            application: "shop".to_owned(),
            kind: ReleaseKind::Push,
            tag: "main-3f2a".to_owned(),
            digest: format!("sha256:{}", "0f".repeat(32)),
            requested_by: "17793124-05d4-b198-2fde-7ededc63b103".to_owned(),
            reason: None,
            progress: Progress::Started,
            created_at: "2026-11-21T14:04:59Z".parse().unwrap(),
            ended_at: None,
            end: None,
            environments: vec![
                EnvironmentSituation {
                    environment: "develop".to_owned(),
                    deployment: Some(DeploymentSituation {
                        restore_points: restore_points(),
                        ..deployment(steps, vec![wait])
                    }),
                },
                EnvironmentSituation {
                    environment: "staging".to_owned(),
                    deployment: Some(DeploymentSituation {
                        verification: Some(verification),
                        ..deployment(
                            vec![step(StepKind::Service, "api", StepOutcome::Done, "it is proven")],
                            vec![],
                        )
                    }),
                },
                EnvironmentSituation {
                    environment: "production".to_owned(),
                    deployment: None,
                },
            ],
        };
        insta::assert_snapshot!(anstream::adapter::strip_str(&text(&release, None)).to_string());
    }
}
