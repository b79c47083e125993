//! Another account or Region beside the one that the deployer is installed in, connected to it as an operator does.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use simulator::kernel::Place;
use simulator::{TemplateSettings, World};

use crate::deployer::{DEPLOYER, InstallError, read_template, repository};
use crate::example::Example;

/// The external id that both sides know.
pub const EXTERNAL_ID: &str = "esclusa-and-this-account";

/// Another account, in another Region.
#[must_use]
pub fn account() -> Place {
    Place::new("210987654321", "eu-west-1")
}

/// Another Region of the account that a world begins with.
#[must_use]
pub fn region() -> Place {
    Place::new(&simulator::Settings::default().account, "eu-west-1")
}

/// Opens a place, empty.
///
/// # Errors
/// When it cannot be opened.
pub fn open(world: &mut World, place: &Place) -> Result<(), InstallError> {
    world.add_place(place).map_err(|error| refused(&error))
}

/// Deploys `target-account.yaml` in a place with this external id, or updates what is there.
///
/// # Errors
/// When the template is wrong, or the account refuses a resource.
pub fn connect(world: &mut World, place: &Place, external_id: &str) -> Result<(), InstallError> {
    let home = world.home().clone();
    let parameters = [
        ("HomeAccount", home.account.as_str()),
        ("HomeRegion", &home.region),
        ("HomeStack", DEPLOYER),
        ("ExternalId", external_id),
        ("RegionPattern", &place.region),
        ("RepositoryPattern", "*"),
        ("ClusterPattern", "*"),
        ("FamilyPattern", "*"),
        ("PassableRoleArns", &format!("arn:aws:iam::{}:role/*", place.account)),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let settings = TemplateSettings {
        account: place.account.clone(),
        region: place.region.clone(),
        stack: format!("{DEPLOYER}-target"),
        parameters: BTreeMap::from(parameters),
    };
    let template = read_template("target-account.yaml", &settings)?;
    world
        .at(place, |world| world.load(template, repository()))
        .map_err(|error| refused(&error))
}

/// Creates there what the infrastructure code of an example creates, and lets the account pull from the repositories of
/// home.
///
/// # Errors
/// When a service refuses something.
pub fn provide(world: &mut World, place: &Place, example: &Example) -> Result<(), InstallError> {
    let home = world.home().clone();
    let statement = json!({
        "Effect": "Allow",
        "Principal": {"AWS": place.account},
        "Action": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
    });
    let policy = json!({"Statement": [statement]}).to_string();
    for image in example.pipeline.images.values() {
        let input = json!({"repositoryName": image.repository, "policyText": policy});
        world
            .administer("ecr", "SetRepositoryPolicy", input)
            .map_err(|error| refused(&error))?;
    }
    let moved = example.moved(&|text| {
        // Images stay in the registry of home.
        if text.contains(".dkr.ecr.") {
            return text.to_owned();
        }
        text.replace(&home.account, &place.account)
            .replace(&home.region, &place.region)
    });
    world.at(place, |world| moved.provide(world))
}

/// Lets everything that is pushed at home from now on be copied there.
///
/// # Errors
/// When a registry refuses.
pub fn replicate(world: &mut World, place: &Place) -> Result<(), InstallError> {
    let home = world.home().clone();
    let destination = json!({"registryId": place.account, "region": place.region});
    let rules = json!({"replicationConfiguration": {"rules": [{"destinations": [destination]}]}});
    let statement = json!({
        "Effect": "Allow",
        "Principal": {"AWS": format!("arn:aws:iam::{}:root", home.account)},
        "Action": ["ecr:CreateRepository", "ecr:ReplicateImage"],
        "Resource": "*",
    });
    let policy = json!({"policyText": json!({"Statement": [statement]}).to_string()});
    let done: Result<Value, _> = world.administer("ecr", "PutReplicationConfiguration", rules);
    done.and_then(|_| world.at(place, |world| world.administer("ecr", "PutRegistryPolicy", policy)))
        .map(|_| ())
        .map_err(|error| refused(&error))
}

fn refused(error: &dyn std::fmt::Display) -> InstallError {
    InstallError::Account(error.to_string())
}
