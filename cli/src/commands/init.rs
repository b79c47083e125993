//! `esclusa init`: a first pipeline file, from the services that run.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

use esclusa_adapters::ecs::EcsReader;
use esclusa_core::error::Failure;
use esclusa_core::pipeline::{ApplicationName, EnvironmentName};
use esclusa_core::scaffold::{Observed, ObservedEnvironment, ObservedService, Place, Scaffold, environments, scaffold};
use serde_json::{Value, json};

use super::parse;
use crate::arguments::Init;
use crate::error::{CommandError, Exit};
use crate::output::{Format, Output};
use crate::pipelines;
use crate::render::{palette, words};
use crate::session::Session;

/// What stands for standard output.
const STANDARD_OUTPUT: &str = "-";

pub(super) async fn execute(command: &Init, session: &Session, output: &mut Output) -> Result<Exit, CommandError> {
    let application: ApplicationName = parse(&command.application)?;
    let file = command.output_file.as_path();
    let is_printed = file == Path::new(STANDARD_OUTPUT);
    if !is_printed && !command.force && file.exists() {
        return Err(exists(file));
    }
    let places = command
        .clusters
        .iter()
        .map(|text| place(text))
        .collect::<Result<Vec<_>, _>>()?;
    let observed = observe(command, application, &places, session).await?;
    let written = scaffold(&observed)?;
    // What is written is what `pipelines validate` takes, or it is not written.
    if let Err(problems) = pipelines::check(&written.text, Path::new("")) {
        let first = problems.first().map_or("", |problem| problem.message.as_str());
        return Err(Failure::defect(format!("the file that would be written is not valid: {first}")).into());
    }
    if is_printed {
        output.text(&written.text)?;
        return Ok(Exit::Success);
    }
    write(file, &written.text, command.force)?;
    report(&observed, &written, file, output)
}

fn exists(file: &Path) -> CommandError {
    CommandError::InvalidInput(format!(
        "`{0}` already exists: give `--force` to overwrite it, or another `--output-file`",
        file.display()
    ))
}

/// Writes the file. One that somebody else wrote meanwhile stays as well.
fn write(file: &Path, text: &str, force: bool) -> Result<(), CommandError> {
    let mut options = OpenOptions::new();
    if force {
        options.write(true).create(true).truncate(true);
    } else {
        options.write(true).create_new(true);
    }
    let written = options.open(file).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|reason| match reason.kind() {
        std::io::ErrorKind::AlreadyExists => exists(file),
        _ => CommandError::InvalidInput(format!("cannot write `{}`: {reason}", file.display())),
    })
}

/// Reads `CLUSTER` or `CLUSTER=ENVIRONMENT`.
fn place(text: &str) -> Result<Place, CommandError> {
    let (cluster, environment) = match text.split_once('=') {
        Some((cluster, name)) => (cluster, Some(parse::<EnvironmentName>(name)?)),
        None => (text, None),
    };
    if cluster.is_empty() {
        return Err(CommandError::InvalidInput(format!(
            "`{text}` names no cluster: give `--cluster CLUSTER=ENVIRONMENT`"
        )));
    }
    Ok(Place {
        cluster: cluster.to_owned(),
        environment,
    })
}

async fn observe(
    command: &Init,
    application: ApplicationName,
    places: &[Place],
    session: &Session,
) -> Result<Observed, CommandError> {
    let names = environments(&application, places).map_err(|cluster| {
        CommandError::InvalidInput(format!(
            "the name of the cluster `{cluster}` does not say which environment it is: give `--cluster {cluster}=ENVIRONMENT`"
        ))
    })?;
    let home = session.home().await?;
    let ecs = EcsReader::new(session.config());
    let mut found = Vec::new();
    for (place, (name, suffix)) in places.iter().zip(names) {
        found.push(ObservedEnvironment {
            services: services(&ecs, &place.cluster, &command.services).await?,
            cluster: place.cluster.clone(),
            name,
            suffix,
        });
    }
    let is_found = |wanted: &&String| {
        let mut services = found.iter().flat_map(|environment| &environment.services);
        services.any(|service| service.service.get("serviceName").and_then(Value::as_str) == Some(wanted.as_str()))
    };
    let absent: Vec<&String> = command.services.iter().filter(|wanted| !is_found(wanted)).collect();
    if !absent.is_empty() {
        return Err(CommandError::refused(format!(
            "there is no service {} in {}: `aws ecs list-services --cluster CLUSTER` lists them",
            words::names(absent),
            words::names(places.iter().map(|place| &place.cluster)),
        )));
    }
    Ok(Observed {
        application,
        home,
        environments: found,
    })
}

/// The services of a cluster that are wanted, all unless some are named, with what they run.
async fn services(ecs: &EcsReader, cluster: &str, wanted: &[String]) -> Result<Vec<ObservedService>, CommandError> {
    let clusters = ecs.describe_clusters(&[cluster.to_owned()]).await?;
    if clusters.found.is_empty() {
        return Err(CommandError::refused(format!(
            "there is no cluster `{cluster}`: `aws ecs list-clusters` lists them"
        )));
    }
    let mut names = ecs.list_services(cluster).await?;
    names.sort();
    let is_wanted = |arn: &String| wanted.is_empty() || wanted.iter().any(|name| name == words::resource(arn));
    names.retain(is_wanted);
    let mut services = Vec::new();
    for service in ecs.describe_services(cluster, &names).await?.found {
        let text = |member: &str| service.get(member).and_then(Value::as_str).unwrap_or_default();
        // A service of another deployment controller may say none.
        let running = match text("taskDefinition") {
            "" => None,
            revision => ecs.describe_task_definition(revision).await?.map(|running| running.raw),
        };
        let family = running.as_ref().and_then(|running| running.get("family")?.as_str());
        let newest = match family {
            Some(family) => ecs.describe_task_definition(family).await?.map(|newest| newest.arn),
            None => None,
        };
        services.push(ObservedService {
            newest,
            definition: running,
            service,
        });
    }
    Ok(services)
}

fn report(observed: &Observed, written: &Scaffold, file: &Path, output: &mut Output) -> Result<Exit, CommandError> {
    let Scaffold {
        services,
        left_out,
        notes,
        ..
    } = written;
    let application = &observed.application;
    let environments = observed
        .environments
        .iter()
        .map(|environment| environment.name.as_str());
    if output.format() == Format::Json {
        output.document(&json!({
            "file": file.display().to_string(),
            "application": application,
            "services": services,
            "environments": environments.collect::<Vec<_>>(),
            "left_out": left_out,
            "notes": notes,
        }))?;
        return Ok(Exit::Success);
    }
    output.line(format_args!(
        "wrote `{}`: application `{application}` with {}, for {}",
        file.display(),
        words::count(services.len(), "service"),
        words::names(environments),
    ))?;
    for (name, reason) in left_out {
        output.line(format_args!(
            "{}: `{name}` is left out: {reason}",
            palette::warning("warning")
        ))?;
    }
    for note in notes {
        output.line(format_args!("{}: {note}", palette::warning("warning")))?;
    }
    let file = words::argument(&file.display().to_string());
    output.note(format_args!(
        "read it, then: esclusa pipelines apply {file}; esclusa doctor {application}"
    ))?;
    Ok(Exit::Success)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_told_with_what_to_look_at_and_what_comes_next() {
        let observed = Observed {
            application: "shop".parse().unwrap(),
            home: esclusa_core::task_definition::Home {
                account: "123456789012".parse().unwrap(),
                region: "us-east-1".parse().unwrap(),
            },
            environments: vec![ObservedEnvironment {
                name: "staging".parse().unwrap(),
                suffix: None,
                cluster: "shop-staging".to_owned(),
                services: Vec::new(),
            }],
        };
        let written = Scaffold {
            text: String::new(),
            services: vec!["web".to_owned()],
            left_out: [("cache".to_owned(), "no container of it runs an image".to_owned())].into(),
            notes: vec!["in `staging` the circuit breaker of `web` is off".to_owned()],
        };
        let told = |format| {
            let (mut output, captured) = Output::captured();
            output.set_format(format);
            report(&observed, &written, Path::new("my pipeline.yaml"), &mut output).unwrap();
            format!("{}{}", captured.out(), captured.err())
        };
        insta::assert_snapshot!([told(Format::Text), told(Format::Json)].join("\n"));
    }

    #[test]
    fn a_cluster_is_given_with_its_environment_or_without() {
        let read = |text| place(text).map(|place| (place.cluster, place.environment.map(|name| name.to_string())));
        assert_eq!(read("shop").unwrap(), ("shop".to_owned(), None));
        assert_eq!(
            read("shop-stg=staging").unwrap(),
            ("shop-stg".to_owned(), Some("staging".to_owned()))
        );
        assert!(read("=staging").is_err() && read("shop=Staging!").is_err());
    }

    #[test]
    fn a_file_that_is_there_is_not_written_over() {
        let folder = std::env::temp_dir().join(format!("esclusa-init-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("pipeline.yaml");
        write(&file, "one", false).unwrap();
        let error = write(&file, "two", false).unwrap_err().to_string();
        assert!(error.contains("`--force`"), "{error}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "one");
        write(&file, "three", true).unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "three");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
