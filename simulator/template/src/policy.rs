//! IAM policies: what they say, and what that allows.
//!
//! Follows "Policy evaluation logic" of the IAM user guide for one account without boundaries and organisation
//! policies: an explicit deny of any policy wins; else one allow of a policy of the identity or of the resource is
//! enough; else the answer is no.

mod condition;
mod statement;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use wildmatch::WildMatch;

pub(crate) use statement::{Document, Holder, Service, through_permission};

/// Condition keys of a request with their values.
pub type Conditions = BTreeMap<String, Vec<String>>;

/// What the policies say to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// A statement allows it and none denies it.
    Allowed {
        /// The place of the statement in the template.
        by: String,
    },
    /// No statement allows it.
    ImplicitDeny {
        /// The message of the `AccessDenied` error.
        reason: String,
    },
    /// A statement denies it.
    ExplicitDeny {
        /// The message of the `AccessDenied` error.
        reason: String,
        /// The place of the statement in the template.
        by: String,
    },
}

impl Decision {
    /// Whether the request may go on.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        matches!(self, Self::Allowed { .. })
    }

    /// The message of the `AccessDenied` error; `None` when the request is allowed.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Allowed { .. } => None,
            Self::ImplicitDeny { reason } | Self::ExplicitDeny { reason, .. } => Some(reason),
        }
    }
}

/// One action pattern on one resource pattern that a role is allowed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Grant {
    /// Such as `dynamodb:Get*`. `*` for a statement that says `NotAction`.
    pub action: String,
    /// Such as the ARN of a table. `*` for a statement that says `NotResource`.
    pub resource: String,
    /// The place of the statement in the template.
    pub by: String,
}

impl Grant {
    /// Whether this action on this resource falls under the grant.
    #[must_use]
    pub fn covers(&self, action: &str, resource: &str) -> bool {
        WildMatch::new_case_insensitive(&self.action).matches(action)
            && WildMatch::new(&self.resource).matches(resource)
    }
}

/// Who asks, as policies see it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Caller<'a> {
    Role {
        name: &'a str,
        arn: &'a str,
        account: &'a str,
    },
    Service(&'a str),
}

/// One question to the policies.
#[derive(Debug)]
pub(crate) struct Question<'a> {
    pub(crate) caller: Caller<'a>,
    pub(crate) action: &'a str,
    pub(crate) resource: &'a str,
    /// The condition keys of the request, in lower case, those of the caller among them.
    conditions: Conditions,
}

impl<'a> Question<'a> {
    pub(crate) fn new(caller: Caller<'a>, action: &'a str, resource: &'a str, conditions: &Conditions) -> Self {
        let mut conditions: Conditions = conditions
            .iter()
            .map(|(key, values)| (key.to_ascii_lowercase(), values.clone()))
            .collect();
        match caller {
            Caller::Role { arn, account, .. } => {
                conditions.insert("aws:principalarn".to_owned(), vec![arn.to_owned()]);
                conditions.insert("aws:principalaccount".to_owned(), vec![account.to_owned()]);
                conditions.insert("aws:principalisawsservice".to_owned(), vec!["false".to_owned()]);
            }
            Caller::Service(name) => {
                conditions.insert("aws:principalservicename".to_owned(), vec![name.to_owned()]);
                conditions.insert("aws:principalisawsservice".to_owned(), vec!["true".to_owned()]);
            }
        }
        Self {
            caller,
            action,
            resource,
            conditions,
        }
    }

    /// Asks the policies of the identity and those of the resource.
    pub(crate) fn decide(&self, identity: &[Document], resource: &[Document]) -> Decision {
        for (documents, kind) in [
            (identity, "an identity-based policy"),
            (resource, "a resource-based policy"),
        ] {
            if let Some(by) = self.statement(documents, statement::Effect::Deny) {
                return Decision::ExplicitDeny {
                    reason: self.refusal(&format!("with an explicit deny in {kind}")),
                    by,
                };
            }
        }
        let allowed = [identity, resource]
            .into_iter()
            .find_map(|documents| self.statement(documents, statement::Effect::Allow));
        match allowed {
            Some(by) => Decision::Allowed { by },
            None => {
                let kind = match self.caller {
                    Caller::Role { .. } => "identity-based",
                    Caller::Service(_) => "resource-based",
                };
                let missing = format!("because no {kind} policy allows the {} action", self.action);
                Decision::ImplicitDeny {
                    reason: self.refusal(&missing),
                }
            }
        }
    }

    fn statement(&self, documents: &[Document], effect: statement::Effect) -> Option<String> {
        documents
            .iter()
            .flat_map(|document| &document.statements)
            .find(|statement| statement.effect == effect && statement.covers(self))
            .map(|statement| statement.origin.clone())
    }

    fn refusal(&self, because: &str) -> String {
        let who = match self.caller {
            Caller::Role { name, account, .. } => format!("arn:aws:sts::{account}:assumed-role/{name}/{name}"),
            Caller::Service(name) => name.to_owned(),
        };
        format!(
            "User: {who} is not authorized to perform: {} on resource: {} {because}",
            self.action, self.resource
        )
    }
}
