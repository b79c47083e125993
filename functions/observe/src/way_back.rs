//! Planning the way back of a deployment that failed.

use esclusa_adapters::control::rows::{StepRow, VerifiedRow, WayBackRow};
use esclusa_adapters::control::{Change, Expected, Key, Stored};
use esclusa_adapters::journal::Commit;
use esclusa_adapters::planning::{PlanRequest, service_name};
use esclusa_core::error::Failure;
use esclusa_core::ledger::RecordKind;
use esclusa_core::pipeline::OnFailure;
use esclusa_core::plan::{PlannedStep, VerifiedRevision};
use esclusa_core::task_definition::Home;
use esclusa_core::verdict::{Mode, StepRecord};
use esclusa_core::way_back::{TakenStep, WayBack, way_back};
use serde_json::{Value, json};

use crate::{ACTOR, Observe, listed};

/// How many verified revisions of a service are looked through.
const VERIFIED: usize = 50;

impl Observe {
    /// The steps back; an empty list when nothing of the deployment is in force, or the pipeline says to leave
    /// everything to a person. A repeat answers what was written.
    pub(crate) async fn plan_way_back(&self, deployment_id: &str) -> Result<Value, Failure> {
        if let Some(planned) = self.journal.way_back(deployment_id).await? {
            return Ok(json!({"steps": listed(&planned.steps)}));
        }
        // What the way back is planned from is written down at home: a place that cannot be reached is no reason to
        // have no plan.
        let work = self.journal.work(deployment_id).await?;
        let plan = self.journal.plan(deployment_id).await?;
        let rows = self.journal.steps(deployment_id).await?;
        let place = work.deployment.row.place.as_ref().unwrap_or(self.places.home());
        let mut histories = Vec::new();
        for (index, planned) in plan.steps.iter().enumerate() {
            histories.push(self.history(place, index, planned, &rows).await?);
        }
        let taken: Vec<TakenStep<'_>> = plan
            .steps
            .iter()
            .zip(&histories)
            .map(|(planned, history)| TakenStep {
                planned,
                records: &history.records,
                previous_task_definition_arn: history.previous.as_deref(),
                was_completed: history.was_completed,
                verified: &history.verified,
            })
            .collect();
        let request = PlanRequest::of(&work.release.row, &work.deployment.row.environment)?;
        let WayBack { steps, left } = match self.planner.environment(&request).await?.on_failure {
            OnFailure::RollBack => way_back(&plan, &taken),
            OnFailure::Stop => WayBack::default(),
        };
        let text = serde_json::to_string(&steps)
            .map_err(|error| Failure::defect(format!("the way back cannot be written down: {error}")))?;
        let names = |is_wanted: fn(&PlannedStep) -> bool| -> Vec<&str> {
            let wanted = steps.iter().filter(|step| is_wanted(step));
            wanted.map(|step| step.name().as_str()).collect()
        };
        let services = names(|step| matches!(step, PlannedStep::Service(_)));
        let migrations = names(|step| matches!(step, PlannedStep::Task(_)));
        let draft = work.subject.draft(
            RecordKind::WayBackPlanned,
            ACTOR,
            &json!({"services": services, "migrations": migrations, "left": left}),
        )?;
        let commit = Commit::new()
            .change(Change::put(
                Key::way_back(deployment_id),
                &WayBackRow { steps: text, left },
                Expected::Absent,
            )?)
            .record(&work.subject.chain, draft);
        self.journal.commit(commit).await?.or_failure()?;
        Ok(json!({"steps": listed(&steps)}))
    }

    async fn history(
        &self,
        place: &Home,
        index: usize,
        planned: &PlannedStep,
        rows: &[Stored<StepRow>],
    ) -> Result<History, Failure> {
        let mine = || {
            rows.iter()
                .map(|stored| &stored.row)
                .filter(|row| row.record.step.mode == Mode::Forward && row.record.step.index == index)
        };
        let records = mine().map(|row| row.record.clone()).collect();
        let previous = mine().find_map(|row| row.previous_task_definition_arn.clone());
        let was_completed = mine().any(|row| row.before.as_ref().is_some_and(|before| before.is_completed));
        let verified = match (planned, &previous) {
            (PlannedStep::Service(service), Some(_)) => {
                let name = service_name(place, &service.cluster, &service.service);
                self.journal
                    .control()
                    .latest(&Key::service_rows(&name), Key::VERIFIED_PREFIX, VERIFIED)
                    .await?
            }
            _ => Vec::new(),
        };
        let revision = |(_, stored): (String, Stored<VerifiedRow>)| stored.row.revision();
        Ok(History {
            records,
            previous,
            was_completed,
            verified: verified.into_iter().map(revision).collect(),
        })
    }
}

/// What is known about a step that was taken.
struct History {
    records: Vec<StepRecord>,
    previous: Option<String>,
    was_completed: bool,
    verified: Vec<VerifiedRevision>,
}
