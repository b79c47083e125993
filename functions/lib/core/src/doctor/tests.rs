use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::*;
use crate::pipeline::ChannelId;

const NOW: i64 = 1_790_000_000;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn texts(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn one<T>(name: &str, facts: T) -> BTreeMap<String, Seen<T>> {
    BTreeMap::from([(name.to_owned(), Seen::Found(facts))])
}

fn function_arn(name: &str) -> String {
    format!("arn:aws:lambda:us-east-1:123456789012:function:esclusa-{name}")
}

/// An installation in which all is well, with one pipeline.
fn sound() -> Observed {
    let tables = TABLES.iter().map(|(name, expires_by)| {
        let facts = TableFacts {
            status: "ACTIVE".to_owned(),
            deletion_protection: true,
            recovery: Seen::Found(Recovery::Until(Some(at(NOW - 300)))),
            expires_by: Seen::Found(expires_by.map(str::to_owned)),
        };
        ((*name).to_owned(), Seen::Found(facts))
    });
    let functions = FUNCTIONS.iter().map(|name| {
        let facts = FunctionFacts {
            arn: function_arn(name),
            state: "Active".to_owned(),
            last_update: Some("Successful".to_owned()),
            variables: texts(&[
                ("ESCLUSA_VERSION", "0.1.0"),
                ("ESCLUSA_CLUSTER_PATTERN", "shop-*"),
                ("ESCLUSA_FAMILY_PATTERN", "shop-*"),
                ("ESCLUSA_REPOSITORY_PATTERN", "shop*"),
                ("ESCLUSA_PASSABLE_ROLE_ARNS", "arn:aws:iam::123456789012:role/shop-task"),
                ("ESCLUSA_TASK_LOG_GROUP_PATTERN", "/ecs/*"),
                ("ESCLUSA_TEST_FUNCTION_PATTERN", "*-smoke-test"),
                ("ESCLUSA_DATABASE_PATTERN", "shop-*"),
                ("ESCLUSA_SLACK_BOT_TOKEN_ARN", ""),
                ("ESCLUSA_TARGET_ACCOUNTS", ""),
            ]),
        };
        ((*name).to_owned(), Seen::Found(facts))
    });
    let machines = MACHINES.iter().map(|name| {
        let facts = MachineFacts {
            status: "ACTIVE".to_owned(),
            definition: json!({"StartAt": "A"}),
            known: Some(json!({"StartAt": "A"})),
        };
        ((*name).to_owned(), Seen::Found(facts))
    });
    let rules = RULES.iter().map(|rule| {
        let facts = RuleFacts {
            enabled: rule.only.is_none(),
            targets: Seen::Found(vec![function_arn(rule.function)]),
        };
        (rule.name.to_owned(), Seen::Found(facts))
    });
    let schedules = SCHEDULES.iter().map(|schedule| {
        let facts = ScheduleFacts {
            enabled: schedule.only.is_none(),
            target: function_arn(schedule.function),
            expression: "rate(5 minutes)".to_owned(),
        };
        (schedule.name.to_owned(), Seen::Found(facts))
    });
    let topic = "arn:aws:sns:us-east-1:123456789012:esclusa-alarms";
    let alarm = AlarmFacts {
        state: "OK".to_owned(),
        actions_enabled: true,
        actions: vec![topic.to_owned()],
    };
    let environment = ObservedEnvironment {
        name: "production".to_owned(),
        elsewhere: None,
        cluster: "shop-production".to_owned(),
        cluster_status: Seen::Found("ACTIVE".to_owned()),
        services: one(
            "shop-web",
            ServiceFacts {
                described: json!({
                    "status": "ACTIVE", "runningCount": 2, "desiredCount": 2,
                    "deploymentConfiguration": {"deploymentCircuitBreaker": {"enable": true, "rollback": true}},
                }),
                start_count: None,
                accepts_breaker_off: false,
            },
        ),
        families: one(
            "shop-web",
            FamilyFacts {
                arn: "arn:aws:ecs:us-east-1:123456789012:task-definition/shop-web:7".to_owned(),
                definition: json!({"taskRoleArn": "arn:aws:iam::123456789012:role/shop-task"}),
            },
        ),
        log_groups: one("/ecs/shop", ()),
        test_functions: ["shop-smoke-test".to_owned()].into(),
        databases: ["shop-production".to_owned()].into(),
        alarms: one("shop-errors", "OK".to_owned()),
    };
    let pipeline = ObservedPipeline {
        application: "shop".to_owned(),
        unreadable: None,
        channels: BTreeSet::new(),
        repositories: one(
            "shop",
            RepositoryFacts {
                mutability: "IMMUTABLE".to_owned(),
                scans: true,
            },
        ),
        pushes: one("shop", true),
        environments: vec![environment],
    };
    let alarms = ALARMS.into_iter().filter(|(_, only)| only.is_none());
    let alarms = alarms
        .map(|(name, _)| (format!("esclusa-{name}"), alarm.clone()))
        .collect();
    Observed {
        stack: "esclusa".to_owned(),
        version: "0.1.0".to_owned(),
        now: at(NOW),
        clock_ahead: Seen::Found(SignedDuration::ZERO),
        tables: tables.collect(),
        functions: functions.collect(),
        machines: machines.collect(),
        rules: rules.collect(),
        schedules: schedules.collect(),
        dead_letters: Seen::Found(0),
        alarms: Seen::Found(alarms),
        topics: one(
            topic,
            Subscriptions {
                confirmed: 1,
                pending: 0,
            },
        ),
        slack: SlackFacts::default(),
        pipelines: Seen::Found(vec![pipeline]),
    }
}

fn found<'o, T>(seen: &'o mut BTreeMap<String, Seen<T>>, name: &str) -> &'o mut T {
    match seen.get_mut(name).unwrap() {
        Seen::Found(facts) => facts,
        _ => panic!("`{name}` is not there"),
    }
}

fn pipeline(observed: &mut Observed) -> &mut ObservedPipeline {
    match &mut observed.pipelines {
        Seen::Found(pipelines) => &mut pipelines[0],
        _ => panic!("there are no pipelines"),
    }
}

fn environment(observed: &mut Observed) -> &mut ObservedEnvironment {
    &mut pipeline(observed).environments[0]
}

/// The service as ECS describes it.
fn service(observed: &mut Observed) -> &mut Value {
    &mut found(&mut environment(observed).services, "shop-web").described
}

/// What is not well, as `status check`.
fn ailing(observed: &Observed) -> Vec<String> {
    let findings = diagnose(observed).into_iter();
    findings
        .filter(|finding| finding.status != Status::Ok)
        .map(|finding| format!("{} {}", finding.status.as_str(), finding.check))
        .collect()
}

#[test]
fn an_installation_in_which_all_is_well_has_no_other_finding() {
    let observed = sound();
    assert_eq!(ailing(&observed), Vec::<String>::new());
    let findings: Vec<String> = diagnose(&observed)
        .iter()
        .map(|finding| format!("{}: {}: {}", finding.group, finding.check, finding.seen))
        .collect();
    insta::assert_snapshot!(findings.join("\n"));
}

#[test]
fn what_the_pipeline_provides_for_keeps_no_release_out() {
    let mut observed = sound();
    let facts = found(&mut environment(&mut observed).services, "shop-web");
    (facts.start_count, facts.accepts_breaker_off) = (Some(2), true);
    facts.described["desiredCount"] = json!(0);
    facts.described["deploymentConfiguration"] = json!({"strategy": "CANARY"});
    found(&mut observed.tables, "ledger").recovery = Seen::Found(Recovery::Until(None));
    assert!(ailing(&observed).is_empty());
}

#[test]
fn each_thing_that_is_broken_is_found_and_nothing_else() {
    type Break = fn(&mut Observed);
    let table: [(Break, &str); 47] = [
        (
            |o| service(o)["runningCount"] = json!(0),
            "warning production: service shop-web",
        ),
        (
            |o| o.clock_ahead = Seen::Found(SignedDuration::from_secs(-40)),
            "warning clock of this machine",
        ),
        (
            |o| o.clock_ahead = Seen::Found(SignedDuration::from_secs(301)),
            "problem clock of this machine",
        ),
        (
            |o| found(&mut o.tables, "control").status = "UPDATING".to_owned(),
            "problem table esclusa-control",
        ),
        (
            |o| found(&mut o.tables, "ledger").deletion_protection = false,
            "problem table esclusa-ledger",
        ),
        (
            |o| found(&mut o.tables, "ledger").recovery = Seen::Found(Recovery::Off),
            "problem table esclusa-ledger",
        ),
        (
            |o| found(&mut o.tables, "ledger").recovery = Seen::Found(Recovery::Until(Some(at(NOW - 7_200)))),
            "warning table esclusa-ledger",
        ),
        (
            |o| found(&mut o.tables, "control").expires_by = Seen::Found(None),
            "problem table esclusa-control",
        ),
        (
            |o| found(&mut o.tables, "ledger").expires_by = Seen::Found(Some("at".to_owned())),
            "problem table esclusa-ledger",
        ),
        (
            |o| *o.tables.get_mut("ledger").unwrap() = Seen::Absent,
            "problem table esclusa-ledger",
        ),
        (
            |o| found(&mut o.functions, "resume").state = "Failed".to_owned(),
            "problem function esclusa-resume",
        ),
        (
            |o| found(&mut o.functions, "resume").last_update = Some("Failed".to_owned()),
            "problem function esclusa-resume",
        ),
        (
            |o| {
                let variables = &mut found(&mut o.functions, "resume").variables;
                variables.insert("ESCLUSA_VERSION".to_owned(), "0.0.9".to_owned());
            },
            "warning function esclusa-resume",
        ),
        (
            |o| {
                found(&mut o.functions, "migrate").variables.remove("ESCLUSA_VERSION");
            },
            "warning function esclusa-migrate",
        ),
        (
            |o| found(&mut o.machines, "release").status = "DELETING".to_owned(),
            "problem state machine esclusa-release",
        ),
        (
            |o| found(&mut o.machines, "release").definition = json!({"StartAt": "B"}),
            "warning state machine esclusa-release",
        ),
        (
            |o| found(&mut o.rules, "push").enabled = false,
            "problem rule esclusa-push",
        ),
        (
            |o| found(&mut o.rules, "push").targets = Seen::Found(Vec::new()),
            "problem rule esclusa-push",
        ),
        (
            |o| found(&mut o.rules, "push").targets = Seen::Found(vec![function_arn("resume")]),
            "problem rule esclusa-push",
        ),
        (
            |o| found(&mut o.rules, "execution-told").enabled = true,
            "warning rule esclusa-execution-told",
        ),
        (
            |o| *o.rules.get_mut("push").unwrap() = Seen::Absent,
            "problem rule esclusa-push",
        ),
        (
            |o| found(&mut o.schedules, "sweep").enabled = false,
            "problem schedule esclusa-sweep",
        ),
        (
            |o| found(&mut o.schedules, "sweep").target = function_arn("record"),
            "problem schedule esclusa-sweep",
        ),
        (
            |o| o.dead_letters = Seen::Found(3),
            "problem queue esclusa-dead-letters",
        ),
        (
            |o| {
                if let Seen::Found(alarms) = &mut o.alarms {
                    alarms.get_mut("esclusa-dead-letters").unwrap().state = "ALARM".to_owned();
                }
            },
            "problem alarm esclusa-dead-letters",
        ),
        (
            |o| {
                if let Seen::Found(alarms) = &mut o.alarms {
                    alarms.get_mut("esclusa-dead-letters").unwrap().actions_enabled = false;
                }
            },
            "warning alarm esclusa-dead-letters",
        ),
        (
            |o| {
                if let Seen::Found(alarms) = &mut o.alarms {
                    alarms.remove("esclusa-sweep-silent");
                }
            },
            "problem alarm esclusa-sweep-silent",
        ),
        (
            |o| {
                *found(&mut o.topics, "arn:aws:sns:us-east-1:123456789012:esclusa-alarms") = Subscriptions {
                    confirmed: 0,
                    pending: 1,
                }
            },
            "warning topic esclusa-alarms",
        ),
        (|o| pipeline(o).unreadable = Some("3:1: no".to_owned()), "problem file"),
        (
            |o| *pipeline(o).repositories.get_mut("shop").unwrap() = Seen::Absent,
            "problem repository shop",
        ),
        (
            |o| *found(&mut pipeline(o).pushes, "shop") = false,
            "problem push to shop",
        ),
        (
            |o| environment(o).cluster_status = Seen::Found("INACTIVE".to_owned()),
            "problem production: cluster shop-production",
        ),
        (
            |o| environment(o).cluster_status = Seen::Absent,
            "problem production: cluster shop-production",
        ),
        (
            |o| service(o)["status"] = json!("DRAINING"),
            "problem production: service shop-web",
        ),
        (
            |o| service(o)["desiredCount"] = json!(0),
            "problem production: service shop-web",
        ),
        (
            |o| service(o)["deploymentConfiguration"] = json!({"strategy": "CANARY"}),
            "problem production: service shop-web",
        ),
        (
            |o| service(o)["deploymentController"] = json!({"type": "CODE_DEPLOY"}),
            "problem production: service shop-web",
        ),
        (
            |o| service(o)["deploymentConfiguration"] = json!({}),
            "warning production: service shop-web",
        ),
        (
            |o| *environment(o).families.get_mut("shop-web").unwrap() = Seen::Absent,
            "problem production: family shop-web",
        ),
        (
            |o| {
                found(&mut environment(o).families, "shop-web").definition["executionRoleArn"] =
                    json!("arn:aws:iam::123456789012:role/admin");
            },
            "problem production: family shop-web",
        ),
        (
            |o| *environment(o).log_groups.get_mut("/ecs/shop").unwrap() = Seen::Absent,
            "problem production: log group /ecs/shop",
        ),
        (
            |o| {
                environment(o)
                    .log_groups
                    .insert("/other/shop".to_owned(), Seen::Found(()));
            },
            "problem production: log group /other/shop",
        ),
        (
            |o| {
                environment(o).test_functions.insert("shop-check".to_owned());
            },
            "problem production: function shop-check",
        ),
        (
            |o| {
                environment(o).databases.insert("Other-Main".to_owned());
            },
            "problem production: database Other-Main",
        ),
        (
            |o| {
                service(o)["deploymentConfiguration"]["lifecycleHooks"] =
                    json!([{"roleArn": "arn:aws:iam::123456789012:role/hook"}]);
            },
            "problem production: service shop-web",
        ),
        (
            |o| *found(&mut environment(o).alarms, "shop-errors") = "ALARM".to_owned(),
            "problem production: alarm shop-errors",
        ),
        (
            |o| *environment(o).alarms.get_mut("shop-errors").unwrap() = Seen::Absent,
            "problem production: alarm shop-errors",
        ),
    ];
    let mut told = Vec::new();
    for (number, (broken, expected)) in table.into_iter().enumerate() {
        let mut observed = sound();
        broken(&mut observed);
        assert_eq!(ailing(&observed), [expected], "number {number}");
        let finding = diagnose(&observed)
            .into_iter()
            .find(|finding| finding.status != Status::Ok)
            .unwrap();
        told.push(format!("{expected}: {}\n  → {}", finding.seen, finding.help.unwrap()));
    }
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn what_one_may_not_see_is_told_with_the_action_and_decides_nothing_else() {
    let mut observed = sound();
    let denied = |action: &str| action.to_owned();
    *observed.functions.get_mut("notify").unwrap() = Seen::Denied {
        action: denied("lambda:GetFunctionConfiguration"),
    };
    *observed.functions.get_mut("observe").unwrap() = Seen::Unreadable {
        why: "it did not answer in time".to_owned(),
    };
    observed.alarms = Seen::Denied {
        action: denied("cloudwatch:DescribeAlarms"),
    };
    pipeline(&mut observed).channels = told();
    environment(&mut observed).cluster_status = Seen::Denied {
        action: denied("ecs:DescribeClusters"),
    };
    // Nobody knows what the installation may do: nothing is said of a role that it may not pass.
    found(&mut environment(&mut observed).families, "shop-web").definition["taskRoleArn"] = json!("other");
    assert_eq!(
        ailing(&observed),
        [
            "unknown function esclusa-observe",
            "unknown function esclusa-notify",
            "unknown alarms",
            // Of the two secrets of Slack the one whose function is seen is missed.
            "problem signing secret",
            "unknown powers of the installation",
            "unknown production: cluster shop-production",
        ]
    );
    let denied = diagnose(&observed)
        .into_iter()
        .find(|finding| finding.check == "alarms")
        .unwrap();
    assert_eq!(
        denied.seen,
        "not permitted: you may not call `cloudwatch:DescribeAlarms`"
    );
}

#[test]
fn slack_is_looked_at_where_a_pipeline_names_it() {
    let mut observed = sound();
    pipeline(&mut observed).channels = told();
    assert_eq!(ailing(&observed), ["problem bot token", "problem signing secret"]);
    observed.slack = SlackFacts {
        bot_token: Some(Seen::Found(true)),
        signing_secret: Some(Seen::Found(false)),
        app: None,
    };
    assert_eq!(ailing(&observed), ["problem signing secret"]);
    observed.slack.signing_secret = Some(Seen::Absent);
    assert_eq!(ailing(&observed), ["problem signing secret"]);
    observed.slack.signing_secret = Some(Seen::Found(true));
    let valid = |scopes: &[&str]| AppFacts::Valid {
        team: "Shop".to_owned(),
        scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
        channels: BTreeMap::new(),
    };
    let refused = AppFacts::Refused {
        code: "invalid_auth".to_owned(),
    };
    for (app, expected) in [
        (valid(&["chat:write", "users:read"]), None),
        (valid(&[]), None),
        (valid(&["users:read"]), Some("problem app")),
        (refused, Some("problem app")),
    ] {
        observed.slack.app = Some(Seen::Found(app));
        assert_eq!(ailing(&observed), Vec::from_iter(expected));
    }
    for (membership, expected) in [
        (Membership::Member, None),
        (Membership::Stranger, Some("problem channel C0SHOP")),
        (Membership::NotThere, Some("problem channel C0SHOP")),
        (Membership::NotTold, None),
    ] {
        observed.slack.app = Some(Seen::Found(AppFacts::Valid {
            team: "Shop".to_owned(),
            scopes: Vec::new(),
            channels: [("C0SHOP".to_owned(), membership)].into(),
        }));
        assert_eq!(ailing(&observed), Vec::from_iter(expected));
    }
}

/// The channels of a pipeline that tells people.
fn told() -> BTreeSet<ChannelId> {
    ["C0SHOP".parse().unwrap()].into()
}

#[test]
fn what_is_configured_must_be_enabled() {
    let mut observed = sound();
    let variables = &mut found(&mut observed.functions, "notify").variables;
    variables.insert(
        "ESCLUSA_SLACK_BOT_TOKEN_ARN".to_owned(),
        "arn:aws:secretsmanager:…".to_owned(),
    );
    let variables = &mut found(&mut observed.functions, "resume").variables;
    variables.insert("ESCLUSA_TARGET_ACCOUNTS".to_owned(), "210987654321".to_owned());
    assert_eq!(
        ailing(&observed),
        [
            "problem rule esclusa-target-deployment-state-change",
            "problem rule esclusa-execution-told",
            "problem schedule esclusa-tell",
            "problem alarm esclusa-tell-silent",
        ]
    );
}

#[test]
fn other_places_and_no_pipeline_at_all_are_said() {
    let mut observed = sound();
    let active = || Some("ACTIVE".to_owned());
    for (reached, found) in [
        (Seen::Found(Ok(active())), None),
        (Seen::Found(Ok(None)), Some("problem")),
        (Seen::Found(Ok(Some("INACTIVE".to_owned()))), Some("problem")),
        (
            Seen::Found(Err("its role cannot be assumed".to_owned())),
            Some("problem"),
        ),
        (
            Seen::Denied {
                action: "lambda:InvokeFunction".to_owned(),
            },
            Some("unknown"),
        ),
    ] {
        let place = "210987654321, eu-west-1".to_owned();
        environment(&mut observed).elsewhere = Some(Elsewhere { place, reached });
        let expected = found.map(|status| format!("{status} production: 210987654321, eu-west-1"));
        assert_eq!(ailing(&observed), Vec::from_iter(expected));
    }
    observed.pipelines = Seen::Found(Vec::new());
    assert_eq!(ailing(&observed), ["warning pipelines"]);
    observed.pipelines = Seen::Absent;
    assert_eq!(ailing(&observed), ["problem pipelines"]);
}
