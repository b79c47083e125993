//! Rows as released versions wrote them, against the types of today. A field that is renamed, gone or required since
//! shows here before it shows in an account.

#![expect(clippy::unwrap_used, reason = "a test that cannot read what it checks has failed")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use esclusa_adapters::acts::{IntentRow, OpenIntentRow};
use esclusa_adapters::control::rows::OpenWaitRow;
use esclusa_adapters::control::rows::{
    AlarmWatchRow, AnchorRow, CardPauseRow, CardRow, DeploymentPointerRow, DeploymentRow, EnvironmentRow, GatesRow,
    IgnoredEventRow, InboxRow, MadeEnvironmentRow, OpenCardRow, OpenDeploymentRow, PipelineCurrentRow,
    PipelineVersionRow, PlanRow, QuarantinedLockRow, ReleasePointerRow, ReleaseRow, RepositoryRow, RestorePointRow,
    RevisionRow, SeenTagRow, SlackRequestRow, StartedByRow, StepRow, SuspendedScalingRow, VerifiedRow, WayBackRow,
};
use esclusa_core::card::Summary;
use esclusa_core::delivery::Undelivered;
use esclusa_core::gate::{Acknowledged, Order, Pin, Stop, Vote};
use esclusa_core::hotfix::Debt;
use esclusa_core::ledger::{Head, Record};
use esclusa_core::protocol::lock::{Lock, Queued};
use esclusa_core::quarantine::Quarantine;
use esclusa_core::schema::SchemaState;
use esclusa_core::verification::{Answer, State};
use esclusa_resume::WaitRow;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use simulator::plain_item;

/// Reads a row and writes it again.
type Again = fn(Value) -> Result<Value, serde_json::Error>;

fn again<T: DeserializeOwned + Serialize>(row: Value) -> Result<Value, serde_json::Error> {
    serde_json::to_value(serde_json::from_value::<T>(row)?)
}

/// The rows of the control table by what their partition and sort keys begin with; the first that fits.
const ROWS: &[(&str, &str, Again)] = &[
    ("ACKNOWLEDGEMENTS#", "", again::<Acknowledged>),
    ("ALARM#", "", again::<AlarmWatchRow>),
    ("ANSWERS#", "", again::<Answer>),
    ("APPLICATIONS", "", again::<PipelineCurrentRow>),
    ("CARD#OPEN", "", again::<OpenCardRow>),
    ("CARD#SLACK", "", again::<CardPauseRow>),
    ("CARD#", "TOLD", again::<OpenCardRow>),
    ("CARD#", "", again::<CardRow>),
    ("CHAIN#", "", again::<Head>),
    ("DEBTS#", "", again::<Debt>),
    ("DEPLOYMENT#", "DEPLOYMENT", again::<DeploymentRow>),
    ("DEPLOYMENT#", "GATES", again::<GatesRow>),
    ("DEPLOYMENT#", "INTENT#", again::<IntentRow>),
    ("DEPLOYMENT#", "PLAN", again::<PlanRow>),
    ("DEPLOYMENT#", "RESTORE_POINT#", again::<RestorePointRow>),
    ("DEPLOYMENT#", "REVISION#", again::<RevisionRow>),
    ("DEPLOYMENT#", "STEP#", again::<StepRow>),
    ("DEPLOYMENT#", "SUMMARY", again::<Summary>),
    ("DEPLOYMENT#", "VERIFICATION", again::<State>),
    ("DEPLOYMENT#", "WAY_BACK", again::<WayBackRow>),
    ("DEPLOYMENTS#", "", again::<DeploymentPointerRow>),
    ("ENVIRONMENT#", "CURRENT", again::<EnvironmentRow>),
    ("ENVIRONMENT#", "MOVED#", again::<SchemaState>),
    ("ENVIRONMENT#", "SCHEMA#", again::<SchemaState>),
    ("ENVIRONMENT#", "VERIFIED#", again::<EnvironmentRow>),
    ("FREEZES#", "", again::<Order>),
    ("IGNORED#", "", again::<IgnoredEventRow>),
    ("INTERACTION#", "", again::<SlackRequestRow>),
    ("LOCK#", "LOCK", again::<Lock>),
    ("LOCK#", "QUEUE#", again::<Queued>),
    ("MADE#", "", again::<MadeEnvironmentRow>),
    ("OPEN#DEPLOYMENT", "", again::<OpenDeploymentRow>),
    ("OPEN#INTENT", "", again::<OpenIntentRow>),
    ("OPEN#RELEASE", "", again::<ReleasePointerRow>),
    ("OPEN#SCALING", "", again::<SuspendedScalingRow>),
    ("OPEN#WAIT", "", again::<OpenWaitRow>),
    ("ORDERS#", "HOLD", again::<Order>),
    ("ORDERS#", "STOP", again::<Stop>),
    ("PINS#", "", again::<Pin>),
    ("PIPELINE#", "CURRENT", again::<PipelineCurrentRow>),
    ("PIPELINE#", "VERSION#", again::<PipelineVersionRow>),
    ("QUARANTINE#", "", again::<Quarantine>),
    ("QUARANTINED#LOCK", "", again::<QuarantinedLockRow>),
    ("RELEASE#", "ANCHOR", again::<AnchorRow>),
    ("RELEASE#", "RELEASE", again::<ReleaseRow>),
    ("RELEASES#", "", again::<ReleasePointerRow>),
    ("REPOSITORY#", "", again::<RepositoryRow>),
    ("RESOURCE#", "EVENT#", again::<InboxRow>),
    ("RESOURCE#", "WAIT#", again::<WaitRow>),
    ("SERVICE#", "VERIFIED#", again::<VerifiedRow>),
    ("STARTEDBY#", "", again::<StartedByRow>),
    ("TAG#", "", again::<SeenTagRow>),
    ("UNDELIVERED", "", again::<Undelivered>),
    ("VOTES#", "", again::<Vote>),
];

/// What every row has beside its own members.
const OF_EVERY_ROW: [&str; 4] = ["pk", "sk", "revision", "row_version"];

/// The files of this name, one of each version.
fn sets(name: &str) -> Vec<(PathBuf, Vec<Value>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/records");
    let versions = std::fs::read_dir(folder).unwrap();
    let files = versions.map(|version| version.unwrap().path().join(name));
    let read = |file: PathBuf| {
        let text = std::fs::read_to_string(&file).unwrap();
        (file, serde_json::from_str(&text).unwrap())
    };
    files.map(read).collect()
}

/// What of a row is not in what was read of it: a member that this version does not know any more.
fn lost(before: &Value, after: &Value, at: &str) -> Vec<String> {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            let members = before.iter().flat_map(|(name, value)| match after.get(name) {
                Some(kept) => lost(value, kept, &format!("{at}/{name}")),
                // What is absent is not written.
                None if value.is_null() => Vec::new(),
                None => vec![format!("{at}/{name}")],
            });
            members.collect()
        }
        (Value::Array(before), Value::Array(after)) if before.len() == after.len() => {
            let parts = before.iter().zip(after).enumerate();
            parts
                .flat_map(|(index, (before, after))| lost(before, after, &format!("{at}/{index}")))
                .collect()
        }
        // A text may be JSON, such as that of a plan.
        (before, after) if before == after || before.as_f64().is_some() && before.as_f64() == after.as_f64() => {
            Vec::new()
        }
        (before, after) => vec![format!("{at}: {before} is {after}")],
    }
}

#[test]
fn every_row_of_every_version_is_read_without_a_loss() {
    let mut kinds = BTreeSet::new();
    for name in ["control.json", "control-in-flight.json"] {
        for (file, items) in sets(name) {
            assert!(!items.is_empty(), "{}", file.display());
            for item in items {
                let mut row = plain_item(&item);
                let (pk, sk) = (row["pk"].clone(), row["sk"].clone());
                let (pk, sk) = (pk.as_str().unwrap(), sk.as_str().unwrap());
                for member in OF_EVERY_ROW {
                    row.as_object_mut().unwrap().remove(member);
                }
                let known = ROWS.iter().find(|(of, at, _)| pk.starts_with(of) && sk.starts_with(at));
                let (of, at, again) = known.unwrap_or_else(|| panic!("no row is `{pk}` / `{sk}`"));
                kinds.insert((*of, *at));
                let read =
                    again(row.clone()).unwrap_or_else(|error| panic!("{}: `{pk}` / `{sk}`: {error}", file.display()));
                // Some rows say themselves when they may go, and to others it is added.
                row.as_object_mut().unwrap().remove("expires_at");
                assert_eq!(
                    lost(&row, &read, ""),
                    Vec::<String>::new(),
                    "{}: `{pk}` / `{sk}`",
                    file.display()
                );
            }
        }
    }
    // The sets hold what a release needs from its push to its end, and not only a part of it.
    assert!(kinds.len() >= 38, "{} kinds: {kinds:?}", kinds.len());
}

#[test]
fn every_record_of_every_version_is_read_and_hashes_as_it_did() {
    for (file, items) in sets("ledger.json") {
        assert!(!items.is_empty(), "{}", file.display());
        for item in items {
            let record: Record =
                serde_json::from_value(plain_item(&item)).unwrap_or_else(|error| panic!("{error}: {item}"));
            assert_eq!(record.computed_hash(), record.hash, "{item}");
        }
    }
}

#[test]
fn a_member_that_nobody_reads_any_more_is_a_loss() {
    let before = json!({"a": 1, "b": null, "c": {"d": [1, {"e": 2}]}});
    assert_eq!(
        lost(&before, &json!({"a": 1.0, "c": {"d": [1, {"e": 2}]}}), ""),
        [""; 0]
    );
    assert_eq!(lost(&before, &json!({"a": 1, "c": {"d": [1, {}]}}), ""), ["/c/d/1/e"]);
    assert_eq!(lost(&before, &json!({"c": {"d": [1, {"e": 3}]}}), "").len(), 2);
}
