//! Every function as the program that is shipped, driven through the Lambda Runtime API, with the AWS SDK's own HTTP client. Only here a function's clock is
//! the real one, so nothing is asserted about time.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use lab::Lab;
use lab::example::Example;
use lab::images::Kind;
use serde_json::json;
use simulator::served::{Pace, Server};
use simulator::services::Ecr;
use simulator::{CallOutcome, Fault, FaultKind, Lambda, Selector, Settings, World};
use simulator_step_functions::{Status, StepFunctions};

const FUNCTIONS: [&str; 10] = [
    "intake", "observe", "register", "migrate", "update", "traffic", "record", "resume", "notify", "console",
];

/// How long a release may take in real time before the test gives up.
const PATIENCE: Duration = Duration::from_secs(240);

/// The programs of the functions, as `cargo build --workspace --bins` leaves them beside this test.
fn programs() -> BTreeMap<String, PathBuf> {
    let folder = std::env::current_exe().unwrap();
    let folder = folder.parent().and_then(|deps| deps.parent()).unwrap();
    let program = |function: &str| {
        let path = folder.join(function);
        assert!(
            path.is_file(),
            "`{}` is missing: run `cargo build --workspace --bins`",
            path.display()
        );
        (format!("esclusa-{function}"), path)
    };
    FUNCTIONS.into_iter().map(program).collect()
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

fn push(world: &mut World) {
    let example = Example::load("imagy-catalog").unwrap();
    let image = example.pipeline.images.values().next().unwrap();
    assert!(world.service::<Ecr>().is_some());
    let manifest = Kind::Good.manifest("4f2c1e9", &example.commands());
    let input = json!({
        "repositoryName": image.repository.as_str(), "imageTag": "4f2c1e9", "imageManifest": manifest,
        "imageManifestMediaType": "application/vnd.oci.image.manifest.v1+json",
    });
    world.administer("ecr", "PutImage", input).unwrap();
}

/// Waits for the end of the only release; how its execution ended and what it answered.
#[expect(clippy::disallowed_methods, reason = "real programs take real time")]
fn ended(server: &Server) -> (Status, String) {
    let since = Instant::now();
    loop {
        let release = server.with_world(|world| {
            let machines = world.service::<StepFunctions>()?;
            let arn = machines
                .executions()
                .iter()
                .find(|arn| arn.contains(":esclusa-release:"))?
                .clone();
            let status = machines.status(&arn).filter(|status| *status != Status::Running)?;
            let described = world
                .administer("states", "DescribeExecution", json!({"executionArn": arn}))
                .unwrap();
            Some((status, described["output"].to_string()))
        });
        if let Some(ended) = release.unwrap() {
            return ended;
        }
        assert!(since.elapsed() < PATIENCE, "the release did not end");
    }
}

#[test]
fn the_programs_that_are_shipped_carry_a_push_to_its_end() {
    let server = server();
    server.with_world(push).unwrap();
    let (status, output) = ended(&server);
    assert_eq!(status, Status::Succeeded);
    assert!(output.contains("SUCCEEDED"), "{output}");
}

#[test]
fn a_program_that_is_killed_in_the_middle_of_an_act_is_replaced_and_the_act_happens_once() {
    let server = server();
    let fault = Fault::new(Selector::operation("ecs", "RunTask").nth(1), FaultKind::DieAfter);
    server.with_world(move |world| world.add_fault(fault)).unwrap();
    server.with_world(push).unwrap();
    let (_, output) = ended(&server);
    assert!(output.contains("SUCCEEDED"), "{output}");
    let outcomes = server.with_world(|world| {
        let runs = world.calls().iter().filter(|call| call.operation == "RunTask");
        runs.map(|call| call.outcome.clone()).collect::<Vec<_>>()
    });
    // Two environments; in the first, the run that was killed and the one that looked.
    assert_eq!(
        outcomes.unwrap(),
        [CallOutcome::Lost, CallOutcome::Success, CallOutcome::Success]
    );
}
