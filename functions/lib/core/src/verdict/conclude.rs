//! From facts to an end. First what every step left behind, then what that makes of the whole; the cause only chooses
//! the words.

use std::collections::BTreeMap;

use super::{
    Cause, DeploymentFacts, Effect, End, Mode, PlanOutline, Reason, StepKind, StepOutcome, StepOutline, StepRecord,
    StepReference, Verdict, Verified,
};
use crate::error::ErrorKind;
use crate::wave::WaveFailed;
use crate::words;

/// What one step left in the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Residue {
    /// Nothing.
    Nothing,
    /// A service is proven to run the target of the step.
    InForce,
    /// A service had moved and is back.
    Reverted,
    /// A schema is, or may be, ahead; running the migration again is safe.
    Schema,
    /// A service may run something of ours that was not proven.
    Partial,
    /// Nobody knows.
    Unknown,
}

/// Concludes how a deployment ended. The answer is always a [legal](super::legal) pair.
pub fn conclude(facts: &DeploymentFacts) -> End {
    let world = World::read(facts);
    if facts.cause.is_none()
        && let Some(end) = world.good_end(facts)
    {
        return end;
    }
    let effect = world.effect();
    let verdict = world.bad_verdict(facts.cause.as_ref(), effect);
    // Whoever brought some services back but lost one to somebody else cannot say `ROLLED_BACK`; nothing of the
    // deployment is left, though.
    let effect = if verdict == Verdict::Failed && effect == Effect::Reverted {
        Effect::None
    } else {
        effect
    };
    End {
        verdict,
        effect,
        reason: world.reason(facts),
        reasons: world.sentences(facts),
    }
}

/// What the records say about the world.
struct World {
    residues: Vec<Residue>,
    /// The last outcome of every forward step, in order of the plan; of a task that a check judges, that it is over.
    forward: Vec<(StepKind, Option<StepOutcome>)>,
    way_back_taken: bool,
    any_foreign: bool,
    /// An open intent whose step was not judged, or a record that belongs to no step.
    unaccounted: bool,
    /// Whether anything was ever begun.
    touched: bool,
}

impl World {
    fn read(facts: &DeploymentFacts) -> Self {
        let forward_steps = facts.plan.as_ref().map_or(&[][..], |plan| plan.steps.as_slice());
        let attempts = attempts_by_step(facts);
        let attempts_of =
            |mode: Mode, index: usize| attempts.get(&(mode, index)).map(Vec::as_slice).unwrap_or_default();
        let mut residues = Vec::new();
        for (index, step) in forward_steps.iter().enumerate() {
            let ahead = residue(step, attempts_of(Mode::Forward, index));
            let back = facts
                .way_back
                .iter()
                .enumerate()
                .filter(|(_, back)| back.kind == step.kind && back.name == step.name);
            residues.push(back.fold(ahead, |ahead, (index, back)| {
                let attempts = attempts_of(Mode::WayBack, index);
                match step.kind {
                    StepKind::Service => brought_back(ahead, attempts),
                    StepKind::Task => taken_back(ahead, back, attempts),
                }
            }));
        }
        let known = |reference: &StepReference| match reference.mode {
            Mode::Forward => reference.index < forward_steps.len(),
            // Every step of the way back must be one of the plan: bringing back what never moved would be an act of its
            // own.
            Mode::WayBack => facts.way_back.get(reference.index).is_some_and(|back| {
                let mut forward = forward_steps.iter();
                forward.any(|step| step.kind == back.kind && step.name == back.name)
            }),
        };
        Self {
            residues,
            forward: forward_steps
                .iter()
                .enumerate()
                .map(|(index, step)| {
                    let last = attempts_of(Mode::Forward, index).last().map(|record| record.outcome);
                    let is_judged = step.is_for_a_check && facts.verified != Verified::NotAsked;
                    let is_over = is_judged && last.is_some_and(|outcome| outcome != StepOutcome::Begun);
                    (step.kind, if is_over { Some(StepOutcome::Done) } else { last })
                })
                .collect(),
            way_back_taken: facts.records.iter().any(|record| record.step.mode == Mode::WayBack),
            any_foreign: facts
                .records
                .iter()
                .any(|record| record.outcome == StepOutcome::Foreign),
            unaccounted: facts.records.iter().any(|record| !known(&record.step))
                || facts.open_intents.iter().any(|intent| is_unsettled(facts, intent.step)),
            touched: facts
                .records
                .iter()
                .any(|record| record.outcome != StepOutcome::NeverStarted)
                || facts.open_intents.iter().any(|intent| intent.step.is_some()),
        }
    }

    /// The end of a deployment whose steps did what was asked, if they did.
    fn good_end(&self, facts: &DeploymentFacts) -> Option<End> {
        let plan = facts.plan.as_ref()?;
        if !self.touched && (plan.unchanged || plan.steps.is_empty()) {
            return Some(End {
                verdict: Verdict::Unchanged,
                effect: Effect::None,
                reason: Reason::NothingToDo,
                reasons: vec!["the release is already in force and proven".to_owned()],
            });
        }
        let all_done = self.steps_left() == 0 && !self.forward.is_empty();
        let clean = self
            .residues
            .iter()
            .all(|residue| matches!(residue, Residue::Nothing | Residue::InForce | Residue::Schema));
        if !all_done || !clean || self.way_back_taken || self.unaccounted {
            return None;
        }
        let effect = if self.residues.contains(&Residue::Schema) {
            Effect::SchemaMoved
        } else {
            Effect::None
        };
        match &facts.verified {
            Verified::NotAsked | Verified::Passed => Some(End {
                verdict: Verdict::Succeeded,
                effect,
                reason: Reason::Proven,
                reasons: vec![proven_sentence(plan, &facts.verified)],
            }),
            Verified::GaveWay { to } => Some(End {
                verdict: Verdict::Stopped,
                effect,
                reason: Reason::GaveWay,
                reasons: vec![format!(
                    "it is in force but was not verified: it gave way to `{to}` while it soaked"
                )],
            }),
            Verified::Unfinished | Verified::Failed { .. } => None,
        }
    }

    fn steps_left(&self) -> usize {
        self.forward
            .iter()
            .filter(|(_, outcome)| *outcome != Some(StepOutcome::Done))
            .count()
    }

    /// The worst of what the steps left, for a deployment that did not do what was asked: what is in force then is
    /// there without the rest.
    fn effect(&self) -> Effect {
        let any = |wanted: &[Residue]| self.residues.iter().any(|residue| wanted.contains(residue));
        if self.unaccounted || any(&[Residue::Unknown]) {
            Effect::Unknown
        } else if any(&[Residue::Partial, Residue::InForce]) {
            Effect::Partial
        } else if any(&[Residue::Schema]) {
            Effect::SchemaMoved
        } else if any(&[Residue::Reverted]) {
            Effect::Reverted
        } else {
            Effect::None
        }
    }

    fn bad_verdict(&self, cause: Option<&Cause>, effect: Effect) -> Verdict {
        match cause {
            Some(Cause::Superseded { .. }) if !self.touched && effect == Effect::None => Verdict::Superseded,
            Some(Cause::Rejected { .. } | Cause::WaveFailed(_)) if !self.touched && effect == Effect::None => {
                Verdict::Rejected
            }
            Some(Cause::Expired | Cause::NotReplicated { .. }) if !self.touched && effect == Effect::None => {
                Verdict::Expired
            }
            Some(cause) if cause.is_decided() => Verdict::Stopped,
            Some(_) | None => {
                let back = self.residues.contains(&Residue::Reverted) && !self.any_foreign && !effect.is_dirty();
                if back { Verdict::RolledBack } else { Verdict::Failed }
            }
        }
    }

    /// The first step that did not end well says more than the error that followed from it; an explicit decision says
    /// more than both.
    fn reason(&self, facts: &DeploymentFacts) -> Reason {
        let of_steps = self.any_foreign.then_some(Reason::ForeignChange).or_else(|| {
            self.forward
                .iter()
                .find_map(|(kind, outcome)| reason_of(*kind, (*outcome)?))
        });
        let of_steps = of_steps.or(match facts.verified {
            Verified::Failed { is_shown: true, .. } => Some(Reason::VerificationFailed),
            Verified::Failed { is_shown: false, .. } => Some(Reason::NotVerified),
            Verified::NotAsked | Verified::Unfinished | Verified::Passed | Verified::GaveWay { .. } => None,
        });
        match &facts.cause {
            Some(Cause::Superseded { .. }) => Reason::Superseded,
            Some(Cause::Rejected { .. }) => Reason::Rejected,
            Some(Cause::WaveFailed(_)) => Reason::WaveFailed,
            Some(Cause::Expired) => Reason::Expired,
            Some(Cause::NotReplicated { .. }) => Reason::NotReplicated,
            Some(Cause::Stopped { .. }) => Reason::Stopped,
            // Whoever hears that the plan changed asks again: once a step was begun, that would take it a second time.
            Some(Cause::Failure {
                kind: Some(ErrorKind::PlanChanged),
                ..
            }) if self.touched => of_steps.unwrap_or(Reason::Defect),
            Some(Cause::Failure { kind: Some(kind), .. }) => of_steps.unwrap_or_else(|| Reason::from(*kind)),
            Some(Cause::Failure { kind: None, .. }) => of_steps.unwrap_or(Reason::Interrupted),
            None if self.unaccounted => of_steps.unwrap_or(Reason::UnknownEffect),
            None => of_steps.unwrap_or(Reason::Interrupted),
        }
    }

    fn sentences(&self, facts: &DeploymentFacts) -> Vec<String> {
        let mut sentences: Vec<String> = facts.cause.iter().map(cause_sentence).collect();
        match &facts.verified {
            Verified::Failed { why, .. } => sentences.push(format!("the verification failed: {why}")),
            Verified::Unfinished if self.steps_left() == 0 => {
                sentences.push("it was not verified to the end".to_owned());
            }
            Verified::NotAsked | Verified::Unfinished | Verified::Passed | Verified::GaveWay { .. } => {}
        }
        let mut records: Vec<_> = facts.records.iter().collect();
        records.sort();
        sentences.extend(
            records
                .into_iter()
                .filter(|record| record.outcome != StepOutcome::Done && !record.sentence.is_empty())
                .map(|record| match step_name(facts, &record.step) {
                    Some(name) => format!("`{name}`: {}", record.sentence),
                    None => record.sentence.clone(),
                }),
        );
        sentences.extend(facts.left.iter().cloned());
        for intent in &facts.open_intents {
            let harm = match intent.step {
                None => "it changes nothing that runs",
                Some(_) if is_unsettled(facts, intent.step) => "nothing proves what it did",
                Some(_) => "its step was judged all the same",
            };
            sentences.push(format!(
                "`{}` on `{}` has no recorded outcome: {harm}",
                intent.action, intent.target
            ));
        }
        if sentences.is_empty() {
            sentences.push(match &facts.plan {
                Some(_) => format!(
                    "it ended with {} of {} left to do",
                    self.steps_left(),
                    words::counted(self.forward.len(), "step")
                ),
                None => "it ended before a plan was made".to_owned(),
            });
        }
        sentences
    }
}

/// How the pipeline file calls a step.
fn step_name<'a>(facts: &'a DeploymentFacts, step: &StepReference) -> Option<&'a str> {
    let planned = match step.mode {
        Mode::Forward => facts.plan.as_ref()?.steps.get(step.index),
        Mode::WayBack => facts.way_back.get(step.index),
    };
    planned.map(|planned| planned.name.as_str())
}

/// The records of every step, by attempt.
fn attempts_by_step(facts: &DeploymentFacts) -> BTreeMap<(Mode, usize), Vec<&StepRecord>> {
    let by_attempt: BTreeMap<StepReference, &StepRecord> =
        facts.records.iter().map(|record| (record.step, record)).collect();
    let mut by_step: BTreeMap<(Mode, usize), Vec<&StepRecord>> = BTreeMap::new();
    for (step, record) in by_attempt {
        by_step.entry((step.mode, step.index)).or_default().push(record);
    }
    by_step
}

/// An intent of a step is settled by a conclusive judgement of the same attempt, and for a service also by a proven way
/// back: whatever the act did, the service runs what it ran before. An intent of no step changes nothing that runs.
fn is_unsettled(facts: &DeploymentFacts, step: Option<StepReference>) -> bool {
    let Some(step) = step else { return false };
    let mut judged = facts.records.iter().filter(|record| record.step == step);
    !judged.any(|record| record.outcome.is_conclusive()) && !is_brought_back(facts, step)
}

/// Whether the service of a forward step is proven to run what it ran before.
fn is_brought_back(facts: &DeploymentFacts, step: StepReference) -> bool {
    let planned = facts.plan.as_ref().and_then(|plan| plan.steps.get(step.index));
    let Some(forward) = planned.filter(|planned| step.mode == Mode::Forward && planned.kind == StepKind::Service)
    else {
        return false;
    };
    let attempts = attempts_by_step(facts);
    facts.way_back.iter().enumerate().any(|(index, back)| {
        let last = attempts.get(&(Mode::WayBack, index)).and_then(|records| records.last());
        back.kind == StepKind::Service
            && back.name == forward.name
            // One that found the service there already proves nothing about an act that ECS may not have shown yet.
            && last.is_some_and(|record| record.outcome == StepOutcome::Done && !record.already_there)
    })
}

fn residue(step: &StepOutline, attempts: &[&StepRecord]) -> Residue {
    match step.kind {
        StepKind::Task => task_residue(step, attempts),
        StepKind::Service => service_residue(attempts),
    }
}

/// Only attempts that started count. A task that is not idempotent and started twice has done something that nobody
/// declared safe.
fn task_residue(step: &StepOutline, attempts: &[&StepRecord]) -> Residue {
    let started: Vec<StepOutcome> = attempts
        .iter()
        .map(|record| record.outcome)
        .filter(|outcome| *outcome != StepOutcome::NeverStarted)
        .collect();
    if started.len() > 1 && !step.idempotent {
        return Residue::Unknown;
    }
    match started.last() {
        None => Residue::Nothing,
        // A migration that failed said so itself and ended: its tool keeps the record of how far it came, and the next
        // release's migration goes on from there. Nobody must look first, but a rollback must know that the
        // schema may have moved.
        Some(StepOutcome::Done | StepOutcome::Failed) if step.is_migration => Residue::Schema,
        // A plain task says by its exit code what became of it, and leaves nothing that a rollback would have to know.
        Some(StepOutcome::Done) => Residue::Nothing,
        Some(StepOutcome::Failed) => Residue::Nothing,
        // Safe to run again by declaration.
        Some(StepOutcome::Unknown) if step.idempotent && step.is_migration => Residue::Schema,
        Some(StepOutcome::Unknown) if step.idempotent => Residue::Nothing,
        // A task that was ended from outside half-way; a task still running; an outcome that a task cannot have.
        Some(_) => Residue::Unknown,
    }
}

/// The last attempt counts: every attempt starts from what it finds. A service that ran its target before is not the
/// deployment's work.
fn service_residue(attempts: &[&StepRecord]) -> Residue {
    let moved = attempts
        .iter()
        .any(|record| record.outcome != StepOutcome::NeverStarted && !record.already_there);
    let Some(last) = attempts.last().filter(|_| moved) else {
        return Residue::Nothing;
    };
    match last.outcome {
        StepOutcome::Foreign => Residue::Nothing,
        StepOutcome::NeverStarted | StepOutcome::Failed => Residue::Partial,
        StepOutcome::Done => Residue::InForce,
        StepOutcome::Reverted => Residue::Reverted,
        StepOutcome::Begun | StepOutcome::Unknown => Residue::Unknown,
    }
}

/// What a service is left with after its way back.
fn brought_back(ahead: Residue, attempts: &[&StepRecord]) -> Residue {
    let Some(last) = attempts.last() else { return ahead };
    match last.outcome {
        StepOutcome::NeverStarted => ahead,
        // The very deployment from before: the service never moved.
        StepOutcome::Done if last.already_there => Residue::Nothing,
        StepOutcome::Done => Residue::Reverted,
        StepOutcome::Foreign => Residue::Nothing,
        // ECS went back from the way back: to what the deployment had put there.
        StepOutcome::Failed | StepOutcome::Reverted => Residue::Partial,
        StepOutcome::Begun | StepOutcome::Unknown => Residue::Unknown,
    }
}

/// What a migration is left with after its down command.
fn taken_back(ahead: Residue, back: &StepOutline, attempts: &[&StepRecord]) -> Residue {
    let is_done = attempts
        .last()
        .is_some_and(|record| record.outcome == StepOutcome::Done);
    match task_residue(back, attempts) {
        Residue::Nothing => ahead,
        Residue::Schema if is_done => Residue::Reverted,
        left => left,
    }
}

/// What the outcome of a step says about the whole; nothing where the cause says more.
const fn reason_of(kind: StepKind, outcome: StepOutcome) -> Option<Reason> {
    match (kind, outcome) {
        (_, StepOutcome::Done | StepOutcome::Begun) | (StepKind::Service, StepOutcome::NeverStarted) => None,
        (StepKind::Task, StepOutcome::NeverStarted) => Some(Reason::TaskNeverStarted),
        (StepKind::Task, StepOutcome::Failed) => Some(Reason::TaskFailed),
        (StepKind::Service, StepOutcome::Failed | StepOutcome::Reverted) => Some(Reason::RolloutFailed),
        (_, StepOutcome::Foreign) => Some(Reason::ForeignChange),
        (_, StepOutcome::Unknown) | (StepKind::Task, StepOutcome::Reverted) => Some(Reason::UnknownEffect),
    }
}

fn proven_sentence(plan: &PlanOutline, verified: &Verified) -> String {
    let count = |kind: StepKind| plan.steps.iter().filter(|step| step.kind == kind).count();
    let services = match count(StepKind::Service) {
        1 => "1 service is".to_owned(),
        several => format!("{several} services are"),
    };
    let tasks = match count(StepKind::Task) {
        0 => String::new(),
        1 => ", besides 1 task".to_owned(),
        several => format!(", besides {several} tasks"),
    };
    let verified = match verified {
        Verified::Passed => ", and the verification passed",
        Verified::NotAsked | Verified::Unfinished | Verified::GaveWay { .. } | Verified::Failed { .. } => "",
    };
    format!("{services} proven to run the release{tasks}{verified}")
}

fn cause_sentence(cause: &Cause) -> String {
    match cause {
        Cause::Failure { at, message, .. } => format!("`{at}` failed: {message}"),
        Cause::Superseded { by } => format!("release `{by}` took its place"),
        Cause::Rejected { by } => format!("rejected by {by}"),
        Cause::WaveFailed(WaveFailed { environment, verdict }) => {
            format!("`{environment}`, in the same wave, ended {verdict}")
        }
        Cause::Expired => "nobody answered in time".to_owned(),
        Cause::NotReplicated { image, repository } => {
            format!(
                "the image `{image}` did not arrive in `{repository}` in time: `aws ecr describe-image-replication-status` says more"
            )
        }
        Cause::Stopped { by, why } => format!("stopped by {by}: {why}"),
    }
}
