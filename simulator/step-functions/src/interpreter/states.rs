//! What each type of state does.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use super::values::Seen;
use super::{Interpreter, SERVICE};
use crate::definition::{Choice, Fail, Kind, State, Transition, Until};
use crate::execution::{Activity, BranchId, Timer};
use crate::retry::{Failure, NO_CHOICE_MATCHED};
use crate::template::Template;

impl Interpreter<'_> {
    pub(super) fn attempt(&mut self, id: BranchId) {
        let Some(state) = self.visit(id).map(|visit| Arc::clone(&visit.state)) else {
            return;
        };
        let outcome = match &state.kind {
            Kind::Pass | Kind::Succeed => self.leave(id, None),
            Kind::Choice(choice) => self.choose(id, &state, choice),
            Kind::Wait(until) => self.wait(id, until),
            Kind::Fail(fail) => Err(self.failure_of(id, fail)),
            Kind::Task(task) => self.schedule(id, task),
            Kind::Map(map) => self.start_map(id, map),
            Kind::Parallel(parallel) => self.start_parallel(id, parallel),
        };
        if let Err(failure) = outcome {
            self.fail(id, failure);
        }
    }

    fn choose(&mut self, id: BranchId, state: &State, choice: &Choice) -> Result<(), Failure> {
        for (index, rule) in choice.rules.iter().enumerate() {
            let location = format!("Choices[{index}]/Condition");
            let condition = Template::Expression(rule.condition.clone());
            match self.template(id, &condition, &location, Seen::default())? {
                Value::Bool(false) => {}
                Value::Bool(true) => {
                    let exit = self.exit(id, &rule.assign, rule.output.as_ref(), None, None)?;
                    self.go(id, exit, Transition::Next(rule.next.clone()));
                    return Ok(());
                }
                other => {
                    let reason = format!("the condition must be true or false, not {other}");
                    return Err(self.evaluation_failed(id, &location, &reason));
                }
            }
        }
        let Some(default) = &choice.default else {
            return Err(Failure::new(
                NO_CHOICE_MATCHED,
                "no rule matched and the state has no `Default`",
            ));
        };
        let exit = self.exit(id, &state.assign, state.output.as_ref(), None, None)?;
        self.go(id, exit, Transition::Next(default.clone()));
        Ok(())
    }

    fn wait(&mut self, id: BranchId, until: &Until) -> Result<(), Failure> {
        let timer = Timer::Wait(self.holder(id));
        let timer_id = match until {
            Until::Seconds(seconds) => {
                let seconds = self.quantity(id, seconds, "Seconds", 0)?;
                self.wake_after(seconds, timer)
            }
            Until::Timestamp(template) => {
                let value = self.template(id, template, "Timestamp", Seen::default())?;
                let Some(at) = value.as_str().and_then(|text| text.parse::<Timestamp>().ok()) else {
                    let reason = format!("must be a moment such as `2026-11-02T09:00:00Z`, not {value}");
                    return Err(self.evaluation_failed(id, "Timestamp", &reason));
                };
                let timer_id = self.kernel.wake_at(at, SERVICE);
                self.outstanding.timers.insert(timer_id, timer);
                timer_id
            }
        };
        if let Some(visit) = self
            .execution
            .branches
            .get_mut(&id)
            .and_then(|branch| branch.visit.as_mut())
        {
            visit.activity = Activity::Pause(timer_id);
        }
        Ok(())
    }

    fn failure_of(&mut self, id: BranchId, fail: &Fail) -> Failure {
        let texts = self
            .failure_text(id, fail.error.as_ref(), "Error")
            .and_then(|error| Ok((error, self.failure_text(id, fail.cause.as_ref(), "Cause")?)));
        match texts {
            Ok((error, cause)) => Failure {
                error: error.unwrap_or_default(),
                cause,
            },
            Err(failure) => failure,
        }
    }

    fn failure_text(
        &mut self,
        id: BranchId,
        template: Option<&Template>,
        location: &str,
    ) -> Result<Option<String>, Failure> {
        let Some(template) = template else { return Ok(None) };
        match self.template(id, template, location, Seen::default())? {
            Value::String(text) => Ok(Some(text)),
            other => Err(self.evaluation_failed(id, location, &format!("must be a string, not {other}"))),
        }
    }
}
