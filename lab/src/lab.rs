//! Esclusa in a simulated account, on the caller's thread.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::SignedDuration;
use serde_json::{Value, json};
use simulator::kernel::{Behaviour, Outcome, Program};
use simulator::{ApiError, Principal, Settings, Simulation, World};
use simulator_step_functions::{Status, StepFunctions};

use crate::deployer::{Beside, DEPLOYER, InstallError, install};
use crate::example::Example;
use crate::images::{Kind, digest};

/// The longest time that one release is waited for: longer than every wait of its state machines together.
const PATIENCE: SignedDuration = SignedDuration::from_hours(24 * 7);

/// The state in which a release stands at the gates of an environment.
pub const AT_GATE: &str = "AwaitGate";

/// The longest time that an undisturbed event is on its way.
const DELIVERY: SignedDuration = SignedDuration::from_secs(30);

/// What the command `esclusa` answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The exit code of the process.
    pub code: u8,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

/// A simulated account with the deployer in it.
#[derive(Debug)]
pub struct Lab {
    simulation: Simulation,
    administrator: aws_config::SdkConfig,
}

impl Lab {
    /// An account with the deployer and nothing to deploy.
    ///
    /// # Errors
    /// When the template cannot be installed.
    pub fn new(settings: &Settings) -> Result<Self, InstallError> {
        Self::beside(settings, Beside::Nobody)
    }

    /// An account with the deployer, and what people have beside it.
    ///
    /// # Errors
    /// When the template cannot be installed.
    pub fn beside(settings: &Settings, beside: Beside) -> Result<Self, InstallError> {
        let mut simulation = Simulation::new(settings).map_err(|error| InstallError::Account(error.to_string()))?;
        prepare(simulation.world_mut(), beside)?;
        let administrator = simulation.sdk_config(&Principal::Administrator);
        Ok(Self {
            simulation,
            administrator,
        })
    }

    /// An account with the deployer, and one example with its pipeline applied.
    ///
    /// # Errors
    /// When something of it cannot be installed or is refused.
    pub fn with_example(settings: &Settings, example: &Example) -> Result<Self, InstallError> {
        let mut lab = Self::new(settings)?;
        lab.add(example)?;
        Ok(lab)
    }

    /// Adds an example: what its infrastructure code creates, then its pipeline.
    ///
    /// # Errors
    /// When something of it is refused.
    pub fn add(&mut self, example: &Example) -> Result<(), InstallError> {
        example.provide(self.simulation.world_mut())?;
        let file = example.file.display().to_string();
        let answer = self.esclusa(&["pipelines", "apply", &file]);
        if answer.code == 0 {
            return Ok(());
        }
        Err(InstallError::Content {
            path: example.file.clone(),
            reason: answer.err,
        })
    }

    /// The world, to look at.
    #[must_use]
    pub fn world(&self) -> &World {
        self.simulation.world()
    }

    /// The world, to script.
    pub fn world_mut(&mut self) -> &mut World {
        self.simulation.world_mut()
    }

    /// The clock and the executor.
    pub fn simulation(&mut self) -> &mut Simulation {
        &mut self.simulation
    }

    /// The world alone, to be served.
    #[must_use]
    pub fn into_world(self) -> World {
        self.simulation.into_world()
    }

    /// The configuration of a client with every permission.
    #[must_use]
    pub fn administrator(&self) -> &aws_config::SdkConfig {
        &self.administrator
    }

    /// Puts an image into a repository, as a push does.
    ///
    /// # Errors
    /// What the registry answers.
    pub fn push(&mut self, repository: &str, tag: Option<&str>, manifest: &str) -> Result<String, ApiError> {
        push(self.world_mut(), repository, tag, manifest)
    }

    /// Puts a layer or a configuration into a repository, as clients do before they push the manifest that names it;
    /// its digest.
    ///
    /// # Errors
    /// What the registry answers.
    pub fn upload(&mut self, repository: &str, bytes: &[u8]) -> Result<String, ApiError> {
        let digest = digest(bytes);
        let world = self.simulation.world_mut();
        let begun = world.administer("ecr", "InitiateLayerUpload", json!({"repositoryName": repository}))?;
        let id = begun.get("uploadId").and_then(Value::as_str).unwrap_or_default();
        let part = json!({
            "repositoryName": repository, "uploadId": id, "partFirstByte": 0, "partLastByte": bytes.len().saturating_sub(1),
            "layerPartBlob": STANDARD.encode(bytes),
        });
        world.administer("ecr", "UploadLayerPart", part)?;
        let whole = json!({"repositoryName": repository, "uploadId": id, "layerDigests": [digest]});
        match world.administer("ecr", "CompleteLayerUpload", whole) {
            Err(error) if error.code != "LayerAlreadyExistsException" => Err(error),
            _ => Ok(digest),
        }
    }

    /// Pushes an image of an example under a tag.
    ///
    /// # Errors
    /// What the registry answers.
    pub fn push_example(&mut self, example: &Example, image: &str, tag: &str, kind: Kind) -> Result<String, ApiError> {
        push_example(self.world_mut(), example, image, tag, kind)
    }

    /// Runs the command `esclusa` with these words.
    pub fn esclusa(&mut self, words: &[&str]) -> Answer {
        let (mut output, captured) = esclusa_cli::Output::captured();
        let code = self.esclusa_into(words, &mut output);
        drop(output);
        Answer {
            code,
            out: captured.out(),
            err: captured.err(),
        }
    }

    /// Runs the command `esclusa` with these words and lets it write there. Its exit code.
    pub fn esclusa_into(&mut self, words: &[&str], output: &mut esclusa_cli::Output) -> u8 {
        let function = format!("{DEPLOYER}-intake");
        let fixed = ["esclusa", "--intake-function", &function];
        let words: Vec<&str> = fixed.iter().chain(words).copied().collect();
        self.simulation
            .block_on(esclusa_cli::run(words, &self.administrator, output))
            .code()
    }

    /// Lets time pass until no execution runs and no push is on its way, for at most a week. Whether that came.
    pub fn settle(&mut self) -> bool {
        self.simulation.run_for(DELIVERY);
        let settled = self.simulation.run_until(PATIENCE, is_settled);
        self.simulation.run_until_idle();
        settled
    }

    /// The names of the states that an execution entered, in order; by the execution's name.
    #[must_use]
    pub fn path(&self, execution: &str) -> Vec<String> {
        let machines = self.world().service::<StepFunctions>();
        let path = machines.and_then(|machines| {
            let arn = machines
                .executions()
                .iter()
                .find(|arn| arn.ends_with(&format!(":{execution}")))?;
            Some(machines.path(arn))
        });
        path.unwrap_or_default()
    }

    /// The names of the executions of a state machine, in the order in which they started.
    #[must_use]
    pub fn executions(&self, machine: &str) -> Vec<String> {
        let of_machine = format!(":{DEPLOYER}-{machine}:");
        let arns = self
            .world()
            .service::<StepFunctions>()
            .map_or(&[][..], StepFunctions::executions);
        let names = arns
            .iter()
            .filter(|arn| arn.contains(&of_machine))
            .filter_map(|arn| arn.rsplit(':').next());
        names.map(str::to_owned).collect()
    }
}

/// What every lab has: the deployer, and how the images of other registries behave.
pub(crate) fn prepare(world: &mut World, beside: Beside) -> Result<(), InstallError> {
    install(world, beside)?;
    let once = Program {
        container: Some("redis-cli".to_owned()),
        command_contains: None,
        outcome: Outcome::Exit {
            after_seconds: 2,
            code: 0,
        },
        log: vec!["OK".to_owned()],
    };
    world.kernel_mut().images.foreign.insert(
        "public.ecr.aws/docker/library/redis:7-alpine".to_owned(),
        Behaviour { programs: vec![once] },
    );
    Ok(())
}

/// Pushes an image of an example in a world under a tag; its digest.
///
/// # Errors
/// What the registry answers.
pub fn push_example(
    world: &mut World,
    example: &Example,
    image: &str,
    tag: &str,
    kind: Kind,
) -> Result<String, ApiError> {
    let found = example.pipeline.images.iter().find(|(key, _)| key.as_str() == image);
    let (_, image) = found.ok_or_else(|| ApiError::client("UnknownImage", image))?;
    push(
        world,
        image.repository.as_str(),
        Some(tag),
        &example.manifest(kind, tag),
    )
}

fn push(world: &mut World, repository: &str, tag: Option<&str>, manifest: &str) -> Result<String, ApiError> {
    let mut input = json!({
        "repositoryName": repository,
        "imageManifest": manifest,
        "imageManifestMediaType": "application/vnd.oci.image.manifest.v1+json",
    });
    if let (Some(tag), Some(members)) = (tag, input.as_object_mut()) {
        members.insert("imageTag".to_owned(), Value::from(tag));
    }
    let answer = world.administer("ecr", "PutImage", input)?;
    let digest = answer.pointer("/image/imageId/imageDigest").and_then(Value::as_str);
    Ok(digest.unwrap_or_default().to_owned())
}

/// Whether no execution runs and nothing is on its way.
#[must_use]
pub fn is_settled(world: &World) -> bool {
    !world.is_busy() && !is_at_work(world)
}

/// Whether an execution runs.
#[must_use]
pub fn is_at_work(world: &World) -> bool {
    let is_running = |machines: &StepFunctions| {
        machines
            .executions()
            .iter()
            .any(|arn| machines.status(arn) == Some(Status::Running))
    };
    world.service::<StepFunctions>().is_some_and(is_running)
}

/// Whether a release or a deployment does anything but stand at a gate. The executions of other machines belong to
/// whoever made them, and wait in their time.
#[must_use]
pub fn is_moving(world: &World) -> bool {
    let own = ["release", "deployment"].map(|machine| format!(":execution:{DEPLOYER}-{machine}:"));
    let moves = |machines: &StepFunctions, arn: &String| {
        let is_own = own.iter().any(|machine| arn.contains(machine));
        let is_at_gate = || machines.path(arn).last().is_some_and(|state| state == AT_GATE);
        is_own && machines.status(arn) == Some(Status::Running) && !is_at_gate()
    };
    world
        .service::<StepFunctions>()
        .is_some_and(|machines| machines.executions().iter().any(|arn| moves(machines, arn)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_made_is_at_work_but_not_moving() {
        let mut lab = Lab::new(&Settings::default()).unwrap();
        let world = lab.world_mut();
        let rest = json!({"Type": "Wait", "Seconds": 600, "End": true});
        let wait = json!({"QueryLanguage": "JSONata", "StartAt": "Rest", "States": {"Rest": rest}});
        let role = "arn:aws:iam::123456789012:role/esclusa-release-state-machine";
        let made = json!({"name": "outside", "definition": wait.to_string(), "roleArn": role});
        world.administer("states", "CreateStateMachine", made).unwrap();
        let machine = "arn:aws:states:us-east-1:123456789012:stateMachine:outside";
        let start = json!({"stateMachineArn": machine, "input": "{}"});
        world.administer("states", "StartExecution", start).unwrap();
        assert_eq!((is_at_work(world), is_moving(world)), (true, false));
    }
}
