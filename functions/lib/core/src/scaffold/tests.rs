use serde_json::{Value, json};

use super::*;
use crate::pipeline::{parse, resolve};

fn home() -> Home {
    Home {
        account: "123456789012".parse().unwrap(),
        region: "us-east-1".parse().unwrap(),
    }
}

fn image(repository: &str) -> String {
    format!("123456789012.dkr.ecr.us-east-1.amazonaws.com/{repository}:v1")
}

/// A service that runs revision 3 of a family, which is the newest.
fn service(name: &str, family: &str, containers: &[(&str, &str)]) -> ObservedService {
    let arn = format!("arn:aws:ecs:us-east-1:123456789012:task-definition/{family}:3");
    let containers: Vec<Value> = containers
        .iter()
        .map(|(name, image)| json!({"name": name, "image": image}))
        .collect();
    ObservedService {
        service: json!({
            "serviceName": name,
            "desiredCount": 2,
            "deploymentConfiguration": {"deploymentCircuitBreaker": {"enable": true, "rollback": true}},
            "networkConfiguration": {"awsvpcConfiguration": {
                "subnets": ["subnet-1", "subnet-2"], "securityGroups": ["sg-1"], "assignPublicIp": "DISABLED",
            }},
        }),
        definition: Some(json!({"family": family, "taskDefinitionArn": arn, "containerDefinitions": containers})),
        newest: Some(arn),
    }
}

fn observed(application: &str, environments: Vec<(&str, &str, Option<&str>, Vec<ObservedService>)>) -> Observed {
    let environments = environments
        .into_iter()
        .map(|(name, cluster, suffix, services)| ObservedEnvironment {
            name: name.parse().unwrap(),
            suffix: suffix.map(str::to_owned),
            cluster: cluster.to_owned(),
            services,
        });
    Observed {
        application: application.parse().unwrap(),
        home: home(),
        environments: environments.collect(),
    }
}

/// The file, which parses and means something in each environment.
fn scaffolded(observed: &Observed) -> Scaffold {
    let scaffold = scaffold(observed).unwrap();
    let pipeline = parse(&scaffold.text).unwrap_or_else(|errors| panic!("{errors}\n{}", scaffold.text));
    for environment in &observed.environments {
        resolve(&pipeline, environment.name.as_str()).unwrap();
    }
    scaffold
}

#[test]
fn a_product_of_two_services_in_three_environments_is_one_file() {
    let both = |environment: &str| {
        let mut api = service(
            &format!("shop-{environment}-api"),
            &format!("shop-api-{environment}"),
            &[
                ("api", &image("shop/api")),
                ("datadog-agent", "public.ecr.aws/datadog/agent:7"),
            ],
        );
        api.service["loadBalancers"] =
            json!([{"targetGroupArn": "arn:tg", "containerName": "api", "containerPort": 80}]);
        let worker = service(
            &format!("shop-{environment}-worker"),
            &format!("shop-worker-{environment}"),
            &[("worker", &image("shop/worker"))],
        );
        vec![worker, api]
    };
    let environments = ["develop", "staging", "production"];
    let clusters = environments.map(|name| format!("shop-{name}"));
    let observed = observed(
        "shop",
        environments
            .iter()
            .zip(&clusters)
            .map(|(name, cluster)| (*name, cluster.as_str(), None, both(name)))
            .collect(),
    );
    let scaffold = scaffolded(&observed);
    assert_eq!(scaffold.services, ["worker", "api"]);
    assert!(scaffold.notes.is_empty() && scaffold.left_out.is_empty());
    insta::assert_snapshot!(scaffold.text);
}

#[test]
fn what_is_called_by_a_suffix_and_families_of_any_name_are_variables() {
    let service = |suffix: &str, family: &str| {
        let container = format!("boleto-{suffix}");
        service(&format!("boleto-s-{suffix}"), family, &[(&container, &image("boleto"))])
    };
    let observed = observed(
        "boleto",
        vec![
            ("staging", "boleto-stg", Some("stg"), vec![service("stg", "boleto-old")]),
            (
                "production",
                "boleto-prd",
                Some("prd"),
                vec![service("prd", "boleto-prd-server")],
            ),
        ],
    );
    insta::assert_snapshot!(scaffolded(&observed).text);
}

#[test]
fn what_the_first_release_changes_besides_the_image_is_said() {
    let mut web = service("web", "web", &[("web", &image("web"))]);
    web.newest = Some("arn:aws:ecs:us-east-1:123456789012:task-definition/web:5".to_owned());
    web.service["deploymentConfiguration"] = json!({"deploymentCircuitBreaker": {"enable": false, "rollback": false}});
    let mut stopped = service("beat", "beat", &[("beat", &image("web"))]);
    stopped.service["desiredCount"] = json!(0);
    stopped.service["deploymentConfiguration"] =
        json!({"deploymentCircuitBreaker": {"enable": true, "rollback": false}});
    let mut canary = service("front", "front", &[("front", &image("web"))]);
    canary.service["deploymentConfiguration"] = json!({"strategy": "CANARY"});
    let observed = observed("shop", vec![("production", "main", None, vec![web, stopped, canary])]);
    let scaffold = scaffolded(&observed);
    insta::assert_snapshot!(scaffold.notes.join("\n"));
    assert!(
        scaffold
            .text
            .contains("beat: {deployment: {circuit_breaker: {rollback: false}}}"),
        "{}",
        scaffold.text
    );
}

#[test]
fn what_a_pipeline_cannot_have_is_left_out_with_the_reason() {
    let good = || service("web", "web", &[("web", &image("web"))]);
    let elsewhere = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/web:v1";
    let mut by_code_deploy = service("green", "green", &[("web", &image("web"))]);
    by_code_deploy.service["deploymentController"] = json!({"type": "CODE_DEPLOY"});
    let mut deleted = service("old", "old", &[("old", &image("web"))]);
    deleted.service["taskDefinition"] = json!("arn:aws:ecs:us-east-1:123456789012:task-definition/old:3");
    deleted.definition = None;
    let observed = observed(
        "shop",
        vec![
            (
                "staging",
                "one",
                None,
                vec![
                    good(),
                    service("cache", "cache", &[("redis", "public.ecr.aws/docker/library/redis:7")]),
                    service("far", "far", &[("far", elsewhere)]),
                    service("other", "other", &[("a", &image("other"))]),
                    by_code_deploy.clone(),
                    deleted.clone(),
                    service("tools", "tools", &[("tools", &image("tools"))]),
                ],
            ),
            (
                "production",
                "two",
                None,
                vec![
                    good(),
                    service("cache", "cache", &[("redis", "public.ecr.aws/docker/library/redis:7")]),
                    service("far", "far", &[("far", elsewhere)]),
                    service("other", "other", &[("b", &image("other"))]),
                    by_code_deploy,
                    deleted,
                ],
            ),
        ],
    );
    let scaffold = scaffolded(&observed);
    assert_eq!(scaffold.services, ["web"]);
    let left_out: Vec<String> = scaffold
        .left_out
        .iter()
        .map(|(name, reason)| format!("{name}: {reason}"))
        .collect();
    insta::assert_snapshot!(left_out.join("\n"));
}

#[test]
fn the_block_of_migrations_is_valid_once_it_is_out_of_its_comments() {
    let web = service("web", "web", &[("web", &image("web"))]);
    let text = scaffolded(&observed("shop", vec![("production", "main", None, vec![web])])).text;
    let mut within = false;
    let uncommented: Vec<&str> = text
        .lines()
        .map(|line| {
            within = (within || line == "# databases:") && !line.is_empty();
            if within { line.trim_start_matches("# ") } else { line }
        })
        .collect();
    // Two blanks of a comment are indentation of what is in it.
    let uncommented = uncommented.join("\n");
    let pipeline = parse(&uncommented).unwrap_or_else(|errors| panic!("{errors}\n{uncommented}"));
    assert_eq!((pipeline.tasks.len(), pipeline.databases.len()), (1, 1));
}

#[test]
fn a_container_beside_the_application_keeps_its_image_and_one_of_the_same_image_does_not() {
    let mut web = service(
        "web",
        "web",
        &[
            ("web", &image("web")),
            ("assets", &image("web")),
            ("proxy", &image("proxy")),
        ],
    );
    for index in [1, 2] {
        web.definition.as_mut().unwrap()["containerDefinitions"][index]["essential"] = json!(false);
    }
    let text = scaffolded(&observed("shop", vec![("production", "main", None, vec![web])])).text;
    assert!(text.contains("assets: {image: web}"), "{text}");
    assert!(
        text.contains("# proxy keeps its image") && !text.contains("proxy: {"),
        "{text}"
    );
}

#[test]
fn a_mirrored_image_beside_that_of_the_application_is_to_be_looked_at() {
    let web = service(
        "web",
        "web",
        &[("web", &image("web")), ("agent", &image("mirror/agent"))],
    );
    let scaffold = scaffolded(&observed("shop", vec![("production", "main", None, vec![web])]));
    let [note] = scaffold.notes.as_slice() else {
        panic!("{:?}", scaffold.notes)
    };
    assert!(note.contains("of `web` run images of `mirror/agent`, `web`"), "{note}");
}

#[test]
fn nothing_to_deploy_is_refused_with_every_reason() {
    let failure = scaffold(&observed("shop", vec![("production", "main", None, Vec::new())])).unwrap_err();
    assert!(failure.message.contains("no services"), "{failure}");
    let foreign = service("cache", "cache", &[("redis", "redis:7")]);
    let failure = scaffold(&observed("shop", vec![("production", "main", None, vec![foreign])])).unwrap_err();
    assert!(failure.message.contains("`cache`: no container of it"), "{failure}");
}

#[test]
fn environments_are_what_tells_clusters_apart() {
    let places = |clusters: &[(&str, Option<&str>)]| -> Vec<Place> {
        let place = |(cluster, name): &(&str, Option<&str>)| Place {
            cluster: (*cluster).to_owned(),
            environment: name.map(|name| name.parse().unwrap()),
        };
        clusters.iter().map(place).collect()
    };
    type Names<'n> = &'n [(&'n str, Option<&'n str>)];
    let table: [(Names<'_>, Names<'_>); 7] = [
        (
            &[("shop-develop", None), ("shop-production", None)],
            &[("develop", None), ("production", None)],
        ),
        (
            &[("alpha-cluster", None), ("beta-cluster", None)],
            &[("alpha", None), ("beta", None)],
        ),
        (
            &[("shop-stg", Some("staging")), ("shop-prd", Some("production"))],
            &[("staging", Some("stg")), ("production", Some("prd"))],
        ),
        (&[("Production", None)], &[("production", Some("Production"))]),
        (&[("shop-production", None)], &[("production", None)]),
        (&[("shop", Some("production"))], &[("production", None)]),
        (&[("a_eu_b", None), ("a_us_b", None)], &[("eu", None), ("us", None)]),
    ];
    for (given, expected) in table {
        let found = environments(&"shop".parse().unwrap(), &places(given)).unwrap();
        let found: Vec<(&str, Option<&str>)> = found
            .iter()
            .map(|(name, suffix)| (name.as_str(), suffix.as_deref()))
            .collect();
        assert_eq!(found, expected, "{given:?}");
    }
    for given in [
        &[("shop", None)][..],
        &[("1", None)],
        &[("shop", None), ("shop-eu", None)],
    ] {
        assert!(
            environments(&"shop".parse().unwrap(), &places(given)).is_err(),
            "{given:?}"
        );
    }
}
