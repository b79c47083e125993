//! Who may do what: the administrator of an account everything in it, a role what the policies of its account's
//! templates say, a service what the policies of resources say. Between accounts both sides must allow it.

use std::collections::BTreeMap;

use simulator_kernel::{ApiError, Authorization, Kernel, Place, Principal};
use simulator_template::{Decision, Template};

/// The permissions of the loaded templates. Without one, only the administrators may do anything.
#[derive(Debug, Default)]
pub(crate) struct Access {
    templates: BTreeMap<Place, Template>,
    /// The policies that came over the API, by the service that keeps them.
    made: BTreeMap<Place, BTreeMap<&'static str, Template>>,
}

impl Access {
    pub(crate) fn set_template(&mut self, place: Place, template: Template) {
        self.templates.insert(place, template);
    }

    /// Learns the policies that a service keeps.
    pub(crate) fn set_made(&mut self, place: &Place, service: &'static str, policies: &Template) {
        let known = self.made.get(place).and_then(|made| made.get(service));
        if known.is_some_and(|known| known == policies) || known.is_none() && *policies == Template::default() {
            return;
        }
        self.made
            .entry(place.clone())
            .or_default()
            .insert(service, policies.clone());
    }

    pub(crate) fn template(&self, place: &Place) -> Option<&Template> {
        self.templates.get(place)
    }

    /// Checks every permission that a call needs where the kernel stands. The first one missing is named, with the
    /// error that the caller gets.
    pub(crate) fn check(
        &self,
        principal: &Principal,
        needed: &[Authorization],
        kernel: &Kernel,
    ) -> Result<(), (String, ApiError)> {
        needed
            .iter()
            .try_for_each(|authorization| match self.refusal(principal, authorization, kernel) {
                None => Ok(()),
                Some(reason) => {
                    let is_query = authorization.action.starts_with("sts:");
                    let code = if is_query {
                        "AccessDenied"
                    } else {
                        "AccessDeniedException"
                    };
                    Err((authorization.action.clone(), ApiError::client(code, reason)))
                }
            })
    }

    /// Why a request is refused, if it is.
    fn refusal(&self, principal: &Principal, authorization: &Authorization, kernel: &Kernel) -> Option<String> {
        let Authorization {
            action,
            resource,
            conditions,
        } = authorization;
        let decide = |decision: Decision| decision.reason().map(str::to_owned);
        let here = kernel.here();
        let account = kernel.account_of(principal);
        let unknown = |name: &str| {
            Some(format!(
                "`{name}` is not authorized to perform: {action} on resource: {resource} because no template is loaded whose policies could allow it"
            ))
        };
        match principal {
            Principal::Administrator | Principal::AdministratorOf(_) if account == here.account => None,
            Principal::Administrator | Principal::AdministratorOf(_) => unknown("administrator"),
            Principal::Service(service) => {
                let made = self.made.get(here.as_ref()).into_iter().flat_map(BTreeMap::values);
                let mut refusal = None;
                for template in self.template(here).into_iter().chain(made) {
                    let reason = decide(template.allows_service(service, action, resource, conditions))?;
                    refusal.get_or_insert(reason);
                }
                refusal.or_else(|| unknown(service))
            }
            Principal::Role(role) | Principal::RoleOf { role, .. } => {
                let Some((place, template)) = self.of_role(account, role) else {
                    return unknown(role);
                };
                if action == "sts:AssumeRole" {
                    let by_identity = || decide(template.allows_by_identity(role, action, resource, conditions));
                    let trusts = self.trusts(resource, &template.arn_of_role(role), account, conditions);
                    return trusts.map_or_else(by_identity, Some);
                }
                if account == here.account {
                    // Resource policies are those of its own template: between two Regions of an account the role's
                    // policies decide.
                    return decide(template.allows(role, action, resource, conditions)).filter(|_| {
                        place == here.as_ref() || !self.allows_guest(here, template, role, account, authorization)
                    });
                }
                decide(template.allows_by_identity(role, action, resource, conditions)).or_else(|| {
                    let is_allowed = self.allows_guest(here, template, role, account, authorization);
                    (!is_allowed).then(|| {
                        format!(
                            "User: {} is not authorized to perform: {action} on resource: {resource} because no resource-based policy allows the {action} action",
                            template.arn_of_role(role)
                        )
                    })
                })
            }
        }
    }

    /// Whether the policy of a resource lets a role of elsewhere in.
    fn allows_guest(
        &self,
        here: &Place,
        of_role: &Template,
        role: &str,
        account: &str,
        authorization: &Authorization,
    ) -> bool {
        let Authorization {
            action,
            resource,
            conditions,
        } = authorization;
        let arn = of_role.arn_of_role(role);
        self.template(here).is_some_and(|template| {
            template
                .allows_guest(&arn, account, action, resource, conditions)
                .is_allowed()
        })
    }

    /// Why the role that an ARN names does not let somebody assume it, if it does not.
    fn trusts(
        &self,
        role_arn: &str,
        caller: &str,
        account: &str,
        conditions: &simulator_template::Conditions,
    ) -> Option<String> {
        let named = role_arn.split(':').nth(4).zip(role_arn.rsplit('/').next());
        let found = named.and_then(|(account, name)| self.of_role(account, name).map(|(_, template)| (template, name)));
        let trusts = found.is_some_and(|(template, name)| {
            template.arn_of_role(name) == role_arn
                && template.trusts_role(name, caller, account, conditions).is_allowed()
        });
        // AWS says no more: whether the role does not exist or does not trust is not for everybody to know.
        (!trusts).then(|| {
            let caller = caller.rsplit('/').next().unwrap_or(caller);
            format!("User: arn:aws:sts::{account}:assumed-role/{caller}/{caller} is not authorized to perform: sts:AssumeRole on resource: {role_arn}")
        })
    }

    /// The template of an account that has a role, else any of the account.
    fn of_role(&self, account: &str, role: &str) -> Option<(&Place, &Template)> {
        let of_account = || self.templates.iter().filter(|(place, _)| place.account == account);
        let made = self.made.iter().filter(|(place, _)| place.account == account);
        let made = made.flat_map(|(place, made)| made.values().map(move |template| (place, template)));
        of_account()
            .chain(made)
            .find(|(_, template)| template.roles.values().any(|known| known.name == role))
            .or_else(|| of_account().next())
    }
}
