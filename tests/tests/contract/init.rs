//! `esclusa init`: what it writes is valid, applies, and its first release changes nothing but the image.

use jiff::SignedDuration;
use lab::example::Example;
use lab::images::Kind;
use lab::{Answer, Lab};
use serde_json::{Value, json};
use simulator::Settings;
use simulator_ecs::Ecs;

use crate::flows;

/// An account in which an example runs that nobody has written a pipeline for.
fn undeployed(example: &str) -> (Lab, Example) {
    let example = Example::load(example).unwrap();
    let mut lab = Lab::new(&Settings::default()).unwrap();
    example.provide(lab.world_mut()).unwrap();
    lab.simulation().run_for(SignedDuration::from_mins(5));
    (lab, example)
}

fn done(answer: Answer) -> String {
    assert_eq!(answer.code, 0, "{}{}", answer.out, answer.err);
    answer.out
}

/// The task definition that a service runs.
fn running(lab: &mut Lab, cluster: &str, service: &str) -> Value {
    let ecs = lab.world().service::<Ecs>().unwrap();
    let arn = ecs.service_task_definition(cluster, service).unwrap().to_owned();
    let answer = lab
        .world_mut()
        .administer("ecs", "DescribeTaskDefinition", json!({"taskDefinition": arn}))
        .unwrap();
    answer["taskDefinition"].clone()
}

/// A definition without what every revision has of its own, and without its images.
fn settings(definition: &Value) -> Value {
    let mut settings = definition.clone();
    let members = settings.as_object_mut().unwrap();
    for member in ["taskDefinitionArn", "revision", "registeredAt", "registeredBy"] {
        members.remove(member);
    }
    for container in members["containerDefinitions"].as_array_mut().unwrap() {
        container.as_object_mut().unwrap().remove("image");
    }
    settings
}

fn images(definition: &Value) -> Vec<&str> {
    let containers = definition["containerDefinitions"].as_array().unwrap().iter();
    containers
        .map(|container| container["image"].as_str().unwrap())
        .collect()
}

#[test]
fn the_first_release_by_a_file_that_was_written_changes_nothing_but_the_image() {
    let (mut lab, example) = undeployed("imagy-catalog");
    let folder = flows::tempdir();
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("pipeline.yaml").display().to_string();
    let clusters = ["imagy-develop", "imagy-staging", "imagy-production"];
    let mut words = vec!["init", "imagy-catalog", "--output-file", &file];
    for cluster in clusters {
        words.extend(["--cluster", cluster]);
    }
    done(lab.esclusa(&words));
    insta::assert_snapshot!(std::fs::read_to_string(&file).unwrap());

    done(lab.esclusa(&["pipelines", "validate", &file]));
    done(lab.esclusa(&["pipelines", "apply", &file]));
    let before = clusters.map(|cluster| running(&mut lab, cluster, "imagy-catalog"));
    let digest = lab
        .push(
            "imagy-catalog",
            Some("4f2c1e9"),
            &example.manifest(Kind::Good, "4f2c1e9"),
        )
        .unwrap();
    assert!(lab.settle(), "an execution still runs");
    let released = done(lab.esclusa(&["deploy", "imagy-catalog", "production", "4f2c1e9"]));
    assert!(released.contains("SUCCEEDED"), "{released}");
    for (cluster, before) in clusters.iter().zip(before) {
        let after = running(&mut lab, cluster, "imagy-catalog");
        assert_eq!(settings(&after), settings(&before), "{cluster}");
        let pinned = format!("123456789012.dkr.ecr.us-east-1.amazonaws.com/imagy-catalog@{digest}");
        assert_eq!(images(&after), [pinned.as_str()], "{cluster}");
    }
}

#[test]
fn every_example_can_begin_with_a_file_that_was_written() {
    for (example, clusters) in [
        (
            "superbowleto",
            &["superbowleto-stg=staging", "superbowleto-prd=production"][..],
        ),
        ("orbiquant", &["orbiquant-staging", "orbiquant-production"]),
        ("nest-demo", &["nest-demo-development", "nest-demo-production"]),
        ("django-blog", &["alpha-cluster", "beta-cluster"]),
    ] {
        let (mut lab, _) = undeployed(example);
        let mut words = vec!["init", example, "--output-file", "-"];
        for cluster in clusters {
            words.extend(["--cluster", cluster]);
        }
        let text = done(lab.esclusa(&words));
        let folder = flows::tempdir();
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("pipeline.yaml");
        std::fs::write(&file, &text).unwrap();
        done(lab.esclusa(&["pipelines", "apply", file.to_str().unwrap()]));
        assert!(!text.contains("is left out"), "{example}\n{text}");
    }
}

#[test]
fn what_is_not_there_or_there_already_is_said_with_what_helps() {
    let (mut lab, _) = undeployed("nest-demo");
    let folder = flows::tempdir();
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("pipeline.yaml").display().to_string();
    let cluster = "nest-demo-development";
    let refused = |lab: &mut Lab, words: &[&str]| {
        let answer = lab.esclusa(words);
        assert_ne!(answer.code, 0, "{words:?}");
        answer.err
    };
    let absent = refused(
        &mut lab,
        &["init", "shop", "--cluster", "shop-develop", "--output-file", "-"],
    );
    assert!(absent.contains("no cluster `shop-develop`"), "{absent}");
    let service = [
        "init",
        "nest-demo",
        "--cluster",
        cluster,
        "--service",
        "web",
        "--output-file",
        "-",
    ];
    let absent = refused(&mut lab, &service);
    assert!(absent.contains("no service `web`"), "{absent}");
    std::fs::write(&file, "mine").unwrap();
    let kept = refused(
        &mut lab,
        &["init", "nest-demo", "--cluster", cluster, "--output-file", &file],
    );
    assert!(kept.contains("`--force`"), "{kept}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
}
