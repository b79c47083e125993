//! Images for the simulated registry, with the behaviour of their containers in their own manifests.

use serde_json::{Value, json};
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

    /// The manifest of an image of this kind. `version` makes it another image, `commands` are words by which one-off commands are known.
    #[must_use]
    pub fn manifest(self, version: &str, commands: &[String]) -> String {
        self.manifest_of(version, commands, json!({}))
    }

    /// The same of an image whose containers emit and answer this: the members of the simulator's [`Activity`](simulator::kernel::Activity).
    pub(crate) fn manifest_of(self, version: &str, commands: &[String], activity: Value) -> String {
        let mut behaviour = activity;
        if let Some(members) = behaviour.as_object_mut() {
            members.insert("programs".to_owned(), self.programs(commands).into());
        }
        let behaviour = behaviour.to_string();
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
