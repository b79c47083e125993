use proptest::prelude::*;
use serde_json::json;

use super::*;

fn chain(length: usize) -> (Vec<Record>, Head) {
    let mut head = Head::genesis(Chain::release("imagy-catalog-0123456789abcdef0123"));
    let mut records = Vec::new();
    for index in 0..length {
        let mut draft = Draft::new(
            RecordKind::ALL[index % RecordKind::ALL.len()],
            "record",
            Body::new(&json!({"index": index})).unwrap(),
        );
        draft.application = Some("imagy-catalog".into());
        draft.environment = (index % 2 == 0).then(|| "develop".into());
        let at = Timestamp::from_millisecond(1_790_000_000_000 + i64::try_from(index).unwrap()).unwrap();
        let (record, next) = append(&head, draft, at);
        records.push(record);
        head = next;
    }
    (records, head)
}

fn damage(records: &[Record], head: &Head) -> (u64, Damage) {
    let broken = verify(records, head).unwrap_err();
    (broken.sequence, broken.what)
}

fn sequence(index: usize) -> u64 {
    u64::try_from(index).unwrap() + 1
}

#[test]
fn a_record_is_stored_and_read_back_with_the_same_hash() {
    let (mut record, _) = append(
        &Head::genesis(Chain::application("imagy-catalog")),
        Draft::new(
            RecordKind::PipelineApplied,
            "ana",
            Body::new(&json!({"b": 1, "a": 2})).unwrap(),
        ),
        "2026-11-21T00:00:00.123456789Z".parse().unwrap(),
    );
    let stored = serde_json::to_value(&record).unwrap();
    assert_eq!(stored["at"], "2026-11-21T00:00:00.123Z");
    assert_eq!(stored["body"], r#"{"a":2,"b":1}"#);
    assert_eq!(stored["kind"], "pipeline_applied");
    assert_eq!(record.day(), "2026-11-21");
    let read: Record = serde_json::from_value(stored.clone()).unwrap();
    assert_eq!(read, record);
    assert_eq!(read.computed_hash(), record.hash);
    // Exactly the stored members but `hash` are hashed.
    let mut others = stored;
    others.as_object_mut().unwrap().shift_remove("hash");
    assert_eq!(canonical_sha256(&others), record.hash);
    record.environment_key = Some(String::new());
    assert_ne!(record.computed_hash(), record.hash);
}

#[test]
fn a_record_is_found_by_its_environment_where_it_names_one_of_an_application() {
    let (records, _) = chain(2);
    assert_eq!(records[0].environment_key.as_deref(), Some("imagy-catalog/develop"));
    assert_eq!(records[1].environment_key, None);
    let mut draft = Draft::new(RecordKind::PipelineApplied, "ana", Body::new(&json!({})).unwrap());
    draft.environment = Some("develop".into());
    let (record, _) = append(&Head::genesis(Chain::application("shop")), draft, Timestamp::UNIX_EPOCH);
    assert_eq!(record.environment_key, None);
}

#[test]
fn what_is_named_like_a_token_is_refused_at_any_depth_and_a_client_token_is_not() {
    for name in [
        "token",
        "taskToken",
        "TaskToken",
        "task_token",
        "secret",
        "Authorization",
    ] {
        let failure = Body::new(&json!({"answer": [{name: "AQB8"}]})).unwrap_err();
        assert!(
            failure.message.contains(name) && !failure.message.contains("AQB8"),
            "{failure}"
        );
    }
    assert!(Body::new(&json!({"clientToken": "0123", "secrets": {"REDIS": "arn:aws:secretsmanager:…"}})).is_ok());
}

#[test]
fn an_empty_chain_is_whole_only_against_an_empty_head() {
    let head = Head::genesis(Chain::release("r"));
    assert_eq!(verify(&[], &head).unwrap().head, head);
    assert_eq!(damage(&[], &chain(3).1), (1, Damage::Truncated));
}

#[test]
fn a_record_of_another_chain_is_named() {
    let (mut records, head) = chain(3);
    records[1].chain = Chain::release("other");
    assert_eq!(damage(&records, &head), (2, Damage::ForeignChain));
}

#[test]
fn a_chain_rewritten_consistently_to_its_end_shows_at_the_anchor() {
    let (records, head) = chain(4);
    let mut forged = records[..1].to_vec();
    let mut reached = forged[0].head();
    for record in &records[1..] {
        let (record, next) = append(
            &reached,
            Draft::new(record.kind, "somebody else", record.body.clone()),
            record.at,
        );
        forged.push(record);
        reached = next;
    }
    assert_eq!(damage(&forged, &head), (4, Damage::Rewritten));
}

/// One way to change each field of a record, without touching its hash.
fn mutate(record: &mut Record, field: usize) {
    match field {
        0 => record.at += jiff::SignedDuration::from_millis(1),
        1 => {
            record.kind = if record.kind == RecordKind::Judged {
                RecordKind::Outcome
            } else {
                RecordKind::Judged
            }
        }
        2 => record.application = record.application.as_deref().map(|name| format!("{name}x")),
        3 => record.environment = Some("production".into()),
        4 => record.environment_key = Some("x/y".into()),
        5 => record.digest = Some("sha256:0".into()),
        6 => record.release_id = Some("r".into()),
        7 => record.deployment_id = Some("d".into()),
        8 => record.actor.push('x'),
        9 => record.intent_id = Some("i".into()),
        10 => record.body = Body::new(&json!({"index": "another"})).unwrap(),
        11 => record.previous_hash = record.previous_hash.chars().rev().collect::<String>() + "0",
        _ => record.hash.push('0'),
    }
}

proptest! {
    #[test]
    fn an_untouched_chain_is_whole(length in 0..12_usize) {
        let (records, head) = chain(length);
        prop_assert_eq!(verify(&records, &head).unwrap().head, head);
    }

    #[test]
    fn any_single_changed_field_is_found_and_named(length in 1..12_usize, index in any::<prop::sample::Index>(), field in 0..13_usize) {
        let (mut records, head) = chain(length);
        let index = index.index(length);
        mutate(&mut records[index], field);
        prop_assert_eq!(damage(&records, &head), (sequence(index), Damage::Changed));
    }

    #[test]
    fn a_changed_record_with_a_new_hash_of_its_own_is_found_and_named(length in 1..12_usize, index in any::<prop::sample::Index>(), field in 0..11_usize) {
        let (mut records, head) = chain(length);
        let index = index.index(length);
        mutate(&mut records[index], field);
        records[index].hash = records[index].computed_hash();
        prop_assert_eq!(damage(&records, &head), (sequence(index), Damage::Rewritten));
    }

    #[test]
    fn a_removed_record_is_found_and_named(length in 2..12_usize, index in any::<prop::sample::Index>()) {
        let (mut records, head) = chain(length);
        let index = index.index(length - 1);
        records.remove(index);
        prop_assert_eq!(damage(&records, &head), (sequence(index), Damage::Missing));
    }

    #[test]
    fn a_cut_end_is_found_and_named(length in 1..12_usize, kept in any::<prop::sample::Index>()) {
        let (mut records, head) = chain(length);
        let kept = kept.index(length);
        records.truncate(kept);
        prop_assert_eq!(damage(&records, &head), (sequence(kept), Damage::Truncated));
    }

    #[test]
    fn two_swapped_records_are_found_and_the_first_is_named(length in 2..12_usize, a in any::<prop::sample::Index>(), b in any::<prop::sample::Index>()) {
        let (mut records, head) = chain(length);
        let a = a.index(length);
        let b = (a + 1 + b.index(length - 1)) % length;
        records.swap(a, b);
        prop_assert_eq!(damage(&records, &head), (sequence(a.min(b)), Damage::Reordered));
    }

    #[test]
    fn a_repeated_record_is_found_and_named(length in 1..12_usize, index in any::<prop::sample::Index>()) {
        let (mut records, head) = chain(length);
        let index = index.index(length);
        let copy = records[index].clone();
        records.insert(index + 1, copy);
        let expected = if index + 1 == length { sequence(index) } else { sequence(index + 1) };
        prop_assert_eq!(damage(&records, &head), (expected, Damage::Reordered));
    }

    #[test]
    fn a_record_beyond_the_anchored_head_is_found_and_named(length in 2..12_usize, anchor in any::<prop::sample::Index>()) {
        let (records, _) = chain(length);
        let anchor = anchor.index(length - 1);
        prop_assert_eq!(damage(&records, &records[anchor].head()), (sequence(anchor + 1), Damage::BeyondHead));
    }
}
