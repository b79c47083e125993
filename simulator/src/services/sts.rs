//! AWS Security Token Service: who am I.

use std::any::Any;

use serde_json::{Value, json};
use simulator_kernel::{ApiError, Authorization, CallId, Kernel, Reply, Request, Service, TimerId};

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

    fn wake(&mut self, _: TimerId, _: &mut Kernel) {}

    fn replied(&mut self, _: CallId, _: Result<Value, ApiError>, _: &mut Kernel) {}

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}
