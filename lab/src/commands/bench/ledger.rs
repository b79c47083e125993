//! A ledger full of history, and what it costs to ask it.

use std::time::Duration;

use esclusa_core::error::Failure;
use esclusa_core::ledger::{Body, Chain, Draft, Head, Record, RecordKind, append};
use jiff::{SignedDuration, Timestamp};
use lab::example::Example;
use lab::{DEPLOYER, Lab};
use serde_json::{Map, Value, json};
use simulator::{DynamoDb, Settings};

use super::{EXAMPLE, timed, today};
use crate::commands::CommandError;
use crate::commands::page::Page;

/// The records of one release.
const RECORDS_OF_A_RELEASE: u32 = 40;

/// The records of the application that is asked about are one in this many.
const APPLICATIONS: u32 = 20;

/// Over how long the records are spread.
const HISTORY: SignedDuration = SignedDuration::from_hours(24 * 365);

/// The most items of one `BatchWriteItem`.
const BATCH: usize = 25;

/// Fills a ledger with this many records, then asks it.
pub(super) fn measure(records: u32, page: &mut Page) -> Result<(), CommandError> {
    let example = Example::load(EXAMPLE)?;
    let mut lab = Lab::with_example(&Settings::default(), &example)?;
    let (filled, taken) = timed(|| fill(&mut lab, records));
    filled?;
    page.text(format_args!(
        "\n  {records} records (written in {:.0} s)",
        taken.as_secs_f64()
    ))?;
    page.faint("  items read        time  query")?;
    let release = release_id(0);
    let day = today().strftime("%Y-%m-%d").to_string();
    for words in [
        &["--release", &release][..],
        &["--application", EXAMPLE],
        &["--application", EXAMPLE, "--environment", "develop"],
        &["--application", EXAMPLE, "--since", "30d", "--limit", "1000"],
        &["--digest", &digest(0)],
        &["--day", &day],
    ] {
        let (items, taken) = ask(&mut lab, words)?;
        let milliseconds = taken.as_secs_f64() * 1_000.0;
        page.text(format_args!(
            "  {items:>10}  {milliseconds:>7.1} ms  esclusa audit {}",
            words.join(" ")
        ))?;
    }
    Ok(())
}

/// Runs an audit query, and answers how many items of the ledger it read and how long it took.
fn ask(lab: &mut Lab, words: &[&str]) -> Result<(u64, Duration), CommandError> {
    let words: Vec<&str> = ["audit", "--output", "json"].iter().chain(words).copied().collect();
    let before = items_read(lab);
    let (answer, taken) = timed(|| lab.esclusa(&words));
    if answer.code != 0 {
        return Err(CommandError::Refused(answer.out));
    }
    Ok((items_read(lab) - before, taken))
}

fn items_read(lab: &Lab) -> u64 {
    let tables = lab.world().service::<DynamoDb>();
    let ledger = tables.and_then(|tables| tables.usage().get(&ledger_table()));
    ledger.map_or(0, |usage| usage.items_read)
}

fn ledger_table() -> String {
    format!("{DEPLOYER}-ledger")
}

/// Writes releases of many applications over a year, each in a chain of its own.
fn fill(lab: &mut Lab, records: u32) -> Result<(), CommandError> {
    let step = HISTORY
        .checked_div(i32::try_from(records).unwrap_or(i32::MAX))
        .unwrap_or_default();
    let mut at = today().saturating_sub(HISTORY).unwrap_or_default();
    let mut items = Vec::new();
    let mut head = Head::genesis(Chain::release(&release_id(0)));
    for number in 0..records {
        // The newest release has number 0.
        let release = (records - 1 - number) / RECORDS_OF_A_RELEASE;
        let chain = Chain::release(&release_id(release));
        if chain != head.chain {
            head = Head::genesis(chain);
        }
        let (record, next) = append(
            &head,
            draft(release).map_err(|failure| CommandError::Refused(failure.to_string()))?,
            at,
        );
        head = next;
        items.push(json!({"PutRequest": {"Item": item(&record)?}}));
        if items.len() == BATCH || number + 1 == records {
            let input = json!({"RequestItems": {ledger_table(): std::mem::take(&mut items)}});
            lab.world_mut().administer("dynamodb", "BatchWriteItem", input)?;
        }
        at = at.saturating_add(step).unwrap_or(Timestamp::MAX);
    }
    Ok(())
}

fn draft(release: u32) -> Result<Draft, Failure> {
    let body = Body::new(&json!({
        "step": "migrate", "mode": "forward", "index": 0, "attempt": 1, "outcome": "done",
        "reason": "container `migrations` ended with exit code 0", "release": release,
    }))?;
    Ok(Draft {
        application: Some(application(release)),
        environment: Some("develop".to_owned()),
        digest: Some(digest(release)),
        release_id: Some(release_id(release)),
        deployment_id: Some(format!("{}-develop-1", release_id(release))),
        ..Draft::new(RecordKind::Judged, "esclusa/migrate", body)
    })
}

fn application(release: u32) -> String {
    match release % APPLICATIONS {
        0 => EXAMPLE.to_owned(),
        other => format!("application-{other}"),
    }
}

fn release_id(release: u32) -> String {
    format!("{}-{release:020x}", application(release))
}

fn digest(release: u32) -> String {
    format!("sha256:{release:064x}")
}

/// A record as DynamoDB takes it.
fn item(record: &Record) -> Result<Value, CommandError> {
    let written = serde_json::to_value(record).map_err(|error| CommandError::Refused(error.to_string()))?;
    let members = written.as_object().cloned().unwrap_or_default();
    let attribute = |value: Value| match value {
        Value::Number(number) => json!({"N": number.to_string()}),
        other => json!({"S": other}),
    };
    let mut item: Map<String, Value> = members
        .into_iter()
        .map(|(name, value)| (name, attribute(value)))
        .collect();
    item.insert("day".to_owned(), json!({"S": record.day()}));
    Ok(Value::Object(item))
}
