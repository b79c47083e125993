use serde_json::json;

use super::*;

fn evaluate(source: &str) -> Result<Value, String> {
    evaluate_with(
        source,
        json!({"input": {"name": "catalog", "items": [1, 2, 3], "none": null}}),
        &Variables::new(),
    )
}

fn evaluate_with(source: &str, states: Value, variables: &Variables) -> Result<Value, String> {
    let scope = Scope {
        states,
        variables: [variables, &Variables::new()],
        now: "2026-11-02T09:00:00.120Z".parse().unwrap(),
        rng: fastrand::Rng::with_seed(7),
    };
    Evaluation::new(scope)?.evaluate(&Expression::parse(source)?)
}

#[test]
fn expressions_see_the_state_and_the_variables() {
    assert_eq!(evaluate("$states.input.name & '!'").unwrap(), json!("catalog!"));
    assert_eq!(evaluate("$states.input.none").unwrap(), json!(null));
    assert_eq!(evaluate("$sum($states.input.items) / 4").unwrap(), json!(1.5));
    let variables = Variables::from([("plan".to_owned(), json!({"bakeSeconds": 30}))]);
    assert_eq!(
        evaluate_with("$plan.bakeSeconds * 2", json!({}), &variables).unwrap(),
        json!(60)
    );
}

#[test]
fn whole_numbers_stay_whole() {
    assert_eq!(
        evaluate("[1, 2.5, 3 + 1, 1793610000123]").unwrap().to_string(),
        "[1,2.5,4,1793610000123]"
    );
}

#[test]
fn nothing_is_an_error_and_so_is_what_json_cannot_hold() {
    for (source, reason) in [
        ("$states.input.missing", "undefined"),
        ("name", "undefined"),
        ("$", "undefined"),
        ("$unknown", "undefined"),
        ("$sum", "a function"),
        ("function($x){$x}", "a function"),
        ("'a' + 1", "failed"),
    ] {
        let error = evaluate(source).unwrap_err();
        assert!(error.contains(reason), "{source}: {error}");
    }
    assert_eq!(
        evaluate("{'a': $states.input.missing, 'b': 1}").unwrap(),
        json!({"b": 1})
    );
}

#[test]
fn step_functions_adds_its_functions() {
    assert_eq!(
        evaluate("$partition([1,2,3,4,5], 2)").unwrap(),
        json!([[1, 2], [3, 4], [5]])
    );
    assert_eq!(evaluate("$range(0, 10, 5)").unwrap(), json!([0, 5, 10]));
    assert_eq!(evaluate("$range(3, 0, -2)").unwrap(), json!([3, 1]));
    assert_eq!(evaluate("$range(1, 0, 1)").unwrap(), json!([]));
    assert_eq!(
        evaluate("$hash('abc', 'SHA-256')").unwrap(),
        json!("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    );
    assert_eq!(evaluate("$parse('{\"a\": [1]}').a").unwrap(), json!([1]));
    assert_eq!(evaluate("$random(42) = $random(42)").unwrap(), json!(true));
    assert_eq!(evaluate("$random() = $random()").unwrap(), json!(false));
    let uuid = evaluate("$uuid()").unwrap();
    assert_eq!(uuid.as_str().unwrap().len(), 36);
    assert_eq!(uuid.as_str().unwrap().chars().nth(14), Some('4'));
    assert!(evaluate("$partition([1], 0)").is_err());
    assert!(evaluate("$range(1, 2, 0)").is_err());
    assert!(
        evaluate("$hash('a', 'MD5')")
            .unwrap_err()
            .contains("does not implement")
    );
}

#[test]
fn time_is_the_simulated_time() {
    assert_eq!(evaluate("$now()").unwrap(), json!("2026-11-02T09:00:00.120Z"));
    assert_eq!(evaluate("$millis()").unwrap(), json!(1_793_610_000_120_i64));
    assert_eq!(evaluate("$toMillis($now()) = $millis()").unwrap(), json!(true));
}

#[test]
fn what_step_functions_does_not_have_is_refused_before_it_runs() {
    for source in [
        "$eval('1')",
        "$states.input.a ?? 1",
        "$states.input.a ?: 1",
        "$map([1], function($x){$eval($x)})",
    ] {
        assert!(Expression::parse(source).is_err(), "{source}");
    }
    assert!(
        Expression::parse("$states.input.")
            .unwrap_err()
            .contains("is not JSONata")
    );
}

#[test]
fn references_are_what_an_expression_does_not_define_itself() {
    let expression = Expression::parse(
        "($local := $plan.steps; $map($local, function($step){ $step.id & $states.context.Execution.Name })[$limit > 0])",
    )
    .unwrap();
    let names = |set: &std::collections::BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>();
    assert_eq!(names(&expression.references().variables), ["limit", "plan"]);
    assert_eq!(names(&expression.references().states), ["context"]);
    assert_eq!(names(&expression.references().functions), ["map"]);
    assert_eq!(names(&Expression::parse("$states").unwrap().references().states), ["*"]);
}
