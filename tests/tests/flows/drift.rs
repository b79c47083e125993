//! Two environments that are to be set alike: what differs beyond what the file declares is told, by name only.

use lab::images::Kind;
use serde_json::{Value, json};

use crate::support::Account;

/// The notes of the plan of a version for staging.
fn notes(account: &mut Account, version: &str) -> String {
    let plan = account
        .lab
        .esclusa(&["plan", "imagy-catalog", "staging", "--version", version])
        .out;
    let notes = plan.lines().filter(|line| line.starts_with("note: "));
    notes.map(|line| format!("{line}\n")).collect()
}

/// Registers another revision of what runs in production, and lets it run, as somebody does by hand.
fn change_production(account: &mut Account, change: impl FnOnce(&mut Value)) {
    let described = account.administer(
        "ecs",
        "DescribeTaskDefinition",
        json!({"taskDefinition": "imagy-catalog-production"}),
    );
    let mut definition = described["taskDefinition"].clone();
    let members = definition.as_object_mut().unwrap();
    members.retain(|member, _| {
        let kept = [
            "family",
            "cpu",
            "memory",
            "networkMode",
            "requiresCompatibilities",
            "containerDefinitions",
        ];
        kept.contains(&member.as_str()) || member.ends_with("RoleArn")
    });
    change(&mut definition);
    account.administer("ecs", "RegisterTaskDefinition", definition);
    let update = json!({
        "cluster": "imagy-production", "service": "imagy-catalog", "taskDefinition": "imagy-catalog-production",
    });
    account.administer("ecs", "UpdateService", update);
}

#[test]
fn what_somebody_changed_in_production_is_told_in_the_plan_of_staging_and_keeps_nobody() {
    let mut account = Account::running("imagy-catalog", "v1");
    account.esclusa(&[
        "deploy",
        "imagy-catalog",
        "production",
        "v1",
        "--reason",
        "the release of the week",
    ]);
    account.settle();
    account.push("v2", Kind::Good);
    account.settle();
    assert_eq!(
        notes(&mut account, "v2"),
        "",
        "settings that the file declares are no drift"
    );
    change_production(&mut account, |definition| {
        let container = &mut definition["containerDefinitions"][0];
        let variable = json!({"name": "FEATURE_X", "value": "hunter2"});
        container["environment"].as_array_mut().unwrap().push(variable);
        container["stopTimeout"] = json!(90);
    });
    let told = notes(&mut account, "v2");
    assert_eq!(
        told,
        "note: drift: `api` differs from what runs in `production` in `containers.api.environment.FEATURE_X`, `containers.api.stopTimeout`; \
         declare it for each environment, or list it in `same_as.except`\n"
    );
    account.push("v3", Kind::Good);
    account.settle();
    account.assert_ended("SUCCEEDED", "schema_moved", "proven");
    let planned = account.records("planned");
    let of_staging = planned
        .iter()
        .rfind(|record| record["environment"] == "staging")
        .unwrap();
    assert!(of_staging["body"]["notes"][0].as_str().unwrap().starts_with("drift"));
    assert!(!planned.iter().any(|record| record.to_string().contains("hunter2")));
}

#[test]
fn an_environment_that_cannot_be_read_is_told_and_keeps_nobody() {
    let mut account = Account::edited(
        "imagy-catalog",
        "  - name: production\n    trigger: manual\n    tags: {allow: [\"*\"], deny: [latest, local]}\n    cluster: imagy-${environment}\n",
        "  - name: production\n    trigger: manual\n    cluster: imagy-absent\n",
    );
    account.release("v1", Kind::Good);
    account.assert_ended("SUCCEEDED", "schema_moved", "proven");
    let told = notes(&mut account, "v1");
    assert!(told.contains("`production` could not be read"), "{told}");
}
