//! What a person orders about releases and environments, written once, wherever it comes from: the command line, the
//! API, a button.

mod quarantine;
mod wish;

use esclusa_core::decision::{Refusal, check_length};
use esclusa_core::error::{ErrorKind, Failure};
use esclusa_core::gate::{self, Acknowledged, Lifted, may_acknowledge};
use esclusa_core::hotfix::Debt;
use esclusa_core::ledger::{Body, Chain, Draft, RecordKind};
use esclusa_core::pipeline::{Acknowledgement, ApplicationName, EnvironmentName};
use jiff::Timestamp;
use serde_json::{Value, json};

use self::quarantine::Suspect;
pub use self::wish::Wish;
use super::Waiting;
use crate::control::rows::{EnvironmentRow, PipelineCurrentRow, Progress, ReleaseKind, ReleaseRow};
use crate::control::{Change, Expected, Key, Repository, Stored};
use crate::gates::{EVERYTHING, Electorate};
use crate::journal::{Commit, Committed, Journal};
use crate::planning::{pipeline_version, release_in_force};

/// What is frozen.
struct Frozen<'a> {
    application: Option<&'a ApplicationName>,
    environment: Option<&'a EnvironmentName>,
}

/// Who orders, and when.
struct Orderer<'a> {
    by: &'a str,
    at: Timestamp,
    along: &'a [Change],
}

impl Orderer<'_> {
    /// An order from now on.
    fn order(&self, reason: &str, until: Option<Timestamp>) -> Result<gate::Order, Refusal> {
        if let Some(until) = until.filter(|until| *until <= self.at) {
            return Err(refused(format!("`{until}` must be in the future")));
        }
        Ok(gate::Order {
            by: self.by.to_owned(),
            reason: reason.trim().to_owned(),
            since: self.at,
            until,
            lifted: None,
        })
    }

    fn lifted(&self, reason: &str) -> Lifted {
        Lifted {
            by: self.by.to_owned(),
            reason: reason.trim().to_owned(),
            at: self.at,
        }
    }
}

fn refused(why: impl Into<String>) -> Refusal {
    Refusal::Order { why: why.into() }
}

/// What an order came to: what is told of it, or why nothing was done.
type Ordered = Result<Result<Value, Refusal>, Failure>;

impl Journal {
    /// Carries out what `by`, a principal, wants, or says why not. `along` is written with it, or nothing is.
    ///
    /// # Errors
    /// What the tables answered.
    pub async fn order(&self, wish: &Wish, by: &str, along: &[Change]) -> Ordered {
        if wish.reason().is_some_and(|reason| reason.trim().is_empty()) {
            return Ok(Err(refused("a reason is required")));
        }
        if let Some(Err(refusal)) = wish.words().map(check_length) {
            return Ok(Err(refusal));
        }
        let orderer = Orderer {
            by,
            at: self.clock().now()?,
            along,
        };
        match wish {
            Wish::Hold { release, reason, until } => self.hold(release, reason, *until, &orderer).await,
            Wish::ReleaseHold { release, reason } => self.release_hold(release, reason, &orderer).await,
            Wish::Stop { release, reason } => self.order_stop(release, reason, &orderer).await,
            Wish::Pin {
                application,
                environment,
                reason,
                until,
            } => self.pin(application, environment, (reason, *until), &orderer).await,
            Wish::Unpin {
                application,
                environment,
                reason,
            } => self.unpin(application, environment, reason, &orderer).await,
            Wish::Freeze {
                application,
                environment,
                reason,
                until,
                stop,
            } => {
                let place = Frozen::of(application.as_ref(), environment.as_ref());
                if let Some(refusal) = self.no_such_place(&place).await? {
                    return Ok(Err(refusal));
                }
                let frozen = self.freeze(&place, reason, *until, &orderer).await?;
                match frozen {
                    Ok(told) if *stop => self.stop_all(&place, reason, told, &orderer).await,
                    frozen => Ok(frozen),
                }
            }
            Wish::Unfreeze {
                application,
                environment,
                reason,
            } => {
                let place = Frozen::of(application.as_ref(), environment.as_ref());
                self.unfreeze(&place, reason, &orderer).await
            }
            Wish::Acknowledge {
                release,
                environment,
                name,
                note,
            } => {
                let note = note.as_deref();
                self.acknowledge((release, environment.as_deref()), name, note, &orderer)
                    .await
            }
            Wish::Quarantine {
                account,
                region,
                repository,
                digest,
                tag,
                reason,
            } => {
                let repository = Repository {
                    account,
                    region,
                    name: repository,
                };
                let tag = tag.as_deref();
                let suspect = Suspect {
                    repository,
                    digest,
                    tag,
                };
                self.put_into_quarantine(&suspect, reason, &orderer).await
            }
            Wish::SettleDebt { release, reason } => self.settle_debt(release, reason, &orderer).await,
        }
    }

    async fn hold(&self, release: &str, reason: &str, until: Option<Timestamp>, orderer: &Orderer<'_>) -> Ordered {
        let row = match self.on_its_way(release).await? {
            Ok(row) => row,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let key = Key::hold(release);
        let stored: Option<Stored<gate::Order>> = self.control().get(&key).await?;
        if let Some(gate::Order { by, reason, .. }) = stored
            .as_ref()
            .map(|stored| &stored.row)
            .filter(|held| held.holds(orderer.at))
        {
            return Ok(Err(refused(format!(
                "release `{release}` is already held by `{by}`: {reason}"
            ))));
        }
        let held = match orderer.order(reason, until) {
            Ok(held) => held,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let body = json!({"decision": "hold", "tag": row.tag, "reason": held.reason, "until": held.until});
        let change = Change::put(key, &held, Expected::unchanged(stored.as_ref()))?;
        let draft = about(&row, orderer.by, &body)?;
        let told = json!({"hold": held, "tag": row.tag});
        let what = "the hold of the release has just changed";
        self.written(&row.application, (vec![change], draft), (told, what), orderer)
            .await
    }

    async fn release_hold(&self, release: &str, reason: &str, orderer: &Orderer<'_>) -> Ordered {
        let Some(row) = self.known(release).await? else {
            return Ok(Err(unknown(release)));
        };
        let key = Key::hold(release);
        let stored: Option<Stored<gate::Order>> = self.control().get(&key).await?;
        let Some(stored) = stored.filter(|stored| stored.row.holds(orderer.at)) else {
            return Ok(Err(refused(format!("release `{release}` is not held"))));
        };
        let body = json!({"decision": "release_hold", "tag": row.tag, "reason": reason, "since": stored.row.since});
        let lifted = stored.row.lifted(orderer.lifted(reason));
        let change = Change::put(key, &lifted, Expected::Revision(stored.revision))?;
        let draft = about(&row, orderer.by, &body)?;
        let told = json!({"hold": lifted, "tag": row.tag});
        let what = "the hold of the release has just changed";
        self.written(&row.application, (vec![change], draft), (told, what), orderer)
            .await
    }

    async fn order_stop(&self, release: &str, reason: &str, orderer: &Orderer<'_>) -> Ordered {
        let row = match self.on_its_way(release).await? {
            Ok(row) => row,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let stop = gate::Stop {
            by: orderer.by.to_owned(),
            reason: reason.trim().to_owned(),
            at: orderer.at,
        };
        let body = json!({"decision": "stop", "tag": row.tag, "reason": stop.reason});
        let change = Change::put(Key::stop(release), &stop, Expected::Absent)?;
        let draft = about(&row, orderer.by, &body)?;
        let told = json!({"stop": stop, "tag": row.tag});
        let what = "the release is already stopped";
        self.written(&row.application, (vec![change], draft), (told, what), orderer)
            .await
    }

    async fn pin(
        &self,
        application: &ApplicationName,
        environment: &EnvironmentName,
        (reason, until): (&str, Option<Timestamp>),
        orderer: &Orderer<'_>,
    ) -> Ordered {
        let place = format!("{application}/{environment}");
        let current: Option<Stored<EnvironmentRow>> = self
            .control()
            .get(&Key::environment(application.as_str(), environment.as_str()))
            .await?;
        let Some(EnvironmentRow {
            mut digests, mut tag, ..
        }) = current.map(|stored| stored.row)
        else {
            return Ok(Err(refused(format!(
                "nothing deployed by Esclusa runs in `{place}`, so there is nothing to pin: see `esclusa status {application}`"
            ))));
        };
        // What was verified last is not what runs where one gave way to another.
        for (image, digest) in &mut digests {
            let in_force = release_in_force(self.control(), application.as_str(), environment.as_str(), image).await?;
            if let Some(release) = in_force.filter(|release| release.digest != *digest) {
                digest.clone_from(&release.digest);
                tag.clone_from(&release.tag);
            }
        }
        let key = Key::pin(application.as_str(), environment.as_str());
        let stored: Option<Stored<gate::Pin>> = self.control().get(&key).await?;
        if let Some(gate::Order { by, reason, .. }) = stored
            .as_ref()
            .map(|stored| &stored.row.order)
            .filter(|pinned| pinned.holds(orderer.at))
        {
            return Ok(Err(refused(format!(
                "`{place}` is already pinned by `{by}`: {reason}; lift that first with `esclusa unpin {application} {environment} --reason WHY`"
            ))));
        }
        let order = match orderer.order(reason, until) {
            Ok(order) => order,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let pin = gate::Pin { order, digests, tag };
        // A list: a name that somebody chose is a value, never a member.
        let images = pin.digests.iter();
        let images: Vec<Value> = images
            .map(|(image, digest)| json!({"image": image, "digest": digest}))
            .collect();
        let body = json!({"decision": "pin", "place": format!("`{place}`"), "tag": pin.tag, "images": images, "reason": pin.order.reason, "until": pin.order.until});
        let change = Change::put(key, &pin, Expected::unchanged(stored.as_ref()))?;
        let draft = of_place(Some(application), Some(environment), orderer.by, &body)?;
        let what = "the pin of the environment has just changed";
        let told = json!({"pin": pin});
        self.written(application.as_str(), (vec![change], draft), (told, what), orderer)
            .await
    }

    async fn unpin(
        &self,
        application: &ApplicationName,
        environment: &EnvironmentName,
        reason: &str,
        orderer: &Orderer<'_>,
    ) -> Ordered {
        let place = format!("{application}/{environment}");
        let key = Key::pin(application.as_str(), environment.as_str());
        let stored: Option<Stored<gate::Pin>> = self.control().get(&key).await?;
        let Some(stored) = stored.filter(|stored| stored.row.order.holds(orderer.at)) else {
            return Ok(Err(refused(format!("`{place}` is not pinned"))));
        };
        let body = json!({"decision": "unpin", "place": format!("`{place}`"), "tag": stored.row.tag, "reason": reason});
        let pin = gate::Pin {
            order: stored.row.order.clone().lifted(orderer.lifted(reason)),
            ..stored.row
        };
        let change = Change::put(key, &pin, Expected::Revision(stored.revision))?;
        let draft = of_place(Some(application), Some(environment), orderer.by, &body)?;
        let what = "the pin of the environment has just changed";
        let told = json!({"pin": pin});
        self.written(application.as_str(), (vec![change], draft), (told, what), orderer)
            .await
    }

    /// Why there is nothing to freeze: what is misspelt would leave open what somebody takes to be frozen.
    async fn no_such_place(&self, place: &Frozen<'_>) -> Result<Option<Refusal>, Failure> {
        let Some(application) = place.application else {
            return Ok(None);
        };
        let key = Key::pipeline_current(application.as_str());
        let Some(current) = self.control().get::<PipelineCurrentRow>(&key).await? else {
            return Ok(Some(refused(format!(
                "there is no application `{application}`: `esclusa status` lists them, and `esclusa freeze APPLICATION ENVIRONMENT` names both"
            ))));
        };
        let Some(environment) = place.environment else {
            return Ok(None);
        };
        let (_, pipeline) = match pipeline_version(self.control(), application.as_str(), current.row.version).await {
            // Whatever this program cannot read any more can be frozen all the same.
            Err(failure) if failure.kind == ErrorKind::Refused => return Ok(None),
            pipeline => pipeline?,
        };
        if pipeline.environment(environment.as_str()).is_some() || self.is_used(application, environment).await? {
            return Ok(None);
        }
        let named = pipeline.named().map(|named| named.name.to_string());
        let patterns = pipeline.patterns().map(|pattern| pattern.name.to_string());
        let names: Vec<String> = named.chain(patterns).map(|name| format!("`{name}`")).collect();
        Ok(Some(refused(format!(
            "`{application}` has no environment `{environment}`: it has {}",
            names.join(", ")
        ))))
    }

    /// Whether something of an application runs in an environment, or is on its way there, that its pipeline names no
    /// more.
    async fn is_used(&self, application: &ApplicationName, environment: &EnvironmentName) -> Result<bool, Failure> {
        let key = Key::environment(application.as_str(), environment.as_str());
        if self.control().get::<EnvironmentRow>(&key).await?.is_some() {
            return Ok(true);
        }
        let open = self.open_releases().await?;
        Ok(open.iter().any(|release| {
            release.application == application.as_str()
                && release.environments.iter().any(|name| name == environment.as_str())
        }))
    }

    async fn freeze(
        &self,
        place: &Frozen<'_>,
        reason: &str,
        until: Option<Timestamp>,
        orderer: &Orderer<'_>,
    ) -> Ordered {
        let freeze = match orderer.order(reason, until) {
            Ok(freeze) => freeze,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let body =
            json!({"decision": "freeze", "place": place.to_string(), "reason": freeze.reason, "until": freeze.until});
        let mut change = Change::put(place.key(orderer.at), &freeze, Expected::Absent)?;
        if let Some(until) = freeze.until {
            change = change.spent_since(until);
        }
        let draft = of_place(place.application, place.environment, orderer.by, &body)?;
        let told = json!({"freeze": freeze, "place": place.to_string()});
        let what = "somebody else has just frozen it";
        self.written(place.chain(), (vec![change], draft), (told, what), orderer)
            .await
    }

    /// Stops every release that is on its way into a place that was frozen. What goes back goes on: it is what somebody
    /// needs then.
    async fn stop_all(&self, place: &Frozen<'_>, reason: &str, told: Value, orderer: &Orderer<'_>) -> Ordered {
        let mut stopped = Vec::new();
        for release in self.open_releases().await? {
            let is_going_back = release.kind == ReleaseKind::Rollback;
            if is_going_back || !place.takes_in(&release) {
                continue;
            }
            // One that ended or was stopped meanwhile need not be.
            if self.order_stop(&release.release_id, reason, orderer).await?.is_ok() {
                stopped.push(release.release_id);
            }
        }
        let mut told = told;
        if let Some(members) = told.as_object_mut() {
            members.insert("stopped".to_owned(), json!(stopped));
        }
        Ok(Ok(told))
    }

    async fn unfreeze(&self, place: &Frozen<'_>, reason: &str, orderer: &Orderer<'_>) -> Ordered {
        let prefix = format!("{}#", place.environment.map_or(EVERYTHING, EnvironmentName::as_str));
        let rows: Vec<(String, Stored<gate::Order>)> =
            self.control().all(&Key::freezes_of(place.chain()), &prefix).await?;
        let mut changes = Vec::new();
        let mut since = Vec::new();
        for (_, stored) in rows.into_iter().filter(|(_, stored)| stored.row.holds(orderer.at)) {
            let lifted = stored.row.lifted(orderer.lifted(reason));
            since.push(lifted.since);
            let change = Change::put(place.key(lifted.since), &lifted, Expected::Revision(stored.revision))?;
            changes.push(change.spent_since(orderer.at));
        }
        if changes.is_empty() {
            return Ok(Err(refused(format!("{place} is not frozen"))));
        }
        let body = json!({"decision": "unfreeze", "place": place.to_string(), "reason": reason, "since": since});
        let draft = of_place(place.application, place.environment, orderer.by, &body)?;
        let told = json!({"lifted": since.len(), "place": place.to_string()});
        let what = "a freeze of it has just changed";
        self.written(place.chain(), (changes, draft), (told, what), orderer)
            .await
    }

    async fn acknowledge(
        &self,
        (release, environment): (&str, Option<&str>),
        name: &str,
        note: Option<&str>,
        orderer: &Orderer<'_>,
    ) -> Ordered {
        let Waiting {
            release: row,
            deployment,
            gates,
        } = match self.waiting_in(release, environment).await? {
            Ok(waiting) => waiting,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let asked = gates.acknowledgements.iter().find(|(known, _)| known.as_str() == name);
        let Some((_, Acknowledgement::Person { that, by })) = asked else {
            let people = gates.acknowledgements.iter();
            let people = people.filter(|(_, asked)| matches!(asked, Acknowledgement::Person { .. }));
            let names: Vec<String> = people.map(|(name, _)| format!("`{name}`")).collect();
            let instead = if names.is_empty() {
                String::new()
            } else {
                format!("; it needs {}", names.join(", "))
            };
            return Ok(Err(refused(format!(
                "no acknowledgement `{name}` is needed in `{}`{instead}",
                deployment.environment
            ))));
        };
        let Some(person) = may_acknowledge(&gates.people, by, orderer.by) else {
            let names: Vec<String> = by.iter().map(|name| format!("`{name}`")).collect();
            let who = if names.is_empty() {
                "the people of the pipeline".to_owned()
            } else {
                names.join(", ")
            };
            return Ok(Err(Refusal::NotApprover {
                principal: orderer.by.to_owned(),
                place: format!("{}/{}", row.application, deployment.environment),
                names: who,
            }));
        };
        let now = Electorate::now(self.control(), &row.application, &deployment.environment).await?;
        if gate::person_of(&now.people, orderer.by) != Some(person) {
            return Ok(Err(Refusal::Removed {
                person: person.clone(),
                place: format!("{}/{}", row.application, deployment.environment),
            }));
        }
        let said = Acknowledged {
            principal: orderer.by.to_owned(),
            note: note.map(str::to_owned),
            at: orderer.at,
        };
        let body = json!({"decision": "acknowledge", "person": person, "name": name, "that": that, "tag": row.tag, "reason": note});
        let mut draft = about(&row, orderer.by, &body)?;
        draft.environment = Some(deployment.environment.clone());
        let key = Key::acknowledgement(release, &deployment.environment, name);
        let change = Change::put(key, &said, Expected::Absent)?;
        let told = json!({"acknowledged": said, "name": name, "person": person, "tag": row.tag, "environment": deployment.environment});
        let what = format!("`{name}` is already acknowledged");
        self.written(&row.application, (vec![change], draft), (told, &what), orderer)
            .await
    }

    async fn settle_debt(&self, release: &str, reason: &str, orderer: &Orderer<'_>) -> Ordered {
        let Some(row) = self.known(release).await? else {
            return Ok(Err(unknown(release)));
        };
        let debts = self.debts(&row.application, None).await?;
        let theirs = debts.into_iter().filter(|(_, stored)| stored.row.release_id == release);
        let mut owed = Vec::new();
        let mut changes = Vec::new();
        for (key, stored) in theirs {
            owed.extend(stored.row.owes.iter().cloned());
            let debt = Debt {
                settled: Some(orderer.lifted(reason)),
                ..stored.row
            };
            let environment = key.split('#').next().unwrap_or(&key);
            let key = Key::debt(&row.application, environment, release);
            let change = Change::put(key, &debt, Expected::Revision(stored.revision))?;
            changes.push(change.spent_since(orderer.at));
        }
        if changes.is_empty() {
            return Ok(Err(refused(format!("release `{release}` owes nothing"))));
        }
        let body = json!({"decision": "settle_debt", "tag": row.tag, "owed": owed, "reason": reason});
        let draft = about(&row, orderer.by, &body)?;
        let told = json!({"settled": owed, "tag": row.tag});
        let what = format!("what release `{release}` owes has just changed: check with `esclusa debts`");
        self.written(&row.application, (changes, draft), (told, &what), orderer)
            .await
    }

    /// Writes a decision down with its record, unless somebody else has decided at this moment: then `what` says so.
    async fn written(
        &self,
        application: &str,
        (changes, draft): (Vec<Change>, Draft),
        (told, what): (Value, &str),
        orderer: &Orderer<'_>,
    ) -> Ordered {
        let keys: Vec<Key> = changes.iter().map(|change| change.key().clone()).collect();
        let commit = Commit::new()
            .changes(changes)
            .changes(orderer.along.iter().cloned())
            .record(&Chain::application(application), draft);
        match self.commit(commit).await? {
            Committed::Lost(lost) if keys.contains(&lost) => Ok(Err(refused(format!("{what}; nothing was done")))),
            Committed::Lost(_) => Ok(Err(Refusal::Repeated)),
            written => written.or_failure().map(|_| Ok(told)),
        }
    }

    /// A release, if there is one of that id.
    async fn known(&self, release: &str) -> Result<Option<ReleaseRow>, Failure> {
        let stored: Option<Stored<ReleaseRow>> = self.control().get(&Key::release(release)).await?;
        Ok(stored.map(|stored| stored.row))
    }

    /// A release that has not ended.
    async fn on_its_way(&self, release: &str) -> Result<Result<ReleaseRow, Refusal>, Failure> {
        let Some(row) = self.known(release).await? else {
            return Ok(Err(unknown(release)));
        };
        Ok(match (&row.end, row.progress) {
            (Some(end), _) => Err(refused(format!(
                "release `{release}` has ended: {}",
                end.verdict.as_str()
            ))),
            (None, Progress::Ended) => Err(refused(format!("release `{release}` has ended"))),
            (None, Progress::Claimed | Progress::Started) => Ok(row),
        })
    }
}

fn unknown(release: &str) -> Refusal {
    refused(format!(
        "there is no release `{release}`: `esclusa status` lists those of each application"
    ))
}

/// The record of a decision about a release.
fn about(release: &ReleaseRow, by: &str, body: &Value) -> Result<Draft, Failure> {
    Ok(Draft {
        application: Some(release.application.clone()),
        digest: Some(release.digest.clone()),
        release_id: Some(release.release_id.clone()),
        ..Draft::new(RecordKind::PersonDecided, by, Body::new(body)?)
    })
}

/// The record of a decision about a place.
fn of_place(
    application: Option<&ApplicationName>,
    environment: Option<&EnvironmentName>,
    by: &str,
    body: &Value,
) -> Result<Draft, Failure> {
    Ok(Draft {
        application: application.map(ToString::to_string),
        environment: environment.map(ToString::to_string),
        ..Draft::new(RecordKind::PersonDecided, by, Body::new(body)?)
    })
}

impl<'a> Frozen<'a> {
    fn of(application: Option<&'a ApplicationName>, environment: Option<&'a EnvironmentName>) -> Self {
        Self {
            application,
            environment,
        }
    }

    /// Whether a release goes into it.
    fn takes_in(&self, release: &ReleaseRow) -> bool {
        let is_its = self
            .application
            .is_none_or(|application| application.as_str() == release.application);
        let goes_there =
            |environment: &EnvironmentName| release.environments.iter().any(|name| name == environment.as_str());
        is_its && self.environment.is_none_or(goes_there)
    }

    /// What is frozen for all applications has a chain of its own.
    fn chain(&self) -> &str {
        self.application.map_or(EVERYTHING, ApplicationName::as_str)
    }

    fn key(&self, since: Timestamp) -> Key {
        let environment = self.environment.map_or(EVERYTHING, EnvironmentName::as_str);
        Key::freeze(self.chain(), environment, &since.to_string())
    }
}

impl std::fmt::Display for Frozen<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.application, self.environment) {
            (Some(application), Some(environment)) => write!(formatter, "`{application}` in `{environment}`"),
            (Some(application), None) => write!(formatter, "`{application}` everywhere"),
            (None, Some(environment)) => write!(formatter, "everything in `{environment}`"),
            (None, None) => formatter.write_str("everything"),
        }
    }
}
