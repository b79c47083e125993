//! Whether an installation is as it must be: one list of findings, each with what was seen and what helps. Nothing that
//! is found ends the looking.

mod delivery;
mod expected;
mod installation;
mod observed;
mod pipelines;
mod seen;

use serde::Serialize;

pub use expected::{ALARMS, FUNCTIONS, MACHINES, Only, RULES, SCHEDULES, TABLES, Trigger, sample_push};
pub use observed::{
    AlarmFacts, AppFacts, Elsewhere, FamilyFacts, FunctionFacts, MachineFacts, Membership, Observed,
    ObservedEnvironment, ObservedPipeline, Recovery, RepositoryFacts, RuleFacts, ScheduleFacts, ServiceFacts,
    SlackFacts, Subscriptions, TableFacts,
};
pub use seen::Seen;

/// What brings back what is missing. A deployment compares templates, and leaves alone what somebody changed or deleted
/// by hand.
const DEPLOY: &str = "deploy the stack: `scripts/deploy`; where somebody changed or deleted it by hand, revert that (docs/OPERATIONS.md)";

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// As it must be.
    Ok,
    /// It works, and something about it is not as it should be.
    Warning,
    /// It does not work, or will not when it is needed.
    Problem,
    /// It could not be looked at.
    Unknown,
}

impl Status {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Problem => "problem",
            Self::Unknown => "unknown",
        }
    }
}

/// What was found about one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it belongs to, such as `stack` or `pipeline shop`.
    pub group: String,
    /// What was looked at, such as `table esclusa-control`.
    pub check: String,
    /// How it is.
    pub status: Status,
    /// What was seen.
    pub seen: String,
    /// What helps; nothing where nothing must be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

/// What a judgement says of something that could be looked at.
#[derive(Debug)]
struct Verdict {
    status: Status,
    seen: String,
    help: Option<String>,
}

impl Verdict {
    fn ok(seen: impl Into<String>) -> Self {
        Self {
            status: Status::Ok,
            seen: seen.into(),
            help: None,
        }
    }

    fn warning(seen: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            status: Status::Warning,
            seen: seen.into(),
            help: Some(help.into()),
        }
    }

    fn problem(seen: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            status: Status::Problem,
            seen: seen.into(),
            help: Some(help.into()),
        }
    }
}

/// The findings of one group.
#[derive(Debug)]
struct Group<'f> {
    name: String,
    findings: &'f mut Vec<Finding>,
}

impl Group<'_> {
    fn add(&mut self, check: impl Into<String>, verdict: Verdict) {
        let Verdict { status, seen, help } = verdict;
        self.findings.push(Finding {
            group: self.name.clone(),
            check: check.into(),
            status,
            seen,
            help,
        });
    }

    /// Judges what could be looked at. What is not there is a problem, against which `help` helps.
    fn look<T>(
        &mut self,
        check: impl Into<String>,
        seen: &Seen<T>,
        help: impl Into<String>,
        judge: impl FnOnce(&T) -> Verdict,
    ) {
        let verdict = match seen {
            Seen::Found(facts) => judge(facts),
            Seen::Absent => Verdict::problem("does not exist", help),
            Seen::Denied { action } => Verdict {
                status: Status::Unknown,
                seen: format!("not permitted: you may not call `{action}`"),
                help: Some(format!("get permission for `{action}`, or ask somebody who has it")),
            },
            Seen::Unreadable { why } => Verdict {
                status: Status::Unknown,
                seen: format!("could not be checked: {why}"),
                help: None,
            },
        };
        self.add(check, verdict);
    }
}

/// Everything that is found, in groups.
#[must_use]
pub fn diagnose(observed: &Observed) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut group = |name: &str, judge: &dyn Fn(&mut Group<'_>)| {
        let mut group = Group {
            name: name.to_owned(),
            findings: &mut findings,
        };
        judge(&mut group);
    };
    group("stack", &|group| installation::stack(observed, group));
    group("events and schedules", &|group| installation::triggers(observed, group));
    group("delivery", &|group| delivery::delivery(observed, group));
    group("slack", &|group| delivery::slack(observed, group));
    match &observed.pipelines {
        Seen::Found(pipelines) if pipelines.is_empty() => group("pipelines", &|group| {
            group.add(
                "pipelines",
                Verdict::warning(
                    "no pipeline has been applied yet",
                    "`esclusa init APPLICATION --cluster CLUSTER`, then `esclusa pipelines apply pipeline.yaml`",
                ),
            );
        }),
        Seen::Found(pipelines) => {
            for pipeline in pipelines {
                group(&format!("pipeline {}", pipeline.application), &|group| {
                    pipelines::pipeline(observed, pipeline, group);
                });
            }
        }
        other => group("pipelines", &|group| {
            group.look("pipelines", other, "", |_| Verdict::ok(""));
        }),
    }
    findings
}

/// Names in backticks, with commas.
fn listed<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests;
