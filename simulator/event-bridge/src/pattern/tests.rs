use proptest::prelude::*;
use serde_json::{Value, json};

use super::Pattern;

fn matches(pattern: &Value, event: &Value) -> bool {
    Pattern::compile(pattern).unwrap().matches(event)
}

/// The push of an image, as ECR describes it.
fn push(tag: &str) -> Value {
    json!({
        "version": "0",
        "id": "13cde686-328b-6117-af20-0e5566167482",
        "detail-type": "ECR Image Action",
        "source": "aws.ecr",
        "account": "123456789012",
        "time": "2026-11-02T09:00:00Z",
        "region": "us-east-1",
        "resources": [],
        "detail": {"result": "SUCCESS", "repository-name": "apps/api", "action-type": "PUSH", "image-tag": tag},
    })
}

#[test]
fn each_operator_accepts_and_refuses_what_the_user_guide_says() {
    let table: &[(&str, Value, &[Value], &[Value])] = &[
        (
            "equals",
            json!("Alice"),
            &[json!("Alice")],
            &[json!("alice"), json!("Alice "), json!(1), json!(null)],
        ),
        ("empty", json!(""), &[json!("")], &[json!(" "), json!(null)]),
        (
            "null",
            json!(null),
            &[json!(null)],
            &[json!(""), json!("null"), json!(false), json!(0)],
        ),
        (
            "boolean",
            json!(true),
            &[json!(true)],
            &[json!("true"), json!(1), json!(false)],
        ),
        (
            "number",
            json!(100),
            &[json!(100)],
            &[json!("100"), json!(101), json!(100.0)],
        ),
        (
            "prefix",
            json!({"prefix": "us-"}),
            &[json!("us-east-1"), json!("us-")],
            &[json!("eu-us-"), json!("US-"), json!(5)],
        ),
        (
            "prefix, any case",
            json!({"prefix": {"equals-ignore-case": "EventB"}}),
            &[json!("EVENTBridge"), json!("eventb")],
            &[json!("event")],
        ),
        (
            "suffix",
            json!({"suffix": ".png"}),
            &[json!("a.png")],
            &[json!("a.PNG"), json!(".pn")],
        ),
        (
            "suffix, any case",
            json!({"suffix": {"equals-ignore-case": ".png"}}),
            &[json!("a.PnG")],
            &[json!("a.jpg")],
        ),
        (
            "ignore case",
            json!({"equals-ignore-case": "alice"}),
            &[json!("ALICE")],
            &[json!("alice!"), json!(null)],
        ),
        (
            "anything but text",
            json!({"anything-but": "initializing"}),
            &[json!("running"), json!(3), json!(null), json!("INITIALIZING")],
            &[json!("initializing")],
        ),
        (
            "anything but number",
            json!({"anything-but": 123}),
            &[json!(124), json!("123")],
            &[json!(123)],
        ),
        (
            "anything but texts",
            json!({"anything-but": ["stopped", "overloaded"]}),
            &[json!("running")],
            &[json!("stopped"), json!("overloaded")],
        ),
        (
            "anything but numbers",
            json!({"anything-but": [100, 200]}),
            &[json!(300)],
            &[json!(100), json!(200)],
        ),
        (
            "anything but prefix",
            json!({"anything-but": {"prefix": "init"}}),
            &[json!("running"), json!(1)],
            &[json!("init"), json!("initializing")],
        ),
        (
            "anything but prefixes",
            json!({"anything-but": {"prefix": ["init", "error"]}}),
            &[json!("ok")],
            &[json!("initial"), json!("error-5")],
        ),
        (
            "anything but suffix",
            json!({"anything-but": {"suffix": ".txt"}}),
            &[json!("a.png")],
            &[json!("a.txt")],
        ),
        (
            "anything but, any case",
            json!({"anything-but": {"equals-ignore-case": "initializing"}}),
            &[json!("running")],
            &[json!("INITIALIZING")],
        ),
        (
            "anything but, any case, of several",
            json!({"anything-but": {"equals-ignore-case": ["initializing", "stopped"]}}),
            &[json!("running")],
            &[json!("STOPPED")],
        ),
        (
            "anything but wildcard",
            json!({"anything-but": {"wildcard": "*/lib/*"}}),
            &[json!("/usr/bin/x")],
            &[json!("/usr/lib/x")],
        ),
        (
            "numeric equal",
            json!({"numeric": ["=", 3.018e2]}),
            &[json!(301.8)],
            &[json!("301.8"), json!(301)],
        ),
        (
            "numeric range",
            json!({"numeric": [">", 0, "<=", 5]}),
            &[json!(5), json!(0.1)],
            &[json!(0), json!(5.1)],
        ),
        (
            "numeric bound",
            json!({"numeric": ["<", 10]}),
            &[json!(-4), json!(9.99)],
            &[json!(10), json!(null)],
        ),
        (
            "cidr 4",
            json!({"cidr": "10.0.0.0/24"}),
            &[json!("10.0.0.255")],
            &[json!("10.0.1.0"), json!("10.0.0"), json!("::1"), json!(10)],
        ),
        (
            "cidr of everything",
            json!({"cidr": "0.0.0.0/0"}),
            &[json!("203.0.113.9")],
            &[json!("::1")],
        ),
        (
            "cidr 6",
            json!({"cidr": "2001:db8::/32"}),
            &[json!("2001:db8:1::1")],
            &[json!("2001:db9::1")],
        ),
        (
            "exists",
            json!({"exists": true}),
            &[json!(null), json!(""), json!(0)],
            &[json!({}), json!([])],
        ),
        (
            "absent",
            json!({"exists": false}),
            &[json!({"not": "a leaf"}), json!([])],
            &[json!(null), json!("x")],
        ),
        (
            "wildcard",
            json!({"wildcard": "dir/*.png"}),
            &[json!("dir/a.png"), json!("dir/b/.png")],
            &[json!("dirx/a.png"), json!("dir/a.pngx"), json!(1)],
        ),
        (
            "escaped wildcard",
            json!({"wildcard": "a\\*b\\\\*"}),
            &[json!("a*b\\c")],
            &[json!("axb\\c")],
        ),
        ("any element", json!("b"), &[json!(["a", "b"])], &[json!(["a", "c"])]),
        (
            "anything but, some element",
            json!({"anything-but": "b"}),
            &[json!(["a", "b"])],
            &[json!(["b", "b"])],
        ),
    ];
    for (name, operator, accepted, refused) in table {
        let pattern = json!({"detail": {"field": [operator]}});
        for value in *accepted {
            assert!(
                matches(&pattern, &json!({"detail": {"field": value}})),
                "{name} should accept {value}"
            );
        }
        for value in *refused {
            assert!(
                !matches(&pattern, &json!({"detail": {"field": value}})),
                "{name} should refuse {value}"
            );
        }
    }
}

#[test]
fn an_absent_field_satisfies_nothing_but_its_absence() {
    let event = json!({"detail": {"other": 1}});
    let operators = [
        json!(null),
        json!({"anything-but": "x"}),
        json!({"anything-but": {"prefix": "x"}}),
        json!({"exists": true}),
    ];
    for operator in operators {
        assert!(
            !matches(&json!({"detail": {"field": [operator]}}), &event),
            "{operator} accepted an absent field"
        );
    }
    assert!(matches(&json!({"detail": {"field": ["x", {"exists": false}]}}), &event));
    assert!(matches(
        &json!({"detail": {"field": ["x", {"exists": false}]}}),
        &json!({"detail": {"field": "x"}})
    ));
    assert!(!matches(
        &json!({"detail": {"field": ["x", {"exists": false}]}}),
        &json!({"detail": {"field": "y"}})
    ));
}

#[test]
fn keys_are_joined_by_and_and_alternatives_of_a_key_by_or() {
    let pattern = json!({"source": ["aws.ecr"], "detail": {"result": ["SUCCESS"], "image-tag": ["v1", "v2"]}});
    assert!(matches(&pattern, &push("v2")));
    assert!(!matches(&pattern, &push("v3")));
    let failed = json!({"source": "aws.ecr", "detail": {"result": "FAILURE", "image-tag": "v1"}});
    assert!(!matches(&pattern, &failed));
}

#[test]
fn or_reaches_over_keys_and_nests() {
    let pattern = json!({
        "source": ["aws.cloudwatch"],
        "$or": [
            {"metricName": ["CPUUtilization", "ReadLatency"]},
            {"metricType": ["MetricType"], "namespace": ["AWS/EC2"], "$or": [{"metricId": [1234]}, {"spaceId": [1000]}]},
            {"scope": ["Service"]},
        ],
    });
    assert!(matches(
        &pattern,
        &json!({"source": "aws.cloudwatch", "metricName": "ReadLatency"})
    ));
    assert!(matches(
        &pattern,
        &json!({"source": "aws.cloudwatch", "scope": "Service"})
    ));
    let inner =
        json!({"source": "aws.cloudwatch", "metricType": "MetricType", "namespace": "AWS/EC2", "spaceId": 1000});
    assert!(matches(&pattern, &inner));
    assert!(!matches(
        &pattern,
        &json!({"source": "aws.cloudwatch", "metricType": "MetricType", "namespace": "AWS/EC2"})
    ));
    assert!(!matches(&pattern, &json!({"source": "other", "scope": "Service"})));
}

#[test]
fn conditions_inside_an_array_hold_for_one_element() {
    let event = json!({"employees": [[{"first": "Anna", "last": "Smith"}], [{"first": "Peter", "last": "Jones"}]]});
    assert!(matches(
        &json!({"employees": {"first": ["Anna"], "last": ["Smith"]}}),
        &event
    ));
    assert!(!matches(
        &json!({"employees": {"first": ["Anna"], "last": ["Jones"]}}),
        &event
    ));
    assert!(matches(
        &json!({"employees": {"first": ["Anna"], "age": [{"exists": false}]}}),
        &event
    ));
}

#[test]
fn the_trigger_pattern_takes_tags_and_leaves_signatures() {
    let pattern = json!({
        "source": ["aws.ecr"],
        "detail-type": ["ECR Image Action"],
        "detail": {
            "action-type": ["PUSH"],
            "result": ["SUCCESS"],
            "repository-name": [{"prefix": "apps/"}],
            "image-tag": [{"anything-but": {"prefix": "sha256-"}}],
        },
    });
    assert!(matches(&pattern, &push("v1.2.3")));
    assert!(!matches(&pattern, &push("sha256-4f53cda18c2baa0c.sig")));
    let mut untagged = push("");
    untagged["detail"].as_object_mut().unwrap().remove("image-tag");
    assert!(!matches(&pattern, &untagged));
}

#[test]
fn a_mistake_is_refused_when_the_pattern_is_compiled() {
    let table = [
        (json!([]), "Filter is not an object"),
        (json!({}), "Empty objects are not allowed"),
        (json!({"detail": {}}), "Empty objects are not allowed at `detail`"),
        (json!({"source": "aws.ecr"}), "\"source\" must be an object or an array"),
        (json!({"source": []}), "Empty arrays are not allowed at `source`"),
        (
            json!({"a": {"b": [{"contains": "x"}]}}),
            "Unrecognized match type contains at `a.b`",
        ),
        (
            json!({"a": [{"prefix": "x", "suffix": "y"}]}),
            "Only one key allowed in match expression",
        ),
        (
            json!({"a": [["x"]]}),
            "Match value must be String, number, true, false, or null",
        ),
        (json!({"a": [{"prefix": 1}]}), "prefix match pattern must be a string"),
        (
            json!({"a": [{"exists": "yes"}]}),
            "exists match pattern must be either true or false",
        ),
        (
            json!({"a": [{"anything-but": ["x", 1]}]}),
            "either all values are number or string",
        ),
        (
            json!({"a": [{"anything-but": true}]}),
            "Value of anything-but must be an array or single string/number value",
        ),
        (
            json!({"a": [{"anything-but": {"numeric": ["<", 1]}}]}),
            "Unsupported anything-but pattern: numeric",
        ),
        (
            json!({"a": [{"numeric": ["<", 5, ">", 1]}]}),
            "numeric takes one comparison",
        ),
        (
            json!({"a": [{"numeric": [">", 5, "<", 1]}]}),
            "numeric takes one comparison",
        ),
        (
            json!({"a": [{"numeric": ["<", 6.0e9]}]}),
            "numeric takes comparisons with numbers",
        ),
        (
            json!({"a": [{"numeric": ["<"]}]}),
            "numeric takes comparisons with numbers",
        ),
        (json!({"a": [{"cidr": "10.0.0.0/33"}]}), "Malformed CIDR"),
        (json!({"a": [{"wildcard": "a**b"}]}), "Consecutive wildcard characters"),
        (json!({"a": [{"wildcard": "a\\b"}]}), "Invalid escape character"),
        (
            json!({"$or": [{"a": ["x"]}]}),
            "`$or` must be an array of at least two objects",
        ),
        (
            json!({"$or": [{"a": ["x"]}, {"prefix": ["x"]}]}),
            "`prefix` is an operator",
        ),
    ];
    for (pattern, reason) in table {
        let error = Pattern::compile(&pattern).unwrap_err();
        assert!(
            error.reason.contains(reason),
            "{pattern} was refused with `{}`",
            error.reason
        );
    }
    let either = json!([{"x": [1]}, {"y": [1]}]);
    let wide: serde_json::Map<_, _> = (0..10)
        .map(|index| (format!("f{index}"), json!({"$or": either})))
        .collect();
    assert!(
        Pattern::compile(&Value::Object(wide))
            .unwrap_err()
            .reason
            .contains("combinations")
    );
}

/// Any JSON object of names and scalars, nested a little, with arrays of scalars.
fn events() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a-zA-Z*\\\\ ]{0,6}".prop_map(Value::from),
    ];
    let leaf = prop_oneof![3 => scalar.clone(), 1 => prop::collection::vec(scalar, 1..3).prop_map(Value::from)];
    let object = |values: BoxedStrategy<Value>| {
        prop::collection::btree_map("[a-d]", values, 1..4)
            .prop_map(|members| Value::Object(members.into_iter().collect()))
            .boxed()
    };
    object(leaf.boxed().prop_recursive(3, 16, 4, object).boxed())
}

/// The pattern that asks for exactly this event.
fn exact(event: &Value) -> Value {
    match event {
        Value::Object(members) => Value::Object(
            members
                .iter()
                .map(|(name, member)| (name.clone(), exact(member)))
                .collect(),
        ),
        Value::Array(values) => json!([values.first()]),
        scalar => json!([scalar]),
    }
}

proptest! {
    #[test]
    fn an_event_matches_the_pattern_made_from_it(event in events()) {
        prop_assert!(matches(&exact(&event), &event));
    }

    #[test]
    fn a_further_key_never_admits_more_events(event in events(), wanted in events(), further in events()) {
        let narrow = {
            let mut narrow = exact(&wanted);
            narrow.as_object_mut().unwrap().insert("z".to_owned(), exact(&further));
            narrow
        };
        prop_assert!(!matches(&narrow, &event) || matches(&exact(&wanted), &event));
    }

    #[test]
    fn a_further_alternative_never_admits_fewer_events(value in "[a-c*]{0,4}", one in "[a-c]{0,4}", other in "[a-c]{0,4}") {
        let event = json!({"field": value});
        let narrow = json!({"field": [{"prefix": one}]});
        let wide = json!({"field": [{"prefix": one}, {"suffix": other}]});
        prop_assert!(!matches(&narrow, &event) || matches(&wide, &event));
    }

    #[test]
    fn a_wildcard_between_two_texts_is_their_prefix_and_suffix(
        text in "[ab]{0,8}", first in "[ab]{0,3}", last in "[ab]{0,3}",
    ) {
        let wanted = text.len() >= first.len() + last.len() && text.starts_with(&first) && text.ends_with(&last);
        let pattern = json!({"field": [{"wildcard": format!("{first}*{last}")}]});
        prop_assert_eq!(matches(&pattern, &json!({"field": text})), wanted);
    }
}
