use std::collections::BTreeMap;

use insta::assert_snapshot;
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::markup::length;
use super::*;
use crate::pipeline::{Choice, Person};
use crate::slack::Pointer;
use crate::task_definition::ChangeKind;
use crate::verdict::Effect;
use crate::verification::Outcome;
use crate::verification::{CheckState, Measurement, Question};

const DIGEST: &str = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
const PLAN: &str = "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8";

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn people() -> People {
    let person = |iam: &str, slack: &str| Person {
        iam: vec![iam.to_owned()],
        slack: vec![slack.parse().unwrap()],
    };
    People::from_iter([
        (
            "ana".parse().unwrap(),
            person("arn:aws:iam::123456789012:user/ana", "U0ANA"),
        ),
        (
            "luis".parse().unwrap(),
            person("arn:aws:iam::123456789012:user/luis", "U0LUIS"),
        ),
    ])
}

fn approval() -> Approval {
    Approval {
        approvers: vec!["ana".parse().unwrap(), "luis".parse().unwrap()],
        quorum: 2,
        expires_open_hours: Some(12),
        at_expiry: crate::pipeline::AtExpiry::End,
        unknown_pusher: crate::pipeline::UnknownPusher::IsNobody,
    }
}

fn summary() -> Summary {
    Summary {
        declared: crate::schema::Declared {
            version: Some("v1.4.0".parse().unwrap()),
            commit: Some("4f2c1e9".to_owned()),
            labels: BTreeMap::from([("com.example.tests".to_owned(), "passed".to_owned())]),
            labels_left_out: 3,
            ..crate::schema::Declared::default()
        },
        changes: vec![PlannedChange {
            family: "shop-web".to_owned(),
            path: "containers.web.environment.LOG_LEVEL".to_owned(),
            kind: ChangeKind::Added,
        }],
        changes_left_out: 2,
        migrations: vec![Migration {
            task: "migrate".to_owned(),
            database: Some("main".to_owned()),
            undo: Undo::OnDemand,
        }],
        services: vec![Moved {
            service: "shop-web".to_owned(),
            previous: Some("shop-web:41".to_owned()),
            stays: false,
        }],
        replaces: Some("v1.3.0".to_owned()),
        notes: vec!["`production` differs from `staging`".to_owned()],
        sources: Some(Sources {
            bases: BTreeMap::from([("shop-web".to_owned(), "shop-web:40".to_owned())]),
            images: BTreeMap::from([("app".to_owned(), DIGEST.to_owned())]),
        }),
    }
}

/// What staging showed: a number, and a look that failed.
fn upstream() -> Upstream {
    let measured = |outcome, sentence: &str| {
        Some(Measurement {
            at: time("2026-11-02T08:50:00Z"),
            outcome,
            sentence: sentence.to_owned(),
            counted: std::collections::BTreeSet::new(),
            lines: None,
            moments: Vec::new(),
            judged: None,
            baseline: None,
        })
    };
    let check = |passes, failures, outcome, sentence| CheckState {
        passes,
        failures,
        last: measured(outcome, sentence),
        ..CheckState::default()
    };
    let checks = [
        ("error-rate", check(11, 1, Outcome::Pass, "0.3, at most 5 is allowed")),
        ("services", check(12, 0, Outcome::Pass, "`api` runs 2")),
    ];
    Upstream {
        environment: "staging".to_owned(),
        release_id: "shop-1".to_owned(),
        since: time("2026-11-02T08:51:00Z"),
        revoked: None,
        verification: Some(State {
            looks: 12,
            looked_at: Some(time("2026-11-02T08:50:00Z")),
            healthy_since: Some(time("2026-11-02T08:44:30Z")),
            soak_seconds: Some(300),
            checks: checks.map(|(name, state)| (name.to_owned(), state)).into(),
            ..State::begun(time("2026-11-02T08:38:00Z"))
        }),
    }
}

fn report(gate: &str, is_open: bool, sentence: &str) -> GateReport {
    GateReport {
        gate: gate.to_owned(),
        is_open,
        sentence: sentence.to_owned(),
        until: None,
    }
}

fn facts<'a>(people: &'a People, standing: Standing<'a>) -> Facts<'a> {
    Facts {
        application: "shop",
        environment: "production",
        release_id: "shop-1",
        tag: "v1.4.0",
        digest: DIGEST,
        requested_by: None,
        pushed_by: None,
        reason: None,
        is_rollback: false,
        people,
        plan_hash: Some(PLAN),
        summary: None,
        earlier: None,
        upstream: None,
        standing,
        votes: &[],
        verification: None,
        quarantined: None,
    }
}

const UNDER_WAY: Standing<'_> = Standing::UnderWay {
    since: None,
    has_waited: false,
};

fn ended(verdict: Verdict, effect: Effect, reason: Reason) -> End {
    End {
        verdict,
        effect,
        reason,
        reasons: vec!["the rollout of `web` failed".to_owned()],
    }
}

/// The buttons of a message: the ids of their actions.
fn buttons(message: &Value) -> Vec<String> {
    let blocks = message["blocks"].as_array().unwrap().iter();
    let elements = blocks.filter_map(|block| block["elements"].as_array()).flatten();
    let buttons = elements.filter(|element| element["type"] == "button");
    buttons
        .map(|button| button["action_id"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn who_is_asked_sees_what_changes_what_it_waits_for_and_what_was_said() {
    let (people, approval, summary) = (people(), approval(), summary());
    let reports = [
        report("window", true, "the window is open"),
        report("approval", false, "1 of `luis` must agree; `ana` agreed"),
    ];
    let votes = [Vote {
        plan_hash: PLAN.to_owned(),
        principal: "slack:T0/U0ANA".to_owned(),
        approves: true,
        reason: None,
        at: time("2026-11-02T15:00:00Z"),
    }];
    let upstream = [upstream()];
    let facts = Facts {
        summary: Some(&summary),
        upstream: Some(&upstream),
        votes: &votes,
        ..facts(
            &people,
            Standing::Gates {
                reports: &reports,
                since: Some(time("2026-11-02T09:00:00Z")),
                closed: None,
                approval: Some(&approval),
                removed: &[],
                windows: None,
            },
        )
    };
    let card = card(&facts);
    assert_snapshot!(card.to_text());
    let message = message(&card);
    assert_snapshot!(format!("{message:#}"));
    assert_eq!(buttons(&message), ["approve", "reject", "hold"]);
    // Who agreed is not asked again.
    let alert = alert_message(&card.alerts()[0]);
    let text = alert["text"].as_str().unwrap();
    assert!(text.contains("<@U0LUIS>") && !text.contains("U0ANA"), "{text}");
}

#[test]
fn who_is_asked_again_sees_what_is_different_from_the_plan_before() {
    let whole = || Summary {
        changes_left_out: 0,
        ..summary()
    };
    let (earlier, mut now) = (whole(), whole());
    assert_eq!(
        now.words_since(&earlier),
        "something that is not listed here, such as the value of a variable"
    );
    now.sources = Some(Sources {
        bases: BTreeMap::from([("shop-web".to_owned(), "shop-web:43".to_owned())]),
        images: BTreeMap::from([
            ("app".to_owned(), DIGEST.to_owned()),
            ("side".to_owned(), DIGEST.to_owned()),
        ]),
    });
    now.changes[0].kind = ChangeKind::Changed;
    now.migrations[0].undo = Undo::Never;
    now.migrations.push(Migration {
        task: "reindex".to_owned(),
        database: None,
        undo: Undo::Never,
    });
    now.services[0].previous = Some("shop-web:42".to_owned());
    now.services.push(Moved {
        service: "shop-worker".to_owned(),
        previous: None,
        stays: false,
    });
    now.replaces = Some("v1.3.1".to_owned());
    now.notes.push("the alarm `errors` fires".to_owned());
    let people = people();
    let standing = Standing::Gates {
        reports: &[report("approval", false, "1 of `ana` must agree")],
        since: None,
        closed: None,
        approval: None,
        removed: &[],
        windows: None,
    };
    let shown = card(&Facts {
        summary: Some(&now),
        earlier: Some(&earlier),
        ..facts(&people, standing)
    });
    assert_snapshot!(shown.to_text());
    // And the other way round: what is gone.
    assert_snapshot!(earlier.words_since(&now));
    // Of what is cut, or was not kept, nothing is said.
    let of_before = Summary {
        sources: None,
        ..now.clone()
    };
    assert!(!of_before.words_since(&earlier).contains("based on"));
    let cut = Summary {
        changes_left_out: 1,
        ..now.clone()
    };
    assert!(!cut.words_since(&earlier).contains("LOG_LEVEL") && now.words_since(&earlier).contains("LOG_LEVEL"));
}

#[test]
fn who_may_not_agree_any_more_is_not_asked() {
    let (people, approval) = (people(), approval());
    let reports = [report("approval", false, "1 of `luis` must agree")];
    let removed = ["ana".parse().unwrap()];
    let asked = |removed: &[Name]| {
        let standing = Standing::Gates {
            reports: &reports,
            since: None,
            closed: None,
            approval: Some(&approval),
            removed,
            windows: None,
        };
        alert_message(&card(&facts(&people, standing)).alerts()[0])["text"].to_string()
    };
    assert!(asked(&[]).contains("<@U0ANA>"));
    let asked = asked(&removed);
    assert!(asked.contains("<@U0LUIS>") && !asked.contains("U0ANA"), "{asked}");
}

#[test]
fn who_is_asked_sees_that_it_does_not_work_elsewhere_any_more_or_was_never_seen_to() {
    let people = people();
    let reports = [report("approval", false, "1 of `ana` must agree")];
    let standing = Standing::Gates {
        reports: &reports,
        since: None,
        closed: None,
        approval: None,
        removed: &[],
        windows: None,
    };
    let shown = |upstream: Option<&[Upstream]>| {
        let facts = Facts {
            upstream,
            ..facts(&people, standing)
        };
        card(&facts).to_text()
    };
    let revoked = Upstream {
        revoked: Some(crate::verification::Revoked {
            at: time("2026-11-02T08:55:00Z"),
            why: "check `errors`: 12 errors, more than 3".to_owned(),
        }),
        ..upstream()
    };
    let text = shown(Some(&[revoked]));
    let words = "✗ It has failed verification there since 2026-11-02 08:55 UTC: check `errors`: 12 errors, more than 3";
    assert!(text.contains(words), "{text}");
    let text = shown(Some(&[]));
    assert!(
        text.contains("No environment before this one has verified this image"),
        "{text}"
    );
    let text = shown(None);
    assert!(!text.contains("Seen"), "{text}");
}

#[test]
fn a_button_says_what_it_is_about_and_nothing_else() {
    let people = people();
    let reports = [report("approval", false, "1 of `ana` must agree")];
    let standing = Standing::Gates {
        reports: &reports,
        since: None,
        closed: None,
        approval: None,
        removed: &[],
        windows: None,
    };
    let message = message(&card(&facts(&people, standing)));
    let blocks = message["blocks"].as_array().unwrap();
    let actions = blocks.iter().find(|block| block["type"] == "actions").unwrap();
    let value: Value = serde_json::from_str(actions["elements"][0]["value"].as_str().unwrap()).unwrap();
    assert_eq!(
        value,
        json!({"release": "shop-1", "environment": "production", "plan": PLAN})
    );
}

#[test]
fn what_is_decided_or_over_is_shown_as_it_is_and_has_no_buttons() {
    let people = people();
    let open = [report("approval", true, "`ana` agreed")];
    let missing = [report("approval", false, "1 of `ana` must agree")];
    let closed = Closed::Superseded {
        by: "shop-2".to_owned(),
    };
    let (rolled_back, dirty) = (
        ended(Verdict::RolledBack, Effect::Reverted, Reason::RolloutFailed),
        ended(Verdict::Failed, Effect::Partial, Reason::RolloutFailed),
    );
    let changed = ended(Verdict::Failed, Effect::None, Reason::PlanChanged);
    let stopped = ended(Verdict::Stopped, Effect::None, Reason::Stopped);
    let gates = |reports, closed| Standing::Gates {
        reports,
        since: None,
        closed,
        approval: None,
        removed: &[],
        windows: None,
    };
    let over = |end, asks_again| Standing::Ended {
        end,
        at: None,
        asks_again,
    };
    for (standing, words, tone, told) in [
        (gates(&open[..], None), "About to start", Tone::Waits, 0),
        (gates(&missing[..], Some(&closed)), "Superseded by", Tone::Over, 0),
        (UNDER_WAY, "Being deployed", Tone::Works, 0),
        (over(&stopped, false), "Stopped", Tone::Over, 1),
        (over(&rolled_back, false), "Rolled back", Tone::Bad, 1),
        (over(&dirty, false), "a person must look", Tone::Bad, 1),
        (over(&changed, true), "needs a new decision", Tone::Waits, 0),
    ] {
        let card = card(&facts(&people, standing));
        assert_eq!(buttons(&message(&card)), Vec::<String>::new(), "{words}");
        assert!(card.to_text().contains(words), "{words}: {}", card.to_text());
        assert_eq!(
            (card.tone(), card.alerts().len(), card.asks()),
            (tone, told, false),
            "{words}"
        );
    }
}

#[test]
fn every_end_is_told_in_the_thread_and_one_that_nobody_wanted_in_the_channel() {
    let people = people();
    let votes = [Vote {
        plan_hash: PLAN.to_owned(),
        principal: "slack:T0/U0ANA".to_owned(),
        approves: true,
        reason: None,
        at: time("2026-11-02T15:00:00Z"),
    }];
    for (verdict, effect, reason, is_for_everybody) in [
        (Verdict::Succeeded, Effect::None, Reason::Proven, false),
        (Verdict::Unchanged, Effect::None, Reason::Proven, false),
        (Verdict::Superseded, Effect::None, Reason::Superseded, false),
        (Verdict::Rejected, Effect::None, Reason::Rejected, false),
        (Verdict::Stopped, Effect::Reverted, Reason::Stopped, false),
        (Verdict::Stopped, Effect::Partial, Reason::Stopped, true),
        (Verdict::Expired, Effect::None, Reason::Expired, true),
        (Verdict::Failed, Effect::None, Reason::RolloutFailed, true),
        (Verdict::RolledBack, Effect::Reverted, Reason::RolloutFailed, true),
    ] {
        let end = ended(verdict, effect, reason);
        let over = Standing::Ended {
            end: &end,
            at: None,
            asks_again: false,
        };
        let luis = "luis".parse().unwrap();
        let facts = Facts {
            pushed_by: Some(&luis),
            votes: &votes,
            ..facts(&people, over)
        };
        let card = card(&facts);
        let [alert] = card.alerts() else {
            panic!("{verdict}: {:?}", card.alerts())
        };
        let message = alert_message(alert);
        assert_eq!(
            message["reply_broadcast"] == true,
            is_for_everybody,
            "{verdict} {effect}"
        );
        // Whose release it is hears of it wherever they are.
        let text = message["text"].as_str().unwrap();
        assert!(text.ends_with(" <@U0ANA> <@U0LUIS>"), "{verdict}: {text}");
        let says_why = text.contains("the rollout of `web` failed");
        assert_eq!(
            says_why,
            ![Verdict::Succeeded, Verdict::Unchanged].contains(&verdict),
            "{text}"
        );
    }
}

#[test]
fn a_begin_is_told_where_people_were_shown_a_wait() {
    let people = people();
    let told = |has_waited| {
        let standing = Standing::UnderWay {
            since: None,
            has_waited,
        };
        card(&facts(&people, standing)).alerts().to_vec()
    };
    assert_eq!(told(false), []);
    let [alert] = &told(true)[..] else { panic!("one") };
    assert_eq!(alert.key, format!("start:{PLAN}"));
    assert_eq!(alert_message(alert).get("reply_broadcast"), None);
}

#[test]
fn a_check_that_asks_has_buttons_until_it_is_answered() {
    let people = people();
    let question = Question {
        asked_at: time("2026-11-02T16:00:00Z"),
        until: time("2026-11-02T16:10:00Z"),
        unanswered: Choice::Rollback,
    };
    let check = CheckState {
        last: Some(Measurement {
            at: time("2026-11-02T16:00:00Z"),
            outcome: Outcome::Fail,
            sentence: "12 errors, more than 3".to_owned(),
            counted: std::collections::BTreeSet::new(),
            lines: None,
            moments: Vec::new(),
            judged: None,
            baseline: None,
        }),
        question: Some(question),
        ..CheckState::default()
    };
    let mut state = State {
        checks: BTreeMap::from([("errors".to_owned(), check)]),
        ..State::begun(time("2026-11-02T15:55:00Z"))
    };
    let shown = |state: &State| {
        let facts = Facts {
            verification: Some(state),
            ..facts(&people, UNDER_WAY)
        };
        card(&facts)
    };
    let asked = shown(&state);
    assert_eq!(buttons(&message(&asked)), ["roll_back", "keep"]);
    assert!(
        asked.to_text().contains("12 errors, more than 3") && asked.to_text().contains("it goes back"),
        "{}",
        asked.to_text()
    );
    assert_eq!(asked.alerts()[0].key, "question:errors:2026-11-02T16:00:00Z");
    state.checks.get_mut("errors").unwrap().question = None;
    assert_eq!(buttons(&message(&shown(&state))), Vec::<String>::new());
}

#[test]
fn foreign_text_is_no_markup() {
    let people = people();
    let facts = Facts {
        requested_by: Some("arn:<!channel>"),
        reason: Some("a < b & <https://example.com|click>\nnew line"),
        ..facts(&people, UNDER_WAY)
    };
    let message = message(&card(&facts)).to_string();
    assert!(
        message.contains("a &lt; b &amp; &lt;https://example.com|click&gt; new line") && !message.contains("<!channel"),
        "{message}"
    );
}

/// Text that is hard to cut: long, of more than one unit, with characters that are written as several.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        "[a-z]{1,20}",
        prop::collection::vec(
            prop_oneof![Just('&'), Just('<'), Just('😀'), Just('`'), Just('ñ'), any::<char>()],
            0..4_000
        )
        .prop_map(String::from_iter),
    ]
}

fn no_more_than(text: &Value, limit: usize) -> Result<(), TestCaseError> {
    let text = text.as_str().unwrap();
    prop_assert!(length(text) <= limit, "{} of {limit}: {text}", length(text));
    Ok(())
}

/// The characters of all texts in a value.
fn texts_of(value: &Value) -> usize {
    match value {
        Value::Array(values) => values.iter().map(texts_of).sum(),
        Value::Object(members) => {
            let own = members.get("text").and_then(Value::as_str).map_or(0, length);
            own + members.values().map(texts_of).sum::<usize>()
        }
        _ => 0,
    }
}

/// The limits of Slack's reference, for the blocks that a card is made of.
fn keeps_the_limits(message: &Value) -> Result<(), TestCaseError> {
    no_more_than(&message["text"], 4_000)?;
    let blocks = message["blocks"].as_array().unwrap();
    prop_assert!((1..=50).contains(&blocks.len()));
    for block in blocks {
        match block["type"].as_str().unwrap() {
            "header" => {
                no_more_than(&block["text"]["text"], 150)?;
                prop_assert_ne!(&block["text"]["text"], "");
            }
            "section" => {
                no_more_than(&block["text"]["text"], 3_000)?;
                prop_assert_ne!(&block["text"]["text"], "");
            }
            "context" => no_more_than(&block["elements"][0]["text"], 3_000)?,
            "actions" => {
                for element in block["elements"].as_array().unwrap() {
                    no_more_than(&element["text"]["text"], 75)?;
                    no_more_than(&element["value"], 2_000)?;
                    no_more_than(&element["action_id"], 255)?;
                    no_more_than(&element["confirm"]["title"]["text"], 100)?;
                    no_more_than(&element["confirm"]["text"]["text"], 300)?;
                    no_more_than(&element["confirm"]["confirm"]["text"], 30)?;
                    let pointer: Pointer = serde_json::from_str(element["value"].as_str().unwrap()).unwrap();
                    prop_assert_eq!(pointer.environment.as_str(), "production");
                }
            }
            other => prop_assert!(false, "{other}"),
        }
    }
    // What it has in all is measured as who met the limit measured it, and kept well below.
    prop_assert!(
        texts_of(&message["blocks"]) <= 11_000,
        "{}",
        texts_of(&message["blocks"])
    );
    // What opens markup is ours, and whole; headers and buttons have none.
    let has_markup = |block: &&Value| block["type"] == "section" || block["type"] == "context";
    let marked: Vec<&Value> = blocks.iter().filter(has_markup).collect();
    let all = json!([message["text"], marked]).to_string();
    for opened in all.split('<').skip(1) {
        prop_assert!(opened.starts_with("!date^") && opened.contains('>'), "{opened}");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_the_facts_are_the_message_keeps_every_limit(
        texts in [text(), text(), text(), text(), text(), text(), text(), text()],
        many in 0_usize..80,
        stands in 0_usize..5,
    ) {
        let people = people();
        let [tag, reason, sentence, path, note, principal, check, why] = &texts;
        let summary = Summary {
            changes: vec![PlannedChange { family: path.clone(), path: path.clone(), kind: ChangeKind::Changed }; many],
            notes: vec![note.clone(); many],
            replaces: Some(tag.clone()),
            declared: crate::schema::Declared {
                labels: (0..many.min(20)).map(|index| (format!("{note}{index}"), note.clone())).collect(),
                ..summary().declared
            },
            ..summary()
        };
        let votes = vec![Vote {
            plan_hash: PLAN.to_owned(), principal: principal.clone(), approves: true, reason: Some(reason.clone()), at: Timestamp::UNIX_EPOCH,
        }; many];
        let reports = vec![report("approval", false, sentence); many];
        let question = Question { asked_at: Timestamp::UNIX_EPOCH, until: Timestamp::MAX, unanswered: Choice::Keep };
        let checks = (0..many).map(|index| (format!("{check}{index}"), CheckState {
            question: Some(question),
            last: Some(Measurement { at: Timestamp::UNIX_EPOCH, outcome: Outcome::Fail, sentence: sentence.clone(), counted: std::collections::BTreeSet::new(), lines: None, moments: Vec::new(), judged: None, baseline: None }),
            ..CheckState::default()
        })).collect();
        let state = State { checks, ..State::begun(Timestamp::UNIX_EPOCH) };
        let seen = Upstream { environment: tag.clone(), verification: Some(state.clone()), ..upstream() };
        let seen = vec![seen; many.min(19)];
        let end = End { reasons: vec![why.clone(); many], ..ended(Verdict::Failed, Effect::Unknown, Reason::Defect) };
        let closed = Closed::Rejected { by: principal.clone() };
        let approval = approval();
        let standing = match stands {
            0 => Standing::Gates { reports: &reports, since: Some(Timestamp::MIN), closed: None, approval: Some(&approval), removed: &[], windows: None },
            1 => Standing::Gates { reports: &reports, since: None, closed: Some(&closed), approval: None, removed: &[], windows: None },
            2 => Standing::Queued { since: Timestamp::MAX },
            3 => UNDER_WAY,
            _ => Standing::Ended { end: &end, at: None, asks_again: many % 2 == 0 },
        };
        let card = card(&Facts {
            earlier: Some(&self::summary()), tag, reason: Some(reason), requested_by: Some(principal), summary: Some(&summary), upstream: Some(&seen), votes: &votes,
            verification: Some(&state), quarantined: Some(why), ..facts(&people, standing)
        });
        keeps_the_limits(&message(&card))?;
        for alert in card.alerts() {
            no_more_than(&alert_message(alert)["text"], 3_000)?;
        }
    }

    /// What is cut says how much is left out, and everything that is shown or counted is the whole.
    #[test]
    fn a_line_that_is_cut_says_how_much_is_left_out(text in "[a-z&]{0,300}", limit in 60_usize..200) {
        let written = Line::text(text.as_str()).mrkdwn(limit);
        prop_assert!(length(&written) <= limit);
        let shown = written.replace("&amp;", "&");
        match shown.split_once('…') {
            None => prop_assert_eq!(shown, text),
            Some((beginning, note)) => {
                prop_assert!(text.starts_with(beginning));
                let left_out: usize = note.chars().filter(char::is_ascii_digit).collect::<String>().parse().unwrap();
                prop_assert_eq!(beginning.len() + left_out, text.len());
            }
        }
    }
}
