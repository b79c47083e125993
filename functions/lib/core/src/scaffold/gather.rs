//! What of the services that run can be said once for all environments.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::names::{Token, key};
use super::{Observed, ObservedEnvironment, ObservedService};
use crate::pipeline::RepositoryName;
use crate::task_definition::{Home, containers};

/// What the file says.
#[derive(Debug, Default)]
pub(super) struct Shape {
    /// The key of the image of each repository.
    pub(super) images: BTreeMap<String, String>,
    pub(super) definitions: Vec<Definition>,
    pub(super) services: Vec<Service>,
    /// In the order of the file.
    pub(super) environments: Vec<Environment>,
    /// The names of services that cannot be in the file, with the reason.
    pub(super) left_out: BTreeMap<String, String>,
}

/// A task definition.
#[derive(Debug)]
pub(super) struct Definition {
    pub(super) key: String,
    pub(super) family: String,
    pub(super) containers: Containers,
}

/// The containers of a task definition, by their names.
#[derive(Debug, Default)]
pub(super) struct Containers {
    /// Those that run an image of the application, each with its key.
    pub(super) run: Vec<(String, String)>,
    /// Those that keep the image that they have, each with that image.
    pub(super) kept: Vec<(String, String)>,
}

/// A service.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) key: String,
    pub(super) name: String,
    pub(super) definition: String,
    pub(super) notes: Vec<String>,
}

/// What only one environment says.
#[derive(Debug, Default)]
pub(super) struct Environment {
    /// The variables that names need here.
    pub(super) variables: BTreeMap<String, String>,
    pub(super) network: Option<Network>,
    /// Whether a load balancer leads to one of the services.
    pub(super) is_balanced: bool,
    /// The services whose circuit breaker does not roll back.
    pub(super) without_rollback: Vec<String>,
}

/// The network of a service, which that of its migrations may be as well.
#[derive(Debug)]
pub(super) struct Network {
    pub(super) subnets: Vec<String>,
    pub(super) security_groups: Vec<String>,
    pub(super) assign_public_ip: bool,
}

/// A service in every environment in which it is.
type Row<'a> = Vec<(&'a ObservedEnvironment, &'a ObservedService)>;

/// Finds the services that are the same in every environment, and what of them differs.
pub(super) fn gather(observed: &Observed) -> Shape {
    let by_suffix = observed
        .environments
        .iter()
        .any(|environment| environment.suffix.is_some());
    let mut rows: Vec<(String, Row<'_>)> = Vec::new();
    for environment in &observed.environments {
        for service in &environment.services {
            let name = token(environment, by_suffix).general(text(&service.service, "serviceName"));
            match rows.iter_mut().find(|(known, _)| *known == name) {
                Some((_, row)) => row.push((environment, service)),
                None => rows.push((name, vec![(environment, service)])),
            }
        }
    }
    let mut shape = Shape {
        environments: observed.environments.iter().map(|_| Environment::default()).collect(),
        ..Shape::default()
    };
    for (name, row) in rows {
        if let Err(reason) = shape.add(observed, &name, &row, by_suffix) {
            shape.left_out.insert(name, reason);
        }
    }
    let is_suffix_said = shape.names().any(|name| name.contains("${suffix}"));
    for (environment, said) in observed
        .environments
        .iter()
        .zip(&mut shape.environments)
        .filter(|_| is_suffix_said)
    {
        let suffix = token(environment, by_suffix).text.to_owned();
        said.variables.insert("suffix".to_owned(), suffix);
    }
    shape
}

impl Shape {
    /// What people must look at, besides what is left out.
    pub(super) fn notes(&self) -> Vec<String> {
        self.services
            .iter()
            .flat_map(|service| service.notes.iter().cloned())
            .collect()
    }

    /// Every name in which a placeholder may stand.
    fn names(&self) -> impl Iterator<Item = &str> {
        let definitions = self.definitions.iter().flat_map(|definition| {
            let containers = definition.containers.run.iter().map(|(name, _)| name.as_str());
            containers.chain([definition.family.as_str()])
        });
        definitions.chain(self.services.iter().map(|service| service.name.as_str()))
    }

    /// Adds a service; the error is why it cannot be in the file.
    fn add(&mut self, observed: &Observed, name: &str, row: &Row<'_>, by_suffix: bool) -> Result<(), String> {
        check_everywhere(observed, row)?;
        let mut notes = Vec::new();
        let containers = containers_of(observed, row, by_suffix, &mut notes)?;
        let taken: BTreeSet<String> = self.services.iter().map(|service| service.key.clone()).collect();
        let key = key(name, &observed.application, "app", &taken);
        let family = self.family(&key, row, by_suffix);
        let definition = self.definition(observed, &key, family, containers);
        for ((environment, service), said) in row.iter().zip(&mut self.environments) {
            notes.extend(observations(environment, service));
            said.look_at(&key, &service.service);
        }
        self.services.push(Service {
            key,
            name: name.to_owned(),
            definition,
            notes,
        });
        Ok(())
    }

    /// The family of a service, where necessary by a variable.
    fn family(&mut self, key: &str, row: &Row<'_>, by_suffix: bool) -> String {
        let families: Vec<(String, &str)> = row
            .iter()
            .map(|(environment, service)| {
                let family = text(definition(service), "family");
                (token(environment, by_suffix).general(family), family)
            })
            .collect();
        let general: BTreeSet<&String> = families.iter().map(|(general, _)| general).collect();
        if let (Some((first, _)), 1) = (families.first(), general.len()) {
            return first.clone();
        }
        let variable = format!("{}_family", key.replace('-', "_"));
        for ((_, family), said) in families.iter().zip(&mut self.environments) {
            said.variables.insert(variable.clone(), (*family).to_owned());
        }
        format!("${{{variable}}}")
    }

    /// The key of the task definition of a family, which several services may run. `service` is the key of the first of
    /// them.
    fn definition(&mut self, observed: &Observed, service: &str, family: String, found: Found) -> String {
        if let Some(known) = self.definitions.iter().find(|known| known.family == family) {
            return known.key.clone();
        }
        let taken: BTreeSet<String> = self.definitions.iter().map(|known| known.key.clone()).collect();
        let is_variable = family.ends_with("_family}");
        let name = if is_variable { service } else { &family };
        let key = key(name, &observed.application, "app", &taken);
        let run = found.run.into_iter().map(|(container, repository)| {
            let image = self.image(observed, repository);
            (container, image)
        });
        let containers = Containers {
            run: run.collect(),
            kept: found.kept,
        };
        self.definitions.push(Definition {
            key: key.clone(),
            family,
            containers,
        });
        key
    }

    /// The key of the image of a repository.
    fn image(&mut self, observed: &Observed, repository: String) -> String {
        if let Some(key) = self.images.get(&repository) {
            return key.clone();
        }
        let taken: BTreeSet<String> = self.images.values().cloned().collect();
        let name = repository.rsplit('/').next().unwrap_or(&repository);
        let key = key(name, &observed.application, "app", &taken);
        self.images.insert(repository, key.clone());
        key
    }
}

impl Environment {
    /// Takes from a service what belongs to its environment.
    fn look_at(&mut self, key: &str, service: &Value) {
        let network = service.pointer("/networkConfiguration/awsvpcConfiguration");
        if let (None, Some(network)) = (&self.network, network) {
            let network = Network {
                subnets: texts(network, "subnets"),
                security_groups: texts(network, "securityGroups"),
                assign_public_ip: text(network, "assignPublicIp") == "ENABLED",
            };
            let is_whole = !network.subnets.is_empty() && !network.security_groups.is_empty();
            self.network = is_whole.then_some(network);
        }
        let balancers = service.get("loadBalancers").and_then(Value::as_array);
        let mut balancers = balancers.into_iter().flatten();
        self.is_balanced |= balancers.any(|balancer| balancer.get("targetGroupArn").is_some());
        if breaker(service) == (true, false) {
            self.without_rollback.push(key.to_owned());
        }
    }
}

/// What the containers of a service run: those of a repository each with its name, the others each with the image that
/// they keep.
#[derive(Debug, Default)]
struct Found {
    run: Vec<(String, String)>,
    kept: Vec<(String, String)>,
}

impl Found {
    fn of(definition: &Value, home: &Home, token: Token<'_>) -> Self {
        let is_essential = |container: &Value| container.get("essential").and_then(Value::as_bool) != Some(false);
        let image = |container: &Value| text(container, "image").to_owned();
        let main: BTreeSet<String> = containers(definition)
            .filter(|(_, container)| is_essential(container))
            .filter_map(|(_, container)| repository(text(container, "image"), home))
            .collect();
        let mut found = Self::default();
        for (name, container) in containers(definition) {
            let name = token.general(name);
            // What no essential container runs stands beside the application: an agent, a proxy.
            match repository(text(container, "image"), home).filter(|repository| main.contains(repository)) {
                Some(repository) => found.run.push((name, repository)),
                None => found.kept.push((name, image(container))),
            }
        }
        found
    }

    fn names(&self) -> BTreeSet<&str> {
        self.run.iter().map(|(name, _)| name.as_str()).collect()
    }
}

/// What the containers of a service run in every environment; the error is why a release could bring nothing to them.
fn containers_of(
    observed: &Observed,
    row: &Row<'_>,
    by_suffix: bool,
    notes: &mut Vec<String>,
) -> Result<Found, String> {
    let found = |(environment, service): &(&ObservedEnvironment, &ObservedService)| {
        Found::of(definition(service), &observed.home, token(environment, by_suffix))
    };
    let Some(first) = row.first() else {
        return Err("nothing of it was found".to_owned());
    };
    let (there, known) = (&first.0.name, found(first));
    if known.run.is_empty() {
        return Err(format!(
            "no container of it runs an image of the registry of {}, `{}`",
            observed.home.account, observed.home.region
        ));
    }
    let repositories: BTreeSet<&str> = known.run.iter().map(|(_, repository)| repository.as_str()).collect();
    if repositories.len() > 1 {
        let repositories: Vec<String> = repositories.iter().map(|name| format!("`{name}`")).collect();
        notes.push(format!(
            "the containers of `{}` run images of {}, and a push to any of them starts a release: remove from `images` and `containers` what is not built with the application",
            text(&first.1.service, "serviceName"),
            repositories.join(", ")
        ));
    }
    for one in row.iter().skip(1) {
        let (here, other) = (&one.0.name, found(one));
        if known.names() != other.names() {
            return Err(format!(
                "in `{there}` and in `{here}` different containers of it run images of the registry of {}, `{}`",
                observed.home.account, observed.home.region
            ));
        }
        for (container, repository) in &other.run {
            let same = known.run.iter().find(|(name, _)| name == container);
            if let Some((_, wanted)) = same.filter(|(_, wanted)| wanted != repository) {
                notes.push(format!(
                    "in `{here}` the container `{container}` runs an image of `{repository}`: a release brings that of `{wanted}` there, as in `{there}`"
                ));
            }
        }
    }
    Ok(known)
}

/// Whether a pipeline can have this service: it is in every environment, ECS itself deploys it, and what it runs is
/// known.
fn check_everywhere(observed: &Observed, row: &Row<'_>) -> Result<(), String> {
    let is_missing = |name| !row.iter().any(|(environment, _)| &environment.name == name);
    let missing: Vec<String> = observed
        .environments
        .iter()
        .filter(|environment| is_missing(&environment.name))
        .map(|environment| format!("`{}`", environment.name))
        .collect();
    if !missing.is_empty() {
        return Err(format!(
            "there is none of that name in {}, and every environment of a pipeline has the same services",
            missing.join(", ")
        ));
    }
    for (environment, service) in row {
        let controller = service
            .service
            .pointer("/deploymentController/type")
            .and_then(Value::as_str);
        if let Some(controller) = controller.filter(|controller| *controller != "ECS") {
            return Err(format!(
                "in `{}` it is deployed by {controller}: migrate it to the deployment controller `ECS`",
                environment.name
            ));
        }
        if service.definition.is_none() {
            return Err(format!(
                "in `{}` it runs `{}`, which is no longer there: deploy it once, and run this again",
                environment.name,
                revision(text(&service.service, "taskDefinition"))
            ));
        }
    }
    Ok(())
}

/// What of a service the first release changes besides the image, or is refused for.
fn observations(environment: &ObservedEnvironment, service: &ObservedService) -> Vec<String> {
    let running = text(definition(service), "taskDefinitionArn");
    let ObservedService { service, newest, .. } = service;
    let (name, here) = (text(service, "serviceName"), &environment.name);
    let mut notes = Vec::new();
    if let Some(newest) = newest.as_deref().filter(|newest| *newest != running) {
        notes.push(format!(
            "in `{here}` `{name}` runs `{}` and the newest revision is `{}`: the first release also brings what is different in that",
            revision(running),
            revision(newest)
        ));
    }
    if service.get("desiredCount").and_then(Value::as_u64) == Some(0) {
        notes.push(format!(
            "in `{here}` `{name}` has the desired count 0: a release is refused there until it is raised, or `start_count` says how many to start"
        ));
    }
    let strategy = service
        .pointer("/deploymentConfiguration/strategy")
        .and_then(Value::as_str);
    match strategy.filter(|strategy| *strategy != "ROLLING") {
        Some(strategy) => notes.push(format!(
            "in `{here}` `{name}` is deployed by the strategy `{strategy}`: a release is refused there without `accept: [breaker_off]`"
        )),
        None if !breaker(service).0 => notes.push(format!(
            "in `{here}` the circuit breaker of `{name}` is off: the first release turns it on, with rollback"
        )),
        None => {}
    }
    notes
}

/// The revision that a service runs, which [`check_everywhere`] has found to be there.
fn definition(service: &ObservedService) -> &Value {
    service.definition.as_ref().unwrap_or(&Value::Null)
}

/// Whether the circuit breaker of a service is on, and whether it rolls back.
fn breaker(service: &Value) -> (bool, bool) {
    let flag = |name: &str| {
        let pointer = format!("/deploymentConfiguration/deploymentCircuitBreaker/{name}");
        service.pointer(&pointer).and_then(Value::as_bool) == Some(true)
    };
    (flag("enable"), flag("rollback"))
}

fn token(environment: &ObservedEnvironment, by_suffix: bool) -> Token<'_> {
    Token::new(&environment.name, environment.suffix.as_deref(), by_suffix)
}

/// The repository of an image, where it is one of the registry of `home`.
fn repository(image: &str, home: &Home) -> Option<String> {
    let (registry, path) = image.split_once('/')?;
    let host = format!("{}.dkr.ecr.{}.amazonaws.com", home.account, home.region);
    let is_home = registry == host || registry.strip_suffix(".cn") == Some(&host);
    let name = path.split(['@', ':']).next().filter(|_| is_home)?;
    name.parse::<RepositoryName>().ok().map(String::from)
}

/// `family:revision`.
fn revision(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}

fn text<'v>(value: &'v Value, member: &str) -> &'v str {
    value.get(member).and_then(Value::as_str).unwrap_or_default()
}

fn texts(value: &Value, member: &str) -> Vec<String> {
    let list = value.get(member).and_then(Value::as_array).into_iter().flatten();
    list.filter_map(|item| item.as_str().map(str::to_owned)).collect()
}
