//! What an expression reads from outside itself, for checks before it ever runs.

use std::collections::BTreeSet;

use jsonata_core::ast::{AstNode, BinaryOp, PathStep, Stage};

/// The names that an expression uses without defining them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct References {
    /// Variables, without `$` and without `states`.
    pub variables: BTreeSet<String>,
    /// Members of `$states`, such as `input` or `errorOutput`; `*` where the expression takes `$states` whole.
    pub states: BTreeSet<String>,
    /// Functions that are called by name, built-in ones included, without `$`.
    pub functions: BTreeSet<String>,
    bound: BTreeSet<String>,
}

impl References {
    /// Collects the references of an expression.
    ///
    /// # Errors
    /// Which part of JSONata the expression uses that Step Functions does not have.
    pub(super) fn of(tree: &AstNode) -> Result<Self, String> {
        let mut references = Self::default();
        references.visit(tree)?;
        let bound = std::mem::take(&mut references.bound);
        references.variables.retain(|name| !bound.contains(name));
        references.functions.retain(|name| !bound.contains(name));
        Ok(references)
    }

    fn all<'a>(&mut self, nodes: impl IntoIterator<Item = &'a AstNode>) -> Result<(), String> {
        nodes.into_iter().try_for_each(|node| self.visit(node))
    }

    fn visit(&mut self, node: &AstNode) -> Result<(), String> {
        match node {
            AstNode::Variable(name) => self.variable(name, None),
            AstNode::Path { steps } => self.path(steps)?,
            AstNode::Binary { op, lhs, rhs } => self.binary(*op, lhs, rhs)?,
            AstNode::Unary { operand, .. } => self.visit(operand)?,
            AstNode::Function { name, args, .. } => {
                if name == "eval" {
                    return Err("$eval is not available in Step Functions: use $parse".to_owned());
                }
                self.functions.insert(name.clone());
                self.all(args)?;
            }
            AstNode::Call { procedure, args } => {
                self.visit(procedure)?;
                self.all(args)?;
            }
            AstNode::Lambda { params, body, .. } => {
                self.bound
                    .extend(params.iter().map(|name| name.trim_start_matches('$').to_owned()));
                self.visit(body)?;
            }
            AstNode::Array(items) | AstNode::ArrayGroup(items) | AstNode::Block(items) => self.all(items)?,
            AstNode::Object(pairs) => self.all(pairs.iter().flat_map(|(key, value)| [key, value]))?,
            AstNode::ObjectTransform { input, pattern } => {
                self.visit(input)?;
                self.all(pattern.iter().flat_map(|(key, value)| [key, value]))?;
            }
            AstNode::Conditional {
                condition,
                then_branch,
                else_branch,
            } => {
                self.all([condition.as_ref(), then_branch.as_ref()])?;
                self.all(else_branch.as_deref())?;
            }
            AstNode::FunctionApplication(inner) => self.visit(inner)?,
            AstNode::Sort { input, terms } => {
                self.visit(input)?;
                self.all(terms.iter().map(|(term, _)| term))?;
            }
            AstNode::Transform {
                location,
                update,
                delete,
            } => {
                self.all([location.as_ref(), update.as_ref()])?;
                self.all(delete.as_deref())?;
            }
            AstNode::String(_)
            | AstNode::Name(_)
            | AstNode::Number(_)
            | AstNode::Boolean(_)
            | AstNode::Null
            | AstNode::Undefined
            | AstNode::Placeholder
            | AstNode::Regex { .. }
            | AstNode::ParentVariable(_)
            | AstNode::Wildcard
            | AstNode::Descendant
            | AstNode::Parent(_) => {}
        }
        Ok(())
    }

    fn binary(&mut self, op: BinaryOp, left: &AstNode, right: &AstNode) -> Result<(), String> {
        match op {
            BinaryOp::Coalesce => Err("operator `??` is newer than the JSONata of Step Functions (2.0.6)".to_owned()),
            BinaryOp::Default => Err("operator `?:` is newer than the JSONata of Step Functions (2.0.6)".to_owned()),
            BinaryOp::ColonEqual | BinaryOp::FocusBind | BinaryOp::IndexBind => {
                let (bound, other) = if op == BinaryOp::ColonEqual {
                    (left, right)
                } else {
                    (right, left)
                };
                match bound {
                    AstNode::Variable(name) => {
                        self.bound.insert(name.clone());
                    }
                    other => self.visit(other)?,
                }
                self.visit(other)
            }
            _ => self.all([left, right]),
        }
    }

    fn path(&mut self, steps: &[PathStep]) -> Result<(), String> {
        let member = steps.get(1).and_then(|step| match &step.node {
            AstNode::Name(name) | AstNode::String(name) => Some(name.as_str()),
            _ => None,
        });
        for (index, step) in steps.iter().enumerate() {
            self.bound.extend(step.focus.iter().chain(&step.index_var).cloned());
            match &step.node {
                AstNode::Variable(name) => self.variable(name, member.filter(|_| index == 0)),
                node => self.visit(node)?,
            }
            for stage in &step.stages {
                match stage {
                    Stage::Filter(condition) => self.visit(condition)?,
                    Stage::Index(name) => {
                        self.bound.insert(name.clone());
                    }
                    Stage::KeepArray => {}
                }
            }
        }
        Ok(())
    }

    /// Notes a variable; the empty name is the context value `$`.
    fn variable(&mut self, name: &str, member: Option<&str>) {
        match name {
            "" | "$" => {}
            "states" => {
                self.states.insert(member.unwrap_or("*").to_owned());
            }
            _ => {
                self.variables.insert(name.to_owned());
            }
        }
    }
}
