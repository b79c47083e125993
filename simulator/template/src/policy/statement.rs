//! Policy documents and their statements.

use wildmatch::WildMatch;

use super::condition::{self, Condition};
use super::{Caller, Grant, Question};
use crate::error::TemplateError;
use crate::fields::{Fields, Item};

/// A policy document.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Document {
    pub(crate) statements: Vec<Statement>,
}

/// What a policy hangs on: it decides which elements a statement must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holder {
    /// A role: no `Principal`.
    Identity,
    /// A queue or table: `Principal` and `Resource`.
    Resource,
    /// The trust policy of a role: `Principal`, and the role is the resource.
    Trust,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    Allow,
    Deny,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Statement {
    pub(crate) effect: Effect,
    /// Where it stands in the template.
    pub(crate) origin: String,
    principals: Option<Vec<Principal>>,
    actions: Patterns,
    resources: Patterns,
    conditions: Vec<Condition>,
}

#[derive(Debug, Clone, PartialEq)]
enum Principal {
    Everyone,
    /// An account id, or the ARN of its root or of a role.
    Aws(String),
    Service(String),
}

/// `Action` or `NotAction`, `Resource` or `NotResource`.
#[derive(Debug, Clone, PartialEq)]
struct Patterns {
    patterns: Vec<String>,
    /// The patterns, ready to be matched: every call asks every statement of its role.
    matchers: Vec<WildMatch>,
    /// Whether everything else is meant.
    inverted: bool,
}

impl Patterns {
    /// Actions know no case.
    fn of_actions(patterns: Vec<String>, inverted: bool) -> Self {
        Self::new(patterns, inverted, WildMatch::new_case_insensitive)
    }

    fn of_resources(patterns: Vec<String>, inverted: bool) -> Self {
        Self::new(patterns, inverted, WildMatch::new)
    }

    fn new(patterns: Vec<String>, inverted: bool, matcher: impl Fn(&str) -> WildMatch) -> Self {
        let matchers = patterns.iter().map(|pattern| matcher(pattern)).collect();
        Self {
            patterns,
            matchers,
            inverted,
        }
    }

    fn matches(&self, text: &str) -> bool {
        self.matchers.iter().any(|wanted| wanted.matches(text)) != self.inverted
    }

    /// The patterns, or the one that covers everything where they are exceptions.
    fn upper_bound(&self) -> Vec<String> {
        if self.inverted {
            vec!["*".to_owned()]
        } else {
            self.patterns.clone()
        }
    }
}

impl Document {
    pub(crate) fn read(item: Item, holder: Holder) -> Result<Self, TemplateError> {
        let mut fields = item.fields()?;
        match fields.optional_text("Version")?.as_deref() {
            None | Some("2012-10-17") => {}
            Some(version) => return Err(fields.error(format!("the policy version `{version}` is not supported"))),
        }
        fields.optional_text("Id")?;
        let statements = fields.required("Statement")?;
        let statements = if statements.is_list() {
            statements.list()?
        } else {
            vec![statements]
        };
        let statements = statements
            .into_iter()
            .map(|statement| Statement::read(statement, holder))
            .collect::<Result<_, _>>()?;
        fields.finish()?;
        Ok(Self { statements })
    }

    /// A document with one statement.
    pub(crate) fn of_statement(statement: Item, holder: Holder) -> Result<Self, TemplateError> {
        let statement = Statement::read(statement, holder)?;
        Ok(Self {
            statements: vec![statement],
        })
    }

    /// A document that allows actions on everything, such as an AWS managed policy.
    pub(crate) fn allowing(origin: &str, actions: &[&str]) -> Self {
        let actions = actions.iter().map(|action| (*action).to_owned()).collect();
        let statement = Statement {
            effect: Effect::Allow,
            origin: origin.to_owned(),
            principals: None,
            actions: Patterns::of_actions(actions, false),
            resources: Patterns::of_resources(vec!["*".to_owned()], false),
            conditions: Vec::new(),
        };
        Self {
            statements: vec![statement],
        }
    }

    pub(crate) fn grants(&self) -> impl Iterator<Item = Grant> {
        self.statements
            .iter()
            .filter(|statement| statement.effect == Effect::Allow)
            .flat_map(|statement| {
                let resources = statement.resources.upper_bound();
                statement.actions.upper_bound().into_iter().flat_map(move |action| {
                    let by = statement.origin.clone();
                    resources.clone().into_iter().map(move |resource| Grant {
                        action: action.clone(),
                        resource,
                        by: by.clone(),
                    })
                })
            })
    }
}

/// Whom a Lambda permission names, and what it asks of the request.
#[derive(Debug, Default)]
pub(crate) struct Service {
    pub(crate) principal: String,
    pub(crate) source_arn: Option<String>,
    pub(crate) source_account: Option<String>,
    pub(crate) url_authorization: Option<String>,
    pub(crate) through_url: Option<bool>,
}

/// The statement that an `AWS::Lambda::Permission` adds to the policy of its function.
pub(crate) fn through_permission(origin: &str, action: &str, function_arn: &str, service: Service) -> Document {
    let principal = match service.principal.as_str() {
        "*" => Principal::Everyone,
        name if name.ends_with(".amazonaws.com") => Principal::Service(service.principal),
        _ => Principal::Aws(service.principal),
    };
    let conditions = [
        service.source_arn.map(|arn| Condition::arn_like("aws:SourceArn", arn)),
        service
            .source_account
            .map(|account| Condition::string_equals("aws:SourceAccount", account)),
        service
            .url_authorization
            .map(|kind| Condition::string_equals("lambda:FunctionUrlAuthType", kind)),
        service
            .through_url
            .map(|through| Condition::bool("lambda:InvokedViaFunctionUrl", through)),
    ];
    let statement = Statement {
        effect: Effect::Allow,
        origin: origin.to_owned(),
        principals: Some(vec![principal]),
        actions: Patterns::of_actions(vec![action.to_owned()], false),
        resources: Patterns::of_resources(vec![function_arn.to_owned()], false),
        conditions: conditions.into_iter().flatten().collect(),
    };
    Document {
        statements: vec![statement],
    }
}

impl Statement {
    fn read(item: Item, holder: Holder) -> Result<Self, TemplateError> {
        let (line, path) = (item.line(), item.path().to_owned());
        let mut fields = item.fields()?;
        let sid = fields.optional_text("Sid")?;
        let effect = match fields.text("Effect")?.as_str() {
            "Allow" => Effect::Allow,
            "Deny" => Effect::Deny,
            other => return Err(fields.error(format!("the effect `{other}` is neither Allow nor Deny"))),
        };
        let principals = match (holder, fields.take("Principal")) {
            (Holder::Identity, None) => None,
            (Holder::Identity, Some(item)) => return Err(item.error("a policy of a role names no principal")),
            (_, Some(item)) => Some(principals(&item)?),
            (_, None) => return Err(fields.error("`Principal` is missing")),
        };
        let (actions, inverted) = patterns(&mut fields, "Action", "NotAction")?;
        let actions = Patterns::of_actions(actions, inverted);
        let (resources, inverted) = match holder {
            Holder::Trust => (vec!["*".to_owned()], false),
            Holder::Identity | Holder::Resource => patterns(&mut fields, "Resource", "NotResource")?,
        };
        let resources = Patterns::of_resources(resources, inverted);
        if let Some(action) = actions
            .patterns
            .iter()
            .find(|action| !action.contains(':') && action.as_str() != "*")
        {
            return Err(fields.error(format!("the action `{action}` names no service")));
        }
        let conditions = fields
            .take("Condition")
            .map_or(Ok(Vec::new()), |block| condition::read(&block))?;
        fields.finish()?;
        let origin = match sid {
            Some(sid) => format!("{path} ({sid}, line {line})"),
            None => format!("{path} (line {line})"),
        };
        Ok(Self {
            effect,
            origin,
            principals,
            actions,
            resources,
            conditions,
        })
    }

    /// Whether the statement speaks of this request.
    pub(super) fn covers(&self, question: &Question<'_>) -> bool {
        self.principals
            .as_ref()
            .is_none_or(|principals| principals.iter().any(|named| named.is(question.caller)))
            && self.actions.matches(question.action)
            && self.resources.matches(question.resource)
            && self
                .conditions
                .iter()
                .all(|condition| condition.holds(&question.conditions))
    }
}

impl Principal {
    fn is(&self, caller: Caller<'_>) -> bool {
        match (self, caller) {
            (Self::Everyone, _) => true,
            (Self::Aws(named), Caller::Role { arn, account, .. }) => {
                named == arn || named == account || *named == format!("arn:aws:iam::{account}:root")
            }
            (Self::Service(named), Caller::Service(name)) => named == name,
            (Self::Aws(_), Caller::Service(_)) | (Self::Service(_), Caller::Role { .. }) => false,
        }
    }
}

fn principals(item: &Item) -> Result<Vec<Principal>, TemplateError> {
    if !item.is_map() {
        return match item.text()?.as_str() {
            "*" => Ok(vec![Principal::Everyone]),
            other => Err(item.error(format!("the principal `{other}` is neither `*` nor a map"))),
        };
    }
    let mut principals = Vec::new();
    for (kind, named) in item.members()? {
        for name in named.texts()? {
            principals.push(match (kind.as_str(), name.as_str()) {
                ("AWS", "*") => Principal::Everyone,
                ("AWS", _) => Principal::Aws(name),
                ("Service", _) => Principal::Service(name),
                _ => return Err(named.error(format!("principals of the kind `{kind}` are not supported"))),
            });
        }
    }
    Ok(principals)
}

/// The patterns of an element, and whether everything else is meant.
fn patterns(
    fields: &mut Fields,
    plain: &'static str,
    inverted: &'static str,
) -> Result<(Vec<String>, bool), TemplateError> {
    let (item, inverted) = match (fields.take(plain), fields.take(inverted)) {
        (Some(item), None) => (item, false),
        (None, Some(item)) => (item, true),
        _ => return Err(fields.error(format!("takes either `{plain}` or `{inverted}`"))),
    };
    let patterns = item.texts()?;
    if patterns.is_empty() {
        return Err(item.error("is empty"));
    }
    for pattern in &patterns {
        refuse_variables(&item, pattern)?;
    }
    Ok((patterns, inverted))
}

/// Policy variables such as `${aws:username}` are not evaluated, so they may not stand anywhere.
pub(super) fn refuse_variables(item: &Item, text: &str) -> Result<(), TemplateError> {
    if text.contains("${") {
        return Err(item.error(format!("policy variables are not supported: `{text}`")));
    }
    Ok(())
}
