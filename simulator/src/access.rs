//! Who may do what: the administrator everything, a role what the template's policies say, a service what the policies of resources say.

use simulator_kernel::{ApiError, Authorization, Principal};
use simulator_template::{Decision, Template};

/// The permissions of the loaded template. Without one, only the administrator may do anything.
#[derive(Debug, Default)]
pub(crate) struct Access {
    template: Option<Template>,
}

impl Access {
    pub(crate) fn set_template(&mut self, template: Template) {
        self.template = Some(template);
    }

    pub(crate) fn template(&self) -> Option<&Template> {
        self.template.as_ref()
    }

    /// Checks every permission that a call needs. The first one missing is named, with the error that the caller gets.
    pub(crate) fn check(&self, principal: &Principal, needed: &[Authorization]) -> Result<(), (String, ApiError)> {
        needed
            .iter()
            .try_for_each(|authorization| match self.refusal(principal, authorization) {
                None => Ok(()),
                Some(reason) => Err((
                    authorization.action.clone(),
                    ApiError::client("AccessDeniedException", reason),
                )),
            })
    }

    /// Why a request is refused, if it is.
    fn refusal(&self, principal: &Principal, authorization: &Authorization) -> Option<String> {
        let Authorization {
            action,
            resource,
            conditions,
        } = authorization;
        let decide = |decision: Decision| decision.reason().map(str::to_owned);
        match (principal, &self.template) {
            (Principal::Administrator, _) => None,
            (Principal::Role(role), Some(template)) => decide(template.allows(role, action, resource, conditions)),
            (Principal::Service(service), Some(template)) => {
                decide(template.allows_service(service, action, resource, conditions))
            }
            (Principal::Role(name) | Principal::Service(name), None) => Some(format!(
                "`{name}` is not authorized to perform: {action} on resource: {resource} because no template is loaded whose policies could allow it"
            )),
        }
    }
}
