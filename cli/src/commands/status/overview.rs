//! `esclusa status`: what runs where, what is on its way, which locks keep somebody out.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use esclusa_adapters::control::rows::{EnvironmentRow, ReleaseRow};
use esclusa_adapters::control::{Key, Stored};
use esclusa_adapters::ecs::EcsReader;
use esclusa_adapters::gates::{freezes, pin};
use esclusa_adapters::planning::schemas;
use esclusa_adapters::planning::written;
use esclusa_core::delivery::Undelivered;
use esclusa_core::error::Failure;
use esclusa_core::gate::{frozen, pinned};
use esclusa_core::hotfix::Debt;
use esclusa_core::pipeline::{Name, Pipeline, ResolvedEnvironment, resolve};
use esclusa_core::protocol::lock::LockStatus;
use esclusa_core::schema::SchemaState;
use esclusa_core::task_definition::Home;
use serde::Serialize;
use serde_json::json;

use super::View;
use super::services::{self, Services};
use crate::commands::locks::{self, NamedLock};
use crate::error::CommandError;
use crate::pipelines;
use crate::render::table::Columns;
use crate::render::{palette, words};
use crate::session::Session;
use crate::situation::{self, ReleaseSituation};

/// How many earlier releases of an environment are shown.
const EARLIER: usize = 10;

/// An application in its environments.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct ApplicationStatus {
    application: String,
    pipeline_version: u32,
    environments: Vec<EnvironmentStatus>,
    /// The releases that have not ended, the oldest first.
    in_flight: Vec<ReleaseSituation>,
    /// The locks that are held or quarantined.
    locks: Vec<NamedLock>,
}

/// One environment.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct EnvironmentStatus {
    environment: String,
    /// What was brought there and verified last.
    current: Option<EnvironmentRow>,
    /// What was verified there before, the newest first; only where one environment was asked for.
    earlier: Vec<EnvironmentRow>,
    /// What ECS says; only where one application was asked for, and not of another place.
    services: Option<Services>,
    /// Where it is, where Esclusa does not run there.
    #[serde(skip_serializing_if = "Option::is_none")]
    elsewhere: Option<Elsewhere>,
    /// What people ordered about it, and what hotfixes owe there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    standing: Vec<String>,
    /// What is known about its schemas, by database; only where one environment was asked for.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    schemas: BTreeMap<Name, SchemaState>,
}

/// The place of an environment that is in another account or Region. The credentials of whoever asks are none for it.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Elsewhere {
    account: String,
    region: String,
    /// What shows its services to whoever has credentials there.
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<String>,
}

impl Elsewhere {
    fn new(environment: &ResolvedEnvironment, home: &Home, with_services: bool) -> Option<Self> {
        let place = environment.place(home);
        if place == *home {
            return None;
        }
        let names = environment.service_names();
        let command = (with_services && !names.is_empty()).then(|| {
            let names: Vec<String> = names.iter().map(|name| words::argument(name)).collect();
            format!(
                "aws ecs describe-services --region {} --cluster {} --services {}",
                words::argument(place.region.as_str()),
                words::argument(&environment.cluster),
                names.join(" ")
            )
        });
        Some(Self {
            account: place.account.to_string(),
            region: place.region.to_string(),
            command,
        })
    }
}

pub(super) async fn view(
    application: Option<&str>,
    environment: Option<&str>,
    session: &Session,
    width: Option<u16>,
) -> Result<View, CommandError> {
    let control = session.control();
    let rows = match application {
        Some(application) => vec![pipelines::current(control, application).await?],
        None => {
            let mut rows = Vec::new();
            for current in pipelines::applications(control).await? {
                rows.push(pipelines::version(control, &current.application, current.version).await?);
            }
            rows
        }
    };
    let home = session.home().await?;
    let open = session.journal.open_releases().await?;
    let mut applications = Vec::new();
    for row in &rows {
        let pipeline = written(row)?;
        if let Some(environment) = environment {
            resolve(&pipeline, environment).map_err(|error| CommandError::InvalidInput(error.to_string()))?;
        }
        let asked = Asked {
            environment,
            with_services: application.is_some(),
            open: &open,
        };
        applications.push(status(row.version, &pipeline, &asked, &home, session).await?);
    }
    let undelivered: Option<Stored<Undelivered>> = control.get(&Key::undelivered()).await?;
    let undelivered = undelivered.map(|stored| stored.row).filter(|row| row.count > 0);
    let mut text = text(&applications, width);
    text.extend(undelivered.as_ref().map(warning));
    Ok(View {
        text,
        document: json!({"applications": applications, "undelivered": undelivered}),
        end: None,
    })
}

/// What an operator must hear of events that could not be delivered.
fn warning(undelivered: &Undelivered) -> String {
    let since = undelivered
        .since
        .map(|since| format!(" since {}", words::time(since)))
        .unwrap_or_default();
    let count = usize::try_from(undelivered.count).unwrap_or(usize::MAX);
    format!(
        "\n{} {} could not be delivered{since}: each message in the dead-letter queue says what failed; fix that, then delete it\n",
        palette::warning("attention:"),
        words::count(count, "event")
    )
}

/// How much is to be shown of an application.
struct Asked<'a> {
    environment: Option<&'a str>,
    with_services: bool,
    /// The releases of all applications that have not ended.
    open: &'a [ReleaseRow],
}

async fn status(
    pipeline_version: u32,
    pipeline: &Pipeline,
    asked: &Asked<'_>,
    home: &Home,
    session: &Session,
) -> Result<ApplicationStatus, Failure> {
    let application = pipeline.application.as_str();
    let is_asked = |name: &str| asked.environment.is_none_or(|environment| environment == name);
    let mut environments = Vec::new();
    for environment in pipelines::environments(session.control(), pipeline, asked.environment).await? {
        environments.push(environment_status(pipeline, &environment, asked, home, session).await?);
    }
    let mut locks = locks::of_pipeline(session.control(), pipeline, home, asked.environment).await?;
    locks.retain(|named| named.lock.status != LockStatus::Free);
    let mut in_flight = in_flight(application, asked.open, session).await?;
    in_flight.retain(|release| {
        release
            .environments
            .iter()
            .any(|environment| is_asked(&environment.environment))
    });
    Ok(ApplicationStatus {
        application: application.to_owned(),
        pipeline_version,
        environments,
        in_flight,
        locks,
    })
}

async fn environment_status(
    pipeline: &Pipeline,
    environment: &str,
    asked: &Asked<'_>,
    home: &Home,
    session: &Session,
) -> Result<EnvironmentStatus, Failure> {
    let application = pipeline.application.as_str();
    let current: Option<Stored<EnvironmentRow>> = session
        .control()
        .get(&Key::environment(application, environment))
        .await?;
    let current = current.map(|stored| stored.row);
    let mut earlier = Vec::new();
    if asked.environment.is_some() {
        let rows = Key::environment_rows(application, environment);
        let history: Vec<(String, Stored<EnvironmentRow>)> =
            session.control().latest(&rows, Key::VERIFIED_PREFIX, EARLIER).await?;
        earlier.extend(
            history
                .into_iter()
                .map(|(_, stored)| stored.row)
                .filter(|row| Some(row) != current.as_ref()),
        );
    }
    let mut known = BTreeMap::new();
    if asked.environment.is_some()
        && let Some(environment) = pipeline.environment(environment)
    {
        let rows = schemas(session.control(), &pipeline.application, &environment.name).await?;
        known.extend(rows.into_iter().map(|(database, stored)| (database, stored.row)));
    }
    let resolved = resolve(pipeline, environment).ok();
    let elsewhere = resolved.and_then(|resolved| Elsewhere::new(&resolved, home, asked.with_services));
    let services = if asked.with_services && elsewhere.is_none() {
        Some(services::read(&EcsReader::new(session.config()), pipeline, environment).await?)
    } else {
        None
    };
    Ok(EnvironmentStatus {
        environment: environment.to_owned(),
        current,
        earlier,
        services,
        elsewhere,
        standing: standing(application, environment, session).await?,
        schemas: known,
    })
}

/// What stands about an environment until somebody lifts or settles it.
async fn standing(application: &str, environment: &str, session: &Session) -> Result<Vec<String>, Failure> {
    let (control, now) = (session.control(), session.now()?);
    let freezes = freezes(control, application, environment).await?;
    let pin = pin(control, application, environment).await?;
    let orders = frozen(&freezes, now).into_iter().chain(pinned(pin.as_ref(), None, now));
    let mut standing: Vec<String> = orders.map(|report| words::gate(&report)).collect();
    for (_, stored) in session.journal.debts(application, Some(environment)).await? {
        let Debt {
            release_id, tag, owes, ..
        } = stored.row;
        standing.push(format!(
            "debt: hotfix `{tag}` owes {}: `esclusa debts settle {release_id}`",
            owes.join("; ")
        ));
    }
    Ok(standing)
}

/// The releases of an application that have not ended, the oldest first.
async fn in_flight(
    application: &str,
    open: &[ReleaseRow],
    session: &Session,
) -> Result<Vec<ReleaseSituation>, Failure> {
    let mut releases = Vec::new();
    for row in open.iter().filter(|row| row.application == application) {
        releases.push(situation::release(&session.journal, row).await?);
    }
    releases.sort_by_key(|release| release.created_at);
    Ok(releases)
}

fn text(applications: &[ApplicationStatus], width: Option<u16>) -> String {
    if applications.is_empty() {
        return "there is no application yet: run `esclusa pipelines apply FILE`\n".to_owned();
    }
    let mut text = String::new();
    for application in applications {
        if !text.is_empty() {
            text.push('\n');
        }
        // Writing to a `String` cannot fail.
        let _ = write_application(&mut text, application, width);
    }
    text
}

fn write_application(text: &mut String, status: &ApplicationStatus, width: Option<u16>) -> std::fmt::Result {
    let ApplicationStatus {
        application,
        pipeline_version,
        environments,
        in_flight,
        locks,
    } = status;
    writeln!(
        text,
        "{}, pipeline version {pipeline_version}",
        palette::heading(application)
    )?;
    let mut table = Columns::new(&["environment", "release", "tag", "image", "since", "lock"], width);
    for environment in environments {
        table.row(environment_cells(application, environment, locks));
    }
    write!(text, "{table}")?;
    for environment in environments {
        for line in &environment.standing {
            writeln!(
                text,
                "{} {line}",
                palette::warning(&format!("{}:", environment.environment))
            )?;
        }
        write_details(text, environment, width)?;
    }
    for release in in_flight {
        let ReleaseSituation {
            release_id,
            kind,
            tag,
            digest,
            created_at,
            ..
        } = release;
        let what = format!("{} of `{tag}` ({})", kind.as_str(), words::digest(digest));
        writeln!(
            text,
            "\n{} {release_id}: {what} since {}",
            palette::heading("on its way"),
            words::time(*created_at)
        )?;
        for line in release.measured_lines() {
            writeln!(text, "  {line}")?;
        }
    }
    let help = locks::reasons(locks);
    if help.is_empty() {
        Ok(())
    } else {
        write!(text, "\n{help}")
    }
}

fn environment_cells(application: &str, status: &EnvironmentStatus, locks: &[NamedLock]) -> [String; 6] {
    let name = esclusa_adapters::deployments::environment_lock(application, &status.environment);
    let lock = locks.iter().find(|named| named.name == name).map_or_else(
        || "free".to_owned(),
        |NamedLock { lock, .. }| {
            let holder = lock
                .deployment_id
                .as_ref()
                .map(|holder| format!(" by {holder}"))
                .unwrap_or_default();
            format!(
                "{}{holder} since {}",
                locks::status(lock.status),
                words::time(lock.since)
            )
        },
    );
    let environment = status.environment.clone();
    match &status.current {
        None => [
            environment,
            "nothing yet".to_owned(),
            String::new(),
            String::new(),
            String::new(),
            lock,
        ],
        Some(current) => [
            environment,
            current.release_id.clone(),
            current.tag.clone(),
            images(current),
            since(current),
            lock,
        ],
    }
}

/// The digests in force, with the names of the images where there are several.
fn images(row: &EnvironmentRow) -> String {
    let is_one = row.digests.len() == 1;
    let image = |(name, digest): (&String, &String)| {
        let digest = words::digest(digest);
        if is_one { digest } else { format!("{name} {digest}") }
    };
    row.digests.iter().map(image).collect::<Vec<_>>().join(", ")
}

/// Since when it runs, or ran, and that it does not work any more.
fn since(row: &EnvironmentRow) -> String {
    let since = words::time(row.since);
    match &row.revoked {
        Some(revoked) => format!(
            "{since}; has failed verification since {}: {}",
            words::time(revoked.at),
            revoked.why
        ),
        None => since,
    }
}

fn write_details(text: &mut String, status: &EnvironmentStatus, width: Option<u16>) -> std::fmt::Result {
    if let Some(Elsewhere {
        account,
        region,
        command,
    }) = &status.elsewhere
    {
        let place = format!("{} is in account {account}, {region}", status.environment);
        let shows = command
            .as_ref()
            .map(|command| format!(": with credentials of that account `{command}` shows its services"));
        writeln!(text, "{}{}", palette::heading(place), shows.unwrap_or_default())?;
    }
    if let Some(services) = &status.services {
        let place = format!("{} in cluster `{}`", status.environment, services.cluster);
        write!(
            text,
            "\n{}\n{}",
            palette::heading(place),
            services::text(services, width)
        )?;
    }
    if !status.schemas.is_empty() {
        let mut table = Columns::new(&["database", "moved by", "migration", "oldest code", "since"], width);
        for (database, state) in &status.schemas {
            table.row(schema_cells(database, state));
        }
        write!(text, "\n{table}")?;
    }
    if !status.earlier.is_empty() {
        let mut table = Columns::new(&["earlier release", "tag", "image", "since"], width);
        for row in &status.earlier {
            table.row([row.release_id.clone(), row.tag.clone(), images(row), since(row)]);
        }
        write!(text, "\n{table}")?;
    }
    Ok(())
}

fn schema_cells(database: &Name, state: &SchemaState) -> [String; 5] {
    let nobody_says = || "not said".to_owned();
    let migration = state.migration.clone().unwrap_or_else(nobody_says);
    [
        database.to_string(),
        state.release_id.to_string(),
        if state.complete {
            migration
        } else {
            format!("not completed, {migration} before")
        },
        state
            .compatible_since
            .as_ref()
            .map_or_else(|| "any".to_owned(), ToString::to_string),
        words::time(state.since),
    ]
}

#[cfg(test)]
mod tests {
    use esclusa_core::protocol::lock::Lock;
    use esclusa_core::verification::Revoked;
    use jiff::Timestamp;

    use super::*;

    fn at(text: &str) -> Timestamp {
        format!("2026-11-{text}Z").parse().unwrap()
    }

    fn row(release: &str, tag: &str, since: Timestamp, images: &[(&str, &str)]) -> EnvironmentRow {
        let digests = images
            .iter()
            .map(|(name, digit)| ((*name).to_owned(), format!("sha256:{}", digit.repeat(64))));
        EnvironmentRow {
            release_id: format!("shop-{release}"),
            deployment_id: format!("shop-{release}-develop-1"),
            digests: digests.collect::<BTreeMap<_, _>>(),
            tag: tag.to_owned(),
            since,
            revoked: None,
            looked_at: None,
        }
    }

    fn environment(name: &str, current: Option<EnvironmentRow>, earlier: Vec<EnvironmentRow>) -> EnvironmentStatus {
        EnvironmentStatus {
            environment: name.to_owned(),
            current,
            earlier,
            services: None,
            elsewhere: None,
            standing: Vec::new(),
            schemas: BTreeMap::new(),
        }
    }

    #[test]
    fn the_overview_says_what_runs_where_and_what_keeps_somebody_out() {
        let lock = Lock {
            status: LockStatus::Quarantined,
            fence: 4,
            owner: None,
            deployment_id: Some("shop-0e-staging-1".to_owned()),
            since: at("21T14:05:07"),
            reason: Some("nothing proves what `migrate` did".to_owned()),
        };
        let one = [("app", "a")];
        let schema = |complete: bool, migration: Option<&str>, since: Option<&str>| SchemaState {
            image: "app".parse().unwrap(),
            digest: format!("sha256:{}", "a".repeat(64)).parse().unwrap(),
            release_id: format!("shop-{}", "0d".repeat(10)).parse().unwrap(),
            deployment_id: String::new(),
            version: None,
            compatible_since: since.map(|since| since.parse().unwrap()),
            migration: migration.map(str::to_owned),
            complete,
            moved_by: Vec::new(),
            since: at("18T09:00:00"),
        };
        let mut staging = environment(
            "staging",
            Some(row("0d", "v1.4.0", at("18T09:00:00"), &[("app", "b"), ("web", "c")])),
            vec![row("0c", "v1.3.0", at("10T09:00:00"), &one)],
        );
        staging.schemas = BTreeMap::from([
            ("orders".parse().unwrap(), schema(true, None, None)),
            (
                "prices".parse().unwrap(),
                schema(false, Some("0005_rating"), Some("v1.3.0")),
            ),
        ]);
        staging.earlier[0].revoked = Some(Revoked {
            at: at("12T10:30:00"),
            why: "check `errors`: in `ALARM`: `shop-errors`".to_owned(),
        });
        let shop = ApplicationStatus {
            application: "shop".to_owned(),
            pipeline_version: 3,
            environments: vec![
                environment("develop", Some(row("0f", "main-3f2a", at("20T09:00:00"), &one)), vec![]),
                staging,
                EnvironmentStatus {
                    elsewhere: Some(Elsewhere {
                        account: "222222222222".to_owned(),
                        region: "eu-west-1".to_owned(),
                        command: Some(
                            "aws ecs describe-services --region eu-west-1 --cluster shop --services api".to_owned(),
                        ),
                    }),
                    ..environment("production", None, vec![])
                },
            ],
            in_flight: Vec::new(),
            locks: vec![NamedLock {
                name: "environment/shop/staging".to_owned(),
                lock,
                queue: Vec::new(),
            }],
        };
        insta::assert_snapshot!(anstream::adapter::strip_str(&text(&[shop], None)).to_string());
    }
}
