use esclusa_core::error::Failure;
use esclusa_core::ledger::{Body, Chain, Draft, Head, append};
use serde_json::json;

use super::*;

const RELEASE: &str = "shop-0f0f0f0f0f0f0f0f0f0f";

fn records(drafts: Vec<(RecordKind, &str, Value)>) -> Vec<Record> {
    let mut head = Head::genesis(Chain::release(RELEASE));
    let mut records = Vec::new();
    for (seconds, (kind, actor, body)) in (0_i64..).zip(drafts) {
        let draft = Draft {
            application: Some("shop".to_owned()),
            environment: Some("develop".to_owned()),
            digest: Some(format!("sha256:{}", "0f".repeat(32))),
            release_id: Some(RELEASE.to_owned()),
            deployment_id: Some(format!("{RELEASE}-develop-1")),
            ..Draft::new(kind, actor, Body::new(&body).unwrap())
        };
        let at = jiff::Timestamp::from_second(1_795_269_907 + seconds * 7).unwrap();
        let (record, next) = append(&head, draft, at);
        records.push(record);
        head = next;
    }
    records
}

/// One record of every kind, with the facts that the functions write.
pub(crate) fn story_of_a_deployment() -> Vec<Record> {
    let service = "arn:aws:ecs:us-east-1:123456789012:service/shop/shop-api";
    let task = "arn:aws:ecs:us-east-1:123456789012:task/shop/0123456789abcdef";
    let end = json!({"verdict": "ROLLED_BACK", "effect": "schema_moved", "reason": "rollout_failed", "reasons": ["the rollout of `api` failed", "`migrate` had completed"]});
    let ana = "arn:aws:sts::123456789012:assumed-role/deployer/ana";
    let push = json!({"event": "17793124", "repository": "shop", "tag": "main-3f2a", "action": "PUSH", "facts": {"release": RELEASE, "generation": 4}});
    let ignored = json!({"event": "17793125", "repository": "shop", "tag": "sha256-0f.sig", "facts": {"reason": "no environment accepts tag `sha256-0f.sig`"}});
    let claimed = json!({"kind": "push", "tag": "main-3f2a", "environments": ["develop", "production"], "requestedBy": "event 17793124", "reason": null, "targetRelease": null});
    let acts = json!({"action": "ecs:UpdateService", "target": service, "facts": {}});
    let outcome = json!({"action": "ecs:UpdateService", "target": service, "step": {"mode": "way_back"}, "outcome": {"called": true, "ecsDeploymentId": "ecs-svc/42", "serviceDeploymentArn": null}});
    let state = json!({"name": "migrate", "taskArn": task, "state": {"status": "RUNNING", "version": 5, "at": "2026-11-21T14:05:42Z"}});
    let stopped = json!({
        "name": "migrate",
        "task": {"taskArn": task, "stoppedReason": "Essential container in task exited", "containers": [{"name": "web", "exitCode": 0}, {"name": "log"}]},
        "log": [{"at": 1, "text": "starting"}, {"at": 2, "text": "one"}, {"at": 3, "text": "two"}, {"at": 4, "text": "done"}],
    });
    let secured = json!({
        "name": "migrate", "database": "main", "source": {"instance": "shop-develop"}, "lack": null,
        "latestRestorable": "2026-11-21T14:02:10Z", "snapshot": "esclusa-0f0f0f0f0f0f0f0f0f0f0f0f",
    });
    let counts = json!({"name": "api", "sentence": "it is rolled out", "counts": [{"status": "ACTIVE", "desired": 2, "running": 2, "pending": 0}, {"status": "PRIMARY", "desired": 2, "running": 1, "pending": 1}]});
    let applied = json!({"version": 3, "sha256": "ab".repeat(32), "appliedBy": "ci/job-7", "environments": ["develop"], "repositories": [], "files": []});
    let lifted = json!({"decision": "unlock", "lock": "environment/shop/develop", "reason": "the schema is as it was"});
    let planned = json!({
        "planHash": "3f2a9c".repeat(10),
        "unchanged": false,
        "revisions": [{"name": "api", "action": {"kind": "register"}}, {"name": "worker", "action": {"kind": "reuse", "arn": "arn:…"}}],
        "steps": [{"task": "migrate"}, {"service": "api", "name": "shop-api"}],
    });
    let measured = json!({
        "checks": [
            {"check": "errors", "at": "2026-11-21T14:06:00Z", "outcome": "fail", "sentence": "6, at most 5 is allowed"},
            {"check": "services", "at": "2026-11-21T14:06:00Z", "outcome": "pass", "sentence": "`api` runs 2"},
        ],
        "healthySince": null, "soakSeconds": 300, "end": null,
        "questions": [{"check": "errors", "until": "2026-11-21T14:16:00Z", "unanswered": "rollback"}],
    });
    let gave_way = json!({
        "checks": [], "healthySince": null, "soakSeconds": 300, "questions": [], "end": {"end": "gave_way", "to": RELEASE},
    });
    let rechecked = json!({
        "deploymentId": "d", "checks": [{"check": "errors", "outcome": "fail", "sentence": "in `ALARM`: `shop-errors`"}],
        "holds": false, "changed": true, "revoked": {"at": "2026-11-21T14:06:00Z", "why": "check `errors`: in `ALARM`: `shop-errors`"},
    });
    let waits = json!({"planHash": "p", "since": "2026-11-21T14:05:00Z", "closed": null, "gates": [
        {"gate": "window", "is_open": false, "sentence": "outside the windows of the environment", "until": "2026-11-23T15:00:00Z"},
        {"gate": "approval", "is_open": false, "sentence": "1 of `ana`, `luis` must agree"},
    ]});
    let rejected = json!({"planHash": "p", "since": "2026-11-21T14:05:00Z", "gates": [], "closed": {"closed": "rejected", "by": "`luis`: not today"}});
    let approved = json!({"decision": "approve", "tag": "v1.4.0", "reason": "seen in staging"});
    let frozen = json!({"decision": "freeze", "place": "`shop` in `production`", "reason": "the sale"});
    let stops = json!({"decision": "stop", "tag": "v1.1.0", "reason": "the wrong version"});
    let pinned = json!({"decision": "pin", "place": "`shop/production`", "tag": "v1.0.0", "reason": "the audit"});
    let answered = json!({"decision": "answer", "check": "errors", "choice": "keep", "reason": "it is the load test"});
    let locks = json!({"execution": "arn:…", "locks": {"environment/shop/develop": 7, "database/1/us-east-1/shop/develop/main": 3}});
    let anchored =
        json!({"end": end, "head": {"chain": format!("release/{RELEASE}"), "sequence": 20, "hash": "cd".repeat(32)}});
    records(vec![
        (RecordKind::PipelineApplied, ana, applied),
        (RecordKind::PushIgnored, "esclusa/intake", ignored),
        (RecordKind::PushReceived, "esclusa/intake", push),
        (
            RecordKind::ImageGone,
            "esclusa/intake",
            json!({"action": "DELETE", "repository": "shop", "facts": {"environments": ["develop", "production"]}}),
        ),
        (RecordKind::ReleaseClaimed, "esclusa/intake", claimed),
        (
            RecordKind::ReleaseStarted,
            "esclusa/record",
            json!({"environments": ["develop", "production"]}),
        ),
        (RecordKind::DeploymentStarted, "esclusa/intake", json!({})),
        (
            RecordKind::LockAwaited,
            "esclusa/record",
            json!({"lock": "environment/shop/develop", "behind": "shop-0e-develop-1", "waitSeconds": 86_400}),
        ),
        (RecordKind::LockAcquired, "esclusa/record", locks),
        (RecordKind::Planned, "esclusa/observe", planned),
        (RecordKind::Intent, "esclusa/update", acts),
        (RecordKind::Outcome, "esclusa/update", outcome),
        (RecordKind::RestorePoint, "esclusa/migrate", secured),
        (RecordKind::TaskState, "esclusa/migrate", state),
        (RecordKind::TaskStopped, "esclusa/migrate", stopped),
        (RecordKind::ServiceProgress, "esclusa/observe", counts),
        (
            RecordKind::Judged,
            "esclusa/observe",
            json!({"name": "api", "outcome": "failed", "sentence": "ECS rolled it back"}),
        ),
        (
            RecordKind::Evidence,
            "esclusa/observe",
            json!({"name": "api", "sentence": "container `api` ends with exit code 1 (3 of 3 stopped tasks)"}),
        ),
        (RecordKind::ChecksMeasured, "esclusa/observe", measured),
        (RecordKind::ChecksMeasured, "esclusa/observe", gave_way),
        (RecordKind::Rechecked, "esclusa/observe", rechecked),
        (RecordKind::PersonDecided, ana, answered),
        (RecordKind::GatesAsked, "esclusa/observe", waits),
        (RecordKind::GatesAsked, "esclusa/observe", rejected),
        (
            RecordKind::DecisionRefused,
            "slack:T0TEAM/U0EVA",
            json!({"why": "`slack:T0TEAM/U0EVA` may not decide about `shop/develop`: only `ana` may"}),
        ),
        (RecordKind::PersonDecided, ana, approved),
        (RecordKind::PersonDecided, ana, frozen),
        (RecordKind::PersonDecided, ana, pinned),
        (RecordKind::PersonDecided, ana, stops),
        (
            RecordKind::WayBackPlanned,
            "esclusa/observe",
            json!({"services": ["worker", "api"]}),
        ),
        (RecordKind::PersonDecided, ana, lifted),
        (
            RecordKind::DeploymentEnded,
            "esclusa/record",
            json!({"end": end, "locks": {"environment/shop/develop": "quarantined", "database/1/us-east-1/shop/develop/main": "taken over"}}),
        ),
        (RecordKind::ReleaseEnded, "esclusa/record", anchored),
    ])
}

#[test]
fn every_kind_of_record_has_a_sentence() {
    let told: Vec<RecordKind> = story_of_a_deployment().iter().map(|record| record.kind).collect();
    for kind in RecordKind::ALL {
        assert!(told.contains(kind), "{kind} is not told");
    }
    for record in story_of_a_deployment() {
        assert_ne!(sentence(&record), record.body.as_str(), "{}", record.kind);
    }
}

#[test]
fn every_outcome_of_an_act_is_told_in_words() {
    let arn = |kind: &str| format!("arn:aws:ecs:us-east-1:123456789012:{kind}");
    let table = [
        (
            "ecs:RegisterTaskDefinition",
            json!({"taskDefinitionArn": arn("task-definition/shop:7")}),
            "there is `shop:7`",
        ),
        (
            "ecs:RunTask",
            json!({"taskArn": arn("task/shop/0123")}),
            "there is task `0123`",
        ),
        (
            "ecs:RunTask",
            json!({"taskArn": null, "reasons": ["RESOURCE:CPU"]}),
            "no task was started: RESOURCE:CPU",
        ),
        ("ecs:StopTask", json!({"stopping": true}), "the task was asked to stop"),
        (
            "ecs:UpdateService",
            json!({"called": true, "ecsDeploymentId": "ecs-svc/1"}),
            "began deployment `ecs-svc/1` of ECS",
        ),
        (
            "ecs:UpdateService",
            json!({"called": false, "ecsDeploymentId": "ecs-svc/1"}),
            "not needed, it is the work of deployment `ecs-svc/1` of ECS",
        ),
        (
            "ecs:StopServiceDeployment",
            json!({"rollback": "requested"}),
            "ECS rolls it back",
        ),
        (
            "ecs:StopServiceDeployment",
            json!({"rollback": "not_found"}),
            "not found",
        ),
        (
            "application-autoscaling:PutScalingPolicy",
            json!({"registered": true}),
            "it is registered",
        ),
        (
            "application-autoscaling:RegisterScalableTarget",
            json!({"suspended": true}),
            "scaling suspended",
        ),
        (
            "application-autoscaling:RegisterScalableTarget",
            json!({"restored": true}),
            "scaling restored",
        ),
        (
            "rds:CreateDBSnapshot",
            json!({"snapshot": "esclusa-0f"}),
            "the snapshot `esclusa-0f` is being taken",
        ),
        (
            "ecs:RunTask",
            json!({"refused": Failure::refused("no such cluster")}),
            "refused: no such cluster",
        ),
    ];
    for (action, outcome, told) in table {
        let body = json!({"action": action, "target": "shop", "outcome": outcome});
        let record = &records(vec![(RecordKind::Outcome, "esclusa", body)])[0];
        assert_eq!(sentence(record), format!("`{action}` on `shop`: {told}"));
    }
}

#[test]
fn every_way_in_which_a_gate_closes_and_a_verification_ends_is_told_as_it_was() {
    let closed = [
        (
            json!({"closed": "rejected", "by": "`luis`: not today"}),
            "rejected by `luis`: not today",
        ),
        (json!({"closed": "expired"}), "nobody answered in time"),
        (
            json!({"closed": "not_replicated", "image": "app", "repository": "eu/shop"}),
            "the image `app` did not arrive in `eu/shop` in time",
        ),
        (
            json!({"closed": "superseded", "by": RELEASE}),
            "release `shop-0f0f0f0f0f0f0f0f0f0f` takes its place",
        ),
        (
            json!({"closed": "wave_failed", "environment": "lima", "verdict": "ROLLED_BACK"}),
            "`lima`, in the same wave, ended ROLLED_BACK",
        ),
        (
            json!({"closed": "stopped", "by": "ana", "why": "the wrong version"}),
            "stopped by `ana`: the wrong version",
        ),
    ];
    let ended = [
        (
            json!({"end": "passed", "healthy_since": "2026-11-21T14:06:00Z"}),
            "the verification passed",
        ),
        (json!({"end": "gave_way", "to": "shop-1"}), "gave way to `shop-1`"),
        (
            json!({"end": "stopped", "by": "ana", "why": "the wrong version"}),
            "stopped by `ana`: the wrong version",
        ),
        (
            json!({"end": "failed", "check": "errors", "outcome": "fail", "why": "check `errors`: 6"}),
            "the verification failed: check `errors`: 6",
        ),
    ];
    let gates = closed.map(|(closed, told)| {
        let body = json!({"planHash": "p", "since": "2026-11-21T14:05:00Z", "gates": [], "closed": closed});
        (RecordKind::GatesAsked, body, told)
    });
    let checks = ended.map(|(end, told)| {
        let body = json!({"checks": [], "healthySince": null, "soakSeconds": 300, "questions": [], "end": end});
        (RecordKind::ChecksMeasured, body, told)
    });
    for (kind, body, told) in gates.into_iter().chain(checks) {
        let record = &records(vec![(kind, "esclusa/observe", body)])[0];
        assert_eq!(sentence(record), told);
    }
}

#[test]
fn a_task_that_ecs_has_forgotten_is_no_gap_in_the_story() {
    let forgotten = json!({"name": "migrate", "task": null, "log": []});
    let record = &records(vec![(RecordKind::TaskStopped, "esclusa/migrate", forgotten)])[0];
    assert_eq!(
        sentence(record),
        "nothing tells how task `migrate` ended: ECS no longer lists it"
    );
}

#[test]
fn facts_that_are_not_known_are_shown_as_they_are() {
    let strange = records(vec![(RecordKind::Judged, "somebody", json!({"b": 1, "a": [true]}))]);
    assert_eq!(sentence(&strange[0]), r#"{"a":[true],"b":1}"#);
}
