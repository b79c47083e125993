//! How far a release has come, and what it waits for: since when, until when. Read from its rows; nothing is asked of
//! AWS.

use esclusa_adapters::cards::expires;
use esclusa_adapters::control::rows::{
    DeploymentRow, GatesRow, OpenWaitRow, Progress, ReleaseKind, ReleaseRow, RestorePointRow, StepRow,
};
use esclusa_adapters::control::{Key, Stored};
use esclusa_adapters::journal::Journal;
use esclusa_adapters::locks::StandingLock;
use esclusa_adapters::planning::pipeline_version;
use esclusa_core::error::{ErrorKind, Failure};
use esclusa_core::gate::{Closed, GateReport};
use esclusa_core::pipeline::{Choice, resolve};
use esclusa_core::protocol::Attempt;
use esclusa_core::protocol::lock::{Acquire, Claimant};
use esclusa_core::protocol::rendezvous::WaitStatus;
use esclusa_core::span::span;
use esclusa_core::verdict::{End, Mode, StepKind, StepOutcome};
use esclusa_core::verification::{self, Outcome};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::render::words;

/// A release and its deployments.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct ReleaseSituation {
    pub(crate) release_id: String,
    pub(crate) application: String,
    pub(crate) kind: ReleaseKind,
    pub(crate) tag: String,
    pub(crate) digest: String,
    pub(crate) requested_by: String,
    pub(crate) reason: Option<String>,
    pub(crate) progress: Progress,
    pub(crate) created_at: Timestamp,
    pub(crate) ended_at: Option<Timestamp>,
    pub(crate) end: Option<End>,
    /// In the order of promotion.
    pub(crate) environments: Vec<EnvironmentSituation>,
}

/// A release in one of its environments.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct EnvironmentSituation {
    pub(crate) environment: String,
    /// The last attempt; none before the release comes here.
    pub(crate) deployment: Option<DeploymentSituation>,
}

/// One attempt to bring a release into an environment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct DeploymentSituation {
    pub(crate) deployment_id: String,
    pub(crate) attempt: u32,
    pub(crate) progress: Progress,
    pub(crate) created_at: Timestamp,
    pub(crate) ended_at: Option<Timestamp>,
    pub(crate) end: Option<End>,
    pub(crate) steps: Vec<StepSituation>,
    /// How what was deployed is found to work; none before the services have moved, or where nobody looks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) verification: Option<verification::State>,
    /// The restore points that were secured before its migrations.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) restore_points: Vec<RestorePointRow>,
    /// Where it stands at the gates; none before they were asked and once it is let in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) gates: Option<AtGates>,
    /// What it waits for now; empty while it works or is over.
    pub(crate) waits: Vec<Wait>,
}

/// A release before an environment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct AtGates {
    pub(crate) since: Timestamp,
    /// What each gate says.
    pub(crate) reports: Vec<GateReport>,
    /// That it does not come any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) closed: Option<Closed>,
    /// When it ends because nobody agreed, or saw to what is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expires_at: Option<Timestamp>,
}

/// One attempt at one step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct StepSituation {
    pub(crate) mode: Mode,
    pub(crate) index: usize,
    pub(crate) attempt: u32,
    pub(crate) kind: StepKind,
    pub(crate) name: String,
    pub(crate) outcome: StepOutcome,
    pub(crate) sentence: String,
    pub(crate) resource_arn: Option<String>,
    pub(crate) begun_at: Timestamp,
    pub(crate) judged_at: Option<Timestamp>,
}

/// What somebody waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Wait {
    /// In words, such as "for service `api` to be replaced".
    pub(crate) what: String,
    pub(crate) since: Timestamp,
    /// When it gives up; none where that is not written down.
    pub(crate) until: Option<Timestamp>,
}

/// What is read of the row of a wait. The token in it is nobody's business here.
#[derive(Debug, Deserialize)]
struct OpenWait {
    status: WaitStatus,
    attempt: Attempt,
    deadline: Timestamp,
    deployment_id: String,
}

/// Reads how far a release has come.
pub(crate) async fn release(journal: &Journal, release: &ReleaseRow) -> Result<ReleaseSituation, Failure> {
    let mut environments = Vec::new();
    for environment in &release.environments {
        let row = journal.last_deployment(&release.release_id, environment).await?;
        let deployment = match row {
            Some(row) => Some(deployment(journal, release, &row.row).await?),
            None => None,
        };
        environments.push(EnvironmentSituation {
            environment: environment.clone(),
            deployment,
        });
    }
    Ok(ReleaseSituation {
        release_id: release.release_id.clone(),
        application: release.application.clone(),
        kind: release.kind,
        tag: release.tag.clone(),
        digest: release.digest.clone(),
        requested_by: release.requested_by.clone(),
        reason: release.reason.clone(),
        progress: release.progress,
        created_at: release.created_at,
        ended_at: release.ended_at,
        end: release.end.clone(),
        environments,
    })
}

async fn deployment(
    journal: &Journal,
    release: &ReleaseRow,
    row: &DeploymentRow,
) -> Result<DeploymentSituation, Failure> {
    let mut rows: Vec<StepRow> = journal
        .steps(&row.deployment_id)
        .await?
        .into_iter()
        .map(|stored| stored.row)
        .collect();
    rows.sort_by_key(|row| row.record.step);
    let waits = match row.progress {
        Progress::Ended => Vec::new(),
        Progress::Claimed | Progress::Started if row.fences.is_empty() => lock_waits(journal, row).await?,
        Progress::Claimed | Progress::Started => step_waits(journal, &row.deployment_id, &rows).await?,
    };
    let key = Key::verification(&row.deployment_id);
    let verification: Option<Stored<verification::State>> = journal.control().get(&key).await?;
    let rows_of = Key::deployment_rows(&row.deployment_id);
    let restore_points: Vec<(String, Stored<RestorePointRow>)> =
        journal.control().list(&rows_of, Key::RESTORE_POINT_PREFIX).await?;
    Ok(DeploymentSituation {
        deployment_id: row.deployment_id.clone(),
        attempt: row.attempt,
        progress: row.progress,
        created_at: row.created_at,
        ended_at: row.ended_at,
        end: row.end.clone(),
        steps: rows.into_iter().map(StepSituation::from).collect(),
        verification: verification.map(|stored| stored.row),
        restore_points: restore_points.into_iter().map(|(_, stored)| stored.row).collect(),
        gates: match row.stands_at_gates() {
            true => at_gates(journal, release, row).await?,
            false => None,
        },
        waits,
    })
}

/// What the gates say of a release that stands before them.
async fn at_gates(journal: &Journal, release: &ReleaseRow, row: &DeploymentRow) -> Result<Option<AtGates>, Failure> {
    let gates: Option<Stored<GatesRow>> = journal.control().get(&Key::gates(&row.deployment_id)).await?;
    let Some(gates) = gates.map(|stored| stored.row) else {
        return Ok(None);
    };
    let read = pipeline_version(journal.control(), &release.application, release.pipeline_version).await;
    let environment = match read {
        Ok((_, pipeline)) => resolve(&pipeline, &row.environment).ok(),
        // What the gates say is known without it.
        Err(failure) if failure.kind == ErrorKind::Refused => None,
        Err(failure) => return Err(failure),
    };
    Ok(Some(AtGates {
        since: gates.since,
        expires_at: expires(&gates, environment.as_ref()),
        reports: gates.reports,
        closed: gates.closed,
    }))
}

impl From<StepRow> for StepSituation {
    fn from(row: StepRow) -> Self {
        Self {
            mode: row.record.step.mode,
            index: row.record.step.index,
            attempt: row.record.step.attempt,
            kind: row.kind,
            name: row.name,
            outcome: row.record.outcome,
            sentence: row.record.sentence,
            resource_arn: row.resource_arn,
            begun_at: row.begun_at,
            judged_at: row.judged_at,
        }
    }
}

/// The locks that others have, or get before this one.
async fn lock_waits(journal: &Journal, row: &DeploymentRow) -> Result<Vec<Wait>, Failure> {
    let Some(since) = row.queued_at else {
        return Ok(Vec::new());
    };
    let claimant = Claimant {
        owner: row.execution_arn.clone().unwrap_or_default(),
        deployment_id: row.deployment_id.clone(),
    };
    let limit = SignedDuration::from_secs(i64::from(row.lock_wait_seconds));
    let mut waits = Vec::new();
    for name in &row.locks {
        let standing = StandingLock::read(journal.control(), name).await?;
        // A quarantined lock ends the wait, with an error that says so.
        if let Ok(Acquire::Wait { behind }) = standing.acquire(&claimant, since) {
            waits.push(Wait {
                what: format!("for lock `{name}`, behind deployment `{behind}`"),
                since,
                until: since.checked_add(limit).ok(),
            });
        }
    }
    Ok(waits)
}

/// The ends of resources that states of this deployment wait for.
async fn step_waits(journal: &Journal, deployment_id: &str, rows: &[StepRow]) -> Result<Vec<Wait>, Failure> {
    let mut waits = Vec::new();
    for row in rows.iter().filter(|row| row.judged_at.is_none()) {
        let Some(resource) = &row.resource_arn else { continue };
        let control = journal.control();
        let pointers: Vec<(String, Stored<OpenWaitRow>)> =
            control.list(Key::OPEN_WAITS, &format!("{resource}#")).await?;
        for (_, pointer) in pointers {
            let stored: Option<Stored<OpenWait>> = control.get(&pointer.row.wait_key()).await?;
            let ours = stored
                .map(|stored| stored.row)
                .filter(|wait| wait.deployment_id == deployment_id);
            let Some(wait) = ours.filter(|wait| wait.status == WaitStatus::Open) else {
                continue;
            };
            let what = match row.kind {
                StepKind::Task => format!("for task `{}` to stop", row.name),
                StepKind::Service => format!("for the rollout of service `{}`", row.name),
            };
            waits.push(Wait {
                what,
                since: wait.attempt.entered_at,
                until: Some(wait.deadline),
            });
        }
    }
    Ok(waits)
}

impl ReleaseSituation {
    /// What goes on at the moment, as one line for each environment that has something to say: another one only when
    /// something has happened.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.told(Shown::WhatMatters)
    }

    /// The same, with every check and its numbers as they were measured last.
    pub(crate) fn measured_lines(&self) -> Vec<String> {
        self.told(Shown::Numbers)
    }

    fn told(&self, shown: Shown) -> Vec<String> {
        if self.progress == Progress::Claimed {
            return vec!["claimed; its execution has not started yet".to_owned()];
        }
        let reached = self
            .environments
            .iter()
            .filter_map(|environment| environment.line(shown));
        let next = self.environments.iter().find(|environment| !environment.is_over());
        let planned = next.filter(|next| next.deployment.is_none() && self.end.is_none());
        reached
            .chain(planned.map(|next| format!("{}: its deployment is being planned", next.environment)))
            .collect()
    }
}

impl EnvironmentSituation {
    fn is_over(&self) -> bool {
        self.deployment
            .as_ref()
            .is_some_and(|deployment| deployment.end.is_some())
    }

    fn line(&self, shown: Shown) -> Option<String> {
        let deployment = self.deployment.as_ref()?;
        Some(format!("{}: {}", self.environment, deployment.told(shown)))
    }
}

/// How much is told of a verification that goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    /// What is not as it should be.
    WhatMatters,
    /// Every check with what it showed last.
    Numbers,
}

impl AtGates {
    fn sentence(&self) -> String {
        if self.closed.is_some() {
            return "will not be deployed: its end is about to be recorded".to_owned();
        }
        let closed: Vec<String> = self
            .reports
            .iter()
            .filter(|report| !report.is_open)
            .map(words::gate)
            .collect();
        if closed.is_empty() {
            return "admitted, about to start".to_owned();
        }
        format!("{}; {}", self.stands(), closed.join("; "))
    }

    /// Since when, and until when at most.
    pub(crate) fn stands(&self) -> String {
        let since = words::time(self.since);
        let expires = self
            .expires_at
            .map(|at| format!("; approvals accepted until {}", words::time(at)));
        format!("at the gates since {since}{}", expires.unwrap_or_default())
    }
}

impl DeploymentSituation {
    /// What goes on at the moment.
    pub(crate) fn sentence(&self) -> String {
        self.told(Shown::WhatMatters)
    }

    fn told(&self, shown: Shown) -> String {
        if let Some(end) = &self.end {
            return format!("{} ({}), effect {}", end.verdict, end.reason, end.effect);
        }
        if !self.waits.is_empty() {
            let waits: Vec<String> = self.waits.iter().map(Wait::sentence).collect();
            return format!("{}waiting {}", self.way(), waits.join("; "));
        }
        if let Some(state) = self.verification.as_ref().filter(|_| self.way().is_empty()) {
            return verified(state, shown);
        }
        match (self.progress, self.steps.last()) {
            (Progress::Claimed, _) => match &self.gates {
                Some(gates) => gates.sentence(),
                None => "planned, about to reach its gates".to_owned(),
            },
            (_, None) => "planning again under its locks and registering task definitions".to_owned(),
            (_, Some(step)) if step.outcome == StepOutcome::Begun => {
                format!("{}working on {}", self.way(), step.subject())
            }
            (_, Some(step)) => format!("{}{}", self.way(), step.sentence()),
        }
    }

    fn way(&self) -> &'static str {
        let is_way_back = self.steps.iter().any(|step| step.mode == Mode::WayBack);
        if is_way_back { "going back, " } else { "" }
    }
}

/// How a verification stands, in words.
fn verified(state: &verification::State, shown: Shown) -> String {
    let mut checks = state.checks.iter();
    let asked = checks.find_map(|(name, check)| Some((name, check, check.question?)));
    let stands = match (asked, state.healthy_since) {
        (Some((name, check, question)), _) => {
            let seen = check.last.as_ref().map(|last| format!(": {}", last.sentence));
            let otherwise = match question.unanswered {
                Choice::Rollback => "goes back",
                Choice::Keep => "stays",
            };
            format!(
                "asks about `{name}`{}; `esclusa answer` decides until {}, then it {otherwise}",
                seen.unwrap_or_default(),
                words::time(question.until)
            )
        }
        (None, Some(since)) => {
            let soak = state.soak();
            let asked = soak.asked.map(|asked| format!(" ({} required)", span(asked)));
            format!(
                "verifying: healthy since {}{}",
                words::time(since),
                asked.unwrap_or_default()
            )
        }
        (None, None) => "verifying: not healthy yet".to_owned(),
    };
    let lasts = state
        .checks
        .iter()
        .filter_map(|(name, check)| Some((name, check.last.as_ref()?)));
    let is_told = |outcome| match (shown, asked) {
        (Shown::Numbers, _) => true,
        // The question says what it is about.
        (Shown::WhatMatters, Some(_)) => false,
        (Shown::WhatMatters, None) => outcome != Outcome::Pass,
    };
    let told: Vec<String> = lasts
        .filter(|(_, last)| is_told(last.outcome))
        .map(|(name, last)| format!("`{name}` {}: {}", last.outcome.as_str(), last.sentence))
        .collect();
    let is_measured = state.checks.values().any(|check| check.last.is_some());
    match told.as_slice() {
        [] if !is_measured => "verifying: nothing measured yet".to_owned(),
        [] => stands,
        told => format!("{stands}; {}", told.join("; ")),
    }
}

impl StepSituation {
    /// Which step it is.
    fn subject(&self) -> String {
        let kind = match self.kind {
            StepKind::Task => "task",
            StepKind::Service => "service",
        };
        let attempt = if self.attempt > 1 {
            format!(" (attempt {})", self.attempt)
        } else {
            String::new()
        };
        format!("{kind} `{}`{attempt}", self.name)
    }

    /// The step and what became of it.
    pub(crate) fn sentence(&self) -> String {
        let outcome = match self.outcome {
            StepOutcome::Begun => "begun",
            StepOutcome::Done => "done",
            StepOutcome::NeverStarted => "never started",
            StepOutcome::Failed => "failed",
            StepOutcome::Reverted => "rolled back",
            StepOutcome::Foreign => "changed by somebody else",
            StepOutcome::Unknown => "unknown effect",
        };
        let sentence = if self.sentence.is_empty() {
            String::new()
        } else {
            format!(": {}", self.sentence)
        };
        format!("{} {outcome}{sentence}", self.subject())
    }
}

impl Wait {
    /// What is waited for, since when and until when.
    pub(crate) fn sentence(&self) -> String {
        let until = self
            .until
            .map(|until| format!(", until {} at the latest", words::time(until)));
        format!(
            "{}, since {}{}",
            self.what,
            words::time(self.since),
            until.unwrap_or_default()
        )
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use esclusa_core::verdict::{Effect, Reason, Verdict};

    use super::*;

    fn at(text: &str) -> Timestamp {
        format!("2026-11-21T{text}Z").parse().unwrap()
    }

    pub(crate) fn step(kind: StepKind, name: &str, outcome: StepOutcome, sentence: &str) -> StepSituation {
        StepSituation {
            mode: Mode::Forward,
            index: 0,
            attempt: 1,
            kind,
            name: name.to_owned(),
            outcome,
            sentence: sentence.to_owned(),
            resource_arn: None,
            begun_at: at("14:05:07"),
            judged_at: None,
        }
    }

    pub(crate) fn deployment(steps: Vec<StepSituation>, waits: Vec<Wait>) -> DeploymentSituation {
        DeploymentSituation {
            deployment_id: "shop-0f0f0f0f0f0f0f0f0f0f-develop-1".to_owned(),
            attempt: 1,
            progress: Progress::Started,
            created_at: at("14:05:00"),
            ended_at: None,
            end: None,
            steps,
            verification: None,
            restore_points: Vec::new(),
            gates: None,
            waits,
        }
    }

    #[test]
    fn a_release_says_where_it_is_and_what_comes_next() {
        let ended = End {
            verdict: Verdict::Succeeded,
            effect: Effect::None,
            reason: Reason::Proven,
            reasons: Vec::new(),
        };
        let over = DeploymentSituation {
            end: Some(ended),
            ..deployment(vec![], vec![])
        };
        let environment = |name: &str, deployment| EnvironmentSituation {
            environment: name.to_owned(),
            deployment,
        };
        let mut release = ReleaseSituation {
            release_id: "shop-0f0f0f0f0f0f0f0f0f0f".to_owned(),
            application: "shop".to_owned(),
            kind: ReleaseKind::Push,
            tag: "v1.4.0".to_owned(),
            digest: format!("sha256:{}", "0f".repeat(32)),
            requested_by: "an event".to_owned(),
            reason: None,
            progress: Progress::Claimed,
            created_at: at("14:04:59"),
            ended_at: None,
            end: None,
            environments: vec![environment("develop", None), environment("production", None)],
        };
        assert_eq!(release.lines(), ["claimed; its execution has not started yet"]);
        release.progress = Progress::Started;
        assert_eq!(release.lines(), ["develop: its deployment is being planned"]);
        release.environments[0].deployment = Some(over);
        let lines = [
            "develop: SUCCEEDED (proven), effect none",
            "production: its deployment is being planned",
        ];
        assert_eq!(release.lines(), lines);
        release.environments[1].deployment = Some(deployment(vec![], vec![]));
        assert_eq!(
            release.lines()[1],
            "production: planning again under its locks and registering task definitions"
        );
    }

    #[test]
    fn a_deployment_says_what_it_waits_for_since_when_and_until_when() {
        let wait = Wait {
            what: "for the rollout of service `api`".to_owned(),
            since: at("14:06:00"),
            until: Some(at("14:36:00")),
        };
        let migrated = step(StepKind::Task, "migrate", StepOutcome::Done, "exit code 0");
        let rolling = step(StepKind::Service, "api", StepOutcome::Begun, "");
        let back = StepSituation {
            mode: Mode::WayBack,
            ..rolling.clone()
        };
        let sentences = [
            deployment(vec![], vec![]),
            deployment(vec![migrated.clone()], vec![]),
            deployment(vec![migrated.clone(), rolling], vec![wait.clone()]),
            deployment(vec![migrated, back], vec![wait]),
        ];
        insta::assert_snapshot!(sentences.map(|deployment| deployment.sentence()).join("\n"));
    }

    #[test]
    fn a_release_at_its_gates_says_which_keeps_it_and_until_when() {
        let report = |gate: &str, is_open, sentence: &str, until: Option<&str>| GateReport {
            gate: gate.to_owned(),
            is_open,
            sentence: sentence.to_owned(),
            until: until.map(at),
        };
        let standing = |reports| DeploymentSituation {
            progress: Progress::Claimed,
            gates: Some(AtGates {
                since: at("14:05:00"),
                reports,
                closed: None,
                expires_at: Some(at("20:00:00")),
            }),
            ..deployment(vec![], vec![])
        };
        let waits = standing(vec![
            report(
                "window",
                false,
                "outside the windows of the environment",
                Some("15:00:00"),
            ),
            report("together", true, "all are here", None),
            report("approval", false, "1 of `ana` must agree", None),
        ]);
        assert_eq!(
            waits.sentence(),
            "at the gates since 2026-11-21 14:05:00Z; approvals accepted until 2026-11-21 20:00:00Z; \
             window: outside the windows of the environment (until 2026-11-21 15:00:00Z); approval: 1 of `ana` must agree"
        );
        let let_in = standing(vec![report("approval", true, "`ana` agreed", None)]);
        assert_eq!(let_in.sentence(), "admitted, about to start");
        let planned = DeploymentSituation { gates: None, ..let_in };
        assert_eq!(planned.sentence(), "planned, about to reach its gates");
    }

    #[test]
    fn a_verification_tells_every_check_with_its_numbers_while_it_runs() {
        let state = |error_rate: &str, question: bool| -> verification::State {
            let asked = serde_json::json!({"asked_at": "2026-11-21T14:09:00Z", "until": "2026-11-21T14:19:00Z", "unanswered": "rollback"});
            serde_json::from_value(serde_json::json!({
                "begun_at": "2026-11-21T14:07:00Z", "looked_at": "2026-11-21T14:09:00Z", "looks": 3, "soak_seconds": 300,
                "healthy_since": (error_rate == "pass").then_some("2026-11-21T14:07:30Z"),
                "checks": {
                    "error-rate": {"last": {"at": "2026-11-21T14:09:00Z", "outcome": error_rate, "sentence": "0.3, at most 5 is allowed"}, "question": question.then_some(asked)},
                    "services": {"last": {"at": "2026-11-21T14:09:00Z", "outcome": "pass", "sentence": "`api` runs 2"}},
                },
            }))
            .unwrap()
        };
        let running = |state| DeploymentSituation {
            verification: Some(state),
            ..deployment(vec![], vec![])
        };
        let healthy = running(state("pass", false));
        let failing = running(state("fail", false));
        let asking = running(state("fail", true));
        insta::assert_snapshot!(
            [&healthy, &failing, &asking]
                .map(|running| format!("{}\n{}", running.sentence(), running.told(Shown::Numbers)))
                .join("\n")
        );
    }
}
