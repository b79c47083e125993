//! The criteria by which a release is taken back, each crossed, just not crossed, crossed for a while, and with nothing
//! or too little to see: how the release ends, and what the ledger holds of the looks.

use jiff::{SignedDuration, Timestamp};
use lab::images::Kind;
use serde_json::{Value, json};
use simulator::kernel::{Behaviour, Site};

use crate::gates::{CALLER, apply, with_gates};
use crate::support::{Account, measured};

const CLUSTER: &str = "nest-demo-development";
const SERVICE: &str = "nest-demo";

/// How a release ends: verdict, effect and reason.
const GOOD: &str = "SUCCEEDED none proven";
const TAKEN_BACK: &str = "ROLLED_BACK reverted verification_failed";
const NOT_SEEN: &str = "ROLLED_BACK reverted not_verified";

const PUSH: &str = "    trigger: push\n";
const VERIFICATION: &str =
    "    verification:\n      soak_seconds: 900\n      services: {interval_seconds: 60}\n      checks:\n";

/// A criterion: the name of its check, how a pipeline file says it, and how the reason begins when it is crossed.
#[derive(Clone, Copy)]
struct Criterion<'a> {
    check: &'static str,
    file: &'a str,
    how: &'static str,
}

/// Health failing for two minutes.
const HEALTH: Criterion<'_> = Criterion {
    check: "health",
    file: r#"        health:
          measure: {http: {url: "http://nest.example.com/health/ready", healthy: Healthy}}
          pace: {interval_seconds: 15, failing_seconds: 120}
"#,
    how: "it failed for 120 seconds",
};

/// More than five percent of errors in the first five minutes.
const ERROR_RATE: Criterion<'_> = Criterion {
    check: "error-rate",
    file: "        error-rate:
          measure:
            metric:
              metrics:
                errors: {namespace: Nest, name: Errors, dimensions: {Service: nest-demo}, statistic: Sum}
                requests: {namespace: Nest, name: Requests, dimensions: {Service: nest-demo}, statistic: Sum}
              expression: 100 * errors / requests
              limit: {at_most: 5}
              samples: {of: requests, at_least: 20}
          pace: {interval_seconds: 60, initial_delay_seconds: 60, until_seconds: 300}
",
    how: "it failed",
};

/// A latency, in milliseconds, of three times what it was, for ten minutes.
const LATENCY: Criterion<'_> = Criterion {
    check: "latency",
    file: "        latency:
          measure:
            metric:
              metrics:
                latency: {namespace: Nest, name: Latency, dimensions: {Service: nest-demo}, statistic: p99}
                requests: {namespace: Nest, name: Requests, dimensions: {Service: nest-demo}, statistic: Sum}
              expression: 1000 * latency
              limit: {at_most_times_baseline: 3}
              samples: {of: requests, at_least: 20}
          pace: {interval_seconds: 60, initial_delay_seconds: 60, failing_seconds: 600}
",
    how: "it failed for 600 seconds",
};

/// Letters that nobody could deliver.
const DEAD_LETTERS: Criterion<'_> = Criterion {
    check: "dead-letters",
    file: "        dead-letters:
          measure:
            metric:
              metrics: {letters: {namespace: Nest, name: Letters, dimensions: {Service: nest-demo}, statistic: Maximum}}
              limit: {at_most_above_baseline: 0}
              no_data: pass
          pace: {interval_seconds: 60, initial_delay_seconds: 60}
",
    how: "it failed",
};

const ALL: [Criterion<'_>; 4] = [HEALTH, ERROR_RATE, LATENCY, DEAD_LETTERS];

// What the looks show.
const EARLY: &str = "inconclusive: there is no datapoint of the release yet";
const NO_REQUESTS: &str = "inconclusive: there is no datapoint of `requests`, which counts the samples";
const FEW_REQUESTS: &str = "inconclusive: 19 samples of `requests`, too few to tell: 20 are needed";
const HEALTHY: &str = "pass: status 200, Healthy, `npgsql` Healthy, `rabbitmq` Healthy, `redis` Healthy";
const ILL: &str = "fail: status 503, Unhealthy, `npgsql` Healthy, `rabbitmq` Unhealthy, `redis` Healthy";
const FEW_ERRORS: &str = "pass: 5, at most 5 is allowed";
const ERRORS: &str = "fail: 6, at most 5 is allowed";
const SWIFT: &str = "pass: 200, at most 3 times the baseline of 200 is allowed";
const SLOW: &str = "fail: 601, at most 3 times the baseline of 200 is allowed";
const NO_LETTER: &str = "pass: 3, at most 0 above the baseline of 3 is allowed";
const LETTER: &str = "fail: 4, at most 0 above the baseline of 3 is allowed";

/// Seconds of which nobody sees the end.
const EVER: u32 = 86_400;

/// What the containers of an image show: each metric with its values, one a minute or none at all, and the answers of
/// the endpoint.
#[derive(Clone)]
struct Shows {
    errors: Vec<f64>,
    requests: Vec<f64>,
    latency: Vec<f64>,
    letters: Vec<f64>,
    http: Vec<Value>,
}

fn report(rabbitmq: &str, status: u16) -> Value {
    let word = if rabbitmq == "Healthy" { "Healthy" } else { "Unhealthy" };
    let checks = json!([{"name": "npgsql", "status": "Healthy"}, {"name": "rabbitmq", "status": rabbitmq}, {"name": "redis", "status": "Healthy"}]);
    json!({"path": "/health/ready", "status": status, "body": json!({"status": word, "checks": checks}).to_string()})
}

impl Default for Shows {
    fn default() -> Self {
        Self {
            errors: vec![0.0],
            requests: vec![100.0],
            latency: vec![0.2],
            letters: vec![3.0],
            http: vec![report("Healthy", 200)],
        }
    }
}

impl Shows {
    fn errors(errors: &[(usize, f64)], requests: f64) -> Self {
        Self {
            errors: minutes(errors),
            requests: vec![requests],
            ..Self::default()
        }
    }

    fn latency(latency: &[(usize, f64)], requests: f64) -> Self {
        Self {
            latency: minutes(latency),
            requests: vec![requests],
            ..Self::default()
        }
    }

    fn letters(letters: &[(usize, f64)]) -> Self {
        Self {
            letters: minutes(letters),
            ..Self::default()
        }
    }

    /// Nothing but that it is well.
    fn silent() -> Self {
        Self {
            errors: Vec::new(),
            requests: Vec::new(),
            latency: Vec::new(),
            letters: Vec::new(),
            ..Self::default()
        }
    }

    /// This answer from the third minute on, for so many seconds.
    fn answer(mut page: Value, seconds: u32) -> Self {
        page["after_seconds"] = json!(120);
        page["for_seconds"] = json!(seconds);
        Self {
            http: vec![page, report("Healthy", 200)],
            ..Self::default()
        }
    }

    /// What the image says of its containers.
    fn behaviour(&self) -> String {
        let metric = |(name, values): &(&str, &Vec<f64>)| json!({"container": "nestapp", "namespace": "Nest", "name": name, "dimensions": {"Service": "${service}"}, "values": values});
        let metrics = [
            ("Errors", &self.errors),
            ("Requests", &self.requests),
            ("Latency", &self.latency),
            ("Letters", &self.letters),
        ];
        let shown = metrics.iter().filter(|(_, values)| !values.is_empty()).map(metric);
        json!({"programs": [], "metrics": shown.collect::<Vec<_>>(), "http": self.http}).to_string()
    }
}

/// Values, each for so many minutes.
fn minutes(values: &[(usize, f64)]) -> Vec<f64> {
    values
        .iter()
        .flat_map(|(count, value)| std::iter::repeat_n(*value, *count))
        .collect()
}

/// An account in which a release has shown this for an hour and the next one is verified by these checks.
fn verified(before: &Shows, checks: &str) -> Account {
    let mut account = Account::with("nest-demo");
    let site = Site {
        cluster: CLUSTER.to_owned(),
        service: SERVICE.to_owned(),
        container: "nestapp".to_owned(),
    };
    let kernel = account.lab.world_mut().kernel_mut();
    kernel.sites.hosts.insert("nest.example.com".to_owned(), site);
    push(&mut account, "v1.0.0", before);
    account.settle();
    account.pass(SignedDuration::from_mins(60));
    let text = std::fs::read_to_string(&account.example.file).unwrap();
    let file = account.written(&text.replace(PUSH, &format!("{PUSH}{VERIFICATION}{checks}")));
    account.esclusa(&["pipelines", "apply", &file.to_string_lossy()]);
    account
}

fn push(account: &mut Account, tag: &str, shows: &Shows) {
    account.push_that_says(tag, Kind::Good, &[(Behaviour::ANNOTATION, &shows.behaviour())]);
}

/// What the ledger holds of the looks at a check: outcome and sentence of each, where they differ from those before.
fn evidence(account: &Account, check: &str) -> Vec<String> {
    let looks = account.records("checks_measured");
    let shown = looks.iter().filter_map(|look| measured(look, check));
    let text = |measured: &Value, member: &str| measured[member].as_str().unwrap().to_owned();
    let mut said: Vec<String> = shown
        .map(|measured| format!("{}: {}", text(measured, "outcome"), text(measured, "sentence")))
        .collect();
    said.dedup();
    said
}

fn moment(value: &Value) -> Timestamp {
    value.as_str().unwrap().parse().unwrap()
}

/// Asserts how the last release ended, over one that ran from this task definition: what runs now, whether its image is
/// in quarantine, and what the ledger holds of the end. The reason begins so, and ends with what was seen last.
#[track_caller]
fn assert_end(account: &mut Account, definition: &str, end: &str, check: &str, why: &str) {
    account.assert_all_ended(&[GOOD, end]);
    let is_back = account.definition_of(CLUSTER, SERVICE) == definition;
    let is_quarantined = account.esclusa(&["quarantine"]).out.contains("v1.1.0");
    assert_eq!((is_back, is_quarantined), (end != GOOD, end == TAKEN_BACK));
    let last = account.records("checks_measured").pop().unwrap()["body"]["end"].clone();
    if end == GOOD {
        assert_eq!(last["end"], "passed", "{last:#}");
    } else {
        let looks = evidence(account, check);
        let (outcome, sentence) = looks.last().unwrap().split_once(": ").unwrap();
        let shown = [&last["end"], &last["check"], &last["outcome"]];
        assert_eq!(shown, ["failed", check, outcome], "{last:#}");
        let said = last["why"].as_str().unwrap();
        assert!(said.contains(why) && said.ends_with(&format!(": {sentence}")), "{said}");
        let reasons = account.reasons();
        assert!(reasons.contains(said), "{reasons}");
    }
    account.pass(SignedDuration::from_mins(3));
    account.assert_left("FREE");
}

/// Asserts that everything was seen well for a quarter of an hour after the last look at the check that saw something
/// else.
#[track_caller]
fn assert_soaked(account: &Account, check: &str) {
    let looks = account.records("checks_measured");
    let last = looks.last().unwrap();
    let since = moment(&last["body"]["end"]["healthy_since"]);
    let shown = looks.iter().filter_map(|look| measured(look, check));
    let mut unwell = shown.filter(|measured| measured["outcome"] != "pass");
    assert!(unwell.all(|measured| moment(&measured["at"]) < since));
    let soaked = moment(&last["at"]).duration_since(since);
    assert!(soaked >= SignedDuration::from_mins(15), "{soaked}");
}

/// A release that shows this: how it ends, and what the looks at the check showed one after the other.
type Row = (Shows, &'static str, &'static [&'static str]);

/// Asserts how each of these releases ends, over one that shows what is said first.
#[track_caller]
fn assert_rows(before: &Shows, criterion: Criterion<'_>, rows: &[Row]) {
    let Criterion { check, file, how } = criterion;
    for (shows, end, looks) in rows {
        let mut account = verified(before, file);
        let definition = account.definition_of(CLUSTER, SERVICE);
        push(&mut account, "v1.1.0", shows);
        account.settle();
        assert_eq!(evidence(&account, check), *looks);
        let why = match *end {
            TAKEN_BACK => format!("check `{check}`: {how}: "),
            _ => format!(
                "it was not healthy for 900 seconds without interruption within 1800 seconds: check `{check}`: "
            ),
        };
        assert_end(&mut account, &definition, end, check, &why);
        if *end == GOOD {
            assert_soaked(&account, check);
        }
    }
}

#[test]
fn a_release_that_shows_what_the_one_before_showed_is_good() {
    let mut account = verified(&Shows::default(), &ALL.map(|criterion| criterion.file).concat());
    let definition = account.definition_of(CLUSTER, SERVICE);
    push(&mut account, "v1.1.0", &Shows::default());
    account.settle();
    let shown = ALL.map(|criterion| evidence(&account, criterion.check));
    let none = "pass: 0, at most 5 is allowed";
    assert_eq!(
        shown,
        [
            vec![HEALTHY],
            vec![EARLY, none],
            vec![EARLY, SWIFT],
            vec![EARLY, NO_LETTER]
        ]
    );
    for criterion in ALL {
        assert_soaked(&account, criterion.check);
    }
    assert_end(&mut account, &definition, GOOD, "", "");
}

/// What crosses all of them.
fn bad() -> Shows {
    let ill = Shows::answer(report("Unhealthy", 503), EVER);
    Shows {
        errors: vec![6.0],
        latency: vec![0.601],
        letters: vec![4.0],
        ..ill
    }
}

#[test]
fn criteria_that_only_report_are_measured_to_the_end_and_decide_nothing() {
    let reports = ALL.map(|criterion| format!("{}          reaction: report\n", criterion.file));
    let mut account = verified(&Shows::default(), &reports.concat());
    let definition = account.definition_of(CLUSTER, SERVICE);
    push(&mut account, "v1.1.0", &bad());
    account.settle();
    let shown = ALL.map(|criterion| evidence(&account, criterion.check));
    assert_eq!(
        shown,
        [
            vec![HEALTHY, ILL],
            vec![EARLY, ERRORS],
            vec![EARLY, SLOW],
            vec![EARLY, LETTER]
        ]
    );
    assert_end(&mut account, &definition, GOOD, "", "");
}

#[test]
fn of_several_criteria_the_one_that_is_crossed_is_named() {
    let mut account = verified(&Shows::default(), &ALL.map(|criterion| criterion.file).concat());
    let definition = account.definition_of(CLUSTER, SERVICE);
    push(&mut account, "v1.1.0", &Shows::letters(&[(1, 4.0)]));
    account.settle();
    assert_end(
        &mut account,
        &definition,
        TAKEN_BACK,
        "dead-letters",
        "check `dead-letters`: it failed: ",
    );
}

#[test]
fn the_error_rate_of_the_first_minutes_takes_back_above_five_percent_of_enough_requests() {
    let rows: [Row; 7] = [
        (Shows::errors(&[(1, 6.0)], 100.0), TAKEN_BACK, &[EARLY, ERRORS]),
        // The last minute that is whole within them.
        (
            Shows::errors(&[(4, 5.0), (1, 6.0), (200, 5.0)], 100.0),
            TAKEN_BACK,
            &[EARLY, FEW_ERRORS, ERRORS],
        ),
        (Shows::errors(&[(1, 5.0)], 100.0), GOOD, &[EARLY, FEW_ERRORS]),
        (
            Shows::errors(&[(7, 5.0), (100, 50.0)], 100.0),
            GOOD,
            &[EARLY, FEW_ERRORS],
        ),
        (Shows::silent(), NOT_SEEN, &[EARLY, NO_REQUESTS]),
        (Shows::errors(&[(1, 19.0)], 19.0), NOT_SEEN, &[EARLY, FEW_REQUESTS]),
        (
            Shows::errors(&[(1, 19.0)], 20.0),
            TAKEN_BACK,
            &[EARLY, "fail: 95, at most 5 is allowed"],
        ),
    ];
    assert_rows(&Shows::default(), ERROR_RATE, &rows);
}

/// CloudWatch shows the last of the first minutes two minutes late, when nobody looks at newer ones any more.
#[test]
fn the_last_of_the_first_minutes_decides_however_late_its_datapoint_comes() {
    for (errors, end) in [
        (&[(4, 5.0), (1, 6.0), (200, 5.0)][..], TAKEN_BACK),
        (&[(7, 5.0), (100, 50.0)], GOOD),
    ] {
        let mut account = verified(&Shows::default(), ERROR_RATE.file);
        account.lab.world_mut().kernel_mut().metrics.lag = SignedDuration::from_secs(120);
        let definition = account.definition_of(CLUSTER, SERVICE);
        push(&mut account, "v1.1.0", &Shows::errors(errors, 100.0));
        account.settle();
        assert_end(&mut account, &definition, end, ERROR_RATE.check, "it failed");
    }
}

/// What it was when somebody planned it is long ago when somebody agrees.
#[test]
fn the_baseline_is_what_was_there_right_before_the_first_step() {
    let mut account = verified(&Shows::letters(&[(70, 3.0), (2_000, 5.0)]), DEAD_LETTERS.file);
    let approval = "    approval: {approvers: [ana], unknown_pusher: is_nobody}\n";
    let gates = format!("{approval}{VERIFICATION}{}", DEAD_LETTERS.file);
    let text = with_gates(&account, &gates, [CALLER, "nobody"]);
    apply(&mut account, &text);
    push(&mut account, "v1.1.0", &Shows::letters(&[(1, 5.0)]));
    account.pass(SignedDuration::from_mins(90));
    let release = account.releases().pop().unwrap();
    account.esclusa(&["approve", &release]);
    account.settle();
    account.assert_all_ended(&[GOOD, GOOD]);
    let looks = ["pass: 5, at most 0 above the baseline of 5 is allowed"];
    assert_eq!(evidence(&account, DEAD_LETTERS.check), [&[EARLY][..], &looks].concat());
}

#[test]
fn a_latency_of_three_times_the_baseline_takes_back_unless_it_is_resolved_within_ten_minutes() {
    const JUST_SWIFT_ENOUGH: &str = "pass: 600, at most 3 times the baseline of 200 is allowed";
    let rows: [Row; 6] = [
        (Shows::latency(&[(1, 0.601)], 100.0), TAKEN_BACK, &[EARLY, SLOW]),
        (
            Shows::latency(&[(13, 0.601), (200, 0.2)], 100.0),
            TAKEN_BACK,
            &[EARLY, SLOW],
        ),
        (
            Shows::latency(&[(11, 0.601), (200, 0.2)], 100.0),
            GOOD,
            &[EARLY, SLOW, SWIFT],
        ),
        (Shows::latency(&[(1, 0.6)], 100.0), GOOD, &[EARLY, JUST_SWIFT_ENOUGH]),
        (Shows::silent(), NOT_SEEN, &[EARLY, NO_REQUESTS]),
        (Shows::latency(&[(1, 0.601)], 19.0), NOT_SEEN, &[EARLY, FEW_REQUESTS]),
    ];
    assert_rows(&Shows::default(), LATENCY, &rows);
}

#[test]
fn a_latency_without_one_from_before_to_compare_it_with_is_never_good() {
    const ALONE: &str = "inconclusive: 200, and there is no baseline from before the deployment";
    let rows: [Row; 1] = [(Shows::default(), NOT_SEEN, &[EARLY, ALONE])];
    assert_rows(&Shows::silent(), LATENCY, &rows);
}

#[test]
fn a_dead_letter_takes_back_and_those_that_were_there_before_do_not() {
    const FEWER: &str = "pass: 2, at most 0 above the baseline of 3 is allowed";
    let rows: [Row; 5] = [
        (
            Shows::letters(&[(5, 3.0), (200, 4.0)]),
            TAKEN_BACK,
            &[EARLY, NO_LETTER, LETTER],
        ),
        (
            Shows::letters(&[(5, 3.0), (2, 4.0), (200, 3.0)]),
            TAKEN_BACK,
            &[EARLY, NO_LETTER, LETTER],
        ),
        (Shows::letters(&[(1, 3.0)]), GOOD, &[EARLY, NO_LETTER]),
        (Shows::letters(&[(1, 2.0)]), GOOD, &[EARLY, FEWER]),
        (Shows::silent(), GOOD, &[EARLY, "pass: there is no datapoint"]),
    ];
    assert_rows(&Shows::default(), DEAD_LETTERS, &rows);
    const FIRST: &str = "fail: 1, at most 0 above the baseline of 0 is allowed";
    let rows: [Row; 1] = [(Shows::letters(&[(1, 1.0)]), TAKEN_BACK, &[EARLY, FIRST])];
    assert_rows(&Shows::silent(), DEAD_LETTERS, &rows);
}

/// The looks are five minutes apart, and the letter lay there for one of them. Nothing that comes before or after it is
/// bad.
#[test]
fn a_dead_letter_that_comes_and_goes_between_two_looks_takes_back() {
    let file = DEAD_LETTERS
        .file
        .replace("interval_seconds: 60", "interval_seconds: 300");
    let mut between = 0;
    // One of five minutes is the newest of its look, whichever that is.
    for before in 5..10 {
        let mut account = verified(&Shows::default(), &file);
        let definition = account.definition_of(CLUSTER, SERVICE);
        push(
            &mut account,
            "v1.1.0",
            &Shows::letters(&[(before, 3.0), (1, 4.0), (200, 3.0)]),
        );
        account.settle();
        let looks = evidence(&account, "dead-letters");
        let (bad, others) = looks.split_last().unwrap();
        assert!(bad.starts_with(LETTER), "{before} minutes: {looks:?}");
        assert!(
            others.iter().all(|look| [EARLY, NO_LETTER].contains(&look.as_str())),
            "{looks:?}"
        );
        between += usize::from(bad.contains(", in the 60 seconds until 2026-"));
        assert_end(
            &mut account,
            &definition,
            TAKEN_BACK,
            "dead-letters",
            "check `dead-letters`: it failed: ",
        );
    }
    assert_eq!(between, 4, "of 5 that were not the newest of their look");
}

#[test]
fn dead_letters_of_which_nothing_or_too_little_is_reported_are_judged_as_the_file_says() {
    let judged = |edits: &[(&str, &str)], row: Row| {
        let mut file = DEAD_LETTERS.file.to_owned();
        for (from, to) in edits {
            assert_eq!(file.matches(from).count(), 1, "`{from}`");
            file = file.replace(from, to);
        }
        let criterion = Criterion {
            file: &file,
            ..DEAD_LETTERS
        };
        assert_rows(&Shows::default(), criterion, &[row]);
    };
    let nothing = (
        Shows::silent(),
        NOT_SEEN,
        &[EARLY, "inconclusive: there is no datapoint"][..],
    );
    judged(&[("no_data: pass", "no_data: inconclusive")], nothing);
    let nothing = (Shows::silent(), TAKEN_BACK, &[EARLY, "fail: there is no datapoint"][..]);
    judged(&[("no_data: pass", "no_data: fail")], nothing);
    let counted =
        "Maximum}, reports: {namespace: Nest, name: Letters, dimensions: {Service: nest-demo}, statistic: SampleCount}";
    let enough = "expression: letters\n              samples: {of: reports, at_least: 2}";
    const FEW_REPORTS: &str = "inconclusive: 1 sample of `reports`, too few to tell: 2 are needed";
    let too_few = (Shows::letters(&[(1, 4.0)]), NOT_SEEN, &[EARLY, FEW_REPORTS][..]);
    judged(&[("Maximum}", counted), ("no_data: pass", enough)], too_few);
}

/// The looks are a quarter of a minute apart: an illness of 135 seconds is seen for two minutes, and one of 120 for a
/// look less.
#[test]
fn an_endpoint_that_is_not_healthy_for_two_minutes_takes_back_and_says_which_of_its_checks_was_not() {
    const ILL_WITH_200: &str = "fail: status 200, Unhealthy, `npgsql` Healthy, `rabbitmq` Unhealthy, `redis` Healthy";
    let ill = |status: u16, seconds: u32| Shows::answer(report("Unhealthy", status), seconds);
    let page = |status: u16, delay: u32| {
        let page = json!({"path": "/health/ready", "status": status, "delay_seconds": delay});
        Shows::answer(page, EVER)
    };
    let rows: [Row; 8] = [
        (ill(503, EVER), TAKEN_BACK, &[HEALTHY, ILL]),
        (ill(200, EVER), TAKEN_BACK, &[HEALTHY, ILL_WITH_200]),
        (ill(503, 135), TAKEN_BACK, &[HEALTHY, ILL]),
        (ill(503, 120), GOOD, &[HEALTHY, ILL, HEALTHY]),
        (ill(503, 15), GOOD, &[HEALTHY, ILL, HEALTHY]),
        (
            page(200, 10),
            TAKEN_BACK,
            &[HEALTHY, "fail: no answer within 5 seconds"],
        ),
        (
            page(200, 0),
            TAKEN_BACK,
            &[HEALTHY, "fail: status 200, but the body is not JSON"],
        ),
        (
            page(404, 0),
            TAKEN_BACK,
            &[HEALTHY, "fail: status 404, but the body is not JSON"],
        ),
    ];
    assert_rows(&Shows::default(), HEALTH, &rows);
}

/// A criterion about which a person is asked for so long, and what holds then.
struct Asked {
    criterion: Criterion<'static>,
    seconds: i64,
    unanswered: &'static str,
    crossed: Shows,
    recovers: Shows,
    fails: &'static str,
    /// A release about which there is nothing to ask.
    other: Row,
}

impl Asked {
    fn all() -> [Self; 3] {
        [
            Self {
                criterion: ERROR_RATE,
                seconds: 600,
                unanswered: "rollback",
                crossed: Shows::errors(&[(1, 6.0)], 100.0),
                recovers: Shows::errors(&[(8, 6.0), (200, 5.0)], 100.0),
                fails: ERRORS,
                other: (Shows::errors(&[(1, 19.0)], 19.0), NOT_SEEN, &[EARLY, FEW_REQUESTS]),
            },
            Self {
                criterion: LATENCY,
                seconds: 600,
                unanswered: "rollback",
                crossed: Shows::latency(&[(1, 0.601)], 100.0),
                recovers: Shows::latency(&[(8, 0.601), (200, 0.2)], 100.0),
                fails: SLOW,
                other: (Shows::silent(), NOT_SEEN, &[EARLY, NO_REQUESTS]),
            },
            Self {
                criterion: DEAD_LETTERS,
                seconds: 480,
                unanswered: "keep",
                crossed: Shows::letters(&[(1, 4.0)]),
                recovers: Shows::letters(&[(8, 4.0), (200, 3.0)]),
                fails: LETTER,
                other: (Shows::letters(&[(1, 3.0)]), GOOD, &[EARLY, NO_LETTER]),
            },
        ]
    }

    /// How a pipeline file says it: the time in which the latency may recover is that of the answer.
    fn file(&self) -> String {
        let file = self.criterion.file.replace(", failing_seconds: 600", "");
        let Self {
            seconds, unanswered, ..
        } = self;
        format!(
            "{file}          reaction: ask\n          ask: {{answer_seconds: {seconds}, unanswered: {unanswered}}}\n"
        )
    }

    /// An account in which a release that shows this is asked about, the task definition of the one before, and the
    /// question as the ledger holds it, beside the numbers of the look that asked.
    #[track_caller]
    fn asks(&self, shows: &Shows) -> (Account, String, Question) {
        let check = self.criterion.check;
        let mut account = verified(&Shows::default(), &self.file());
        let definition = account.definition_of(CLUSTER, SERVICE);
        push(&mut account, "v1.1.0", shows);
        account.pass(SignedDuration::from_mins(7));
        assert_eq!(evidence(&account, check), [EARLY, self.fails]);
        let looks = account.records("checks_measured");
        let mut asking = looks.iter().filter(|look| look["body"]["questions"] != json!([]));
        let look = asking.next().unwrap();
        let measured = measured(look, check).unwrap();
        assert_eq!(measured["outcome"], "fail", "{look:#}");
        let asked_at = moment(&measured["at"]);
        let until = asked_at + SignedDuration::from_secs(self.seconds);
        let question = json!({"check": check, "until": until, "unanswered": self.unanswered});
        assert_eq!(look["body"]["questions"], json!([question]));
        (account, definition, Question { asked_at, until })
    }
}

/// Since when somebody may answer, and until when.
struct Question {
    asked_at: Timestamp,
    until: Timestamp,
}

#[test]
fn a_person_who_is_asked_about_a_criterion_keeps_the_release_or_takes_it_back() {
    for asked in Asked::all() {
        for (order, choice, end) in [("--keep", "keep", GOOD), ("--roll-back", "rollback", TAKEN_BACK)] {
            let check = asked.criterion.check;
            let (mut account, definition, question) = asked.asks(&asked.crossed);
            let release = account.releases().pop().unwrap();
            let reason = "it is the load test";
            account.esclusa(&["answer", &release, "--check", check, order, "--reason", reason]);
            account.settle();
            assert_eq!(evidence(&account, check), [EARLY, asked.fails]);
            let decided = account.records("person_decided").pop().unwrap();
            let answer = json!({"askedAt": question.asked_at, "check": check, "choice": choice, "decision": "answer", "reason": reason});
            assert_eq!(decided["body"], answer);
            let who = decided["actor"].as_str().unwrap();
            assert_end(
                &mut account,
                &definition,
                end,
                check,
                &format!("and `{who}` decided: {reason}: "),
            );
        }
    }
}

#[test]
fn a_criterion_about_which_nobody_decides_takes_its_default_when_the_time_is_over() {
    for asked in Asked::all() {
        let check = asked.criterion.check;
        let (mut account, definition, question) = asked.asks(&asked.crossed);
        account.settle();
        assert_eq!(evidence(&account, check), [EARLY, asked.fails]);
        let last = account.records("checks_measured").pop().unwrap();
        let (end, settled) = match asked.unanswered {
            "keep" => (GOOD, moment(&last["body"]["end"]["healthy_since"])),
            _ => (TAKEN_BACK, moment(&last["at"])),
        };
        let late = settled.duration_since(question.until);
        assert!(!late.is_negative() && late < SignedDuration::from_mins(1), "{late}");
        assert_end(&mut account, &definition, end, check, "and nobody answered in time: ");
    }
}

#[test]
fn a_criterion_that_recovers_while_a_person_is_asked_is_no_question_any_more() {
    for asked in Asked::all() {
        let check = asked.criterion.check;
        let (mut account, definition, _) = asked.asks(&asked.recovers);
        account.settle();
        let looks = evidence(&account, check);
        let (well, before) = looks.split_last().unwrap();
        assert_eq!(before, [EARLY, asked.fails]);
        assert!(well.starts_with("pass: "), "{well}");
        assert_soaked(&account, check);
        assert_end(&mut account, &definition, GOOD, check, "");
    }
}

#[test]
fn a_criterion_that_is_not_crossed_or_cannot_be_seen_asks_nobody() {
    for asked in Asked::all() {
        let check = asked.criterion.check;
        let (shows, end, looks) = &asked.other;
        let mut account = verified(&Shows::default(), &asked.file());
        let definition = account.definition_of(CLUSTER, SERVICE);
        push(&mut account, "v1.1.0", shows);
        account.settle();
        assert_eq!(evidence(&account, check), *looks);
        let records = account.records("checks_measured");
        assert!(records.iter().all(|look| look["body"]["questions"] == json!([])));
        assert_end(
            &mut account,
            &definition,
            end,
            check,
            "it was not healthy for 900 seconds without interruption",
        );
    }
}
