//! What a pipeline in force needs of the account.

use serde_json::Value;

use super::expected::PUSH;
use super::{
    DEPLOY, FamilyFacts, Group, Observed, ObservedEnvironment, ObservedPipeline, ServiceFacts, Status, Verdict,
};
use crate::plan::{Refusal, check_hook_roles, check_name, check_roles};
use crate::words;

/// What helps where something that the pipeline file names is not there.
const CREATE: &str = "create it with your infrastructure code, or correct its name in the pipeline file";

pub(super) fn pipeline(observed: &Observed, pipeline: &ObservedPipeline, group: &mut Group<'_>) {
    let application = &pipeline.application;
    if let Some(why) = &pipeline.unreadable {
        group.add(
            "file",
            Verdict::problem(
                format!("it cannot be read by this version: {why}"),
                format!("correct it, and apply it again: `esclusa pipelines show {application}`"),
            ),
        );
        return;
    }
    let powers = observed.powers();
    if powers.is_none() {
        group.add(
            "powers of the installation",
            Verdict {
                status: Status::Unknown,
                seen: "names and roles could not be compared with what the installation may do".to_owned(),
                help: Some(format!(
                    "you need `lambda:GetFunctionConfiguration` on the function `{}-observe`",
                    observed.stack
                )),
            },
        );
    }
    for (name, seen) in &pipeline.repositories {
        let help = format!("`aws ecr create-repository --repository-name {name}`");
        group.look(format!("repository {name}"), seen, help, |facts| {
            let refused = powers
                .as_ref()
                .and_then(|powers| check_name("repository", name, &powers.repositories, "RepositoryPattern"));
            let scans = if facts.scans {
                "scanned on push"
            } else {
                "not scanned on push"
            };
            refused.map_or_else(|| Verdict::ok(format!("tags {}, {scans}", facts.mutability)), refusal)
        });
    }
    for (name, seen) in &pipeline.pushes {
        let rule = format!("{}-{PUSH}", observed.stack);
        let help = DEPLOY;
        group.look(format!("push to {name}"), seen, help, |matches| {
            if *matches {
                Verdict::ok(format!("matches the rule `{rule}`"))
            } else {
                Verdict::problem(
                    format!("does not match the rule `{rule}`: a push is found only when the registry is searched"),
                    "change `RepositoryPattern` of the stack: `scripts/deploy --guided`",
                )
            }
        });
    }
    for environment in &pipeline.environments {
        self::environment(observed, environment, group);
    }
}

fn environment(observed: &Observed, environment: &ObservedEnvironment, group: &mut Group<'_>) {
    let ObservedEnvironment {
        name,
        elsewhere,
        cluster,
        cluster_status,
        services,
        families,
        log_groups,
        test_functions,
        databases,
        alarms,
    } = environment;
    if let Some(elsewhere) = elsewhere {
        let check = format!("{name}: {}", elsewhere.place);
        let trust = "deploy `target-account.yaml` there, or again, with the parameters that this stack has (docs/OPERATIONS.md)";
        group.look(check, &elsewhere.reached, trust, |reached| match reached {
            Ok(Some(status)) if status == "ACTIVE" => Verdict::ok(format!(
                "the function `observe` reaches it; the cluster `{cluster}` is `ACTIVE`"
            )),
            Ok(status) => {
                let status = status.as_deref().unwrap_or("not there");
                Verdict::problem(format!("the cluster `{cluster}` is {status}"), CREATE)
            }
            Err(why) => Verdict::problem(why, trust),
        });
        return;
    }
    let powers = observed.powers();
    group.look(format!("{name}: cluster {cluster}"), cluster_status, CREATE, |status| {
        let refused = powers
            .as_ref()
            .and_then(|powers| check_name("cluster", cluster, &powers.clusters, "ClusterPattern"));
        match (status.as_str(), refused) {
            ("ACTIVE", None) => Verdict::ok("ACTIVE"),
            ("ACTIVE", Some(refused)) => refusal(refused),
            (status, _) => Verdict::problem(format!("it is {status}"), CREATE),
        }
    });
    for (service, seen) in services {
        group.look(format!("{name}: service {service}"), seen, CREATE, |facts| {
            let configuration = facts.described.get("deploymentConfiguration").unwrap_or(&Value::Null);
            let refused = powers
                .as_ref()
                .and_then(|powers| check_hook_roles(service, configuration, powers).into_iter().next());
            refused.map_or_else(|| service_verdict(facts), refusal)
        });
    }
    for (family, seen) in families {
        group.look(
            format!("{name}: family {family}"),
            seen,
            CREATE,
            |FamilyFacts { arn, definition }| {
                let refused = powers.as_ref().and_then(|powers| {
                    let role = check_roles(family, definition, powers).into_iter().next();
                    role.or_else(|| check_name("family", family, &powers.families, "FamilyPattern"))
                });
                refused.map_or_else(
                    || Verdict::ok(format!("its newest revision is `{}`", revision(arn))),
                    refusal,
                )
            },
        );
    }
    for (log_group, seen) in log_groups {
        let help = format!("`aws logs create-log-group --log-group-name {log_group}`");
        group.look(format!("{name}: log group {log_group}"), seen, help, |()| {
            let refused = powers.as_ref().and_then(|powers| powers.check_log_group(log_group));
            refused.map_or_else(|| Verdict::ok("exists"), refusal)
        });
    }
    // What the person who asks need not be able to see: only whether the installation may.
    if let Some(powers) = &powers {
        let functions = test_functions
            .iter()
            .map(|function| ("function", function, powers.check_function(function)));
        let databases = databases
            .iter()
            .map(|database| ("database", database, powers.check_database(database)));
        for (what, named, refused) in functions.chain(databases) {
            let verdict = refused.map_or_else(|| Verdict::ok("within the powers of the installation"), refusal);
            group.add(format!("{name}: {what} {named}"), verdict);
        }
    }
    for (alarm, seen) in alarms {
        let help = "create it, or remove it from the checks of the pipeline file";
        group.look(format!("{name}: alarm {alarm}"), seen, help, |state| {
            match state.as_str() {
                "ALARM" => Verdict::problem(
                    "it is firing: a release is refused until it clears",
                    format!("`aws cloudwatch describe-alarms --alarm-names {alarm}` says why"),
                ),
                state => Verdict::ok(state),
            }
        });
    }
}

fn service_verdict(facts: &ServiceFacts) -> Verdict {
    let service = &facts.described;
    let text = |pointer: &str| service.pointer(pointer).and_then(Value::as_str);
    let number = |pointer: &str| service.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
    let status = text("/status").unwrap_or_default();
    if status != "ACTIVE" {
        return Verdict::problem(
            format!("it is {status}"),
            "create it again with your infrastructure code",
        );
    }
    if let Some(controller) = text("/deploymentController/type").filter(|controller| *controller != "ECS") {
        return Verdict::problem(
            format!("it is deployed by {controller}, not by ECS itself"),
            "migrate it to the deployment controller `ECS`",
        );
    }
    let (running, desired) = (number("/runningCount"), number("/desiredCount"));
    let counts = format!("{running} of {} running", words::counted(desired, "task"));
    let strategy = text("/deploymentConfiguration/strategy").filter(|strategy| *strategy != "ROLLING");
    if let Some(strategy) = strategy.filter(|_| !facts.accepts_breaker_off) {
        return Verdict::problem(
            format!(
                "{counts}; it is deployed by the strategy `{strategy}`, which has no circuit breaker: a release is refused"
            ),
            "set its deployment strategy to `ROLLING` in your infrastructure code, or accept it in the pipeline file: `accept: [breaker_off]` of the environment",
        );
    }
    if desired == 0 {
        return match facts.start_count.filter(|count| *count > 0) {
            Some(count) => Verdict::ok(format!("its desired count is 0; a release starts {count}")),
            None => Verdict::problem(
                "its desired count is 0: a release is refused",
                "start it, or give the service a `start_count` in the pipeline file",
            ),
        };
    }
    let breaker = service.pointer("/deploymentConfiguration/deploymentCircuitBreaker/enable");
    if strategy.is_none() && breaker.and_then(Value::as_bool) != Some(true) {
        return Verdict::warning(
            format!("{counts}; its circuit breaker is off, until the next release turns it on"),
            "turn it on in your infrastructure code as well, which would turn it off again",
        );
    }
    if running == 0 {
        return Verdict::warning(
            format!("{counts}: there is nothing to go back to"),
            "its events say why: `aws ecs describe-services`",
        );
    }
    Verdict::ok(counts)
}

/// `family:revision`.
fn revision(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}

fn refusal(refusal: Refusal) -> Verdict {
    Verdict::problem(refusal.message, refusal.help)
}
