use proptest::prelude::*;

use super::*;
use crate::error::Failure;

fn migration() -> StepOutline {
    StepOutline {
        kind: StepKind::Task,
        name: "migrate".into(),
        is_migration: true,
        idempotent: false,
        is_for_a_check: false,
    }
}

fn plain_task() -> StepOutline {
    StepOutline {
        is_migration: false,
        name: "warm-up".into(),
        ..migration()
    }
}

fn service(name: &str) -> StepOutline {
    StepOutline {
        kind: StepKind::Service,
        name: name.into(),
        is_migration: false,
        idempotent: false,
        is_for_a_check: false,
    }
}

fn record(mode: Mode, index: usize, attempt: u32, outcome: StepOutcome) -> StepRecord {
    StepRecord {
        step: StepReference { mode, index, attempt },
        outcome,
        sentence: String::new(),
        already_there: false,
    }
}

fn ahead(index: usize, outcome: StepOutcome) -> StepRecord {
    record(Mode::Forward, index, 1, outcome)
}

fn back(index: usize, outcome: StepOutcome) -> StepRecord {
    record(Mode::WayBack, index, 1, outcome)
}

fn failure() -> Option<Cause> {
    Some(Cause::Failure {
        kind: Some(ErrorKind::Refused),
        at: "JudgeService".into(),
        message: "it did not work".into(),
    })
}

fn facts(steps: &[StepOutline], records: &[StepRecord]) -> DeploymentFacts {
    DeploymentFacts {
        plan: Some(PlanOutline {
            unchanged: false,
            steps: steps.to_vec(),
        }),
        records: records.to_vec(),
        ..DeploymentFacts::default()
    }
}

fn pair(facts: &DeploymentFacts) -> (Verdict, Effect) {
    let end = conclude(facts);
    (end.verdict, end.effect)
}

#[test]
fn a_deployment_whose_steps_are_all_proven_succeeded_and_says_when_the_schema_moved() {
    assert_eq!(
        pair(&facts(&[service("api")], &[ahead(0, StepOutcome::Done)])),
        (Verdict::Succeeded, Effect::None)
    );
    let with_migration = facts(
        &[migration(), service("api")],
        &[ahead(0, StepOutcome::Done), ahead(1, StepOutcome::Done)],
    );
    assert_eq!(pair(&with_migration), (Verdict::Succeeded, Effect::SchemaMoved));
}

#[test]
fn what_runs_and_was_not_verified_is_no_success_and_is_brought_back_where_it_failed() {
    let ran = |verified: Verified, way_back: &[StepOutline], records: &[StepRecord]| {
        let records = [&[ahead(0, StepOutcome::Done)], records].concat();
        conclude(&DeploymentFacts {
            verified,
            way_back: way_back.to_vec(),
            ..facts(&[service("api")], &records)
        })
    };
    let why = || Verified::Failed {
        is_shown: true,
        why: "check `errors`: it failed".to_owned(),
    };
    let passed = ran(Verified::Passed, &[], &[]);
    assert_eq!((passed.verdict, passed.reason), (Verdict::Succeeded, Reason::Proven));
    assert!(
        passed.reasons[0].contains("verification passed"),
        "{:?}",
        passed.reasons
    );
    let back = ran(why(), &[service("api")], &[back(0, StepOutcome::Done)]);
    assert_eq!(
        (back.verdict, back.effect, back.reason),
        (Verdict::RolledBack, Effect::Reverted, Reason::VerificationFailed)
    );
    assert_eq!(back.reasons, ["the verification failed: check `errors`: it failed"]);
    let gave_way = || Verified::GaveWay { to: "newer".to_owned() };
    let soaked = ran(gave_way(), &[], &[]);
    assert_eq!(
        (soaked.verdict, soaked.effect, soaked.reason),
        (Verdict::Stopped, Effect::None, Reason::GaveWay)
    );
    assert!(soaked.is_in_force() && after(&soaked) == LocksAfter::Free);
    assert!(
        soaked.reasons[0].contains("gave way to `newer`"),
        "{:?}",
        soaked.reasons
    );
    let moved = ran(gave_way(), &[], &[ahead(0, StepOutcome::Foreign)]);
    assert!(!moved.is_in_force(), "somebody took it out of force: {moved:?}");
    let left = ran(why(), &[], &[]);
    assert_eq!(
        (left.verdict, left.effect, left.reason),
        (Verdict::Failed, Effect::Partial, Reason::VerificationFailed)
    );
    let cut_off = ran(Verified::Unfinished, &[], &[]);
    assert_eq!(
        (cut_off.verdict, cut_off.effect, cut_off.reason),
        (Verdict::Failed, Effect::Partial, Reason::Interrupted)
    );
    assert_eq!(cut_off.reasons, ["it was not verified to the end"]);
}

#[test]
fn a_missing_record_is_never_success() {
    let end = conclude(&facts(
        &[service("api"), service("worker")],
        &[ahead(0, StepOutcome::Done)],
    ));
    assert_eq!(
        (end.verdict, end.effect, end.reason),
        (Verdict::Failed, Effect::Partial, Reason::Interrupted)
    );
}

#[test]
fn a_breaker_that_rolled_back_is_rolled_back_and_a_completed_migration_stays_visible() {
    let clean = DeploymentFacts {
        cause: failure(),
        ..facts(&[service("api")], &[ahead(0, StepOutcome::Reverted)])
    };
    assert_eq!(pair(&clean), (Verdict::RolledBack, Effect::Reverted));
    let records = [ahead(0, StepOutcome::Done), ahead(1, StepOutcome::Reverted)];
    let moved = DeploymentFacts {
        cause: failure(),
        ..facts(&[migration(), service("api")], &records)
    };
    assert_eq!(pair(&moved), (Verdict::RolledBack, Effect::SchemaMoved));
    assert_eq!(conclude(&moved).reason, Reason::RolloutFailed);
}

#[test]
fn a_service_left_in_force_after_a_later_failure_is_partial_until_the_way_back_is_proven() {
    let steps = [service("worker"), service("api")];
    let forward = [ahead(0, StepOutcome::Done), ahead(1, StepOutcome::Reverted)];
    let stuck = DeploymentFacts {
        cause: failure(),
        ..facts(&steps, &forward)
    };
    assert_eq!(pair(&stuck), (Verdict::Failed, Effect::Partial));
    assert_eq!(after(&conclude(&stuck)), LocksAfter::Quarantine);

    let mut records = forward.to_vec();
    records.push(back(0, StepOutcome::Done));
    let returned = DeploymentFacts {
        way_back: vec![service("worker")],
        cause: failure(),
        ..facts(&steps, &records)
    };
    assert_eq!(pair(&returned), (Verdict::RolledBack, Effect::Reverted));
    assert_eq!(after(&conclude(&returned)), LocksAfter::Free);
}

#[test]
fn a_way_back_that_ecs_itself_took_back_leaves_the_release_in_force() {
    let records = [ahead(0, StepOutcome::Failed), back(0, StepOutcome::Reverted)];
    let facts = DeploymentFacts {
        way_back: vec![service("api")],
        cause: failure(),
        ..facts(&[service("api")], &records)
    };
    assert_eq!(pair(&facts), (Verdict::Failed, Effect::Partial));
}

#[test]
fn what_a_failed_task_leaves_depends_on_what_was_declared() {
    let ends = |step: StepOutline, outcome| {
        pair(&DeploymentFacts {
            cause: failure(),
            ..facts(&[step, service("api")], &[ahead(0, outcome)])
        })
    };
    let safe = StepOutline {
        idempotent: true,
        ..migration()
    };
    assert_eq!(
        ends(migration(), StepOutcome::Failed),
        (Verdict::Failed, Effect::SchemaMoved)
    );
    assert_eq!(
        ends(migration(), StepOutcome::Unknown),
        (Verdict::Failed, Effect::Unknown)
    );
    assert_eq!(
        ends(safe.clone(), StepOutcome::Failed),
        (Verdict::Failed, Effect::SchemaMoved)
    );
    assert_eq!(
        ends(safe.clone(), StepOutcome::Unknown),
        (Verdict::Failed, Effect::SchemaMoved)
    );
    assert_eq!(ends(safe, StepOutcome::Begun), (Verdict::Failed, Effect::Unknown));
    assert_eq!(ends(plain_task(), StepOutcome::Failed), (Verdict::Failed, Effect::None));
    assert_eq!(
        ends(plain_task(), StepOutcome::Unknown),
        (Verdict::Failed, Effect::Unknown)
    );
    assert_eq!(
        ends(migration(), StepOutcome::NeverStarted),
        (Verdict::Failed, Effect::None)
    );
}

#[test]
fn a_migration_that_was_not_declared_idempotent_and_started_twice_is_never_called_done() {
    let twice = [
        record(Mode::Forward, 0, 1, StepOutcome::Unknown),
        record(Mode::Forward, 0, 2, StepOutcome::Done),
    ];
    assert_eq!(pair(&facts(&[migration()], &twice)), (Verdict::Failed, Effect::Unknown));
    let second_start = [
        record(Mode::Forward, 0, 1, StepOutcome::NeverStarted),
        record(Mode::Forward, 0, 2, StepOutcome::Done),
    ];
    assert_eq!(
        pair(&facts(&[migration()], &second_start)),
        (Verdict::Succeeded, Effect::SchemaMoved)
    );
}

#[test]
fn a_foreign_change_is_not_fought_and_not_called_a_roll_back() {
    let records = [
        ahead(0, StepOutcome::Done),
        ahead(1, StepOutcome::Foreign),
        back(0, StepOutcome::Done),
    ];
    let facts = DeploymentFacts {
        way_back: vec![service("worker")],
        cause: failure(),
        ..facts(&[service("worker"), service("api")], &records)
    };
    let end = conclude(&facts);
    assert_eq!(
        (end.verdict, end.effect, end.reason),
        (Verdict::Failed, Effect::None, Reason::ForeignChange)
    );
}

#[test]
fn an_open_intent_is_unknown_unless_its_step_was_judged_or_it_only_registers() {
    let step = |attempt| {
        Some(StepReference {
            mode: Mode::Forward,
            index: 0,
            attempt,
        })
    };
    let with = |step| DeploymentFacts {
        open_intents: vec![OpenIntent {
            step,
            action: "ecs:UpdateService".into(),
            target: "imagy-catalog".into(),
        }],
        ..facts(&[service("api")], &[ahead(0, StepOutcome::Done)])
    };
    assert_eq!(pair(&with(step(1))), (Verdict::Succeeded, Effect::None));
    assert_eq!(pair(&with(None)), (Verdict::Succeeded, Effect::None));
    assert_eq!(pair(&with(step(2))), (Verdict::Failed, Effect::Unknown));
}

#[test]
fn an_open_intent_of_a_service_is_settled_by_the_proof_that_it_is_back() {
    let stop = |index| OpenIntent {
        step: Some(StepReference {
            mode: Mode::Forward,
            index,
            attempt: 1,
        }),
        action: "ecs:StopServiceDeployment".into(),
        target: "imagy-catalog".into(),
    };
    let with = |outcome, intent| DeploymentFacts {
        open_intents: vec![intent],
        way_back: vec![service("api")],
        cause: failure(),
        ..facts(
            &[service("api"), service("worker")],
            &[ahead(0, StepOutcome::Begun), back(0, outcome)],
        )
    };
    assert_eq!(
        pair(&with(StepOutcome::Done, stop(0))),
        (Verdict::RolledBack, Effect::Reverted)
    );
    for (outcome, intent) in [(StepOutcome::Begun, stop(0)), (StepOutcome::Done, stop(1))] {
        assert_eq!(pair(&with(outcome, intent)).1, Effect::Unknown);
    }
}

#[test]
fn a_decision_before_the_first_move_keeps_its_name_and_later_it_is_a_stop() {
    for (cause, verdict) in [
        (
            Cause::Superseded {
                by: "imagy-0123".into(),
            },
            Verdict::Superseded,
        ),
        (Cause::Rejected { by: "ana".into() }, Verdict::Rejected),
        (Cause::Expired, Verdict::Expired),
        (
            Cause::NotReplicated {
                image: "app".to_owned(),
                repository: "210987654321/eu-west-1/shop".to_owned(),
            },
            Verdict::Expired,
        ),
    ] {
        let early = DeploymentFacts {
            cause: Some(cause.clone()),
            ..facts(&[service("api")], &[])
        };
        assert_eq!(pair(&early), (verdict, Effect::None));
        let late = DeploymentFacts {
            cause: Some(cause),
            ..facts(&[service("api")], &[ahead(0, StepOutcome::Reverted)])
        };
        assert_eq!(pair(&late), (Verdict::Stopped, Effect::Reverted));
    }
}

#[test]
fn a_changed_plan_ends_the_attempt_clean_with_the_reason_that_the_release_machine_reads() {
    let cause = Cause::Failure {
        kind: Some(ErrorKind::PlanChanged),
        at: "PlanDeployment".into(),
        message: "cpu changed".into(),
    };
    let end = conclude(&DeploymentFacts {
        cause: Some(cause),
        ..DeploymentFacts::default()
    });
    assert_eq!(
        (end.verdict, end.effect, end.reason.as_str()),
        (Verdict::Failed, Effect::None, "plan_changed")
    );
}

/// The release would plan and ask again, and the migration would run a second time.
#[test]
fn no_plan_changes_once_a_step_was_begun() {
    let changed = Cause::Failure {
        kind: Some(ErrorKind::PlanChanged),
        at: "AwaitService".into(),
        message: "cpu changed".into(),
    };
    let steps = [migration(), service("api")];
    let never_started = [ahead(0, StepOutcome::NeverStarted)];
    let migrated = [ahead(0, StepOutcome::Done)];
    let moved = [ahead(0, StepOutcome::Done), ahead(1, StepOutcome::Begun)];
    for (records, reason) in [
        (&[][..], "plan_changed"),
        (&never_started, "task_never_started"),
        (&migrated, "defect"),
        (&moved, "defect"),
    ] {
        let end = conclude(&DeploymentFacts {
            cause: Some(changed.clone()),
            ..facts(&steps, records)
        });
        assert_eq!(end.reason.as_str(), reason, "{records:?}");
    }
}

#[test]
fn nothing_to_do_is_unchanged_only_when_nothing_was_begun() {
    let plan = Some(PlanOutline {
        unchanged: true,
        steps: vec![service("api")],
    });
    let untouched = DeploymentFacts {
        plan: plan.clone(),
        ..DeploymentFacts::default()
    };
    assert_eq!(pair(&untouched), (Verdict::Unchanged, Effect::None));
    let touched = DeploymentFacts {
        plan,
        records: vec![ahead(0, StepOutcome::Begun)],
        ..DeploymentFacts::default()
    };
    assert_eq!(pair(&touched), (Verdict::Failed, Effect::Unknown));
}

#[test]
fn a_release_ends_where_it_stopped_and_an_unrecorded_deployment_is_unknown() {
    let end = |verdict, effect| {
        Some(End {
            verdict,
            effect,
            reason: Reason::Proven,
            reasons: Vec::new(),
        })
    };
    let environment = |name: &str, end: Option<End>| EnvironmentEnd {
        environment: name.into(),
        started: end.is_some(),
        end,
    };
    let good = environment("develop", end(Verdict::Succeeded, Effect::SchemaMoved));
    let verdict_of = |environments: &[EnvironmentEnd]| {
        let end = release_end(environments, None);
        (end.verdict, end.effect)
    };
    assert_eq!(
        verdict_of(std::slice::from_ref(&good)),
        (Verdict::Succeeded, Effect::SchemaMoved)
    );
    assert_eq!(
        verdict_of(&[environment("develop", end(Verdict::Unchanged, Effect::None))]),
        (Verdict::Unchanged, Effect::None)
    );
    let rejected = environment("production", end(Verdict::Rejected, Effect::None));
    assert_eq!(verdict_of(&[good.clone(), rejected]), (Verdict::Rejected, Effect::None));
    assert_eq!(
        verdict_of(&[good.clone(), environment("production", None)]),
        (Verdict::Failed, Effect::None)
    );
    let running = EnvironmentEnd {
        environment: "production".into(),
        started: true,
        end: None,
    };
    let broken = Failure::transient("the last answer was lost");
    let end = release_end(std::slice::from_ref(&good), Some(&broken));
    assert_eq!(
        (end.verdict, end.effect),
        (Verdict::Succeeded, Effect::SchemaMoved),
        "what is in force stays in force when the release machine breaks after it"
    );
    assert_eq!(verdict_of(&[good, running]), (Verdict::Failed, Effect::Unknown));
    assert_eq!(verdict_of(&[]), (Verdict::Rejected, Effect::None));
}

#[test]
fn a_release_that_stopped_in_several_environments_of_a_wave_ends_as_where_it_left_most_behind() {
    let environment = |name: &str, verdict, effect, reason| EnvironmentEnd {
        environment: name.into(),
        started: true,
        end: Some(End {
            verdict,
            effect,
            reason,
            reasons: Vec::new(),
        }),
    };
    let left = environment("eu", Verdict::Rejected, Effect::None, Reason::WaveFailed);
    let refused = environment("us", Verdict::Failed, Effect::None, Reason::Refused);
    let dirty = environment("asia", Verdict::Failed, Effect::Partial, Reason::RolloutFailed);
    let end = release_end(&[left.clone(), refused.clone(), dirty], None);
    assert_eq!((end.verdict, end.effect), (Verdict::Failed, Effect::Partial));
    assert!(end.reasons[0].contains("`asia`"), "{:?}", end.reasons);
    // What stopped the others says more than that they were stopped.
    let end = release_end(&[left, refused.clone(), refused], None);
    assert_eq!(end.reason, Reason::Refused);
}

#[test]
fn a_task_that_a_check_judges_ends_nothing_by_itself() {
    let smoke = StepOutline {
        idempotent: true,
        is_for_a_check: true,
        ..plain_task()
    };
    let steps = [service("api"), smoke];
    for ended in [StepOutcome::Failed, StepOutcome::NeverStarted, StepOutcome::Unknown] {
        let records = [ahead(0, StepOutcome::Done), ahead(1, ended)];
        let verified = |verified: Verified| {
            conclude(&DeploymentFacts {
                verified,
                ..facts(&steps, &records)
            })
        };
        let kept = verified(Verified::Passed);
        assert_eq!(
            (kept.verdict, kept.effect, kept.reason),
            (Verdict::Succeeded, Effect::None, Reason::Proven),
            "{ended:?}"
        );
        let why = "check `smoke`: it failed".to_owned();
        let left = verified(Verified::Failed { is_shown: true, why });
        assert_eq!(
            (left.verdict, left.effect, left.reason),
            (Verdict::Failed, Effect::Partial, Reason::VerificationFailed),
            "{ended:?}"
        );
    }
    // Where nothing is verified, no check has said what it means.
    let failed = [ahead(0, StepOutcome::Done), ahead(1, StepOutcome::Failed)];
    assert_eq!(conclude(&facts(&steps, &failed)).reason, Reason::TaskFailed);
    let under_way = [ahead(0, StepOutcome::Done), ahead(1, StepOutcome::Begun)];
    assert_ne!(conclude(&facts(&steps, &under_way)).verdict, Verdict::Succeeded);
}

fn any_step() -> impl Strategy<Value = StepOutline> {
    let kind = prop_oneof![Just(StepKind::Task), Just(StepKind::Service)];
    let of = |(kind, name, is_migration, idempotent, is_for_a_check): (StepKind, u8, bool, bool, bool)| StepOutline {
        kind,
        name: name.to_string(),
        is_migration,
        idempotent,
        is_for_a_check,
    };
    (kind, 0..3_u8, any::<bool>(), any::<bool>(), any::<bool>()).prop_map(of)
}

fn any_outcome() -> impl Strategy<Value = StepOutcome> {
    proptest::sample::select(vec![
        StepOutcome::Begun,
        StepOutcome::Done,
        StepOutcome::NeverStarted,
        StepOutcome::Failed,
        StepOutcome::Reverted,
        StepOutcome::Foreign,
        StepOutcome::Unknown,
    ])
}

fn any_reference() -> impl Strategy<Value = StepReference> {
    (any::<bool>(), 0..4_usize, 1..4_u32).prop_map(|(forward, index, attempt)| StepReference {
        mode: if forward { Mode::Forward } else { Mode::WayBack },
        index,
        attempt,
    })
}

fn any_cause() -> impl Strategy<Value = Cause> {
    prop_oneof![
        proptest::sample::select(ErrorKind::ALL.to_vec()).prop_map(|kind| Cause::Failure {
            kind: Some(kind),
            at: String::new(),
            message: String::new()
        }),
        Just(Cause::Failure {
            kind: None,
            at: String::new(),
            message: String::new()
        }),
        Just(Cause::Superseded { by: String::new() }),
        Just(Cause::Rejected { by: String::new() }),
        Just(Cause::Expired),
        Just(Cause::Stopped {
            by: String::new(),
            why: String::new()
        }),
    ]
}

fn any_verified() -> impl Strategy<Value = Verified> {
    prop_oneof![
        Just(Verified::NotAsked),
        Just(Verified::Unfinished),
        Just(Verified::Passed),
        Just(Verified::GaveWay { to: "newer".to_owned() }),
        Just(Verified::Failed {
            is_shown: true,
            why: String::new()
        }),
        Just(Verified::Failed {
            is_shown: false,
            why: String::new()
        }),
    ]
}

prop_compose! {
    fn any_facts()(
        plan in proptest::option::of((any::<bool>(), proptest::collection::vec(any_step(), 0..4))),
        way_back in proptest::collection::vec(any_step(), 0..3),
        records in proptest::collection::vec((any_reference(), any_outcome(), any::<bool>()), 0..6),
        verified in any_verified(),
        cause in proptest::option::of(any_cause()),
        intents in proptest::collection::vec(proptest::option::of(any_reference()), 0..3),
    ) -> DeploymentFacts {
        DeploymentFacts {
            plan: plan.map(|(unchanged, steps)| PlanOutline { unchanged, steps }),
            way_back,
            left: Vec::new(),
            records: records.into_iter().map(|(step, outcome, already_there)| StepRecord { step, outcome, sentence: String::new(), already_there }).collect(),
            verified,
            cause,
            open_intents: intents.into_iter().map(|step| OpenIntent { step, action: String::new(), target: String::new() }).collect(),
        }
    }
}

fn already_there(record: StepRecord) -> StepRecord {
    StepRecord {
        already_there: true,
        ..record
    }
}

#[test]
fn a_service_that_ran_the_release_before_is_nothing_of_the_deployment() {
    let (web, worker) = (service("web"), service("worker"));
    let adopted = already_there(ahead(0, StepOutcome::Done));
    let all_done = [adopted.clone(), ahead(1, StepOutcome::Done)];
    let end = conclude(&facts(&[web.clone(), worker.clone()], &all_done));
    assert_eq!((end.verdict, end.effect), (Verdict::Succeeded, Effect::None));

    let mut failed = facts(&[web.clone(), worker], &[adopted, ahead(1, StepOutcome::Reverted)]);
    failed.cause = failure();
    let end = conclude(&failed);
    assert_eq!((end.verdict, end.effect), (Verdict::RolledBack, Effect::Reverted));

    let never_moved = already_there(back(0, StepOutcome::Done));
    let mut failed = facts(std::slice::from_ref(&web), &[ahead(0, StepOutcome::Begun), never_moved]);
    failed.way_back = vec![web];
    failed.cause = failure();
    let end = conclude(&failed);
    assert_eq!(
        (end.verdict, end.effect),
        (Verdict::Failed, Effect::None),
        "what never moved was not rolled back"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_096))]

    #[test]
    fn every_end_is_in_the_table_and_says_why(facts in any_facts()) {
        let end = conclude(&facts);
        prop_assert!(legal(end.verdict, end.effect), "{} / {}", end.verdict, end.effect);
        prop_assert!(!end.reasons.is_empty());
        prop_assert_eq!(after(&end) == LocksAfter::Quarantine, end.effect.is_dirty());
    }

    #[test]
    fn success_needs_every_step_done_and_no_cause(facts in any_facts()) {
        let end = conclude(&facts);
        if end.verdict == Verdict::Succeeded {
            prop_assert!(facts.cause.is_none());
            for (index, step) in facts.plan.as_ref().unwrap().steps.iter().enumerate() {
                let mut records = facts.records.iter().filter(|record| record.step.index == index);
                let is_judged = step.is_for_a_check && facts.verified != Verified::NotAsked;
                prop_assert!(records.any(|record| record.outcome == StepOutcome::Done || is_judged && record.outcome != StepOutcome::Begun));
            }
            prop_assert!(facts.records.iter().all(|record| record.step.mode == Mode::Forward));
        }
    }

    #[test]
    fn the_order_of_the_records_does_not_matter(facts in any_facts()) {
        let mut unique = facts;
        unique.records.sort();
        unique.records.dedup_by_key(|record| record.step);
        let end = conclude(&unique);
        unique.records.reverse();
        prop_assert_eq!(conclude(&unique), end);
    }

    #[test]
    fn an_unproven_step_never_hides_behind_a_clean_effect(facts in any_facts(), index in 0..4_usize) {
        let mut facts = facts;
        let attempt = 9;
        facts.records.push(StepRecord { step: StepReference { mode: Mode::Forward, index, attempt }, outcome: StepOutcome::Begun, sentence: String::new(), already_there: false });
        facts.way_back.clear();
        facts.records.retain(|record| record.step.mode == Mode::Forward);
        prop_assert_eq!(conclude(&facts).effect, Effect::Unknown);
    }
}

#[test]
fn a_migration_that_was_taken_back_leaves_nothing_and_one_whose_way_down_failed_leaves_the_schema() {
    let (migrate, web) = (migration(), service("web"));
    let with = |down: Option<StepOutcome>| {
        let mut records = vec![
            ahead(0, StepOutcome::Done),
            ahead(1, StepOutcome::Failed),
            back(0, StepOutcome::Done),
        ];
        records.extend(down.map(|outcome| back(1, outcome)));
        let mut facts = facts(&[migrate.clone(), web.clone()], &records);
        facts.way_back = vec![web.clone(), migrate.clone()];
        facts.cause = failure();
        pair(&facts)
    };
    assert_eq!(with(Some(StepOutcome::Done)), (Verdict::RolledBack, Effect::Reverted));
    for outcome in [StepOutcome::NeverStarted, StepOutcome::Failed] {
        assert_eq!(
            with(Some(outcome)),
            (Verdict::RolledBack, Effect::SchemaMoved),
            "{outcome:?}"
        );
    }
    assert_eq!(with(None), (Verdict::RolledBack, Effect::SchemaMoved));
    for outcome in [StepOutcome::Begun, StepOutcome::Unknown] {
        assert_eq!(with(Some(outcome)), (Verdict::Failed, Effect::Unknown), "{outcome:?}");
    }
}

#[test]
fn what_the_way_back_leaves_is_said_in_the_end() {
    let (migrate, web) = (migration(), service("web"));
    let mut facts = facts(
        &[migrate, web],
        &[ahead(0, StepOutcome::Done), ahead(1, StepOutcome::Failed)],
    );
    facts.cause = failure();
    facts.left = vec!["`web` is not brought back".to_owned()];
    let end = conclude(&facts);
    assert_eq!((end.verdict, end.effect), (Verdict::Failed, Effect::Partial));
    assert!(
        end.reasons.contains(&"`web` is not brought back".to_owned()),
        "{:?}",
        end.reasons
    );
}
