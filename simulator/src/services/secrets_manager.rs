//! AWS Secrets Manager, as far as secrets are read by functions.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use simulator_kernel::{ApiError, Authorization, Kernel, Reply, Request, Service};

use super::{Input, epoch_seconds, only, page};

/// The name of the service.
const NAME: &str = "secretsmanager";

/// What it knows.
const OPERATIONS: [&str; 6] = [
    "CreateSecret",
    "DeleteSecret",
    "DescribeSecret",
    "GetSecretValue",
    "ListSecrets",
    "PutSecretValue",
];

#[derive(Debug, Clone)]
struct Secret {
    arn: String,
    value: String,
    version: String,
    created: jiff::Timestamp,
}

/// The service `secretsmanager`.
#[derive(Debug, Default)]
pub struct SecretsManager {
    /// By name.
    secrets: BTreeMap<String, Secret>,
}

impl SecretsManager {
    /// A secret by its name or its ARN.
    fn find(&self, id: &str) -> Option<(&str, &Secret)> {
        let named = |(name, secret): &(&String, &Secret)| *name == id || secret.arn == id;
        self.secrets
            .iter()
            .find(named)
            .map(|(name, secret)| (name.as_str(), secret))
    }

    fn create(&mut self, input: Input<'_>, kernel: &mut Kernel) -> Result<Value, ApiError> {
        let (name, value) = (input.required("Name")?, input.required("SecretString")?);
        if self.secrets.contains_key(name) {
            let message = format!("The operation failed because the secret {name} already exists.");
            return Err(ApiError::client("ResourceExistsException", message));
        }
        // Secrets Manager puts six characters behind the name, so that an ARN is never that of an earlier secret.
        let suffix = kernel.hex_id(6);
        let arn = kernel.arn(NAME, &format!("secret:{name}-{suffix}"));
        let secret = Secret {
            arn: arn.clone(),
            value: value.to_owned(),
            version: kernel.uuid(),
            created: kernel.now(),
        };
        let answer = json!({"ARN": arn, "Name": name, "VersionId": secret.version});
        self.secrets.insert(name.to_owned(), secret);
        Ok(answer)
    }

    fn put(&mut self, input: Input<'_>, kernel: &mut Kernel) -> Result<Value, ApiError> {
        let (id, value) = (input.required("SecretId")?, input.required("SecretString")?);
        let name = self.find(id).map(|(name, _)| name.to_owned()).ok_or_else(not_found)?;
        let secret = self.secrets.get_mut(&name).ok_or_else(not_found)?;
        value.clone_into(&mut secret.value);
        secret.version = kernel.uuid();
        secret.created = kernel.now();
        Ok(json!({"ARN": secret.arn, "Name": name, "VersionId": secret.version, "VersionStages": ["AWSCURRENT"]}))
    }

    fn delete(&mut self, input: Input<'_>, kernel: &Kernel) -> Result<Value, ApiError> {
        if !input.flag("ForceDeleteWithoutRecovery") {
            return Err(ApiError::unsupported(
                "secrets that wait to be deleted; use `ForceDeleteWithoutRecovery`",
            ));
        }
        let found = self.find(input.required("SecretId")?);
        let (name, arn) = found
            .map(|(name, secret)| (name.to_owned(), secret.arn.clone()))
            .ok_or_else(not_found)?;
        self.secrets.remove(&name);
        Ok(json!({"ARN": arn, "Name": name, "DeletionDate": epoch_seconds(kernel.now())}))
    }

    fn list(&self, input: Input<'_>) -> Result<Value, ApiError> {
        only(NAME, "ListSecrets", input, &["NextToken", "MaxResults"])?;
        let all = self
            .secrets
            .iter()
            .map(|(name, secret)| secret.describe(name))
            .collect();
        let (page, next) = page::<Value>(all, input.text("NextToken"), input.count("MaxResults").unwrap_or(100))?;
        Ok(json!({"SecretList": page, "NextToken": next}))
    }

    fn get(&self, input: Input<'_>) -> Result<Value, ApiError> {
        for member in ["VersionId", "VersionStage"] {
            if input.text(member).is_some() {
                return Err(ApiError::unsupported(format_args!("`{member}` of `GetSecretValue`")));
            }
        }
        let (name, secret) = self.find(input.required("SecretId")?).ok_or_else(not_found)?;
        Ok(json!({
            "ARN": secret.arn,
            "Name": name,
            "VersionId": secret.version,
            "SecretString": secret.value,
            "VersionStages": ["AWSCURRENT"],
            "CreatedDate": epoch_seconds(secret.created),
        }))
    }
}

impl Secret {
    /// Everything but the secret.
    fn describe(&self, name: &str) -> Value {
        json!({
            "ARN": self.arn,
            "Name": name,
            "CreatedDate": epoch_seconds(self.created),
            "LastChangedDate": epoch_seconds(self.created),
            "VersionIdsToStages": {self.version.as_str(): ["AWSCURRENT"]},
        })
    }
}

fn not_found() -> ApiError {
    let message = "Secrets Manager can't find the specified secret.";
    ApiError::client("ResourceNotFoundException", message)
}

impl Service for SecretsManager {
    fn name(&self) -> &'static str {
        NAME
    }

    fn authorizations(&self, request: &Request, kernel: &Kernel) -> Vec<Authorization> {
        if !OPERATIONS.contains(&request.operation.as_str()) {
            return Vec::new();
        }
        let input = Input(&request.input);
        let id = input
            .text("SecretId")
            .or_else(|| input.text("Name"))
            .unwrap_or_default();
        if request.operation == "ListSecrets" {
            return vec![Authorization::new("secretsmanager:ListSecrets", "*")];
        }
        let arn = match self.find(id) {
            Some((_, secret)) => secret.arn.clone(),
            None if id.starts_with("arn:") => id.to_owned(),
            None => kernel.arn(NAME, &format!("secret:{id}-??????")),
        };
        vec![Authorization::new(format!("secretsmanager:{}", request.operation), arn)]
    }

    fn call(&mut self, request: &Request, kernel: &mut Kernel) -> Reply {
        let input = Input(&request.input);
        Reply::Now(match request.operation.as_str() {
            "CreateSecret" => self.create(input, kernel),
            "PutSecretValue" => self.put(input, kernel),
            "GetSecretValue" => self.get(input),
            "DeleteSecret" => self.delete(input, kernel),
            "ListSecrets" => self.list(input),
            "DescribeSecret" => input.required("SecretId").and_then(|id| {
                let (name, secret) = self.find(id).ok_or_else(not_found)?;
                Ok(secret.describe(name))
            }),
            other => Err(ApiError::unknown_operation(NAME, other, &OPERATIONS)),
        })
    }
}
