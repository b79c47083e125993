//! One sentence for every record of the ledger.

use esclusa_core::gate::Closed;
use esclusa_core::ledger::{Record, RecordKind};
use esclusa_core::verification::VerificationEnd;
use jiff::Timestamp;
use serde::Deserialize as _;
use serde_json::Value;

use super::words;

/// How many of the last lines of a task are told.
const LAST_LINES: usize = 3;

/// What happened, from the facts of the record; the facts themselves where they are not as this program knows them.
pub(crate) fn sentence(record: &Record) -> String {
    let Ok(body) = record.body.value() else {
        return record.body.as_str().to_owned();
    };
    let facts = Facts { record, body: &body };
    facts.sentence().unwrap_or_else(|| record.body.as_str().to_owned())
}

/// The kind of a record in words.
pub(crate) fn kind(kind: RecordKind) -> String {
    kind.as_str().replace('_', " ")
}

struct Facts<'a> {
    record: &'a Record,
    body: &'a Value,
}

impl Facts<'_> {
    fn sentence(&self) -> Option<String> {
        match self.record.kind {
            RecordKind::PushReceived => self.push_received(),
            RecordKind::PushIgnored => self.push_ignored(),
            RecordKind::ImageGone => Some(format!(
                "{} is gone from `{}` but in force in {}: no further task of it can be started",
                self.digest()?,
                self.text("/repository")?,
                self.list("/facts/environments")?
            )),
            RecordKind::ReleaseClaimed => self.release_claimed(),
            RecordKind::ReleaseStarted => Some(format!("at work, for {}", self.list("/environments")?)),
            RecordKind::ReleaseEnded => self.release_ended(),
            RecordKind::Planned => self.planned(),
            RecordKind::DeploymentStarted => Some(format!(
                "deployment `{}` is on its way",
                self.record.deployment_id.as_ref()?
            )),
            RecordKind::DeploymentEnded => self.deployment_ended(),
            RecordKind::Intent => Some(format!("{}will call {}", self.way(), self.act()?)),
            RecordKind::Outcome => Some(format!("{}{}", self.way(), self.outcome()?)),
            RecordKind::RestorePoint => self.restore_point(),
            RecordKind::TaskState => self.task_state(),
            RecordKind::TaskStopped => self.task_stopped(),
            RecordKind::ServiceProgress => self.service_progress(),
            RecordKind::Judged => Some(format!("{}{}", self.way(), self.judged()?)),
            RecordKind::WayBackPlanned => self.way_back_planned(),
            RecordKind::PipelineApplied => self.pipeline_applied(),
            RecordKind::ChecksMeasured => self.checks_measured(),
            RecordKind::Rechecked => self.rechecked(),
            RecordKind::GatesAsked => self.gates_asked(),
            RecordKind::Evidence => Some(format!("`{}`: {}", self.text("/name")?, self.text("/sentence")?)),
            RecordKind::LockAwaited => Some(format!(
                "waits for `{}`, behind deployment `{}`",
                self.text("/lock")?,
                self.text("/behind")?
            )),
            RecordKind::LockAcquired => Some(format!("holds {}", self.lock_names()?)),
            RecordKind::PersonDecided => self.person_decided(),
            RecordKind::DecisionRefused => Some(format!("was refused: {}", self.text("/why")?)),
        }
    }

    fn push_received(&self) -> Option<String> {
        let tag = self.text("/tag")?;
        let generation = self
            .number("/facts/generation")
            .map(|generation| format!(", generation {generation} of the tag"));
        Some(format!(
            "`{}:{tag}` is {}{}",
            self.text("/repository")?,
            self.digest()?,
            generation.unwrap_or_default()
        ))
    }

    fn push_ignored(&self) -> Option<String> {
        let pushed = match (self.text("/tag"), self.record.digest.as_deref()) {
            (Some(tag), _) => format!("`{}:{tag}`", self.text("/repository")?),
            (None, Some(digest)) => format!(
                "{} in `{}`, without a tag,",
                words::digest(digest),
                self.text("/repository")?
            ),
            (None, None) => format!("a push to `{}`", self.text("/repository")?),
        };
        Some(format!(
            "{pushed} starts no release: {}",
            self.text("/facts/reason").or_else(|| self.text("/reason"))?
        ))
    }

    fn release_claimed(&self) -> Option<String> {
        let what = format!(
            "{} of `{}` ({}) for {}",
            self.text("/kind")?,
            self.text("/tag")?,
            self.digest()?,
            self.list("/environments")?
        );
        let back = self
            .text("/targetRelease")
            .map(|target| format!(", back to release `{target}`"));
        let by = self.text("/requestedBy").map(|by| format!(", requested by {by}"));
        let reason = self.text("/reason").map(|reason| format!(": {reason}"));
        Some([Some(what), back, by, reason].into_iter().flatten().collect())
    }

    fn release_ended(&self) -> Option<String> {
        let end = self.end()?;
        let anchor = self
            .number("/head/sequence")
            .map(|sequence| format!(" (its chain has {sequence} records)"));
        Some(format!("{end}{}", anchor.unwrap_or_default()))
    }

    fn deployment_ended(&self) -> Option<String> {
        let locks = self
            .body
            .pointer("/locks")
            .and_then(Value::as_object)
            .into_iter()
            .flatten();
        let quarantined = locks
            .filter(|(_, state)| *state == "quarantined")
            .map(|(name, _)| name.as_str());
        let quarantined: Vec<&str> = quarantined.collect();
        let closed = match quarantined.as_slice() {
            [] => String::new(),
            [_] => format!("; lock {} is quarantined", words::names(quarantined)),
            _ => format!("; locks {} are quarantined", words::names(quarantined)),
        };
        Some(format!("{}{closed}", self.end()?))
    }

    fn end(&self) -> Option<String> {
        let reasons: Vec<&str> = self
            .body
            .pointer("/end/reasons")?
            .as_array()?
            .iter()
            .filter_map(Value::as_str)
            .collect();
        let reasons = if reasons.is_empty() {
            String::new()
        } else {
            format!(": {}", reasons.join("; "))
        };
        Some(format!(
            "{}, effect {}{reasons}",
            self.text("/end/verdict")?,
            self.text("/end/effect")?
        ))
    }

    fn planned(&self) -> Option<String> {
        let plan = format!("plan {}", words::hash(self.text("/planHash")?));
        if self.body.pointer("/unchanged").and_then(Value::as_bool) == Some(true) {
            return Some(format!("{plan}: nothing to do"));
        }
        let steps = self.body.pointer("/steps")?.as_array()?;
        let steps: Vec<String> = steps.iter().map(planned_step).collect::<Option<_>>()?;
        let revisions = self
            .body
            .pointer("/revisions")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        let new = revisions
            .filter(|revision| revision.pointer("/action/kind").is_some_and(|kind| kind == "register"))
            .count();
        let registers = match new {
            0 => String::new(),
            _ => format!(", with {}", words::count(new, "new task definition")),
        };
        Some(match steps.as_slice() {
            [] => format!("{plan}: no step"),
            steps => format!("{plan}: {}{registers}", steps.join(", then ")),
        })
    }

    /// What each check measured.
    fn measurements(&self) -> Option<Vec<String>> {
        let checks = self.body.pointer("/checks")?.as_array()?;
        let shown = checks.iter().map(|measured| {
            let text = |member: &str| measured.get(member).and_then(Value::as_str);
            Some(format!(
                "`{}` {}: {}",
                text("check")?,
                text("outcome")?,
                text("sentence")?
            ))
        });
        shown.collect()
    }

    fn gates_asked(&self) -> Option<String> {
        if let Some(closed) = self.body.get("closed").filter(|closed| !closed.is_null()) {
            return Closed::deserialize(closed).ok().map(gate_closed);
        }
        let gates = self.body.get("gates").and_then(Value::as_array)?;
        let mut sentences = Vec::new();
        for gate in gates {
            let text = |member: &str| gate.get(member).and_then(Value::as_str);
            let until = text("until").map(|until| until.parse().map_or_else(|_| until.to_owned(), words::time));
            let until = until.map(|until| format!(", until {until}"));
            sentences.push(format!(
                "{}: {}{}",
                text("gate")?,
                text("sentence")?,
                until.unwrap_or_default()
            ));
        }
        if sentences.is_empty() {
            return Some("no gate is closed".to_owned());
        }
        Some(sentences.join("; "))
    }

    fn rechecked(&self) -> Option<String> {
        let mut sentences = self.measurements()?;
        sentences.push(match (self.text("/revoked/why"), self.truth("/changed")?) {
            (Some(_), true) => "the verification no longer holds".to_owned(),
            (Some(_), false) => "the verification still does not hold".to_owned(),
            (None, true) => "the verification holds again".to_owned(),
            (None, false) => "the verification holds".to_owned(),
        });
        Some(sentences.join("; "))
    }

    fn checks_measured(&self) -> Option<String> {
        let mut sentences = self.measurements()?;
        for question in self
            .body
            .get("questions")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            let text = |member: &str| question.get(member).and_then(Value::as_str);
            let until = text("until")?;
            let until = until.parse().map_or_else(|_| until.to_owned(), words::time);
            sentences.push(format!(
                "`{}` asks until {until}, then it is `{}`",
                text("check")?,
                text("unanswered")?
            ));
        }
        if let Some(end) = self.body.get("end").filter(|end| !end.is_null()) {
            sentences.push(verification_ended(VerificationEnd::deserialize(end).ok()?));
        } else if let Some(since) = self.text("/healthySince") {
            let since = since.parse().map_or_else(|_| since.to_owned(), words::time);
            sentences.push(format!("healthy since {since}"));
        }
        Some(sentences.join("; "))
    }

    fn way_back_planned(&self) -> Option<String> {
        let texts = |member: &str| {
            let texts = self.body.get(member).and_then(Value::as_array)?;
            texts.iter().map(Value::as_str).collect::<Option<Vec<&str>>>()
        };
        let names = texts("services")?;
        let migrations = texts("migrations").unwrap_or_default();
        let left = texts("left").unwrap_or_default();
        let mut sentences = vec![match names.as_slice() {
            [] if migrations.is_empty() => "nothing is to be brought back".to_owned(),
            [] => "no service is to be brought back".to_owned(),
            [_] => format!("service {} is to be brought back", words::names(names)),
            _ => format!("services {} are to be brought back, in this order", words::names(names)),
        }];
        if !migrations.is_empty() {
            sentences.push(format!("then {} is to be taken back", words::names(migrations)));
        }
        sentences.extend(left.into_iter().map(str::to_owned));
        Some(sentences.join("; "))
    }

    /// An act, such as "`ecs:UpdateService` on `api`".
    fn act(&self) -> Option<String> {
        let target = self.text("/target")?;
        let target = if target.starts_with("arn:") {
            words::resource(target)
        } else {
            target
        };
        Some(format!("`{}` on `{target}`", self.text("/action")?))
    }

    fn outcome(&self) -> Option<String> {
        let outcome = self.body.pointer("/outcome")?;
        let text = |name: &str| outcome.get(name).and_then(Value::as_str);
        let came = if let Some(refused) = outcome.get("refused") {
            format!("refused: {}", refused.get("message")?.as_str()?)
        } else if let Some(definition) = text("taskDefinitionArn") {
            format!("there is `{}`", words::resource(definition))
        } else if let Some(task) = text("taskArn") {
            format!("there is task `{}`", words::resource(task))
        } else if let Some(deployment) = text("ecsDeploymentId") {
            let is_called = outcome.get("called").and_then(Value::as_bool)?;
            let how = if is_called {
                "began"
            } else {
                "not needed, it is the work of"
            };
            format!("{how} deployment `{deployment}` of ECS")
        } else if outcome.get("registered").is_some() {
            "it is registered".to_owned()
        } else if outcome.get("suspended").is_some() {
            "scaling suspended".to_owned()
        } else if outcome.get("restored").is_some() {
            "scaling restored".to_owned()
        } else if let Some(snapshot) = text("snapshot") {
            format!("the snapshot `{snapshot}` is being taken")
        } else if outcome.get("stopping").is_some() {
            "the task was asked to stop".to_owned()
        } else if let Some(rollback) = text("rollback") {
            match rollback {
                "requested" => "ECS rolls it back".to_owned(),
                "over" => "it had already ended".to_owned(),
                other => other.replace('_', " "),
            }
        } else if let Some(reasons) = outcome.get("reasons").and_then(Value::as_array) {
            let reasons: Vec<&str> = reasons.iter().filter_map(Value::as_str).collect();
            format!("no task was started: {}", reasons.join("; "))
        } else {
            outcome.to_string()
        };
        Some(format!("{}: {came}", self.act()?))
    }

    fn restore_point(&self) -> Option<String> {
        let source = self.body.pointer("/source")?.as_object()?;
        let (kind, name) = source.iter().next()?;
        let latest: Option<Timestamp> = self.text("/latestRestorable").and_then(|at| at.parse().ok());
        let restorable = match (latest, self.text("/lack")) {
            (Some(latest), _) => format!("{kind} `{}` can be restored to {}", name.as_str()?, words::time(latest)),
            (None, lack) => format!("{}, which the pipeline accepts", lack?),
        };
        let snapshot = self
            .text("/snapshot")
            .map(|snapshot| format!("; there is the snapshot `{snapshot}`"));
        Some(format!(
            "before `{}` migrates `{}`: {restorable}{}",
            self.text("/name")?,
            self.text("/database")?,
            snapshot.unwrap_or_default()
        ))
    }

    fn task_state(&self) -> Option<String> {
        let at: Option<Timestamp> = self.text("/state/at").and_then(|at| at.parse().ok());
        let at = at.map(|at| format!(" at {}", words::time(at)));
        Some(format!(
            "task `{}` was {}{} (version {})",
            self.text("/name")?,
            self.text("/state/status")?,
            at.unwrap_or_default(),
            self.number("/state/version")?
        ))
    }

    fn task_stopped(&self) -> Option<String> {
        let name = self.text("/name")?;
        let log = self.last_lines();
        if self.body.pointer("/task")?.is_null() {
            return Some(format!(
                "nothing tells how task `{name}` ended: ECS no longer lists it{log}"
            ));
        }
        let containers = self.body.pointer("/task/containers").and_then(Value::as_array);
        let codes: Vec<String> = containers
            .into_iter()
            .flatten()
            .filter_map(|container| {
                let code = container.get("exitCode").and_then(Value::as_i64);
                let code = code.map_or_else(|| "no exit code".to_owned(), |code| format!("exit code {code}"));
                Some(format!("`{}` {code}", container.get("name")?.as_str()?))
            })
            .collect();
        let codes = if codes.is_empty() {
            String::new()
        } else {
            format!(" with {}", codes.join(", "))
        };
        let why = self.text("/task/stoppedReason").map(|reason| format!(": {reason}"));
        Some(format!("task `{name}` stopped{codes}{}{log}", why.unwrap_or_default()))
    }

    /// The end of what a task wrote.
    fn last_lines(&self) -> String {
        let lines = self
            .body
            .pointer("/log")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        let lines: Vec<&str> = lines.filter_map(|line| line.get("text")?.as_str()).collect();
        let last = lines.iter().skip(lines.len().saturating_sub(LAST_LINES));
        match lines.as_slice() {
            [] => String::new(),
            _ => format!("; its last output: {}", words::names(last)),
        }
    }

    fn service_progress(&self) -> Option<String> {
        let counts = self.body.pointer("/counts")?.as_array()?;
        let is_primary = |counts: &&Value| counts.get("status").is_some_and(|status| status == "PRIMARY");
        let primary = counts.iter().find(is_primary)?;
        let count = |name: &str| primary.get(name).and_then(Value::as_u64);
        let pending = count("pending").filter(|pending| *pending > 0);
        let pending = pending.map(|pending| format!(", {pending} starting"));
        Some(format!(
            "service `{}`: {} of {} running{}{}",
            self.text("/name")?,
            count("running")?,
            count("desired")?,
            pending.unwrap_or_default(),
            self.said()
        ))
    }

    fn judged(&self) -> Option<String> {
        let outcome = match self.text("/outcome")? {
            "reverted" => "rolled back".to_owned(),
            outcome => outcome.replace('_', " "),
        };
        Some(format!("`{}` {outcome}{}", self.text("/name")?, self.said()))
    }

    /// What somebody said about a step.
    fn said(&self) -> String {
        let sentence = self.text("/sentence").filter(|sentence| !sentence.is_empty());
        sentence.map(|sentence| format!(": {sentence}")).unwrap_or_default()
    }

    fn pipeline_applied(&self) -> Option<String> {
        let by = self
            .text("/appliedBy")
            .filter(|by| *by != self.record.actor)
            .map(|by| format!(", applied by {by}"));
        let version = format!(
            "version {} ({})",
            self.number("/version")?,
            words::hash(self.text("/sha256")?)
        );
        Some(format!(
            "{version} for {}{}",
            self.list("/environments")?,
            by.unwrap_or_default()
        ))
    }

    fn person_decided(&self) -> Option<String> {
        let reason = self
            .text("/reason")
            .map(|reason| format!(": {reason}"))
            .unwrap_or_default();
        Some(match self.text("/decision")? {
            "quarantine" => format!(
                "puts `{}` into quarantine{reason}",
                words::digest(self.text("/digest")?)
            ),
            "release_quarantine" => format!(
                "let `{}` out of quarantine{reason}",
                words::digest(self.text("/digest")?)
            ),
            "unlock" => format!("freed lock `{}`{reason}", self.text("/lock")?),
            "approve" => format!("approves `{}`{reason}", self.text("/tag")?),
            "reject" => format!("rejects `{}`{reason}", self.text("/tag")?),
            "acknowledge" => format!(
                "acknowledges `{}` for `{}`{reason}",
                self.text("/name")?,
                self.text("/tag")?
            ),
            "freeze" => format!("freezes {}{reason}", self.text("/place")?),
            "unfreeze" => format!("lifts the freeze of {}{reason}", self.text("/place")?),
            "hold" => format!("holds `{}`{reason}", self.text("/tag")?),
            "release_hold" => format!("lets `{}` continue{reason}", self.text("/tag")?),
            "pin" => format!("pins {} to `{}`{reason}", self.text("/place")?, self.text("/tag")?),
            "unpin" => format!(
                "lifts the pin of {} to `{}`{reason}",
                self.text("/place")?,
                self.text("/tag")?
            ),
            "settle_debt" => format!("settles what `{}` owed{reason}", self.text("/tag")?),
            "stop" => format!("stops `{}`{reason}", self.text("/tag")?),
            "answer" => {
                let what = match self.text("/choice")? {
                    "keep" => "keeps the release despite",
                    _ => "rolls the release back for",
                };
                format!("{what} check `{}`{reason}", self.text("/check")?)
            }
            other => format!("{}{reason}", other.replace('_', " ")),
        })
    }

    /// The locks of a record, which has the fence of each.
    fn lock_names(&self) -> Option<String> {
        let names: Vec<&str> = self
            .body
            .pointer("/locks")?
            .as_object()?
            .keys()
            .map(String::as_str)
            .collect();
        Some(format!(
            "{} {}",
            if names.len() == 1 { "lock" } else { "locks" },
            words::names(names)
        ))
    }

    /// Which way a step goes, where it is not forward.
    fn way(&self) -> &'static str {
        match self.text("/step/mode") {
            Some("way_back") => "on the way back, ",
            Some(_) | None => "",
        }
    }

    fn digest(&self) -> Option<String> {
        self.record
            .digest
            .as_deref()
            .or_else(|| self.text("/digest"))
            .map(words::digest)
    }

    fn list(&self, pointer: &str) -> Option<String> {
        let entries = self.body.pointer(pointer)?.as_array()?;
        Some(words::names(entries.iter().filter_map(Value::as_str)))
    }

    fn text(&self, pointer: &str) -> Option<&str> {
        self.body.pointer(pointer)?.as_str()
    }

    fn truth(&self, pointer: &str) -> Option<bool> {
        self.body.pointer(pointer)?.as_bool()
    }

    fn number(&self, pointer: &str) -> Option<u64> {
        self.body.pointer(pointer)?.as_u64()
    }
}

/// Why a release does not come into an environment any more.
fn gate_closed(closed: Closed) -> String {
    match closed {
        Closed::Rejected { by } => format!("rejected by {by}"),
        Closed::Expired => "nobody answered in time".to_owned(),
        Closed::NotReplicated { image, repository } => {
            format!("the image `{image}` did not arrive in `{repository}` in time")
        }
        Closed::Superseded { by } => format!("release `{by}` takes its place"),
        Closed::WaveFailed(failed) => {
            format!("`{}`, in the same wave, ended {}", failed.environment, failed.verdict)
        }
        Closed::Stopped { by, why } => format!("stopped by `{by}`: {why}"),
    }
}

/// How a verification ended.
fn verification_ended(end: VerificationEnd) -> String {
    match end {
        VerificationEnd::Passed { .. } => "the verification passed".to_owned(),
        VerificationEnd::GaveWay { to } => format!("gave way to `{to}`"),
        VerificationEnd::Stopped { by, why } => format!("stopped by `{by}`: {why}"),
        VerificationEnd::Failed { why, .. } => format!("the verification failed: {why}"),
    }
}

/// A step of a plan: its kind is the name of the member that names it.
fn planned_step(step: &Value) -> Option<String> {
    let named = |kind: &str| Some(format!("{kind} `{}`", step.get(kind)?.as_str()?));
    named("task").or_else(|| named("service"))
}

#[cfg(test)]
pub(crate) mod tests;
