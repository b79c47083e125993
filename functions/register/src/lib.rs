//! The Lambda function `register`: registers the task definitions of a plan, and passes their roles. A definition that
//! exists is not registered again.

use std::borrow::Cow;

use aws_config::SdkConfig;
use esclusa_adapters::acts::{Act, Announced};
use esclusa_adapters::control::rows::RevisionRow;
use esclusa_adapters::control::{Change, Expected, Key, Stored};
use esclusa_adapters::ecs::{EcsReader, TaskDefinitionRegistrar};
use esclusa_adapters::journal::{Commit, Journal};
use esclusa_adapters::places::{Placed, Places, TargetRoles};
use esclusa_core::error::Failure;
use esclusa_core::plan::{PlannedRevision, RevisionAction};
use esclusa_core::task_definition::{TAG_CONTENT_SHA256, TAG_RELEASE};
use esclusa_runtime::{Environment, Function, Invocation, parse_request};
use serde::Deserialize;
use serde_json::{Value, json};

/// Who its records name.
const ACTOR: &str = "esclusa/register";

/// How many of a family's newest revisions are looked through for one that a lost answer left behind.
const NEWEST: i32 = 10;

/// The function.
#[derive(Debug, Clone)]
pub struct Register {
    journal: Journal,
    ecs: EcsReader,
    registrar: TaskDefinitionRegistrar,
    places: Places,
}

#[derive(Debug, Deserialize)]
#[serde(
    tag = "action",
    rename_all = "snake_case",
    rename_all_fields = "camelCase",
    deny_unknown_fields
)]
enum Request {
    RegisterRevision { deployment_id: String, index: usize },
}

impl Function for Register {
    const NAME: &'static str = "register";

    fn build(config: &SdkConfig, environment: &Environment) -> Result<Self, Failure> {
        let control = environment.required("ESCLUSA_CONTROL_TABLE")?;
        let ledger = environment.required("ESCLUSA_LEDGER_TABLE")?;
        let places = Places::new(
            config,
            Self::NAME,
            environment.required("ESCLUSA_HOME_ACCOUNT")?,
            environment.required("AWS_REGION")?,
            TargetRoles::read(|name| environment.optional(name)),
        )?;
        Ok(Self {
            journal: Journal::new(config, control, ledger),
            ecs: EcsReader::new(config),
            registrar: TaskDefinitionRegistrar::new(config),
            places,
        })
    }

    async fn handle(&self, payload: Value, _invocation: &Invocation) -> Result<Value, Failure> {
        let Request::RegisterRevision { deployment_id, index } = parse_request(payload)?;
        self.at(&deployment_id)
            .await?
            .register_revision(&deployment_id, index)
            .await
    }
}

impl Register {
    /// The same function in the place of a deployment. What it writes down it writes at home.
    async fn at(&self, deployment_id: &str) -> Result<Cow<'_, Self>, Failure> {
        let placed = self.places.of_deployment(&self.journal, deployment_id).await?;
        Ok(placed.map_or(Cow::Borrowed(self), |placed| Cow::Owned(self.with(&placed))))
    }

    fn with(&self, Placed { place, config }: &Placed) -> Self {
        Self {
            journal: self.journal.of_place(place),
            ecs: EcsReader::new(config),
            registrar: TaskDefinitionRegistrar::new(config),
            ..self.clone()
        }
    }

    async fn register_revision(&self, deployment_id: &str, index: usize) -> Result<Value, Failure> {
        let plan = self.journal.plan(deployment_id).await?;
        let revision = plan.revisions.get(index).ok_or_else(|| {
            Failure::invalid_input(format!(
                "the plan of deployment `{deployment_id}` has no revision {index}"
            ))
        })?;
        let key = Key::revision(deployment_id, revision.key.as_str());
        if let Some(known) = self.journal.control().get::<RevisionRow>(&key).await? {
            return Ok(answer(&known.row.task_definition_arn));
        }
        match &revision.action {
            RevisionAction::Reuse { arn } => {
                let commit = Commit::new().change(row(&key, revision, arn, false)?);
                // Lost means that a run of the same step at the same time was faster: it wrote the same.
                let _outcome = self.journal.commit(commit).await?;
                Ok(answer(arn))
            }
            RevisionAction::Register => self.register(deployment_id, revision, key).await,
        }
    }

    async fn register(&self, deployment_id: &str, revision: &PlannedRevision, key: Key) -> Result<Value, Failure> {
        let work = self.journal.work_here(deployment_id).await?;
        let act = Act {
            subject: &work.subject,
            actor: ACTOR,
            deployment: &work.deployment.row,
            step: None,
            goes_on: true,
            action: "ecs:RegisterTaskDefinition",
            target: revision.family.clone(),
            facts: json!({"name": revision.key, "base": revision.base_arn, "contentSha256": revision.content_sha256}),
        };
        let announced = self.journal.announce(&act, Commit::new()).await?;
        let arn = match &announced {
            Announced::Settled(outcome) => settled_arn(outcome),
            Announced::Now => self.registered(revision).await,
            // Registering knows no client token: what a lost answer left behind is found by its tags.
            Announced::Before { .. } => match self.left_behind(revision).await? {
                Some(arn) => Ok(arn),
                None => self.registered(revision).await,
            },
        };
        let arn = match arn {
            Ok(arn) => arn,
            Err(failure) => {
                let refused = self.journal.settle_refused(&act, &announced, failure, Commit::new());
                return Err(refused.await);
            }
        };
        let commit = match self.journal.control().get::<RevisionRow>(&key).await? {
            Some(_) => Commit::new(),
            None => Commit::new().change(row(&key, revision, &arn, true)?),
        };
        let outcome = self
            .journal
            .settle(&act, &json!({"taskDefinitionArn": arn}), commit)
            .await?;
        // Two runs at once may both have registered; the one that is written down is the one that is used.
        let stored: Option<Stored<RevisionRow>> = self.journal.control().get(&key).await?;
        stored.map_or_else(
            || settled_arn(&outcome).map(|arn| answer(&arn)),
            |stored| Ok(answer(&stored.row.task_definition_arn)),
        )
    }

    async fn registered(&self, revision: &PlannedRevision) -> Result<String, Failure> {
        Ok(self.registrar.register(&revision.definition, &revision.tags).await?.arn)
    }

    async fn left_behind(&self, revision: &PlannedRevision) -> Result<Option<String>, Failure> {
        for arn in self.ecs.list_task_definitions(&revision.family, NEWEST).await? {
            if let Some(found) = self.ecs.describe_task_definition(&arn).await?
                && [TAG_RELEASE, TAG_CONTENT_SHA256]
                    .iter()
                    .all(|tag| found.tags.get(*tag) == revision.tags.get(*tag))
            {
                return Ok(Some(found.arn));
            }
        }
        Ok(None)
    }
}

fn row(key: &Key, revision: &PlannedRevision, arn: &str, registered: bool) -> Result<Change, Failure> {
    let row = RevisionRow {
        name: revision.key.to_string(),
        task_definition_arn: arn.to_owned(),
        registered,
    };
    Change::put(key.clone(), &row, Expected::Absent)
}

fn settled_arn(outcome: &Value) -> Result<String, Failure> {
    let arn = outcome
        .get("taskDefinitionArn")
        .and_then(Value::as_str)
        .map(str::to_owned);
    arn.ok_or_else(|| Failure::defect("the outcome of a registration names no task definition"))
}

fn answer(arn: &str) -> Value {
    json!({"taskDefinitionArn": arn})
}
