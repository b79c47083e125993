//! One JSON object per line, with a timestamp: without one Lambda takes every line for INFO.
//!
//! Keys follow the structured-logging conventions of Powertools for AWS Lambda: `timestamp`, `level`, `message`,
//! `service`, `function_name`, `request_id` and the fields of the spans and the event, flat.

use std::io::Write;

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

use crate::{Environment, telemetry};

/// Crates whose names begin so are ours. All others log at WARN whatever the level: at DEBUG and TRACE the SDK prints
/// bodies, which carry task tokens and the environment of containers.
const OURS: &str = "esclusa";

/// Where the Lambda runtime logs every failure of a handler as ERROR, which a lock held by somebody else is not. We log
/// failures ourselves.
const REPEATS: &str = "lambda_runtime::layers::panic";

/// A subscriber that writes JSON lines to `writer`, at the level that the environment asks for, and measures at every
/// level. Lambda filters once more, by the application log level of the function, and takes measures for INFO. `clock`
/// says when a line was written.
pub fn subscriber<C, W>(
    environment: &Environment,
    function_name: &'static str,
    clock: C,
    writer: W,
) -> impl Subscriber + Send + Sync + use<C, W>
where
    C: Fn() -> Timestamp + Send + Sync + 'static,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let named = |variable: &str, otherwise: &str| environment.optional(variable).unwrap_or(otherwise).to_owned();
    let targets = Targets::new()
        .with_target(OURS, level(environment))
        .with_target(telemetry::TARGET, Level::INFO)
        .with_target(REPEATS, LevelFilter::OFF)
        .with_default(Level::WARN);
    tracing_subscriber::registry().with(
        JsonLines {
            service: named("POWERTOOLS_SERVICE_NAME", "esclusa"),
            namespace: named("POWERTOOLS_METRICS_NAMESPACE", "Esclusa"),
            function_name,
            clock,
            writer,
        }
        .with_filter(targets),
    )
}

fn level(environment: &Environment) -> Level {
    ["AWS_LAMBDA_LOG_LEVEL", "POWERTOOLS_LOG_LEVEL"]
        .into_iter()
        .find_map(|name| environment.optional(name)?.parse().ok())
        .unwrap_or(Level::INFO)
}

struct JsonLines<C, W> {
    service: String,
    /// Of the metrics that CloudWatch makes of measures.
    namespace: String,
    function_name: &'static str,
    clock: C,
    writer: W,
}

/// The fields of a span, kept for the lines within it.
struct SpanFields(Map<String, Value>);

impl<S, C, W> Layer<S> for JsonLines<C, W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    C: Fn() -> Timestamp + 'static,
    W: for<'a> MakeWriter<'a> + 'static,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            let mut fields = Fields::default();
            attributes.record(&mut fields);
            span.extensions_mut().insert(SpanFields(fields.0));
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(SpanFields(known)) = span.extensions_mut().get_mut()
        {
            let mut fields = Fields::default();
            values.record(&mut fields);
            known.append(&mut fields.0);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut line = Map::new();
        let now = (self.clock)();
        let stamp = now.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
        line.insert("timestamp".to_owned(), json!(stamp));
        line.insert("level".to_owned(), json!(event.metadata().level().as_str()));
        line.insert("service".to_owned(), json!(self.service));
        line.insert("function_name".to_owned(), json!(self.function_name));
        for span in context
            .event_scope(event)
            .into_iter()
            .flat_map(tracing_subscriber::registry::Scope::from_root)
        {
            if let Some(SpanFields(fields)) = span.extensions().get() {
                line.extend(fields.clone());
            }
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        if event.metadata().target() == telemetry::TARGET {
            telemetry::embed(&mut fields.0, &self.namespace, now.as_millisecond());
        }
        line.append(&mut fields.0);
        line.insert("target".to_owned(), json!(event.metadata().target()));
        let mut text = Value::Object(line).to_string();
        text.push('\n');
        // A log that cannot be written must not fail what it tells of.
        let _ = self.writer.make_writer().write_all(text.as_bytes());
    }
}

/// Collects fields as JSON.
#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        self.0.insert(field.name().to_owned(), value);
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.put(field, json!(format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, json!(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, json!(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, json!(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, json!(value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, json!(value));
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// A clock that stands still.
    pub(crate) fn noon() -> Timestamp {
        Timestamp::constant(1_793_620_800, 0)
    }

    /// Keeps the lines that are written to it.
    #[derive(Clone, Default)]
    pub(crate) struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Lines {
        pub(crate) fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }

        pub(crate) fn json(&self) -> Vec<Value> {
            self.text()
                .lines()
                .map(|line| serde_json::from_str(line).unwrap())
                .collect()
        }
    }

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Lines {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{Lines, noon};
    use super::*;

    fn lines_of(environment: &Environment, log: impl FnOnce()) -> Vec<Value> {
        let lines = Lines::default();
        tracing::subscriber::with_default(subscriber(environment, "intake", noon, lines.clone()), log);
        lines.json()
    }

    #[test]
    fn a_line_is_one_json_object_with_a_timestamp_and_flat_fields() {
        let lines = lines_of(&Environment::default(), || {
            let span = tracing::info_span!(
                "invocation",
                request_id = "r-1",
                index = 3_u64,
                absent = Option::<u64>::None
            );
            span.in_scope(|| tracing::warn!(release_id = "catalog-1", done = true, "a \"quoted\"\nmessage"));
        });
        let line = &lines[0];
        assert_eq!(line["timestamp"], "2026-11-02T12:00:00.000Z");
        assert_eq!(
            (&line["level"], &line["message"]),
            (&json!("WARN"), &json!("a \"quoted\"\nmessage"))
        );
        assert_eq!(
            (&line["service"], &line["function_name"]),
            (&json!("esclusa"), &json!("intake"))
        );
        assert_eq!((&line["request_id"], &line["index"]), (&json!("r-1"), &json!(3)));
        assert_eq!(
            (&line["release_id"], &line["done"]),
            (&json!("catalog-1"), &json!(true))
        );
        assert!(line.get("absent").is_none());
    }

    #[test]
    fn the_sdk_never_logs_bodies_and_the_runtime_no_failure_twice() {
        let environment =
            Environment::from_iter([("AWS_LAMBDA_LOG_LEVEL", "TRACE"), ("POWERTOOLS_LOG_LEVEL", "ERROR")]);
        let lines = lines_of(&environment, || {
            tracing::trace!(target: "aws_smithy_runtime::client::orchestrator", "transmitting request");
            tracing::warn!(target: "aws_config", "something is wrong");
            tracing::error!(target: "lambda_runtime::layers::panic", "a failure that is logged already");
            tracing::trace!(target: "esclusa_adapters::sdk", "ours");
        });
        let messages: Vec<&Value> = lines.iter().map(|line| &line["message"]).collect();
        assert_eq!(messages, ["something is wrong", "ours"]);
    }

    #[test]
    fn without_a_level_in_the_environment_ours_is_info() {
        let lines = lines_of(&Environment::from_iter([("AWS_LAMBDA_LOG_LEVEL", "LOUD")]), || {
            tracing::debug!("hidden");
            tracing::info!("shown");
        });
        assert_eq!(lines.len(), 1);
    }
}
