//! Some seeds of the explorer, what it has found, and whether it would find what it looks for.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use jiff::{SignedDuration, Timestamp};
use lab::explorer::invariants::{check, compare};
use lab::explorer::{
    Account, Asked, Changed, Delivery, Happening, Image, Known, Member, Mishap, Outcome, Plan, Point, Pushed, Shop,
    Truth, What, known_calls, run,
};
use serde_json::{Value, json};
use simulator::World;

/// How many seeds every run of the tests explores; `lab explore` explores as many as one likes.
const SEEDS: u64 = 24;

fn known() -> &'static Known {
    static KNOWN: OnceLock<Known> = OnceLock::new();
    KNOWN.get_or_init(|| known_calls().unwrap())
}

fn violations(outcome: &Outcome) -> Vec<String> {
    outcome.violations.iter().map(ToString::to_string).collect()
}

#[test]
fn some_seeds_violate_nothing() {
    for seed in 0..SEEDS {
        let plan = Plan::draw(seed, known());
        assert_eq!(violations(&run(&plan, false).unwrap()), Vec::<String>::new(), "{plan}");
    }
}

#[test]
fn every_task_of_the_state_machines_is_disturbed() {
    let known = known();
    assert!(!known.tasks.is_empty());
    for (task, asked) in &known.tasks {
        assert!(!known.mishaps(asked).is_empty(), "no story reaches `{task}`");
    }
}

/// Also where a service is away, so that the SDK repeats calls until its quota of repeats is spent.
#[test]
fn a_seed_has_one_run() {
    let is_away = |happening: &Happening| matches!(happening.what, What::Down { .. });
    let mut plans = (0..).map(|seed| Plan::draw(seed, known()));
    let plan = plans.find(|plan| plan.happenings.iter().any(is_away)).unwrap();
    let (once, again) = (run(&plan, true).unwrap(), run(&plan, true).unwrap());
    assert!(!once.transcript.is_empty());
    assert_eq!(once.transcript, again.transcript);
    assert_eq!(once.landed, again.landed);
}

/// Three versions, of which the last drops what the first one needs; then somebody asks for the first one.
#[test]
fn a_version_that_the_schema_does_not_take_any_more_does_not_come_whoever_asks() {
    let at = |at_seconds, what| Happening { at_seconds, what };
    let push = |tag: &str, image| What::Push {
        tag: tag.to_owned(),
        image,
    };
    let asked = What::Deploy {
        tag: "v1".to_owned(),
        hotfix: false,
    };
    let plan = Plan {
        seed: 4,
        account: Account::Small,
        happenings: vec![
            at(1, push("v1", Image::Good)),
            at(300, push("v2", Image::Good)),
            at(600, push("v3", Image::Contracting)),
            at(1_200, asked),
        ],
    };
    let outcome = run(&plan, false).unwrap();
    assert_eq!(violations(&outcome), Vec::<String>::new(), "{plan}");
    assert_eq!(outcome.ends.get("release FAILED none"), Some(&1), "{:?}", outcome.ends);
}

/// Seed 92: the outcome of an act could not be written, and its intent stayed open for ever.
#[test]
fn an_act_whose_outcome_cannot_be_written_is_settled_by_the_sweep() {
    for (function, nth) in [("register", 2), ("migrate", 2), ("update", 2)] {
        let at = |at_seconds, what| Happening { at_seconds, what };
        let push = What::Push {
            tag: "v1".to_owned(),
            image: Image::Good,
        };
        let denied = What::Call {
            point: Point {
                function: Some(format!("esclusa-{function}")),
                service: "dynamodb".to_owned(),
                operation: "TransactWriteItems".to_owned(),
                asked: None,
            },
            nth,
            mishap: Mishap::Denied,
        };
        let plan = Plan {
            seed: 92,
            account: Account::Small,
            happenings: vec![at(0, denied), at(1, push)],
        };
        let outcome = run(&plan, false).unwrap();
        assert_eq!(outcome.landed.len(), 1, "{plan}");
        assert_eq!(violations(&outcome), Vec::<String>::new(), "{plan}");
    }
}

/// Seeds 1363, 1445, 4420: the sweep could not look up what a rollout that was stopped was aimed at, because its target
/// is an ARN.
#[test]
fn a_stopped_rollout_whose_outcome_cannot_be_written_is_settled_by_the_sweep() {
    let at = |at_seconds, what| Happening { at_seconds, what };
    let push = What::Push {
        tag: "v1".to_owned(),
        image: Image::CrashingWeb,
    };
    let denied = What::Call {
        point: Point {
            function: Some("esclusa-traffic".to_owned()),
            service: "dynamodb".to_owned(),
            operation: "TransactWriteItems".to_owned(),
            asked: None,
        },
        nth: 2,
        mishap: Mishap::Denied,
    };
    let plan = Plan {
        seed: 1363,
        account: Account::Large,
        happenings: vec![at(0, denied), at(1, push)],
    };
    let outcome = run(&plan, false).unwrap();
    assert_eq!(outcome.landed.len(), 1, "{plan}");
    assert_eq!(violations(&outcome), Vec::<String>::new(), "{plan}");
}

/// Seed 928: the last look at the services came a second time, late, when the way back had moved them already, and called
/// that the doing of somebody else: what the deployment had left was said to be nothing.
#[test]
fn a_late_look_at_the_services_does_not_take_the_way_back_for_somebody_else() {
    let at = |at_seconds, what| Happening { at_seconds, what };
    let asked = || {
        Some(Asked::Action {
            action: "confirm_services".to_owned(),
            state: None,
        })
    };
    let twice = What::Call {
        point: Point {
            function: None,
            service: "lambda".to_owned(),
            operation: "Invoke".to_owned(),
            asked: asked(),
        },
        nth: 1,
        mishap: Mishap::Twice,
    };
    // Whichever of the two runs it is that comes late, and wherever.
    for nth in 1..=8 {
        let late = What::Call {
            point: Point {
                function: Some("esclusa-observe".to_owned()),
                service: "dynamodb".to_owned(),
                operation: "GetItem".to_owned(),
                asked: asked(),
            },
            nth,
            mishap: Mishap::Late,
        };
        let push = What::Push {
            tag: "v1".to_owned(),
            image: Image::FailingCheck,
        };
        let plan = Plan {
            seed: 928,
            account: Account::Large,
            happenings: vec![at(0, twice.clone()), at(0, late), at(1, push)],
        };
        let outcome = run(&plan, false).unwrap();
        assert_eq!(violations(&outcome), Vec::<String>::new(), "{plan}");
        let ended = outcome.ends.get("deployment ROLLED_BACK reverted");
        assert_eq!(ended, Some(&1), "{:?}", outcome.ends);
    }
}

/// Seed 5322: a migration ended while nobody could write down that it did, and ECS had forgotten it when somebody
/// could: its wait lasted to the limit.
#[test]
fn a_task_that_ecs_has_forgotten_is_not_waited_for_to_the_limit() {
    let at = |at_seconds, what| Happening { at_seconds, what };
    let push = What::Push {
        tag: "v1".to_owned(),
        image: Image::Good,
    };
    let down = What::Down {
        service: "dynamodb".to_owned(),
        seconds: 7836,
    };
    let plan = Plan {
        seed: 5322,
        account: Account::Small,
        happenings: vec![at(1, push), at(51, down)],
    };
    let outcome = run(&plan, false).unwrap();
    assert_eq!(violations(&outcome), Vec::<String>::new(), "{plan}");
}

/// Seed 854: a tag was moved to a new image and its event was lost; found in the registry, it counted as pushed when it
/// was found, and took the place of a newer one.
#[test]
fn a_moved_tag_whose_push_was_lost_stands_where_its_image_was_pushed() {
    let at = |at_seconds, what| Happening { at_seconds, what };
    let push = |tag: &str, image| What::Push {
        tag: tag.to_owned(),
        image,
    };
    let mut asked = known().calls.iter().filter_map(|call| call.point.asked.clone());
    // What is told last of the third deployment comes late, so that the registry is read when nobody waits.
    let dies = What::Call {
        point: Point {
            function: Some("esclusa-resume".to_owned()),
            service: "dynamodb".to_owned(),
            operation: "GetItem".to_owned(),
            asked: asked.find(|asked| asked.to_string().contains("ECS Task State Change")),
        },
        nth: 56,
        mishap: Mishap::DieBefore,
    };
    let lost = What::Event {
        detail_type: "ECR Image Action".to_owned(),
        nth: 2,
        delivery: Delivery::Drop,
    };
    let plan = Plan {
        seed: 854,
        account: Account::Small,
        happenings: vec![
            at(0, dies),
            at(0, lost),
            at(1, push("v1", Image::Good)),
            at(26, push("v1", Image::Contracting)),
            at(58, push("v3", Image::Good)),
        ],
    };
    let outcome = run(&plan, false).unwrap();
    assert_eq!(violations(&outcome), Vec::<String>::new(), "{plan}");
}

/// One of two runs that plan the same environment fails and ends the release; the other left a deployment behind that
/// nobody concluded.
#[test]
fn a_plan_that_comes_behind_the_end_of_its_release_leaves_nothing() {
    let at = |at_seconds, what| Happening { at_seconds, what };
    let asked = known()
        .calls
        .iter()
        .filter_map(|call| call.point.asked.clone())
        .find(|asked| asked.to_string().contains("plan_environment"));
    let point = |function: Option<&str>, service: &str, operation: &str| Point {
        function: function.map(|name| format!("esclusa-{name}")),
        service: service.to_owned(),
        operation: operation.to_owned(),
        asked: asked.clone(),
    };
    let call = |point, mishap| What::Call { point, nth: 1, mishap };
    for denied in ["DescribeServices", "DescribeClusters", "DescribeTaskDefinition"] {
        let plan = Plan {
            seed: 461,
            account: Account::Small,
            happenings: vec![
                at(0, call(point(Some("observe"), "ecs", denied), Mishap::Denied)),
                at(0, call(point(None, "lambda", "Invoke"), Mishap::Twice)),
                at(
                    1,
                    What::Push {
                        tag: "v1".to_owned(),
                        image: Image::CrashingWeb,
                    },
                ),
            ],
        };
        let outcome = run(&plan, false).unwrap();
        assert_eq!(outcome.landed.len(), 2, "{plan}");
        assert_eq!(violations(&outcome), Vec::<String>::new(), "{plan}");
    }
}

/// A shop after a good release, and what is true about it.
fn deployed() -> (Shop, Truth) {
    let mut shop = Shop::open(7).unwrap();
    let at = shop.now();
    let digest = shop.push("v1", Image::Good).unwrap();
    assert!(shop.lab.settle());
    shop.run_for(SignedDuration::from_mins(20));
    let truth = Truth {
        pushed: vec![pushed(at, "v1", digest)],
        settled: true,
        ..Truth::default()
    };
    (shop, truth)
}

fn pushed(at: Timestamp, tag: &str, digest: String) -> Pushed {
    Pushed {
        at,
        application: Shop::NAME,
        tag: tag.to_owned(),
        digest,
    }
}

/// The invariants that are found violated when this is done behind the back of everybody.
fn found(plant: impl FnOnce(&mut Shop, &mut Truth)) -> BTreeSet<&'static str> {
    let (mut shop, mut truth) = deployed();
    plant(&mut shop, &mut truth);
    let (violations, _) = check(&mut shop, &truth);
    violations.iter().map(|violation| violation.invariant).collect()
}

fn first(shop: &Shop, table: &str, is: impl Fn(&Value) -> bool) -> Value {
    shop.items(table).into_iter().find(|item| is(item)).unwrap()
}

fn put(shop: &mut Shop, table: &str, item: &Value) {
    shop.ask("dynamodb", "PutItem", json!({"TableName": table, "Item": item}))
        .unwrap();
}

/// The invariants that are found violated by a release before whose deployment a person orders something that is then
/// gone without a trace.
fn found_after(order: impl Fn(&str) -> Vec<String>, is_order: fn(&Value) -> bool) -> BTreeSet<&'static str> {
    found(|shop, truth| {
        let at = shop.now();
        let digest = shop.push("v2", Image::Good).unwrap();
        truth.pushed.push(pushed(at, "v2", digest));
        let is_it = |item: &Value| item["sk"]["S"] == "RELEASE" && item["tag"]["S"] == "v2";
        while !shop.items("esclusa-control").iter().any(is_it) {
            shop.run_for(SignedDuration::from_millis(100));
        }
        let release = first(shop, "esclusa-control", is_it);
        let words = order(release["release_id"]["S"].as_str().unwrap());
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let answer = shop.lab.esclusa(&words);
        assert_eq!(answer.code, 0, "{}", answer.err);
        let row = first(shop, "esclusa-control", is_order);
        let key = json!({"pk": row["pk"], "sk": row["sk"]});
        let gone = json!({"TableName": "esclusa-control", "Key": key});
        shop.ask("dynamodb", "DeleteItem", gone).unwrap();
        assert!(shop.lab.settle());
        shop.run_for(SignedDuration::from_mins(20));
    })
}

#[test]
fn what_is_begun_in_spite_of_an_order_is_found() {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let stopped = found_after(
        |release| words(&["stop", release, "--reason", "the wrong version"]),
        |item| item["sk"]["S"] == "STOP",
    );
    assert_eq!(stopped, BTreeSet::from(["I7"]));
    let frozen = found_after(
        |_| words(&["freeze", Shop::NAME, "--reason", "an outage"]),
        |item| item["pk"]["S"] == "FREEZES#shop",
    );
    assert_eq!(frozen, BTreeSet::from(["I7"]));
    let held = found_after(
        |release| words(&["hold", release, "--reason", "wait for us"]),
        |item| item["sk"]["S"] == "HOLD",
    );
    assert_eq!(held, BTreeSet::from(["I7"]));
    let pinned = found_after(
        |_| words(&["pin", Shop::NAME, Shop::ENVIRONMENT, "--reason", "a sale"]),
        |item| item["pk"]["S"] == "PINS#shop",
    );
    assert_eq!(pinned, BTreeSet::from(["I7"]));
}

/// I2: what was called verified did not work, as those know who made it so.
#[test]
fn what_is_called_verified_and_does_not_work_is_found() {
    let mut shop = Shop::open_in(1, Account::Large).unwrap();
    let began = shop.now();
    let digest = shop.push("v1", Image::Good).unwrap();
    assert!(shop.lab.settle());
    shop.run_for(SignedDuration::from_mins(20));
    let updates =
        shop.lab.world().calls().iter().filter(|call| {
            call.at > began && call.operation == "UpdateService" && call.input["cluster"] == "shop-staging"
        });
    let updated = updates.map(|call| call.at).max().unwrap();
    let truth = || Truth {
        pushed: vec![pushed(began, "v1", digest.clone())],
        settled: true,
        ..Truth::default()
    };
    let mut found = |truth: &Truth| {
        let (violations, _) = check(&mut shop, truth);
        let found: BTreeSet<&'static str> = violations.iter().map(|violation| violation.invariant).collect();
        found
    };
    assert_eq!(found(&truth()), BTreeSet::new());
    let emptied = Changed {
        at: updated + SignedDuration::from_secs(1),
        cluster: "shop-staging",
        service: "web".to_owned(),
        to_zero: true,
    };
    for truth in [
        Truth {
            changed: vec![emptied],
            ..truth()
        },
        Truth {
            alarm: vec![(updated, true)],
            ..truth()
        },
        Truth {
            erring: [digest.clone()].into(),
            ..truth()
        },
    ] {
        assert_eq!(found(&truth), BTreeSet::from(["I2"]), "{truth:?}");
    }
}

/// I9: events that were late have changed what runs.
#[test]
fn what_is_different_for_late_events_is_found() {
    let ((mut late, _), (mut in_time, _)) = (deployed(), deployed());
    assert_eq!(compare(&mut late, &mut in_time), Vec::new());
    let input = json!({"cluster": "shop", "service": "web", "taskDefinition": "shop-web:1"});
    late.ask("ecs", "UpdateService", input).unwrap();
    late.run_for(SignedDuration::from_mins(10));
    let found = compare(&mut late, &mut in_time);
    let found: Vec<&str> = found.iter().map(|violation| violation.invariant).collect();
    assert_eq!(found, ["I9"]);
}

/// The invariants that are violated when the shop where people decide has another pipeline than they think.
fn found_with_gates(from: &str, to: &str, votes: &[Member], acknowledges: bool) -> BTreeSet<&'static str> {
    let mut shop = Shop::open_in(1, Account::Gated).unwrap();
    let path = lab::repository().join("lab/src/explorer/shop-gated.yaml");
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{from}");
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("gated-{}.yaml", to.len()));
    std::fs::write(&file, text.replace(from, to)).unwrap();
    let applied = shop.lab.esclusa(&["pipelines", "apply", &file.to_string_lossy()]);
    assert_eq!(applied.code, 0, "{}", applied.err);
    let digest = shop.push("v1", Image::Good).unwrap();
    let truth = Truth {
        pushed: vec![Pushed {
            at: shop.now(),
            application: Shop::NAME,
            tag: "v1".to_owned(),
            digest,
        }],
        settled: true,
        ..Truth::default()
    };
    shop.run_for(SignedDuration::from_mins(3));
    if acknowledges {
        shop.acknowledge();
    }
    for member in votes {
        shop.vote(*member, true);
        shop.run_for(SignedDuration::from_secs(20));
    }
    assert!(shop.lab.settle());
    shop.run_for(SignedDuration::from_mins(20));
    let (violations, _) = check(&mut shop, &truth);
    violations.iter().map(|violation| violation.invariant).collect()
}

/// I5: a window that is not asked, an agreement of nobody who may or of too few, and what nobody has seen to.
#[test]
fn what_comes_outside_of_a_window_or_unasked_is_found() {
    let approval = "    approval: {approvers: [ana, luis], unknown_pusher: is_nobody, expires_open_hours: 1}\n";
    let window = "    windows: {zone: UTC, deny: [{from: \"2026-11-02T00:00\", to: \"2026-11-02T09:15\", reason: the night}, {from: \"2026-11-02T09:30\", to: \"2026-11-02T10:00\", reason: the meeting}]}\n";
    let flags = "    acknowledgements:\n      flags: {person: {that: the flags are set}}\n";
    let both = [Member::Luis, Member::Ana];
    let unasked = BTreeSet::from(["I5"]);
    assert_eq!(found_with_gates(approval, approval, &both, true), BTreeSet::new());
    assert_eq!(found_with_gates(window, "", &both, true), unasked);
    // It opens while it should be closed again.
    let later =
        "    windows: {zone: UTC, deny: [{from: \"2026-11-02T00:00\", to: \"2026-11-02T09:40\", reason: the night}]}\n";
    assert_eq!(found_with_gates(window, later, &both, true), unasked);
    assert_eq!(found_with_gates(approval, "", &[], true), unasked);
    let by_eve = approval.replace("[ana, luis]", "[eve]");
    assert_eq!(found_with_gates(approval, &by_eve, &[Member::Eve], true), unasked);
    assert_eq!(
        found_with_gates("quorum: 2", "quorum: 1", &[Member::Luis], true),
        unasked
    );
    assert_eq!(found_with_gates(flags, "", &both, false), unasked);
}

#[test]
fn every_invariant_is_broken_by_something_that_is_planted() {
    let table = std::fs::read_to_string(lab::repository().join("lab/src/explorer/invariants/mod.rs")).unwrap();
    let rows = table.lines().filter_map(|line| line.strip_prefix("//! | I"));
    let invariants: Vec<String> = rows
        .filter_map(|row| Some(format!("I{}", row.split_once(' ')?.0)))
        .collect();
    assert_eq!(invariants.len(), 12, "{invariants:?}");
    let planted = include_str!("explored.rs");
    for invariant in invariants {
        assert!(
            planted.contains(&format!("\"{invariant}\"]")),
            "nothing is planted that breaks {invariant}"
        );
    }
}

#[test]
fn whatever_is_planted_is_found() {
    assert_eq!(found(|_, _| {}), BTreeSet::new());
    // A release without an end, and a push without a release.
    let no_end = found(|shop, _| {
        let mut release = first(shop, "esclusa-control", |item| item["sk"]["S"] == "RELEASE");
        release.as_object_mut().unwrap().remove("end");
        put(shop, "esclusa-control", &release);
    });
    assert_eq!(no_end, BTreeSet::from(["I1"]));
    let unseen = found(|_, truth| truth.pushed[0].digest = "sha256:unseen".to_owned());
    assert_eq!(unseen, BTreeSet::from(["I1"]));
    // A service that does not run what the end says.
    let moved = found(|shop, _| {
        let input = json!({"cluster": "shop", "service": "web", "taskDefinition": "shop-web:1"});
        shop.ask("ecs", "UpdateService", input).unwrap();
        shop.run_for(SignedDuration::from_mins(10));
    });
    assert_eq!(moved, BTreeSet::from(["I2"]));
    // Locks that somebody takes away from a deployment that acts, so that the next one acts beside it.
    let beside = found(|shop, truth| {
        let begun = shop.lab.world().calls().len();
        let acts = |world: &World| {
            let mut calls = world.calls().iter().skip(begun);
            calls.any(|call| call.operation == "UpdateService")
        };
        let at = shop.now();
        let digest = shop.push("v2", Image::Good).unwrap();
        truth.pushed.push(pushed(at, "v2", digest));
        assert!(shop.lab.simulation().run_until(SignedDuration::from_hours(1), acts));
        let control = shop.items("esclusa-control");
        for lock in control.iter().filter(|item| item["sk"]["S"] == "LOCK") {
            let key = json!({"pk": lock["pk"], "sk": lock["sk"]});
            let gone = json!({"TableName": "esclusa-control", "Key": key});
            shop.ask("dynamodb", "DeleteItem", gone).unwrap();
        }
        let at = shop.now();
        let digest = shop.push("v3", Image::Good).unwrap();
        truth.pushed.push(pushed(at, "v3", digest));
        assert!(shop.lab.settle());
        shop.run_for(SignedDuration::from_mins(20));
    });
    assert_eq!(beside, BTreeSet::from(["I11", "I3"]));
    // A migration that nobody of ours started.
    let migrated = found(|shop, _| {
        let network = json!({"awsvpcConfiguration": {"subnets": ["subnet-0a00000000000001a"]}});
        let input = json!({"cluster": "shop", "taskDefinition": "shop-migrations", "launchType": "FARGATE", "networkConfiguration": network});
        shop.ask("ecs", "RunTask", input).unwrap();
        shop.run_for(SignedDuration::from_mins(5));
    });
    assert_eq!(migrated, BTreeSet::from(["I4"]));
    // A newer image in whose place comes an older one.
    let older = found(|shop, truth| {
        let digest = shop.push("v2", Image::Good).unwrap();
        assert!(shop.lab.settle());
        shop.run_for(SignedDuration::from_mins(20));
        let at = truth.pushed[0].at - SignedDuration::from_hours(1);
        truth.pushed.push(pushed(at, "v2", digest));
    });
    assert_eq!(older, BTreeSet::from(["I6"]));
    // A record that is gone, an intent that nobody wrote.
    let lost = found(|shop, _| {
        let record = first(shop, "esclusa-ledger", |item| item["kind"]["S"] == "intent");
        let key = json!({"chain": record["chain"], "sequence": record["sequence"]});
        shop.ask(
            "dynamodb",
            "DeleteItem",
            json!({"TableName": "esclusa-ledger", "Key": key}),
        )
        .unwrap();
    });
    assert_eq!(lost, BTreeSet::from(["I8"]));
    // A token in a log, a row that stays open, a lock that stays held, an execution that never ends.
    let tell = |shop: &mut Shop, message: &str| {
        let group = json!({"logGroupName": "/ecs/shop", "logStreamName": "leak"});
        let events = json!([{"timestamp": 1_793_620_800_000_i64, "message": message}]);
        let _exists = shop.ask("logs", "CreateLogStream", group.clone());
        let mut input = group;
        input["logEvents"] = events;
        shop.ask("logs", "PutLogEvents", input).unwrap();
    };
    let leaked = found(|shop, _| {
        let token = shop.lab.world().calls().iter().find_map(|call| {
            let token = call.input.pointer("/Payload/wait/token")?.as_str()?;
            Some(token.to_owned())
        });
        tell(shop, &token.unwrap());
    });
    assert_eq!(leaked, BTreeSet::from(["I10"]));
    let leaked = found(|shop, _| tell(shop, &format!("password={}", Shop::SECRET)));
    assert_eq!(leaked, BTreeSet::from(["I10"]));
    let open = found(|shop, _| {
        let item = json!({"pk": {"S": "OPEN#WAIT"}, "sk": {"S": "somebody"}});
        put(shop, "esclusa-control", &item);
    });
    assert_eq!(open, BTreeSet::from(["I11"]));
    let quarantined = found(|shop, _| {
        let mut lock = first(shop, "esclusa-control", |item| item["sk"]["S"] == "LOCK");
        lock["status"] = json!({"S": "QUARANTINED"});
        put(shop, "esclusa-control", &lock);
    });
    assert_eq!(quarantined, BTreeSet::from(["I11"]));
    // Something that never comes to its end, and an end that is noticed too late.
    assert_eq!(found(|_, truth| truth.settled = false), BTreeSet::from(["I12"]));
    let late = found(|_, truth| truth.noticed_within = SignedDuration::ZERO);
    assert_eq!(late, BTreeSet::from(["I12"]));
}
