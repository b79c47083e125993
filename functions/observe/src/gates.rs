//! Asking the gates of an environment: before a deployment is started, after every wait, and under its lock.

use std::collections::BTreeMap;

use esclusa_adapters::control::rows::{DeploymentRow, EnvironmentRow, GatesRow, ReleaseKind, ReleaseRow, TogetherRow};
use esclusa_adapters::control::{Change, Expected, Key, Repository, Stored};
use esclusa_adapters::gates::{Electorate, Said, companions, verified_there};
use esclusa_adapters::journal::Commit;
use esclusa_adapters::planning::PlanRequest;
use esclusa_core::error::Failure;
use esclusa_core::gate::{
    GateFacts, GatePolicy, GateReport, Passage, depends_on_upstream, is_let_in_at_expiry, looks_again, pass,
};
use esclusa_core::ledger::RecordKind;
use esclusa_core::pipeline::{Digest, Name, ResolvedEnvironment};
use esclusa_core::wave::before;
use esclusa_runtime::Measure;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{ACTOR, Observe};

/// What asking the gates came to.
struct Asked {
    passage: Passage,
    row: GatesRow,
}

impl Observe {
    /// Asks the gates before a deployment. What they say is written down whenever it is another than before; an end is
    /// written once.
    pub(crate) async fn ask_gates(&self, deployment_id: &str) -> Result<Value, Failure> {
        let work = self.journal.work(deployment_id).await?;
        let (release, deployment) = (&work.release.row, &work.deployment.row);
        if deployment.unchanged {
            return Ok(answer(&Passage::Open));
        }
        let key = Key::gates(deployment_id);
        let stored: Option<Stored<GatesRow>> = self.journal.control().get(&key).await?;
        if let Some(closed) = stored.as_ref().and_then(|stored| stored.row.closed.clone()) {
            return Ok(answer(&Passage::Over(closed)));
        }
        let now = self.journal.clock().now()?;
        let since = stored.as_ref().map_or(now, |stored| stored.row.since);
        let newer = self.superseded_by(release, &deployment.environment).await?;
        let policy = self
            .planner
            .environment(&PlanRequest::of(release, &deployment.environment)?)
            .await?;
        let place = Place {
            release,
            policy: &policy,
            deployment,
            since,
            newer: newer.as_deref(),
            let_in: LetIn::At(stored.as_ref().and_then(|stored| stored.row.let_in_at)),
        };
        let mut asked = self.ask(&place, now).await?;
        // What has just come through needs no other look.
        let has_waited = stored.is_some();
        let depends = has_waited && depends_on_upstream(&asked.passage, &asked.row.reports);
        if depends && self.looked_upstream(&place, now).await? {
            asked = self.ask(&place, now).await?;
        }
        // Where there is no gate there is nothing to write down.
        let says_something = has_waited || !asked.row.reports.is_empty() || asked.row.closed.is_some();
        if says_something && stored.as_ref().map(|stored| &stored.row) != Some(&asked.row) {
            let mut facts = json!({
                "planHash": deployment.plan_hash,
                "since": since,
                "gates": asked.row.reports,
                "closed": asked.row.closed,
            });
            if let (Some(at), Some(facts)) = (asked.row.let_in_at, facts.as_object_mut()) {
                facts.insert("letInAt".to_owned(), json!(at));
            }
            let commit = Commit::new()
                .change(Change::put(key, &asked.row, Expected::unchanged(stored.as_ref()))?)
                .record(
                    &work.subject.chain,
                    work.subject.draft(RecordKind::GatesAsked, ACTOR, &facts)?,
                );
            self.journal.commit(commit).await?.or_failure()?;
            let before = stored.iter().flat_map(|stored| &stored.row.reports);
            for gate in opened(before, &asked.row.reports) {
                let took = now.duration_since(since);
                Measure::GateOpened { gate, took }.emit();
            }
        }
        Ok(answer(&asked.passage))
    }

    /// That the gates are open for a deployment that has its locks: they may have closed while it waited.
    ///
    /// # Errors
    /// `PlanChanged` when one is not: the release asks again. `Stopped` when the release is stopped.
    pub(crate) async fn still_open(&self, release: &ReleaseRow, deployment: &DeploymentRow) -> Result<(), Failure> {
        self.journal.unless_stopped(&release.release_id).await?;
        let key = Key::gates(&deployment.deployment_id);
        let stored: Option<Stored<GatesRow>> = self.journal.control().get(&key).await?;
        let now = self.journal.clock().now()?;
        let environment = deployment.environment.as_str();
        let policy = self
            .planner
            .environment(&PlanRequest::of(release, environment)?)
            .await?;
        let place = Place {
            release,
            policy: &policy,
            deployment,
            since: stored.as_ref().map_or(now, |stored| stored.row.since),
            newer: None,
            // What is not written down by now lets nobody in.
            let_in: LetIn::Only(stored.and_then(|stored| stored.row.let_in_at)),
        };
        let asked = self.ask(&place, now).await?;
        if asked.passage == Passage::Open {
            return Ok(());
        }
        let closed = asked.row.reports.iter().find(|report| !report.is_open);
        let why = closed.map_or_else(String::new, |report| format!(": {}", report.sentence));
        Err(Failure::plan_changed(format!(
            "a gate of `{environment}` closed while the deployment waited for its lock{why}"
        )))
    }

    /// Looks once more at a release where it came through, if it is time to. Whether that was done.
    async fn looked_upstream(&self, place: &Place<'_>, now: Timestamp) -> Result<bool, Failure> {
        let Place { release, policy, .. } = place;
        let mut looked = false;
        for upstream in before(&release.environments, &release.waves, policy.name.as_str()) {
            let verified = verified_there(self.journal.control(), release, upstream).await?;
            let Some(EnvironmentRow {
                deployment_id,
                since,
                looked_at,
                ..
            }) = verified
            else {
                continue;
            };
            if !looks_again(looked_at.unwrap_or(since), now) {
                continue;
            }
            looked = true;
            let answer = match self.at(&deployment_id).await {
                Ok(there) => there.recheck(&deployment_id).await,
                Err(failure) => Err(failure),
            };
            match answer {
                Ok(answer) => tracing::info!(upstream, %answer, "looked again where the release came through"),
                // A place that cannot be reached says nothing about the release.
                Err(failure) if !failure.kind.is_retryable() => {
                    tracing::warn!(upstream, kind = %failure.kind, message = %failure.message, "could not look again where the release came through");
                }
                Err(failure) => return Err(failure),
            }
        }
        Ok(looked)
    }

    /// The images that come together, with their repositories.
    fn together(&self, policy: &ResolvedEnvironment) -> Vec<TogetherRow> {
        let home = self.planner.home();
        let images = policy
            .together
            .iter()
            .filter_map(|key| policy.images.get_key_value(key));
        images
            .map(|(key, image)| {
                let Repository { account, region, name } = Repository::of(image, home);
                TogetherRow {
                    image: key.to_string(),
                    account: account.to_owned(),
                    region: region.to_owned(),
                    repository: name.to_owned(),
                }
            })
            .collect()
    }

    async fn ask(&self, place: &Place<'_>, now: Timestamp) -> Result<Asked, Failure> {
        let Place { release, policy, .. } = place;
        let environment = policy.name.as_str();
        let control = self.journal.control();
        let said = Said::read(control, release, environment, policy.approval.as_ref()).await?;
        let copies = if release.kind == ReleaseKind::Rollback {
            Vec::new()
        } else {
            self.planner.copies(policy, &digests(release)?).await?
        };
        let wave_failed = self.journal.wave_failed(release, environment).await?;
        let together = self.together(policy);
        let companions = companions(control, release, environment, &together).await?;
        let electorate = self
            .newest_electorate(release, environment, said.pipeline_version)
            .await?;
        let gates = GatePolicy {
            windows: policy.windows.as_ref(),
            approval: policy.approval.as_ref(),
            acknowledgements: &policy.acknowledgements,
            people: &policy.people,
            now: electorate.as_ref().map(Electorate::approvers),
        };
        let mut facts = GateFacts {
            since: place.since,
            plan_hash: &place.deployment.plan_hash,
            pushed_by: place.deployment.pushed_by.as_ref(),
            requested_by: (release.kind != ReleaseKind::Push).then_some(release.requested_by.as_str()),
            is_rollback: release.kind == ReleaseKind::Rollback,
            is_hotfix: release.is_hotfix,
            let_in_at: place.let_in.at(),
            votes: &said.votes,
            acknowledged: &said.acknowledged,
            image: &release.image,
            digest: &release.digest,
            freezes: &said.freezes,
            hold: said.hold.as_ref(),
            pin: said.pin.as_ref(),
            stop: said.stop.as_ref(),
            newer: place.newer,
            copies: &copies,
            wave_failed: wave_failed.as_ref(),
            companions: &companions,
            failed_upstream: said.failed_upstream.as_ref(),
            quarantine: said.quarantine.as_ref(),
        };
        if let LetIn::At(None) = place.let_in
            && is_let_in_at_expiry(&gates, &facts, now)
        {
            facts.let_in_at = Some(now);
        }
        let (passage, reports) = pass(&gates, &facts, now);
        let row = GatesRow {
            together,
            let_in_at: facts.let_in_at,
            removed: gates
                .now
                .zip(gates.approval)
                .map_or_else(Vec::new, |(now, approval)| now.removed(approval)),
            ..row(place, &said, reports, &passage)
        };
        Ok(Asked { passage, row })
    }

    /// Who may agree as the newest version of the pipeline says; none where the release began with that one, or nobody
    /// is asked.
    async fn newest_electorate(
        &self,
        release: &ReleaseRow,
        environment: &str,
        newest: Option<u32>,
    ) -> Result<Option<Electorate>, Failure> {
        let Some(newest) = newest.filter(|newest| *newest != release.pipeline_version) else {
            return Ok(None);
        };
        let control = self.journal.control();
        Electorate::of(control, &release.application, environment, newest)
            .await
            .map(Some)
    }
}

/// The image that a release brings. Others are where they run.
fn digests(release: &ReleaseRow) -> Result<BTreeMap<Name, Digest>, Failure> {
    let defect = |error: &dyn std::fmt::Display| Failure::defect(error.to_string());
    let image = release.image.parse().map_err(|error| defect(&error))?;
    let digest = release.digest.parse().map_err(|error| defect(&error))?;
    Ok(BTreeMap::from([(image, digest)]))
}

/// The gates that were closed and are not any more.
fn opened<'a>(before: impl Iterator<Item = &'a GateReport>, now: &[GateReport]) -> impl Iterator<Item = &'a str> {
    let is_closed = |gate: &str| now.iter().any(|report| report.gate == gate && !report.is_open);
    before
        .filter(move |report| !report.is_open && !is_closed(&report.gate))
        .map(|report| report.gate.as_str())
}

/// A release before an environment.
struct Place<'a> {
    release: &'a ReleaseRow,
    policy: &'a ResolvedEnvironment,
    deployment: &'a DeploymentRow,
    since: Timestamp,
    newer: Option<&'a str>,
    let_in: LetIn,
}

/// Since when the pipeline lets the release in without enough who agree.
#[derive(Debug, Clone, Copy)]
enum LetIn {
    /// Since what is written down, or since now.
    At(Option<Timestamp>),
    /// Since what is written down, and not otherwise.
    Only(Option<Timestamp>),
}

impl LetIn {
    fn at(self) -> Option<Timestamp> {
        let (Self::At(at) | Self::Only(at)) = self;
        at
    }
}

fn row(place: &Place<'_>, said: &Said, reports: Vec<GateReport>, passage: &Passage) -> GatesRow {
    GatesRow {
        since: place.since,
        seen: said.fingerprint(),
        reports,
        closed: match passage {
            Passage::Over(closed) => Some(closed.clone()),
            Passage::Open | Passage::Wait { .. } => None,
        },
        let_in_at: place.let_in.at(),
        newest: place.policy.newest,
        waiting: place.policy.lock.waiting,
        approval: place.policy.approval.clone(),
        windows: place.policy.windows.clone(),
        removed: Vec::new(),
        acknowledgements: place.policy.acknowledgements.clone().into_iter().collect(),
        together: Vec::new(),
        people: place.policy.people.clone(),
    }
}

fn answer(passage: &Passage) -> Value {
    let (outcome, pause_seconds) = match passage {
        Passage::Open => ("open", 0),
        Passage::Wait { pause } => ("wait", pause.as_secs().saturating_add(1)),
        Passage::Over(_) => ("over", 0),
    };
    json!({"outcome": outcome, "pauseSeconds": pause_seconds})
}
