//! Looks at what the pipelines in force need of the account.

use std::collections::{BTreeMap, BTreeSet};

use esclusa_adapters::alarms::AlarmReader;
use esclusa_adapters::client;
use esclusa_adapters::ecs::EcsReader;
use esclusa_core::doctor::{
    Elsewhere, FamilyFacts, ObservedEnvironment, ObservedPipeline, RepositoryFacts, Seen, ServiceFacts, sample_push,
};
use esclusa_core::error::Failure;
use esclusa_core::pipeline::{
    DefinitionSource, Hazard, Measure, Pipeline, Reaction, ResolvedEnvironment, ResolvedService, TaskDefinition, parse,
    resolve,
};
use esclusa_core::restore_point::restored_databases;
use esclusa_core::task_definition::{Home, patch};
use serde_json::{Value, json};

use super::looking::{or_absent, seen, seen_by};
use crate::error::CommandError;
use crate::pipelines;
use crate::session::Session;

/// The pipelines in force, or the one of an application.
pub(super) async fn all(
    application: Option<&str>,
    home: &Home,
    push: &Seen<String>,
    session: &Session,
) -> Seen<Vec<ObservedPipeline>> {
    let listed = seen_by("dynamodb:Query", pipelines::applications(session.control()).await);
    let rows = match listed {
        Seen::Found(rows) => rows,
        other => return other.map(|_| Vec::new()),
    };
    let mut found = Vec::new();
    for row in rows {
        if application.is_none_or(|application| application == row.application) {
            found.push(one(&row.application, home, push, session).await);
        }
    }
    match (application, found.is_empty()) {
        (Some(_), true) => Seen::Absent,
        _ => Seen::Found(found),
    }
}

async fn one(application: &str, home: &Home, push: &Seen<String>, session: &Session) -> ObservedPipeline {
    let mut observed = ObservedPipeline {
        application: application.to_owned(),
        unreadable: None,
        channels: BTreeSet::new(),
        repositories: BTreeMap::new(),
        pushes: BTreeMap::new(),
        environments: Vec::new(),
    };
    let read = read(application, session).await;
    let (pipeline, environments) = match read {
        Ok(read) => read,
        Err(error) => {
            observed.unreadable = Some(error.to_string());
            return observed;
        }
    };
    for image in pipeline.images.values() {
        let repository = image.repository.as_str();
        let facts = look_at_repository(repository, session).await;
        observed.repositories.insert(repository.to_owned(), facts);
        let matches = matches(push, &sample_push(home, repository), session).await;
        observed.pushes.insert(repository.to_owned(), matches);
    }
    for environment in &environments {
        let told = environment.notifications.as_ref();
        let slack = told.and_then(|notifications| notifications.slack.as_ref());
        observed.channels.extend(slack.map(|slack| slack.channel.clone()));
        observed.environments.push(look(environment, home, session).await);
    }
    observed
}

/// A pipeline in force with its environments.
async fn read(application: &str, session: &Session) -> Result<(Pipeline, Vec<ResolvedEnvironment>), CommandError> {
    let row = pipelines::current(session.control(), application).await?;
    let pipeline = parse(&row.text).map_err(|errors| Failure::refused(errors.to_string()))?;
    let pipeline = pipeline.with_files(&row.files).map_err(Failure::refused)?;
    let mut environments = Vec::new();
    for name in pipelines::environments(session.control(), &pipeline, None).await? {
        environments.push(resolve(&pipeline, &name).map_err(|error| Failure::refused(error.to_string()))?);
    }
    Ok((pipeline, environments))
}

async fn look_at_repository(name: &str, session: &Session) -> Seen<RepositoryFacts> {
    let client = client!(aws_sdk_ecr, session.config());
    let answer = client.describe_repositories().repository_names(name).send().await;
    let found = seen("ecr:DescribeRepositories", answer).map(|answer| answer.repositories?.into_iter().next());
    or_absent(found).map(|repository| RepositoryFacts {
        mutability: repository
            .image_tag_mutability
            .map_or_else(|| "MUTABLE".to_owned(), |mutability| mutability.as_str().to_owned()),
        scans: repository
            .image_scanning_configuration
            .is_some_and(|scanning| scanning.scan_on_push),
    })
}

/// Whether the pattern of the rule of pushes matches an event.
async fn matches(pattern: &Seen<String>, event: &Value, session: &Session) -> Seen<bool> {
    let pattern = match pattern {
        Seen::Found(pattern) => pattern,
        other => return other.clone().map(|_| false),
    };
    let client = client!(aws_sdk_eventbridge, session.config());
    let request = client
        .test_event_pattern()
        .event_pattern(pattern)
        .event(event.to_string());
    seen("events:TestEventPattern", request.send().await).map(|answer| answer.result)
}

async fn look(environment: &ResolvedEnvironment, home: &Home, session: &Session) -> ObservedEnvironment {
    let account = environment.account.as_ref().unwrap_or(&home.account);
    let region = environment.region.as_ref().unwrap_or(&home.region);
    let mut observed = ObservedEnvironment {
        name: environment.name.to_string(),
        elsewhere: None,
        cluster: environment.cluster.clone(),
        cluster_status: Seen::Absent,
        services: BTreeMap::new(),
        families: BTreeMap::new(),
        log_groups: BTreeMap::new(),
        test_functions: BTreeSet::new(),
        databases: BTreeSet::new(),
        alarms: BTreeMap::new(),
    };
    if (account, region) != (&home.account, &home.region) {
        let question = json!({
            "action": "look_there",
            "account": account,
            "region": region,
            "cluster": environment.cluster,
        });
        let answer = seen_by("lambda:InvokeFunction", session.observe(&question).await);
        observed.elsewhere = Some(Elsewhere {
            place: format!("account {account}, {region}"),
            reached: answer.map(|answer| {
                let text = |member: &str| answer.get(member).and_then(Value::as_str).map(str::to_owned);
                text("unreached").map_or_else(|| Ok(text("clusterStatus")), Err)
            }),
        });
        return observed;
    }
    let ecs = EcsReader::new(session.config());
    let described = ecs.describe_clusters(std::slice::from_ref(&environment.cluster)).await;
    let cluster = seen_by("ecs:DescribeClusters", described);
    observed.cluster_status = or_absent(cluster.map(|described| {
        let status = described.found.first()?.get("status")?.as_str()?;
        Some(status.to_owned())
    }));
    observed.services = services(&ecs, environment).await;
    for definition in environment.task_definitions.values() {
        let found = family(&ecs, definition).await;
        // One from a file is registered with the first release.
        if found != Seen::Absent || definition.from == DefinitionSource::Latest {
            observed.families.insert(definition.family.clone(), found);
        }
    }
    let definitions = observed.families.values().filter_map(Seen::found);
    let mut groups: BTreeSet<String> = definitions.flat_map(|facts| log_groups(&facts.definition)).collect();
    let mut alarms = BTreeSet::new();
    let checks = environment
        .verification
        .iter()
        .flat_map(|verification| verification.checks.values());
    for check in checks {
        match &check.measure {
            // One that is only reported keeps no release out.
            Measure::Alarms(names) if check.reaction != Reaction::Report => alarms.extend(names.iter().cloned()),
            Measure::Log(log) => {
                groups.insert(log.group.clone());
            }
            Measure::Function(function) => {
                observed.test_functions.insert(function.name.clone());
            }
            _ => {}
        }
    }
    for group in groups {
        let found = log_group(&group, session).await;
        observed.log_groups.insert(group, found);
    }
    let databases = restored_databases(environment).into_values();
    observed.databases = databases.map(|database| database.name().to_owned()).collect();
    let states = seen_by(
        "cloudwatch:DescribeAlarms",
        AlarmReader::new(session.config()).states(&alarms).await,
    );
    for alarm in alarms {
        let state = states.clone().map(|mut states| states.remove(&alarm));
        observed.alarms.insert(alarm, or_absent(state));
    }
    observed
}

async fn services(ecs: &EcsReader, environment: &ResolvedEnvironment) -> BTreeMap<String, Seen<ServiceFacts>> {
    let names = environment.service_names();
    let described = ecs.describe_services(&environment.cluster, &names).await;
    let described = seen_by("ecs:DescribeServices", described);
    let named = |name: &str| {
        described.clone().map(|described| {
            let is_named = |service: &Value| service.get("serviceName").and_then(Value::as_str) == Some(name);
            described.found.into_iter().find(is_named)
        })
    };
    let facts = |service: &ResolvedService| {
        or_absent(named(&service.service)).map(|described| ServiceFacts {
            described,
            start_count: service.start_count,
            accepts_breaker_off: environment.accept.contains(&Hazard::BreakerOff),
        })
    };
    environment
        .services()
        .map(|service| (service.service.clone(), facts(service)))
        .collect()
}

/// The newest revision of a family, with what the pipeline lays over it.
async fn family(ecs: &EcsReader, definition: &TaskDefinition) -> Seen<FamilyFacts> {
    let newest = ecs.describe_task_definition(&definition.family).await;
    or_absent(seen_by("ecs:DescribeTaskDefinition", newest)).map(|newest| FamilyFacts {
        // What does not fit is for a plan to say.
        definition: patch(&newest.raw, definition, &BTreeMap::new()).unwrap_or(newest.raw),
        arn: newest.arn,
    })
}

/// The groups into which the containers of a definition log and which nobody creates for them.
fn log_groups(definition: &Value) -> Vec<String> {
    let containers = definition.get("containerDefinitions").and_then(Value::as_array);
    let options = containers.into_iter().flatten().filter_map(|container| {
        let log = container.get("logConfiguration")?;
        let is_awslogs = log.get("logDriver").and_then(Value::as_str) == Some("awslogs");
        log.get("options").filter(|_| is_awslogs)
    });
    let is_created = |options: &&Value| options.get("awslogs-create-group").and_then(Value::as_str) == Some("true");
    options
        .filter(|options| !is_created(options))
        .filter_map(|options| options.get("awslogs-group")?.as_str().map(str::to_owned))
        .collect()
}

async fn log_group(name: &str, session: &Session) -> Seen<()> {
    let client = client!(aws_sdk_cloudwatchlogs, session.config());
    let answer = client.describe_log_groups().log_group_name_prefix(name).send().await;
    let found = seen("logs:DescribeLogGroups", answer).map(|answer| {
        let groups = answer.log_groups.unwrap_or_default();
        let is_named = |group: &aws_sdk_cloudwatchlogs::types::LogGroup| group.log_group_name.as_deref() == Some(name);
        groups.iter().any(is_named).then_some(())
    });
    or_absent(found)
}
