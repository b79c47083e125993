//! The account is not as a release needs it: it ends before anything moves, and says what helps.

use lab::images::Kind;
use serde_json::json;

use crate::path::REFUSED;
use crate::support::Account;

#[test]
fn a_family_without_an_active_revision_is_refused() {
    let mut account = Account::with("superbowleto");
    account.administer(
        "ecs",
        "DeregisterTaskDefinition",
        json!({"taskDefinition": "superbowleto-s-stg:1"}),
    );
    account.assert_refuses(&[
        "the family `superbowleto-s-stg` has no ACTIVE revision",
        "register one with your infrastructure code",
    ]);
}

#[test]
fn a_family_that_nobody_registered_is_refused() {
    let mut account = Account::edited(
        "superbowleto",
        "family: superbowleto-s-${environment}",
        "family: superbowleto-nobody-${environment}",
    );
    account.assert_refuses(&[
        "the family `superbowleto-nobody-stg` has no ACTIVE revision",
        "task_definitions.server",
    ]);
}

#[test]
fn a_cluster_that_is_not_there_is_refused() {
    let mut account = Account::edited(
        "nest-demo",
        "  - name: development\n    trigger: push\n    tags: {allow: [latest, \"semver:>=0.1.0\"]}\n    cluster: nest-demo-${environment}",
        "  - name: development\n    trigger: push\n    cluster: nowhere",
    );
    account.assert_refuses(&[
        "there is no cluster `nowhere`",
        "set `cluster` of the environment `development`",
    ]);
}

#[test]
fn a_service_that_is_not_there_is_refused() {
    let mut account = Account::edited("nest-demo", "    service: nest-demo\n", "    service: nest-nobody\n");
    account.assert_refuses(&[
        "the cluster `nest-demo-development` has no service `nest-nobody`",
        "set `service` of `services.nestapp`",
    ]);
}

#[test]
fn a_service_that_was_deleted_is_refused() {
    let mut account = Account::with("nest-demo");
    account.administer(
        "ecs",
        "DeleteService",
        json!({"cluster": "nest-demo-development", "service": "nest-demo", "force": true}),
    );
    account.pass(jiff::SignedDuration::from_mins(5));
    account.assert_refuses(&[
        "the service `nest-demo` is INACTIVE",
        "aws ecs describe-services --cluster nest-demo-development --services nest-demo",
    ]);
}

#[test]
fn an_image_that_is_gone_after_its_push_is_refused() {
    let mut account = Account::with("nest-demo");
    let digest = account.push("v1.0.0", Kind::Good);
    let release = account.run_until_claimed();
    account.run_until_entered(&release, "OpenRelease");
    account.administer(
        "ecr",
        "BatchDeleteImage",
        json!({"repositoryName": "pm4-ecommerce", "imageIds": [{"imageDigest": digest}]}),
    );
    account.settle();
    account.assert_path(&release, &[REFUSED]);
    account.assert_ended("FAILED", "none", "refused");
    account.assert_acts(&[]);
    let reasons = account.reasons();
    assert!(
        reasons.contains(&digest) && reasons.contains("push it again"),
        "{reasons}"
    );
    account.assert_left("FREE");
}

#[test]
fn a_role_that_may_not_be_passed_ends_before_anything_moves() {
    let mut account = Account::with("superbowleto");
    let described = account.administer(
        "ecs",
        "DescribeTaskDefinition",
        json!({"taskDefinition": "superbowleto-s-stg"}),
    );
    let mut base = described["taskDefinition"].clone();
    base.as_object_mut().unwrap().retain(|member, _| {
        [
            "family",
            "executionRoleArn",
            "networkMode",
            "requiresCompatibilities",
            "cpu",
            "memory",
            "containerDefinitions",
        ]
        .contains(&member.as_str())
    });
    base["taskRoleArn"] = json!("arn:aws:iam::123456789012:role/administrator");
    account.administer("ecs", "RegisterTaskDefinition", base);
    account.release("v1.0.0", Kind::Good);
    account.assert_ended("FAILED", "none", "refused");
    account.assert_acts(&[]);
    let reasons = account.reasons();
    assert!(
        reasons.contains("role/administrator") && reasons.contains("PassableRoleArns"),
        "{reasons}"
    );
    account.assert_left("FREE");
}

#[test]
fn a_repository_of_another_account_or_region_is_refused_before_anybody_waits_for_its_pushes() {
    let mut account = Account::with("nest-demo");
    let text = std::fs::read_to_string(&account.example.file).unwrap();
    for (place, words) in [
        ("account: \"210987654321\"", "is in account 210987654321, `us-east-1`"),
        ("region: eu-central-1", "is in account 123456789012, `eu-central-1`"),
    ] {
        let repository = "repository: pm4-ecommerce";
        let elsewhere = text.replace(repository, &format!("{repository}\n    {place}"));
        let file = account.written(&elsewhere);
        let answer = account.lab.esclusa(&["pipelines", "apply", &file.to_string_lossy()]);
        assert_eq!(answer.code, 1, "{}{}", answer.out, answer.err);
        assert!(answer.err.contains(words), "{}", answer.err);
        assert!(answer.err.contains("put-replication-configuration"), "{}", answer.err);
    }
}

/// What runs was deleted from its repository: ECS could not start it again, and a plan says so before anything moves.
#[test]
fn a_release_over_an_image_that_is_gone_is_refused_until_the_pipeline_accepts_that() {
    let mut account = Account::with("nest-demo");
    let running = account.release("v1.0.0", Kind::Good);
    account.forget_calls();
    let repositories = &mut account.lab.world_mut().kernel_mut().images.repositories;
    repositories.get_mut("pm4-ecommerce").unwrap().remove(&running);
    account.release("v1.1.0", Kind::Good);
    assert!(
        account.reasons().contains(&running) && account.reasons().contains("`accept: [fallback_gone]`"),
        "{}",
        account.reasons()
    );
    account.assert_acts(&[]);
    let text = std::fs::read_to_string(&account.example.file).unwrap();
    let accepting = text.replace(
        "    trigger: push\n",
        "    trigger: push\n    accept: [fallback_gone]\n",
    );
    let file = account.written(&accepting);
    account.esclusa(&["pipelines", "apply", &file.to_string_lossy()]);
    account.release("v1.2.0", Kind::Good);
    let last = account.releases().pop().unwrap();
    account.assert_release_ended(&last, "SUCCEEDED", "none", "proven");
    account.assert_left("FREE");
}
