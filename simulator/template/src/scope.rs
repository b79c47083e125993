//! What names in a template stand for: parameters, pseudo parameters, mappings, conditions and resources.

use std::collections::BTreeMap;

use crate::error::TemplateError;
use crate::node::{Function, Kind, Member, Node};

/// Where a template is deployed to, and the parameters given to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The twelve digits of the account.
    pub account: String,
    /// The Region, such as `us-east-1`.
    pub region: String,
    /// The name of the stack: the beginning of every physical name that the template does not set.
    pub stack: String,
    /// Values for parameters, in place of their defaults.
    pub parameters: BTreeMap<String, String>,
}

impl Settings {
    /// An ARN in the account and Region.
    pub(crate) fn arn(&self, service: &str, resource: &str) -> String {
        format!("arn:aws:{service}:{}:{}:{resource}", self.region, self.account)
    }
}

/// What `Ref` and `GetAtt` answer for a resource.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Identity {
    pub(crate) reference: Option<String>,
    pub(crate) attributes: BTreeMap<&'static str, String>,
}

/// All names that an expression may use.
#[derive(Debug)]
pub(crate) struct Scope<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) parameters: BTreeMap<String, Kind>,
    pub(crate) mappings: Vec<Member>,
    pub(crate) conditions: BTreeMap<String, bool>,
    /// Absent for resources whose condition is false.
    pub(crate) resources: BTreeMap<String, Identity>,
}

impl Scope<'_> {
    /// The node with every function carried out. [`Kind::Nothing`] vanishes from lists and maps.
    pub(crate) fn resolve(&self, node: &Node, path: &str) -> Result<Node, TemplateError> {
        let kind = match &node.kind {
            Kind::List(items) => {
                let mut resolved = Vec::new();
                for (index, item) in items.iter().enumerate() {
                    let item = self.resolve(item, &format!("{path}.{index}"))?;
                    if item.kind != Kind::Nothing {
                        resolved.push(item);
                    }
                }
                Kind::List(resolved)
            }
            Kind::Map(members) => {
                let mut resolved = Vec::new();
                for member in members {
                    let value = self.resolve(&member.value, &format!("{path}.{}", member.name))?;
                    if value.kind != Kind::Nothing {
                        resolved.push(Member {
                            value,
                            ..member.clone()
                        });
                    }
                }
                Kind::Map(resolved)
            }
            Kind::Call(function, argument) => {
                return self
                    .call(*function, argument, &format!("{path}.{}", function.name()))
                    .map(|kind| Node { line: node.line, kind });
            }
            plain => plain.clone(),
        };
        Ok(Node { line: node.line, kind })
    }

    fn call(&self, function: Function, argument: &Node, path: &str) -> Result<Kind, TemplateError> {
        match function {
            Function::Ref => {
                let name = literal(argument, path)?;
                self.reference(name).ok_or_else(|| unknown(argument, path, name))
            }
            Function::GetAtt => self.attribute(argument, path),
            Function::Sub => self.substitute(argument, path),
            Function::Join => self.join(argument, path),
            Function::Select => self.select(argument, path),
            Function::Split => self.split(argument, path),
            Function::FindInMap => self.find_in_map(argument, path),
            Function::If => self.choose(argument, path),
            Function::Equals | Function::And | Function::Or | Function::Not | Function::Condition => {
                Err(TemplateError::new(argument.line, path, "stands only in `Conditions`"))
            }
        }
    }

    fn reference(&self, name: &str) -> Option<Kind> {
        let text = match name {
            "AWS::AccountId" => self.settings.account.clone(),
            "AWS::Region" => self.settings.region.clone(),
            "AWS::StackName" => self.settings.stack.clone(),
            "AWS::Partition" => "aws".to_owned(),
            "AWS::URLSuffix" => "amazonaws.com".to_owned(),
            "AWS::NoValue" => return Some(Kind::Nothing),
            _ => {
                return self
                    .parameters
                    .get(name)
                    .cloned()
                    .or_else(|| self.resources.get(name)?.reference.clone().map(Kind::Text));
            }
        };
        Some(Kind::Text(text))
    }

    fn attribute(&self, argument: &Node, path: &str) -> Result<Kind, TemplateError> {
        let dotted = match &argument.kind {
            Kind::List(parts) => {
                let parts = parts
                    .iter()
                    .map(|part| literal(part, path))
                    .collect::<Result<Vec<_>, _>>()?;
                parts.join(".")
            }
            _ => literal(argument, path)?.to_owned(),
        };
        self.attribute_named(&dotted)
            .map(Kind::Text)
            .ok_or_else(|| unknown(argument, path, &dotted))
    }

    fn attribute_named(&self, dotted: &str) -> Option<String> {
        let (resource, attribute) = dotted.split_once('.')?;
        self.resources.get(resource)?.attributes.get(attribute).cloned()
    }

    fn substitute(&self, argument: &Node, path: &str) -> Result<Kind, TemplateError> {
        let (template, locals) = match &argument.kind {
            Kind::List(parts) => match parts.as_slice() {
                [template, locals @ Node { kind: Kind::Map(_), .. }] => {
                    (literal(template, path)?, self.resolve(locals, path)?)
                }
                _ => {
                    return Err(TemplateError::new(
                        argument.line,
                        path,
                        "takes a text, or a text and a map",
                    ));
                }
            },
            _ => (
                literal(argument, path)?,
                Node {
                    line: argument.line,
                    kind: Kind::Map(Vec::new()),
                },
            ),
        };
        let mut text = String::new();
        let mut rest = template;
        while let Some((before, after)) = rest.split_once("${") {
            let (name, tail) = after
                .split_once('}')
                .ok_or_else(|| TemplateError::new(argument.line, path, "`${` without `}`"))?;
            text.push_str(before);
            match name.strip_prefix('!') {
                Some(kept) => text.push_str(&format!("${{{kept}}}")),
                None => text.push_str(
                    &self
                        .variable(name.trim(), &locals)
                        .ok_or_else(|| unknown(argument, path, name))?,
                ),
            }
            rest = tail;
        }
        text.push_str(rest);
        Ok(Kind::Text(text))
    }

    /// The value of `${name}`: of the second argument of `Sub`, of `Ref`, or of `GetAtt`.
    fn variable(&self, name: &str, locals: &Node) -> Option<String> {
        if let Some(local) = locals.get(name) {
            return local.scalar();
        }
        match self.reference(name) {
            Some(Kind::Text(text)) => Some(text),
            Some(_) => None,
            None => self.attribute_named(name),
        }
    }

    fn join(&self, argument: &Node, path: &str) -> Result<Kind, TemplateError> {
        let refused = || TemplateError::new(argument.line, path, "takes a separator and a list of texts");
        let [separator, list] = self.arguments(argument, path)?;
        let Kind::List(items) = list.kind else {
            return Err(refused());
        };
        let texts = items
            .iter()
            .map(Node::scalar)
            .collect::<Option<Vec<_>>>()
            .ok_or_else(refused)?;
        Ok(Kind::Text(texts.join(separator.as_text().ok_or_else(refused)?)))
    }

    fn select(&self, argument: &Node, path: &str) -> Result<Kind, TemplateError> {
        let [index, list] = self.arguments(argument, path)?;
        let Kind::List(items) = list.kind else {
            return Err(TemplateError::new(argument.line, path, "takes an index and a list"));
        };
        index
            .scalar()
            .and_then(|index| index.parse::<usize>().ok())
            .and_then(|index| items.into_iter().nth(index))
            .map(|item| item.kind)
            .ok_or_else(|| TemplateError::new(argument.line, path, "the list has no element at this index"))
    }

    fn split(&self, argument: &Node, path: &str) -> Result<Kind, TemplateError> {
        let [separator, text] = self.arguments(argument, path)?;
        match (separator.as_text(), text.as_text()) {
            (Some(separator), Some(text)) if !separator.is_empty() => Ok(Kind::List(
                text.split(separator)
                    .map(|part| Node::text(argument.line, part))
                    .collect(),
            )),
            _ => Err(TemplateError::new(argument.line, path, "takes a separator and a text")),
        }
    }

    fn find_in_map(&self, argument: &Node, path: &str) -> Result<Kind, TemplateError> {
        let [map, first, second] = self.arguments(argument, path)?;
        let keys = [map.scalar(), first.scalar(), second.scalar()];
        let [Some(map), Some(first), Some(second)] = keys else {
            return Err(TemplateError::new(argument.line, path, "takes three texts"));
        };
        self.mappings
            .iter()
            .find(|member| member.name == map)
            .and_then(|member| member.value.get(&first)?.get(&second))
            .map(|found| found.kind.clone())
            .ok_or_else(|| unknown(argument, path, &format!("{map}.{first}.{second}")))
    }

    fn choose(&self, argument: &Node, path: &str) -> Result<Kind, TemplateError> {
        let Kind::List(parts) = &argument.kind else {
            return Err(TemplateError::new(
                argument.line,
                path,
                "takes a condition and two values",
            ));
        };
        let [condition, yes, no] = parts.as_slice() else {
            return Err(TemplateError::new(
                argument.line,
                path,
                "takes a condition and two values",
            ));
        };
        let name = literal(condition, path)?;
        let holds = self
            .conditions
            .get(name)
            .ok_or_else(|| unknown(condition, path, name))?;
        self.resolve(if *holds { yes } else { no }, path).map(|node| node.kind)
    }

    fn arguments<const N: usize>(&self, argument: &Node, path: &str) -> Result<[Node; N], TemplateError> {
        let refused = || TemplateError::new(argument.line, path, format!("takes {N} arguments"));
        match self.resolve(argument, path)?.kind {
            Kind::List(items) => items.try_into().map_err(|_| refused()),
            _ => Err(refused()),
        }
    }
}

/// A text that stands in the template as such.
pub(crate) fn literal<'a>(node: &'a Node, path: &str) -> Result<&'a str, TemplateError> {
    node.as_text()
        .ok_or_else(|| TemplateError::new(node.line, path, format!("takes a text, not {}", node.kind_name())))
}

fn unknown(node: &Node, path: &str, name: &str) -> TemplateError {
    TemplateError::new(
        node.line,
        path,
        format!("`{name}` names nothing in this template that has a value here"),
    )
}

/// Evaluates the `Conditions` section; conditions may use each other.
pub(crate) fn conditions(scope: &Scope<'_>, section: &[Member]) -> Result<BTreeMap<String, bool>, TemplateError> {
    let mut open = Vec::new();
    section
        .iter()
        .map(|member| {
            Ok((
                member.name.clone(),
                named_condition(scope, section, &member.name, &member.value, &mut open)?,
            ))
        })
        .collect()
}

fn named_condition(
    scope: &Scope<'_>,
    section: &[Member],
    name: &str,
    used_at: &Node,
    open: &mut Vec<String>,
) -> Result<bool, TemplateError> {
    let path = format!("Conditions.{name}");
    if open.iter().any(|opened| opened == name) {
        return Err(TemplateError::new(
            used_at.line,
            path,
            "the condition depends on itself",
        ));
    }
    let member = section
        .iter()
        .find(|member| member.name == name)
        .ok_or_else(|| TemplateError::new(used_at.line, &path, "no condition has this name"))?;
    open.push(name.to_owned());
    let holds = condition(scope, section, &member.value, &path, open)?;
    open.pop();
    Ok(holds)
}

fn condition(
    scope: &Scope<'_>,
    section: &[Member],
    node: &Node,
    path: &str,
    open: &mut Vec<String>,
) -> Result<bool, TemplateError> {
    let refused = |message: &str| TemplateError::new(node.line, path, message);
    let (function, argument) = match &node.kind {
        Kind::Call(function, argument) => (*function, argument.as_ref()),
        Kind::Map(members) => match members.as_slice() {
            [only] if only.name == "Condition" => (Function::Condition, &only.value),
            _ => {
                return Err(refused(
                    "a condition is `!Equals`, `!And`, `!Or`, `!Not` or `!Condition`",
                ));
            }
        },
        _ => {
            return Err(refused(
                "a condition is `!Equals`, `!And`, `!Or`, `!Not` or `!Condition`",
            ));
        }
    };
    let operands = match &argument.kind {
        Kind::List(items) => items.as_slice(),
        _ => std::slice::from_ref(argument),
    };
    match (function, operands) {
        (Function::Condition, [name]) => named_condition(scope, section, literal(name, path)?, name, open),
        (Function::Equals, [left, right]) => {
            Ok(scope.resolve(left, path)?.scalar() == scope.resolve(right, path)?.scalar())
        }
        (Function::Not, [operand]) => Ok(!condition(scope, section, operand, path, open)?),
        (Function::And | Function::Or, operands) if (2..=10).contains(&operands.len()) => {
            let held = operands
                .iter()
                .map(|operand| condition(scope, section, operand, path, open))
                .collect::<Result<Vec<_>, _>>()?;
            Ok(if function == Function::And {
                held.iter().all(|held| *held)
            } else {
                held.contains(&true)
            })
        }
        _ => Err(refused("wrong number of operands, or no condition")),
    }
}
