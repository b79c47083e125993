//! Events that start nothing: what the rules of the template let through is recorded with its reason or ends in the
//! dead-letter queue.

use std::path::Path;

use jiff::SignedDuration;
use jiff::Timestamp;
use lab::images::Kind;
use serde_json::{Map, Value, json};
use simulator::{CallOutcome, FaultKind, Selector};
use simulator_event_bridge::{Fault, Occurrence};

use crate::path::{self, CLOSED};
use crate::support::Account;

/// What an event leaves behind.
#[derive(Debug)]
enum Left {
    /// Nothing: no rule asks for it.
    Nothing,
    /// A record that says why it starts nothing.
    Ignored(&'static str),
    /// The event itself, after the retries of Lambda.
    DeadLetter,
}

/// Longer than the retries of a function that fails.
const RETRIES: SignedDuration = SignedDuration::from_mins(5);

/// An account with an image in its registry whose push nobody has heard of and nobody looks for, and the event of this
/// push.
fn unheard() -> (Account, Value) {
    let mut account = Account::with("imagy-catalog");
    account.disturb_pushes(Occurrence::Nth(1), Fault::Drop);
    account.push("4f2c1e9", Kind::Good);
    account.pass(SignedDuration::from_secs(10));
    let event = account.push_events().pop().unwrap();
    account.apply_again();
    (account, event)
}

/// Asserts what the last event left behind, besides `ignored` records and `dead` letters that were there before.
#[track_caller]
fn assert_left(account: &Account, ignored: &[Value], dead: usize, left: &Left, what: &str) {
    assert_eq!(account.releases(), Vec::<String>::new(), "{what}");
    let (before, records) = (ignored.len(), account.records("push_ignored"));
    let mut new: Vec<String> = records
        .iter()
        .filter(|record| !ignored.contains(record))
        .map(|record| record["body"]["facts"]["reason"].as_str().unwrap().to_owned())
        .collect();
    let letters = account.dead_letters().len() - dead;
    match left {
        Left::Nothing => assert_eq!((new.len(), letters), (0, 0), "{what}: {new:?}"),
        Left::DeadLetter => assert_eq!((new.len(), letters), (0, 1), "{what}: {new:?}"),
        Left::Ignored(reason) => {
            assert_eq!((records.len() - before, letters), (1, 0), "{what}: {new:?}");
            let told = new.pop().unwrap();
            assert!(told.contains(reason), "{what}: {told}");
        }
    }
}

fn set(event: &mut Value, pointer: &str, value: Value) {
    let (parent, member) = pointer.rsplit_once('/').unwrap();
    event
        .pointer_mut(parent)
        .unwrap()
        .as_object_mut()
        .unwrap()
        .insert(member.to_owned(), value);
}

fn unset(event: &mut Value, pointer: &str) {
    let (parent, member) = pointer.rsplit_once('/').unwrap();
    event
        .pointer_mut(parent)
        .unwrap()
        .as_object_mut()
        .unwrap()
        .remove(member);
}

#[test]
fn an_event_that_is_no_push_for_us_starts_nothing_and_says_why() {
    let (mut account, push) = unheard();
    let unknown = format!("sha256:{}", "7f".repeat(32));
    let table: Vec<(&str, &str, Option<Value>, Left)> = vec![
        (
            "another account",
            "/account",
            Some(json!("999988887777")),
            Left::Ignored("the event is of account `999988887777`"),
        ),
        (
            "another region",
            "/region",
            Some(json!("eu-central-1")),
            Left::Ignored("the event is of region `eu-central-1`"),
        ),
        (
            "an unknown repository",
            "/detail/repository-name",
            Some(json!("nobody")),
            Left::Ignored("belongs to no pipeline"),
        ),
        (
            "a tag that is denied",
            "/detail/image-tag",
            Some(json!("latest")),
            Left::Ignored("no environment accepts tag `latest`"),
        ),
        ("no tag", "/detail/image-tag", None, Left::Nothing),
        (
            "a tag that is null",
            "/detail/image-tag",
            Some(Value::Null),
            Left::Ignored("without a tag"),
        ),
        (
            "the tag of a signature",
            "/detail/image-tag",
            Some(json!("sha256-7f7f.sig")),
            Left::Nothing,
        ),
        (
            "quotes in the tag",
            "/detail/image-tag",
            Some(json!("v1\"; drop table \"x")),
            Left::Ignored("is not valid: letters, digits"),
        ),
        (
            "control characters in the tag",
            "/detail/image-tag",
            Some(json!("v1\u{0}\r\n\u{1b}[2J")),
            Left::Ignored("is not valid: letters, digits"),
        ),
        (
            "a tag that was deleted",
            "/detail/image-tag",
            Some(json!("v0")),
            Left::Ignored("the tag was deleted"),
        ),
        (
            "a deletion",
            "/detail/action-type",
            Some(json!("DELETE")),
            Left::Nothing,
        ),
        (
            "a change of storage class",
            "/detail/action-type",
            Some(json!("UPDATE_STORAGE_CLASS")),
            Left::Nothing,
        ),
        (
            "an action that is newer than this program",
            "/detail/action-type",
            Some(json!("TELEPORT")),
            Left::Nothing,
        ),
        (
            "a push that failed",
            "/detail/result",
            Some(json!("FAILED")),
            Left::Nothing,
        ),
        ("a push without a result", "/detail/result", None, Left::Nothing),
        (
            "no digest",
            "/detail/image-digest",
            None,
            Left::Ignored("the event names no digest"),
        ),
        (
            "a digest that is none",
            "/detail/image-digest",
            Some(json!("sha256:zz")),
            Left::Ignored("digest"),
        ),
        (
            "a digest that nobody knows",
            "/detail/image-digest",
            Some(json!(unknown)),
            Left::Ignored("the image is gone"),
        ),
        ("no time", "/time", None, Left::Ignored("the event has no time")),
        (
            "a repository with a name that cannot be",
            "/detail/repository-name",
            Some(json!("Imagy \"Catalog\"")),
            Left::DeadLetter,
        ),
        (
            "a digest of another type",
            "/detail/image-digest",
            Some(json!(42)),
            Left::DeadLetter,
        ),
        ("no id", "/id", None, Left::DeadLetter),
    ];
    for (number, (what, pointer, value, left)) in table.iter().enumerate() {
        let (ignored, dead) = (account.records("push_ignored"), account.dead_letters().len());
        let mut event = push.clone();
        set(&mut event, "/id", json!(format!("event-{number}")));
        match value {
            Some(value) => set(&mut event, pointer, value.clone()),
            None => unset(&mut event, pointer),
        }
        account.put_event(&event);
        account.pass(if matches!(left, Left::DeadLetter) {
            RETRIES
        } else {
            SignedDuration::from_secs(20)
        });
        assert_left(&account, &ignored, dead, left, what);
        if matches!(left, Left::Ignored(_)) {
            // The same event again makes no second record.
            account.put_event(&event);
            account.pass(SignedDuration::from_secs(20));
            assert_left(
                &account,
                &account.records("push_ignored"),
                dead,
                &Left::Nothing,
                &format!("{what}, again"),
            );
        }
    }
    account.assert_left("FREE");
    account.put_event(&push);
    account.settle();
    account.assert_path(&account.only_release(), &[&path::release(2), CLOSED]);
}

#[test]
fn an_event_that_a_wider_rule_would_let_through_is_ignored_by_the_function_itself() {
    let (mut account, push) = unheard();
    let table: [(&str, Option<&str>, &str); 4] = [
        (
            "/detail/action-type",
            Some("TELEPORT"),
            "`TELEPORT` with result `SUCCESS` is not a push",
        ),
        (
            "/detail/result",
            Some("FAILED"),
            "`PUSH` with result `FAILED` is not a push",
        ),
        ("/detail/image-tag", None, "the image was pushed without a tag"),
        (
            "/detail/image-tag",
            Some("sha256-7f7f.sig"),
            "no environment accepts tag `sha256-7f7f.sig`",
        ),
    ];
    for (number, (pointer, value, reason)) in table.into_iter().enumerate() {
        let mut event = push.clone();
        set(&mut event, "/id", json!(format!("event-{number}")));
        match value {
            Some(value) => set(&mut event, pointer, json!(value)),
            None => unset(&mut event, pointer),
        }
        let ignored = account.records("push_ignored");
        account.administer(
            "lambda",
            "Invoke",
            json!({"FunctionName": "esclusa-intake", "InvocationType": "Event", "Payload": event}),
        );
        account.pass(SignedDuration::from_secs(20));
        assert_left(&account, &ignored, 0, &Left::Ignored(reason), reason);
    }
    account.assert_left("FREE");
}

#[test]
fn an_attestation_is_no_image() {
    let mut account = Account::with("imagy-catalog");
    let mut manifest: Value = serde_json::from_str(&Kind::Good.manifest("4f2c1e9", &[])).unwrap();
    manifest["config"]["mediaType"] = json!("application/vnd.in-toto+json");
    account
        .lab
        .push("imagy-catalog", Some("4f2c1e9"), &manifest.to_string())
        .unwrap();
    account.pass(SignedDuration::from_mins(1));
    assert_left(
        &account,
        &[],
        0,
        &Left::Ignored("an artifact of type `application/vnd.in-toto+json` is not an image"),
        "an attestation",
    );
    account.assert_left("FREE");
}

#[test]
fn unknown_members_nulls_and_nanoseconds_in_a_push_change_nothing() {
    for variant in VARIANTS {
        let (mut account, push) = unheard();
        account.put_event(&variant.of(&push));
        account.settle();
        account.assert_path(&account.only_release(), &[&path::release(2), CLOSED]);
        assert_eq!(account.dead_letters(), Vec::<Value>::new());
    }
}

/// A change to an event that no consumer may notice.
#[derive(Debug, Clone, Copy)]
enum Variant {
    AsItIs,
    UnknownMembers,
    Nulls,
    Nanoseconds,
}

const VARIANTS: [Variant; 4] = [
    Variant::AsItIs,
    Variant::UnknownMembers,
    Variant::Nulls,
    Variant::Nanoseconds,
];

/// The members of a detail that a consumer or a rule reads; all others may be null.
const READ: [&str; 21] = [
    "repository-name",
    "image-digest",
    "image-tag",
    "action-type",
    "result",
    "taskArn",
    "taskDefinitionArn",
    "clusterArn",
    "lastStatus",
    "desiredStatus",
    "containers",
    "startedBy",
    "stopCode",
    "version",
    "eventType",
    "eventName",
    "deploymentId",
    "executionArn",
    "stateMachineArn",
    "status",
    "name",
];

impl Variant {
    fn of(self, event: &Value) -> Value {
        let mut event = event.clone();
        match self {
            Self::AsItIs => {}
            Self::UnknownMembers => add_unknown(&mut event),
            Self::Nulls => {
                let detail = event["detail"].as_object_mut().unwrap();
                for (_, value) in detail.iter_mut().filter(|(member, _)| !READ.contains(&member.as_str())) {
                    *value = Value::Null;
                }
                detail.insert("newerThanThisProgram".to_owned(), Value::Null);
            }
            Self::Nanoseconds => add_nanoseconds(&mut event),
        }
        event
    }
}

fn add_unknown(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.values_mut().for_each(add_unknown);
            members.insert(
                "newerThanThisProgram".to_owned(),
                json!({"list": [1, null, {"deep": true}], "text": "\"quoted\"\n"}),
            );
        }
        Value::Array(items) => items.iter_mut().for_each(add_unknown),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn add_nanoseconds(value: &mut Value) {
    match value {
        Value::Object(members) => members.values_mut().for_each(add_nanoseconds),
        Value::Array(items) => items.iter_mut().for_each(add_nanoseconds),
        Value::String(text) => {
            if let Ok(time) = text.parse::<Timestamp>() {
                *text = time.strftime("%Y-%m-%dT%H:%M:%S.123456789Z").to_string();
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Every event sample of AWS, by the name of its file.
fn samples() -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../functions/lib/events/fixtures");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let read = |file: &std::path::PathBuf| {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        let mut event: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
        // Some samples share an id.
        event["id"] = json!(name);
        (name, event)
    };
    files.iter().map(read).collect()
}

/// Puts every sample on the bus, changed by `change`, and tells what is left: the stored events by resource and whether
/// they mean the end, and the reasons why pushes start nothing.
fn left_by_samples(variant: Variant, change: impl Fn(&str, &mut Value)) -> (Map<String, Value>, Vec<String>) {
    let mut account = Account::with("nest-demo");
    let inbox = |account: &Account| -> Vec<Value> {
        account
            .rows("RESOURCE#")
            .into_iter()
            .filter(|row| row["sk"].as_str().unwrap().starts_with("EVENT#"))
            .collect()
    };
    let before = inbox(&account);
    for (name, mut event) in samples() {
        change(&name, &mut event);
        account.put_event(&variant.of(&event));
    }
    account.pass(RETRIES);
    assert_eq!(account.releases(), Vec::<String>::new(), "{variant:?}");
    assert_eq!(account.dead_letters(), Vec::<Value>::new(), "{variant:?}");
    let mut stored = Map::new();
    for row in inbox(&account).into_iter().filter(|row| !before.contains(row)) {
        let resource = row["pk"].as_str().unwrap().trim_start_matches("RESOURCE#").to_owned();
        stored
            .entry(resource)
            .or_insert_with(|| json!([]))
            .as_array_mut()
            .unwrap()
            .push(row["is_over"].clone());
    }
    let reasons = account
        .records("push_ignored")
        .iter()
        .map(|record| record["body"]["facts"]["reason"].as_str().unwrap().to_owned())
        .collect();
    account.assert_left("FREE");
    (stored, reasons)
}

#[test]
fn of_all_samples_of_aws_only_the_push_is_for_us_and_it_is_of_another_region() {
    for variant in VARIANTS {
        let (stored, reasons) = left_by_samples(variant, |_, _| {});
        assert_eq!(stored, Map::new(), "{variant:?}");
        assert_eq!(
            reasons,
            ["the event is of region `us-west-2`, and esclusa runs in `us-east-1`"],
            "{variant:?}"
        );
    }
}

#[test]
fn samples_about_our_own_tasks_and_executions_are_stored_once_each() {
    let service = "arn:aws:ecs:us-east-1:123456789012:service/nest-demo-development/somebody-else";
    let ours = |name: &str, event: &mut Value| {
        event["account"] = json!("123456789012");
        event["region"] = json!("us-east-1");
        if name.starts_with("ecs-deployment") {
            event["resources"] = json!([service]);
        }
        if name.starts_with("ecs-task") {
            event["detail"]["startedBy"] = json!("esclusa/0a1b2c3d4e5f60718293");
        }
        if name.starts_with("step-functions") {
            event["detail"]["stateMachineArn"] =
                json!("arn:aws:states:us-east-1:123456789012:stateMachine:esclusa-deployment");
        }
    };
    let (expected, _) = left_by_samples(Variant::AsItIs, ours);
    let execution = "arn:aws:states:us-east-1:123456789012:execution:deployment:catalog-0a1b2c3d4e5f60718293-develop-1";
    let task = "arn:aws:ecs:us-east-1:123456789012:task/example-cluster/a1173316d40a45dea9";
    assert_eq!(expected.get(service), None, "what ECS always shows is not kept");
    assert_eq!(expected[execution], json!([true]));
    assert_eq!(expected[task], json!([false, true]));
    assert_eq!(expected.len(), 2);
    let shortened = "digest `sha256:7f5b2640fe6fb4f46592dfd3410c4a79dac4f89e4782432e0378abcd1234` is not valid: `sha256:` followed by 64 lower-case hexadecimal digits";
    for variant in VARIANTS {
        let (stored, reasons) = left_by_samples(variant, ours);
        assert_eq!(stored, expected, "{variant:?}");
        assert_eq!(reasons, [shortened], "{variant:?}");
    }
}

#[test]
fn what_could_not_be_delivered_shows_in_the_status_until_the_queue_is_empty() {
    let mut account = Account::running("superbowleto", "v1");
    let silent = account.esclusa(&["status"]).out;
    assert!(!silent.contains("could not be delivered"), "{silent}");
    let queue = json!({"QueueName": "esclusa-dead-letters"});
    let url = account.administer("sqs", "GetQueueUrl", queue)["QueueUrl"].clone();
    for _ in 0..2 {
        account.administer("sqs", "SendMessage", json!({"QueueUrl": url, "MessageBody": "{}"}));
    }
    account.pass(SignedDuration::from_mins(6));
    let told = account.esclusa(&["status"]).out;
    assert!(
        told.contains("attention: 2 events could not be delivered since "),
        "{told}"
    );
    account.administer("sqs", "PurgeQueue", json!({"QueueUrl": url}));
    account.pass(SignedDuration::from_mins(6));
    let silent = account.esclusa(&["status"]).out;
    assert!(!silent.contains("could not be delivered"), "{silent}");
}

/// What was told about an image that is gone: how often, and the environments that run it.
fn gone(account: &Account) -> Vec<Value> {
    let records = account.records("image_gone");
    records
        .iter()
        .map(|record| record["body"]["facts"]["environments"].clone())
        .collect()
}

/// F07: an image that is deleted or archived starts nothing, and one that runs is told of, once for each event.
#[test]
fn an_image_that_is_deleted_while_it_runs_is_told_of_once_and_others_leave_nothing() {
    let mut account = Account::running("nest-demo", "v1.0.0");
    let running = account.release("v1.1.0", Kind::Good);
    let id = |digest: &str| json!({"repositoryName": "pm4-ecommerce", "imageIds": [{"imageDigest": digest}]});
    let unused = account.push("nothing-takes-this", Kind::Good);
    account.settle();
    account.administer("ecr", "BatchDeleteImage", id(&unused));
    account.pass(SignedDuration::from_secs(20));
    assert_eq!(gone(&account), [] as [Value; 0]);
    account.disturb_pushes(Occurrence::Every, Fault::Duplicate(SignedDuration::from_secs(5)));
    account.administer("ecr", "BatchDeleteImage", id(&running));
    account.pass(SignedDuration::from_mins(1));
    assert_eq!(gone(&account), [json!(["development"])]);
    account.assert_left("FREE");
}

/// F07: of an image with two tags one may go, and what is archived is no image that can be pulled.
#[test]
fn a_tag_that_goes_takes_no_image_with_it_and_an_archived_image_is_as_good_as_gone() {
    let mut account = Account::running("nest-demo", "v1.0.0");
    let digest = account.release("v1.1.0", Kind::Good);
    let repository = "pm4-ecommerce";
    let images = &mut account.lab.world_mut().kernel_mut().images.repositories;
    let image = images.get_mut(repository).unwrap().get_mut(&digest).unwrap();
    image.tags.insert("another".to_owned());
    let delete = json!({"repositoryName": repository, "imageIds": [{"imageTag": "another"}]});
    account.administer("ecr", "BatchDeleteImage", delete);
    account.pass(SignedDuration::from_secs(20));
    assert_eq!(gone(&account), [] as [Value; 0]);
    let archive =
        json!({"repositoryName": repository, "imageId": {"imageDigest": digest}, "targetStorageClass": "ARCHIVE"});
    account.administer("ecr", "UpdateImageStorageClass", archive);
    account.pass(SignedDuration::from_secs(20));
    assert_eq!(gone(&account), [json!(["development"])]);
}

/// The execution of a release is aborted, and its end can be announced to nobody for a while: the sweep comes back until
/// it is told and anchored.
#[test]
fn an_end_that_a_sweep_writes_is_announced_and_anchored_however_long_that_takes() {
    let mut account = Account::with("nest-demo");
    account.push("v1.0.0", Kind::Good);
    let release = account.run_until_claimed();
    account.pass(SignedDuration::from_secs(5));
    let now = account.lab.world().now();
    let throttled = Selector::operation("events", "PutEvents").between(now, now + SignedDuration::from_mins(20));
    account
        .lab
        .world_mut()
        .add_fault(simulator::Fault::new(throttled, FaultKind::Throttle));
    let arn = format!("arn:aws:states:us-east-1:123456789012:execution:esclusa-release:{release}");
    account.administer("states", "StopExecution", json!({"executionArn": arn}));
    account.pass(SignedDuration::from_mins(15));
    let told = |account: &Account| {
        let calls = account.calls("events", "PutEvents").into_iter();
        calls.filter(|call| call.outcome == CallOutcome::Success).count()
    };
    assert_eq!(told(&account), 0);
    assert!(account.status(&release)["end"].is_object());
    assert_eq!(account.rows("OPEN#RELEASE").len(), 1);
    account.pass(SignedDuration::from_mins(20));
    assert!(told(&account) >= 1);
    assert!(account.rows("OPEN#RELEASE").is_empty());
    let verified = account.esclusa(&["audit", "verify", "--release", &release]);
    assert!(verified.out.contains("anchored at"), "{}", verified.out);
}
