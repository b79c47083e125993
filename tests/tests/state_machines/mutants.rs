//! Definitions that are wrong in one place each, and the findings that must name them.

use esclusa_tests::state_machines::{Check, Machine};
use esclusa_tests::template::definition;
use serde_json::Value;

use crate::{DEPLOYMENT, Declared, RELEASE, listed, surroundings};

/// What is done to one place of a machine.
enum Mutation {
    /// The place gets this JSON, whether or not it had a value.
    Set(&'static str),
    /// What is there is removed.
    Remove,
}

use Mutation::{Remove, Set};

/// A place (JSON pointer), what is done there, and the finding that must name it: check, state, and a part of the
/// sentence.
type Mutant = (&'static str, Mutation, Check, &'static str, &'static str);

/// At least one mutant for every check. It may cause other findings besides the one that names it.
const MUTANTS: [Mutant; 56] = [
    // ---- substitutions and permissions
    (
        "/States/StopRollout/Arguments/FunctionName",
        Set(r#""${TrafikFunctionArn}""#),
        Check::Substitutions,
        "the machine",
        "`TrafikFunctionArn` is missing in `DefinitionSubstitutions`",
    ),
    (
        "/States/StopRollout/Arguments/FunctionName",
        Set(r#""${UpdateFunctionArn}""#),
        Check::Substitutions,
        "the machine",
        "`TrafficFunctionArn` is missing in the definition",
    ),
    (
        "/States/StopRollout/Arguments/FunctionName",
        Set(r#""${IntakeFunctionArn}""#),
        Check::Permissions,
        "the machine",
        "`IntakeFunctionArn` is invoked but not allowed",
    ),
    (
        "/States/StopRollout/Arguments/FunctionName",
        Set(r#""${UpdateFunctionArn}""#),
        Check::Permissions,
        "the machine",
        "`TrafficFunctionArn` is allowed but never invoked",
    ),
    // ---- variables
    (
        "/States/BeginDeployment/Assign/failures",
        Remove,
        Check::Variables,
        "RecordEnd",
        "`$failures`, which has no value on some path",
    ),
    (
        "/States/JudgeTask/Arguments/Payload/step/index",
        Set(r#""{% $indx %}""#),
        Check::Variables,
        "JudgeTask",
        "`$indx`, which has no value on some path",
    ),
    (
        "/States/TaskStarted?/Choices/0/Condition",
        Set(r#""{% $serviceArn != null %}""#),
        Check::Variables,
        "TaskStarted?",
        "`$serviceArn`, which has no value on some path",
    ),
    (
        "/States/AwaitTask/Catch/0/Assign",
        Set(r#"{"why": "{% $reason %}"}"#),
        Check::Variables,
        "AwaitTask",
        "`$reason`, which has no value",
    ),
    (
        "/States/PlanDeployment/Assign/unchanged",
        Set(r#""{% $states.result.Payload.unchanged %}""#),
        Check::Variables,
        "the machine",
        "`$unchanged` is assigned and never read",
    ),
    // ---- scope
    (
        "/States/JudgeTask/Arguments/Payload/taskArn",
        Set(r#""{% $states.result.Payload.taskArn %}""#),
        Check::Scope,
        "JudgeTask",
        "`$states.result.Payload.taskArn` does not exist in Arguments",
    ),
    (
        "/States/JudgeTask/Assign/outcome",
        Set(r#""{% $states.errorOutput.Error %}""#),
        Check::Scope,
        "JudgeTask",
        "`$states.errorOutput.Error` does not exist in Exit",
    ),
    (
        "/States/AwaitTask/Assign",
        Set(r#"{"taskArn": "{% $states.context.Task.Token %}"}"#),
        Check::Scope,
        "AwaitTask",
        "`$states.context.Task.Token` does not exist in Exit",
    ),
    (
        "/States/MoreSteps?/Choices/0/Condition",
        Set(r#""{% $eval('$index < $count($steps)') %}""#),
        Check::Scope,
        "MoreSteps?",
        "has no function `$eval`",
    ),
    (
        "/States/RunTask/Arguments/Payload/step/mode",
        Set(r#""mode {% $mode %}""#),
        Check::Scope,
        "RunTask",
        "is not an expression",
    ),
    // ---- errors
    (
        "/States/RunTask/Catch/0/ErrorEquals",
        Set(r#"["FenceLoss"]"#),
        Check::Errors,
        "RunTask",
        "`FenceLoss` is neither",
    ),
    (
        "/States/RunTask/Catch/0/ErrorEquals",
        Set(r#"["States.NoSuch"]"#),
        Check::Errors,
        "RunTask",
        "`States.NoSuch` is neither",
    ),
    (
        "/States/JudgeTask/Retry/1/ErrorEquals",
        Set(r#"["UnknownEffect"]"#),
        Check::Errors,
        "JudgeTask",
        "retries `UnknownEffect`",
    ),
    (
        "/States/JudgeTask/Retry/1/ErrorEquals",
        Set(r#"["UnknownEffect"]"#),
        Check::Errors,
        "JudgeTask",
        "does not retry `Conflict`",
    ),
    (
        "/States/RecordEnd/Retry/2/ErrorEquals",
        Set(r#"["Transient"]"#),
        Check::Errors,
        "RecordEnd",
        "does not retry `AccessDenied`",
    ),
    (
        "/States/JudgeTask/Retry/1/ErrorEquals",
        Set(r#"["Conflict", "AccessDenied"]"#),
        Check::Errors,
        "JudgeTask",
        "retries `AccessDenied`",
    ),
    // ---- resilience
    (
        "/States/UpdateService/TimeoutSeconds",
        Remove,
        Check::Resilience,
        "UpdateService",
        "has no `TimeoutSeconds`",
    ),
    (
        "/States/UpdateService/TimeoutSeconds",
        Set(r#""{% $index %}""#),
        Check::Resilience,
        "UpdateService",
        "is a number of seconds",
    ),
    (
        "/States/UpdateService/Retry/0/MaxDelaySeconds",
        Remove,
        Check::Resilience,
        "UpdateService",
        "a retrier lacks `MaxDelaySeconds`",
    ),
    (
        "/States/UpdateService/Retry/0/MaxAttempts",
        Remove,
        Check::Resilience,
        "UpdateService",
        "a retrier lacks `MaxDelaySeconds`, `MaxAttempts`",
    ),
    (
        "/States/UpdateService/Retry/0/JitterStrategy",
        Set(r#""NONE""#),
        Check::Resilience,
        "UpdateService",
        r#"or `"JitterStrategy": "FULL"`"#,
    ),
    (
        "/States/UpdateService/Retry/0/ErrorEquals",
        Set(r#"["Transient"]"#),
        Check::Resilience,
        "UpdateService",
        "does not retry `Lambda.Unknown`",
    ),
    (
        "/States/UpdateService/Catch/1",
        Remove,
        Check::Resilience,
        "UpdateService",
        "last catcher is not `States.ALL`",
    ),
    (
        "/States/UpdateService/Catch/0/ErrorEquals",
        Set(r#"["States.ALL"]"#),
        Check::Resilience,
        "UpdateService",
        "behind `States.ALL` is never reached",
    ),
    // ---- tokens
    (
        "/States/AwaitTask/Arguments/Payload/wait/token",
        Remove,
        Check::Tokens,
        "AwaitTask",
        "does not pass `token`",
    ),
    (
        "/States/AwaitTask/Arguments/Payload/resourceArn",
        Remove,
        Check::Tokens,
        "AwaitTask",
        "does not say what it waits for",
    ),
    (
        "/States/AwaitTask/TimeoutSeconds",
        Set("60"),
        Check::Tokens,
        "AwaitTask",
        "another `timeoutSeconds` than its own",
    ),
    (
        "/States/AwaitTask/HeartbeatSeconds",
        Set("60"),
        Check::Tokens,
        "AwaitTask",
        "expects a heartbeat",
    ),
    (
        "/States/AwaitTask/Retry/1/ErrorEquals",
        Set(r#"["Conflict", "States.Timeout"]"#),
        Check::Tokens,
        "AwaitTask",
        "retries `States.Timeout`",
    ),
    (
        "/States/RunTask/Arguments/Payload/token",
        Set(r#""{% $states.context.Task.Token %}""#),
        Check::Tokens,
        "RunTask",
        "does not wait for it",
    ),
    // ---- flow
    (
        "/StartAt",
        Set(r#""Begin""#),
        Check::Flow,
        "the machine",
        "begins with `Begin`, which does not exist",
    ),
    (
        "/States/StopTask/Next",
        Set(r#""AwaitStopedTask""#),
        Check::Flow,
        "StopTask",
        "goes to `AwaitStopedTask`, which does not exist",
    ),
    (
        "/States/StopTask/Next",
        Set(r#""JudgeTask""#),
        Check::Flow,
        "AwaitStoppedTask",
        "cannot be reached",
    ),
    (
        "/States/TaskOutcome?/Default",
        Remove,
        Check::Flow,
        "TaskOutcome?",
        "has no `Default`",
    ),
    (
        "/States/TakeNextStep/Type",
        Set(r#""Succeed""#),
        Check::Flow,
        "TakeNextStep",
        "is not a declared end",
    ),
    (
        "/States/Ended",
        Remove,
        Check::Flow,
        "Ended",
        "is a declared end but does not exist",
    ),
    (
        "/States/TakeNextStep/Next",
        Set(r#""TakeNextStep""#),
        Check::Flow,
        "TakeNextStep",
        "reaches no declared end",
    ),
    (
        "/States/TakeNextStep/Assign/index",
        Set(r#""{% $index %}""#),
        Check::Flow,
        "AwaitStoppedTask",
        "a loop that nothing bounds",
    ),
    (
        "/States/TakeNextStep/Assign/mode",
        Set(r#""forward""#),
        Check::Flow,
        "AwaitRollback",
        "a loop that nothing bounds",
    ),
    (
        "/States/MoreSteps?/Choices/0/Condition",
        Set(r#""{% $count($steps) > 0 %}""#),
        Check::Flow,
        "the machine",
        "`$index` is counted, but no Choice compares it",
    ),
    // ---- shape
    (
        "/QueryLanguage",
        Set(r#""JSONPath""#),
        Check::Shape,
        "the machine",
        "is not `JSONata`",
    ),
    (
        "/TimeoutSeconds",
        Remove,
        Check::Shape,
        "the machine",
        "has no `TimeoutSeconds`",
    ),
    (
        "/States/JudgeTask/Comment",
        Remove,
        Check::Shape,
        "JudgeTask",
        "has no `Comment`",
    ),
    (
        "/States/JudgeTask/QueryLanguage",
        Set(r#""JSONPath""#),
        Check::Shape,
        "JudgeTask",
        "changes the query language",
    ),
    (
        "/States/JudgeTask/Type",
        Set(r#""Parallel""#),
        Check::Shape,
        "JudgeTask",
        "has the type `Parallel`",
    ),
    (
        "/States/judge_task",
        Set(r#"{"Type": "Pass"}"#),
        Check::Shape,
        "judge_task",
        "is not named in PascalCase",
    ),
    (
        "/States/Judge?",
        Set(r#"{"Type": "Pass"}"#),
        Check::Shape,
        "Judge?",
        "a Choice is named as a question",
    ),
    (
        "/States/RunTask/Resource",
        Set(r#""arn:aws:states:::ecs:runTask.sync""#),
        Check::Shape,
        "RunTask",
        "functions are invoked",
    ),
    // ---- payload
    (
        "/States/JudgeTask/Output",
        Remove,
        Check::Payload,
        "JudgeTask",
        "the state has no `Output` object",
    ),
    (
        "/States/RunTask/Catch/0/Output",
        Remove,
        Check::Payload,
        "RunTask",
        "a catcher has no `Output` object",
    ),
    (
        "/States/PlanDeployment/Assign/steps",
        Set(r#""{% $states.result.Payload %}""#),
        Check::Payload,
        "PlanDeployment",
        "reads `$states.result.Payload`",
    ),
    (
        "/States/JudgeTask/Arguments/Payload/mode",
        Set(r#""{% $states.input.mode %}""#),
        Check::Payload,
        "JudgeTask",
        "reads `$states.input.mode`",
    ),
];

/// The same of the release machine, in and around the flow of one environment.
const RELEASE_MUTANTS: [Mutant; 8] = [
    (
        "/States/DeployWave/ItemProcessor/States/AskGates/Catch",
        Remove,
        Check::Resilience,
        "AskGates",
        "its last catcher is not `States.ALL` alone",
    ),
    (
        "/States/DeployWave/Catch",
        Remove,
        Check::Resilience,
        "DeployWave",
        "its last catcher is not `States.ALL` alone",
    ),
    (
        "/States/DeployWave/ItemProcessor/States/BeginEnvironment/Assign/waveIndex",
        Set("1"),
        Check::Variables,
        "BeginEnvironment",
        "assigns `$waveIndex`, which is a variable outside it",
    ),
    (
        "/States/DeployWave/ItemProcessor/States/BeginEnvironment/Assign/gateLooks",
        Remove,
        Check::Variables,
        "AskGates",
        "`$gateLooks`, which has no value on some path",
    ),
    (
        "/States/DeployWave/ItemProcessor/States/TakeNextAttempt/Next",
        Set(r#""MoreWaves?""#),
        Check::Flow,
        "TakeNextAttempt",
        "goes to `MoreWaves?`, which does not exist",
    ),
    (
        "/States/DeployWave/ItemProcessor/States/TakeNextAttempt/Assign/attempt",
        Set("1"),
        Check::Flow,
        "AskGates",
        "is part of a loop that nothing bounds",
    ),
    (
        "/States/DeployWave/Items",
        Set(r#""{% $planed %}""#),
        Check::Variables,
        "DeployWave",
        "`$planed`, which has no value on some path",
    ),
    (
        "/States/DeployWave/ItemProcessor/States/EnvironmentEnded/Output",
        Remove,
        Check::Payload,
        "EnvironmentEnded",
        "has no `Output` object",
    ),
];

impl Mutation {
    /// Whether the place exists, so that a mutant cannot miss what it was written for.
    fn apply(&self, definition: &mut Value, pointer: &str) -> bool {
        let (parent, last) = pointer.rsplit_once('/').unwrap();
        match (definition.pointer_mut(parent), self) {
            (Some(Value::Object(members)), Set(json)) => {
                members.insert(last.to_owned(), serde_json::from_str(json).unwrap());
                true
            }
            (Some(Value::Object(members)), Remove) => members.shift_remove(last).is_some(),
            (Some(Value::Array(items)), Remove) => {
                let index: usize = last.parse().unwrap();
                index < items.len() && !items.remove(index).is_null()
            }
            _ => false,
        }
    }
}

#[test]
fn every_check_finds_its_mutant() {
    for (machine, mutants) in [(DEPLOYMENT, &MUTANTS[..]), (RELEASE, &RELEASE_MUTANTS[..])] {
        find_mutants(&machine, mutants);
    }
}

fn find_mutants(machine: &Declared, mutants: &[Mutant]) {
    let surroundings = surroundings(machine);
    for (pointer, mutation, check, at, sentence) in mutants {
        let mut mutant = definition(machine.name).unwrap();
        assert!(mutation.apply(&mut mutant, pointer), "there is no `{pointer}`");
        let findings = Machine::new(&mutant).findings(&surroundings);
        let named = findings
            .iter()
            .any(|finding| finding.check == *check && finding.at == *at && finding.what.contains(sentence));
        assert!(
            named,
            "no finding at `{at}` says `{sentence}` of the mutant at `{pointer}`:\n{}",
            listed(&findings)
        );
    }
}
