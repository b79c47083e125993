//! How much Step Functions has to carry and to hold for what is largest.

use esclusa_core::verification::LOOKS_MAX;
use jiff::SignedDuration;
use lab::images::Kind;
use serde_json::{Value, json};

use crate::support::Account;

/// What Step Functions carries from state to state.
const PAYLOAD_BYTES: usize = 256 * 1024;

/// What the history of an execution holds.
const HISTORY_EVENTS: usize = 25_000;

/// The services of a large application.
const SERVICES: usize = 30;

/// What the history of their deployment has at most in one direction.
const SERVICES_EVENTS: usize = 900;

/// Where the first environment begins to say how it is deployed to.
const PUSH: &str = "    trigger: push\n";

/// The events of an execution's history, with everything that its states were given and gave.
fn history(account: &mut Account, machine: &str, execution: &str) -> Vec<Value> {
    let path = format!("execution:{}-{machine}:{execution}", lab::DEPLOYER);
    let arn = account.lab.world().kernel().arn("states", &path);
    let mut events = Vec::new();
    let mut page = json!({"executionArn": arn, "maxResults": 1000});
    loop {
        let answer = account.administer("states", "GetExecutionHistory", page.clone());
        events.extend(answer["events"].as_array().unwrap().iter().cloned());
        match answer.get("nextToken").filter(|token| !token.is_null()) {
            Some(token) => page["nextToken"] = token.clone(),
            None => return events,
        }
    }
}

/// The longest text in it: an input, an output, an answer or a variable.
fn longest(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(values) => values.iter().map(longest).max().unwrap_or_default(),
        Value::Object(members) => members.values().map(longest).max().unwrap_or_default(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}

/// How many events a history has from each entering of a state to what is entered next, at most.
fn cost(history: &[Value], state: &str) -> usize {
    let entered: Vec<usize> = (0..history.len())
        .filter(|index| history[*index].get("stateEnteredEventDetails").is_some())
        .collect();
    let visits = entered.windows(2).filter(|visit| {
        let name = &history[visit[0]]["stateEnteredEventDetails"]["name"];
        name == state
    });
    visits.map(|visit| visit[1] - visit[0]).max().unwrap()
}

/// How often the definition of a deployment goes round a loop, as its own condition bounds it.
fn bound(variable: &str) -> usize {
    let definition = std::fs::read_to_string(lab::repository().join("statemachine/deployment.asl.json")).unwrap();
    let (_, rest) = definition.split_once(&format!("${variable} < ")).unwrap();
    rest.split(' ').next().unwrap().parse().unwrap()
}

/// The pipeline's lines for a verification that looks every ten seconds, each time after a pause that an alarm could
/// end.
fn verified_for(seconds: usize) -> String {
    format!(
        "{PUSH}    verification:\n      soak_seconds: {seconds}\n      services: {{interval_seconds: 600}}\n      checks:\n        errors: {{measure: {{alarms: [errors]}}, pace: {{interval_seconds: 10}}}}\n"
    )
}

/// F80: a release that is looked at for a quarter of an hour tells what each round of a loop takes, and so what all of
/// the loops take at their bounds.
#[test]
fn a_history_has_room_for_every_loop_at_its_bound() {
    let mut account = Account::edited("nest-demo", PUSH, &verified_for(900));
    account.create_alarm("errors");
    account.release("v1.0.0", Kind::Good);
    account.assert_ended("SUCCEEDED", "none", "proven");
    let deployment = format!("{}-development-1", account.only_release());
    let path = account.lab.path(&deployment);
    let looks = path.iter().filter(|state| *state == "LookAtChecks").count();
    assert!(looks > 80, "{looks} looks");
    let history = history(&mut account, "deployment", &deployment);
    let (wait, task, choice) = (
        cost(&history, "AwaitAlarm"),
        cost(&history, "LookAtChecks"),
        cost(&history, "ChecksOutcome?"),
    );
    // A `Wait` state is entered and left, as a `Choice` is.
    let round = wait + task + choice;
    let without_looks = history.len() - looks * round;
    // Those beyond what a pipeline may ask for are for events of alarms and answers of people. The verification itself
    // ends first, which says why.
    let of_itself = usize::try_from(LOOKS_MAX).unwrap();
    assert!(looks_max(&mut account) < of_itself && of_itself < bound("checkLooks"));
    let bounds =
        bound("checkLooks") * round + bound("lockLooks") * round + bound("snapshotLooks") * (choice + task + choice);
    let events = without_looks + bounds + 2 * SERVICES_EVENTS;
    assert!(events < HISTORY_EVENTS, "{events} events");
}

/// The most looks that a pipeline may ask for, as it is said to whoever asks for more.
fn looks_max(account: &mut Account) -> usize {
    let text = std::fs::read_to_string(&account.example.file).unwrap();
    let file = account.written(&text.replacen(PUSH, &verified_for(21_600), 1));
    let refused = account.lab.esclusa(&["pipelines", "apply", &file.to_string_lossy()]);
    let (_, rest) = refused.err.split_once("looks, but at most ").unwrap();
    rest.split(' ').next().unwrap().parse().unwrap()
}

/// F79: states carry what they need to ask for the next thing, and no description.
#[test]
fn what_is_carried_for_thirty_services_is_a_fraction_of_what_may_be() {
    let (cluster, first) = ("nest-demo-development", "nest-demo");
    let service = "  nestapp:\n    service: nest-demo\n    task_definition: nestapp\n    start_count: 1\n";
    let named = |number: usize| {
        let other = service.replace("nestapp:", &format!("nestapp-{number}:"));
        other.replace("service: nest-demo", &format!("service: nest-demo-{number}"))
    };
    let others: String = (1..SERVICES).map(named).collect();
    let mut account = Account::edited("nest-demo", service, &format!("{service}{others}"));
    let template = account.service(cluster, first);
    for number in 1..SERVICES {
        let mut created = json!({"cluster": cluster, "serviceName": format!("{first}-{number}")});
        for member in [
            "taskDefinition",
            "desiredCount",
            "launchType",
            "deploymentConfiguration",
            "networkConfiguration",
        ] {
            created[member] = template[member].clone();
        }
        account.administer("ecs", "CreateService", created);
    }
    account.pass(SignedDuration::from_mins(5));
    account.release("v1.0.0", Kind::Good);
    let release = account.only_release();
    account.assert_ended("SUCCEEDED", "none", "proven");
    let deployment = history(&mut account, "deployment", &format!("{release}-development-1"));
    assert!(deployment.len() < SERVICES_EVENTS, "{} events", deployment.len());
    let release = history(&mut account, "release", &release);
    let carried = longest(&json!([release, deployment]));
    assert!(carried < PAYLOAD_BYTES / 16, "{carried} bytes");
}
