//! What an installation consists of, by the names that follow the name of its stack, as the template says it.

use serde_json::{Value, json};

use crate::task_definition::Home;

/// The functions.
pub const FUNCTIONS: [&str; 10] = [
    "intake", "observe", "register", "migrate", "update", "traffic", "record", "resume", "notify", "console",
];

/// The state machines.
pub const MACHINES: [&str; 2] = ["release", "deployment"];

/// The tables, each with the attribute by which its items expire.
pub const TABLES: [(&str, Option<&str>); 2] = [("control", Some("expires_at")), ("ledger", None)];

/// A rule or a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trigger {
    /// Its name.
    pub name: &'static str,
    /// The function that it invokes.
    pub function: &'static str,
    /// What must be configured for it to be enabled.
    pub only: Option<Only>,
}

/// What not every installation has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Only {
    /// Somebody is told in Slack.
    Slack,
    /// Another account or Region is connected.
    Targets,
}

impl Trigger {
    /// Whether it is the rule by which a push is heard.
    #[must_use]
    pub fn is_of_pushes(&self) -> bool {
        self.name == PUSH
    }
}

const fn always(name: &'static str, function: &'static str) -> Trigger {
    Trigger {
        name,
        function,
        only: None,
    }
}

/// The rule of pushes.
pub(super) const PUSH: &str = "push";

/// The rules of the event bus.
pub const RULES: [Trigger; 10] = [
    always(PUSH, "intake"),
    always("image-gone", "intake"),
    always("alarm-recheck", "observe"),
    always("execution-died", "record"),
    always("task-state-change", "resume"),
    always("deployment-state-change", "resume"),
    Trigger {
        name: "target-deployment-state-change",
        function: "resume",
        only: Some(Only::Targets),
    },
    always("alarm-state-change", "resume"),
    always("execution-status-change", "resume"),
    Trigger {
        name: "execution-told",
        function: "notify",
        only: Some(Only::Slack),
    },
];

/// The schedules.
pub const SCHEDULES: [Trigger; 5] = [
    always("reconcile", "intake"),
    always("restore-scaling", "update"),
    always("settle", "record"),
    always("sweep", "resume"),
    Trigger {
        name: "tell",
        function: "notify",
        only: Some(Only::Slack),
    },
];

/// The alarms, each with what must be configured for it to be there.
pub const ALARMS: [(&str, Option<Only>); 14] = [
    ("dead-letters", None),
    ("defects", None),
    ("deployment-executions-failed", None),
    ("deployment-executions-timed-out", None),
    ("quarantined-locks", None),
    ("reconcile-silent", None),
    ("release-executions-failed", None),
    ("release-executions-timed-out", None),
    ("restore-scaling-silent", None),
    ("running-images-gone", None),
    ("settle-silent", None),
    ("sweep-failures", None),
    ("sweep-silent", None),
    ("tell-silent", Some(Only::Slack)),
];

/// The event of a push to a repository, as ECR sends it: <https://docs.aws.amazon.com/AmazonECR/latest/userguide/ecr-eventbridge.html>.
#[must_use]
pub fn sample_push(home: &Home, repository: &str) -> Value {
    json!({
        "version": "0",
        "id": "00000000-0000-0000-0000-000000000000",
        "detail-type": "ECR Image Action",
        "source": "aws.ecr",
        "account": home.account.as_str(),
        "time": "2026-01-01T00:00:00Z",
        "region": home.region.as_str(),
        "resources": [],
        "detail": {
            "result": "SUCCESS",
            "repository-name": repository,
            "image-digest": format!("sha256:{:064}", 0),
            "action-type": "PUSH",
            "image-tag": "v1.0.0",
        },
    })
}
