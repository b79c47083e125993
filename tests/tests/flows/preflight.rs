//! What would go wrong in the middle of a release and can be known before it: it ends before anything moves, and says
//! what helps.

use jiff::SignedDuration;
use lab::images::Kind;
use serde_json::json;
use simulator_ecs::Ecs;

use crate::support::Account;

const PUSH: &str = "  - name: development\n    trigger: push\n";

/// What a pipeline brought before this one is what the circuit breaker would go back to.
#[test]
fn an_image_of_before_us_that_is_gone_is_refused_until_the_pipeline_accepts_that() {
    let mut account = Account::with("nest-demo");
    let repository = &mut account.lab.world_mut().kernel_mut().images.repositories;
    repository.get_mut("pm4-ecommerce").unwrap().clear();
    account.assert_refuses(&[
        "the image that `nestapp` of `nest-demo` runs now",
        "pm4-ecommerce:latest`, of a deployment that was not ours, can no longer be pulled",
        "`accept: [fallback_gone]`",
    ]);
    let text = std::fs::read_to_string(&account.example.file).unwrap();
    let file = account.written(&text.replace(PUSH, &format!("{PUSH}    accept: [fallback_gone]\n")));
    account.esclusa(&["pipelines", "apply", &file.to_string_lossy()]);
    account.release("v1.1.0", Kind::Good);
    let last = account.releases().pop().unwrap();
    account.assert_release_ended(&last, "SUCCEEDED", "none", "proven");
}

/// ECS resolved the tag to a digest when the deployment began: that digest is what it goes back to, wherever the tag
/// points since.
#[test]
fn a_tag_that_has_moved_since_hides_no_image_that_is_gone() {
    let mut account = Account::with("nest-demo");
    let images = &mut account.lab.world_mut().kernel_mut().images.repositories;
    let images = images.get_mut("pm4-ecommerce").unwrap();
    let (_, running) = images.pop_first().unwrap();
    let digest = format!("sha256:{}", "c1".repeat(32));
    let moved = simulator::kernel::Image {
        digest: digest.clone(),
        ..running
    };
    images.insert(digest, moved);
    account.assert_refuses(&["can no longer be pulled", "`accept: [fallback_gone]`"]);
}

#[test]
fn a_quota_of_fargate_that_cannot_hold_a_rollout_is_refused_and_one_that_can_is_told() {
    let mut account = Account::with("nest-demo");
    let count = |place: &str, desired: u32| json!({"cluster": format!("nest-demo-{place}"), "service": "nest-demo", "desiredCount": desired});
    account.administer("ecs", "UpdateService", count("production", 1));
    account.administer("ecs", "UpdateService", count("development", 4));
    account.pass(SignedDuration::from_mins(5));
    let (ecs, _) = account.lab.world_mut().service_mut::<Ecs>().unwrap();
    ecs.settings.fargate_vcpus = 1;
    account.forget_calls();
    account.assert_refuses(&[
        "Fargate may run 1 vCPU on demand at once",
        "each task of `nest-demo` takes 0.25 vCPU: 5 tasks must run at once, and the quota holds 4",
        "`accept: [no_capacity]`",
        "aws service-quotas request-service-quota-increase",
    ]);
    account.administer("ecs", "UpdateService", count("development", 2));
    account.pass(SignedDuration::from_mins(5));
    account.release("v1.1.0", Kind::Good);
    let last = account.releases().pop().unwrap();
    account.assert_release_ended(&last, "SUCCEEDED", "none", "proven");
}

#[test]
fn a_check_of_what_the_installation_may_not_use_is_refused_and_not_denied_in_the_middle() {
    let log_group = "this installation may not work with the log group `/elsewhere/shop`: its parameter `TaskLogGroupPattern` is `/ecs/*`";
    let cases: [(&str, &[&str]); 2] = [
        (
            "log: {group: /elsewhere/shop, pattern: ERROR}",
            &[log_group, "scripts/deploy --guided"],
        ),
        (
            "function: {name: shop-check}",
            &["the function `shop-check`", "`TestFunctionPattern` is `*-smoke-test`"],
        ),
    ];
    for (measure, words) in cases {
        let check = format!("      checks:\n        looks: {{measure: {{{measure}}}}}\n");
        let verification = format!("{PUSH}    verification:\n      soak_seconds: 300\n{check}");
        let mut account = Account::edited("nest-demo", PUSH, &verification);
        account.forget_calls();
        account.assert_refuses(words);
    }
}
