//! What people copy from docs/OPERATIONS.md: each policy of IAM lets through what the commands of its role ask AWS for,
//! and nothing that none of them asks for; the rule for events takes what needs a person.

use std::collections::BTreeSet;

use esclusa_core::verdict::{Effect, Verdict};
use jiff::SignedDuration;
use lab::Lab;
use lab::images::Kind;
use serde_json::{Value, json};
use simulator::kernel::Authorization;
use simulator::{CallOutcome, Principal, Settings};
use simulator_event_bridge::Pattern;

use crate::flows::{altered_pipeline, steady};
use crate::story::Story;

const CATALOG: &str = "imagy-catalog";

/// One statement of a policy: actions and resources.
struct Statement {
    actions: Vec<String>,
    resources: Vec<String>,
}

/// The JSON that follows these words in the document.
fn block(words: &str) -> String {
    let path = esclusa_tests::template::project().join("docs/OPERATIONS.md");
    let document = std::fs::read_to_string(path).unwrap();
    let (_, after) = document.split_once(words).expect(words);
    let (_, block) = after.split_once("```json\n").unwrap();
    let (block, _) = block.split_once("```").unwrap();
    block.to_owned()
}

/// The policy that follows these words in the document.
fn policy(words: &str) -> Vec<Statement> {
    let Settings { account, region, .. } = Settings::default();
    let block = block(words)
        .replace("REGION", &region)
        .replace("ACCOUNT", &account)
        .replace(":API/", ":*/");
    let policy: Value = serde_json::from_str(&block).unwrap();
    let each = |value: &Value| -> Vec<String> {
        let one = value.as_str().map(str::to_owned).into_iter();
        let many = value.as_array().into_iter().flatten();
        one.chain(many.map(|each| each.as_str().unwrap().to_owned())).collect()
    };
    let statements = policy["Statement"].as_array().unwrap().iter();
    statements
        .map(|statement| Statement {
            actions: each(&statement["Action"]),
            resources: each(&statement["Resource"]),
        })
        .collect()
}

/// Whether a pattern with `*` fits.
fn fits(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((before, after)) => text
            .strip_prefix(before)
            .is_some_and(|rest| (0..=rest.len()).any(|at| rest.get(at..).is_some_and(|rest| fits(after, rest)))),
    }
}

/// What a command asks AWS for. Who the caller is nobody needs a permission for.
fn asked(lab: &mut Lab, words: &[&str]) -> Vec<Authorization> {
    let before = lab.world().calls().len();
    lab.esclusa(words);
    let calls = lab.world().calls().iter().skip(before);
    let own = calls.filter(|call| call.principal == Principal::Administrator && call.outcome != CallOutcome::NeverSent);
    own.flat_map(|call| call.authorizations.clone())
        .filter(|needed| needed.action != "sts:GetCallerIdentity")
        .collect()
}

/// Asserts that these policies let through what the commands asked for. Every action of the last of them is one that
/// they asked for.
fn assert_fitting(policies: &[&str], commands: &[Vec<Authorization>]) {
    let statements: Vec<Statement> = policies.iter().flat_map(|words| policy(words)).collect();
    let grants = |needed: &Authorization| {
        statements.iter().any(|statement| {
            statement.actions.contains(&needed.action)
                && statement
                    .resources
                    .iter()
                    .any(|pattern| fits(pattern, &needed.resource))
        })
    };
    let asked: Vec<&Authorization> = commands.iter().flatten().collect();
    let missing: BTreeSet<String> = asked
        .iter()
        .filter(|needed| !grants(needed))
        .map(|needed| format!("{} on {}", needed.action, needed.resource))
        .collect();
    let is_used = |action: &String, statement: &Statement| {
        asked.iter().any(|needed| {
            needed.action == *action
                && statement
                    .resources
                    .iter()
                    .any(|pattern| fits(pattern, &needed.resource))
        })
    };
    let own = policy(policies.last().unwrap());
    let unused: BTreeSet<&String> = own
        .iter()
        .flat_map(|statement| statement.actions.iter().filter(|action| !is_used(action, statement)))
        .collect();
    assert_eq!((missing, unused), (BTreeSet::new(), BTreeSet::new()));
}

/// An account with an application that runs everywhere, with the names of a release and of a digest in it.
fn released() -> (Story, String, String) {
    let mut story = Story::of(CATALOG);
    let digest = story.push("4f2c1e9", Kind::Good);
    story.settle();
    let release = story.release();
    let answer = story.lab.esclusa(&["deploy", CATALOG, "production", "4f2c1e9"]);
    assert_eq!(answer.code, 0, "{}{}", answer.out, answer.err);
    (story, release, digest)
}

/// The address of the console.
fn console(story: &Story) -> String {
    let template = story.lab.world().template().unwrap();
    template.outputs["ConsoleEndpoint"].value.clone()
}

/// An alarm that ECS watches, and a cluster of databases that must be restorable, so that a plan looks at them.
fn watched(story: &mut Story) {
    let world = story.lab.world_mut();
    let alarm = json!({"AlarmName": "errors", "ComparisonOperator": "GreaterThanThreshold", "EvaluationPeriods": 1});
    world.administer("monitoring", "PutMetricAlarm", alarm).unwrap();
    let watch = json!({"alarms": {"alarmNames": ["errors"], "enable": true, "rollback": true}});
    let update = json!({"cluster": "imagy-develop", "service": CATALOG, "deploymentConfiguration": watch});
    world.administer("ecs", "UpdateService", update).unwrap();
    let restorable = "  catalog: {restore_point: {cluster: imagy-orders}}\n";
    let file = altered_pipeline(&story.example, "  catalog: {}\n", restorable);
    let answer = story.lab.esclusa(&["pipelines", "apply", file.to_str().unwrap()]);
    assert_eq!(answer.code, 0, "{}{}", answer.out, answer.err);
}

#[test]
fn whoever_reads_may_see_everything() {
    let (mut story, release, digest) = released();
    watched(&mut story);
    let words: [&[&str]; 20] = [
        &["status"],
        &["status", CATALOG],
        &["status", CATALOG, "production"],
        &["status", "--release", &release],
        &["plan", CATALOG, "develop"],
        &["plan", CATALOG, "production", "--version", "4f2c1e9"],
        &["audit"],
        &["audit", "--application", CATALOG],
        &["audit", "--release", &release],
        &["audit", "--digest", &digest],
        &["audit", "verify", "--all"],
        &["locks"],
        &["approvals"],
        &["why", CATALOG, "production"],
        &["when", CATALOG, "v2.0.0"],
        &["quarantine"],
        &["debts"],
        &["pipelines", "list"],
        &["pipelines", "list", CATALOG],
        &["pipelines", "show", CATALOG],
    ];
    let commands: Vec<_> = words.iter().map(|words| asked(&mut story.lab, words)).collect();
    assert_fitting(&["**Reader.**"], &commands);
}

#[test]
fn whoever_releases_and_operates_may_do_what_that_takes() {
    let (mut story, _, digest) = released();
    let url = console(&story);
    let lab = &mut story.lab;
    let why = ["--reason", "the launch"];
    let with = |words: &[&'static str]| [words, &why[..]].concat();
    let through = ["--console-url", url.as_str()];
    let releasing = [
        asked(
            lab,
            &[&through[..], &["deploy", CATALOG, "production", &digest]].concat(),
        ),
        asked(
            lab,
            &[&through[..], &with(&["rollback", CATALOG, "production"])].concat(),
        ),
        asked(lab, &["recheck", CATALOG, "production"]),
    ];
    assert_fitting(&["**Reader.**", "**Releaser.**"], &releasing);
    let (place, instead) = ("api: {start_count: 3,", "api: {start_count: 4,");
    let changed = altered_pipeline(&story.example, place, instead);
    let operating = [
        asked(lab, &["deploy", CATALOG, "production", &digest]),
        asked(lab, &["pipelines", "apply", changed.to_str().unwrap()]),
        asked(lab, &with(&["freeze", CATALOG, "production"])),
        asked(lab, &with(&["unfreeze", CATALOG, "production"])),
        asked(lab, &with(&["pin", CATALOG, "production"])),
        asked(lab, &with(&["unpin", CATALOG, "production"])),
        asked(lab, &with(&["quarantine", "add", CATALOG, "4f2c1e9"])),
    ];
    story.push("70571e5", Kind::LostMigration);
    story.settle();
    let unlocking = asked(&mut story.lab, &with(&["unlock", "environment/imagy-catalog/develop"]));
    let operating: Vec<_> = operating.into_iter().chain([unlocking]).collect();
    assert_fitting(&["**Reader.**", "**Releaser.**", "**Operator.**"], &operating);
}

#[test]
fn whoever_decides_through_the_console_needs_no_table() {
    let (mut story, release, _) = released();
    let url = console(&story);
    let through = |lab: &mut Lab, words: &[&str]| asked(lab, &[&["--console-url", url.as_str()], words].concat());
    let lab = &mut story.lab;
    // Nothing is asked of anybody here: what is called is the same.
    let deciding = [
        through(lab, &["approve", &release]),
        through(lab, &["reject", &release, "--reason", "the launch"]),
        through(
            lab,
            &[
                "answer",
                &release,
                "--check",
                "errors",
                "--keep",
                "--reason",
                "the load test",
            ],
        ),
        through(lab, &["acknowledge", &release, "dashboard"]),
    ];
    assert!(deciding.iter().all(|calls| calls.len() == 1), "{deciding:?}");
    assert_fitting(&["**Approver.**"], &deciding);
}

#[test]
fn whoever_looks_or_begins_may_do_what_that_takes() {
    let (mut lab, _) = steady(CATALOG);
    lab.simulation().run_for(SignedDuration::from_mins(5));
    let begun = asked(
        &mut lab,
        &["init", "other", "--cluster", "imagy-develop", "--output-file", "-"],
    );
    assert_fitting(&["**Permissions of `esclusa init`.**"], &[begun]);
    let mut lab = Lab::beside(&Settings::default(), lab::Beside::Slack).unwrap();
    lab.add(&lab::example::Example::load(CATALOG).unwrap()).unwrap();
    lab.simulation().run_for(SignedDuration::from_mins(10));
    let looked = asked(&mut lab, &["doctor"]);
    assert_fitting(&["**Reader.**", "**Permissions of `esclusa doctor`.**"], &[looked]);
}

#[test]
fn the_rule_for_events_takes_every_end_that_needs_a_person() {
    let pattern = Pattern::parse(&block("A rule that leads those which need a person")).unwrap();
    for verdict in Verdict::ALL {
        for effect in Effect::ALL {
            let event = json!({
                "source": "esclusa", "detail-type": "Esclusa Release Ended", "detail": {"verdict": verdict, "effect": effect},
            });
            let is_said = matches!(verdict, Verdict::Failed | Verdict::RolledBack | Verdict::Expired);
            assert_eq!(pattern.matches(&event), is_said || effect.is_dirty(), "{event}");
        }
    }
}
