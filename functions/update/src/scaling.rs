//! What is registered with Application Auto Scaling, before the service moves: what cannot be registered is refused
//! while nothing has happened.

use esclusa_adapters::acts::{Act, Announced};
use esclusa_adapters::deployments::Work;
use esclusa_adapters::journal::Commit;
use esclusa_core::error::Failure;
use esclusa_core::plan::{PlannedService, PlannedStep};
use esclusa_core::scaling::{ScalingAct, resource_id};
use esclusa_core::verdict::StepReference;
use serde_json::{Value, json};

use crate::{ACTOR, Update};

impl Update {
    /// Makes bounds and policies of a service what the plan says, with a call for each that is otherwise, and suspends
    /// its scaling where the plan says so.
    pub(crate) async fn prepare_scaling(&self, deployment_id: &str, step: StepReference) -> Result<Value, Failure> {
        let PlannedStep::Service(planned) = self.journal.planned_step(deployment_id, step).await? else {
            return Err(Failure::invalid_input(format!(
                "step {} of deployment `{deployment_id}` is no service",
                step.index
            )));
        };
        let work = self.journal.work_here(deployment_id).await?;
        let Some(scaling) = &planned.scaling else {
            return Ok(json!({"suspended": false}));
        };
        for due in scaling.acts() {
            self.scale(&work, &planned, due).await?;
        }
        let is_suspended = scaling.suspend && self.suspend(&work, &planned).await?;
        Ok(json!({"suspended": is_suspended}))
    }

    async fn scale(&self, work: &Work, planned: &PlannedService, due: ScalingAct) -> Result<(), Failure> {
        let PlannedService { cluster, service, .. } = planned;
        let resource = resource_id(cluster, service);
        let (action, target, facts) = match due {
            ScalingAct::Register(bounds) => (
                "application-autoscaling:RegisterScalableTarget",
                resource,
                json!({"service": planned.name, "min": bounds.min, "max": bounds.max}),
            ),
            ScalingAct::Put(policy) => (
                "application-autoscaling:PutScalingPolicy",
                format!("{resource}/{}", policy.tracked.policy_name()),
                json!({"service": planned.name, "metric": policy.tracked, "percent": policy.percent}),
            ),
        };
        let act = Act {
            subject: &work.subject,
            actor: ACTOR,
            deployment: &work.deployment.row,
            // Of no step: whatever became of it, what runs is the same.
            step: None,
            goes_on: true,
            action,
            target,
            facts,
        };
        if due.is_done(&self.scaling.facts(cluster, service).await?) {
            // An announcement of an earlier run, whose answer was lost, gets its outcome.
            if self.journal.is_announced(&act).await? {
                let outcome = json!({"registered": true});
                self.journal.settle(&act, &outcome, Commit::new()).await?;
            }
            return Ok(());
        }
        let announced = self.journal.announce(&act, Commit::new()).await?;
        if let Announced::Settled(_) = announced {
            return Ok(());
        }
        let called = match due {
            ScalingAct::Register(bounds) => self.registrar.register(cluster, service, bounds).await,
            ScalingAct::Put(policy) => self.registrar.put(cluster, service, policy).await,
        };
        if let Err(failure) = called {
            let refused = self.journal.settle_refused(&act, &announced, failure, Commit::new());
            return Err(refused.await);
        }
        let outcome = json!({"registered": true});
        self.journal.settle(&act, &outcome, Commit::new()).await?;
        Ok(())
    }
}
