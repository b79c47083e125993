//! The examples that ship with the local run: each parses, resolves and can be planned on what infrastructure code has
//! created.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use super::*;
use crate::pipeline::{DefinitionSource, Pipeline};

const EXAMPLES: [&str; 6] = [
    "imagy-catalog",
    "imagy-orders",
    "superbowleto",
    "orbiquant",
    "nest-demo",
    "django-blog",
];

fn folder(example: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../../lab/examples")
        .join(example)
}

fn pipeline(example: &str) -> Pipeline {
    let yaml = fs::read_to_string(folder(example).join("pipeline.yaml")).unwrap();
    parse(&yaml).unwrap_or_else(|errors| panic!("{example}:\n{errors}"))
}

fn json_file(example: &str, path: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(folder(example).join(path)).unwrap()).unwrap()
}

fn files(example: &str, pipeline: &Pipeline) -> BTreeMap<String, Value> {
    let sources = pipeline.task_definitions.values().map(|definition| &definition.from);
    let paths = sources.filter_map(|source| {
        if let DefinitionSource::File(path) = source {
            Some(path)
        } else {
            None
        }
    });
    paths.map(|path| (path.clone(), json_file(example, path))).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// What infrastructure code has created, as a plan sees it.
fn base(example: &str, environment: &ResolvedEnvironment) -> Observed {
    let base = json_file(example, "base.json");
    let has_cluster = base["clusters"]
        .as_array()
        .unwrap()
        .iter()
        .any(|cluster| *cluster == environment.cluster);
    let definitions = base["taskDefinitions"].as_array().unwrap().iter();
    let families: BTreeMap<_, _> = definitions
        .map(|definition| {
            (
                text(&definition["family"]),
                observed_definition(&text(&definition["family"]), 1, definition.clone()),
            )
        })
        .collect();
    let services = base["services"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|service| service["cluster"] == environment.cluster);
    let services = services.map(|service| {
        let name = text(&service["serviceName"]);
        let arn = &families[&text(&service["taskDefinition"])].arn;
        let mut observed = observed_service(&name, arn, service["desiredCount"].as_u64().unwrap());
        observed.deployment_configuration = service["deploymentConfiguration"].clone();
        (name, observed)
    });
    Observed {
        cluster_status: has_cluster.then(|| "ACTIVE".to_owned()),
        services: services.collect(),
        images: environment
            .images
            .keys()
            .map(|image| (image.clone(), observed_image()))
            .collect(),
        families,
        databases: environment
            .databases
            .keys()
            .map(|database| (database.clone(), observed_database()))
            .collect(),
        ..Observed::default()
    }
}

fn planned(example: &str, environment: &str, image: &str) -> Plan {
    let pipeline = pipeline(example);
    let environment = resolve(&pipeline, environment).unwrap();
    let observed = base(example, &environment);
    let input = PlanInput {
        image: key(image),
        tag: "v1.4.0".to_owned(),
        digests: BTreeMap::from([(key(image), digest('a'))]),
        files: files(example, &pipeline),
        pipeline_version: 1,
        release_id: release('a'),
        home: home(),
        powers: None,
        environment,
    };
    plan(&input, &observed, now()).unwrap_or_else(|refusals| panic!("{example}:\n{refusals}"))
}

#[test]
fn every_example_can_be_planned_in_every_environment_for_every_image() {
    for example in EXAMPLES {
        let pipeline = pipeline(example);
        // Nobody has built yet what a glob would make.
        let names = pipeline.environment_names().into_iter();
        for environment in names.filter(|name| !name.contains('*')) {
            for image in pipeline.images.keys() {
                let plan = planned(example, environment, image.as_str());
                assert!(
                    !plan.steps.is_empty() && !plan.unchanged,
                    "{example}, {environment}, {image}"
                );
                let pinned = format!("@{}", digest('a'));
                let is_pinned = |revision: &PlannedRevision| revision.definition.to_string().contains(&pinned);
                assert!(
                    plan.revisions.iter().any(is_pinned),
                    "{example}, {environment}, {image}"
                );
            }
        }
    }
}

#[test]
fn what_happens_in_each_example_is_what_its_team_does_today() {
    let steps = |example, environment, image| {
        let plan = planned(example, environment, image);
        format!("{example} {environment} {image}: {}", names(&plan).join(", "))
    };
    assert_snapshot!(
        [
            steps("imagy-catalog", "develop", "app"),
            steps("superbowleto", "stg", "app"),
            steps("orbiquant", "staging", "backend"),
            steps("orbiquant", "production", "backend"),
            steps("orbiquant", "staging", "frontend"),
            steps("nest-demo", "development", "nestapp"),
            steps("django-blog", "alpha", "backend"),
        ]
        .join("\n")
    );
}

#[test]
fn the_migration_of_superbowleto_is_judged_by_its_own_container_and_not_by_the_sidecar() {
    let plan = planned("superbowleto", "stg", "app");
    let PlannedStep::Task(task) = &plan.steps[0] else {
        panic!("the migration comes first")
    };
    assert_eq!(task.container, "superbowleto-w-stg");
    assert_eq!(task.group.as_deref(), Some("migration"));
    let overridden: Vec<&Value> = task
        .container_overrides
        .as_array()
        .unwrap()
        .iter()
        .map(|container| &container["name"])
        .collect();
    assert_eq!(overridden, ["superbowleto-w-stg", "datadog-agent"]);
    let sidecar = &plan.revision(&task.revision).unwrap().definition["containerDefinitions"][1];
    assert_eq!(sidecar["image"], "public.ecr.aws/datadog/agent:7");
}

#[test]
fn the_services_of_the_blog_are_started_at_one_and_its_beat_never_runs_twice() {
    let plan = planned("django-blog", "alpha", "backend");
    for name in ["gunicorn", "default-worker", "beat"] {
        assert_eq!(service(&plan, name).start_count, Some(1), "{name}");
    }
    let beat = &service(&plan, "beat").deployment_configuration;
    assert_eq!(
        (&beat["maximumPercent"], &beat["minimumHealthyPercent"]),
        (&json!(100), &json!(0))
    );
}

#[test]
fn the_catalog_has_the_size_of_each_environment() {
    for (environment, cpu, memory, level) in [
        ("develop", "256", "512", "Debug"),
        ("staging", "512", "1024", "Information"),
        ("production", "1024", "2048", "Warning"),
    ] {
        let plan = planned("imagy-catalog", environment, "app");
        let definition = &plan.revision(&key("api")).unwrap().definition;
        assert_eq!(
            (&definition["cpu"], &definition["memory"]),
            (&json!(cpu), &json!(memory))
        );
        let variables = definition["containerDefinitions"][0]["environment"].as_array().unwrap();
        assert!(
            variables.contains(&json!({"name": "Logging__LogLevel__Default", "value": level})),
            "{environment}"
        );
        assert_eq!(definition["family"], format!("imagy-catalog-{environment}"));
    }
}
