//! Images for the simulated registry, with the behaviour of their containers in their own manifests.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use simulator::kernel::Behaviour;

/// What an image shows when it is deployed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Kind {
    /// Commands end well, servers stay healthy.
    #[default]
    Good,
    /// The servers exit again and again: the circuit breaker rolls the service back.
    CrashLoop,
    /// The servers run and never become healthy.
    Unhealthy,
    /// A one-off command ends with exit code 1.
    BadMigration,
    /// A one-off command never ends.
    HangingMigration,
    /// The host of a one-off command is lost half-way.
    LostMigration,
    /// A one-off command cannot be started.
    UnstartableMigration,
    /// The servers run, and their health endpoint says that something they need is not there.
    UnhealthyReport,
    /// The servers answer many requests with errors.
    FailingRequests,
    /// The servers answer slowly.
    Slow,
    /// Messages come into the dead-letter queue.
    DeadLetters,
    /// The servers take no message from their queue.
    StuckConsumers,
    /// The servers log what nobody wants to see.
    FatalLines,
}

impl Kind {
    /// What the containers do: commands are what a one-off task runs, everything else is a server.
    fn programs(self, commands: &[String]) -> Vec<Value> {
        let command = |word: &String, outcome: Value| {
            let mut program = json!({"command_contains": word, "log": [format!("{word}: starting")]});
            if let (Some(members), Value::Object(outcome)) = (program.as_object_mut(), outcome) {
                members.extend(outcome);
            }
            program
        };
        let outcome = match self {
            Self::BadMigration => json!({
                "outcome": "exit", "after_seconds": 20, "code": 1,
                "log": ["applying 20261102_add_rating", "error: relation \"rating\" already exists"],
            }),
            Self::HangingMigration => json!({"outcome": "hang", "log": ["waiting for a lock on table \"rating\""]}),
            Self::LostMigration => json!({"outcome": "vanish", "after_seconds": 15, "stop_code": "TerminationNotice"}),
            Self::UnstartableMigration => {
                json!({"outcome": "fail_to_start", "reason": "ResourceInitializationError: unable to pull secrets"})
            }
            Self::Good
            | Self::CrashLoop
            | Self::Unhealthy
            | Self::UnhealthyReport
            | Self::FailingRequests
            | Self::Slow
            | Self::DeadLetters
            | Self::StuckConsumers
            | Self::FatalLines => {
                json!({"outcome": "exit", "after_seconds": 25, "code": 0, "log": ["applying 20261102_add_rating", "done"]})
            }
        };
        let mut programs: Vec<Value> = commands.iter().map(|word| command(word, outcome.clone())).collect();
        match self {
            Self::CrashLoop => programs.push(json!({
                "outcome": "exit", "after_seconds": 3, "code": 1, "log": ["panic: missing setting RATING_URL"],
            })),
            Self::Unhealthy => programs.push(json!({"outcome": "unhealthy", "log": ["listening on 8080"]})),
            Self::Good
            | Self::BadMigration
            | Self::HangingMigration
            | Self::LostMigration
            | Self::UnstartableMigration
            | Self::UnhealthyReport
            | Self::FailingRequests
            | Self::Slow
            | Self::DeadLetters
            | Self::StuckConsumers
            | Self::FatalLines => {}
        }
        programs
    }

    /// The name on the command line.
    #[must_use]
    pub fn name(self) -> String {
        let value = clap::ValueEnum::to_possible_value(&self);
        value.map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// The manifest of an image of this kind. `version` makes it another image, `commands` are words by which one-off
    /// commands are known.
    #[must_use]
    pub fn manifest(self, version: &str, commands: &[String]) -> String {
        self.manifest_of(version, commands, json!({}))
    }

    /// How containers of such an image behave that emit and answer this besides: the members of the simulator's
    /// [`Activity`](simulator::kernel::Activity).
    pub(crate) fn behaviour(self, commands: &[String], activity: Value) -> String {
        let mut behaviour = activity;
        if let Some(members) = behaviour.as_object_mut() {
            members.insert("programs".to_owned(), self.programs(commands).into());
        }
        behaviour.to_string()
    }

    /// The manifest of an image that behaves like this, for a registry that is asked for nothing else of it.
    pub(crate) fn manifest_of(self, version: &str, commands: &[String], activity: Value) -> String {
        let behaviour = self.behaviour(commands, activity);
        let layer = json!({
            "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
            "digest": format!("sha256:{}", "11".repeat(32)),
            "size": 1024,
        });
        json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": format!("sha256:{}", "22".repeat(32)),
                "size": 512,
            },
            "layers": [layer],
            "annotations": {
                "org.opencontainers.image.version": version,
                Behaviour::ANNOTATION: behaviour,
            },
        })
        .to_string()
    }
}

/// An image as clients push it: what is referred to, and the manifest that refers to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The configuration, with the labels.
    pub configuration: Vec<u8>,
    /// Its one layer.
    pub layer: Vec<u8>,
    /// The manifest.
    pub manifest: String,
}

impl Image {
    /// An image without a file in it, whose containers behave as this says.
    #[must_use]
    pub fn behaving(behaviour: &str, version: &str) -> Self {
        // An archive ends with two empty blocks.
        let layer = vec![0; 1024];
        let configuration = json!({
            "architecture": "amd64",
            "os": "linux",
            "config": {"Labels": {"org.opencontainers.image.version": version, Behaviour::ANNOTATION: behaviour}},
            "rootfs": {"type": "layers", "diff_ids": [digest(&layer)]},
        });
        let configuration = configuration.to_string().into_bytes();
        let descriptor = |media_type: &str, bytes: &[u8]| json!({"mediaType": media_type, "digest": digest(bytes), "size": bytes.len()});
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": Self::MEDIA_TYPE,
            "config": descriptor("application/vnd.oci.image.config.v1+json", &configuration),
            "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", &layer)],
        });
        Self {
            manifest: manifest.to_string(),
            configuration,
            layer,
        }
    }

    /// The media type of the manifest.
    pub const MEDIA_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
}

/// The digest by which a registry knows these bytes.
#[must_use]
pub fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}
