//! The Lambda function `intake`: turns a push, or the wish of a person, into exactly one release, and starts executions
//! by name.

mod gone;
mod push;
mod registry;
mod request;
mod start;
mod take;

use std::str::FromStr;

use aws_config::SdkConfig;
use esclusa_adapters::control::ControlTable;
use esclusa_adapters::ecr::ImageReader;
use esclusa_adapters::journal::Journal;
use esclusa_adapters::requests::ReleaseRequest;
use esclusa_adapters::step_functions::StateMachineStarter;
use esclusa_core::error::Failure;
use esclusa_core::pipeline::InvalidName;
use esclusa_core::task_definition::Home;
use esclusa_events::Event;
use esclusa_runtime::{Environment, Function, Invocation, parse_request};
use serde::Deserialize;
use serde_json::{Value, json};

/// Who its records name.
const ACTOR: &str = "esclusa/intake";

/// The function.
#[derive(Debug)]
pub struct Intake {
    journal: Journal,
    images: ImageReader,
    executions: StateMachineStarter,
    home: Home,
    release_state_machine: String,
    deployment_state_machine: String,
}

#[derive(Debug, Deserialize)]
#[serde(
    tag = "action",
    rename_all = "snake_case",
    rename_all_fields = "camelCase",
    deny_unknown_fields
)]
enum Action {
    StartDeployment {
        deployment_id: String,
    },
    RequestRelease {
        request_id: String,
        /// Who asks: an ARN, as whoever invokes this function says.
        requested_by: String,
        request: ReleaseRequest,
    },
    Reconcile {},
}

impl Intake {
    fn control(&self) -> &ControlTable {
        self.journal.control()
    }
}

fn name<T: FromStr<Err = InvalidName>>(text: &str) -> Result<T, Failure> {
    text.parse()
        .map_err(|error: InvalidName| Failure::invalid_input(error.to_string()))
}

impl Function for Intake {
    const NAME: &'static str = "intake";

    fn build(config: &SdkConfig, environment: &Environment) -> Result<Self, Failure> {
        let control = environment.required("ESCLUSA_CONTROL_TABLE")?;
        let ledger = environment.required("ESCLUSA_LEDGER_TABLE")?;
        Ok(Self {
            journal: Journal::new(config, control, ledger),
            images: ImageReader::new(config),
            executions: StateMachineStarter::new(config),
            home: Home {
                account: name(environment.required("ESCLUSA_HOME_ACCOUNT")?)?,
                region: name(environment.required("AWS_REGION")?)?,
            },
            release_state_machine: environment.required("ESCLUSA_RELEASE_STATE_MACHINE_ARN")?.to_owned(),
            deployment_state_machine: environment.required("ESCLUSA_DEPLOYMENT_STATE_MACHINE_ARN")?.to_owned(),
        })
    }

    async fn handle(&self, payload: Value, invocation: &Invocation) -> Result<Value, Failure> {
        let event = esclusa_events::parse(payload).map_err(|error| Failure::invalid_input(error.to_string()))?;
        match event {
            Event::EcrImageAction(envelope) => self.heard(&envelope).await,
            Event::Request(request) => match parse_request(request.payload)? {
                Action::StartDeployment { deployment_id } => self.start_deployment(&deployment_id).await,
                Action::RequestRelease {
                    request_id,
                    requested_by,
                    request,
                } => self.requested(&request, &request_id, &requested_by).await,
                Action::Reconcile {} => self.reconcile(invocation).await,
            },
            Event::EcsTaskStateChange(_)
            | Event::EcsDeploymentStateChange(_)
            | Event::EcsServiceAction(_)
            | Event::StepFunctionsExecutionStatusChange(_)
            | Event::CloudWatchAlarmStateChange(_)
            | Event::Scheduled(_)
            | Event::Unknown(_) => Ok(json!({"ignored": "events of this kind start no release"})),
        }
    }
}
