//! Flows that together take every handler down every path on which it asks AWS for something.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};

use jiff::SignedDuration;
use lab::example::Example;
use lab::images::Kind;
use lab::{Beside, Lab, target};
use serde_json::{Value, json};
use simulator::services::Slack;
use simulator::{ApiError, Fault, FaultKind, Handler, Lambda, Principal, Selector, Settings, World};
use simulator_event_bridge::{Disturbance, EventBridge, Fault as Loss, Occurrence, Pattern};

/// An account with one application whose services have become steady.
pub(crate) fn steady(example: &str) -> (Lab, Example) {
    let example = Example::load(example).unwrap();
    let mut lab = Lab::with_example(&Settings::default(), &example).unwrap();
    lab.simulation().run_for(SignedDuration::from_mins(5));
    (lab, example)
}

fn push(lab: &mut Lab, example: &Example, tag: &str, kind: Kind) {
    let image = example.pipeline.images.keys().next().unwrap().to_string();
    lab.push_example(example, &image, tag, kind).unwrap();
    assert!(lab.settle(), "an execution still runs");
}

fn done(lab: &mut Lab, words: &[&str]) {
    let answer = lab.esclusa(words);
    assert_eq!(answer.code, 0, "{}{}", answer.out, answer.err);
}

/// Runs to its end in an account of its own.
pub(crate) type Flow = fn() -> Lab;

/// Every flow with its name.
pub(crate) const ALL: [(&str, Flow); 19] = [
    ("promotion", promotion),
    ("release that is looked at", looked_at),
    ("people who are told and decide in Slack", told),
    ("snapshot of an instance", || {
        snapshot("instance", "CreateDBInstance", "DBInstanceIdentifier")
    }),
    ("snapshot of a cluster", || {
        snapshot("cluster", "CreateDBCluster", "DBClusterIdentifier")
    }),
    ("way back", several_services),
    ("task that hangs", || one(Kind::HangingMigration, None)),
    ("task that cannot start", || one(Kind::UnstartableMigration, None)),
    ("rollout that never ends", rollout_that_never_ends),
    ("rollout that ends when it is to be stopped", rollout_that_wins_the_race),
    ("answer that is lost for an hour", lost_for_long),
    ("lost answers", || one(Kind::Good, Some(&FaultKind::DieAfter))),
    ("lost answer to a stop", || {
        one(Kind::HangingMigration, Some(&FaultKind::DieAfter))
    }),
    ("refused calls", || one(Kind::Good, Some(&FaultKind::Throttle))),
    ("lost events", lost_events),
    ("outcome that cannot be written", unwritten_outcome),
    ("deployment that is stopped from outside", stopped),
    ("nothing can be delivered", undeliverable),
    ("environment in another account", elsewhere),
];

/// Two pushes, each promoted by hand into the last environment, and the way back by hand.
fn promotion() -> Lab {
    let (mut lab, example) = steady("imagy-catalog");
    let alarm = json!({"AlarmName": "errors", "ComparisonOperator": "GreaterThanThreshold", "EvaluationPeriods": 1});
    lab.world_mut()
        .administer("monitoring", "PutMetricAlarm", alarm)
        .unwrap();
    let watch = json!({"alarms": {"alarmNames": ["errors"], "enable": true, "rollback": true}});
    let update = json!({"cluster": "imagy-develop", "service": "imagy-catalog", "deploymentConfiguration": watch});
    lab.world_mut().administer("ecs", "UpdateService", update).unwrap();
    for tag in ["4f2c1e9", "8b1d0a3"] {
        push(&mut lab, &example, tag, Kind::Good);
        done(&mut lab, &["deploy", "imagy-catalog", "production", tag]);
    }
    done(
        &mut lab,
        &["rollback", "imagy-catalog", "production", "--reason", "errors"],
    );
    lab
}

/// A release whose metrics, targets, alarms and log are looked at and which a function tests; the alarm fires when it
/// is verified.
fn looked_at() -> Lab {
    const VERIFICATION: &str = "    verification:
      soak_seconds: 60
      checks:
        errors:
          measure:
            metric:
              metrics: {errors: {namespace: Imagy, name: Errors, statistic: Sum}}
              limit: {at_most_above_baseline: 0}
              no_data: pass
        targets: {measure: {targets: all}}
        alarms: {measure: {alarms: [errors]}}
        function: {measure: {function: {name: imagy-smoke-test}}, pace: {count: 1}}
        lines: {measure: {log: {group: /ecs/imagy-catalog-develop, pattern: ERROR}}}
";
    let (mut lab, example) = steady("imagy-catalog");
    let load_balancer = json!({
        "targetGroupArn": lab.world().kernel().arn("elasticloadbalancing", "targetgroup/imagy/0d0000000000006f"),
        "containerName": "api",
        "containerPort": 8080,
    });
    let update = json!({"cluster": "imagy-develop", "service": "imagy-catalog", "loadBalancers": [load_balancer]});
    lab.world_mut().administer("ecs", "UpdateService", update).unwrap();
    let logs = &mut lab.world_mut().kernel_mut().logs;
    logs.groups.entry("/ecs/imagy-catalog-develop".to_owned()).or_default();
    lab.simulation().run_for(SignedDuration::from_mins(10));
    let develop = "  - name: develop\n    trigger: push\n";
    let file = altered_pipeline(&example, develop, &format!("{develop}{VERIFICATION}"));
    done(&mut lab, &["pipelines", "apply", &file.to_string_lossy()]);
    let alarm = json!({"AlarmName": "errors", "ComparisonOperator": "GreaterThanThreshold", "EvaluationPeriods": 1});
    let monitoring = |lab: &mut Lab, operation: &str, input: Value| {
        lab.world_mut().administer("monitoring", operation, input).unwrap();
    };
    monitoring(&mut lab, "PutMetricAlarm", alarm);
    let says = |state: &str| json!({"AlarmName": "errors", "StateValue": state, "StateReason": "said by hand"});
    monitoring(&mut lab, "SetAlarmState", says("OK"));
    let returns: Handler = Rc::new(|_, _| Box::pin(async { Ok(json!({})) }));
    let (lambda, _) = lab.world_mut().service_mut::<Lambda>().unwrap();
    lambda.register("imagy-smoke-test", returns);
    push(&mut lab, &example, "4f2c1e9", Kind::Good);
    monitoring(&mut lab, "SetAlarmState", says("ALARM"));
    lab.simulation().run_for(SignedDuration::from_mins(5));
    lab
}

/// People are told of a release and let it in with a button; nobody can be told while the table is away.
fn told() -> Lab {
    const CHANNEL: &str = "C0DEPLOY";
    let example = Example::load("imagy-catalog").unwrap();
    let mut lab = Lab::beside(&Settings::default(), Beside::Slack).unwrap();
    lab.add(&example).unwrap();
    let (slack, _) = lab.world_mut().service_mut::<Slack>().unwrap();
    slack.invite(CHANNEL);
    lab.simulation().run_for(SignedDuration::from_mins(5));
    let develop = "  - name: develop\n    trigger: push\n";
    let gated = format!(
        "notifications: {{slack: {{channel: {CHANNEL}}}}}\npeople: {{ana: {{slack: [U0ANA]}}}}\nenvironments:\n{develop}    approval: {{approvers: [ana], unknown_pusher: is_nobody}}\n"
    );
    let file = altered_pipeline(&example, &format!("environments:\n{develop}"), &gated);
    done(&mut lab, &["pipelines", "apply", &file.to_string_lossy()]);
    let image = example.pipeline.images.keys().next().unwrap().to_string();
    let url = lab.world().template().unwrap().outputs["ConsoleEndpoint"].value.clone();
    for order in ["freeze", "unfreeze"] {
        done(
            &mut lab,
            &[
                "--console-url",
                &url,
                order,
                "imagy-catalog",
                "develop",
                "--reason",
                "a fair",
            ],
        );
    }
    lab.push_example(&example, &image, "4f2c1e9", Kind::Good).unwrap();
    lab.simulation().run_for(SignedDuration::from_mins(3));
    let (slack, kernel) = lab.world_mut().service_mut::<Slack>().unwrap();
    let card = slack.messages(CHANNEL).first().unwrap().ts.clone();
    let button = slack.button(CHANNEL, &card, "approve").unwrap();
    slack.press(&button, "U0ANA", kernel);
    assert!(lab.settle(), "an execution still runs");
    let asks = [
        "--console-url",
        &url,
        "deploy",
        "imagy-catalog",
        "production",
        "4f2c1e9",
        "--no-wait",
    ];
    done(&mut lab, &asks);
    lab.simulation().run_for(SignedDuration::from_mins(3));
    let broken = ApiError::server("InternalServerError", "the table is away");
    let calls = Selector::function("esclusa-notify");
    lab.world_mut()
        .add_fault(Fault::new(calls, FaultKind::ErrorBefore(broken)));
    lab.simulation().run_for(SignedDuration::from_mins(5));
    lab
}

/// A release whose migration waits for a snapshot of its database.
fn snapshot(kind: &str, create: &str, identifier: &str) -> Lab {
    let (mut lab, example) = steady("imagy-catalog");
    let database = json!({identifier: "imagy-orders", "Engine": "aurora-postgresql", "BackupRetentionPeriod": 7});
    lab.world_mut().administer("rds", create, database).unwrap();
    lab.simulation().run_for(SignedDuration::from_mins(10));
    let asked = format!("  catalog: {{restore_point: {{{kind}: imagy-orders, snapshot: true}}}}\n");
    let file = altered_pipeline(&example, "  catalog: {}\n", &asked);
    done(&mut lab, &["pipelines", "apply", &file.to_string_lossy()]);
    push(&mut lab, &example, "4f2c1e9", Kind::Good);
    lab
}

/// Several services, an image whose servers fail, and one whose migration does.
fn several_services() -> Lab {
    let (mut lab, example) = steady("superbowleto");
    push(&mut lab, &example, "v1.0.0", Kind::Good);
    push(&mut lab, &example, "v1.0.1", Kind::CrashLoop);
    push(&mut lab, &example, "v1.0.2", Kind::BadMigration);
    lab
}

/// One push. With a fault, every act meets it once: after a lost answer, the next run looks before it repeats.
fn one(kind: Kind, fault: Option<&FaultKind>) -> Lab {
    let (mut lab, example) = steady("imagy-catalog");
    let acts = [
        ("states", "StartExecution"),
        ("ecs", "RegisterTaskDefinition"),
        ("ecs", "RunTask"),
        ("ecs", "StopTask"),
        ("ecs", "UpdateService"),
        ("states", "SendTaskSuccess"),
        ("events", "PutEvents"),
    ];
    for (service, operation) in acts {
        let Some(fault) = fault.cloned() else { break };
        lab.world_mut()
            .add_fault(Fault::new(Selector::operation(service, operation).nth(1), fault));
    }
    push(&mut lab, &example, "4f2c1e9", kind);
    lab
}

/// A person stops a release and its deployment.
fn stopped() -> Lab {
    let (mut lab, example) = steady("imagy-catalog");
    let image = example.pipeline.images.keys().next().unwrap().to_string();
    lab.push_example(&example, &image, "4f2c1e9", Kind::Good).unwrap();
    let has_run = |world: &World| world.calls().iter().any(|call| call.operation == "RunTask");
    assert!(lab.simulation().run_until(SignedDuration::from_mins(5), has_run));
    for machine in ["release", "deployment"] {
        let name = lab.executions(machine).remove(0);
        let execution = format!("execution:{}-{machine}:{name}", lab::DEPLOYER);
        let arn = lab.world().kernel().arn("states", &execution);
        let stop = json!({"executionArn": arn, "error": "Stopped", "cause": "by hand"});
        lab.world_mut().administer("states", "StopExecution", stop).unwrap();
    }
    lab.simulation().run_for(SignedDuration::from_mins(6));
    assert!(lab.settle(), "an execution still runs");
    lab
}

/// The task has started and nobody hears so until ECS has forgotten the token of the call.
fn lost_for_long() -> Lab {
    let (mut lab, example) = steady("imagy-catalog");
    let run = Selector::operation("ecs", "RunTask").nth(1);
    lab.world_mut().add_fault(Fault::new(run, FaultKind::DieAfter));
    let image = example.pipeline.images.keys().next().unwrap().to_string();
    lab.push_example(&example, &image, "4f2c1e9", Kind::Good).unwrap();
    let has_run = |world: &World| world.calls().iter().any(|call| call.operation == "RunTask");
    assert!(lab.simulation().run_until(SignedDuration::from_mins(5), has_run));
    let machine = Principal::Role("esclusa-deployment-state-machine".to_owned());
    let invoke = Selector::operation("lambda", "Invoke").by(machine);
    lab.world_mut()
        .add_fault(Fault::new(invoke, FaultKind::Delay(SignedDuration::from_mins(50))));
    lab.simulation().run_for(SignedDuration::from_mins(50));
    lab.world_mut().clear_faults();
    assert!(lab.settle(), "an execution still runs");
    lab
}

/// A revision is registered and nobody may write that down: the sweep does, when the deployment has ended.
fn unwritten_outcome() -> Lab {
    let (mut lab, example) = steady("imagy-catalog");
    let denied = ApiError::client(
        "AccessDeniedException",
        "not allowed to do `dynamodb:TransactWriteItems`",
    );
    let write = Selector {
        function: Some("esclusa-register".to_owned()),
        ..Selector::operation("dynamodb", "TransactWriteItems").nth(2)
    };
    lab.world_mut()
        .add_fault(Fault::new(write, FaultKind::ErrorBefore(denied)));
    push(&mut lab, &example, "4f2c1e9", Kind::Good);
    lab.simulation().run_for(SignedDuration::from_mins(10));
    lab
}

/// A rollout that never becomes healthy in the minute that it is given: it is stopped, and the answer to the stop is
/// lost.
fn rollout_that_never_ends() -> Lab {
    let (mut lab, example) = impatient();
    let stop = Selector::operation("ecs", "StopServiceDeployment").nth(1);
    lab.world_mut().add_fault(Fault::new(stop, FaultKind::DieAfter));
    push(&mut lab, &example, "4f2c1e9", Kind::Unhealthy);
    lab
}

/// The first environment is in another account and Region, and its rollouts have a minute, in which they do not end:
/// every function has something to do there.
fn elsewhere() -> Lab {
    let example = Example::load("imagy-catalog").unwrap();
    let mut lab = Lab::beside(&Settings::default(), Beside::Account).unwrap();
    lab.add(&example).unwrap();
    target::provide(lab.world_mut(), &target::account(), &example).unwrap();
    target::replicate(lab.world_mut(), &target::account()).unwrap();
    lab.simulation().run_for(SignedDuration::from_mins(5));
    let first = "  - name: develop\n    trigger: push\n";
    let place = "    account: \"210987654321\"\n    region: eu-west-1\n    images: {app: {}}\n";
    let file = altered_pipeline(&example, first, &format!("{first}{place}"));
    let text = std::fs::read_to_string(&file).unwrap();
    let impatient = text.replace("api: {start_count: 1,", "api: {start_count: 1, timeout_seconds: 60,");
    // Roles and secrets are those of the account that they are used in.
    std::fs::write(&file, impatient.replace("::123456789012:", "::210987654321:")).unwrap();
    let definition = file.with_file_name("task-definitions").join("api.json");
    let text = std::fs::read_to_string(&definition).unwrap();
    std::fs::write(definition, text.replace("::123456789012:", "::210987654321:")).unwrap();
    done(&mut lab, &["pipelines", "apply", file.to_str().unwrap()]);
    push(&mut lab, &example, "4f2c1e9", Kind::Unhealthy);
    lab
}

/// A rollout that has ended well when its minute is over, unheard.
fn rollout_that_wins_the_race() -> Lab {
    let (mut lab, example) = impatient();
    lose_events(&mut lab);
    push(&mut lab, &example, "4f2c1e9", Kind::Good);
    lab
}

/// An application whose rollouts in the first environment are given a minute.
fn impatient() -> (Lab, Example) {
    let (mut lab, example) = steady("imagy-catalog");
    let file = altered_pipeline(
        &example,
        "api: {start_count: 1,",
        "api: {start_count: 1, timeout_seconds: 60,",
    );
    done(&mut lab, &["pipelines", "apply", file.to_str().unwrap()]);
    (lab, example)
}

/// The pipeline file of an example, with something else in one place, beside the files that it refers to.
pub(crate) fn altered_pipeline(example: &Example, place: &str, instead: &str) -> PathBuf {
    let folder = tempdir();
    let definitions = "task-definitions/api.json";
    std::fs::create_dir_all(folder.join("task-definitions")).unwrap();
    std::fs::copy(example.file.with_file_name(definitions), folder.join(definitions)).unwrap();
    let pipeline = std::fs::read_to_string(&example.file).unwrap();
    let altered = pipeline.replace(place, instead);
    assert_ne!(pipeline, altered);
    let file = folder.join("pipeline.yaml");
    std::fs::write(&file, altered).unwrap();
    file
}

/// A folder for the files of one flow.
pub(crate) fn tempdir() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("contract-{}-{number}", std::process::id()))
}

/// No event of ECS or Step Functions arrives: the sweeper completes every wait.
fn lost_events() -> Lab {
    let (mut lab, example) = steady("imagy-catalog");
    lose_events(&mut lab);
    push(&mut lab, &example, "4f2c1e9", Kind::Good);
    lab
}

fn lose_events(lab: &mut Lab) {
    let (bus, _) = lab.world_mut().service_mut::<EventBridge>().unwrap();
    bus.delivery.plan(Disturbance {
        pattern: Pattern::compile(&json!({"source": ["aws.ecs", "aws.states"]})).unwrap(),
        occurrence: Occurrence::Every,
        fault: Loss::Drop,
    });
}

/// The functions that events and schedules invoke fail, and the schedules cannot even invoke them.
fn undeliverable() -> Lab {
    let (mut lab, example) = steady("imagy-catalog");
    for function in [
        "esclusa-intake",
        "esclusa-observe",
        "esclusa-record",
        "esclusa-resume",
        "esclusa-update",
    ] {
        let broken = ApiError::server("InternalServerError", "the table is away");
        lab.world_mut()
            .add_fault(Fault::new(Selector::function(function), FaultKind::ErrorBefore(broken)));
    }
    let image = example.pipeline.images.keys().next().unwrap().to_string();
    lab.push_example(&example, &image, "4f2c1e9", Kind::Good).unwrap();
    let alarm = json!({"AlarmName": "errors", "ComparisonOperator": "GreaterThanThreshold", "EvaluationPeriods": 1});
    let fires = json!({"AlarmName": "errors", "StateValue": "ALARM", "StateReason": "said by hand"});
    for (operation, input) in [("PutMetricAlarm", alarm), ("SetAlarmState", fires)] {
        lab.world_mut().administer("monitoring", operation, input).unwrap();
    }
    lab.simulation().run_for(SignedDuration::from_mins(20));
    lab.world_mut().clear_faults();
    let scheduler = Principal::Role("esclusa-scheduler".to_owned());
    let refused = ApiError::server("ServiceException", "Lambda is away");
    let invoke = Selector::operation("lambda", "Invoke").by(scheduler);
    lab.world_mut()
        .add_fault(Fault::new(invoke, FaultKind::ErrorBefore(refused)));
    lab.simulation().run_for(SignedDuration::from_mins(20));
    lab
}
