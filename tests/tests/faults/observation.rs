//! What a run came to, read from the account and not from what Esclusa believes.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use simulator_step_functions::{Status, StepFunctions};

use crate::points::{is_invocation, payload};
use crate::shop::Shop;

/// How the problem ends that an execution has failed.
pub(crate) const FAILED: &str = "is Some(Failed)";

/// What must be the same however a run was disturbed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct End {
    /// Verdict, effect and reason of every release.
    pub(crate) releases: Vec<String>,
    /// Verdict, effect and reason of every deployment.
    pub(crate) deployments: Vec<String>,
    /// The exit codes of the migrations that stopped.
    pub(crate) migrations: Vec<Option<i64>>,
    /// Whose image the services run: of every running task, whether it is the pushed one.
    pub(crate) running: BTreeMap<String, Vec<bool>>,
    /// How many rollouts were started, by service.
    pub(crate) rollouts: BTreeMap<String, usize>,
    /// The state of every lock.
    pub(crate) locks: BTreeMap<String, String>,
}

/// A run as it was observed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Observation {
    pub(crate) end: End,
    /// What must not be in any run: rows left open, a broken chain, a token where none belongs, an execution that
    /// failed.
    pub(crate) problems: Vec<String>,
    /// The states that the releases entered, then those of the deployments.
    pub(crate) path: Vec<String>,
}

impl Shop {
    /// Looks at everything after a run.
    pub(crate) fn observe(&mut self, digest: &str) -> Observation {
        let control = self.items("esclusa-control");
        let end = End {
            releases: ends(&control, "RELEASE"),
            deployments: ends(&control, "DEPLOYMENT"),
            migrations: self.migrations(),
            running: Self::SERVICES
                .iter()
                .map(|service| ((*service).to_owned(), self.running(service, digest)))
                .collect(),
            rollouts: self.rollouts(),
            locks: locks(&control),
        };
        let mut problems = left_behind(&control);
        problems.extend(self.executions_not_succeeded());
        problems.extend(self.gaps());
        problems.extend(self.leaks());
        let audit = self.lab.esclusa(&["audit", "verify", "--all"]);
        if audit.code != 0 {
            problems.push(format!(
                "`esclusa audit verify --all` answers {}: {}{}",
                audit.code, audit.out, audit.err
            ));
        }
        let executions = ["release", "deployment"]
            .map(|machine| self.lab.executions(machine))
            .concat();
        let path = executions.iter().flat_map(|name| self.lab.path(name)).collect();
        Observation { end, problems, path }
    }

    /// The events of this kind since the shop was open, with the members that are asked for.
    fn events(&self, kind: &str) -> impl Iterator<Item = &Value> {
        let events = self.lab.world().events().get(self.events_before..).unwrap_or_default();
        events.iter().filter(move |event| text(event, "/detail-type") == kind)
    }

    fn migrations(&self) -> Vec<Option<i64>> {
        let stopped = self.events("ECS Task State Change").filter(|event| {
            text(event, "/detail/lastStatus") == "STOPPED" && text(event, "/detail/startedBy").starts_with("esclusa/")
        });
        let by_task: BTreeMap<&str, Option<i64>> = stopped
            .map(|event| {
                (
                    text(event, "/detail/taskArn"),
                    event.pointer("/detail/containers/0/exitCode").and_then(Value::as_i64),
                )
            })
            .collect();
        by_task.into_values().collect()
    }

    fn rollouts(&self) -> BTreeMap<String, usize> {
        let mut started: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
        for event in self.events("ECS Deployment State Change") {
            let service = text(event, "/resources/0")
                .rsplit('/')
                .next()
                .unwrap_or_default()
                .to_owned();
            started
                .entry(service)
                .or_default()
                .insert(text(event, "/detail/deploymentId"));
        }
        started
            .into_iter()
            .map(|(service, deployments)| (service, deployments.len()))
            .collect()
    }

    fn running(&mut self, service: &str, digest: &str) -> Vec<bool> {
        let listed = self.ask(
            "ecs",
            "ListTasks",
            json!({"cluster": Self::CLUSTER, "serviceName": service}),
        );
        let described = self.ask(
            "ecs",
            "DescribeTasks",
            json!({"cluster": Self::CLUSTER, "tasks": listed["taskArns"]}),
        );
        let tasks = described["tasks"].as_array().cloned().unwrap_or_default();
        tasks
            .iter()
            .map(|task| text(task, "/containers/0/imageDigest") == digest)
            .collect()
    }

    fn executions_not_succeeded(&self) -> Vec<String> {
        let machines = self.lab.world().service::<StepFunctions>().unwrap();
        let mut problems: Vec<String> = machines
            .executions()
            .iter()
            .filter(|arn| machines.status(arn) != Some(Status::Succeeded))
            .map(|arn| format!("execution `{arn}` is {:?}", machines.status(arn)))
            .collect();
        problems.extend(
            machines
                .open_tokens()
                .iter()
                .map(|open| format!("state `{}` still waits", open.state)),
        );
        problems
    }

    /// Places of the ledger's chains that nobody wrote.
    fn gaps(&self) -> Vec<String> {
        let mut chains: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
        for item in self.items("esclusa-ledger") {
            let sequence = text(&item, "/sequence/N").parse().unwrap();
            chains
                .entry(text(&item, "/chain/S").to_owned())
                .or_default()
                .insert(sequence);
        }
        let is_dense = |places: &BTreeSet<u64>| places.iter().copied().eq(1..=u64::try_from(places.len()).unwrap());
        chains
            .iter()
            .filter(|(_, places)| !is_dense(places))
            .map(|(chain, places)| format!("chain `{chain}` has only {places:?}"))
            .collect()
    }

    /// Task tokens outside of Step Functions and the rows of waits.
    fn leaks(&self) -> Vec<String> {
        let world = self.lab.world();
        let tokens: BTreeSet<&str> = world
            .calls()
            .iter()
            .filter(|call| is_invocation(call))
            .map(|call| text(payload(call), "/wait/token"))
            .collect();
        let tokens: Vec<&str> = tokens.into_iter().filter(|token| !token.is_empty()).collect();
        let has_token = |text: &str| tokens.iter().any(|token| text.contains(token));
        let mut problems = Vec::new();
        problems.extend(
            self.items("esclusa-ledger")
                .iter()
                .filter(|item| has_token(&item.to_string()))
                .map(|item| format!("a token is in the ledger: {item}")),
        );
        problems.extend(
            world
                .events()
                .iter()
                .filter(|event| has_token(&event.to_string()))
                .map(|event| format!("a token is in an event: {event}")),
        );
        for (group, streams) in &world.kernel().logs.groups {
            let lines = streams.values().flatten().filter(|line| has_token(&line.message));
            problems.extend(lines.map(|line| format!("a token is in log group `{group}`: {}", line.message)));
        }
        problems
    }

    /// The `source` that the outputs of the waiting states name: who woke each of them, in order.
    pub(crate) fn woken_by(&mut self, machine: &str) -> Vec<(String, String)> {
        let execution = self.execution(machine);
        let mut woken = Vec::new();
        let mut state = String::new();
        let mut page = json!({"executionArn": execution, "maxResults": 1000});
        loop {
            let answer = self.ask("states", "GetExecutionHistory", page.clone());
            for event in answer["events"].as_array().unwrap() {
                if event["type"] == "TaskStateEntered" {
                    text(event, "/stateEnteredEventDetails/name").clone_into(&mut state);
                }
                let output: Option<Value> = serde_json::from_str(text(event, "/taskSucceededEventDetails/output")).ok();
                if let Some(source) = output.as_ref().and_then(|output| output.get("source")?.as_str()) {
                    woken.push((state.clone(), source.to_owned()));
                }
            }
            match answer.get("nextToken").filter(|token| !token.is_null()) {
                Some(token) => page["nextToken"] = token.clone(),
                None => return woken,
            }
        }
    }
}

pub(crate) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn ends(control: &[Value], kind: &str) -> Vec<String> {
    let rows = control.iter().filter(|item| text(item, "/sk/S") == kind);
    rows.map(|item| {
        let part = |name: &str| text(item, &format!("/end/M/{name}/S"));
        format!("{} {} {}", part("verdict"), part("effect"), part("reason"))
    })
    .collect()
}

fn locks(control: &[Value]) -> BTreeMap<String, String> {
    let rows = control.iter().filter(|item| text(item, "/sk/S") == "LOCK");
    rows.map(|item| (text(item, "/pk/S").to_owned(), text(item, "/status/S").to_owned()))
        .collect()
}

/// Rows that only a release under way has.
fn left_behind(control: &[Value]) -> Vec<String> {
    let is_open = |item: &&Value| {
        let row = text(item, "/pk/S");
        row.starts_with("OPEN#")
            || (text(item, "/status/S") == "OPEN")
            || (row.starts_with("LOCK#") && text(item, "/status/S") == "HELD")
            || ["CLAIMED", "STARTED"].contains(&text(item, "/progress/S"))
    };
    control
        .iter()
        .filter(is_open)
        .map(|item| format!("row `{}` / `{}` is left open", text(item, "/pk/S"), text(item, "/sk/S")))
        .collect()
}
