//! What the installation may do, against what a deployment needs.

use super::*;

/// A verification that searches a log group and invokes a function, and a database with a restore point.
fn asking() -> PlanInput {
    let mut input = restorable(input('a'));
    let checks = json!({"soak_seconds": 300, "checks": {
        "errors": {"measure": {"log": {"group": "/ecs/shop", "pattern": "ERROR"}}},
        "smoke": {"measure": {"function": {"name": "shop-smoke-test"}}},
    }});
    input.environment.verification = Some(serde_json::from_value(checks).unwrap());
    input
}

fn world() -> Observed {
    let mut world = observed();
    let shop = world.families.get_mut("shop").unwrap();
    shop.definition["taskRoleArn"] = json!("arn:aws:iam::123456789012:role/shop");
    let log = json!({"logDriver": "awslogs", "options": {"awslogs-group": "/ecs/shop"}});
    shop.definition["containerDefinitions"][0]["logConfiguration"] = log;
    let live = world.services.get_mut("shop").unwrap();
    live.deployment_configuration["lifecycleHooks"] =
        json!([{"targetType": "PAUSE"}, {"hookTargetArn": "arn:f", "roleArn": "arn:aws:iam::123456789012:role/hook"}]);
    world.databases.insert(key("main"), observed_database());
    world
}

fn wide() -> Powers {
    let any = || Some("*".to_owned());
    Powers {
        clusters: "*".to_owned(),
        families: "*".to_owned(),
        repositories: "*".to_owned(),
        passable_roles: vec!["arn:aws:iam::123456789012:role/*".to_owned()],
        log_groups: any(),
        test_functions: any(),
        databases: any(),
    }
}

#[test]
fn what_the_installation_may_not_do_is_said_before_it_is_denied() {
    type Narrow = fn(&mut Powers);
    let with = |powers: Powers| {
        let mut input = asking();
        input.powers = Some(powers);
        refused(&input, &world())
    };
    assert_eq!(with(wide()), []);
    let table: [(Narrow, &str, &str); 8] = [
        (
            |powers| powers.clusters = "other-*".to_owned(),
            "ClusterPattern",
            "cluster `main`",
        ),
        (
            |powers| powers.families = "other-*".to_owned(),
            "FamilyPattern",
            "family `shop`",
        ),
        (
            |powers| powers.repositories = "other-*".to_owned(),
            "RepositoryPattern",
            "repository `shop`",
        ),
        (
            |powers| powers.passable_roles = vec!["arn:aws:iam::123456789012:role/hook".to_owned()],
            "PassableRoleArns",
            "role/shop` of the family `shop`",
        ),
        (
            |powers| powers.passable_roles = vec!["arn:aws:iam::123456789012:role/shop".to_owned()],
            "PassableRoleArns",
            "role/hook` of a lifecycle hook of the service `shop`",
        ),
        (
            |powers| powers.log_groups = Some("/other/*".to_owned()),
            "TaskLogGroupPattern",
            "log group `/ecs/shop`",
        ),
        (
            |powers| powers.test_functions = Some("other-*".to_owned()),
            "TestFunctionPattern",
            "function `shop-smoke-test`",
        ),
        (
            |powers| powers.databases = Some("other-*".to_owned()),
            "DatabasePattern",
            "database `shop-main`",
        ),
    ];
    for (narrow, parameter, what) in table {
        let mut powers = wide();
        narrow(&mut powers);
        let found = with(powers);
        let said = |(kind, text): &(RefusalKind, String)| *kind == RefusalKind::Powers && text.contains(parameter);
        assert!(!found.is_empty() && found.iter().all(said), "{parameter}: {found:?}");
        assert!(found.iter().any(|(_, text)| text.contains(what)), "{what}: {found:?}");
    }
}

#[test]
fn what_an_older_installation_does_not_say_of_itself_is_refused_by_nobody() {
    let mut input = asking();
    input.powers = Some(Powers {
        log_groups: None,
        test_functions: None,
        databases: None,
        ..wide()
    });
    assert_eq!(refused(&input, &world()), []);
}

#[test]
fn a_migration_whose_lines_cannot_be_read_runs_and_the_plan_says_so() {
    let mut input = input('a');
    let told = |input: &PlanInput| {
        let notes = plan(input, &world(), now()).unwrap().notes;
        notes
            .iter()
            .any(|note| note.contains("what `migrate` writes cannot be read if it fails"))
    };
    input.powers = Some(wide());
    assert!(!told(&input));
    input.powers = Some(Powers {
        log_groups: Some("/other/*".to_owned()),
        ..wide()
    });
    assert!(told(&input));
}
