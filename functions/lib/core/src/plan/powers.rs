//! What the installation may do, as its parameters say, and what a deployment needs beyond it: said before anything
//! moves, where AWS would say it in the middle.

use serde_json::Value;
use wildmatch::WildMatch;

use super::refusal::{Refusal, RefusalKind};
use super::{PlannedRevision, PlannedTask};
use crate::pipeline::{Measure, ResolvedEnvironment};
use crate::restore_point::restored_databases;
use crate::task_definition::containers;

/// What the installation may do, as its parameters say: names with `*` as wildcard, and the roles that may be passed.
/// What an older installation does not say of itself is not known, and nothing is refused for it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Powers {
    /// The clusters whose services it may update.
    pub clusters: String,
    /// The families that it may register.
    pub families: String,
    /// The repositories that it may read.
    pub repositories: String,
    /// The ARNs of the roles that it may pass to tasks and to the lifecycle hooks of services.
    pub passable_roles: Vec<String>,
    /// The log groups that it may read, where that is known.
    pub log_groups: Option<String>,
    /// The functions that it may invoke to test a release, where that is known.
    pub test_functions: Option<String>,
    /// The databases of Amazon RDS that it may read and take snapshots of, where that is known.
    pub databases: Option<String>,
}

impl Powers {
    /// What is in the way of reading a log group.
    pub(crate) fn check_log_group(&self, group: &str) -> Option<Refusal> {
        check_name("log group", group, self.log_groups.as_deref()?, "TaskLogGroupPattern")
    }

    /// What is in the way of invoking a function.
    pub(crate) fn check_function(&self, name: &str) -> Option<Refusal> {
        check_name("function", name, self.test_functions.as_deref()?, "TestFunctionPattern")
    }

    /// Whether a database may be read, as far as that is known.
    #[must_use]
    pub fn reads_database(&self, identifier: &str) -> bool {
        self.check_database(identifier).is_none()
    }

    /// Whether the images of a repository may be read.
    #[must_use]
    pub fn reads_repository(&self, name: &str) -> bool {
        WildMatch::new(&self.repositories).matches(name)
    }

    /// What is in the way of reading a database. Identifiers of Amazon RDS are kept in lower case.
    pub(crate) fn check_database(&self, identifier: &str) -> Option<Refusal> {
        let identifier = identifier.to_ascii_lowercase();
        check_name("database", &identifier, self.databases.as_deref()?, "DatabasePattern")
    }

    /// What is in the way of what an environment asks AWS about while it is deployed into: the databases whose
    /// migrations have a restore point, and what its verification looks at.
    pub(super) fn check_environment(&self, environment: &ResolvedEnvironment) -> Vec<Refusal> {
        let mut refusals: Vec<Refusal> = restored_databases(environment)
            .values()
            .filter_map(|database| self.check_database(database.name()))
            .collect();
        let checks = environment
            .verification
            .iter()
            .flat_map(|verification| verification.checks.values());
        refusals.extend(checks.filter_map(|check| match &check.measure {
            Measure::Log(log) => self.check_log_group(&log.group),
            Measure::Function(function) => self.check_function(&function.name),
            _ => None,
        }));
        refusals
    }

    /// Whether the last lines of a one-off task can be kept when it fails: it runs even so, but what went wrong is told
    /// by its exit code only.
    pub(super) fn note_of_lines(&self, task: &PlannedTask, revision: &PlannedRevision) -> Option<String> {
        let (_, container) = containers(&revision.definition).find(|(name, _)| *name == task.container)?;
        let group = container.pointer("/logConfiguration/options/awslogs-group")?.as_str()?;
        let refused = self.check_log_group(group)?;
        Some(format!(
            "what `{}` writes cannot be read if it fails: {}",
            task.name, refused.message
        ))
    }
}

/// What the installation may not work with and the deployment needs.
pub(crate) fn check_name(what: &str, name: &str, allowed: &str, parameter: &str) -> Option<Refusal> {
    (!WildMatch::new(allowed).matches(name)).then(|| {
        Refusal::new(
            RefusalKind::Powers,
            format!(
                "this installation may not work with the {what} `{name}`: its parameter `{parameter}` is `{allowed}`"
            ),
            format!("change `{parameter}` of the stack with `scripts/deploy --guided`"),
        )
    })
}

/// The roles of a task definition that may not be passed.
pub(crate) fn check_roles(family: &str, definition: &Value, powers: &Powers) -> Vec<Refusal> {
    let roles = ["executionRoleArn", "taskRoleArn"]
        .into_iter()
        .filter_map(|member| definition.get(member)?.as_str());
    impassable(roles, &format!("the family `{family}`"), powers)
}

/// The roles of the lifecycle hooks of a service that may not be passed. An update of the service names its hooks
/// again, and ECS asks whether whoever names a role may pass it: <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/blue-green-permissions.html>.
pub(crate) fn check_hook_roles(service: &str, deployment_configuration: &Value, powers: &Powers) -> Vec<Refusal> {
    let hooks = deployment_configuration.get("lifecycleHooks").and_then(Value::as_array);
    let roles = hooks
        .into_iter()
        .flatten()
        .filter_map(|hook| hook.get("roleArn")?.as_str());
    impassable(roles, &format!("a lifecycle hook of the service `{service}`"), powers)
}

fn impassable<'a>(roles: impl Iterator<Item = &'a str>, whose: &str, powers: &Powers) -> Vec<Refusal> {
    // A role may be named by its ARN or, in older definitions, by its name.
    let is_passable = |role: &str| {
        let mut passable = powers.passable_roles.iter();
        passable.any(|allowed| WildMatch::new(allowed).matches(role) || allowed.rsplit('/').next() == Some(role))
    };
    roles
        .filter(|role| !is_passable(role))
        .map(|role| {
            Refusal::new(
                RefusalKind::Powers,
                format!("this installation may not pass the role `{role}` of {whose}"),
                "add it to the parameter `PassableRoleArns` of the stack with `scripts/deploy --guided`",
            )
        })
        .collect()
}
