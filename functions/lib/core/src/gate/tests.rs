mod approvals;
mod calendars;
mod windows;

use super::*;
use crate::pipeline::{Approval, AtExpiry, Day, Person, UnknownPusher, Window};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn weekly(days: &[Day], from: &str, to: &str) -> Window {
    Window {
        days: days.to_vec(),
        from: from.to_owned(),
        to: to.to_owned(),
        reason: None,
    }
}

/// Monday to Thursday from ten to four, in Lima, which is five hours behind UTC all year.
fn lima() -> Windows {
    Windows {
        zone: "America/Lima".to_owned(),
        allow: vec![weekly(&[Day::Mon, Day::Tue, Day::Wed, Day::Thu], "10:00", "16:00")],
        deny: Vec::new(),
        holidays: Vec::new(),
        holidays_file: None,
    }
}

fn people() -> People {
    let person = |iam: &str| Person {
        iam: vec![iam.to_owned()],
        slack: vec![format!("U0{:03}", iam.len()).parse().unwrap()],
    };
    [
        ("ana", "arn:aws:iam::1:user/ana"),
        ("luis", "arn:aws:sts::1:assumed-role/lead/luis*"),
        ("eva", "eva"),
    ]
    .into_iter()
    .map(|(name, iam)| (name.parse().unwrap(), person(iam)))
    .collect()
}

fn approval(quorum: u32, unknown_pusher: UnknownPusher) -> Approval {
    Approval {
        approvers: vec!["ana".parse().unwrap(), "luis".parse().unwrap()],
        quorum,
        expires_open_hours: Some(4),
        at_expiry: AtExpiry::End,
        unknown_pusher,
    }
}

fn vote(principal: &str, approves: bool, plan_hash: &str) -> Vote {
    Vote {
        plan_hash: plan_hash.to_owned(),
        principal: principal.to_owned(),
        approves,
        reason: (!approves).then(|| "not today".to_owned()),
        at: at("2026-11-26T15:30:00Z"),
    }
}

static NOTHING: std::sync::LazyLock<IndexMap<Name, Acknowledgement>> = std::sync::LazyLock::new(IndexMap::new);
static NOBODY: BTreeMap<String, Acknowledged> = BTreeMap::new();

/// Of a release that was pushed, that nobody said anything about, and that nothing is in the way of.
fn facts(since: &str) -> GateFacts<'static> {
    GateFacts {
        since: at(since),
        plan_hash: "plan",
        requested_by: None,
        pushed_by: None,
        is_rollback: false,
        is_hotfix: false,
        let_in_at: None,
        votes: &[],
        acknowledged: &NOBODY,
        image: "app",
        digest: "sha256:new",
        freezes: &[],
        hold: None,
        pin: None,
        stop: None,
        newer: None,
        copies: &[],
        wave_failed: None,
        companions: &[],
        failed_upstream: None,
        quarantine: None,
    }
}

const ANA: &str = "arn:aws:iam::1:user/ana";
const LUIS: &str = "arn:aws:sts::1:assumed-role/lead/luis@example.com";

fn asked(
    approval: &Approval,
    windows: Option<&Windows>,
    requested_by: Option<&str>,
    votes: &[Vote],
    now: &str,
) -> (Passage, Vec<GateReport>) {
    let people = people();
    let policy = GatePolicy {
        windows,
        approval: Some(approval),
        acknowledgements: &NOTHING,
        people: &people,
        now: None,
    };
    let facts = GateFacts {
        requested_by,
        votes,
        ..facts("2026-11-26T15:00:00Z")
    };
    pass(&policy, &facts, at(now))
}

#[test]
fn who_may_agree_agrees_and_nobody_with_a_wish_of_their_own() {
    let nobody = approval(1, UnknownPusher::IsNobody);
    let passes = |approval: &Approval, requested_by: Option<&str>, votes: &[Vote]| {
        asked(approval, None, requested_by, votes, "2026-11-26T16:00:00Z").0 == Passage::Open
    };
    assert!(!passes(&nobody, None, &[]));
    assert!(passes(&nobody, None, &[vote(ANA, true, "plan")]));
    assert!(
        !passes(&nobody, None, &[vote(ANA, true, "another plan")]),
        "it was about another plan"
    );
    assert!(
        !passes(&nobody, None, &[vote("eva", true, "plan")]),
        "she is no approver"
    );
    assert!(!passes(
        &nobody,
        None,
        &[vote("arn:aws:iam::1:user/mallory", true, "plan")]
    ));
    assert!(
        !passes(&nobody, Some(ANA), &[vote(ANA, true, "plan")]),
        "it is her own wish"
    );
    assert!(passes(&nobody, Some(ANA), &[vote(LUIS, true, "plan")]));
    let raises = approval(1, UnknownPusher::RaisesQuorum);
    assert!(
        !passes(&raises, None, &[vote(ANA, true, "plan")]),
        "she may have pushed it"
    );
    assert!(
        !passes(&raises, None, &[vote(ANA, true, "plan"), vote(ANA, true, "plan")]),
        "she is one"
    );
    assert!(passes(
        &raises,
        None,
        &[vote(ANA, true, "plan"), vote(LUIS, true, "plan")]
    ));
    assert!(
        !passes(
            &raises,
            Some("arn:aws:iam::123456789012:role/ci"),
            &[vote(ANA, true, "plan")]
        ),
        "it may be one of them by another name"
    );
    assert!(
        passes(&raises, Some("eva"), &[vote(ANA, true, "plan")]),
        "it is known who asked"
    );
}

/// Nobody who may have pushed it lets it in alone, even where there is nobody else.
#[test]
fn an_unknown_pusher_is_not_let_in_by_too_few_approvers() {
    let ana_alone = |unknown_pusher| Approval {
        approvers: vec!["ana".parse().unwrap()],
        ..approval(1, unknown_pusher)
    };
    let votes = [vote(ANA, true, "plan")];
    let ask = |approval: &Approval, requested_by| asked(approval, None, requested_by, &votes, "2026-11-26T16:00:00Z");
    let (passage, reports) = ask(&ana_alone(UnknownPusher::RaisesQuorum), None);
    assert!(matches!(passage, Passage::Wait { .. }), "{passage:?}");
    assert_eq!(
        reports[0].sentence,
        "1 more must agree; `ana` agreed; too few approvers are left: `esclusa stop` ends it"
    );
    assert_eq!(
        ask(&ana_alone(UnknownPusher::RaisesQuorum), Some("eva")).0,
        Passage::Open
    );
    assert_eq!(ask(&ana_alone(UnknownPusher::IsNobody), None).0, Passage::Open);
}

#[test]
fn a_yes_after_the_time_to_agree_is_none_however_late_the_gates_are_asked() {
    let nobody = approval(1, UnknownPusher::IsNobody);
    let said = |approves, at_time: &str| Vote {
        at: at(at_time),
        ..vote(ANA, approves, "plan")
    };
    // The four hours are over at seven.
    let ask = |vote: Vote| asked(&nobody, None, None, &[vote], "2026-11-26T19:10:00Z").0;
    assert_eq!(ask(said(true, "2026-11-26T18:59:59Z")), Passage::Open);
    assert_eq!(ask(said(true, "2026-11-26T19:00:00Z")), Passage::Over(Closed::Expired));
    assert!(matches!(
        ask(said(false, "2026-11-26T19:05:00Z")),
        Passage::Over(Closed::Rejected { .. })
    ));
    let afternoons = Windows {
        zone: "UTC".to_owned(),
        allow: vec![weekly(&[Day::Thu, Day::Fri], "14:00", "17:00")],
        ..lima()
    };
    // Two hours of Thursday, and then two of Friday.
    let in_time = |moment: &str| agrees_in_time(&nobody, Some(&afternoons), at("2026-11-26T15:00:00Z"), at(moment));
    for (moment, expected) in [
        ("2026-11-26T23:00:00Z", true),
        ("2026-11-27T15:59:59Z", true),
        ("2026-11-27T16:00:00Z", false),
        ("2026-11-27T23:00:00Z", false),
    ] {
        assert_eq!(in_time(moment), expected, "{moment}");
    }
}

/// A claim of the image takes somebody out and lets nobody in.
#[test]
fn whoever_the_image_names_as_its_pusher_does_not_agree_and_nobody_else_is_suspected() {
    let people = people();
    let (ana, eva) = ("ana".parse().unwrap(), "eva".parse().unwrap());
    let raises = approval(1, UnknownPusher::RaisesQuorum);
    let says = |pushed_by: Option<&Name>, votes: &[Vote]| {
        let policy = GatePolicy {
            windows: None,
            approval: Some(&raises),
            acknowledgements: &NOTHING,
            people: &people,
            now: None,
        };
        let facts = GateFacts {
            pushed_by,
            votes,
            ..facts("2026-11-26T15:00:00Z")
        };
        pass(&policy, &facts, at("2026-11-26T16:00:00Z"))
    };
    let (hers, his) = ([vote(ANA, true, "plan")], [vote(LUIS, true, "plan")]);
    let (passage, reports) = says(Some(&ana), &hers);
    assert!(matches!(passage, Passage::Wait { .. }), "it is her own push");
    assert!(!reports[0].sentence.contains("`ana`"), "{}", reports[0].sentence);
    assert_eq!(says(Some(&ana), &his).0, Passage::Open);
    // Somebody who decides nothing pushed it.
    assert_eq!(says(Some(&eva), &hers).0, Passage::Open);
    assert!(
        matches!(says(None, &hers).0, Passage::Wait { .. }),
        "it may be her own push"
    );
    let no = [vote(ANA, false, "plan")];
    assert!(
        matches!(says(Some(&ana), &no).0, Passage::Over(Closed::Rejected { .. })),
        "she may take it back"
    );
}

#[test]
fn one_no_is_enough_and_nobody_in_time_is_the_end() {
    let approval = approval(1, UnknownPusher::IsNobody);
    let over = |votes: &[Vote], now: &str| match asked(&approval, None, None, votes, now).0 {
        Passage::Over(closed) => Some(closed),
        Passage::Open | Passage::Wait { .. } => None,
    };
    let no = [vote(ANA, true, "plan"), vote(LUIS, false, "plan")];
    let by = "`luis`: not today".to_owned();
    assert_eq!(over(&no, "2026-11-26T16:00:00Z"), Some(Closed::Rejected { by }));
    assert_eq!(over(&[], "2026-11-26T18:59:59Z"), None);
    assert_eq!(over(&[], "2026-11-26T19:00:00Z"), Some(Closed::Expired));
    assert_eq!(over(&no[..1], "2026-11-26T19:00:00Z"), None, "somebody agreed in time");
}

#[test]
fn a_copy_that_has_not_arrived_is_asked_after_until_its_time_is_over() {
    let people = people();
    let policy = GatePolicy {
        windows: None,
        approval: None,
        acknowledgements: &NOTHING,
        people: &people,
        now: None,
    };
    let copy = |is_there| Copy {
        image: "app".to_owned(),
        repository: "210987654321/eu-west-1/shop".to_owned(),
        is_there,
        seconds: 3_600,
    };
    let asked = |is_there, now: &str| {
        let copies = [copy(is_there)];
        let facts = GateFacts {
            copies: &copies,
            ..facts("2026-11-26T15:00:00Z")
        };
        pass(&policy, &facts, at(now))
    };
    let (passage, reports) = asked(false, "2026-11-26T15:00:00Z");
    let pause = SignedDuration::from_secs(60);
    assert_eq!(passage, Passage::Wait { pause });
    assert!(
        reports[0].gate == "replication" && reports[0].sentence.contains("until 2026-11-26T16:00:00Z"),
        "{reports:?}"
    );
    assert_eq!(
        asked(false, "2026-11-26T15:30:00Z").1,
        reports,
        "nothing new is told every minute"
    );
    assert_eq!(asked(true, "2026-11-26T15:30:00Z").0, Passage::Open);
    let (image, repository) = ("app".to_owned(), "210987654321/eu-west-1/shop".to_owned());
    let closed = Closed::NotReplicated { image, repository };
    assert_eq!(asked(false, "2026-11-26T16:00:00Z").0, Passage::Over(closed));
    // A release of the largest wave is asked at its gates twenty times at most.
    let (mut now, mut looks) = ("2026-11-26T15:00:00Z".to_owned(), 0);
    while let (Passage::Wait { pause }, _) = asked(false, &now) {
        (now, looks) = (at(&now).saturating_add(pause).unwrap().to_string(), looks + 1);
    }
    assert_eq!(now, "2026-11-26T16:00:00Z", "it is over in time");
    assert!(looks < 15, "{looks}");
    assert_eq!(
        asked(true, "2026-11-26T17:00:00Z").0,
        Passage::Open,
        "late, and there before anybody asked"
    );
    let copies = [copy(false)];
    let back = GateFacts {
        is_rollback: true,
        copies: &copies,
        ..facts("2026-11-26T15:00:00Z")
    };
    assert_eq!(pass(&policy, &back, at("2026-11-26T15:00:00Z")).0, Passage::Open);
}

/// Asked on a Thursday at three in the afternoon in Lima: an hour of the window is left, and the weekend does not
/// count.
#[test]
fn the_time_to_agree_is_counted_in_open_hours_and_what_was_agreed_is_remembered() {
    let approval = approval(1, UnknownPusher::IsNobody);
    let people = people();
    let windows = lima();
    let policy = GatePolicy {
        windows: Some(&windows),
        approval: Some(&approval),
        acknowledgements: &NOTHING,
        people: &people,
        now: None,
    };
    let ask = |votes: &[Vote], now: &str| {
        let facts = GateFacts {
            votes,
            ..facts("2026-11-26T20:00:00Z")
        };
        pass(&policy, &facts, at(now))
    };
    assert!(
        matches!(ask(&[], "2026-11-29T12:00:00Z").0, Passage::Wait { .. }),
        "a weekend kills nobody"
    );
    assert!(matches!(ask(&[], "2026-11-30T17:59:00Z").0, Passage::Wait { .. }));
    assert_eq!(ask(&[], "2026-11-30T18:00:00Z").0, Passage::Over(Closed::Expired));
    let agreed = [vote(ANA, true, "plan")];
    let (passage, reports) = ask(&agreed, "2026-11-28T12:00:00Z");
    assert_eq!(passage, Passage::Wait { pause: PAUSE_MAX }, "more than a day to Monday");
    assert_eq!(
        reports
            .iter()
            .map(|report| (report.gate.as_str(), report.is_open))
            .collect::<Vec<_>>(),
        [("window", false), ("approval", true)]
    );
    assert_eq!(ask(&agreed, "2026-11-30T15:00:00Z").0, Passage::Open);
}

/// An environment without windows and approvals.
fn asked_of_nobody(facts: &GateFacts<'_>) -> (Passage, Vec<GateReport>) {
    let people = People::new();
    let policy = GatePolicy {
        windows: None,
        approval: None,
        acknowledgements: &NOTHING,
        people: &people,
        now: None,
    };
    pass(&policy, facts, at("2026-11-26T16:00:00Z"))
}

fn order(until: Option<&str>, is_lifted: bool) -> Order {
    Order {
        by: ANA.to_owned(),
        reason: "the sale".to_owned(),
        since: at("2026-11-26T12:00:00Z"),
        until: until.map(at),
        lifted: is_lifted.then(|| Lifted {
            by: ANA.to_owned(),
            reason: "it is over".to_owned(),
            at: at("2026-11-26T13:00:00Z"),
        }),
    }
}

/// An order, and how long nothing changes by itself while it is all there is; none where it keeps nobody out.
fn orders() -> Vec<(Order, Option<SignedDuration>)> {
    vec![
        (
            order(Some("2026-11-26T17:00:00Z"), false),
            Some(SignedDuration::from_hours(1)),
        ),
        (order(Some("2026-11-26T16:00:00Z"), false), None),
        (order(None, true), None),
        (order(None, false), Some(PAUSE_MAX)),
    ]
}

#[test]
fn a_freeze_a_hold_and_a_pin_hold_until_they_are_over_or_lifted_and_keep_nobody_from_going_back() {
    for (order, pause) in orders() {
        let pin = Pin {
            order: order.clone(),
            digests: [("app".to_owned(), "sha256:old".to_owned())].into(),
            tag: "v1".to_owned(),
        };
        let none = facts("2026-11-26T15:00:00Z");
        let freezes = [order.clone()];
        for (gate, facts) in [
            (
                "freeze",
                GateFacts {
                    freezes: &freezes,
                    ..none
                },
            ),
            (
                "hold",
                GateFacts {
                    hold: Some(&order),
                    ..none
                },
            ),
            (
                "pin",
                GateFacts {
                    pin: Some(&pin),
                    ..none
                },
            ),
        ] {
            let (passage, reports) = asked_of_nobody(&facts);
            let expected = pause.map_or(Passage::Open, |pause| Passage::Wait { pause });
            assert_eq!(passage, expected, "{gate}: {order:?}");
            let names: Vec<&str> = reports.iter().map(|report| report.gate.as_str()).collect();
            assert_eq!(names, pause.map(|_| gate).into_iter().collect::<Vec<_>>());
            let back = GateFacts {
                is_rollback: true,
                ..facts
            };
            assert_eq!(asked_of_nobody(&back).0, Passage::Open, "{gate}");
        }
    }
}

#[test]
fn a_version_that_failed_elsewhere_waits_an_hour_for_that_to_be_mended_and_says_where() {
    let failed = FailedUpstream {
        environment: "staging".to_owned(),
        revoked: Revoked {
            at: at("2026-11-26T15:30:00Z"),
            why: "check `errors`".to_owned(),
        },
    };
    let quarantine = Quarantine {
        digest: "sha256:1b356f5caf2c1b356f5caf2c1b356f5caf2c1b356f5caf2c1b356f5caf2c1b35"
            .parse()
            .unwrap(),
        application: "shop".to_owned(),
        tag: "v2".to_owned(),
        cause: Cause::Failed {
            environment: "europe".to_owned(),
            release_id: "shop-1".to_owned(),
            deployment_id: "shop-1-europe-1".to_owned(),
        },
        why: "it crashes".to_owned(),
        since: at("2026-11-26T15:30:00Z"),
        released: None,
    };
    let facts = GateFacts {
        failed_upstream: Some(&failed),
        quarantine: Some(&quarantine),
        ..facts("2026-11-26T15:00:00Z")
    };
    let (passage, reports) = asked_of_nobody(&facts);
    // It is looked at again sooner than the time to mend it is over.
    assert_eq!(passage, Passage::Wait { pause: SEEN_LATELY });
    let told: Vec<(&str, &str)> = reports
        .iter()
        .map(|told| (told.gate.as_str(), told.sentence.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            (
                "upstream",
                "this version has failed verification in `staging` since 2026-11-26T15:30:00Z: check `errors`; it waits until it is seen to work there again"
            ),
            (
                "quarantine",
                "its image has been in quarantine since 2026-11-26T15:30:00Z: it failed in `europe`: it crashes; it waits until `esclusa quarantine release` lets it out"
            ),
        ]
    );
    let late = Quarantine {
        since: at("2026-11-26T15:00:00Z"),
        ..quarantine.clone()
    };
    let (passage, reports) = asked_of_nobody(&GateFacts {
        failed_upstream: None,
        quarantine: Some(&late),
        ..facts
    });
    assert_eq!(passage, Passage::Open);
    assert!(reports[0].sentence.contains("it is refused unless"), "{reports:?}");
    let released = quarantine
        .release("ana", "the host was bad", at("2026-11-26T16:00:00Z"))
        .unwrap();
    let facts = GateFacts {
        failed_upstream: None,
        quarantine: Some(&released),
        ..facts
    };
    assert_eq!(asked_of_nobody(&facts), (Passage::Open, Vec::new()));
}

#[test]
fn what_is_about_to_come_in_or_waits_for_it_depends_on_where_it_came_through() {
    let upstream = |is_open| GateReport {
        gate: UPSTREAM.to_owned(),
        is_open,
        sentence: String::new(),
        until: None,
    };
    let waits = Passage::Wait { pause: PAUSE_MAX };
    let over = Passage::Over(Closed::Expired);
    for (passage, reports, expected) in [
        (&Passage::Open, vec![], true),
        (&Passage::Open, vec![upstream(true)], true),
        (&waits, vec![upstream(false)], true),
        (&waits, vec![], false),
        (&waits, vec![upstream(true)], false),
        (&over, vec![upstream(false)], false),
    ] {
        let depends = depends_on_upstream(passage, &reports);
        assert_eq!(depends, expected, "{passage:?} {reports:?}");
    }
}

#[test]
fn that_it_worked_upstream_counts_for_less_than_five_minutes() {
    let looked_at = at("2026-11-26T15:00:00Z");
    assert!(!looks_again(looked_at, at("2026-11-26T15:04:59Z")));
    assert!(looks_again(looked_at, at("2026-11-26T15:05:00Z")));
}

#[test]
fn what_an_environment_is_pinned_to_comes_in() {
    let pin = Pin {
        order: order(None, false),
        digests: [("app".to_owned(), "sha256:new".to_owned())].into(),
        tag: "v2".to_owned(),
    };
    let facts = GateFacts {
        pin: Some(&pin),
        ..facts("2026-11-26T15:00:00Z")
    };
    let (passage, reports) = asked_of_nobody(&facts);
    assert_eq!(passage, Passage::Open);
    assert_eq!(reports[0].sentence, "it is pinned to this version, `v2`");
}

#[test]
fn a_stop_ends_everything_even_a_way_back() {
    let stop = Stop {
        by: ANA.to_owned(),
        reason: "wrong window".to_owned(),
        at: at("2026-11-26T15:30:00Z"),
    };
    for is_rollback in [false, true] {
        let facts = GateFacts {
            stop: Some(&stop),
            newer: Some("newer"),
            is_rollback,
            ..facts("2026-11-26T15:00:00Z")
        };
        let (by, why) = (ANA.to_owned(), "wrong window".to_owned());
        assert_eq!(asked_of_nobody(&facts).0, Passage::Over(Closed::Stopped { by, why }));
    }
}

#[test]
fn what_people_see_to_is_asked_of_those_who_may_and_what_an_image_says_of_the_image() {
    let people = people();
    let asked: IndexMap<Name, Acknowledgement> = serde_json::from_value(serde_json::json!({
        "tests": {"image": {"annotation": "com.example.tests", "is": "passed"}},
        "flags": {"person": {"that": "the feature flags are set", "by": ["luis"]}},
        "notes": {"person": {"that": "the changelog is written"}},
    }))
    .unwrap();
    let policy = GatePolicy {
        windows: None,
        approval: None,
        acknowledgements: &asked,
        people: &people,
        now: None,
    };
    let ask = |said: &[(&str, &str)]| {
        let acknowledged = said.iter().map(|(name, principal)| {
            let acknowledged = Acknowledged {
                principal: (*principal).to_owned(),
                note: None,
                at: at("2026-11-26T15:30:00Z"),
            };
            ((*name).to_owned(), acknowledged)
        });
        let acknowledged = acknowledged.collect();
        let facts = GateFacts {
            acknowledged: &acknowledged,
            ..facts("2026-11-26T15:00:00Z")
        };
        let (passage, reports) = pass(&policy, &facts, at("2026-11-26T16:00:00Z"));
        (passage == Passage::Open, reports[0].sentence.clone())
    };
    let told = "somebody must acknowledge `flags` (the feature flags are set), `notes` (the changelog is written)";
    assert_eq!(ask(&[]), (false, told.to_owned()));
    let told = "somebody must acknowledge `flags` (the feature flags are set)";
    assert_eq!(
        ask(&[("flags", ANA), ("notes", ANA)]),
        (false, told.to_owned()),
        "she may not"
    );
    assert!(!ask(&[("flags", LUIS), ("notes", "arn:aws:iam::1:user/mallory")]).0);
    let told = "acknowledged: `flags` by `luis`, `notes` by `ana`";
    assert_eq!(ask(&[("flags", LUIS), ("notes", ANA)]), (true, told.to_owned()));
    for (annotation, expected) in [
        (
            None,
            Some("`tests`: the image does not say that `com.example.tests` is `passed`"),
        ),
        (
            Some("failed"),
            Some("`tests`: the image says `com.example.tests` is `failed`, not `passed`"),
        ),
        (Some("passed"), None),
    ] {
        let annotations = annotation.map(|said| ("com.example.tests".to_owned(), said.to_owned()));
        let said = unsaid(&asked, &annotations.into_iter().collect());
        assert_eq!(said.first().map(|(_, message)| message.as_str()), expected);
    }
}

#[test]
fn what_would_open_when_is_foretold_one_gate_after_another() {
    let windows = lima();
    let people = People::new();
    let approval = approval(1, UnknownPusher::IsNobody);
    let policy = GatePolicy {
        windows: Some(&windows),
        approval: Some(&approval),
        acknowledgements: &NOTHING,
        people: &people,
        now: None,
    };
    let told = |freezes: &[Order], pin: Option<&Pin>, from: &str| {
        let standing = Standing {
            freezes,
            pin,
            comes: Some(("app", "sha256:new")),
            is_hotfix: false,
        };
        let forecast = forecast(&policy, &standing, at(from));
        assert_eq!(forecast.people, ["1 of `ana`, `luis` must agree"]);
        let waits: Vec<String> = forecast.waits.into_iter().map(|report| report.gate).collect();
        (forecast.opens.map(|opens| opens.to_string()), waits.join(", "))
    };
    let opens = |moment: &str, waits: &str| (Some(moment.to_owned()), waits.to_owned());
    // A Thursday in the window; after it; and with a freeze that ends when the window is closed again.
    assert_eq!(
        told(&[], None, "2026-11-26T16:00:00Z"),
        opens("2026-11-26T16:00:00Z", "")
    );
    assert_eq!(
        told(&[], None, "2026-11-26T22:00:00Z"),
        opens("2026-11-30T15:00:00Z", "window")
    );
    let over_monday = [order(Some("2026-11-30T22:00:00Z"), false)];
    assert_eq!(
        told(&over_monday, None, "2026-11-26T16:00:00Z"),
        opens("2026-12-01T15:00:00Z", "freeze, window")
    );
    let forever = [order(None, false)];
    assert_eq!(
        told(&forever, None, "2026-11-26T16:00:00Z"),
        (None, "freeze".to_owned())
    );
    for (digest, expected) in [
        ("sha256:new", opens("2026-11-26T16:00:00Z", "")),
        ("sha256:old", (None, "pin".to_owned())),
    ] {
        let pin = Pin {
            order: order(None, false),
            digests: [("app".to_owned(), digest.to_owned())].into(),
            tag: "v1".to_owned(),
        };
        assert_eq!(told(&[], Some(&pin), "2026-11-26T16:00:00Z"), expected);
    }
}

#[test]
fn a_member_of_slack_is_the_person_who_has_its_id_and_no_pattern_of_arns_makes_somebody_one() {
    let person = |iam: &[&str], slack: &[&str]| Person {
        iam: iam.iter().map(|&pattern| pattern.to_owned()).collect(),
        slack: slack.iter().map(|id| id.parse().unwrap()).collect(),
    };
    let people = People::from_iter([
        ("everybody".parse().unwrap(), person(&["*"], &[])),
        ("ana".parse().unwrap(), person(&["arn:aws:iam::1:user/ana"], &["U0ANA"])),
        ("luis".parse().unwrap(), person(&[], &["T0TEAM/U0LUIS"])),
    ]);
    let who = |principal: &str| person_of(&people, principal).map(Name::as_str);
    assert_eq!(who("slack:T0TEAM/U0ANA"), Some("ana"));
    assert_eq!(who("slack:T0TEAM/U0ANN"), None);
    assert_eq!(who("slack:T0TEAM/U0LUIS"), Some("luis"));
    assert_eq!(who("slack:T0OTHER/U0LUIS"), None, "a member of another workspace");
    assert_eq!(who("slack:U0ANA"), Some("everybody"));
    assert_eq!(who("arn:aws:iam::1:user/ana"), Some("everybody"));
}

#[test]
fn a_wave_that_has_failed_ends_what_waits_unless_it_goes_back() {
    let policy = GatePolicy {
        windows: None,
        approval: None,
        acknowledgements: &NOTHING,
        people: &people(),
        now: None,
    };
    let failed = WaveFailed {
        environment: "us".to_owned(),
        verdict: crate::verdict::Verdict::RolledBack,
    };
    let mut facts = facts("2026-11-26T15:00:00Z");
    facts.wave_failed = Some(&failed);
    let now = at("2026-11-26T15:01:00Z");
    assert_eq!(
        pass(&policy, &facts, now).0,
        Passage::Over(Closed::WaveFailed(failed.clone()))
    );
    facts.is_rollback = true;
    assert_eq!(pass(&policy, &facts, now).0, Passage::Open);
}
