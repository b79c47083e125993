//! `esclusa audit`: what happened, as a story.

use esclusa_adapters::ledger::{Listing, Span};
use esclusa_core::error::Failure;
use esclusa_core::ledger::{Chain, Record};
use esclusa_core::pipeline::{ApplicationName, Digest, EnvironmentName};
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use crate::arguments::AuditSelection;
use crate::commands::{parse, parse_release};
use crate::error::{CommandError, Exit};
use crate::output::{Format, Output};
use crate::render::table::Columns;
use crate::render::{record, words};
use crate::session::Session;

pub(super) async fn execute(
    selection: &AuditSelection,
    session: &Session,
    output: &mut Output,
) -> Result<Exit, CommandError> {
    let now = session.now()?;
    let span = Span {
        from: selection
            .since
            .as_deref()
            .map(|text| moment(text, now, Edge::Beginning))
            .transpose()?,
        until: selection
            .until
            .as_deref()
            .map(|text| moment(text, now, Edge::End))
            .transpose()?,
    };
    let limit = usize::try_from(selection.limit).unwrap_or(usize::MAX);
    let records = select(selection, span, limit, now, session).await?;
    match output.format() {
        Format::Text => {
            if records.is_empty() {
                output.note("no records: select more with `--application`, `--since` or `--day`")?;
            } else {
                output.text(story(&records, output.width()))?;
            }
            if records.len() == limit {
                output.note(format_args!("only the newest {limit} records: `--limit` shows more"))?;
            }
        }
        Format::Json => output.document(&json!({"records": records.iter().map(document).collect::<Vec<_>>()}))?,
        Format::Csv => output.text(comma_separated(&records)?)?,
    }
    Ok(Exit::Success)
}

/// The newest records of the selection, the newest last.
async fn select(
    selection: &AuditSelection,
    span: Span,
    limit: usize,
    now: Timestamp,
    session: &Session,
) -> Result<Vec<Record>, CommandError> {
    if let Some(release_id) = &selection.release {
        let release_id = parse_release(release_id)?;
        let records = session.ledger().chain(&Chain::release(release_id.as_str())).await?;
        let is_within = |record: &Record| {
            span.from.is_none_or(|from| from <= record.at) && span.until.is_none_or(|until| record.at <= until)
        };
        let records: Vec<Record> = records.into_iter().filter(is_within).collect();
        let surplus = records.len().saturating_sub(limit);
        return Ok(records.into_iter().skip(surplus).collect());
    }
    let today = words::time(now).chars().take(10).collect::<String>();
    let listing = match selection {
        AuditSelection {
            application: Some(application),
            environment,
            ..
        } => {
            parse::<ApplicationName>(application)?;
            match environment {
                Some(environment) => {
                    parse::<EnvironmentName>(environment)?;
                    Listing::Environment(application, environment)
                }
                None => Listing::Application(application),
            }
        }
        AuditSelection {
            digest: Some(digest), ..
        } => {
            parse::<Digest>(digest)?;
            Listing::Digest(digest)
        }
        AuditSelection { day: Some(day), .. } => {
            date(day).ok_or_else(|| CommandError::InvalidInput(format!("`{day}` is not a day: write `2026-11-21`")))?;
            Listing::Day(day)
        }
        _ => Listing::Day(&today),
    };
    let mut records = session.ledger().list(listing, span, limit).await?;
    records.sort_by_cached_key(place_in_story);
    Ok(records)
}

/// By time, and within one transaction from the push to the release to the application.
fn place_in_story(record: &Record) -> (Timestamp, usize, String, u64) {
    let chain = record.chain.as_str();
    let rank = ["repository/", "release/"]
        .iter()
        .position(|prefix| chain.starts_with(prefix))
        .unwrap_or(usize::MAX);
    (record.at, rank, chain.to_owned(), record.sequence)
}

/// Which end of a day a date means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Edge {
    Beginning,
    End,
}

/// Reads a time, a day or how long ago.
fn moment(text: &str, now: Timestamp, edge: Edge) -> Result<Timestamp, CommandError> {
    let day = |date: Date| {
        let beginning = date.to_zoned(TimeZone::UTC).ok()?.timestamp();
        match edge {
            Edge::Beginning => Some(beginning),
            Edge::End => beginning
                .checked_add(SignedDuration::from_hours(24))
                .and_then(|next| next.checked_sub(SignedDuration::from_millis(1)))
                .ok(),
        }
    };
    // "2 days ago" is read as a span that is negative already.
    let ago = |ago: jiff::Span| {
        let reference = now.to_zoned(TimeZone::UTC);
        reference.checked_sub(ago.abs()).ok().map(|past| past.timestamp())
    };
    let instant = text.parse::<Timestamp>().ok();
    let read = instant
        .or_else(|| date(text).and_then(day))
        .or_else(|| text.parse::<jiff::Span>().ok().and_then(ago));
    read.ok_or_else(|| {
        CommandError::InvalidInput(match text.parse::<DateTime>() {
            Ok(_) if !text.contains(':') => format!("`{text}` is not a time: write a day as `2026-11-21`"),
            Ok(local) if date(text).is_none() => {
                format!("`{text}` does not say in which zone: write `{local}Z` for UTC")
            }
            Ok(_) | Err(_) => format!(
                "`{text}` is not a time: write `2026-11-21T14:00Z`, `2026-11-21`, or how long ago, as `90min` or `2d`"
            ),
        })
    })
}

/// Reads a day. The parser also takes a time and leaves it out without a word, so the text must be the day alone.
fn date(text: &str) -> Option<Date> {
    text.parse::<Date>().ok().filter(|date| date.to_string() == text)
}

/// The records as lines: when, what, where, who, and in words.
fn story(records: &[Record], width: Option<u16>) -> String {
    let mut table = Columns::new(&["time", "what", "where", "who", "details"], width);
    for each in records {
        let place = each
            .environment
            .as_deref()
            .or(each.application.as_deref())
            .unwrap_or_default();
        table.row([
            words::time(each.at),
            record::kind(each.kind),
            place.to_owned(),
            actor(&each.actor).to_owned(),
            record::sentence(each),
        ]);
    }
    table.to_string()
}

/// Who did it: the name in an ARN, or as it is.
fn actor(actor: &str) -> &str {
    if actor.starts_with("arn:") {
        words::resource(actor)
    } else {
        actor
    }
}

/// A record with its facts as JSON, not as text.
fn document(record: &Record) -> Value {
    let mut document = serde_json::to_value(record).unwrap_or_default();
    if let (Some(members), Ok(facts)) = (document.as_object_mut(), record.body.value()) {
        members.insert("body".to_owned(), facts);
        members.insert("sentence".to_owned(), json!(crate::render::record::sentence(record)));
    }
    document
}

fn comma_separated(records: &[Record]) -> Result<String, Failure> {
    const COLUMNS: [&str; 13] = [
        "at",
        "kind",
        "actor",
        "application",
        "environment",
        "digest",
        "release_id",
        "deployment_id",
        "chain",
        "sequence",
        "hash",
        "sentence",
        "body",
    ];
    let broken = |error: csv::Error| Failure::defect(format!("the records cannot be written as csv: {error}"));
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(COLUMNS).map_err(broken)?;
    for record in records {
        let document = document(record);
        let members: Map<String, Value> = document.as_object().cloned().unwrap_or_default();
        let cell = |name: &str| match members.get(name) {
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
            None => String::new(),
        };
        writer.write_record(COLUMNS.map(cell)).map_err(broken)?;
    }
    let bytes = writer
        .into_inner()
        .map_err(|error| Failure::defect(format!("the records cannot be written as csv: {error}")))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::record::tests::story_of_a_deployment;

    #[test]
    fn a_time_is_an_instant_a_day_or_how_long_ago() {
        let now: Timestamp = "2026-11-21T14:05:07Z".parse().unwrap();
        let table = [
            ("2026-11-20T01:02:03Z", Edge::Beginning, "2026-11-20T01:02:03Z"),
            ("2026-11-20T01:02Z", Edge::Beginning, "2026-11-20T01:02:00Z"),
            ("2026-11-20", Edge::Beginning, "2026-11-20T00:00:00Z"),
            ("2026-11-20", Edge::End, "2026-11-20T23:59:59.999Z"),
            ("90min", Edge::Beginning, "2026-11-21T12:35:07Z"),
            ("2d", Edge::Beginning, "2026-11-19T14:05:07Z"),
            ("2 days ago", Edge::Beginning, "2026-11-19T14:05:07Z"),
            ("2026-11-20T01:02+02:00", Edge::End, "2026-11-19T23:02:00Z"),
        ];
        for (text, edge, expected) in table {
            assert_eq!(moment(text, now, edge).unwrap(), expected.parse().unwrap(), "{text}");
        }
        let refused = [
            ("yesterday", "is not a time"),
            ("2026-11-20T14:00", "write `2026-11-20T14:00:00Z` for UTC"),
            ("2026-11-20 14:00:30", "write `2026-11-20T14:00:30Z` for UTC"),
        ];
        for (text, told) in refused {
            let error = moment(text, now, Edge::Beginning).unwrap_err();
            assert_eq!(error.exit(), Exit::InvalidInput);
            assert!(error.to_string().contains(told), "{error}");
        }
    }

    #[test]
    fn a_deployment_reads_as_a_story() {
        insta::assert_snapshot!(story(&story_of_a_deployment(), None));
    }

    #[test]
    fn a_spreadsheet_gets_every_field_in_a_fixed_order() {
        let records = story_of_a_deployment();
        insta::assert_snapshot!(comma_separated(&records[..2]).unwrap());
    }

    #[test]
    fn a_program_gets_the_facts_as_json() {
        let records = story_of_a_deployment();
        insta::assert_json_snapshot!(document(&records[0]));
    }
}
