//! Whether the record of a release is whole, as the ledger has it.

use std::collections::BTreeSet;

use aws_config::SdkConfig;
use aws_sdk_sfn::types::ExecutionStatus;
use esclusa_adapters::client;
use esclusa_adapters::control::rows::ReleasePointerRow;
use esclusa_adapters::control::{Key, Stored};
use esclusa_adapters::journal::Journal;
use esclusa_core::error::Failure;
use esclusa_core::ledger::{Chain, Head, Record, RecordKind, verify};
use serde::Deserialize;
use serde_json::Value;

use super::{Opinion, asked};
use crate::deployer::DEPLOYER;

/// Whether every chain of the application ends where its head says and where it was anchored, every announced act has
/// an outcome, and this release ended as `SUCCEEDED`.
pub async fn record_is_whole(config: &SdkConfig, application: &str, release_id: &str) -> Opinion {
    let journal = Journal::new(config, &format!("{DEPLOYER}-control"), &format!("{DEPLOYER}-ledger"));
    let mut reading = Reading {
        journal,
        opinion: Opinion::default(),
    };
    match reading.application(application).await {
        Ok(()) => {}
        Err(failure) => reading.opinion.findings.push(format!("record: {failure}")),
    }
    let ended = match reading.journal.ledger().chain(&Chain::release(release_id)).await {
        Ok(records) => ended(config, release_id, &records).await,
        Err(failure) => Err(failure.to_string()),
    };
    match ended {
        Ok(proof) => reading.opinion.proven.push(proof),
        Err(finding) => reading.opinion.findings.push(format!("record: {finding}")),
    }
    reading.opinion
}

struct Reading {
    journal: Journal,
    opinion: Opinion,
}

impl Reading {
    /// The chain of the application, those of its releases and those of its repositories.
    async fn application(&mut self, application: &str) -> Result<(), Failure> {
        let own = self.chain(&Chain::application(application)).await?;
        let mut read = own.len();
        let mut chains = 1_usize;
        let pointers: Vec<(String, Stored<ReleasePointerRow>)> =
            self.journal.control().list(&Key::releases_of(application), "").await?;
        let mut acts = 0_usize;
        for (_, pointer) in pointers {
            let release_id = pointer.row.release_id;
            let records = self.chain(&Chain::release(&release_id)).await?;
            self.anchor(&release_id, &own, &records);
            acts += self.acts(&release_id, &records);
            read += records.len();
            chains += 1;
        }
        for chain in repositories(&own) {
            read += self.chain(&chain).await?.len();
            chains += 1;
        }
        if self.opinion.findings.is_empty() {
            self.opinion.proven.extend([
                format!("record: {read} records in {chains} chains, each whole up to its head and its anchor"),
                format!("record: each of {acts} announced acts has an outcome"),
            ]);
        }
        Ok(())
    }

    async fn chain(&mut self, chain: &Chain) -> Result<Vec<Record>, Failure> {
        let head = self.journal.head(chain).await?;
        let records = self.journal.ledger().chain(chain).await?;
        if let Err(broken) = verify(&records, &head) {
            self.opinion.findings.push(format!("record: {broken}"));
        }
        Ok(records)
    }

    /// The chain of an ended release ends where the chain of its application says that it ended.
    fn anchor(&mut self, release_id: &str, application: &[Record], records: &[Record]) {
        let anchor = application
            .iter()
            .find(|record| record.kind == RecordKind::ReleaseEnded && record.release_id.as_deref() == Some(release_id));
        let head = anchor.and_then(|anchor| head_in(&anchor.body.value().ok()?));
        let is_over = records.iter().any(|record| record.kind == RecordKind::ReleaseEnded);
        let last = records.last().map(Record::head);
        if is_over && (head.is_none() || head != last) {
            self.opinion.findings.push(format!(
                "record: the end of release `{release_id}` is not as the chain of its application remembers it"
            ));
        }
    }

    /// How many acts were announced. Each must have exactly one outcome, after it.
    fn acts(&mut self, release_id: &str, records: &[Record]) -> usize {
        let of = |kind| records.iter().filter(move |record| record.kind == kind);
        let mut announced = BTreeSet::new();
        for intent in of(RecordKind::Intent) {
            let outcomes: Vec<u64> = of(RecordKind::Outcome)
                .filter(|outcome| outcome.intent_id.is_some() && outcome.intent_id == intent.intent_id)
                .map(|outcome| outcome.sequence)
                .collect();
            if !matches!(outcomes.as_slice(), [one] if *one > intent.sequence) {
                self.opinion.findings.push(format!(
                    "record: the act announced in record {} of release `{release_id}` has {} outcomes",
                    intent.sequence,
                    outcomes.len()
                ));
            }
            if !announced.insert(intent.intent_id.clone()) {
                self.opinion.findings.push(format!(
                    "record: record {} of release `{release_id}` announces an act again",
                    intent.sequence
                ));
            }
        }
        announced.len()
    }
}

/// How a release ended: by its record, and by its execution, whose output carries the head of its chain.
async fn ended(config: &SdkConfig, release_id: &str, records: &[Record]) -> Result<String, String> {
    let end = records.iter().find(|record| record.kind == RecordKind::ReleaseEnded);
    let end = end.ok_or_else(|| format!("release `{release_id}` has not ended"))?;
    let body = end.body.value().map_err(|failure| failure.to_string())?;
    let text = |pointer: &str| {
        body.pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let (verdict, effect) = (text("/end/verdict"), text("/end/effect"));
    if verdict != "SUCCEEDED" {
        return Err(format!("release `{release_id}` ended {verdict}, effect {effect}"));
    }
    let describing = client!(aws_sdk_sfn, config)
        .describe_execution()
        .execution_arn(text("/execution"));
    let execution = asked("states:DescribeExecution", describing.send().await)?;
    let output: Option<Value> = execution.output().and_then(|output| serde_json::from_str(output).ok());
    let head = output.as_ref().and_then(head_in);
    if execution.status() != &ExecutionStatus::Succeeded || head != records.last().map(Record::head) {
        return Err(format!(
            "the execution of release `{release_id}` does not end with the head of its chain"
        ));
    }
    Ok(format!(
        "record: release `{release_id}` ended {verdict}, effect {effect}; its execution ended with the head of its chain"
    ))
}

fn head_in(value: &Value) -> Option<Head> {
    Head::deserialize(value.get("head")?).ok()
}

/// The chains of the repositories that any version of the pipeline named.
fn repositories(records: &[Record]) -> BTreeSet<Chain> {
    let applied = records
        .iter()
        .filter(|record| record.kind == RecordKind::PipelineApplied);
    let names = applied.filter_map(|record| record.body.value().ok()?.get("repositories")?.as_array().cloned());
    let chain = |name: Value| {
        let mut parts = name.as_str()?.splitn(3, '/');
        Some(Chain::repository(parts.next()?, parts.next()?, parts.next()?))
    };
    names.flatten().filter_map(chain).collect()
}
