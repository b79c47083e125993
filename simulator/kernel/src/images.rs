//! The images of the simulated registry, and how their containers behave.
//!
//! An image carries its behaviour itself, as the annotation [`Behaviour::ANNOTATION`] of its manifest or as the label
//! of this name of its configuration, so that any client that can build or push an image can script it: the digest, as
//! everywhere, is the SHA-256 of the manifest.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::Value;

use crate::Activity;

/// The state of an image in the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageStatus {
    /// Can be pulled.
    Active,
    /// Moved to archive storage: cannot be pulled until restored.
    Archived,
}

/// One image of one repository.
#[derive(Debug, Clone, PartialEq)]
pub struct Image {
    /// `sha256:` and 64 hexadecimal digits.
    pub digest: String,
    /// The tags that point here now.
    pub tags: BTreeSet<String>,
    /// The manifest as it was pushed.
    pub manifest: String,
    /// Its media type.
    pub manifest_media_type: String,
    /// The media type of the configuration, where the manifest names one.
    pub artifact_media_type: Option<String>,
    /// The labels of its configuration, where that was pushed too.
    pub labels: BTreeMap<String, String>,
    /// When it was pushed.
    pub pushed_at: Timestamp,
    /// Whether it can be pulled.
    pub status: ImageStatus,
}

impl Image {
    /// How containers of this image behave: what the image says, or a server that starts and stays healthy.
    #[must_use]
    pub fn behaviour(&self) -> Behaviour {
        self.annotation()
            .and_then(|text| Behaviour::parse(&text))
            .unwrap_or_default()
    }

    /// What containers of this image do while their task runs: what the image says, or nothing.
    #[must_use]
    pub fn activity(&self) -> Activity {
        self.annotation()
            .and_then(|text| Activity::parse(&text).ok())
            .unwrap_or_default()
    }

    /// The text of the annotation [`Behaviour::ANNOTATION`], else of the label.
    #[must_use]
    pub fn annotation(&self) -> Option<String> {
        let manifest: Value = serde_json::from_str(&self.manifest).unwrap_or_default();
        let annotation = manifest
            .get("annotations")
            .and_then(|all| all.get(Behaviour::ANNOTATION));
        let text = annotation.and_then(Value::as_str).map(str::to_owned);
        text.or_else(|| self.labels.get(Behaviour::ANNOTATION).cloned())
    }
}

/// Repositories with their images, by repository name and digest.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Images {
    /// The repositories that exist.
    pub repositories: BTreeMap<String, BTreeMap<String, Image>>,
    /// The layers and configurations that were uploaded, by repository name and digest.
    pub blobs: BTreeMap<String, BTreeMap<String, Bytes>>,
    /// The other accounts that may pull from a repository, by its name.
    pub readers: BTreeMap<String, BTreeSet<String>>,
    /// How containers of images of other registries behave, by the name in the task definition. Without an entry they
    /// serve and stay healthy.
    pub foreign: BTreeMap<String, Behaviour>,
}

impl Images {
    /// The image of a repository by digest.
    #[must_use]
    pub fn by_digest(&self, repository: &str, digest: &str) -> Option<&Image> {
        self.repositories.get(repository)?.get(digest)
    }

    /// A layer or configuration that was uploaded.
    #[must_use]
    pub fn blob(&self, repository: &str, digest: &str) -> Option<&Bytes> {
        self.blobs.get(repository)?.get(digest)
    }

    /// The image of a repository that a tag points to.
    #[must_use]
    pub fn by_tag(&self, repository: &str, tag: &str) -> Option<&Image> {
        self.repositories
            .get(repository)?
            .values()
            .find(|image| image.tags.contains(tag))
    }

    /// The image that is left of a container's `image` without its registry: a repository followed by `:{tag}` or
    /// `@{digest}`.
    #[must_use]
    pub fn resolve(&self, path: &str) -> Resolution<'_> {
        let image = if let Some((repository, digest)) = path.split_once('@') {
            self.by_digest(repository, digest)
        } else if let Some((repository, tag)) = path.rsplit_once(':') {
            self.by_tag(repository, tag)
        } else {
            self.by_tag(path, "latest")
        };
        Resolution { image }
    }

    /// Whether another account may pull from the repository that a container's `image` names without its registry.
    #[must_use]
    pub fn is_shared(&self, path: &str, account: &str) -> bool {
        let repository = path.split(['@', ':']).next().unwrap_or_default();
        let readers = self.readers.get(repository);
        readers.is_some_and(|readers| readers.contains(account))
    }
}

/// An image of a registry of ECR, as far as a task can pull it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Resolution<'a> {
    /// The image, or `None` when the registry does not have it.
    pub image: Option<&'a Image>,
}

/// How the containers of an image behave when ECS runs them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Behaviour {
    /// The first program that matches a container decides; a container that none matches serves and stays healthy.
    pub programs: Vec<Program>,
}

/// What a container does when its name and command match.
#[derive(Debug, Clone, PartialEq)]
pub struct Program {
    /// The container's name; any when absent.
    pub container: Option<String>,
    /// A word that the container's command line (the override's, or the definition's) must contain; any when absent.
    pub command_contains: Option<String>,
    /// What happens.
    pub outcome: Outcome,
    /// Lines it writes to its log when it has started.
    pub log: Vec<String>,
}

/// The fate of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Runs until it is stopped; its health check passes.
    Serve,
    /// Runs until it is stopped; its health check never passes.
    Unhealthy,
    /// Runs for so many seconds and exits with this code.
    Exit {
        /// Seconds from start to exit.
        after_seconds: u32,
        /// The exit code.
        code: i32,
    },
    /// Never starts: `TaskFailedToStart` with this reason and no exit code.
    FailToStart {
        /// The stopped reason, such as `CannotPullContainerError: …`.
        reason: String,
    },
    /// Runs for so many seconds and is lost with its host: no exit code.
    Vanish {
        /// Seconds from start to loss.
        after_seconds: u32,
        /// The stop code, such as `SpotInterruption`.
        stop_code: String,
    },
    /// Runs until it is stopped and never ends by itself. Other than [`Outcome::Serve`], it is killed with exit code
    /// 137.
    Hang,
}

impl Behaviour {
    /// The annotation of the manifest, or label of the configuration, that carries the behaviour, as JSON:
    /// `{"programs": [{"container": "api", "command_contains": "--migrate", "outcome": "exit", "after_seconds": 20,
    /// "code": 1, "log": ["…"]}]}`. `outcome` is one of `serve`, `unhealthy`, `exit`, `fail_to_start` (with
    /// `reason`), `vanish` (with `stop_code`), `hang`. Beside the programs stands the [`Activity`].
    pub const ANNOTATION: &str = "simulator.behaviour";

    /// Reads the annotation. `None` when it is not of the form above.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(text).ok()?;
        let programs = match value.as_object()?.get("programs") {
            None => Vec::new(),
            Some(programs) => programs
                .as_array()?
                .iter()
                .map(Program::parse)
                .collect::<Option<Vec<_>>>()?,
        };
        Some(Self { programs })
    }

    /// The program for a container with this name and command line.
    #[must_use]
    pub fn program(&self, container: &str, command: &[String]) -> Option<&Program> {
        self.programs.iter().find(|program| {
            program.container.as_deref().is_none_or(|name| name == container)
                && program
                    .command_contains
                    .as_deref()
                    .is_none_or(|word| command.iter().any(|part| part.contains(word)))
        })
    }
}

impl Program {
    fn parse(value: &Value) -> Option<Self> {
        let text = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
        let seconds = || {
            value
                .get("after_seconds")
                .and_then(Value::as_u64)
                .and_then(|seconds| u32::try_from(seconds).ok())
                .unwrap_or(5)
        };
        let code = || {
            value
                .get("code")
                .and_then(Value::as_i64)
                .and_then(|code| i32::try_from(code).ok())
                .unwrap_or(0)
        };
        let outcome = match value.get("outcome")?.as_str()? {
            "serve" => Outcome::Serve,
            "unhealthy" => Outcome::Unhealthy,
            "exit" => Outcome::Exit {
                after_seconds: seconds(),
                code: code(),
            },
            "fail_to_start" => Outcome::FailToStart {
                reason: text("reason")?,
            },
            "vanish" => Outcome::Vanish {
                after_seconds: seconds(),
                stop_code: text("stop_code")?,
            },
            "hang" => Outcome::Hang,
            _ => return None,
        };
        let log = value
            .get("log")
            .and_then(Value::as_array)
            .map(|lines| lines.iter().filter_map(Value::as_str).map(str::to_owned).collect())
            .unwrap_or_default();
        Some(Self {
            container: text("container"),
            command_contains: text("command_contains"),
            outcome,
            log,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_matching_program_decides() {
        let behaviour = Behaviour::parse(
            r#"{"programs": [
                {"container": "migrations", "command_contains": "--migrate", "outcome": "exit", "after_seconds": 20, "code": 1},
                {"container": "api", "outcome": "unhealthy"}]}"#,
        )
        .unwrap();
        let migrate = [
            "dotnet".to_owned(),
            "Imagy.Catalog.Api.dll".to_owned(),
            "--migrate".to_owned(),
        ];
        assert_eq!(
            behaviour.program("migrations", &migrate).unwrap().outcome,
            Outcome::Exit {
                after_seconds: 20,
                code: 1
            }
        );
        assert_eq!(behaviour.program("migrations", &[]), None);
        assert_eq!(behaviour.program("api", &[]).unwrap().outcome, Outcome::Unhealthy);
    }

    #[test]
    fn an_unknown_outcome_is_not_taken_for_a_known_one() {
        assert_eq!(Behaviour::parse(r#"{"programs": [{"outcome": "explode"}]}"#), None);
    }
}
