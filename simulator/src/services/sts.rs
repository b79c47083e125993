//! AWS Security Token Service: who am I, and whose role may I take.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use simulator_kernel::{ApiError, Authorization, Kernel, Reply, Request, Service, Session};

use super::Input;
use crate::identity::{self, SECRET_ACCESS_KEY};

/// What a role may ask for that is itself assumed, in seconds.
const LONGEST_SESSION: i64 = 3_600;

/// The parameters of `AssumeRole` that are understood.
const PARAMETERS: [&str; 4] = ["RoleArn", "RoleSessionName", "ExternalId", "DurationSeconds"];

/// The service `sts`.
#[derive(Debug, Default, Clone, Copy)]
pub struct Sts;

impl Sts {
    fn assume_role(request: &Request, kernel: &mut Kernel) -> Result<Value, ApiError> {
        let members = request.input.as_object().into_iter().flatten();
        if let Some((other, _)) = members
            .into_iter()
            .find(|(name, _)| !PARAMETERS.contains(&name.as_str()))
        {
            return Err(ApiError::unsupported(format_args!(
                "the parameter `{other}` of `AssumeRole`"
            )));
        }
        let invalid = |message: String| ApiError::client("ValidationError", message);
        let input = Input(&request.input);
        let text = |member: &str| input.text(member).unwrap_or_default().to_owned();
        let (arn, session) = (text("RoleArn"), text("RoleSessionName"));
        let Some((account, role)) = arn
            .split(':')
            .nth(4)
            .zip(arn.split_once(":role/").map(|(_, name)| name))
        else {
            return Err(invalid(format!("{arn} is invalid")));
        };
        let is_named = |letter: char| letter.is_ascii_alphanumeric() || "_+=,.@-".contains(letter);
        if !(2..=64).contains(&session.len()) || !session.chars().all(is_named) {
            return Err(invalid(format!(
                "1 validation error detected: Value '{session}' at 'roleSessionName' failed to satisfy constraint"
            )));
        }
        let seconds = match input.text("DurationSeconds") {
            None => LONGEST_SESSION,
            Some(seconds) => seconds
                .parse()
                .ok()
                .filter(|seconds| (900..=LONGEST_SESSION).contains(seconds))
                .ok_or_else(|| {
                    invalid("The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining".to_owned())
                })?,
        };
        let expires_at = kernel
            .now()
            .saturating_add(SignedDuration::from_secs(seconds))
            .unwrap_or(Timestamp::MAX);
        let access_key_id = format!("ASIA{}", kernel.hex_id(16).to_ascii_uppercase());
        let name = role.rsplit('/').next().unwrap_or(role);
        kernel.open_session(Session {
            access_key_id: access_key_id.clone(),
            principal: kernel.role(account, name),
            asked_with: request.access_key_id.clone(),
            expires_at,
        });
        let user = access_key_id.replacen("ASIA", "AROA", 1);
        Ok(json!({
            "Credentials": {
                "AccessKeyId": access_key_id,
                "SecretAccessKey": SECRET_ACCESS_KEY,
                "SessionToken": kernel.hex_id(32),
                "Expiration": expires_at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            },
            "AssumedRoleUser": {
                "AssumedRoleId": format!("{user}:{session}"),
                "Arn": format!("arn:aws:sts::{account}:assumed-role/{name}/{session}"),
            },
        }))
    }
}

impl Service for Sts {
    fn name(&self) -> &'static str {
        "sts"
    }

    /// `GetCallerIdentity` needs no permission, and none can deny it.
    fn authorizations(&self, request: &Request, _: &Kernel) -> Vec<Authorization> {
        if request.operation != "AssumeRole" {
            return Vec::new();
        }
        let input = Input(&request.input);
        let wanted = Authorization::new("sts:AssumeRole", input.text("RoleArn").unwrap_or_default());
        let wanted = match input.text("ExternalId") {
            Some(id) => wanted.with("sts:ExternalId", id),
            None => wanted,
        };
        vec![wanted.with("sts:RoleSessionName", input.text("RoleSessionName").unwrap_or_default())]
    }

    fn call(&mut self, request: &Request, kernel: &mut Kernel) -> Reply {
        Reply::Now(match request.operation.as_str() {
            "AssumeRole" => Self::assume_role(request, kernel),
            "GetCallerIdentity" => {
                let (arn, user) = identity::caller(&request.principal, kernel);
                Ok(json!({"Arn": arn, "UserId": user, "Account": kernel.account()}))
            }
            other => Err(ApiError::unknown_operation(
                "sts",
                other,
                &["AssumeRole", "GetCallerIdentity"],
            )),
        })
    }
}
