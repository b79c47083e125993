//! Metrics and the alarms that watch them.

use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::operation::get_metric_data::builders::GetMetricDataFluentBuilder;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{
    ComparisonOperator, Dimension, Metric, MetricDataQuery, MetricDatum, MetricStat, ScanBy, StateValue, Statistic,
    StatusCode,
};
use jiff::SignedDuration;

use super::simulation;
use crate::{Principal, Simulation};

/// The default start of a simulation, a whole hour.
const START: i64 = 1_793_610_000;

fn cloudwatch(simulation: &mut Simulation) -> Client {
    Client::new(&simulation.sdk_config(&Principal::Administrator))
}

fn service() -> Dimension {
    Dimension::builder().name("Service").value("shop").build()
}

fn datum(name: &str) -> aws_sdk_cloudwatch::types::builders::MetricDatumBuilder {
    MetricDatum::builder().metric_name(name).dimensions(service())
}

fn put(simulation: &mut Simulation, client: &Client, data: Vec<MetricDatum>) {
    let put = client.put_metric_data().namespace("shop").set_metric_data(Some(data));
    simulation.block_on(put.send()).unwrap();
}

fn stat(id: &str, name: &str, stat: &str) -> MetricDataQuery {
    let metric = Metric::builder()
        .namespace("shop")
        .metric_name(name)
        .dimensions(service())
        .build();
    let stat = MetricStat::builder().metric(metric).period(60).stat(stat).build();
    MetricDataQuery::builder().id(id).metric_stat(stat).build()
}

fn math(id: &str, expression: &str) -> MetricDataQuery {
    MetricDataQuery::builder().id(id).expression(expression).build()
}

/// The first ten minutes, oldest first.
fn get(client: &Client, queries: Vec<MetricDataQuery>) -> GetMetricDataFluentBuilder {
    client
        .get_metric_data()
        .start_time(DateTime::from_secs(START + 30))
        .end_time(DateTime::from_secs(START + 600))
        .scan_by(ScanBy::TimestampAscending)
        .set_metric_data_queries(Some(queries))
}

/// Minutes since the start with their values, by id.
fn read(simulation: &mut Simulation, request: GetMetricDataFluentBuilder) -> Vec<(String, Vec<(i64, f64)>)> {
    let answer = simulation.block_on(request.send()).unwrap();
    answer
        .metric_data_results()
        .iter()
        .map(|result| {
            let minutes = result.timestamps().iter().map(|at| (at.secs() - START) / 60);
            (
                result.id().unwrap().to_owned(),
                minutes.zip(result.values().iter().copied()).collect(),
            )
        })
        .collect()
}

fn at(minute: i64, second: i64) -> DateTime {
    DateTime::from_secs(START + 60 * minute + second)
}

#[test]
fn what_was_put_is_read_period_by_period_and_computed_with() {
    let mut simulation = simulation();
    let client = cloudwatch(&mut simulation);
    simulation.run_for(SignedDuration::from_mins(10));
    let data = vec![
        datum("Requests").timestamp(at(0, 0)).value(10.0).build(),
        datum("Requests").timestamp(at(0, 59)).value(30.0).build(),
        datum("Requests").timestamp(at(3, 0)).value(0.0).build(),
        datum("Errors").timestamp(at(0, 5)).value(4.0).build(),
        datum("Errors").timestamp(at(3, 5)).value(1.0).build(),
        datum("Latency")
            .timestamp(at(1, 1))
            .set_values(Some(vec![5.0, 100.0]))
            .set_counts(Some(vec![99.0, 1.0]))
            .build(),
    ];
    put(&mut simulation, &client, data);
    let hidden = |mut query: MetricDataQuery| {
        query.return_data = Some(false);
        query
    };
    let queries = vec![
        stat("requests", "Requests", "Sum"),
        hidden(stat("errors", "Errors", "Sum")),
        math("rate", "100 * errors / requests"),
        math("filled", "FILL(rate, 0)"),
        stat("p50", "Latency", "p50"),
        stat("p99_5", "Latency", "p99.5"),
        stat("count", "Latency", "SampleCount"),
        stat("nothing", "Nothing", "Average"),
    ];
    let read = read(&mut simulation, get(&client, queries));
    let filled = (0..10).map(|minute| (minute, if minute == 0 { 10.0 } else { 0.0 }));
    let expected: [(&str, Vec<(i64, f64)>); 7] = [
        ("requests", vec![(0, 40.0), (3, 0.0)]),
        ("rate", vec![(0, 10.0)]),
        ("filled", filled.collect()),
        ("p50", vec![(1, 5.0)]),
        ("p99_5", vec![(1, 100.0)]),
        ("count", vec![(1, 100.0)]),
        ("nothing", vec![]),
    ];
    let expected = expected.map(|(id, values)| (id.to_owned(), values));
    assert_eq!(read, expected);
}

#[test]
fn metrics_may_be_shown_late_a_whole_period_at_a_time() {
    let mut simulation = simulation();
    let client = cloudwatch(&mut simulation);
    simulation.run_for(SignedDuration::from_mins(10));
    let data = (0..10).map(|minute| datum("Requests").timestamp(at(minute, 10)).value(1.0).build());
    put(&mut simulation, &client, data.collect());
    let mut shown = |lag: i64| {
        simulation.world_mut().kernel_mut().metrics.lag = SignedDuration::from_secs(lag);
        let read = read(&mut simulation, get(&client, vec![stat("requests", "Requests", "Sum")]));
        read[0].1.last().map(|(minute, _)| *minute)
    };
    assert_eq!([shown(0), shown(150), shown(7_200)], [Some(9), Some(6), None]);
}

#[test]
fn a_large_body_arrives_compressed_and_many_datapoints_page_by_page() {
    let mut simulation = simulation();
    let client = cloudwatch(&mut simulation);
    simulation.run_for(SignedDuration::from_mins(10));
    let data: Vec<MetricDatum> = (0..500)
        .map(|second| datum("Requests").timestamp(at(0, second)).value(1.0).build())
        .collect();
    put(&mut simulation, &client, data);
    let request = || get(&client, vec![stat("requests", "Requests", "Sum")]).max_datapoints(5);
    let first = simulation.block_on(request().send()).unwrap();
    let token = first.next_token().unwrap().to_owned();
    let second = simulation.block_on(request().next_token(token).send()).unwrap();
    let codes: Vec<_> = [&first, &second]
        .map(|answer| answer.metric_data_results()[0].status_code().unwrap().clone())
        .to_vec();
    assert_eq!(codes, [StatusCode::PartialData, StatusCode::Complete]);
    let values: Vec<f64> = [&first, &second]
        .iter()
        .flat_map(|answer| answer.metric_data_results()[0].values().to_vec())
        .collect();
    assert_eq!(values, [[60.0; 8].as_slice(), &[20.0]].concat());
    assert_eq!(second.next_token(), None);
}

#[test]
fn what_is_not_simulated_of_metrics_says_so() {
    let mut simulation = simulation();
    let client = cloudwatch(&mut simulation);
    let refused = |simulation: &mut Simulation, query: MetricDataQuery, named: &str| {
        let queries = vec![stat("requests", "Requests", "Sum"), query];
        let error = simulation.block_on(get(&client, queries).send()).unwrap_err();
        let error = error.into_service_error();
        assert_eq!(
            error.meta().code(),
            Some("UnsupportedBySimulatorException"),
            "{error:?}"
        );
        assert!(error.meta().message().unwrap().contains(named), "{error:?}");
    };
    refused(&mut simulation, math("rate", "RATE(requests)"), "`RATE`");
    refused(&mut simulation, math("search", "SEARCH('{shop}', 'Sum')"), "`SEARCH`");
    refused(&mut simulation, stat("trimmed", "Requests", "tm99"), "`tm99`");
    let statistics = aws_sdk_cloudwatch::types::StatisticSet::builder()
        .sample_count(1.0)
        .sum(1.0)
        .minimum(1.0)
        .maximum(1.0)
        .build();
    let set = client
        .put_metric_data()
        .namespace("shop")
        .metric_data(datum("Requests").statistic_values(statistics).build());
    let error = simulation.block_on(set.send()).unwrap_err().into_service_error();
    assert!(
        error.meta().message().unwrap().contains("`StatisticValues`"),
        "{error:?}"
    );
    let own = client
        .put_metric_data()
        .namespace("AWS/ECS")
        .metric_data(datum("CPUUtilization").value(1.0).build());
    let error = simulation.block_on(own.send()).unwrap_err().into_service_error();
    assert!(error.is_invalid_parameter_value_exception(), "{error:?}");
}

/// The alarm `errors`: in each of two minutes more than five.
fn put_alarm(simulation: &mut Simulation, client: &Client) {
    let alarm = client
        .put_metric_alarm()
        .alarm_name("errors")
        .namespace("shop")
        .metric_name("Errors")
        .dimensions(service())
        .statistic(Statistic::Sum)
        .period(60)
        .evaluation_periods(2)
        .comparison_operator(ComparisonOperator::GreaterThanThreshold)
        .threshold(5.0)
        .treat_missing_data("notBreaching");
    simulation.block_on(alarm.send()).unwrap();
}

fn state(simulation: &mut Simulation, client: &Client) -> (StateValue, String) {
    let alarms = simulation.block_on(client.describe_alarms().send()).unwrap();
    let alarm = &alarms.metric_alarms()[0];
    (
        alarm.state_value().unwrap().clone(),
        alarm.state_reason().unwrap().to_owned(),
    )
}

fn set_by_hand(simulation: &mut Simulation, client: &Client, state: StateValue) {
    let set = client.set_alarm_state().alarm_name("errors").state_value(state);
    simulation.block_on(set.state_reason("said by hand").send()).unwrap();
}

#[test]
fn an_alarm_follows_its_metric_and_tells_every_change() {
    let mut simulation = simulation();
    let client = cloudwatch(&mut simulation);
    put_alarm(&mut simulation, &client);
    simulation.run_for(SignedDuration::from_mins(1));
    assert_eq!(
        state(&mut simulation, &client).0,
        StateValue::Ok,
        "missing data is within the threshold"
    );
    for _ in 0..2 {
        put(&mut simulation, &client, vec![datum("Errors").value(6.0).build()]);
        simulation.run_for(SignedDuration::from_mins(1));
    }
    let (value, reason) = state(&mut simulation, &client);
    assert_eq!(value, StateValue::Alarm);
    assert_eq!(
        reason,
        "Threshold Crossed: 2 out of the last 2 datapoints [6.0 (02/11/26 09:02:00), 6.0 (02/11/26 09:01:00)] were greater than the threshold (5.0) \
         (minimum 2 datapoints for OK -> ALARM transition)."
    );
    set_by_hand(&mut simulation, &client, StateValue::Ok);
    assert_eq!(
        state(&mut simulation, &client),
        (StateValue::Ok, "said by hand".to_owned())
    );
    simulation.run_for(SignedDuration::from_mins(1));
    assert_eq!(
        state(&mut simulation, &client).0,
        StateValue::Alarm,
        "the last datapoints still breach"
    );
    simulation.run_for(SignedDuration::from_mins(5));
    assert_eq!(state(&mut simulation, &client).0, StateValue::Ok);

    let events = simulation.world().events();
    let changes: Vec<(&str, &str)> = events
        .iter()
        .map(|event| {
            assert_eq!(event["detail-type"], "CloudWatch Alarm State Change");
            assert_eq!(
                event["resources"][0],
                "arn:aws:cloudwatch:us-east-1:123456789012:alarm:errors"
            );
            let value = |state: &str| event["detail"][state]["value"].as_str().unwrap();
            (value("previousState"), value("state"))
        })
        .collect();
    assert_eq!(
        changes,
        [
            ("INSUFFICIENT_DATA", "OK"),
            ("OK", "ALARM"),
            ("ALARM", "OK"),
            ("OK", "ALARM"),
            ("ALARM", "OK")
        ]
    );
    let metric = &events[1]["detail"]["configuration"]["metrics"][0]["metricStat"];
    assert_eq!(metric["metric"]["dimensions"]["Service"], "shop");
    assert_eq!(
        (metric["stat"].as_str(), metric["period"].as_i64()),
        (Some("Sum"), Some(60))
    );
}

#[test]
fn an_alarm_whose_metric_never_had_data_keeps_the_state_that_it_was_put_into() {
    let mut simulation = simulation();
    let client = cloudwatch(&mut simulation);
    put_alarm(&mut simulation, &client);
    set_by_hand(&mut simulation, &client, StateValue::Alarm);
    simulation.run_for(SignedDuration::from_mins(30));
    assert_eq!(state(&mut simulation, &client).0, StateValue::Alarm);
    put(&mut simulation, &client, vec![datum("Errors").value(0.0).build()]);
    simulation.run_for(SignedDuration::from_mins(1));
    assert_eq!(state(&mut simulation, &client).0, StateValue::Ok);
}

#[test]
fn an_alarm_can_watch_an_expression() {
    let mut simulation = simulation();
    let client = cloudwatch(&mut simulation);
    let mut errors = stat("errors", "Errors", "Sum");
    errors.return_data = Some(false);
    let mut requests = stat("requests", "Requests", "Sum");
    requests.return_data = Some(false);
    let alarm = client
        .put_metric_alarm()
        .alarm_name("errors")
        .set_metrics(Some(vec![errors, requests, math("rate", "errors / requests")]))
        .evaluation_periods(1)
        .comparison_operator(ComparisonOperator::GreaterThanOrEqualToThreshold)
        .threshold(0.5);
    simulation.block_on(alarm.send()).unwrap();
    let data = vec![datum("Errors").value(1.0).build(), datum("Requests").value(2.0).build()];
    put(&mut simulation, &client, data);
    simulation.run_for(SignedDuration::from_mins(1));
    assert_eq!(state(&mut simulation, &client).0, StateValue::Alarm);
}

#[test]
fn nothing_is_scheduled_any_more_when_the_last_alarm_has_gone() {
    let mut simulation = simulation();
    let client = cloudwatch(&mut simulation);
    put_alarm(&mut simulation, &client);
    simulation.run_for(SignedDuration::from_mins(3));
    simulation
        .block_on(client.delete_alarms().alarm_names("errors").send())
        .unwrap();
    simulation.run_for(SignedDuration::from_mins(2));
    assert!(!simulation.world_mut().step());
}
