use insta::assert_snapshot;

use super::*;

/// A small pipeline in which nothing is wrong.
const SOUND: &str = r#"
version: 1
application: shop
images:
  app: {repository: shop}
databases:
  main: {}
task_definitions:
  web:
    family: shop-${environment}
    containers:
      web:
        image: app
        environment: {LOG_LEVEL: info, OLD: null}
        secrets: {DATABASE_URL: "arn:aws:secretsmanager:us-east-1:123456789012:secret:db"}
tasks:
  create-database: {run: before_services, task_definition: web, idempotent: true}
  migrate:
    run: before_services
    task_definition: web
    containers:
      web: {command: [migrate]}
    database: main
  seed: {run: before_services, task_definition: web}
  flush: {run: after_services, task_definition: web}
services:
  worker: {service: shop-worker, task_definition: web, after: [server]}
  server: {service: shop-server, task_definition: web, start_count: 2}
  beat: {service: shop-beat, task_definition: web, never_two_at_once: true}
environments:
  - name: develop
    trigger: push
    cluster: ${cluster}
    variables: {cluster: shop-develop}
    network: {subnets: [subnet-1], security_groups: [sg-1]}
    task_definitions:
      web: {cpu: 256, containers: {web: {environment: {LOG_LEVEL: debug}}}}
    services:
      server: {start_count: 1, deployment: {minimum_healthy_percent: 50}}
    tasks:
      seed: {skip: true}
      migrate: {timeout_seconds: 60}
  - name: production
    trigger: manual
    tags: {allow: ["semver:>=1.0.0"]}
    newest: version
    cluster: shop
    network: {subnets: [subnet-2], security_groups: [sg-2]}
"#;

fn errors(yaml: &str) -> String {
    match parse(yaml) {
        Ok(_) => "nothing is wrong".to_owned(),
        Err(errors) => errors.to_string(),
    }
}

/// The errors of the sound pipeline in which each `from` is replaced by its `to`.
fn errors_after(changes: &[(&str, &str)]) -> String {
    let mut yaml = SOUND.to_owned();
    for (from, to) in changes {
        assert!(yaml.contains(from), "{from}");
        yaml = yaml.replacen(from, to, 1);
    }
    errors(&yaml)
}

fn resolved(environment: &str) -> ResolvedEnvironment {
    resolve(&parse(SOUND).unwrap(), environment).unwrap()
}

#[test]
fn steps_are_tasks_before_then_services_then_tasks_after_in_declared_order() {
    let names = |environment: &str| {
        resolved(environment)
            .steps
            .iter()
            .map(|step| step.name().to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        names("develop"),
        ["create-database", "migrate", "server", "worker", "beat", "flush"]
    );
    assert_eq!(
        names("production"),
        [
            "create-database",
            "migrate",
            "seed",
            "server",
            "worker",
            "beat",
            "flush"
        ]
    );
}

#[test]
fn overlays_and_placeholders_are_in_place() {
    let develop = resolved("develop");
    let production = resolved("production");
    let web = &develop.task_definitions["web"];
    assert_eq!((web.family.as_str(), web.cpu), ("shop-develop", Some(256)));
    assert_eq!(web.containers["web"].environment["LOG_LEVEL"].as_deref(), Some("debug"));
    assert_eq!(web.containers["web"].environment["OLD"], None);
    assert_eq!(web.containers["web"].image.as_ref().map(Name::as_str), Some("app"));
    assert_eq!(develop.cluster, "shop-develop");
    assert_eq!(
        production.task_definitions["web"].containers["web"].environment["LOG_LEVEL"].as_deref(),
        Some("info")
    );
    let service = |environment: &ResolvedEnvironment, name: &str| {
        let found = environment
            .steps
            .iter()
            .find(|step| step.name().as_str() == name)
            .unwrap()
            .clone();
        let ResolvedStep::Service(service) = found else {
            panic!("{name} is no service")
        };
        service
    };
    assert_eq!(service(&develop, "server").start_count, Some(1));
    assert_eq!(service(&develop, "server").deployment.minimum_healthy_percent, Some(50));
    assert_eq!(service(&production, "server").deployment.minimum_healthy_percent, None);
    assert_eq!(service(&production, "beat").deployment.maximum_percent, Some(100));
    assert_eq!(service(&production, "beat").deployment.minimum_healthy_percent, Some(0));
    assert!(service(&production, "beat").deployment.circuit_breaker.rollback);
}

#[test]
fn the_restore_point_of_a_database_is_laid_over_replaced_and_left_out() {
    let base = "  main: {restore_point: {instance: \"shop-${environment}\", snapshot: true}}\n";
    let point = |overlay: &str| {
        let overlaid = format!("    cluster: ${{cluster}}\n    databases: {{main: {{restore_point: {overlay}}}}}\n");
        let pipeline = SOUND
            .replace("  main: {}\n", base)
            .replace("    cluster: ${cluster}\n", &overlaid);
        let resolved = resolve(&parse(&pipeline).unwrap(), "develop").unwrap();
        resolved.databases[0].restore_point.clone()
    };
    let laid_over = point("{at_most_seconds: 600}").unwrap();
    assert_eq!(laid_over.instance.as_deref(), Some("shop-develop"));
    assert_eq!((laid_over.at_most_seconds, laid_over.snapshot), (600, true));
    let replaced = point("{cluster: shop, snapshot: false}").unwrap();
    assert_eq!((replaced.instance, replaced.cluster.as_deref()), (None, Some("shop")));
    assert_eq!(point("{skip: true}"), None);
}

#[test]
fn a_restore_point_names_one_database_by_its_identifier() {
    for (point, reason) in [
        ("{}", "must name one of `instance` and `cluster`"),
        ("{instance: a, cluster: b}", "must name one of `instance` and `cluster`"),
        ("{instance: a--b}", "the identifier `a--b` is not valid"),
        (
            "{cluster: db.example.com}",
            "the identifier `db.example.com` is not valid",
        ),
        ("{instance: 4711}", "expected"),
    ] {
        let found = errors_after(&[("  main: {}", &format!("  main: {{restore_point: {point}}}"))]);
        assert!(
            found.contains("restore_point") && found.contains(reason),
            "{point}: {found}"
        );
    }
}

#[test]
fn an_unknown_environment_is_refused_with_the_nearest_name() {
    let error = resolve(&parse(SOUND).unwrap(), "prodution").unwrap_err();
    assert_eq!(
        error.to_string(),
        "the pipeline has no environment `prodution` (did you mean `production`?)"
    );
}

#[test]
fn a_pipeline_survives_being_written_and_read() {
    let pipeline = parse(SOUND).unwrap();
    let written = serde_json::to_string(&pipeline).unwrap();
    assert_eq!(parse(&written).unwrap(), pipeline);
}

#[test]
fn fields_of_the_wrong_name_or_kind_are_all_reported() {
    assert_snapshot!(errors_after(&[
        ("version: 1", "version: 2"),
        ("application: shop", "application: Shop"),
        ("    family: shop", "    famly: shop"),
        ("image: app", "imege: app"),
        ("LOG_LEVEL: info", "LOG_LEVEL: 3"),
        ("never_two_at_once: true", "never_two_at_once: yes"),
        ("run: after_services", "run: afterwards"),
        ("start_count: 2", "start_count: 0"),
        ("trigger: push", "trigger: null"),
        ("subnets: [subnet-1]", "subnets: []"),
        ("cluster: shop\n", "cluster: {}\n"),
    ]));
}

#[test]
fn a_duplicate_key_does_not_hide_the_other_errors() {
    assert_snapshot!(errors_after(&[
        ("version: 1", "version: 1\nversion: 1"),
        (
            "flush: {run: after_services, task_definition: web}",
            "flush: {run: after_services, task_definition: wep}"
        ),
    ]));
}

#[test]
fn names_that_do_not_exist_are_reported_with_the_nearest() {
    assert_snapshot!(errors_after(&[
        ("image: app", "image: ap"),
        ("database: main", "database: mian"),
        (
            "seed: {run: before_services, task_definition: web}",
            "seed: {run: before_services, task_definition: web, after: [migrat, flush]}"
        ),
        ("after: [server]", "after: [serve]"),
        ("      server: {start_count: 1", "      servers: {start_count: 1"),
        ("{cpu: 256, containers: {web:", "{cpu: 256, containers: {wep:"),
        ("      seed: {skip: true}", "      sed: {skip: true}"),
        ("name: production", "name: develop"),
        ("semver:>=1.0.0", "semver:one"),
    ]));
}

#[test]
fn an_environment_is_set_like_another_one_that_exists() {
    for (name, reason) in [
        ("develop", "there is no other environment `develop`"),
        ("prodution", "did you mean `production`?"),
    ] {
        let line = format!("    cluster: ${{cluster}}\n    same_as: {{environment: {name}}}\n");
        let found = errors_after(&[("    cluster: ${cluster}\n", &line)]);
        assert!(
            found.contains("environments[0].same_as.environment") && found.contains(reason),
            "{found}"
        );
    }
}

#[test]
fn a_cycle_is_named() {
    assert_snapshot!(errors_after(&[
        (
            "server: {service: shop-server, task_definition: web",
            "server: {service: shop-server, task_definition: web, after: [beat]"
        ),
        (
            "beat: {service: shop-beat, task_definition: web",
            "beat: {service: shop-beat, task_definition: web, after: [worker]"
        ),
    ]));
}

#[test]
fn what_nothing_uses_is_refused() {
    assert_snapshot!(errors_after(&[
        (
            "  app: {repository: shop}",
            "  app: {repository: shop}\n  old: {repository: old-shop}\n  twin: {repository: shop}"
        ),
        ("tasks:\n  create", "  lonely: {family: lonely}\ntasks:\n  create"),
    ]));
}

#[test]
fn what_is_wrong_in_an_environment_is_shown_where_it_is_written() {
    assert_snapshot!(errors_after(&[
        ("family: shop-${environment}", "family: shop-${enviroment}"),
        ("cluster: ${cluster}", "cluster: ${clutser}"),
        ("LOG_LEVEL: debug", "LOG_LEVEL: \"${level}\""),
        ("    network: {subnets: [subnet-2], security_groups: [sg-2]}\n", ""),
        (
            "minimum_healthy_percent: 50",
            "minimum_healthy_percent: 100, maximum_percent: 100"
        ),
        ("service: shop-beat", "service: shop-server"),
        (
            "never_two_at_once: true",
            "never_two_at_once: true, deployment: {maximum_percent: 150}"
        ),
        ("OLD: null", "DATABASE_URL: here"),
    ]));
}

#[test]
fn an_approval_that_nobody_can_give_is_refused() {
    let errors_of = |approval: &str, more: &str| {
        let people = format!("{more}people:\n  ana: {{iam: [ana]}}\n  luis: {{iam: [luis]}}\nenvironments:\n");
        let gates = format!("    trigger: push\n    approval: {{{approval}}}\n");
        errors_after(&[("environments:\n", &people), ("    trigger: push\n", &gates)])
    };
    let pusher = "pusher: {annotation: com.example.author}\n";
    for (approval, more) in [
        ("approvers: [ana, luis]", ""),
        ("approvers: [ana], unknown_pusher: is_nobody", ""),
        ("approvers: [ana]", pusher),
    ] {
        assert_eq!(errors_of(approval, more), "nothing is wrong", "{approval}");
    }
    for (approval, named) in [
        ("approvers: [ana, eva]", "`eva` is not one of the `people`"),
        (
            "approvers: [ana, luis], quorum: 3",
            "requires 3 to agree, but `approvers` names 2",
        ),
        (
            "approvers: [ana]",
            "names 1, and 2 must agree where nobody knows who pushed",
        ),
        (
            "approvers: [ana, luis], quorum: 2",
            "names 2, and 3 must agree where nobody knows who pushed",
        ),
        ("approvers: [ana, luis], at_expiry: approve", "nothing expires here"),
    ] {
        let errors = errors_of(approval, "");
        assert!(errors.contains(named), "{approval}: {errors}");
    }
}

#[test]
fn a_hotfix_is_no_older_than_what_it_mends() {
    let errors_of = |tags: &str, of_environment: &str| {
        let hotfix = format!("hotfix: {{tags: {{allow: [\"{tags}\"]}}}}\nenvironments:\n");
        let environment = format!("    trigger: push\n{of_environment}");
        errors_after(&[("environments:\n", &hotfix), ("    trigger: push\n", &environment)])
    };
    const ANY: &str = "    newest: version\n    tags: {allow: [\"*\"]}\n";
    let refused = errors_of("fix-*", ANY);
    assert!(refused.contains("is older than every version"), "{refused}");
    for (tags, of_environment) in [
        ("semver:>=1.0.0", ANY),
        ("v*-hotfix*", ANY),
        ("fix-*", "    newest: push\n    tags: {allow: [\"*\"]}\n"),
        // It does not come there, hotfix or not.
        (
            "fix-*",
            "    newest: version\n    tags: {allow: [\"semver:>=1.0.0\"]}\n",
        ),
    ] {
        assert_eq!(
            errors_of(tags, of_environment),
            "nothing is wrong",
            "{tags}{of_environment}"
        );
    }
}

#[test]
fn a_check_over_a_log_names_a_group_and_a_pattern_and_one_over_targets_takes_all_of_them() {
    let errors_of = |measure: &str| {
        let check = format!("checks: {{watch: {{measure: {measure}}}}}");
        let verification = format!("    trigger: push\n    verification: {{soak_seconds: 60, {check}}}\n");
        errors_after(&[("    trigger: push\n", &verification)])
    };
    for sound in [
        "{targets: all}",
        "{log: {group: \"/ecs/shop-${environment}\", pattern: \"?ERROR ?FATAL\", at_most: 3}}",
        "{log: {group: /ecs/shop, pattern: '{ $.level = \"ERROR\" }'}}",
    ] {
        assert_eq!(errors_of(sound), "nothing is wrong", "{sound}");
    }
    for (wrong, named) in [
        ("{targets: some}", "unknown value `some`"),
        ("{targets: [web]}", "expected `all`"),
        ("{log: {group: /ecs/shop}}", "missing field `pattern`"),
        (
            "{log: {group: /ecs/shop, pattern: ERROR, at_most: 10001}}",
            "must be from 0 to 10000",
        ),
        (
            "{log: {group: \"arn:aws:logs:us-east-1:123456789012:log-group:/ecs/shop\", pattern: ERROR}}",
            "measure.log.group: must be the name of a log group (such as `/ecs/shop`, not an ARN)",
        ),
        (
            "{log: {group: '', pattern: ERROR}}",
            "measure.log.group: must be the name",
        ),
        (
            "{log: {group: /ecs/shop, pattern: ' '}}",
            "measure.log.pattern: must have 1 to 1024 characters",
        ),
    ] {
        let errors = errors_of(wrong);
        assert!(errors.contains(named), "{wrong}: {errors}");
    }
}

#[test]
fn percentages_that_never_let_a_task_start_or_stop_are_refused_by_count() {
    let percentages = "{start_count: 2, deployment: {minimum_healthy_percent: 75, maximum_percent: 100}}";
    assert_snapshot!(errors_after(&[(
        "server: {start_count: 1, deployment: {minimum_healthy_percent: 50}}",
        &format!("server: {percentages}")
    )]));
}

#[test]
fn a_name_that_ecs_does_not_take_is_refused_even_when_it_is_empty_or_looks_like_a_placeholder() {
    assert_snapshot!(errors_after(&[("cluster: ${cluster}", "cluster: ''")]), @"33:14: environments[0].cluster: cluster name `` is not valid (letters, digits, `-` and `_`, from 1 to 255 characters)");
    assert_snapshot!(errors_after(&[("cluster: ${cluster}", "cluster: $${cluster}")]), @"33:14: environments[0].cluster: cluster name `${cluster}` is not valid (letters, digits, `-` and `_`, from 1 to 255 characters)");
    assert_snapshot!(errors_after(&[("cluster: ${cluster}", "cluster: ${clutser}")]), @"33:14: environments[0].cluster: unknown placeholder `${clutser}` (did you mean `${cluster}`?)");
}

#[test]
fn a_verification_that_could_never_pass_or_asks_where_nobody_answers_is_refused() {
    let verification = "cluster: ${cluster}
    verification:
      soak_seconds: 600
      timeout_seconds: 900
      services: {interval_seconds: 10, initial_delay_seconds: 400}
      checks:
        services: {measure: {alarms: [a]}}
        late: {measure: {alarms: [a]}, pace: {initial_delay_seconds: 60, until_seconds: 30}}
        quick: {measure: {alarms: [a]}, pace: {interval_seconds: 60, failing_seconds: 30}}
        both: {measure: {alarms: [a]}, pace: {failing_seconds: 60, failure_limit: 1}}
        rate: {measure: {metric: {metrics: {a-b: {namespace: N, name: A, statistic: Sum}, c: {namespace: N, name: C, statistic: Sum}}, period_seconds: 90, limit: {at_most: 5}, samples: {of: d, at_least: 1}}}}
        inside: {measure: {http: {url: \"http://169.254.170.2/v2/credentials\"}}}
        nowhere: {measure: {http: {url: \"ftp://example.com\"}}}
        queue: {measure: {consumers: {queue: \"https://sqs.us-east-1.amazonaws.com/123456789012/orders\", stalled_seconds: 90}}}
        smoke: {measure: {smoke: {steps: [{name: a, url: \"http://localhost/\", body: {a: [1, null, {b: c}]}}, {name: b, url: \"http://b\", timeout_seconds: 15}, {name: c, url: \"http://c\", timeout_seconds: 15}]}}}
        function: {measure: {function: {name: \"shop:smoke\"}}, ask: {answer_seconds: 60}}";
    assert_snapshot!(errors_after(&[("cluster: ${cluster}", verification)]));
    let unknown = |measure: &str| {
        let checks = format!(
            "cluster: ${{cluster}}\n    verification: {{soak_seconds: 60, checks: {{a: {{measure: {measure}}}}}}}"
        );
        errors_after(&[("cluster: ${cluster}", &checks)])
    };
    assert_snapshot!(unknown("{htpp: {url: a}}"), @"34:61: environments[0].verification.checks.a.measure: unknown field `htpp` (did you mean `http`?)");
    assert_snapshot!(unknown("{}"), @"34:60: environments[0].verification.checks.a.measure: must have one of `alarms`, `metric`, `http`, `smoke`, `function`, `targets`, `log`, `consumers`, `task`");
}

#[test]
fn a_check_judges_a_task_that_only_tests_and_may_run_again() {
    let judged = |task: &str, changed: (&str, &str)| {
        let verification = format!(
            "cluster: ${{cluster}}\n    verification: {{soak_seconds: 60, checks: {{a: {{measure: {{task: {task}}}}}}}}}"
        );
        errors_after(&[("cluster: ${cluster}", &verification), changed])
    };
    let same = ("version: 1", "version: 1");
    assert_snapshot!(judged("smoke", same), @"34:67: environments[0].verification.checks.a.measure.task: no task `smoke` runs in `develop` (one of `tasks`, which the environment does not skip)");
    assert_snapshot!(judged("seed", same), @"34:67: environments[0].verification.checks.a.measure.task: no task `seed` runs in `develop` (one of `tasks`, which the environment does not skip)");
    assert_snapshot!(judged("create-database", same), @"34:67: environments[0].verification.checks.a.measure.task: the task `create-database` runs before there is anything to test (give it `run: after_services`)");
    let migrates = (
        "  migrate:\n    run: before_services",
        "  migrate:\n    run: after_services",
    );
    assert_snapshot!(judged("migrate", migrates), @"34:67: environments[0].verification.checks.a.measure.task: the task `migrate` migrates a database, so it decides by itself (check a task that only tests)");
    assert_snapshot!(judged("flush", same), @"34:67: environments[0].verification.checks.a.measure.task: the task `flush` may not run again when it is not known how it ended (give it `idempotent: true`, or leave the check out)");
    let again = ("run: after_services,", "run: after_services, idempotent: true,");
    assert_snapshot!(judged("flush", again), @"nothing is wrong");
}

#[test]
fn an_error_stays_on_its_line_whatever_keys_the_file_has() {
    assert_snapshot!(errors_after(&[("      web: {command: [migrate]}", "      \"a\\nb\": {comand: [migrate]}")]), @r"22:16: tasks.migrate.containers.a\nb: unknown field `comand` (did you mean `command`?)");
}

#[test]
fn text_that_is_no_yaml_is_reported_where_it_breaks() {
    assert_snapshot!(errors("version: 1\napplication: [shop\nimages: {}\n"));
    assert_snapshot!(errors(""));
    assert_snapshot!(errors("just a text"));
}

#[test]
fn every_keyword_of_the_schema_is_one_that_the_parser_obeys() {
    fn walk(schema: &serde_json::Value) {
        const OBEYED: [&str; 19] = [
            "$ref",
            "oneOf",
            "anyOf",
            "type",
            "properties",
            "patternProperties",
            "additionalProperties",
            "required",
            "items",
            "const",
            "enum",
            "pattern",
            "minimum",
            "maximum",
            "minItems",
            "maxItems",
            "minProperties",
            "$defs",
            "format",
        ];
        const DESCRIPTIVE: [&str; 4] = ["$schema", "title", "description", "default"];
        for (keyword, value) in schema.as_object().into_iter().flatten() {
            assert!(
                OBEYED.contains(&keyword.as_str()) || DESCRIPTIVE.contains(&keyword.as_str()),
                "{keyword}: {value}"
            );
            match keyword.as_str() {
                "properties" | "patternProperties" | "$defs" => value.as_object().unwrap().values().for_each(walk),
                "additionalProperties" | "items" => walk(value),
                "oneOf" | "anyOf" => value.as_array().unwrap().iter().for_each(walk),
                "pattern" => assert!(
                    names::check_by_pattern(value.as_str().unwrap(), "").is_some(),
                    "{value}"
                ),
                _ => {}
            }
        }
    }
    walk(&schema());
}

#[test]
fn the_published_schema_is_the_one_of_the_model() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../docs/pipeline.schema.json");
    let published = std::fs::read_to_string(path).unwrap_or_default();
    let current = format!("{:#}\n", schema());
    assert!(
        published == current,
        "refresh it with: cargo run -q -p esclusa-core --example pipeline_schema > docs/pipeline.schema.json"
    );
}

fn reference() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../docs/PIPELINE.md")).unwrap()
}

#[test]
fn the_file_in_the_reference_is_sound() {
    let reference = reference();
    let files: Vec<&str> = reference
        .split("```yaml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .collect();
    let files: Vec<&str> = files.into_iter().filter(|file| file.starts_with("version:")).collect();
    assert_eq!(files.len(), 1);
    assert_eq!(errors(files[0]), "nothing is wrong");
}

#[test]
fn every_field_of_the_schema_is_in_the_reference() {
    fn fields(schema: &serde_json::Value, found: &mut Vec<String>) {
        if let Some(properties) = schema.get("properties").and_then(serde_json::Value::as_object) {
            found.extend(properties.keys().cloned());
        }
        match schema {
            serde_json::Value::Object(members) => members.values().for_each(|member| fields(member, found)),
            serde_json::Value::Array(elements) => elements.iter().for_each(|element| fields(element, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    fields(&schema(), &mut found);
    let reference = reference();
    let spans: Vec<&str> = reference.split('`').skip(1).step_by(2).collect();
    let is_word = |span: &str, field: &str| {
        span.split(|each: char| !each.is_alphanumeric() && each != '_')
            .any(|word| word == field)
    };
    let is_named = |field: &str| spans.iter().any(|span| is_word(span, field));
    let missing: Vec<&String> = found.iter().filter(|field| !is_named(field.as_str())).collect();
    assert!(found.len() > 50 && missing.is_empty(), "{missing:?}");
}

#[test]
fn a_member_of_slack_is_one_person_and_a_channel_is_given_by_its_id() {
    let after = |text: &str| errors(&format!("{SOUND}{text}"));
    assert_eq!(
        after("people: {ana: {slack: [U0ANA]}, luis: {slack: [W0LUIS]}}\n"),
        "nothing is wrong"
    );
    let twice = after("people: {ana: {slack: [U0ANA]}, luis: {slack: [U0ANA]}}\n");
    assert!(twice.contains("the Slack member `U0ANA` is already `ana`"), "{twice}");
    let elsewhere = after("people: {ana: {slack: [U0ANA]}, luis: {slack: [T0TEAM/U0ANA]}}\n");
    assert!(elsewhere.contains("is already `ana`"), "{elsewhere}");
    let again = after("people: {ana: {slack: [U0ANA, U0ANA]}}\n");
    assert!(again.contains("`U0ANA` is already listed here"), "{again}");
    for wrong in [
        "people: {ana: {slack: [ana]}}\n",
        "people: {ana: {slack: [C0TEAM/U0ANA]}}\n",
        "notifications: {slack: {channel: \"#deployments\"}}\n",
    ] {
        let found = after(wrong);
        assert!(found.contains("Slack"), "{found}");
    }
}

#[test]
fn an_environment_tells_somebody_else_or_nobody() {
    let told = "notifications: {slack: {channel: C0ALL}}\n";
    let develop = "  - name: develop\n    notifications: {slack: {channel: C0DEVELOP}}\n";
    let production = "  - name: production\n    notifications: {}\n";
    let channel = |text: &str, environment: &str| {
        let resolved = resolve(&parse(text).unwrap(), environment).unwrap();
        let slack = resolved.notifications.and_then(|notifications| notifications.slack);
        slack.map(|slack| slack.channel.to_string())
    };
    let all = format!("{SOUND}{told}");
    assert_eq!(channel(&all, "develop").as_deref(), Some("C0ALL"));
    assert_eq!(channel(SOUND, "develop"), None);
    let own = all
        .replace("  - name: develop\n", develop)
        .replace("  - name: production\n", production);
    assert_eq!(channel(&own, "develop").as_deref(), Some("C0DEVELOP"));
    assert_eq!(channel(&own, "production"), None);
}

#[test]
fn a_wave_is_of_neighbours_that_take_pushes_and_has_a_size() {
    let environment =
        |name: &str, more: &str| format!("  - {{name: {name}, trigger: push, cluster: {name}, {more}}}\n");
    let file = |environments: &[String]| {
        format!(
            "version: 1\napplication: shop\nimages: {{app: {{repository: shop}}}}\n\
             task_definitions: {{web: {{family: f, containers: {{web: {{image: app}}}}}}}}\n\
             services: {{web: {{service: shop, task_definition: web}}}}\nenvironments:\n{}",
            environments.concat()
        )
    };
    let wave = "wave: all";
    let apart = file(&[
        environment("eu", wave),
        environment("us", ""),
        environment("asia", wave),
    ]);
    assert!(errors(&apart).contains("other environments stand between those of the wave `all`"));
    let by_hand = file(&[environment("eu", wave), environment("us", wave)]).replacen("push", "manual", 1);
    assert!(errors(&by_hand).contains("only a push goes in waves"));
    let names: Vec<String> = (0..11).map(|index| format!("e{index}")).collect();
    let many: Vec<String> = names.iter().map(|name| environment(name, wave)).collect();
    assert!(errors(&file(&many)).contains("environments[10].wave: a wave has at most 10 environments"));
    assert!(parse(&file(&many[1..])).is_ok());
}

#[test]
fn holidays_of_a_file_are_those_of_the_windows_that_name_it() {
    let windows = "    windows: {zone: America/Lima, holidays: [\"2026-12-08\"], holidays_file: peru.json}\n    tags:";
    assert!(SOUND.contains("    tags:"));
    let pipeline = parse(&SOUND.replacen("    tags:", windows, 1)).unwrap();
    let days = |text: &str| {
        let files = [("peru.json".to_owned(), text.to_owned())].into();
        let pipeline = pipeline.clone().with_files(&files)?;
        let mut windows = pipeline
            .environments
            .into_iter()
            .filter_map(|environment| environment.windows);
        let holidays = windows.next().unwrap().holidays;
        Ok::<_, String>(holidays.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    let both = days(r#"["2026-12-25", {"date": "2027-01-01", "name": "New Year"}]"#).unwrap();
    assert_eq!(both, ["2026-12-08", "2026-12-25", "2027-01-01"]);
    assert!(
        days(r#"{"christmas": "2026-12-25"}"#)
            .unwrap_err()
            .contains("`peru.json` is not a JSON list of dates")
    );
    assert!(days(r#"["2026-02-30"]"#).is_err());
    let missing = pipeline.clone().with_files(&std::collections::BTreeMap::new());
    assert!(missing.unwrap_err().contains("there is no file `peru.json`"));
}

#[test]
fn an_environment_has_no_more_services_than_can_be_concluded_at_once() {
    let of = |count: usize| {
        let many: String = (0..count)
            .map(|index| format!("\n  s{index}: {{service: shop-s{index}, task_definition: web}}"))
            .collect();
        errors(&SOUND.replacen("\nservices:", &format!("\nservices:{many}"), 1))
    };
    // Three are there already.
    assert_eq!(of(37), "nothing is wrong");
    let said = of(38);
    assert!(said.contains("has 41 services, but at most 40 are possible"), "{said}");
}
