//! The Lambda function `observe`: reads and judges. It plans, proves rollouts and plans the way back; it changes
//! nothing but what is written down.

mod evidence;
mod gates;
mod plan;
mod recheck;
mod rollout;
mod verification;
mod way_back;

use std::borrow::Cow;

use aws_config::SdkConfig;
use esclusa_adapters::alarms::AlarmReader;
use esclusa_adapters::ecs::EcsReader;
use esclusa_adapters::functions::FunctionTester;
use esclusa_adapters::http::HttpProber;
use esclusa_adapters::journal::Journal;
use esclusa_adapters::logs::LogReader;
use esclusa_adapters::metrics::MetricReader;
use esclusa_adapters::places::{Placed, Places, TargetRoles};
use esclusa_adapters::planning::Planner;
use esclusa_adapters::targets::TargetReader;
use esclusa_core::error::{ErrorKind, Failure};
use esclusa_core::place::check_event;
use esclusa_core::plan::{PlannedStep, Powers};
use esclusa_core::task_definition::Home;
use esclusa_core::verdict::StepReference;
use esclusa_events::Event;
use esclusa_runtime::{Environment, Function, Invocation, parse_request};
use serde::Deserialize;
use serde_json::{Value, json};

/// Who its records name.
const ACTOR: &str = "esclusa/observe";

/// The function.
#[derive(Debug, Clone)]
pub struct Observe {
    journal: Journal,
    planner: Planner,
    ecs: EcsReader,
    logs: LogReader,
    alarms: AlarmReader,
    metrics: MetricReader,
    http: HttpProber,
    functions: FunctionTester,
    targets: TargetReader,
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
    PlanWave {
        release_id: String,
        environments: Vec<String>,
        attempt: u8,
    },
    /// Asked by an execution of an earlier definition, which knows no waves.
    PlanEnvironment {
        release_id: String,
        environment: String,
        attempt: u8,
    },
    PlanDeployment {
        deployment_id: String,
        /// Whether the state machine that asks looks at the checks of a verification: one of an earlier definition
        /// does not.
        #[serde(default)]
        verifies: bool,
    },
    JudgeService {
        deployment_id: String,
        stop_requested: bool,
        step: StepReference,
    },
    CaptureEvidence {
        deployment_id: String,
        step: StepReference,
    },
    LookAtChecks {
        deployment_id: String,
        /// Whether the state machine that asks knows that a soak may give way: one of an earlier definition does not.
        #[serde(default)]
        gives_way: bool,
    },
    Recheck {
        deployment_id: String,
    },
    AskGates {
        deployment_id: String,
    },
    ConfirmServices {
        deployment_id: String,
    },
    PlanWayBack {
        deployment_id: String,
    },
    /// Asked by `esclusa doctor`: whether a place of the pipelines can be reached.
    LookThere {
        account: String,
        region: String,
        cluster: String,
    },
}

impl Observe {
    /// The same function in the place of a deployment. What it writes down it writes at home.
    async fn at(&self, deployment_id: &str) -> Result<Cow<'_, Self>, Failure> {
        let placed = self.places.of_deployment(&self.journal, deployment_id).await?;
        Ok(placed.map_or(Cow::Borrowed(self), |placed| Cow::Owned(self.with(&placed))))
    }

    /// The status of a cluster in another account or Region, or why that cannot be reached.
    async fn look_there(&self, account: &str, region: &str, cluster: &str) -> Result<Value, Failure> {
        let wrong = |error: &dyn std::fmt::Display| Failure::invalid_input(error.to_string());
        let place = Home {
            account: account.parse().map_err(|error| wrong(&error))?,
            region: region.parse().map_err(|error| wrong(&error))?,
        };
        let placed = match self.places.placed(&place).await {
            Err(failure) if matches!(failure.kind, ErrorKind::AccessDenied | ErrorKind::Refused) => {
                return Ok(json!({"unreached": failure.message}));
            }
            placed => placed?,
        };
        let there = placed.map_or(Cow::Borrowed(self), |placed| Cow::Owned(self.with(&placed)));
        let described = there.ecs.describe_clusters(&[cluster.to_owned()]).await?;
        let status = described.found.first().and_then(|found| found.get("status"));
        Ok(json!({"clusterStatus": status}))
    }

    fn with(&self, Placed { place, config }: &Placed) -> Self {
        Self {
            journal: self.journal.of_place(place),
            ecs: EcsReader::new(config),
            logs: LogReader::new(config),
            alarms: AlarmReader::new(config),
            metrics: MetricReader::new(config),
            functions: FunctionTester::new(config),
            targets: TargetReader::new(config),
            ..self.clone()
        }
    }
}

/// Steps as the state machine walks them.
fn listed(steps: &[PlannedStep]) -> Value {
    let listed = steps.iter().map(|step| match step {
        PlannedStep::Task(task) => {
            json!({"kind": "task", "name": task.name, "timeoutSeconds": task.timeout_seconds, "attempts": task.start_attempts, "restorePoint": task.restore_point.is_some()})
        }
        PlannedStep::Service(service) => {
            json!({"kind": "service", "name": service.name, "timeoutSeconds": service.timeout_seconds, "attempts": 1, "scaling": service.scaling.is_some()})
        }
    });
    listed.collect()
}

impl Function for Observe {
    const NAME: &'static str = "observe";

    fn build(config: &SdkConfig, environment: &Environment) -> Result<Self, Failure> {
        let control = environment.required("ESCLUSA_CONTROL_TABLE")?;
        let ledger = environment.required("ESCLUSA_LEDGER_TABLE")?;
        let journal = Journal::new(config, control, ledger);
        let places = Places::new(
            config,
            Self::NAME,
            environment.required("ESCLUSA_HOME_ACCOUNT")?,
            environment.required("AWS_REGION")?,
            TargetRoles::read(|name| environment.optional(name)),
        )?;
        let roles = environment.required("ESCLUSA_PASSABLE_ROLE_ARNS")?.split(',');
        let told = |name| environment.optional(name).map(str::to_owned);
        let powers = Powers {
            clusters: environment.required("ESCLUSA_CLUSTER_PATTERN")?.to_owned(),
            families: environment.required("ESCLUSA_FAMILY_PATTERN")?.to_owned(),
            repositories: environment.required("ESCLUSA_REPOSITORY_PATTERN")?.to_owned(),
            passable_roles: roles.map(|role| role.trim().to_owned()).collect(),
            log_groups: told("ESCLUSA_TASK_LOG_GROUP_PATTERN"),
            test_functions: told("ESCLUSA_TEST_FUNCTION_PATTERN"),
            databases: told("ESCLUSA_DATABASE_PATTERN"),
        };
        let planner = Planner::new(config, journal.control().clone(), places.clone()).with_powers(powers);
        Ok(Self {
            journal,
            planner,
            ecs: EcsReader::new(config),
            logs: LogReader::new(config),
            alarms: AlarmReader::new(config),
            metrics: MetricReader::new(config),
            http: HttpProber::new(config),
            functions: FunctionTester::new(config),
            targets: TargetReader::new(config),
            places,
        })
    }

    async fn handle(&self, payload: Value, _invocation: &Invocation) -> Result<Value, Failure> {
        let event = esclusa_events::parse(payload).map_err(|error| Failure::invalid_input(error.to_string()))?;
        let payload = match event {
            Event::Request(request) => request.payload,
            Event::CloudWatchAlarmStateChange(envelope) => {
                let alarm = envelope.resource().unwrap_or_default();
                check_event(&envelope.account, &envelope.region, alarm).map_err(Failure::invalid_input)?;
                let change = &envelope.detail;
                return self.alarm_changed(alarm, &change.alarm_name, &change.state.value).await;
            }
            _ => return Ok(json!({"ignored": "nothing is observed by events of this kind"})),
        };
        match parse_request(payload)? {
            Request::PlanWave {
                release_id,
                environments,
                attempt,
            } => self.plan_wave(&release_id, &environments, attempt).await,
            Request::PlanEnvironment {
                release_id,
                environment,
                attempt,
            } => self.plan_environment(&release_id, &environment, attempt).await,
            Request::PlanDeployment {
                deployment_id,
                verifies,
            } => self.plan_deployment(&deployment_id, verifies).await,
            Request::JudgeService {
                deployment_id,
                stop_requested,
                step,
            } => {
                let there = self.at(&deployment_id).await?;
                there.judge_service(&deployment_id, step, stop_requested).await
            }
            Request::CaptureEvidence { deployment_id, step } => {
                let there = self.at(&deployment_id).await?;
                there.capture_evidence(&deployment_id, step).await
            }
            Request::LookAtChecks {
                deployment_id,
                gives_way,
            } => {
                let there = self.at(&deployment_id).await?;
                there.look_at_checks(&deployment_id, gives_way).await
            }
            Request::AskGates { deployment_id } => self.ask_gates(&deployment_id).await,
            Request::Recheck { deployment_id } => self.at(&deployment_id).await?.recheck(&deployment_id).await,
            Request::ConfirmServices { deployment_id } => {
                let there = self.at(&deployment_id).await?;
                there.confirm_services(&deployment_id).await
            }
            Request::PlanWayBack { deployment_id } => self.plan_way_back(&deployment_id).await,
            Request::LookThere {
                account,
                region,
                cluster,
            } => self.look_there(&account, &region, &cluster).await,
        }
    }
}
