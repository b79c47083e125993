//! What is counted and timed. A measure is a line of the log in the embedded metric format of CloudWatch, which makes
//! metrics of it: no call, no permission, no time. <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>
//!
//! Every measure has the dimension `service`, the stack's name. Others are words of few values each: every combination
//! is a metric that is paid for. What a measure is about, such as the release, stands beside it in its line, where
//! CloudWatch Logs Insights finds it.

use esclusa_core::error::ErrorKind;
use esclusa_core::verdict::{Effect, StepKind, StepOutcome, Verdict};
use jiff::SignedDuration;
use serde_json::{Map, Value, json};

/// The target of measures among the events of `tracing`.
pub(crate) const TARGET: &str = "esclusa_runtime::telemetry";

/// What every metric is called, with its own dimensions.
pub const METRICS: [(&str, &[&str]); 12] = [
    ("DeploymentSeconds", &["verdict", "effect"]),
    ("StepSeconds", &["step", "outcome"]),
    ("ReleaseSeconds", &["verdict", "effect"]),
    ("QuarantinedLocks", &[]),
    ("RunningImagesGone", &[]),
    ("WaitSeconds", &["wait", "woken_by"]),
    ("GateSeconds", &["gate"]),
    ("SweepFinds", &["found"]),
    ("Sweeps", &["sweeper"]),
    ("SweepFailures", &[]),
    ("EventLagSeconds", &["detail_type"]),
    ("FailedInvocations", &["error_kind"]),
];

/// Something that is counted or timed. A repeat of the function that measures may measure again: these are for people
/// to look at and to be woken by, and nothing is decided by them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Measure<'a> {
    /// A deployment has ended: `DeploymentSeconds`, from its start.
    DeploymentEnded {
        /// Which.
        deployment_id: &'a str,
        /// What became of it.
        verdict: Verdict,
        /// What it left.
        effect: Effect,
        /// From its start to its end.
        took: SignedDuration,
    },
    /// A step of a deployment that has ended was judged: `StepSeconds`, from its beginning.
    StepJudged {
        /// The deployment.
        deployment_id: &'a str,
        /// A one-off task, or a service.
        step: StepKind,
        /// What is known about it.
        outcome: StepOutcome,
        /// From its beginning to its judgement.
        took: SignedDuration,
    },
    /// A release has ended: `ReleaseSeconds`, with its waits at gates.
    ReleaseEnded {
        /// Which.
        release_id: &'a str,
        /// What became of it.
        verdict: Verdict,
        /// The worst that it left.
        effect: Effect,
        /// From its claim to its end.
        took: SignedDuration,
    },
    /// How many locks are in quarantine at this moment: `QuarantinedLocks`. None is a measure too.
    Quarantined {
        /// How many.
        locks: usize,
    },
    /// An image that environments run was deleted or archived: `RunningImagesGone`.
    ImageGone {
        /// In how many environments it runs.
        environments: usize,
    },
    /// A state of a state machine was woken: `WaitSeconds`.
    WaitEnded {
        /// The deployment that waited, or that its release waited for.
        deployment_id: &'a str,
        /// What it waited for, such as `task`.
        wait: &'a str,
        /// Who found that it is over: `read`, `event` or `sweep`.
        woken_by: &'a str,
        /// From the moment the state was entered.
        took: SignedDuration,
    },
    /// A gate that was closed has opened, or does not matter any more: `GateSeconds`.
    GateOpened {
        /// Which gate.
        gate: &'a str,
        /// Since the release stands at the gates.
        took: SignedDuration,
    },
    /// A sweep has found what an event or an execution should have done: `SweepFinds`. Waits that a sweep ended are in
    /// `WaitSeconds`.
    Found {
        /// What: `push`, `release`, `end` or `act`.
        found: &'a str,
        /// How many.
        count: usize,
    },
    /// A sweep has gone its round, whatever became of what it looked at: `Sweeps`. Where there are none, nothing makes
    /// up for what is lost.
    Swept {
        /// The function.
        sweeper: &'a str,
    },
    /// Some of what a sweep looked at could not be looked at, or put right, or there was not enough time for all of it:
    /// `SweepFailures`.
    SweepFailed,
    /// An event was taken up: `EventLagSeconds`, since what it tells of has happened.
    EventTaken {
        /// What kind of event.
        detail_type: &'a str,
        /// How late it came.
        lag: SignedDuration,
    },
    /// An invocation has failed: `FailedInvocations`.
    InvocationFailed {
        /// The kind of its failure.
        kind: ErrorKind,
    },
}

impl Measure<'_> {
    /// Writes it to the log.
    pub fn emit(self) {
        let (name, value) = match self {
            Self::DeploymentEnded { took, .. } => ("DeploymentSeconds", took.as_secs_f64()),
            Self::StepJudged { took, .. } => ("StepSeconds", took.as_secs_f64()),
            Self::ReleaseEnded { took, .. } => ("ReleaseSeconds", took.as_secs_f64()),
            Self::Quarantined { locks } => ("QuarantinedLocks", number(locks)),
            Self::ImageGone { environments } => ("RunningImagesGone", number(environments)),
            Self::WaitEnded { took, .. } => ("WaitSeconds", took.as_secs_f64()),
            Self::GateOpened { took, .. } => ("GateSeconds", took.as_secs_f64()),
            Self::Found { count: 0, .. } => return,
            Self::Found { count, .. } => ("SweepFinds", number(count)),
            Self::Swept { .. } => ("Sweeps", 1.0),
            Self::SweepFailed => ("SweepFailures", 1.0),
            Self::EventTaken { lag, .. } => ("EventLagSeconds", lag.as_secs_f64()),
            Self::InvocationFailed { .. } => ("FailedInvocations", 1.0),
        };
        let (verdict, effect) = match self {
            Self::DeploymentEnded { verdict, effect, .. } | Self::ReleaseEnded { verdict, effect, .. } => {
                (Some(verdict.as_str()), Some(effect.as_str()))
            }
            _ => (None, None),
        };
        let (step, outcome) = match self {
            Self::StepJudged { step, outcome, .. } => (Some(step.as_str()), Some(outcome.as_str())),
            _ => (None, None),
        };
        let (wait, woken_by) = match self {
            Self::WaitEnded { wait, woken_by, .. } => (Some(wait), Some(woken_by)),
            _ => (None, None),
        };
        let (release_id, deployment_id) = match self {
            Self::ReleaseEnded { release_id, .. } => (Some(release_id), None),
            Self::DeploymentEnded { deployment_id, .. }
            | Self::StepJudged { deployment_id, .. }
            | Self::WaitEnded { deployment_id, .. } => (None, Some(deployment_id)),
            _ => (None, None),
        };
        // What an event of `tracing` may hold is known when it is compiled: those that are absent are not written.
        tracing::info!(
            target: TARGET,
            metric = name,
            value,
            release_id,
            deployment_id,
            verdict,
            effect,
            step,
            outcome,
            wait,
            woken_by,
            gate = match self { Self::GateOpened { gate, .. } => Some(gate), _ => None },
            found = match self { Self::Found { found, .. } => Some(found), _ => None },
            sweeper = match self {
                Self::Swept { sweeper } => Some(sweeper),
                _ => None,
            },
            detail_type = match self { Self::EventTaken { detail_type, .. } => Some(detail_type), _ => None },
            error_kind = match self { Self::InvocationFailed { kind } => Some(kind.as_str()), _ => None },
            "measured"
        );
    }
}

fn number(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::MAX, f64::from)
}

/// Makes a metric of the fields of a measure, which [`Measure::emit`] wrote.
pub(crate) fn embed(fields: &mut Map<String, Value>, namespace: &str, at_milliseconds: i64) {
    let (Some(Value::String(name)), Some(value)) = (fields.remove("metric"), fields.remove("value")) else {
        return;
    };
    let own = METRICS.iter().find(|(metric, _)| *metric == name);
    let own = own.map(|(_, dimensions)| *dimensions).unwrap_or_default();
    let dimensions: Vec<&str> = ["service"].into_iter().chain(own.iter().copied()).collect();
    let unit = if name.ends_with("Seconds") { "Seconds" } else { "Count" };
    let directive = json!({
        "Timestamp": at_milliseconds,
        "CloudWatchMetrics": [{
            "Namespace": namespace,
            "Dimensions": [dimensions],
            "Metrics": [{"Name": name, "Unit": unit}],
        }],
    });
    fields.insert("_aws".to_owned(), directive);
    fields.insert(name, value);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::Environment;
    use crate::log::subscriber;
    use crate::log::testing::{Lines, noon};

    fn every() -> Vec<Measure<'static>> {
        let took = SignedDuration::from_millis(90_500);
        let (verdict, effect) = (Verdict::Succeeded, Effect::SchemaMoved);
        vec![
            Measure::DeploymentEnded {
                deployment_id: "shop-1-develop-1",
                verdict,
                effect,
                took,
            },
            Measure::StepJudged {
                deployment_id: "shop-1-develop-1",
                step: StepKind::Task,
                outcome: StepOutcome::NeverStarted,
                took,
            },
            Measure::ReleaseEnded {
                release_id: "shop-1",
                verdict,
                effect,
                took,
            },
            Measure::Quarantined { locks: 0 },
            Measure::ImageGone { environments: 2 },
            Measure::WaitEnded {
                deployment_id: "shop-1-develop-1",
                wait: "task",
                woken_by: "event",
                took,
            },
            Measure::GateOpened { gate: "window", took },
            Measure::Found {
                found: "push",
                count: 2,
            },
            Measure::Swept { sweeper: "resume" },
            Measure::SweepFailed,
            Measure::EventTaken {
                detail_type: "ECR Image Action",
                lag: took,
            },
            Measure::InvocationFailed {
                kind: ErrorKind::Defect,
            },
        ]
    }

    fn lines(environment: &Environment, measures: &[Measure<'_>]) -> Vec<Value> {
        let lines = Lines::default();
        let subscriber = subscriber(environment, "record", noon, lines.clone());
        tracing::subscriber::with_default(subscriber, || {
            let span = tracing::info_span!("invocation", request_id = "r-1", detail_type = "of the span");
            let _entered = span.enter();
            measures.iter().for_each(|measure| measure.emit());
        });
        lines.json()
    }

    #[test]
    fn every_measure_is_a_metric_of_the_list_with_all_its_dimensions_and_no_other() {
        let lines = lines(&Environment::default(), &every());
        let mut seen = BTreeSet::new();
        for line in &lines {
            let directive = &line["_aws"]["CloudWatchMetrics"][0];
            let name = directive["Metrics"][0]["Name"].as_str().unwrap();
            let (_, own) = METRICS.iter().find(|(metric, _)| *metric == name).unwrap();
            assert!(line[name].is_number(), "{line}");
            for dimension in own.iter().chain(&["service"]) {
                assert!(line[*dimension].is_string(), "`{name}` has no `{dimension}`: {line}");
            }
            let given: Vec<&str> = directive["Dimensions"][0]
                .as_array()
                .unwrap()
                .iter()
                .map(|it| it.as_str().unwrap())
                .collect();
            assert_eq!(given, [&["service"], *own].concat());
            let others = METRICS.iter().flat_map(|(_, dimensions)| *dimensions);
            for other in others.filter(|other| !own.contains(other) && **other != "detail_type") {
                assert!(line.get(*other).is_none(), "`{name}` has `{other}`: {line}");
            }
            seen.insert(name.to_owned());
        }
        assert_eq!(seen, METRICS.iter().map(|(name, _)| (*name).to_owned()).collect());
    }

    #[test]
    fn a_measure_is_a_line_that_cloudwatch_makes_a_metric_of() {
        let environment = Environment::from_iter([
            ("POWERTOOLS_SERVICE_NAME", "deployer"),
            ("POWERTOOLS_METRICS_NAMESPACE", "Canal"),
        ]);
        let lines = lines(&environment, &every()[..1]);
        let line = &lines[0];
        let directive = json!({
            "Timestamp": 1_793_620_800_000_i64,
            "CloudWatchMetrics": [{
                "Namespace": "Canal",
                "Dimensions": [["service", "verdict", "effect"]],
                "Metrics": [{"Name": "DeploymentSeconds", "Unit": "Seconds"}],
            }],
        });
        assert_eq!(line["_aws"], directive);
        assert_eq!(line["DeploymentSeconds"], json!(90.5));
        assert_eq!(
            (&line["service"], &line["verdict"], &line["effect"]),
            (&json!("deployer"), &json!("SUCCEEDED"), &json!("schema_moved"))
        );
        // What it is about stands beside it, and of the invocation what its span says.
        assert_eq!(
            (&line["deployment_id"], &line["request_id"]),
            (&json!("shop-1-develop-1"), &json!("r-1"))
        );
        assert!(line.get("metric").is_none() && line.get("value").is_none());
    }

    #[test]
    fn measures_are_written_at_every_level_of_ours_and_nothing_found_is_none() {
        let environment = Environment::from_iter([("AWS_LAMBDA_LOG_LEVEL", "ERROR")]);
        let measures = [
            Measure::Swept { sweeper: "resume" },
            Measure::Found { found: "act", count: 0 },
        ];
        assert_eq!(lines(&environment, &measures).len(), 1);
    }
}
