//! Whole flows with every function, and the command line, as the program that is shipped: driven through the Lambda
//! Runtime API and over the wire, with the AWS SDK's own HTTP client. Only here a function's clock is the real one, so
//! nothing is asserted about time.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use lab::example::Example;
use lab::images::Kind;
use lab::{Lab, push_example};
use serde_json::{Value, json};
use simulator::served::{Pace, Server};
use simulator::{
    AccessKey, CallOutcome, Fault, FaultKind, Lambda, Principal, SECRET_ACCESS_KEY, Selector, Settings, World,
};
use simulator_step_functions::{Status, StepFunctions};

const FUNCTIONS: [&str; 10] = [
    "intake", "observe", "register", "migrate", "update", "traffic", "record", "resume", "notify", "console",
];

/// How long a release may take in real time before the test gives up.
const PATIENCE: Duration = Duration::from_secs(240);

/// A program, as `cargo build --workspace --bins` leaves it beside this test.
fn program(name: &str) -> PathBuf {
    let folder = std::env::current_exe().unwrap();
    let path = folder.parent().and_then(Path::parent).unwrap().join(name);
    assert!(
        path.is_file(),
        "`{}` is missing: run `cargo build --workspace --bins`",
        path.display()
    );
    path
}

fn programs() -> BTreeMap<String, PathBuf> {
    let named = |function: &str| (format!("esclusa-{function}"), program(function));
    FUNCTIONS.into_iter().map(named).collect()
}

/// Runs the command line against a served account, as its administrator.
fn esclusa(server: &Server, words: &[&str]) -> Output {
    Command::new(program("esclusa"))
        .args(words)
        .env_clear()
        .env("AWS_ENDPOINT_URL", server.endpoint_url())
        .env("AWS_REGION", Settings::default().region)
        .env("AWS_ACCESS_KEY_ID", Principal::Administrator.access_key_id())
        .env("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY)
        .output()
        .unwrap()
}

/// As [`esclusa`], and it has to succeed; what it printed.
fn told(server: &Server, words: &[&str]) -> String {
    let Output { status, stdout, stderr } = esclusa(server, words);
    assert!(
        status.success(),
        "esclusa {words:?}: {}",
        String::from_utf8_lossy(&stderr)
    );
    String::from_utf8(stdout).unwrap()
}

/// A served account whose functions are programs. Its time begins now, because that is what the programs' clocks say.
#[expect(clippy::disallowed_methods, reason = "the programs read the real clock")]
fn server() -> Server {
    let start = Timestamp::now().checked_sub(SignedDuration::from_mins(5)).unwrap();
    let build = move || {
        let example = Example::load("imagy-catalog")?;
        let mut lab = Lab::with_example(
            &Settings {
                start,
                ..Settings::default()
            },
            &example,
        )?;
        lab.simulation().run_for(SignedDuration::from_mins(5));
        let mut world = lab.into_world();
        if let Some((lambda, _)) = world.service_mut::<Lambda>() {
            for function in FUNCTIONS {
                lambda.unregister(&format!("esclusa-{function}"));
            }
        }
        Ok::<_, lab::InstallError>(world)
    };
    let server = Server::start(Pace::Jump, build).unwrap();
    server.run_programs(programs());
    server
}

/// Pushes an image of a kind under a tag.
fn push(server: &Server, tag: &'static str, kind: Kind) {
    let example = Example::load("imagy-catalog").unwrap();
    let pushed = server.with_world(move |world| push_example(world, &example, "app", tag, kind));
    pushed.unwrap().unwrap();
}

/// The executions of releases, in the order of their starts.
fn releases(world: &World) -> Vec<String> {
    let machines = world.service::<StepFunctions>().unwrap();
    let all = machines.executions().iter();
    all.filter(|arn| arn.contains(":esclusa-release:")).cloned().collect()
}

/// Waits until the world shows something.
#[expect(clippy::disallowed_methods, reason = "real programs take real time")]
fn wait_for<T: Send + 'static>(
    server: &Server,
    what: &str,
    look: impl Fn(&mut World) -> Option<T> + Copy + Send + 'static,
) -> T {
    let since = Instant::now();
    loop {
        if let Some(seen) = server.with_world(look).unwrap() {
            return seen;
        }
        assert!(since.elapsed() < PATIENCE, "{what} took longer than {PATIENCE:?}");
    }
}

/// Waits for the end of the release that began as the `nth`, from 0; how its execution ended and what it answered.
fn ended(server: &Server, nth: usize) -> (Status, Value) {
    wait_for(server, "a release", move |world| {
        let arn = releases(world).get(nth)?.clone();
        let machines = world.service::<StepFunctions>()?;
        let status = machines.status(&arn).filter(|status| *status != Status::Running)?;
        let described = world
            .administer("states", "DescribeExecution", json!({"executionArn": arn}))
            .unwrap();
        Some((status, serde_json::from_str(described["output"].as_str()?).unwrap()))
    })
}

/// Asserts that a release ended by itself, with this verdict and effect.
fn assert_ended(server: &Server, nth: usize, verdict: &str, effect: &str) {
    let (status, output) = ended(server, nth);
    assert_eq!(status, Status::Succeeded);
    assert_eq!(
        (&output["verdict"], &output["effect"]),
        (&json!(verdict), &json!(effect)),
        "{output}"
    );
}

/// How the calls of an operation went.
fn outcomes(server: &Server, operation: &'static str) -> Vec<CallOutcome> {
    let outcomes = server.with_world(move |world| {
        let calls = world.calls().iter().filter(|call| call.operation == operation);
        calls.map(|call| call.outcome.clone()).collect()
    });
    outcomes.unwrap()
}

/// The lines that the program of a function has logged.
fn logged(server: &Server, function: &'static str) -> Vec<String> {
    let events = server.with_world(move |world| {
        let input = json!({"logGroupName": format!("/esclusa/{function}")});
        world.administer("logs", "FilterLogEvents", input).ok()
    });
    let events = events.unwrap().unwrap();
    let events = events["events"].as_array().unwrap().iter();
    let lines = events.map(|event| event["message"].as_str().unwrap().to_owned());
    lines.collect()
}

#[test]
fn a_push_is_carried_to_its_end() {
    let server = server();
    push(&server, "4f2c1e9", Kind::Good);
    assert_ended(&server, 0, "SUCCEEDED", "schema_moved");
    // What a program prints is kept, with the trace that Lambda says its invocation is of and what it is about.
    let lines = logged(&server, "observe");
    let is_told = |line: &&String| {
        let parts = [
            "invocation succeeded",
            "\"xray_trace_id\":\"Root=1-",
            "\"deployment_id\":\"imagy-catalog-",
        ];
        parts.iter().all(|part| line.contains(part))
    };
    assert!(lines.iter().any(|line| is_told(&line)), "{lines:#?}");
    let status = told(&server, &["status", "imagy-catalog"]);
    assert!(status.contains("4f2c1e9"), "{status}");
    told(&server, &["audit", "verify", "--all"]);
}

#[test]
fn an_image_that_does_not_start_is_rolled_back_and_one_whose_migration_fails_moves_nothing() {
    let server = server();
    push(&server, "v1", Kind::Good);
    assert_ended(&server, 0, "SUCCEEDED", "schema_moved");
    push(&server, "v2", Kind::CrashLoop);
    assert_ended(&server, 1, "ROLLED_BACK", "schema_moved");
    let before = outcomes(&server, "UpdateService").len();
    push(&server, "v3", Kind::BadMigration);
    // A migration that failed may have done half of its work.
    assert_ended(&server, 2, "FAILED", "schema_moved");
    assert_eq!(outcomes(&server, "UpdateService").len(), before);
    let told = told(&server, &["audit", "--application", "imagy-catalog"]);
    assert!(told.contains("exit code 1"), "{told}");
    let quarantined = esclusa(&server, &["quarantine"]);
    let quarantined = String::from_utf8(quarantined.stdout).unwrap();
    assert_eq!(quarantined.matches("sha256:").count(), 2, "{quarantined}");
}

#[test]
fn a_release_waits_for_a_person_who_agrees_by_the_command_line() {
    let server = server();
    let example = Example::load("imagy-catalog").unwrap();
    let written = std::fs::read_to_string(&example.file).unwrap();
    let asked = "    approval: {approvers: [ana], unknown_pusher: is_nobody}\n";
    let staging = "  - name: staging\n";
    assert!(written.contains(staging));
    let mut text = written.replace(staging, &format!("{staging}{asked}"));
    text.push_str("\npeople:\n  ana: {iam: [\"arn:aws:iam::123456789012:user/administrator\"]}\n");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("processes");
    let pipeline = example.written(&folder, &text).unwrap();
    told(&server, &["pipelines", "apply", &pipeline.display().to_string()]);
    push(&server, "v1", Kind::Good);
    let release = wait_for(&server, "the gate", |world| {
        let release = releases(world).first()?.clone();
        let machines = world.service::<StepFunctions>()?;
        machines
            .path(&release)
            .iter()
            .any(|state| state == "AwaitGate")
            .then_some(release)
    });
    let id = release.rsplit(':').next().unwrap();
    told(&server, &["approve", id]);
    assert_ended(&server, 0, "SUCCEEDED", "schema_moved");
    let told = told(&server, &["audit", "--release", id]);
    assert!(told.contains("`ana` agreed"), "{told}");
}

#[test]
fn a_program_that_is_killed_in_the_middle_of_an_act_is_replaced_and_the_act_happens_once() {
    let server = server();
    let fault = Fault::new(Selector::operation("ecs", "RunTask").nth(1), FaultKind::DieAfter);
    server.with_world(move |world| world.add_fault(fault)).unwrap();
    push(&server, "4f2c1e9", Kind::Good);
    assert_ended(&server, 0, "SUCCEEDED", "schema_moved");
    // Two environments; in the first, the run that was killed and the one that looked.
    assert_eq!(
        outcomes(&server, "RunTask"),
        [CallOutcome::Lost, CallOutcome::Success, CallOutcome::Success]
    );
}

#[test]
fn a_program_that_hangs_is_ended_by_lambda_and_the_release_goes_on() {
    let server = server();
    // Longer than the timeout of the function: the program waits for the answer and is killed.
    let late = FaultKind::Delay(SignedDuration::from_mins(5));
    let fault = Fault::new(Selector::operation("ecs", "RegisterTaskDefinition").nth(1), late);
    server.with_world(move |world| world.add_fault(fault)).unwrap();
    push(&server, "4f2c1e9", Kind::Good);
    assert_ended(&server, 0, "SUCCEEDED", "schema_moved");
    let failures = server.with_world(|world| {
        let machines = world.service::<StepFunctions>().unwrap();
        let executions = machines.executions().to_vec();
        let histories = executions.iter().map(|arn| {
            let input = json!({"executionArn": arn, "maxResults": 1_000});
            world.administer("states", "GetExecutionHistory", input).unwrap()
        });
        histories
            .filter(|history| history.to_string().contains("Sandbox.Timedout"))
            .count()
    });
    assert!(failures.unwrap() > 0, "no function was ended by its timeout");
}
