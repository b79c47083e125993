//! AWS Security Token Service: who am I.

use serde_json::json;
use simulator_kernel::{Authorization, Kernel, Reply, Request, Service};

use super::unknown;
use crate::identity;

/// The service `sts`.
#[derive(Debug, Default, Clone, Copy)]
pub struct Sts;

impl Service for Sts {
    fn name(&self) -> &'static str {
        "sts"
    }

    /// `GetCallerIdentity` needs no permission, and none can deny it.
    fn authorizations(&self, _: &Request, _: &Kernel) -> Vec<Authorization> {
        Vec::new()
    }

    fn call(&mut self, request: &Request, kernel: &mut Kernel) -> Reply {
        Reply::Now(match request.operation.as_str() {
            "GetCallerIdentity" => {
                let (arn, user) = identity::caller(&request.principal, kernel);
                Ok(json!({"Arn": arn, "UserId": user, "Account": kernel.account()}))
            }
            other => Err(unknown("sts", other, &["GetCallerIdentity"])),
        })
    }
}
