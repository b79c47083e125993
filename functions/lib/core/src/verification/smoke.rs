//! From the answers of a smoke test, and of a function or a task that tests, to a measurement.

use super::Outcome;
use super::measure::{HttpSight, shown_line};
use crate::pipeline::{SmokeMeasure, SmokeStep};
use crate::verdict::{StepOutcome, StepRecord};
use crate::words;

/// What the requests of a smoke test show: `sights` are the answers in their order, up to the first that was not as
/// expected.
#[must_use]
pub fn smoke(measure: &SmokeMeasure, sights: &[HttpSight]) -> (Outcome, String) {
    for (step, sight) in measure.steps.iter().zip(sights) {
        if let Some(wrong) = step.wrong(sight) {
            return (Outcome::Fail, format!("`{}`: {wrong}", step.name));
        }
    }
    let (done, all) = (sights.len(), measure.steps.len());
    if done < all {
        return (
            Outcome::Inconclusive,
            format!("{done} of {} run", words::counted(all, "step")),
        );
    }
    (Outcome::Pass, format!("{} as expected", words::counted(all, "step")))
}

impl SmokeStep {
    /// What is wrong with an answer, for people; nothing where it is as expected.
    #[must_use]
    pub fn wrong(&self, sight: &HttpSight) -> Option<String> {
        let (status, body) = match sight {
            HttpSight::Silent(why) => return Some(why.clone()),
            HttpSight::Answer { status, body } => (*status, body),
        };
        if status != self.status {
            return Some(format!("status {status} instead of {}", self.status));
        }
        let text = self.contains.as_ref().filter(|text| !body.contains(text.as_str()))?;
        Some(format!("the body does not contain `{text}`"))
    }
}

/// How a function that tests ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FunctionSight {
    /// It returned.
    Returned,
    /// It threw, timed out or died: what Lambda tells of it.
    Threw(String),
}

/// What a function that tests shows.
#[must_use]
pub fn function(sight: &FunctionSight) -> (Outcome, String) {
    match sight {
        FunctionSight::Returned => (Outcome::Pass, "the function returned".to_owned()),
        FunctionSight::Threw(error) => (Outcome::Fail, format!("the function failed: {}", shown_line(error))),
    }
}

/// What the last attempt of a task that tests shows; none where the deployment ran none. One that was ended from
/// outside, or never ran, tested nothing.
#[must_use]
pub fn task(last: Option<&StepRecord>) -> (Outcome, String) {
    let Some(StepRecord { outcome, sentence, .. }) = last else {
        return (Outcome::Error, "the task was not run".to_owned());
    };
    let outcome = match outcome {
        StepOutcome::Done => Outcome::Pass,
        StepOutcome::Failed => Outcome::Fail,
        StepOutcome::Begun => Outcome::Inconclusive,
        StepOutcome::NeverStarted | StepOutcome::Reverted | StepOutcome::Foreign | StepOutcome::Unknown => {
            Outcome::Error
        }
    };
    (outcome, sentence.clone())
}
