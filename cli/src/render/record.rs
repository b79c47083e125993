//! One sentence for every record of the ledger.

use esclusa_core::ledger::{Record, RecordKind};
use serde_json::Value;

use super::words;

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
            RecordKind::ReleaseClaimed => self.release_claimed(),
            RecordKind::ReleaseStarted => Some(format!("at work, for {}", self.list("/environments")?)),
            RecordKind::ReleaseEnded => self.release_ended(),
            RecordKind::Planned => self.planned(),
            RecordKind::DeploymentStarted => Some(format!(
                "deployment `{}` is on its way",
                self.record.deployment_id.as_ref()?
            )),
            RecordKind::DeploymentEnded => self.end(),
            RecordKind::Intent => Some(format!("will call {}", self.act()?)),
            RecordKind::Outcome => self.outcome(),
            RecordKind::TaskState => self.task_state(),
            RecordKind::TaskStopped => self.task_stopped(),
            RecordKind::ServiceProgress => self.service_progress(),
            RecordKind::Judged => self.judged(),
            RecordKind::WayBackPlanned => self.way_back_planned(),
            RecordKind::PipelineApplied => self.pipeline_applied(),
            RecordKind::LockAcquired => Some(format!("holds {}", self.lock_names()?)),
            RecordKind::LockReleased => Some(format!("gave back {}", self.lock_names()?)),
            RecordKind::LockTakenOver => Some(format!("took over {}", self.lock_names()?)),
            RecordKind::LockQuarantined => self.lock_quarantined(),
            RecordKind::PersonDecided => self.person_decided(),
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
        let by = self.text("/requestedBy").map(|by| format!(", asked for by {by}"));
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
        let hash = self.text("/planHash").or_else(|| self.text("/plan_hash"))?;
        let unchanged = self.body.pointer("/unchanged").and_then(Value::as_bool) == Some(true);
        let steps = self
            .step_names("/steps")
            .map(|steps| format!(": {steps}"))
            .unwrap_or_default();
        Some(format!(
            "plan {}{}",
            words::hash(hash),
            if unchanged { ": nothing to do".to_owned() } else { steps }
        ))
    }

    fn way_back_planned(&self) -> Option<String> {
        let steps = self.step_names("/steps")?;
        Some(if steps == "none" {
            "nothing is to be brought back".to_owned()
        } else {
            format!("back through {steps}")
        })
    }

    /// An act, such as "`ecs:UpdateService` on `api`".
    fn act(&self) -> Option<String> {
        Some(format!(
            "`{}` on `{}`",
            self.text("/action")?,
            words::resource(self.text("/target")?)
        ))
    }

    fn outcome(&self) -> Option<String> {
        let outcome = self.body.pointer("/outcome")?;
        let came = match outcome {
            Value::Null => "done".to_owned(),
            Value::String(words) => words.clone(),
            Value::Object(members) if members.is_empty() => "done".to_owned(),
            Value::Object(members) => {
                let shown = members.iter().filter(|(_, value)| !value.is_null());
                let shown = shown.map(|(name, value)| {
                    format!(
                        "{name} {}",
                        value.as_str().map_or_else(|| value.to_string(), str::to_owned)
                    )
                });
                shown.collect::<Vec<_>>().join(", ")
            }
            other => other.to_string(),
        };
        Some(format!("{}: {came}", self.act()?))
    }

    fn task_state(&self) -> Option<String> {
        let task = self.either("/taskArn", "/task_arn")?;
        Some(format!(
            "task `{}` is {}",
            words::resource(task),
            self.either("/lastStatus", "/last_status")?
        ))
    }

    fn task_stopped(&self) -> Option<String> {
        let task = if self.body.pointer("/task").is_some() {
            "/task"
        } else {
            ""
        };
        let member = |name: &str| self.text(&format!("{task}/{name}"));
        let arn = member("taskArn")?;
        let containers = self
            .body
            .pointer(&format!("{task}/containers"))
            .and_then(Value::as_array);
        let codes: Vec<String> = containers
            .into_iter()
            .flatten()
            .filter_map(|container| {
                let code = container.get("exitCode").and_then(Value::as_i64);
                let code = code.map_or_else(|| "no exit code".to_owned(), |code| format!("exit code {code}"));
                Some(format!("`{}` {code}", container.get("name")?.as_str()?))
            })
            .collect();
        let why = member("stoppedReason")
            .map(|reason| format!(": {reason}"))
            .unwrap_or_default();
        let codes = if codes.is_empty() {
            String::new()
        } else {
            format!(" with {}", codes.join(", "))
        };
        Some(format!("task `{}` stopped{codes}{why}", words::resource(arn)))
    }

    fn service_progress(&self) -> Option<String> {
        let count = |name: &str| {
            self.number(&format!("/{name}Count"))
                .or_else(|| self.number(&format!("/{name}")))
        };
        let service = self.either("/service", "/serviceArn")?;
        let running = format!("{} of {} running", count("running")?, count("desired")?);
        let pending = count("pending")
            .filter(|pending| *pending > 0)
            .map(|pending| format!(", {pending} starting"));
        Some(format!(
            "service `{}`: {running}{}",
            words::resource(service),
            pending.unwrap_or_default()
        ))
    }

    fn judged(&self) -> Option<String> {
        let name = self.text("/name").map(|name| format!("`{name}` ")).unwrap_or_default();
        let outcome = self.text("/outcome")?.replace('_', " ");
        let sentence = self
            .text("/sentence")
            .filter(|sentence| !sentence.is_empty())
            .map(|sentence| format!(": {sentence}"));
        Some(format!("{name}{outcome}{}", sentence.unwrap_or_default()))
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

    fn lock_quarantined(&self) -> Option<String> {
        let why = self
            .text("/reason")
            .map(|reason| format!(": {reason}"))
            .unwrap_or_default();
        Some(format!(
            "nobody may move until a person has looked at {}{why}",
            self.lock_names()?
        ))
    }

    fn person_decided(&self) -> Option<String> {
        let reason = self
            .text("/reason")
            .map(|reason| format!(": {reason}"))
            .unwrap_or_default();
        Some(match self.text("/decision")? {
            "lift_quarantine" => format!("gave lock `{}` free again{reason}", self.text("/lock")?),
            other => format!("{}{reason}", other.replace('_', " ")),
        })
    }

    /// The locks of a record: one by name, several in a list, or several with the fence of each.
    fn lock_names(&self) -> Option<String> {
        if let Some(lock) = self.text("/lock") {
            return Some(format!("lock `{lock}`"));
        }
        let locks = self.body.pointer("/locks")?;
        let names: Vec<&str> = match locks {
            Value::Object(fences) => fences.keys().map(String::as_str).collect(),
            Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
            _ => return None,
        };
        Some(format!(
            "{} {}",
            if names.len() == 1 { "lock" } else { "locks" },
            words::names(names)
        ))
    }

    fn step_names(&self, pointer: &str) -> Option<String> {
        let steps = self.body.pointer(pointer)?.as_array()?;
        let name = |step: &Value| {
            let name = step.as_str().or_else(|| step.get("name").and_then(Value::as_str))?;
            let kind = step
                .get("kind")
                .and_then(Value::as_str)
                .map(|kind| format!("{kind} "))
                .unwrap_or_default();
            Some(format!("{kind}`{name}`"))
        };
        let names: Option<Vec<String>> = steps.iter().map(name).collect();
        names.map(|names| {
            if names.is_empty() {
                "none".to_owned()
            } else {
                names.join(", ")
            }
        })
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

    fn either(&self, one: &str, other: &str) -> Option<&str> {
        self.text(one).or_else(|| self.text(other))
    }

    fn number(&self, pointer: &str) -> Option<u64> {
        self.body.pointer(pointer)?.as_u64()
    }
}

#[cfg(test)]
pub(crate) mod tests;
