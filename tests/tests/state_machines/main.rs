//! The real definitions pass every check, and every check fails on a definition that is wrong in its way.

#![expect(clippy::unwrap_used, reason = "a test that cannot read what it checks has failed")]

mod mutants;

use std::collections::BTreeSet;

use esclusa_core::error::ErrorKind;
use esclusa_tests::state_machines::{Finding, Machine, Surroundings};
use esclusa_tests::template::{Template, definition, one_or_many};

/// A machine with the ends it declares and its logical id in the template.
struct Declared {
    name: &'static str,
    logical_id: &'static str,
    ends: [&'static str; 2],
}

const RELEASE: Declared = Declared {
    name: "release",
    logical_id: "ReleaseStateMachine",
    ends: ["Closed", "ReleaseNotClosed"],
};
const DEPLOYMENT: Declared = Declared {
    name: "deployment",
    logical_id: "DeploymentStateMachine",
    ends: ["Ended", "EndNotRecorded"],
};

fn surroundings(machine: &Declared) -> Surroundings {
    let template = Template::read().unwrap();
    let substitutions = template.properties(machine.logical_id)["DefinitionSubstitutions"]
        .as_object()
        .unwrap();
    let role = format!("{}Role", machine.logical_id);
    let allowed = template
        .role_statements(&role)
        .into_iter()
        .filter(|statement| statement.actions.contains("lambda:InvokeFunction"));
    let functions: BTreeSet<String> = allowed.flat_map(|statement| statement.resources).collect();
    let named = |resource: &String| {
        substitutions
            .iter()
            .find(|(_, value)| value.as_str() == Some(resource))
            .map(|(name, _)| name.clone())
    };
    Surroundings {
        substitutions: substitutions.keys().cloned().collect(),
        invocable: functions
            .iter()
            .map(|resource| named(resource).unwrap_or_else(|| resource.clone()))
            .collect(),
        ends: machine.ends.map(str::to_owned).into(),
    }
}

fn listed(findings: &[Finding]) -> String {
    findings.iter().map(|finding| format!("  {finding}\n")).collect()
}

#[test]
fn the_definitions_have_no_findings() {
    for machine in [RELEASE, DEPLOYMENT] {
        let definition = definition(machine.name).unwrap();
        let findings = Machine::new(&definition).findings(&surroundings(&machine));
        assert!(findings.is_empty(), "{}:\n{}", machine.name, listed(&findings));
    }
}

/// The functions that change something in somebody's account.
const ACTING: [&str; 4] = [
    "RegisterFunctionArn",
    "MigrateFunctionArn",
    "UpdateFunctionArn",
    "TrafficFunctionArn",
];

#[test]
fn whoever_lost_the_lock_changes_nothing_any_more() {
    let definition = definition(DEPLOYMENT.name).unwrap();
    let machine = Machine::new(&definition);
    let calls = machine.calls();
    for call in calls.iter().filter(|call| ACTING.contains(&call.function.as_str())) {
        let next = machine.caught_at(&call.state, ErrorKind::FenceLost.as_str()).unwrap();
        let reached = machine.reachable_from(next);
        let acting: Vec<&str> = calls
            .iter()
            .filter(|later| reached.contains(later.state.as_str()) && ACTING.contains(&later.function.as_str()))
            .map(|later| later.state.as_str())
            .collect();
        assert!(
            acting.is_empty(),
            "after `{}` lost the lock, {acting:?} may still act",
            call.state
        );
    }
}

#[test]
fn a_failure_goes_the_way_back_exactly_where_something_may_have_moved() {
    let definition = definition(DEPLOYMENT.name).unwrap();
    let machine = Machine::new(&definition);
    let nothing_moved_yet = ["AcquireLocks", "AwaitLock", "PlanDeployment", "RegisterRevision"];
    let the_end = ["PlanWayBack", "RecordEnd"];
    for call in machine.calls() {
        let next = machine
            .caught_at(&call.state, ErrorKind::AccessDenied.as_str())
            .unwrap();
        let goes_back = machine.reachable_from(next).contains("PlanWayBack");
        let may_have_moved =
            !nothing_moved_yet.contains(&call.state.as_str()) && !the_end.contains(&call.state.as_str());
        assert_eq!(goes_back, may_have_moved, "`{}`", call.state);
    }
}

#[test]
fn only_an_end_that_cannot_be_written_fails_the_execution() {
    for (machine, writer) in [(RELEASE, "CloseRelease"), (DEPLOYMENT, "RecordEnd")] {
        let definition = definition(machine.name).unwrap();
        let parsed = Machine::new(&definition);
        for call in parsed.calls() {
            let fails = parsed.type_of(parsed.caught_at(&call.state, "States.ALL").unwrap()) == "Fail";
            assert_eq!(fails, call.state == writer, "`{}`", call.state);
        }
    }
}

#[test]
fn a_release_waits_longer_than_a_deployment_may_take() {
    let (release, deployment) = (definition(RELEASE.name).unwrap(), definition(DEPLOYMENT.name).unwrap());
    let environment = &release["States"]["DeployWave"]["ItemProcessor"]["States"];
    let wait = environment["AwaitDeployment"]["TimeoutSeconds"].as_u64().unwrap();
    assert!(
        wait > deployment["TimeoutSeconds"].as_u64().unwrap(),
        "a release would close while its deployment still runs"
    );
    assert!(
        release["TimeoutSeconds"].as_u64().unwrap() > wait,
        "a release would be cut off while it waits"
    );
}

#[test]
fn every_pair_of_function_and_action_is_sent_with_one_set_of_fields() {
    for machine in [RELEASE, DEPLOYMENT] {
        let definition = definition(machine.name).unwrap();
        let calls = Machine::new(&definition).calls();
        for call in &calls {
            assert!(!call.action.is_empty(), "`{}` sends no action", call.state);
            for other in calls
                .iter()
                .filter(|other| (&other.function, &other.action) == (&call.function, &call.action))
            {
                assert_eq!(other.fields, call.fields, "`{}` and `{}`", other.state, call.state);
            }
        }
    }
}

#[test]
fn the_functions_of_the_machines_are_functions_of_the_template() {
    let template = Template::read().unwrap();
    let functions = template.resources("AWS::Serverless::Function");
    for machine in [RELEASE, DEPLOYMENT] {
        for (name, value) in template.properties(machine.logical_id)["DefinitionSubstitutions"]
            .as_object()
            .unwrap()
        {
            let logical_id = one_or_many(Some(value)).pop_first().unwrap();
            let logical_id = logical_id.strip_suffix(".Arn").unwrap();
            assert!(functions.contains_key(logical_id), "`{name}` is `{logical_id}`");
            assert_eq!(format!("{logical_id}Arn"), *name);
        }
    }
}
