//! AWS Identity and Access Management, as far as roles are made over the API: what they may do then holds beside what
//! the template says. <https://docs.aws.amazon.com/IAM/latest/APIReference/API_Operations.html>

use std::collections::BTreeMap;

use jiff::Timestamp;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use simulator_kernel::{ApiError, Authorization, Kernel, Reply, Request, Service};
use simulator_template::Template;

use super::{Input, made, only};

/// The signing name of the service, which is the same in every Region.
pub(crate) const NAME: &str = "iam";

const OPERATIONS: [&str; 8] = [
    "CreateRole",
    "DeleteRole",
    "DeleteRolePolicy",
    "GetRole",
    "GetRolePolicy",
    "ListRolePolicies",
    "ListRoles",
    "PutRolePolicy",
];

/// A role that was made over the API.
#[derive(Debug, Clone)]
struct Made {
    path: String,
    description: Option<String>,
    /// Who may assume it.
    trust: String,
    /// Inline policies by name.
    policies: BTreeMap<String, String>,
}

/// A role that there is.
#[derive(Debug, Clone)]
struct Role {
    arn: String,
    id: String,
    created_at: Timestamp,
    /// None for a role of the template, whose policies are there.
    made: Option<Made>,
}

/// The service `iam`.
#[derive(Debug, Default)]
pub struct Iam {
    roles: BTreeMap<String, Role>,
    /// What the made roles may do, as a template says it.
    template: Template,
}

impl Iam {
    /// The roles that were made over the API, with their policies.
    pub(crate) fn template(&self) -> &Template {
        &self.template
    }

    /// Makes a role of a template known, so that nobody makes it again.
    pub(crate) fn know(&mut self, name: &str, arn: &str, kernel: &Kernel) {
        let role = Role {
            arn: arn.to_owned(),
            id: role_id(name),
            created_at: kernel.now(),
            made: None,
        };
        self.roles.insert(name.to_owned(), role);
    }

    fn list(&self, input: Input<'_>) -> Result<Value, ApiError> {
        only(NAME, "ListRoles", input, &["PathPrefix"])?;
        let prefix = input.text("PathPrefix").unwrap_or("/");
        let roles = self.roles.iter().filter(|(_, role)| role.path().starts_with(prefix));
        let roles: Vec<Value> = roles.map(|(name, role)| role.describe(name)).collect();
        Ok(json!({"Roles": roles, "IsTruncated": false}))
    }

    fn create(&mut self, input: Input<'_>, kernel: &mut Kernel) -> Result<Value, ApiError> {
        only(
            NAME,
            "CreateRole",
            input,
            &["RoleName", "AssumeRolePolicyDocument", "Path", "Description"],
        )?;
        let name = required(input, "RoleName")?;
        if self.roles.contains_key(name) {
            return Err(conflict(
                "EntityAlreadyExists",
                format!("Role with name {name} already exists."),
            ));
        }
        let path = input.text("Path").unwrap_or("/");
        if !(path.starts_with('/') && path.ends_with('/')) {
            let message = "The specified value for path is invalid. It must begin and end with / and contain only alphanumeric characters and/or / characters.";
            return Err(ApiError::client("ValidationError", message));
        }
        let role = Role {
            arn: format!("arn:aws:iam::{}:role{path}{name}", kernel.account()),
            id: role_id(name),
            created_at: kernel.now(),
            made: Some(Made {
                path: path.to_owned(),
                description: input.text("Description").map(str::to_owned),
                trust: required(input, "AssumeRolePolicyDocument")?.to_owned(),
                policies: BTreeMap::new(),
            }),
        };
        let described = role.describe(name);
        let mut roles = self.roles.clone();
        roles.insert(name.to_owned(), role);
        self.replace(roles, kernel)?;
        Ok(json!({"Role": described}))
    }

    fn role(&self, input: Input<'_>) -> Result<(&str, &Role), ApiError> {
        let name = required(input, "RoleName")?;
        let role = self.roles.get_key_value(name);
        role.map(|(name, role)| (name.as_str(), role))
            .ok_or_else(|| not_found(format!("The role with name {name} cannot be found.")))
    }

    fn policies(&self, input: Input<'_>) -> Result<&BTreeMap<String, String>, ApiError> {
        let (name, role) = self.role(input)?;
        role.made
            .as_ref()
            .map(|made| &made.policies)
            .ok_or_else(|| of_template(name))
    }

    /// Changes the policies of a role.
    fn change(
        &mut self,
        input: Input<'_>,
        kernel: &Kernel,
        change: impl FnOnce(&mut BTreeMap<String, String>) -> Result<(), ApiError>,
    ) -> Result<Value, ApiError> {
        let name = self.role(input)?.0.to_owned();
        let mut roles = self.roles.clone();
        let made = roles.get_mut(&name).and_then(|role| role.made.as_mut());
        change(&mut made.ok_or_else(|| of_template(&name))?.policies)?;
        self.replace(roles, kernel)?;
        Ok(json!({}))
    }

    /// Takes the roles over if their policies are understood.
    fn replace(&mut self, roles: BTreeMap<String, Role>, kernel: &Kernel) -> Result<(), ApiError> {
        let made = roles
            .iter()
            .filter_map(|(name, role)| Some((name, role.made.as_ref()?)));
        let resources = made
            .enumerate()
            .map(|(index, (name, made))| Ok((format!("Role{index}"), made.resource(name)?)))
            .collect::<Result<Map<String, Value>, ApiError>>()?;
        self.template = made::template(&resources, kernel).map_err(|error| malformed(error.to_string()))?;
        self.roles = roles;
        Ok(())
    }

    fn operate(&mut self, request: &Request, kernel: &mut Kernel) -> Result<Value, ApiError> {
        let input = Input(&request.input);
        match request.operation.as_str() {
            "CreateRole" => self.create(input, kernel),
            "GetRole" => {
                let (name, role) = self.role(input)?;
                Ok(json!({"Role": role.describe(name)}))
            }
            "ListRoles" => self.list(input),
            "DeleteRole" => {
                if !self.policies(input)?.is_empty() {
                    let message = "Cannot delete entity, must delete policies first.";
                    return Err(conflict("DeleteConflict", message.to_owned()));
                }
                let mut roles = self.roles.clone();
                roles.remove(required(input, "RoleName")?);
                self.replace(roles, kernel)?;
                Ok(json!({}))
            }
            "PutRolePolicy" => {
                let name = required(input, "PolicyName")?.to_owned();
                let document = required(input, "PolicyDocument")?.to_owned();
                self.change(input, kernel, |policies| {
                    policies.insert(name, document);
                    Ok(())
                })
            }
            "DeleteRolePolicy" => {
                let name = required(input, "PolicyName")?;
                self.change(input, kernel, |policies| {
                    policies.remove(name).map(|_| ()).ok_or_else(|| no_policy(name))
                })
            }
            "GetRolePolicy" => {
                let name = required(input, "PolicyName")?;
                let document = self.policies(input)?.get(name).ok_or_else(|| no_policy(name))?;
                let role = required(input, "RoleName")?;
                Ok(json!({"RoleName": role, "PolicyName": name, "PolicyDocument": encoded(document)}))
            }
            "ListRolePolicies" => {
                let names: Vec<&String> = self.policies(input)?.keys().collect();
                Ok(json!({"PolicyNames": names, "IsTruncated": false}))
            }
            other => Err(ApiError::unknown_operation(NAME, other, &OPERATIONS)),
        }
    }
}

impl Role {
    fn path(&self) -> &str {
        self.made.as_ref().map_or("/", |made| &made.path)
    }

    fn describe(&self, name: &str) -> Value {
        let made = self.made.as_ref();
        json!({
            "Path": self.path(),
            "RoleName": name,
            "RoleId": self.id,
            "Arn": self.arn,
            "CreateDate": self.created_at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            "Description": made.and_then(|made| made.description.as_deref()),
            "AssumeRolePolicyDocument": made.map(|made| encoded(&made.trust)),
        })
    }
}

impl Made {
    /// The role as a resource of a template.
    fn resource(&self, name: &str) -> Result<Value, ApiError> {
        let document = |text: &str| -> Result<Value, ApiError> {
            serde_json::from_str(text).map_err(|error| malformed(format!("Syntax errors in policy: {error}")))
        };
        let policies = self
            .policies
            .iter()
            .map(|(name, text)| Ok(json!({"PolicyName": name, "PolicyDocument": document(text)?})));
        Ok(json!({
            "Type": "AWS::IAM::Role",
            "Properties": {
                "RoleName": name,
                "Path": self.path,
                "AssumeRolePolicyDocument": document(&self.trust)?,
                "Policies": policies.collect::<Result<Vec<_>, ApiError>>()?,
            },
        }))
    }
}

impl Service for Iam {
    fn name(&self) -> &'static str {
        NAME
    }

    fn authorizations(&self, request: &Request, kernel: &Kernel) -> Vec<Authorization> {
        let operation = request.operation.as_str();
        if !OPERATIONS.contains(&operation) {
            return Vec::new();
        }
        let role = Input(&request.input).text("RoleName");
        let resource = role.map_or_else(
            || "*".to_owned(),
            |role| format!("arn:aws:iam::{}:role/{role}", kernel.account()),
        );
        vec![Authorization::new(format!("iam:{operation}"), resource)]
    }

    fn call(&mut self, request: &Request, kernel: &mut Kernel) -> Reply {
        Reply::Now(self.operate(request, kernel))
    }
}

/// Policies travel percent-encoded.
fn encoded(document: &str) -> String {
    utf8_percent_encode(document, NON_ALPHANUMERIC).to_string()
}

fn role_id(name: &str) -> String {
    let hash: String = hex::encode_upper(Sha256::digest(name.as_bytes()))
        .chars()
        .take(17)
        .collect();
    format!("AROA{hash}")
}

fn required<'i>(input: Input<'i>, member: &str) -> Result<&'i str, ApiError> {
    input
        .text(member)
        .ok_or_else(|| ApiError::client("ValidationError", format!("The parameter `{member}` is missing")))
}

fn malformed(message: String) -> ApiError {
    ApiError::client("MalformedPolicyDocument", message)
}

fn conflict(code: &str, message: String) -> ApiError {
    ApiError {
        status: 409,
        ..ApiError::client(code, message)
    }
}

fn not_found(message: String) -> ApiError {
    ApiError {
        status: 404,
        ..ApiError::client("NoSuchEntity", message)
    }
}

fn no_policy(name: &str) -> ApiError {
    not_found(format!("The role policy with name {name} cannot be found."))
}

fn of_template(name: &str) -> ApiError {
    ApiError::unsupported(format_args!("other policies of `{name}` than those of its template"))
}
