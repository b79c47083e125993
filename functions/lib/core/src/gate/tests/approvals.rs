//! Who is not one of the approvers any more, and what becomes of a release with which not enough have agreed in time.

use super::*;

/// Who may agree as a later version of the pipeline says: of `ana` and `luis` those who are named.
fn later(approvers: &[&str], people: &People, at_expiry: AtExpiry) -> (Approval, People) {
    let approval = Approval {
        approvers: approvers.iter().map(|name| name.parse().unwrap()).collect(),
        at_expiry,
        ..approval(1, UnknownPusher::IsNobody)
    };
    (approval, people.clone())
}

/// Asks as [`asked`] does, with a later version of the pipeline.
fn asked_later(
    approval: &Approval,
    (approval_now, people_now): &(Approval, People),
    facts: &GateFacts<'_>,
    now: &str,
) -> (Passage, String) {
    let people = people();
    let policy = GatePolicy {
        windows: None,
        approval: Some(approval),
        acknowledgements: &NOTHING,
        people: &people,
        now: Some(Approvers {
            approval: Some(approval_now),
            people: people_now,
        }),
    };
    let (passage, reports) = pass(&policy, facts, at(now));
    (passage, reports[0].sentence.clone())
}

#[test]
fn a_removed_approver_counts_no_longer_and_is_named() {
    let approval = approval(1, UnknownPusher::IsNobody);
    let agreed = [vote(ANA, true, "plan")];
    let facts = GateFacts {
        votes: &agreed,
        ..facts("2026-11-26T15:00:00Z")
    };
    let ask = |later: &(Approval, People)| asked_later(&approval, later, &facts, "2026-11-26T16:00:00Z");
    let still = later(&["luis", "ana"], &people(), AtExpiry::End);
    assert_eq!(ask(&still), (Passage::Open, "`ana` agreed".to_owned()));
    let removed = "1 of `luis` must agree; `ana` agreed, but may no longer approve in the current pipeline version";
    // No approver any more; nobody any more; somebody else of that name.
    let mut gone = people();
    gone.shift_remove("ana");
    let mut other = people();
    other.get_mut("ana").unwrap().iam = vec!["arn:aws:iam::1:user/another-ana".to_owned()];
    for (approvers, people) in [
        (&["luis"][..], people()),
        (&["luis", "ana"], gone),
        (&["luis", "ana"], other),
    ] {
        let (passage, sentence) = ask(&later(approvers, &people, AtExpiry::End));
        assert!(matches!(passage, Passage::Wait { .. }), "{passage:?}");
        assert_eq!(sentence, removed);
    }
}

#[test]
fn who_is_removed_lowers_no_bar_and_their_no_stands() {
    let two = approval(1, UnknownPusher::RaisesQuorum);
    let only_luis = later(&["luis"], &people(), AtExpiry::End);
    let both = [vote(ANA, true, "plan"), vote(LUIS, true, "plan")];
    let no = [vote(ANA, false, "plan"), vote(LUIS, true, "plan")];
    let ask = |votes: &[Vote]| {
        let facts = GateFacts {
            votes,
            ..facts("2026-11-26T15:00:00Z")
        };
        asked_later(&two, &only_luis, &facts, "2026-11-26T16:00:00Z")
    };
    let (passage, sentence) = ask(&both);
    assert!(matches!(passage, Passage::Wait { .. }), "{passage:?}");
    assert_eq!(
        sentence,
        "1 more must agree; `luis` agreed; `ana` agreed, but may no longer approve in the current pipeline version; \
         too few approvers are left: `esclusa stop` ends it"
    );
    let by = "`ana`: not today".to_owned();
    assert_eq!(ask(&no).0, Passage::Over(Closed::Rejected { by }));
    // Whoever came later decides about later releases.
    let with_eva = later(&["luis", "eva"], &people(), AtExpiry::End);
    let votes = [vote("eva", true, "plan")];
    let facts = GateFacts {
        votes: &votes,
        ..facts("2026-11-26T15:00:00Z")
    };
    let (passage, _) = asked_later(&two, &with_eva, &facts, "2026-11-26T16:00:00Z");
    assert!(matches!(passage, Passage::Wait { .. }), "{passage:?}");
}

/// What is asked about silence.
struct Silence {
    approval: Approval,
    later: Option<AtExpiry>,
    is_hotfix: bool,
    votes: Vec<Vote>,
    let_in_at: Option<Timestamp>,
    hold: Option<Order>,
}

impl Silence {
    /// Four hours are given from three in the afternoon on.
    fn that(at_expiry: AtExpiry) -> Self {
        Self {
            approval: Approval {
                at_expiry,
                ..approval(2, UnknownPusher::IsNobody)
            },
            later: None,
            is_hotfix: false,
            votes: Vec::new(),
            let_in_at: None,
            hold: None,
        }
    }

    fn ask<T>(&self, answer: impl FnOnce(&GatePolicy<'_>, &GateFacts<'_>) -> T) -> T {
        let people = people();
        let later = self.later.map(|at_expiry| later(&["ana", "luis"], &people, at_expiry));
        let policy = GatePolicy {
            windows: None,
            approval: Some(&self.approval),
            acknowledgements: &NOTHING,
            people: &people,
            now: later.as_ref().map(|(approval, people)| Approvers {
                approval: Some(approval),
                people,
            }),
        };
        let facts = GateFacts {
            votes: &self.votes,
            is_hotfix: self.is_hotfix,
            let_in_at: self.let_in_at,
            hold: self.hold.as_ref(),
            ..facts("2026-11-26T15:00:00Z")
        };
        answer(&policy, &facts)
    }

    fn lets_in(&self, now: &str) -> bool {
        self.ask(|policy, facts| is_let_in_at_expiry(policy, facts, at(now)))
    }

    fn pass(&self, now: &str) -> (Passage, String) {
        self.ask(|policy, facts| {
            let (passage, reports) = pass(policy, facts, at(now));
            (passage, reports[0].sentence.clone())
        })
    }
}

#[test]
fn silence_lets_in_only_where_both_versions_say_so_and_no_hotfix() {
    let (before, after) = ("2026-11-26T18:59:59Z", "2026-11-26T19:00:00Z");
    let approves = || Silence::that(AtExpiry::Approve);
    assert!(approves().lets_in(after) && !approves().lets_in(before));
    assert!(!Silence::that(AtExpiry::End).lets_in(after));
    for (later, expected) in [(AtExpiry::Approve, true), (AtExpiry::End, false)] {
        let silence = Silence {
            later: Some(later),
            ..approves()
        };
        assert_eq!(silence.lets_in(after), expected, "{later:?}");
    }
    let mut forever = approves();
    forever.approval.expires_open_hours = None;
    let hotfix = Silence {
        is_hotfix: true,
        ..approves()
    };
    let refused = Silence {
        votes: vec![vote(ANA, true, "plan"), vote(LUIS, false, "plan")],
        ..approves()
    };
    for silence in [forever, hotfix, refused] {
        assert!(!silence.lets_in(after));
    }
    // One of two has agreed: it is still silence that lets it in.
    let one = Silence {
        votes: vec![vote(ANA, true, "plan")],
        ..approves()
    };
    assert!(one.lets_in(after));
    let enough = Silence {
        votes: vec![vote(ANA, true, "plan"), vote(LUIS, true, "plan")],
        ..approves()
    };
    assert!(!enough.lets_in(after), "people let it in");
}

/// Whoever holds a release is not silent: it waits however long that stands, and does not end by it.
#[test]
fn silence_lets_in_nothing_that_is_held() {
    let held = Silence {
        hold: Some(Order {
            by: ANA.to_owned(),
            reason: "wait for us".to_owned(),
            since: at("2026-11-26T15:30:00Z"),
            until: Some(at("2026-11-26T21:00:00Z")),
            lifted: None,
        }),
        ..Silence::that(AtExpiry::Approve)
    };
    assert!(!held.lets_in("2026-11-26T20:00:00Z"));
    assert!(matches!(held.pass("2026-11-26T20:00:00Z").0, Passage::Wait { .. }));
    assert!(held.lets_in("2026-11-26T21:00:00Z"));
}

#[test]
fn what_silence_lets_in_is_said_before_and_after_and_a_late_no_is_heard() {
    let approves = || Silence::that(AtExpiry::Approve);
    let (passage, sentence) = approves().pass("2026-11-26T16:00:00Z");
    assert_eq!(
        passage,
        Passage::Wait {
            pause: SignedDuration::from_hours(3)
        }
    );
    assert_eq!(
        sentence,
        "2 of `ana`, `luis` must agree; it is admitted if nobody rejects it within 4 open hours"
    );
    let let_in_at = Some(at("2026-11-26T19:00:00Z"));
    let since = || Silence {
        let_in_at,
        ..approves()
    };
    let told =
        "nobody rejected it within 4 open hours, so it was admitted at 2026-11-26T19:00:00Z (`at_expiry: approve`)";
    // By a clock that is behind as well: what is written down stays.
    for now in ["2026-11-26T19:30:00Z", "2026-11-26T18:58:00Z"] {
        assert_eq!(since().pass(now), (Passage::Open, told.to_owned()), "{now}");
    }
    let late = Silence {
        votes: vec![vote(LUIS, false, "plan")],
        ..since()
    };
    let by = "`luis`: not today".to_owned();
    assert_eq!(
        late.pass("2026-11-26T19:30:00Z").0,
        Passage::Over(Closed::Rejected { by })
    );
    let agreed = Silence {
        votes: vec![vote(ANA, true, "plan"), vote(LUIS, true, "plan")],
        ..since()
    };
    assert_eq!(agreed.pass("2026-11-26T19:30:00Z").1, "`ana`, `luis` agreed");
    // The newest version lets silence in no more.
    let revoked = Silence {
        later: Some(AtExpiry::End),
        ..since()
    };
    assert_eq!(revoked.pass("2026-11-26T19:30:00Z").0, Passage::Over(Closed::Expired));
}

#[test]
fn what_silence_would_do_is_foretold_but_of_a_hotfix() {
    for (at_expiry, is_hotfix, expected) in [
        (AtExpiry::End, false, "2 of `ana`, `luis` must agree"),
        (AtExpiry::Approve, true, "2 of `ana`, `luis` must agree"),
        (
            AtExpiry::Approve,
            false,
            "2 of `ana`, `luis` must agree, or nobody rejects it within 4 open hours",
        ),
    ] {
        let foretold = Silence::that(at_expiry).ask(|policy, _| {
            let standing = Standing {
                freezes: &[],
                pin: None,
                comes: None,
                is_hotfix,
            };
            forecast(policy, &standing, at("2026-11-26T15:00:00Z")).people
        });
        assert_eq!(foretold, [expected]);
    }
}

/// Gates that ask for an approval, and for what somebody must see to.
fn seeing_to<'a>(
    asked: &'a IndexMap<Name, Acknowledgement>,
    approval: &'a Approval,
    people: &'a People,
) -> GatePolicy<'a> {
    GatePolicy {
        windows: None,
        approval: Some(approval),
        acknowledgements: asked,
        people,
        now: None,
    }
}

/// Also where silence would agree: it sees to nothing.
#[test]
fn what_nobody_sees_to_in_time_is_the_end_whoever_has_agreed() {
    let people = people();
    let asked: IndexMap<Name, Acknowledgement> =
        serde_json::from_value(serde_json::json!({"flags": {"person": {"that": "the flags are set"}}})).unwrap();
    let agreed = [vote(ANA, true, "plan")];
    let seen_to = Acknowledged {
        principal: LUIS.to_owned(),
        note: None,
        at: at("2026-11-26T15:30:00Z"),
    };
    let seen_to = BTreeMap::from([("flags".to_owned(), seen_to)]);
    for at_expiry in [AtExpiry::End, AtExpiry::Approve] {
        let approval = Approval {
            at_expiry,
            ..approval(1, UnknownPusher::IsNobody)
        };
        let ask = |acknowledged: &BTreeMap<String, Acknowledged>, now: &str| {
            let facts = GateFacts {
                votes: &agreed,
                acknowledged,
                ..facts("2026-11-26T15:00:00Z")
            };
            pass(&seeing_to(&asked, &approval, &people), &facts, at(now)).0
        };
        let nothing = BTreeMap::new();
        let just_before = ask(&nothing, "2026-11-26T18:59:59Z");
        assert!(matches!(just_before, Passage::Wait { .. }), "{just_before:?}");
        assert_eq!(ask(&nothing, "2026-11-26T19:00:00Z"), Passage::Over(Closed::Expired));
        assert_eq!(ask(&seen_to, "2026-11-26T19:00:00Z"), Passage::Open);
    }
    // Nobody has voted: silence lets nothing in that was not seen to, and says so nowhere.
    let approval = Approval {
        at_expiry: AtExpiry::Approve,
        ..approval(1, UnknownPusher::IsNobody)
    };
    let policy = seeing_to(&asked, &approval, &people);
    let nothing = BTreeMap::new();
    for (acknowledged, lets_in) in [(&nothing, false), (&seen_to, true)] {
        let facts = GateFacts {
            acknowledged,
            ..facts("2026-11-26T15:00:00Z")
        };
        assert_eq!(
            is_let_in_at_expiry(&policy, &facts, at("2026-11-26T19:00:00Z")),
            lets_in
        );
    }
}

#[test]
fn whoever_is_no_approver_any_more_is_named() {
    let began_with = approval(1, UnknownPusher::IsNobody);
    let (now, people) = later(&["luis"], &people(), AtExpiry::End);
    let removed = Approvers {
        approval: Some(&now),
        people: &people,
    };
    assert_eq!(removed.removed(&began_with), ["ana".parse().unwrap()]);
}
