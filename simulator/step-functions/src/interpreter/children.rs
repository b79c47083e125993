//! Map and Parallel states: starting branches, collecting their outputs, failing together.

use std::sync::Arc;

use serde_json::{Value, json};

use super::values::Seen;
use super::{Interpreter, Work};
use crate::definition::{Kind, Map, Parallel};
use crate::execution::{Activity, Branch, BranchId, Children, Parent, Planned};
use crate::expression::Variables;
use crate::retry::Failure;

/// How many iterations of an inline Map state run at once at most.
const INLINE_CONCURRENCY: usize = 40;

impl Interpreter<'_> {
    pub(super) fn start_map(&mut self, id: BranchId, map: &Map) -> Result<(), Failure> {
        let items = match &map.items {
            Some(template) => self.template(id, template, "Items", Seen::default())?,
            None => self.input(id),
        };
        let Value::Array(items) = items else {
            return Err(self.evaluation_failed(id, "Items", "must be an array"));
        };
        let concurrency = match &map.max_concurrency {
            Some(quantity) => self.quantity(id, quantity, "MaxConcurrency", 0)?,
            None => 0,
        };
        let concurrency = usize::try_from(concurrency)
            .ok()
            .filter(|limit| *limit > 0)
            .unwrap_or(INLINE_CONCURRENCY);
        let mut planned = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            let input = match &map.item_selector {
                Some(template) => {
                    let seen = Seen {
                        item: Some((index, &item)),
                        ..Seen::default()
                    };
                    self.template(id, template, "ItemSelector", seen)?
                }
                None => item.clone(),
            };
            self.check_size("the input of an iteration", &input)?;
            planned.push(Planned {
                flow: Arc::clone(&map.processor),
                input,
                item: Some(item),
            });
        }
        let details = json!({"length": planned.len()});
        self.record(id, "MapStateStarted", Some(("mapStateStartedEventDetails", details)));
        self.start_children(id, planned, concurrency.min(INLINE_CONCURRENCY));
        Ok(())
    }

    pub(super) fn start_parallel(&mut self, id: BranchId, parallel: &Parallel) -> Result<(), Failure> {
        let input = match &parallel.arguments {
            Some(template) => self.template(id, template, "Arguments", Seen::default())?,
            None => self.input(id),
        };
        self.check_size("the input of the branches", &input)?;
        let planned: Vec<Planned> = parallel
            .branches
            .iter()
            .map(|flow| Planned {
                flow: Arc::clone(flow),
                input: input.clone(),
                item: None,
            })
            .collect();
        let concurrency = planned.len();
        self.record(id, "ParallelStateStarted", None);
        self.start_children(id, planned, concurrency);
        Ok(())
    }

    fn start_children(&mut self, id: BranchId, planned: Vec<Planned>, concurrency: usize) {
        let results = planned.iter().map(|_| None).collect();
        let children = Children {
            planned,
            started: 0,
            concurrency,
            running: Vec::new(),
            results,
        };
        if let Some(visit) = self
            .execution
            .branches
            .get_mut(&id)
            .and_then(|branch| branch.visit.as_mut())
        {
            visit.activity = Activity::Children(children);
        }
        self.advance(id);
    }

    /// Starts as many branches as may run, or ends the state when all have ended.
    fn advance(&mut self, id: BranchId) {
        while let Some((index, branch, input)) = self.next_child(id) {
            let child = BranchId(self.execution.next_branch);
            self.execution.next_branch += 1;
            let start_at = branch.flow.start_at.clone();
            let parent = Parent { branch: id, index };
            self.execution.branches.insert(child, branch);
            if let Some(children) = self.children(id) {
                children.running.push(child);
            }
            if self.is_iteration(parent) {
                self.record_iteration(child, parent, "MapIterationStarted", "mapIterationStartedEventDetails");
            }
            self.work.push_back(Work::Enter {
                branch: child,
                state: start_at,
                input,
            });
        }
        let Some(children) = self.children(id) else { return };
        if !children.running.is_empty() {
            return;
        }
        let results: Value = std::mem::take(&mut children.results).into_iter().flatten().collect();
        self.settle(id);
        if let Some(kind) = self.family(id) {
            self.record(id, &format!("{kind}StateSucceeded"), None);
        }
        self.leave_or_fail(id, Some(&results));
    }

    /// The next planned branch with its index and its input, if there is one and it may run now.
    fn next_child(&mut self, id: BranchId) -> Option<(usize, Branch, Value)> {
        let outer = self.execution.branches.get(&id)?;
        let visible: Variables = outer
            .outer
            .iter()
            .chain(&outer.variables)
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        let (outer_item, last_event) = (outer.item.clone(), outer.last_event);
        let children = self.children(id)?;
        if children.running.len() >= children.concurrency {
            return None;
        }
        let index = children.started;
        let planned = children.planned.get(index)?;
        let branch = Branch {
            parent: Some(Parent { branch: id, index }),
            flow: Arc::clone(&planned.flow),
            outer: visible,
            variables: Variables::new(),
            item: planned.item.clone().map(|item| (index, item)).or(outer_item),
            visit: None,
            last_event,
        };
        let input = planned.input.clone();
        children.started += 1;
        Some((index, branch, input))
    }

    pub(super) fn child_finished(&mut self, id: BranchId, parent: Parent, output: Value) {
        if self.is_iteration(parent) {
            self.record_iteration(id, parent, "MapIterationSucceeded", "mapIterationSucceededEventDetails");
        }
        self.hand_over(id, parent);
        if let Some(children) = self.children(parent.branch)
            && let Some(result) = children.results.get_mut(parent.index)
        {
            *result = Some(output);
        }
        self.advance(parent.branch);
    }

    pub(super) fn child_failed(&mut self, id: BranchId, parent: Parent, failure: Failure) {
        if self.is_iteration(parent) {
            self.record_iteration(id, parent, "MapIterationFailed", "mapIterationFailedEventDetails");
        }
        self.hand_over(id, parent);
        self.settle(parent.branch);
        if let Some(kind) = self.family(parent.branch) {
            self.record(parent.branch, &format!("{kind}StateFailed"), None);
        }
        self.fail(parent.branch, failure);
    }

    /// Removes a branch that has ended. The events of its parent follow its last one.
    fn hand_over(&mut self, id: BranchId, parent: Parent) {
        let last_event = self.execution.branches.remove(&id).map(|branch| branch.last_event);
        if let Some(branch) = self.execution.branches.get_mut(&parent.branch) {
            branch.last_event = last_event.unwrap_or(branch.last_event);
        }
        if let Some(children) = self.children(parent.branch) {
            children.running.retain(|running| *running != id);
        }
    }

    pub(super) fn record_iteration(&mut self, id: BranchId, parent: Parent, kind: &str, member: &'static str) {
        let name = self
            .visit(parent.branch)
            .map(|visit| visit.name.clone())
            .unwrap_or_default();
        self.record(id, kind, Some((member, json!({"name": name, "index": parent.index}))));
    }

    pub(super) fn is_iteration(&self, parent: Parent) -> bool {
        self.family(parent.branch) == Some("Map")
    }

    /// `Map` or `Parallel`, when the current state of the branch is one of these.
    fn family(&self, id: BranchId) -> Option<&'static str> {
        let state = &self.visit(id)?.state;
        matches!(state.kind, Kind::Map(_) | Kind::Parallel(_)).then(|| state.type_name())
    }

    fn children(&mut self, id: BranchId) -> Option<&mut Children> {
        match &mut self.execution.branches.get_mut(&id)?.visit.as_mut()?.activity {
            Activity::Children(children) => Some(children),
            _ => None,
        }
    }
}
