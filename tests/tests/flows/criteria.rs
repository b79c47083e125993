//! The criteria by which a release is taken back, each crossed, just not crossed, and crossed for a while.

use jiff::SignedDuration;
use serde_json::{Value, json};
use simulator::kernel::Site;

use crate::support::Account;

const CLUSTER: &str = "nest-demo-development";
const SERVICE: &str = "nest-demo";

/// Health failing for two minutes, more than five percent of errors in the first five, a latency of three times what it was for ten, and letters that nobody
/// could deliver.
const CRITERIA: &str = r#"    trigger: push
    verification:
      soak_seconds: 900
      checks:
        health:
          measure: {http: {url: "http://nest.example.com/health/ready", healthy: Healthy}}
          pace: {interval_seconds: 15, failing_seconds: 120}
        error-rate:
          measure:
            metric:
              metrics:
                errors: {namespace: Nest, name: Errors, dimensions: {Service: nest-demo}, statistic: Sum}
                requests: {namespace: Nest, name: Requests, dimensions: {Service: nest-demo}, statistic: Sum}
              expression: 100 * errors / requests
              limit: {at_most: 5}
              samples: {of: requests, at_least: 20}
          pace: {interval_seconds: 60, initial_delay_seconds: 60, until_seconds: 300}
        latency:
          measure:
            metric:
              metrics: {latency: {namespace: Nest, name: Latency, dimensions: {Service: nest-demo}, statistic: p99}}
              limit: {at_most_times_baseline: 3}
          pace: {interval_seconds: 60, initial_delay_seconds: 60, failing_seconds: 600}
        dead-letters:
          measure:
            metric:
              metrics: {letters: {namespace: Nest, name: Letters, dimensions: {Service: nest-demo}, statistic: Maximum}}
              limit: {at_most_above_baseline: 0}
              no_data: pass
          pace: {interval_seconds: 60, initial_delay_seconds: 60}
"#;

/// What the containers of an image show: each metric with its values, one a minute, and the answers of the endpoint.
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
    /// What the image says of its containers.
    fn behaviour(&self) -> Value {
        let metric = |name: &str, values: &[f64]| json!({"container": "nestapp", "namespace": "Nest", "name": name, "dimensions": {"Service": "${service}"}, "values": values});
        let metrics = [
            metric("Errors", &self.errors),
            metric("Requests", &self.requests),
            metric("Latency", &self.latency),
            metric("Letters", &self.letters),
        ];
        json!({"programs": [], "metrics": metrics, "http": self.http})
    }
}

/// How a release ends whose containers show this, over one that is well: verdict and reasons.
fn ends(shows: &Shows) -> (String, String) {
    let mut account = Account::with("nest-demo");
    let site = Site {
        cluster: CLUSTER.to_owned(),
        service: SERVICE.to_owned(),
        container: "nestapp".to_owned(),
    };
    let kernel = account.lab.world_mut().kernel_mut();
    kernel.sites.hosts.insert("nest.example.com".to_owned(), site);
    account.release_that_behaves("v1.0.0", &Shows::default().behaviour());
    account.pass(SignedDuration::from_mins(60));
    let text = std::fs::read_to_string(&account.example.file).unwrap();
    let file = account.written(&text.replace("    trigger: push\n", CRITERIA));
    account.esclusa(&["pipelines", "apply", &file.to_string_lossy()]);
    account.release_that_behaves("v1.1.0", &shows.behaviour());
    let release = account.releases().pop().unwrap();
    let end = account.status(&release)["end"]["verdict"].as_str().unwrap().to_owned();
    account.assert_left("FREE");
    (end, account.reasons())
}

#[track_caller]
fn passes(shows: &Shows) {
    let (verdict, reasons) = ends(shows);
    assert_eq!(verdict, "SUCCEEDED", "{reasons}");
}

#[track_caller]
fn is_taken_back(shows: &Shows, why: &str) {
    let (verdict, reasons) = ends(shows);
    assert_eq!(verdict, "ROLLED_BACK", "{reasons}");
    assert!(reasons.contains(why), "{reasons}");
}

/// Values, each for so many minutes.
fn minutes(values: &[(usize, f64)]) -> Vec<f64> {
    values
        .iter()
        .flat_map(|(count, value)| std::iter::repeat_n(*value, *count))
        .collect()
}

#[test]
fn a_release_that_shows_what_the_one_before_showed_is_good() {
    passes(&Shows::default());
}

#[test]
fn the_error_rate_of_the_first_minutes_takes_back_above_five_percent_of_enough_requests() {
    let shows = |errors: f64, requests: f64| Shows {
        errors: vec![errors],
        requests: vec![requests],
        ..Shows::default()
    };
    is_taken_back(
        &shows(6.0, 100.0),
        "check `error-rate`: it failed: 6, at most 5 is allowed",
    );
    passes(&shows(5.0, 100.0));
    is_taken_back(&shows(5.0, 10.0), "too few to tell");
    let later = Shows {
        errors: minutes(&[(12, 0.0), (100, 50.0)]),
        ..Shows::default()
    };
    passes(&later);
}

#[test]
fn a_latency_of_three_times_the_baseline_takes_back_unless_it_is_resolved_within_ten_minutes() {
    let shows = |latency: &[(usize, f64)]| Shows {
        latency: minutes(latency),
        ..Shows::default()
    };
    is_taken_back(
        &shows(&[(200, 0.61)]),
        "check `latency`: it failed for 600 seconds: 0.61, at most 3 times the baseline of 0.2",
    );
    passes(&shows(&[(200, 0.59)]));
    passes(&shows(&[(8, 0.9), (200, 0.3)]));
}

#[test]
fn a_dead_letter_takes_back_and_those_that_were_there_before_do_not() {
    let shows = |letters: &[(usize, f64)]| Shows {
        letters: minutes(letters),
        ..Shows::default()
    };
    is_taken_back(
        &shows(&[(5, 3.0), (200, 4.0)]),
        "check `dead-letters`: it failed: 4, at most 0 above the baseline of 3",
    );
    passes(&shows(&[(200, 2.0)]));
}

#[test]
fn an_endpoint_that_is_not_healthy_for_two_minutes_takes_back_and_says_which_of_its_checks_was_not() {
    let ill_for = |seconds: Option<u32>, status: u16| {
        let mut ill = report("Unhealthy", status);
        ill["after_seconds"] = json!(120);
        if let Some(seconds) = seconds {
            ill["for_seconds"] = json!(seconds);
        }
        Shows {
            http: vec![ill, report("Healthy", 200)],
            ..Shows::default()
        }
    };
    for status in [200, 503] {
        is_taken_back(
            &ill_for(None, status),
            &format!(
                "check `health`: it failed for 120 seconds: status {status}, Unhealthy, `npgsql` Healthy, `rabbitmq` Unhealthy, `redis` Healthy"
            ),
        );
    }
    passes(&ill_for(Some(60), 503));
    let silent = Shows {
        http: Vec::new(),
        ..Shows::default()
    };
    is_taken_back(&silent, "check `health`: it failed for 120 seconds: status 404");
}
