//! `esclusa audit verify`: recomputes what the records say about each other.

use std::collections::{BTreeMap, BTreeSet};

use esclusa_adapters::control::rows::{AnchorRow, ReleasePointerRow, ReleaseRow};
use esclusa_adapters::control::{Key, Stored};
use esclusa_adapters::gates::EVERYTHING;
use esclusa_core::error::{ErrorKind, Failure};
use esclusa_core::ledger::{Chain, Head, Record, RecordKind, verify};
use esclusa_core::pipeline::ApplicationName;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::arguments::AuditVerify;
use crate::commands::{parse, parse_release};
use crate::error::{CommandError, Exit};
use crate::output::{Format, Output};
use crate::pipelines;
use crate::render::{palette, words};
use crate::session::Session;

/// How long after the end of a release its anchor is still waited for: the sweep makes up for one that was not written.
const ANCHORED_WITHIN: SignedDuration = SignedDuration::from_hours(1);

/// What was found out about one chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Checked {
    chain: String,
    records: usize,
    /// The head it was compared with, from the control table.
    sequence: u64,
    hash: String,
    /// The sequence number up to which its application's chain vouches for it.
    anchored_sequence: Option<u64>,
    /// What is wrong; empty when it is whole.
    broken: Vec<String>,
    /// What is not wrong and somebody should know.
    notes: Vec<String>,
}

/// Everything that was found out.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
struct Report {
    chains: Vec<Checked>,
}

pub(super) async fn execute(
    selection: &AuditVerify,
    session: &Session,
    output: &mut Output,
) -> Result<Exit, CommandError> {
    let mut report = Report::default();
    if let Some(release_id) = &selection.release {
        let release_id = parse_release(release_id)?;
        let known = Known::read(session, release_id.as_str()).await?;
        let records = session
            .ledger()
            .chain(&Chain::application(release_id.application()))
            .await?;
        let checked = release(session, release_id.as_str(), &anchors(&records), &known).await?;
        if checked.is_nothing() && known == Known::default() {
            return Err(CommandError::refused(format!(
                "there is no release `{release_id}`: `esclusa audit --application {}` shows those that there are",
                release_id.application()
            )));
        }
        report.chains.push(checked);
    } else if let Some(name) = &selection.application {
        parse::<ApplicationName>(name)?;
        pipelines::current(session.control(), name).await?;
        application(session, name, &mut report).await?;
    } else {
        for row in pipelines::applications(session.control()).await? {
            application(session, &row.application, &mut report).await?;
        }
        // There is none before something was ordered about all applications.
        let (of_everything, _) = walk(session, &Chain::application(EVERYTHING)).await?;
        if !of_everything.is_nothing() {
            report.chains.push(of_everything);
        }
    }
    if output.format() == Format::Json {
        output.document(&report)?;
    } else {
        output.text(text(&report))?;
    }
    Ok(if report.is_whole() {
        Exit::Success
    } else {
        Exit::Failure
    })
}

/// The chains of an application: its own, those of its releases, those of its repositories.
async fn application(session: &Session, name: &str, report: &mut Report) -> Result<(), Failure> {
    let pointers: Vec<(String, Stored<ReleasePointerRow>)> = session.control().all(&Key::releases_of(name), "").await?;
    let mut listed: BTreeMap<String, Known> = BTreeMap::new();
    for (_, stored) in pointers {
        let release_id = stored.row.release_id;
        let known = Known {
            is_there: true,
            ..Known::read(session, &release_id).await?
        };
        listed.insert(release_id, known);
    }
    // Read after the proofs: what was proven to be anchored before must be here.
    let (own, records) = walk(session, &Chain::application(name)).await?;
    report.chains.push(own);
    let anchors = anchors(&records);
    for anchor in &anchors {
        listed.entry(anchor.release_id.clone()).or_default();
    }
    for (release_id, known) in &listed {
        report.chains.push(release(session, release_id, &anchors, known).await?);
    }
    for chain in repositories(&records) {
        if report.chains.iter().all(|checked| checked.chain != chain.as_str()) {
            report.chains.push(walk(session, &chain).await?.0);
        }
    }
    Ok(())
}

/// The chains of the repositories that any version of the pipeline named.
fn repositories(records: &[Record]) -> BTreeSet<Chain> {
    let applied = records
        .iter()
        .filter(|record| record.kind == RecordKind::PipelineApplied);
    let bodies = applied.filter_map(|record| record.body.value().ok());
    let listed = |body: &Value| {
        body.get("repositories")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default()
    };
    let chain = |name: &Value| {
        let mut parts = name.as_str()?.splitn(3, '/');
        Some(Chain::repository(parts.next()?, parts.next()?, parts.next()?))
    };
    bodies
        .flat_map(|body| listed(&body))
        .filter_map(|name| chain(&name))
        .collect()
}

/// A chain against its head. A record that cannot be read is as bad as one that was changed.
async fn walk(session: &Session, chain: &Chain) -> Result<(Checked, Vec<Record>), Failure> {
    // The head is read first: a record that is written in between lies beyond it and is left for the next time.
    let head = session.journal.head(chain).await?;
    match session.ledger().chain_as_stored(chain).await {
        Ok((mut records, differs)) => {
            let current = session.journal.head(chain).await?;
            if current != head {
                records.retain(|record| record.sequence <= head.sequence);
            }
            let broken = verify(&records, &head).err().map(|broken| broken.to_string());
            Ok((
                checked(&head, records.len(), broken.into_iter().chain(differs)),
                records,
            ))
        }
        Err(failure) if failure.kind == ErrorKind::Defect => Ok((checked(&head, 0, Some(failure.message)), Vec::new())),
        Err(failure) => Err(failure),
    }
}

fn checked(head: &Head, records: usize, broken: impl IntoIterator<Item = String>) -> Checked {
    Checked {
        chain: head.chain.to_string(),
        records,
        sequence: head.sequence,
        hash: head.hash.clone(),
        anchored_sequence: None,
        broken: broken.into_iter().collect(),
        notes: Vec::new(),
    }
}

/// The chain of a release against its head, and against the head that its application's chain remembers.
async fn release(session: &Session, release_id: &str, anchors: &[Anchor], known: &Known) -> Result<Checked, Failure> {
    let (mut checked, records) = walk(session, &Chain::release(release_id)).await?;
    let anchor = anchors.iter().find(|anchor| anchor.release_id == release_id);
    checked.anchored_sequence = anchor.map(|anchor| anchor.head.sequence);
    let damage = anchor_damage(release_id, &records, anchor, known.proof.as_ref());
    let is_gone = known.is_there && checked.is_nothing();
    let gone = is_gone.then(|| "it has no records and no head, though the control table knows the release".to_owned());
    checked.broken.extend(damage.or(gone));
    if anchor.is_none() && known.proof.is_none() {
        checked.notes.extend(unanchored(known.ended_at, session.now()?));
    }
    Ok(checked)
}

/// What the control table says of a release.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Known {
    /// Whether it is there, as its row or the listing of its application says.
    is_there: bool,
    /// When it ended, where it did.
    ended_at: Option<Timestamp>,
    /// The head that was anchored.
    proof: Option<Head>,
}

impl Known {
    async fn read(session: &Session, release_id: &str) -> Result<Self, Failure> {
        let row: Option<Stored<ReleaseRow>> = session.control().get(&Key::release(release_id)).await?;
        let anchor: Option<Stored<AnchorRow>> = session.control().get(&Key::anchor(release_id)).await?;
        Ok(Self {
            is_there: row.is_some(),
            ended_at: row.and_then(|stored| stored.row.ended_at),
            proof: anchor.map(|stored| stored.row.head),
        })
    }
}

/// That the end of a release is anchored nowhere. It is written down before it is anchored, and the sweep comes back to
/// it: something keeps it from doing so.
fn unanchored(ended_at: Option<Timestamp>, now: Timestamp) -> Option<String> {
    let ended_at = ended_at.filter(|ended_at| now.duration_since(*ended_at) > ANCHORED_WITHIN)?;
    Some(format!(
        "it ended at {} and its end is not anchored in the chain of its application: only its head in the control table \
         vouches that no record is missing at its end",
        words::time(ended_at)
    ))
}

/// The head of a release's chain as its application's chain remembers it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Anchor {
    release_id: String,
    head: Head,
}

/// The heads that the chain of an application remembers.
fn anchors(records: &[Record]) -> Vec<Anchor> {
    let ended = records.iter().filter(|record| record.kind == RecordKind::ReleaseEnded);
    let anchor = |record: &Record| {
        let body: Value = record.body.value().ok()?;
        Some(Anchor {
            release_id: record.release_id.clone()?,
            head: Head::deserialize(body.get("head")?).ok()?,
        })
    };
    ended.filter_map(anchor).collect()
}

/// What is wrong between a release's chain, the anchor in its application's chain, and the proof that there is one.
fn anchor_damage(
    release_id: &str,
    records: &[Record],
    anchor: Option<&Anchor>,
    proof: Option<&Head>,
) -> Option<String> {
    let Some(Anchor { head, .. }) = anchor else {
        return proof.map(|proof| {
            format!("its end was anchored at {} in the chain of its application, where the record of release `{release_id}` is missing", proof.sequence)
        });
    };
    if proof.is_some_and(|proof| proof != head) {
        return Some("the anchor in the chain of its application is not the one that was written".to_owned());
    }
    let until: Vec<Record> = records
        .iter()
        .filter(|record| record.sequence <= head.sequence)
        .cloned()
        .collect();
    if until.len() < usize::try_from(head.sequence).unwrap_or(usize::MAX) {
        return Some(format!(
            "it has {} records, but {} when it was anchored in the chain of its application",
            until.len(),
            head.sequence
        ));
    }
    verify(&until, head)
        .err()
        .map(|broken| format!("against its anchor, {broken}"))
}

impl Checked {
    /// Whether the chain has never been written, as far as can be seen.
    fn is_nothing(&self) -> bool {
        self.records == 0 && self.sequence == 0 && self.broken.is_empty()
    }
}

impl Report {
    fn is_whole(&self) -> bool {
        self.chains.iter().all(|checked| checked.broken.is_empty())
    }
}

fn text(report: &Report) -> String {
    let mut text = String::new();
    let width = report
        .chains
        .iter()
        .map(|checked| checked.chain.len())
        .max()
        .unwrap_or_default();
    for Checked {
        chain,
        records,
        hash,
        anchored_sequence,
        broken,
        notes,
        ..
    } in &report.chains
    {
        let state = if broken.is_empty() {
            palette::good("intact").to_string()
        } else {
            palette::error("BROKEN").to_string()
        };
        let anchored = anchored_sequence
            .map(|sequence| format!(", anchored at {sequence}"))
            .unwrap_or_default();
        text.push_str(&format!(
            "{state}  {chain:<width$}  {:<12} head {}{anchored}\n",
            words::count(*records, "record"),
            words::hash(hash)
        ));
        for line in broken.iter().chain(notes) {
            text.push_str(&format!("        {line}\n"));
        }
    }
    let records: usize = report.chains.iter().map(|checked| checked.records).sum();
    let damaged = report
        .chains
        .iter()
        .filter(|checked| !checked.broken.is_empty())
        .count();
    let checked = format!(
        "{} with {} checked against their heads",
        words::count(report.chains.len(), "chain"),
        words::count(records, "record")
    );
    text.push_str(&match damaged {
        0 => format!("{checked}: all intact\n"),
        _ => format!("{checked}: {}\n", palette::error(format_args!("{damaged} broken"))),
    });
    text
}

#[cfg(test)]
mod tests {
    use esclusa_core::ledger::{Body, Draft, append};
    use serde_json::json;

    use super::*;

    const RELEASE: &str = "shop-0f0f0f0f0f0f0f0f0f0f";

    fn chain_of(length: usize) -> Vec<Record> {
        let mut head = Head::genesis(Chain::release(RELEASE));
        let mut records = Vec::new();
        for number in 0..length {
            let draft = Draft::new(
                RecordKind::Judged,
                "esclusa/observe",
                Body::new(&json!({"number": number})).unwrap(),
            );
            let (record, next) = append(&head, draft, "2026-11-21T14:05:07Z".parse().unwrap());
            records.push(record);
            head = next;
        }
        records
    }

    fn anchor(records: &[Record]) -> Anchor {
        Anchor {
            release_id: RELEASE.to_owned(),
            head: records.last().unwrap().head(),
        }
    }

    #[test]
    fn a_chain_may_grow_after_it_was_anchored_and_never_shrink() {
        let records = chain_of(4);
        let anchored = anchor(&records[..3]);
        let damage = |records: &[Record]| anchor_damage(RELEASE, records, Some(&anchored), Some(&anchored.head));
        assert_eq!(damage(&records), None);
        assert_eq!(damage(&records[..3]), None);
        assert_eq!(
            damage(&records[..2]).unwrap(),
            "it has 2 records, but 3 when it was anchored in the chain of its application"
        );
    }

    #[test]
    fn an_anchor_that_is_gone_or_another_one_is_noticed() {
        let records = chain_of(3);
        let (anchored, other) = (anchor(&records), anchor(&records[..2]));
        assert_eq!(anchor_damage(RELEASE, &records, None, None), None);
        let missing = anchor_damage(RELEASE, &records, None, Some(&anchored.head)).unwrap();
        assert!(missing.contains("missing") && missing.contains(RELEASE), "{missing}");
        assert!(anchor_damage(RELEASE, &records, Some(&other), Some(&anchored.head)).is_some());
    }

    #[test]
    fn an_end_that_is_not_anchored_is_told_when_it_should_be() {
        let ended_at: Timestamp = "2026-11-21T14:05:07Z".parse().unwrap();
        let after = |minutes: i64| unanchored(Some(ended_at), ended_at + SignedDuration::from_mins(minutes));
        assert_eq!(unanchored(None, ended_at), None);
        assert_eq!([after(0), after(59)], [None, None]);
        let told = after(61).unwrap();
        assert!(
            told.starts_with("it ended at 2026-11-21 14:05:07Z and its end is not anchored"),
            "{told}"
        );
    }

    #[test]
    fn a_rewritten_chain_shows_against_its_anchor() {
        let records = chain_of(3);
        let mut forged = chain_of(2);
        let draft = Draft::new(RecordKind::Judged, "somebody", Body::new(&json!({})).unwrap());
        forged.push(append(&forged[1].head(), draft, "2026-11-21T14:05:07Z".parse().unwrap()).0);
        let damage = anchor_damage(RELEASE, &forged, Some(&anchor(&records)), None).unwrap();
        assert!(damage.contains("record 3"), "{damage}");
    }

    #[test]
    fn the_anchors_are_read_from_the_ends_of_releases() {
        let anchored = anchor(&chain_of(3));
        let body = Body::new(&json!({"head": anchored.head, "end": null})).unwrap();
        let draft = Draft {
            release_id: Some(RELEASE.to_owned()),
            ..Draft::new(RecordKind::ReleaseEnded, "esclusa/record", body)
        };
        let (record, _) = append(
            &Head::genesis(Chain::application("shop")),
            draft,
            "2026-11-21T14:05:07Z".parse().unwrap(),
        );
        assert_eq!(anchors(&[record]), [anchored]);
    }

    #[test]
    fn a_repository_that_a_pipeline_named_once_is_verified_for_ever() {
        let mut head = Head::genesis(Chain::application("shop"));
        let mut records = Vec::new();
        for repositories in [
            json!(["1/us-east-1/team/shop"]),
            json!(["1/us-east-1/team/shop", "1/us-east-1/web"]),
            json!([]),
        ] {
            let body = Body::new(&json!({"repositories": repositories})).unwrap();
            let draft = Draft::new(RecordKind::PipelineApplied, "ana", body);
            let (record, next) = append(&head, draft, "2026-11-21T14:05:07Z".parse().unwrap());
            records.push(record);
            head = next;
        }
        let expected = [
            Chain::repository("1", "us-east-1", "team/shop"),
            Chain::repository("1", "us-east-1", "web"),
        ];
        assert_eq!(repositories(&records), BTreeSet::from(expected));
    }

    #[test]
    fn the_report_names_what_was_checked_and_what_is_broken() {
        let records = chain_of(3);
        let head = records[2].head();
        let whole = Checked {
            anchored_sequence: Some(3),
            ..checked(&head, 3, None)
        };
        let mut changed = records;
        changed[1].actor = "somebody else".to_owned();
        let broken = verify(&changed, &head).unwrap_err().to_string();
        let unanchored = Checked {
            notes: vec!["its end is not anchored".to_owned()],
            ..checked(&head, 3, None)
        };
        let report = Report {
            chains: vec![whole, checked(&head, 3, Some(broken)), unanchored],
        };
        assert!(!report.is_whole());
        insta::assert_snapshot!(anstream::adapter::strip_str(&text(&report)).to_string());
    }
}
