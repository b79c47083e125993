//! What people decide over HTTP with the credentials of an IAM principal: by themselves, or by the command line.

use std::collections::BTreeSet;

use aws_smithy_runtime_api::client::http::HttpConnector as _;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use jiff::SignedDuration;
use lab::images::Kind;
use serde_json::{Value, json};
use simulator::Principal;

use crate::slack::{APPROVAL, ASKING, CHANNEL, apply, pushed};
use crate::support::Account;

/// What a request to the console is answered, signed by a principal or by nobody.
pub(crate) fn http(account: &mut Account, path: &str, signed_by: Option<&Principal>, body: &Value) -> (u16, Value) {
    let endpoint = account.lab.world().template().unwrap().outputs["ConsoleEndpoint"]
        .value
        .clone();
    let mut request = HttpRequest::new(SdkBody::from(body.to_string()));
    request.set_method("POST").unwrap();
    request.set_uri(format!("{endpoint}{path}")).unwrap();
    request.headers_mut().insert("content-type", "application/json");
    if let Some(principal) = signed_by {
        let key = account.lab.world_mut().register_principal(principal.clone());
        let scope = format!("Credential={key}/20261102/us-east-1/execute-api/aws4_request");
        let signature = format!("AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=00");
        request.headers_mut().insert("authorization", signature);
    }
    let connector = account.lab.world_mut().http_connector(&Principal::Administrator);
    let response = account.lab.simulation().block_on(connector.call(request)).unwrap();
    let text = response.body().bytes().unwrap_or_default();
    (
        response.status().as_u16(),
        serde_json::from_slice(text).unwrap_or_default(),
    )
}

/// The console knows only what API Gateway says of the caller.
#[test]
fn whoever_aws_knows_votes_through_the_api_and_nobody_else() {
    let iam = "people:\n  ana: {iam: [\"arn:aws:iam::123456789012:user/administrator\"], slack: [U0ANA]}\n  luis: {slack: [U0LUIS]}\n\n";
    let mut account = Account::beside_slack("nest-demo", CHANNEL);
    apply(&mut account, iam, APPROVAL);
    let release = pushed(&mut account, "v1.0.0");
    let vote = json!({"release": release, "approves": true, "reason": "seen in staging"});
    let administrator = Principal::Administrator;
    let nobody = http(&mut account, "/api/votes", None, &vote);
    assert_eq!(nobody.0, 403);
    let role = Principal::Role("esclusa-observe".to_owned());
    assert_eq!(http(&mut account, "/api/votes", Some(&role), &vote).0, 403);
    assert_eq!(http(&mut account, "/api/other", Some(&administrator), &vote).0, 404);
    for wrong in [
        json!({"release": release}),
        json!({"release": release, "approves": false}),
        json!({"release": release, "approves": true, "principal": "slack:T0/U0LUIS"}),
    ] {
        assert_eq!(
            http(&mut account, "/api/votes", Some(&administrator), &wrong).0,
            400,
            "{wrong}"
        );
    }
    let other_plan = json!({"release": release, "approves": true, "plan": "another"});
    let (status, answer) = http(&mut account, "/api/votes", Some(&administrator), &other_plan);
    assert!(
        status == 409 && answer["error"].to_string().contains("has changed"),
        "{answer}"
    );
    let question = json!({"release": release, "check": "errors", "choice": "keep", "reason": "known"});
    assert_eq!(
        http(&mut account, "/api/answers", Some(&administrator), &question).0,
        409
    );
    assert_eq!(account.rows("VOTES#").len(), 0);
    let (status, answer) = http(&mut account, "/api/votes", Some(&administrator), &vote);
    assert_eq!((status, &answer["person"]), (200, &json!("ana")), "{answer}");
    // Nobody waits for the next round of the schedule, which comes every two minutes.
    let decided_at = account.lab.world().now();
    account.run_until_entered(&format!("{release}-development-1"), "BeginDeployment");
    let taken_up = account.lab.world().now().duration_since(decided_at);
    assert!(taken_up < SignedDuration::from_secs(10), "{taken_up}");
    // The same person in Slack is the same voice.
    assert_eq!(http(&mut account, "/api/votes", Some(&administrator), &vote).0, 409);
    account.settle();
    account.assert_ended("SUCCEEDED", "none", "proven");
}

/// The command line asks the console where it is told of one: whoever calls needs no permission on a table then.
#[test]
fn the_command_line_decides_through_the_console_where_there_is_one() {
    let iam =
        "people:\n  ana: {iam: [\"arn:aws:iam::123456789012:user/administrator\"]}\n  luis: {slack: [U0LUIS]}\n\n";
    let mut account = Account::beside_slack("nest-demo", CHANNEL);
    apply(&mut account, iam, &format!("{APPROVAL}{ASKING}"));
    account.create_alarm("errors");
    let url = account.lab.world().template().unwrap().outputs["ConsoleEndpoint"]
        .value
        .clone();
    let release = pushed(&mut account, "v1.0.0");
    let through = ["--console-url", url.as_str()];
    let answer = account.esclusa(&[&through[..], &["approve", &release]].concat());
    assert!(
        answer.out.contains("`v1.0.0` is approved for `development` by `ana`"),
        "{}",
        answer.out
    );
    let again = account.lab.esclusa(&[&through[..], &["approve", &release]].concat());
    assert!(
        again.code == 1 && again.err.contains("already said so"),
        "{}",
        again.err
    );
    account.run_until_entered(&format!("{release}-development-1"), "LookAtChecks");
    account.say_alarm("errors", "ALARM");
    account.pass(SignedDuration::from_mins(3));
    let keep = [
        "answer",
        &release,
        "--check",
        "errors",
        "--keep",
        "--reason",
        "it is the load test",
    ];
    let answer = account.esclusa(&[&through[..], &keep].concat());
    assert!(answer.out.contains("the release stays"), "{}", answer.out);
    account.settle();
    account.assert_ended("SUCCEEDED", "none", "proven");
    let writers: BTreeSet<String> = account
        .lab
        .world()
        .calls()
        .iter()
        .filter(|call| call.operation == "TransactWriteItems")
        .filter(|call| call.input.to_string().contains("person_decided"))
        .map(|call| format!("{:?}", call.principal))
        .collect();
    assert_eq!(Vec::from_iter(writers), ["Role(\"esclusa-console\")"]);
    let elsewhere = account
        .lab
        .esclusa(&["--console-url", "https://console.example.com", "approve", &release]);
    assert!(
        elsewhere.code == 1 && elsewhere.err.contains("console.example.com"),
        "{}",
        elsewhere.err
    );
}

/// Every order goes through the console where there is one: holds, stops, pins, freezes, and what was seen to.
#[test]
fn whatever_a_person_orders_goes_through_the_console_where_there_is_one() {
    let seen_to = "    acknowledgements: {dashboard: {person: {that: the dashboard was looked at}}}\n";
    let iam = "people:\n  ana: {iam: [\"arn:aws:iam::123456789012:user/administrator\"]}\n\n";
    let mut account = Account::beside_slack("nest-demo", CHANNEL);
    apply(&mut account, iam, seen_to);
    let url = account.lab.world().template().unwrap().outputs["ConsoleEndpoint"]
        .value
        .clone();
    let why = ["--reason", "the launch"];
    let through = |account: &mut Account, words: &[&str]| {
        account.esclusa(&[&["--console-url", url.as_str()], words].concat()).out
    };
    let release = pushed(&mut account, "v1.0.0");
    let place = ["nest-demo", "development"];
    let held = through(&mut account, &[&["hold", &release, "--until", "2h"], &why[..]].concat());
    assert!(held.contains("`v1.0.0` is held until 2026-"), "{held}");
    let again = account
        .lab
        .esclusa(&[&["--console-url", url.as_str(), "hold", &release], &why[..]].concat());
    assert!(
        again.code == 1 && again.err.contains("is already held by"),
        "{}",
        again.err
    );
    let free = through(&mut account, &[&["release-hold", &release], &why[..]].concat());
    assert!(free.contains("is no longer held"), "{free}");
    let frozen = through(&mut account, &[&["freeze"], &place[..], &why[..]].concat());
    assert!(
        frozen.contains("`nest-demo` in `development` is frozen until it is lifted"),
        "{frozen}"
    );
    let seen = through(
        &mut account,
        &["acknowledge", &release, "dashboard", "--note", "all green"],
    );
    assert!(seen.contains("`ana` acknowledged `dashboard`"), "{seen}");
    account.pass(SignedDuration::from_mins(10));
    account.assert_acts(&[]);
    let thawed = through(&mut account, &[&["unfreeze"], &place[..], &why[..]].concat());
    assert!(thawed.contains("is no longer frozen"), "{thawed}");
    account.settle();
    account.assert_release_ended(&release, "SUCCEEDED", "none", "proven");
    let pinned = through(&mut account, &[&["pin"], &place[..], &why[..]].concat());
    assert!(
        pinned.contains("`nest-demo/development` keeps `v1.0.0` until it is lifted"),
        "{pinned}"
    );
    let second = pushed(&mut account, "v1.1.0");
    let loose = through(&mut account, &[&["unpin"], &place[..], &why[..]].concat());
    assert!(loose.contains("is no longer pinned"), "{loose}");
    let stopped = through(&mut account, &[&["stop", &second], &why[..]].concat());
    assert!(stopped.contains("`v1.1.0` stops"), "{stopped}");
    account.settle();
    account.assert_release_ended(&second, "STOPPED", "none", "stopped");
    let bad = through(
        &mut account,
        &[&["quarantine", "add", "nest-demo", "v1.1.0"], &why[..]].concat(),
    );
    assert!(bad.contains("it no longer enters any environment"), "{bad}");
    let decided = account.records("person_decided");
    assert_eq!(decided.len(), 9, "{decided:#?}");
    assert!(
        decided
            .iter()
            .all(|record| record["actor"] == "arn:aws:iam::123456789012:user/administrator")
    );
    let writers = account
        .lab
        .world()
        .calls()
        .iter()
        .filter(|call| call.operation == "TransactWriteItems" && call.input.to_string().contains("person_decided"));
    let writers: BTreeSet<String> = writers.map(|call| format!("{:?}", call.principal)).collect();
    assert_eq!(Vec::from_iter(writers), ["Role(\"esclusa-console\")"]);
    let unknown = http(
        &mut account,
        "/orders/delete",
        Some(&Principal::Administrator),
        &json!({"release": release}),
    );
    assert!(
        unknown.0 == 400 && unknown.1["error"].as_str().unwrap().contains("delete"),
        "{unknown:?}"
    );
    let silent = json!({"release": second, "reason": " "});
    let silent = http(&mut account, "/orders/hold", Some(&Principal::Administrator), &silent);
    assert!(
        silent.0 == 409 && silent.1["error"] == "a reason is required",
        "{silent:?}"
    );
}

/// Who asks through the console is whoever signed: they cannot name somebody else, and may not approve it.
#[test]
fn whoever_asks_for_a_release_through_the_console_is_whoever_signed() {
    let people =
        "people:\n  ana: {iam: [\"arn:aws:iam::123456789012:user/administrator\"]}\n  luis: {slack: [U0LUIS]}\n\n";
    let mut account = Account::beside_slack("nest-demo", CHANNEL);
    apply(&mut account, people, "");
    let url = account.lab.world().template().unwrap().outputs["ConsoleEndpoint"]
        .value
        .clone();
    let through = ["--console-url", url.as_str()];
    for tag in ["v1.0.0", "v1.1.0"] {
        account.push(tag, Kind::Good);
        account.settle();
    }
    apply(&mut account, people, APPROVAL);
    let place = ["nest-demo", "development"];
    let words = [
        &through[..],
        &["deploy"],
        &place,
        &["v1.0.0", "--no-wait"],
        &["--request-id", "42"],
    ]
    .concat();
    let asked = account.esclusa(&words).out;
    let release = asked.trim();
    assert_eq!(account.esclusa(&words).out, asked, "the same request twice");
    account.run_until_entered(release, "AwaitGate");
    let records = account.records("release_claimed");
    let claimed = records.iter().find(|record| record["release_id"] == release).unwrap();
    assert_eq!(
        claimed["body"]["requestedBy"],
        "arn:aws:iam::123456789012:user/administrator"
    );
    let askers = account
        .lab
        .world()
        .calls()
        .iter()
        .filter(|call| call.operation == "Invoke" && call.input.to_string().contains("request_release"));
    let askers: BTreeSet<String> = askers.map(|call| format!("{:?}", call.principal)).collect();
    assert_eq!(Vec::from_iter(askers), ["Role(\"esclusa-console\")"]);
    let own = account.lab.esclusa(&[&through[..], &["approve", release]].concat());
    assert!(
        own.code == 1 && own.err.contains("requested this release"),
        "{}",
        own.err
    );

    let administrator = Some(&Principal::Administrator);
    let wanted = json!({"application": "nest-demo", "environment": "development", "version": "v1.0.0"});
    let with = |fields: Value| {
        let mut wanted = wanted.clone();
        let fields = fields.as_object().unwrap().clone();
        wanted.as_object_mut().unwrap().extend(fields);
        wanted
    };
    let named = with(json!({"requestId": "43", "requestedBy": "slack:T0/U0LUIS"}));
    for (path, body, status, expected) in [
        ("/releases/deploy", &named, 400, "unknown field `requestedBy`"),
        ("/releases/deploy", &wanted, 400, "choose a `requestId`"),
        (
            "/releases/undeploy",
            &with(json!({"requestId": "44"})),
            400,
            "unknown variant `undeploy`",
        ),
        (
            "/releases/hotfix",
            &with(json!({"requestId": "45"})),
            409,
            "declares no hotfix",
        ),
        (
            "/releases/deploy",
            &with(json!({"requestId": "46", "version": "v9.9.9"})),
            409,
            "v9.9.9",
        ),
    ] {
        let (answered, told) = http(&mut account, path, administrator, body);
        assert!(
            answered == status && told["error"].as_str().unwrap().contains(expected),
            "{path} {body}: {answered} {told}"
        );
    }
    let role = Principal::Role("esclusa-observe".to_owned());
    let body = with(json!({"requestId": "47"}));
    assert_eq!(http(&mut account, "/releases/deploy", Some(&role), &body).0, 403);
    let (status, told) = http(
        &mut account,
        "/releases/rollback",
        administrator,
        &with(json!({"requestId": "48"})),
    );
    assert!(status == 200 && told["releaseId"].is_string(), "{told}");
    let releases = account.releases();
    assert_eq!(releases.len(), 4, "{releases:?}");
}
