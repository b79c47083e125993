//! Rules that can only be checked once overlays and placeholders are in place.

use std::collections::BTreeSet;

use serde_json::json;

use super::{ResolveProblem, ResolvedEnvironment, ResolvedService, ResolvedStep, ResolvedTask};
use crate::gate::{WindowPlace, check_windows};
use crate::pipeline::gates::{Acknowledgement, AtExpiry, UnknownPusher};
use crate::pipeline::names::{Name, is_ecs_name};
use crate::pipeline::parts::{Container, DefinitionSource, Phase, RestorePoint, TaskDefinition};
use crate::pipeline::path::Path;
use crate::pipeline::rollout::Percentages;
use crate::pipeline::verification::{Measure, Method, Reaction, Verification};
use crate::restore_point::DatabaseId;
use crate::verification::{SERVICES, is_forbidden_host};

/// The most characters of JSON that ECS takes as the overrides of one task.
const OVERRIDES_CHARACTERS_MAX: usize = 8_192;

/// The most services and databases of an environment: everything that the end of a deployment says of them is written
/// at once, and a transaction of DynamoDB has 100 actions. A service takes one of them, a database up to five.
const SERVICES_MAX: usize = 40;
const DATABASES_MAX: usize = 8;

/// The most checks of a verification: one look may have to measure all of them.
const CHECKS_MAX: usize = 20;

/// The most looks of a verification: each is a few entries in the history of an execution, which holds 25,000.
const LOOKS_MAX: i64 = 1_000;

/// The longest that the requests of a smoke test may take: they are made in one look.
const SMOKE_SECONDS_MAX: u64 = 30;

/// The longest name of a Lambda function.
const FUNCTION_CHARACTERS_MAX: usize = 64;

/// The longest name of a log group, and the longest filter pattern
/// (<https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilterLogEvents.html>).
const LOG_GROUP_CHARACTERS_MAX: usize = 512;
const LOG_PATTERN_CHARACTERS_MAX: usize = 1_024;

/// The longest name of a queue (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_CreateQueue.html>).
const QUEUE_CHARACTERS_MAX: usize = 80;

/// The longest identifier of a DB instance or DB cluster (<https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBInstance.html>).
const IDENTIFIER_CHARACTERS_MAX: usize = 63;

/// Everything that is wrong in a resolved environment, besides what is `known` from filling it in.
pub(super) fn check(environment: &ResolvedEnvironment, known: &[ResolveProblem]) -> Vec<ResolveProblem> {
    let mut problems = Vec::new();
    let root = Path::default();
    if environment.steps.is_empty() {
        problems.push(problem(
            root.key("name"),
            "nothing happens in this environment: it has no task and no service",
            None,
        ));
    }
    check_ecs_name("cluster", &environment.cluster, root.key("cluster"), &mut problems);
    check_distinct(
        environment
            .task_definitions
            .iter()
            .map(|(name, definition)| (name, definition.family.as_str())),
        |name| root.key("task_definitions").key(name).key("family"),
        &mut problems,
    );
    let count = environment.services().count();
    for (found, most, name) in [
        (count, SERVICES_MAX, "services"),
        (environment.databases.len(), DATABASES_MAX, "databases"),
    ] {
        if found > most {
            let message = format!("has {found} {name}, but at most {most} are possible");
            let hint = "move those that are released on their own into a separate application";
            problems.push(problem(root.key(name), &message, Some(hint)));
        }
    }
    check_distinct(
        environment
            .services()
            .map(|service| (&service.name, service.service.as_str())),
        |name| root.key("services").key(name).key("service"),
        &mut problems,
    );
    for (name, database) in &environment.databases {
        if let Some(shared_as) = &database.shared_as {
            let path = root.key("databases").key(name).key("shared_as");
            check_ecs_name("database", shared_as, path, &mut problems);
        }
        if let Some(point) = &database.restore_point {
            check_restore_point(
                point,
                &root.key("databases").key(name).key("restore_point"),
                &mut problems,
            );
        }
    }
    check_distinct(
        environment
            .databases
            .iter()
            .filter_map(|(name, database)| Some((name, database.shared_as.as_deref()?))),
        |name| root.key("databases").key(name).key("shared_as"),
        &mut problems,
    );
    if let Some(verification) = &environment.verification {
        check_verification(verification, &root.key("verification"), &mut problems);
        check_judged_tasks(verification, environment, &root.key("verification"), &mut problems);
    }
    check_gates(environment, &root, &mut problems);
    for (name, definition) in &environment.task_definitions {
        check_task_definition(definition, &root.key("task_definitions").key(name), &mut problems);
    }
    for step in &environment.steps {
        match step {
            ResolvedStep::Task(task) => check_task(task, &root.key("tasks").key(&task.name), &mut problems),
            ResolvedStep::Service(service) => {
                check_service(service, &root.key("services").key(&service.name), &mut problems);
            }
        }
    }
    // Nothing can be said about a text whose placeholders could not be filled in.
    problems.retain(|problem| known.iter().all(|known| known.path != problem.path));
    problems
}

fn check_gates(environment: &ResolvedEnvironment, root: &Path, problems: &mut Vec<ResolveProblem>) {
    for (place, error) in environment.windows.iter().flat_map(check_windows) {
        let path = root.key("windows");
        let path = match place {
            WindowPlace::Zone => path.key("zone"),
            WindowPlace::Allow(index) => path.key("allow").index(index),
            WindowPlace::Deny(index) => path.key("deny").index(index),
        };
        problems.push(problem(path, &error.to_string(), None));
    }
    for (name, acknowledgement) in &environment.acknowledgements {
        let path = root.key("acknowledgements").key(name);
        let (said, field) = match acknowledgement {
            Acknowledgement::Person { that, by } => {
                let path = path.key("person");
                check_people(by, environment, &path.key("by"), problems);
                (that, path.key("that"))
            }
            Acknowledgement::Image { annotation, .. } => (annotation, path.key("image").key("annotation")),
        };
        if said.trim().is_empty() {
            problems.push(problem(field, "must say something", None));
        }
    }
    if environment
        .pusher
        .as_ref()
        .is_some_and(|pusher| pusher.annotation.trim().is_empty())
    {
        problems.push(problem(
            root.key("pusher").key("annotation"),
            "must say something",
            None,
        ));
    }
    let Some(approval) = &environment.approval else { return };
    let path = root.key("approval");
    if approval.at_expiry != AtExpiry::End && approval.expires_open_hours.is_none() {
        let hint = "set `expires_open_hours` to how long people may take";
        problems.push(problem(path.key("at_expiry"), "nothing expires here", Some(hint)));
    }
    check_people(&approval.approvers, environment, &path.key("approvers"), problems);
    let known: BTreeSet<&Name> = approval.approvers.iter().collect();
    if usize::try_from(approval.quorum).unwrap_or(usize::MAX) > known.len() {
        let message = format!(
            "requires {} to agree, but `approvers` names {}",
            approval.quorum,
            known.len()
        );
        let hint = "name more of them, or lower it";
        problems.push(problem(path.key("quorum"), &message, Some(hint)));
    } else if usize::try_from(approval.quorum).unwrap_or(usize::MAX) == known.len()
        && approval.unknown_pusher == UnknownPusher::RaisesQuorum
        && environment.pusher.is_none()
    {
        let message = format!(
            "names {}, and {} must agree where nobody knows who pushed",
            known.len(),
            known.len().saturating_add(1)
        );
        let hint = "name one more, or set `unknown_pusher: is_nobody` where a job pushes that is none of them";
        problems.push(problem(path.key("approvers"), &message, Some(hint)));
    }
}

fn check_people(names: &[Name], environment: &ResolvedEnvironment, path: &Path, problems: &mut Vec<ResolveProblem>) {
    for (index, name) in names.iter().enumerate() {
        if !environment.people.contains_key(name) {
            let message = format!("`{name}` is not one of the `people`");
            problems.push(problem(path.index(index), &message, None));
        }
    }
}

fn check_restore_point(point: &RestorePoint, path: &Path, problems: &mut Vec<ResolveProblem>) {
    let Some(database) = DatabaseId::of(point) else {
        let hint = "`instance` for a DB instance, `cluster` for a DB cluster, such as one of Aurora";
        problems.push(problem(
            path.clone(),
            "must name one of `instance` and `cluster`",
            Some(hint),
        ));
        return;
    };
    let name = database.name();
    let is_identifier = name.len() <= IDENTIFIER_CHARACTERS_MAX
        && name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.chars().all(|each| each.is_ascii_alphanumeric() || each == '-')
        && !name.ends_with('-')
        && !name.contains("--");
    if !is_identifier {
        let message = format!("the identifier `{}` is not valid", name.escape_debug());
        let hint = "letters, digits and single hyphens, starting with a letter, at most 63 characters; not an ARN or an address";
        problems.push(problem(path.key(database.kind()), &message, Some(hint)));
    }
}

fn check_verification(verification: &Verification, path: &Path, problems: &mut Vec<ResolveProblem>) {
    let timeout = verification.timeout().as_secs();
    let outlasts = |seconds: u32| i64::from(seconds) > timeout;
    if outlasts(verification.soak_seconds) {
        let message = format!("must leave time for the soak of {} seconds", verification.soak_seconds);
        problems.push(problem(path.key("timeout_seconds"), &message, None));
    }
    if verification.looks_max() > LOOKS_MAX {
        let message = format!(
            "takes up to {} looks, but at most {LOOKS_MAX} are possible",
            verification.looks_max()
        );
        let hint = "raise the smallest `interval_seconds`, or lower `timeout_seconds`";
        problems.push(problem(path.clone(), &message, Some(hint)));
    }
    if verification.checks.len() > CHECKS_MAX {
        let message = format!(
            "has {} checks, but at most {CHECKS_MAX} are possible",
            verification.checks.len()
        );
        problems.push(problem(path.key("checks"), &message, None));
    }
    let checks = verification.checks.iter().map(|(name, check)| {
        let path = path.key("checks").key(name);
        (&check.pace, path.key("pace"))
    });
    for (pace, path) in checks.chain([(&verification.services, path.key("services"))]) {
        let first = pace.initial_delay_seconds;
        if outlasts(first.saturating_add(verification.soak_seconds)) {
            let message = format!("leaves no time for the soak within the {timeout} seconds of the verification");
            problems.push(problem(path.key("initial_delay_seconds"), &message, None));
        }
        if pace
            .failing_seconds
            .is_some_and(|failing| failing < pace.interval_seconds)
        {
            let hint = "it takes two measurements to see how long something fails";
            problems.push(problem(
                path.key("failing_seconds"),
                "is less than `interval_seconds`",
                Some(hint),
            ));
        }
        if pace.until_seconds.is_some_and(|until| until < first || outlasts(until)) {
            let message =
                format!("must be between `initial_delay_seconds` and the {timeout} seconds of the verification");
            problems.push(problem(path.key("until_seconds"), &message, None));
        }
        if pace.failing_seconds.is_some() && pace.failure_limit > 0 {
            let hint = "a number of failures, or a time for which it may fail";
            problems.push(problem(
                path.key("failure_limit"),
                "cannot be given together with `failing_seconds`",
                Some(hint),
            ));
        }
    }
    for (name, check) in &verification.checks {
        let path = path.key("checks").key(name);
        check_measure(&check.measure, &path.key("measure"), problems);
        if check.ask.is_some() && check.reaction != Reaction::Ask {
            let hint = "write `reaction: ask`, or leave it out";
            problems.push(problem(
                path.key("ask"),
                "is only for checks whose reaction is `ask`",
                Some(hint),
            ));
        }
    }
    if let Some((name, _)) = verification.checks.iter().find(|(name, _)| name.as_str() == SERVICES) {
        let message = format!("`{SERVICES}` is the check of the services themselves");
        let hint = "name this check otherwise; the pace of that one is `verification.services`";
        problems.push(problem(path.key("checks").key(name), &message, Some(hint)));
    }
}

/// What a check says of the end of a task, the deployment must not have said before.
fn check_judged_tasks(
    verification: &Verification,
    environment: &ResolvedEnvironment,
    path: &Path,
    problems: &mut Vec<ResolveProblem>,
) {
    for (name, check) in &verification.checks {
        let Measure::Task(judged) = &check.measure else {
            continue;
        };
        if check.pace.failure_limit > 0 || check.pace.failing_seconds.is_some() {
            let hint = "leave out `failure_limit` and `failing_seconds`";
            problems.push(problem(
                path.key("checks").key(name).key("pace"),
                "would wait for an ended task to end again",
                Some(hint),
            ));
        }
        let mut tasks = environment.steps.iter().filter_map(|step| match step {
            ResolvedStep::Task(task) => Some(task),
            ResolvedStep::Service(_) => None,
        });
        let found = tasks.find(|task| task.name == *judged);
        let (message, hint) = match found {
            None => (
                format!("no task `{judged}` runs in `{}`", environment.name),
                "one of `tasks`, which the environment does not skip",
            ),
            Some(task) if task.phase != Phase::AfterServices => (
                format!("the task `{judged}` runs before there is anything to test"),
                "give it `run: after_services`",
            ),
            Some(task) if task.database.is_some() => (
                format!("the task `{judged}` migrates a database, so it decides by itself"),
                "check a task that only tests",
            ),
            Some(task) if !task.idempotent => (
                format!("the task `{judged}` may not run again when it is not known how it ended"),
                "give it `idempotent: true`, or leave the check out",
            ),
            Some(_) => continue,
        };
        problems.push(problem(
            path.key("checks").key(name).key("measure").key("task"),
            &message,
            Some(hint),
        ));
    }
}

fn check_url(url: &str, path: Path, problems: &mut Vec<ResolveProblem>) {
    let rest = ["http://", "https://"]
        .iter()
        .find_map(|scheme| url.strip_prefix(scheme));
    let host = rest.and_then(|rest| rest.split(['/', '?', '#']).next());
    match host.filter(|host| !host.is_empty() && !host.contains('@')) {
        None => {
            let hint = "such as `https://api.example.com/health/ready`";
            problems.push(problem(
                path,
                "must be an `http` or `https` address, without credentials",
                Some(hint),
            ));
        }
        Some(host) if is_forbidden_host(without_port(host)) => {
            let hint = "name the load balancer of the service";
            problems.push(problem(path, "is local to the function, not a service", Some(hint)));
        }
        Some(_) => {}
    }
}

fn check_measure(measure: &Measure, path: &Path, problems: &mut Vec<ResolveProblem>) {
    match measure {
        Measure::Alarms(_) | Measure::Targets(_) | Measure::Task(_) => {}
        Measure::Metric(metric) => {
            let path = path.key("metric");
            if metric.expression.is_none() && metric.metrics.len() > 1 {
                let hint = "metric math of CloudWatch over the names of the metrics, such as `100 * errors / requests`";
                problems.push(problem(
                    path.clone(),
                    "needs an `expression`: it has more than one metric",
                    Some(hint),
                ));
            }
            // CloudWatch names the values of its metric math so.
            for (name, _) in metric.metrics.iter().filter(|(name, _)| name.as_str().contains('-')) {
                problems.push(problem(
                    path.key("metrics").key(name),
                    "must not contain a hyphen: it is a name in metric math",
                    None,
                ));
            }
            if !metric.period_seconds.is_multiple_of(60) {
                problems.push(problem(path.key("period_seconds"), "must be whole minutes", None));
            }
            if metric.baseline_seconds < metric.period_seconds {
                problems.push(problem(
                    path.key("baseline_seconds"),
                    "must be as long as a period at least",
                    None,
                ));
            }
            let counted = metric.samples.as_ref().map(|samples| &samples.of);
            if counted.is_some_and(|of| !metric.metrics.contains_key(of)) {
                problems.push(problem(
                    path.key("samples").key("of"),
                    "is not one of the metrics",
                    None,
                ));
            }
        }
        Measure::Http(http) => check_url(&http.url, path.key("http").key("url"), problems),
        Measure::Smoke(smoke) => {
            let path = path.key("smoke").key("steps");
            for (index, step) in smoke.steps.iter().enumerate() {
                check_url(&step.url, path.index(index).key("url"), problems);
                if step.body.is_some() && matches!(step.method, Method::Get | Method::Head) {
                    let hint = "such as `method: POST`";
                    let message = format!("cannot be sent with `{}`", step.method.as_str());
                    problems.push(problem(path.index(index).key("body"), &message, Some(hint)));
                }
            }
            let seconds = smoke
                .steps
                .iter()
                .map(|step| u64::from(step.timeout_seconds))
                .sum::<u64>();
            if seconds > SMOKE_SECONDS_MAX {
                let message =
                    format!("may take {seconds} seconds in all, but at most {SMOKE_SECONDS_MAX} are possible");
                let hint = "lower `timeout_seconds` of the steps, or make two checks of them";
                problems.push(problem(path, &message, Some(hint)));
            }
        }
        Measure::Function(function) => {
            let path = path.key("function").key("name");
            let is_named = |each: char| each.is_ascii_alphanumeric() || "-_".contains(each);
            let length = function.name.chars().count();
            if !(1..=FUNCTION_CHARACTERS_MAX).contains(&length) || !function.name.chars().all(is_named) {
                let hint = "such as `shop-smoke-test`, without ARN or version";
                problems.push(problem(path, "is not the name of a Lambda function", Some(hint)));
            }
        }
        Measure::Log(log) => {
            let path = path.key("log");
            let is_named = |each: char| each.is_ascii_alphanumeric() || "_-/.#".contains(each);
            let length = log.group.chars().count();
            if !(1..=LOG_GROUP_CHARACTERS_MAX).contains(&length) || !log.group.chars().all(is_named) {
                let hint = "such as `/ecs/shop`, not an ARN";
                problems.push(problem(
                    path.key("group"),
                    "must be the name of a log group",
                    Some(hint),
                ));
            }
            // An empty pattern matches every line.
            let length = log.pattern.trim().chars().count();
            if !(1..=LOG_PATTERN_CHARACTERS_MAX).contains(&length) {
                let message = format!("must have 1 to {LOG_PATTERN_CHARACTERS_MAX} characters");
                let hint = "a filter pattern of CloudWatch Logs, such as `?ERROR ?FATAL`";
                problems.push(problem(path.key("pattern"), &message, Some(hint)));
            }
        }
        Measure::Consumers(consumers) => {
            let path = path.key("consumers");
            let name = consumers.queue.strip_suffix(".fifo").unwrap_or(&consumers.queue);
            let is_named = |each: char| each.is_ascii_alphanumeric() || "-_".contains(each);
            if name.is_empty() || consumers.queue.len() > QUEUE_CHARACTERS_MAX || !name.chars().all(is_named) {
                let hint = "such as `orders-staging`, not a URL or ARN";
                problems.push(problem(path.key("queue"), "must be the name of a queue", Some(hint)));
            }
            if !consumers.stalled_seconds.is_multiple_of(60) {
                problems.push(problem(path.key("stalled_seconds"), "must be whole minutes", None));
            }
        }
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

fn check_task_definition(definition: &TaskDefinition, path: &Path, problems: &mut Vec<ResolveProblem>) {
    check_ecs_name("family", &definition.family, path.key("family"), problems);
    if let DefinitionSource::File(file) = &definition.from {
        let is_inside = !file.starts_with('/')
            && !file.contains('\\')
            && file.split('/').all(|part| !matches!(part, "" | "." | ".."));
        if !is_inside || !file.ends_with(".json") {
            let hint = "a path such as `task-definitions/api.json`";
            problems.push(problem(
                path.key("from").key("file"),
                "must be a JSON file below the pipeline file",
                Some(hint),
            ));
        }
    }
    for (name, container) in &definition.containers {
        check_container(container, &path.key("containers").key(name), problems);
    }
}

fn check_container(container: &Container, path: &Path, problems: &mut Vec<ResolveProblem>) {
    let is_set = |name: &str| container.environment.get(name).is_some_and(Option::is_some);
    for (name, source) in &container.secrets {
        if source.is_some() && is_set(name) {
            let message = format!("`{name}` is both an environment variable and a secret");
            problems.push(problem(
                path.key("secrets").key(name),
                &message,
                Some("ECS takes only one of the two"),
            ));
        }
        if source.as_ref().is_some_and(|source| !source.starts_with("arn:")) {
            let hint = "the ARN of a secret in Secrets Manager or of a parameter in Parameter Store";
            problems.push(problem(
                path.key("secrets").key(name),
                "a secret must be named by its ARN",
                Some(hint),
            ));
        }
    }
}

fn check_task(task: &ResolvedTask, path: &Path, problems: &mut Vec<ResolveProblem>) {
    let down = task.down.as_ref().map(|down| (&down.containers, path.key("down")));
    for (containers, path) in [(&task.containers, path.clone())].into_iter().chain(down) {
        let characters = json!(containers).to_string().chars().count();
        if characters > OVERRIDES_CHARACTERS_MAX {
            let message = format!("the overrides have {characters} characters, ECS takes {OVERRIDES_CHARACTERS_MAX}");
            problems.push(problem(path.key("containers"), &message, None));
        }
    }
}

fn check_service(service: &ResolvedService, path: &Path, problems: &mut Vec<ResolveProblem>) {
    check_ecs_name("service", &service.service, path.key("service"), problems);
    if let Some(scaling) = service.scaling.as_ref().filter(|scaling| scaling.max < scaling.min) {
        let message = format!("is less than `min`, which is {}", scaling.min);
        problems.push(problem(path.key("scaling").key("max"), &message, None));
    }
    let deployment = &service.deployment;
    let (Some(maximum), Some(minimum_healthy)) = (deployment.maximum_percent, deployment.minimum_healthy_percent)
    else {
        return;
    };
    let percentages = Percentages {
        minimum_healthy,
        maximum,
    };
    let hint = Some("raise `maximum_percent` above 100 or lower `minimum_healthy_percent`");
    let path = path.key("deployment");
    if maximum <= 100 && minimum_healthy >= 100 {
        problems.push(problem(
            path,
            "no rolling update can begin: no task may stop and none may start",
            hint,
        ));
    } else if let Some(Err(no_progress)) = service
        .start_count
        .map(|count| percentages.allow_progress(count.into()))
    {
        problems.push(problem(path, &no_progress.to_string(), hint));
    }
}

fn check_ecs_name(kind: &str, name: &str, path: Path, problems: &mut Vec<ResolveProblem>) {
    if !is_ecs_name(name) {
        let message = format!("{kind} name `{}` is not valid", name.escape_debug());
        problems.push(problem(
            path,
            &message,
            Some("letters, digits, `-` and `_`, from 1 to 255 characters"),
        ));
    }
}

fn check_distinct<'a>(
    names: impl Iterator<Item = (&'a Name, &'a str)>,
    path: impl Fn(&Name) -> Path,
    problems: &mut Vec<ResolveProblem>,
) {
    let mut seen: Vec<(&Name, &str)> = Vec::new();
    for (key, name) in names {
        match seen.iter().find(|(_, other)| *other == name) {
            Some((first, _)) => problems.push(problem(
                path(key),
                &format!("`{}` is already what `{first}` stands for", name.escape_debug()),
                None,
            )),
            None => seen.push((key, name)),
        }
    }
}

fn problem(path: Path, message: &str, hint: Option<&str>) -> ResolveProblem {
    ResolveProblem {
        path,
        message: message.to_owned(),
        hint: hint.map(str::to_owned),
    }
}
