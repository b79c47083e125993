//! What a person decides, written once, wherever it comes from: votes about a release that waits, answers to the
//! questions of checks, and orders.

mod orders;

use esclusa_core::decision::{Ballot, Refusal, check_length, is_meant, may_answer, may_vote};
use esclusa_core::error::Failure;
use esclusa_core::gate::{self, Closed};
use esclusa_core::ledger::{Body, Chain, Draft, RecordKind};
use esclusa_core::pipeline::{Choice, Name};
use esclusa_core::verification::{self, Question};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

pub use self::orders::Wish;
use crate::control::rows::{DeploymentRow, GatesRow, Progress, ReleaseRow};
use crate::control::{Change, Expected, Key, Stored};
use crate::gates::Electorate;
use crate::journal::{Commit, Committed, Journal};

/// A release before an environment.
#[derive(Debug, Clone, Serialize)]
pub struct Waiting {
    /// The release.
    pub release: ReleaseRow,
    /// The deployment that is planned.
    pub deployment: DeploymentRow,
    /// What the gates say.
    pub gates: GatesRow,
}

/// What somebody says about a release that waits.
#[derive(Debug, Clone, Copy)]
pub struct Voice<'a> {
    /// The release.
    pub release: &'a str,
    /// The environment that it is about; where it waits, unless given.
    pub environment: Option<&'a str>,
    /// The plan that it is about, by its hash or the first digits of it; the one that is made, unless given.
    pub plan: Option<&'a str>,
    /// Who says so.
    pub principal: &'a str,
    /// Whether the release may come.
    pub approves: bool,
    /// Why.
    pub reason: Option<&'a str>,
}

/// A vote that counts.
#[derive(Debug, Clone)]
pub struct Voted {
    /// The person.
    pub person: Name,
    /// What they said.
    pub vote: gate::Vote,
    /// What it is about.
    pub waiting: Waiting,
}

/// What somebody answers to the question of a check.
#[derive(Debug, Clone, Copy)]
pub struct Reply<'a> {
    /// The release.
    pub release: &'a str,
    /// The environment; the one that asks, unless given.
    pub environment: Option<&'a str>,
    /// The check.
    pub check: &'a str,
    /// The moment of the question; that of the one that is open, unless given.
    pub asked_at: Option<Timestamp>,
    /// What becomes of the release.
    pub choice: Choice,
    /// Who says so.
    pub principal: &'a str,
    /// Why.
    pub reason: &'a str,
}

/// An answer that counts.
#[derive(Debug, Clone)]
pub struct Answered {
    /// What was answered.
    pub answer: verification::Answer,
    /// The deployment that asked.
    pub deployment: DeploymentRow,
}

impl Journal {
    /// Where a release waits at a gate: in one environment, or in several of a wave.
    ///
    /// # Errors
    /// Those of [`crate::control::ControlTable::get`].
    pub async fn waiting(&self, release_id: &str) -> Result<Vec<Waiting>, Failure> {
        let release: Option<Stored<ReleaseRow>> = self.control().get(&Key::release(release_id)).await?;
        let Some(release) = release.map(|stored| stored.row) else {
            return Ok(Vec::new());
        };
        let mut waiting = Vec::new();
        for environment in &release.environments {
            let last = self.last_deployment(release_id, environment).await?;
            let Some(deployment) = last.map(|stored| stored.row) else {
                continue;
            };
            if !deployment.stands_at_gates() {
                continue;
            }
            let key = Key::gates(&deployment.deployment_id);
            let gates: Option<Stored<GatesRow>> = self.control().get(&key).await?;
            if let Some(gates) = gates.map(|stored| stored.row).filter(|gates| gates.closed.is_none()) {
                waiting.push(Waiting {
                    release: release.clone(),
                    deployment,
                    gates,
                });
            }
        }
        Ok(waiting)
    }

    /// A release before the environment that somebody means, or before the only one that it waits for.
    async fn waiting_in(
        &self,
        release_id: &str,
        environment: Option<&str>,
    ) -> Result<Result<Waiting, Refusal>, Failure> {
        let mut waiting = self.waiting(release_id).await?;
        let names: Vec<String> = waiting
            .iter()
            .map(|waits| format!("`{}`", waits.deployment.environment))
            .collect();
        let release = release_id.to_owned();
        if let Some(environment) = environment {
            waiting.retain(|waits| waits.deployment.environment == environment);
        } else if waiting.len() > 1 {
            let environments = names.join(", ");
            return Ok(Err(Refusal::Several { release, environments }));
        }
        match (waiting.pop(), environment) {
            (Some(waiting), _) => Ok(Ok(waiting)),
            (None, Some(environment)) if !names.is_empty() => {
                let environment = environment.to_owned();
                Ok(Err(Refusal::Elsewhere { release, environment }))
            }
            (None, _) => self.settled(release_id, environment).await.map(Err),
        }
    }

    /// Writes a vote, or says why it does not count. `along` is written with it, or nothing is.
    ///
    /// # Errors
    /// What the tables answered.
    pub async fn vote(&self, voice: &Voice<'_>, along: &[Change]) -> Result<Result<Voted, Refusal>, Failure> {
        let (release_id, principal) = (voice.release, voice.principal);
        if let Err(refusal) = check_length(voice.reason.unwrap_or_default()) {
            return Ok(Err(refusal));
        }
        let release = || release_id.to_owned();
        let waiting = match self.waiting_in(release_id, voice.environment).await? {
            Ok(waiting) => waiting,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let Waiting {
            release: row,
            deployment,
            gates,
        } = &waiting;
        let place = format!("{}/{}", row.application, deployment.environment);
        let now = Electorate::now(self.control(), &row.application, &deployment.environment).await?;
        let ballot = Ballot {
            place: &place,
            approval: gates.approval.as_ref(),
            windows: gates.windows.as_ref(),
            since: gates.since,
            people: &gates.people,
            requested_by: &row.requested_by,
            pushed_by: deployment.pushed_by.as_ref(),
            now: now.approvers(),
        };
        let at = self.clock().now()?;
        let person = match may_vote(&ballot, principal, voice.approves, at) {
            Ok(person) => person,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if voice.plan.is_some_and(|plan| !is_meant(&deployment.plan_hash, plan)) {
            let environment = deployment.environment.clone();
            return Ok(Err(Refusal::OtherPlan {
                release: release(),
                environment,
            }));
        }
        let vote = gate::Vote {
            plan_hash: deployment.plan_hash.clone(),
            principal: principal.to_owned(),
            approves: voice.approves,
            reason: voice.reason.map(str::to_owned),
            at,
        };
        let body = json!({
            "decision": if voice.approves { "approve" } else { "reject" },
            "person": person,
            "planHash": deployment.plan_hash,
            "tag": row.tag,
            "reason": voice.reason,
        });
        let key = Key::vote(
            release_id,
            &deployment.environment,
            &vote.plan_hash,
            principal,
            voice.approves,
        );
        let commit = Commit::new()
            .change(Change::put(key.clone(), &vote, Expected::Absent)?)
            .changes(along.iter().cloned())
            .record(
                &Chain::application(&deployment.application),
                draft(RecordKind::PersonDecided, deployment, principal, &body)?,
            );
        Ok(match self.commit(commit).await? {
            Committed::Lost(lost) if lost == key => Err(Refusal::SaidAlready { person }),
            Committed::Lost(_) => Err(Refusal::Repeated),
            written => {
                written.or_failure()?;
                Ok(Voted { person, vote, waiting })
            }
        })
    }

    /// What became of a release that waits for nobody.
    async fn settled(&self, release_id: &str, environment: Option<&str>) -> Result<Refusal, Failure> {
        let release = release_id.to_owned();
        let Some(environment) = environment else {
            return Ok(Refusal::NotWaiting { release });
        };
        let last = self.last_deployment(release_id, environment).await?;
        let Some(deployment) = last.map(|stored| stored.row) else {
            return Ok(Refusal::NotWaiting { release });
        };
        let gates: Option<Stored<GatesRow>> = self.control().get(&Key::gates(&deployment.deployment_id)).await?;
        let how = match (&deployment.end, gates.and_then(|stored| stored.row.closed)) {
            (Some(end), _) => format!("it ended {}", end.verdict),
            (None, Some(Closed::Rejected { by })) => format!("it was rejected by {by}"),
            (None, Some(Closed::Expired)) => "nobody answered in time".to_owned(),
            (None, Some(Closed::NotReplicated { image, repository })) => {
                format!("the image `{image}` did not arrive in `{repository}` in time")
            }
            (None, Some(Closed::WaveFailed(failed))) => {
                format!("`{}`, in the same wave, ended {}", failed.environment, failed.verdict)
            }
            (None, Some(Closed::Stopped { by, why })) => format!("it was stopped by `{by}`: {why}"),
            (None, Some(Closed::Superseded { by })) => format!("the newer release `{by}` takes its place"),
            (None, None) => "it was admitted".to_owned(),
        };
        Ok(Refusal::Settled {
            release,
            environment: environment.to_owned(),
            how,
        })
    }

    /// That a principal is one of the people of the pipeline that a release is of, as it says now.
    ///
    /// # Errors
    /// What the tables answered.
    pub async fn known_to_pipeline(&self, release_id: &str, principal: &str) -> Result<Result<(), Refusal>, Failure> {
        let release: Option<Stored<ReleaseRow>> = self.control().get(&Key::release(release_id)).await?;
        let Some(ReleaseRow { application, .. }) = release.map(|stored| stored.row) else {
            let release = release_id.to_owned();
            return Ok(Err(Refusal::NotWaiting { release }));
        };
        let people = Electorate::now(self.control(), &application, "").await?.people;
        Ok(match gate::person_of(&people, principal) {
            Some(_) => Ok(()),
            None => Err(Refusal::Stranger {
                principal: principal.to_owned(),
                application,
            }),
        })
    }

    /// Writes an answer, or says why it does not count. `along` is written with it, or nothing is.
    ///
    /// # Errors
    /// What the tables answered.
    pub async fn answer(&self, reply: &Reply<'_>, along: &[Change]) -> Result<Result<Answered, Refusal>, Failure> {
        let Reply { check, principal, .. } = *reply;
        if let Err(refusal) = check_length(reply.reason) {
            return Ok(Err(refusal));
        }
        let (deployment, question) = match self.asked(reply.release, reply.environment, check).await? {
            Ok(asked) => asked,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let people = Electorate::now(self.control(), &deployment.application, &deployment.environment)
            .await?
            .people;
        let now = self.clock().now()?;
        if let Err(refusal) = may_answer(&deployment.application, &people, principal, (check, question), now) {
            return Ok(Err(refusal));
        }
        if reply.asked_at.is_some_and(|asked_at| asked_at != question.asked_at) {
            return Ok(Err(Refusal::OtherQuestion {
                release: reply.release.to_owned(),
                check: check.to_owned(),
            }));
        }
        let answer = verification::Answer {
            asked_at: question.asked_at,
            choice: reply.choice,
            by: principal.to_owned(),
            reason: reply.reason.to_owned(),
            at: now,
        };
        let body = json!({
            "decision": "answer",
            "check": check,
            "choice": answer.choice,
            "askedAt": question.asked_at,
            "reason": reply.reason,
        });
        let key = Key::answer(&deployment.deployment_id, check, &question.asked_at.to_string());
        let commit = Commit::new()
            .change(Change::put(key.clone(), &answer, Expected::Absent)?)
            .changes(along.iter().cloned())
            .record(
                &Chain::application(&deployment.application),
                draft(RecordKind::PersonDecided, &deployment, principal, &body)?,
            );
        match self.commit(commit).await? {
            Committed::Lost(lost) if lost == key => {
                let first: Option<Stored<verification::Answer>> = self.control().get(&key).await?;
                let by = first.map_or_else(|| "somebody".to_owned(), |stored| format!("`{}`", stored.row.by));
                Ok(Err(Refusal::AnsweredFirst { by }))
            }
            Committed::Lost(_) => Ok(Err(Refusal::Repeated)),
            written => {
                written.or_failure()?;
                Ok(Ok(Answered { answer, deployment }))
            }
        }
    }

    /// Writes down that somebody wanted to decide about a release who may not; what was refused for another reason
    /// leaves no record. `along` is written in either case. Whether it was: a repeat of the same request, which
    /// `along` tells, is not.
    ///
    /// # Errors
    /// What the tables answered.
    pub async fn refuse(
        &self,
        (release_id, environment): (&str, Option<&str>),
        principal: &str,
        refusal: &Refusal,
        along: &[Change],
    ) -> Result<bool, Failure> {
        let release: Option<Stored<ReleaseRow>> = match refusal.is_forbidden() {
            true => self.control().get(&Key::release(release_id)).await?,
            false => None,
        };
        let mut commit = Commit::new().changes(along.iter().cloned());
        match release {
            Some(Stored { row, .. }) => {
                let body = Body::new(&json!({"why": refusal.to_string()}))?;
                let draft = Draft {
                    application: Some(row.application.clone()),
                    environment: environment.map(str::to_owned),
                    release_id: Some(release_id.to_owned()),
                    ..Draft::new(RecordKind::DecisionRefused, principal, body)
                };
                commit = commit.record(&Chain::application(&row.application), draft);
            }
            None if along.is_empty() => return Ok(true),
            None => {}
        }
        match self.commit(commit).await? {
            Committed::Lost(_) => Ok(false),
            written => written.or_failure().map(|_| true),
        }
    }

    /// The deployment of a release that asks about a check, and its question.
    async fn asked(
        &self,
        release_id: &str,
        environment: Option<&str>,
        check: &str,
    ) -> Result<Result<(DeploymentRow, Question), Refusal>, Failure> {
        let release: Option<Stored<ReleaseRow>> = self.control().get(&Key::release(release_id)).await?;
        let environments = release.map(|stored| stored.row.environments).unwrap_or_default();
        let mut open = Vec::new();
        let mut asked = Vec::new();
        for name in environments {
            if environment.is_some_and(|meant| meant != name) {
                continue;
            }
            let last = self.last_deployment(release_id, &name).await?;
            let Some(deployment) = last.filter(|stored| stored.row.progress != Progress::Ended) else {
                continue;
            };
            let key = Key::verification(&deployment.row.deployment_id);
            let Some(state) = self.control().get::<verification::State>(&key).await? else {
                continue;
            };
            for (name, known) in state.row.checks {
                match known.question {
                    Some(question) if name == check => asked.push((deployment.row.clone(), question)),
                    Some(_) => open.push(format!("`{name}`")),
                    None => {}
                }
            }
        }
        if asked.len() > 1 {
            let names = asked
                .iter()
                .map(|(deployment, _)| format!("`{}`", deployment.environment));
            return Ok(Err(Refusal::Several {
                release: release_id.to_owned(),
                environments: names.collect::<Vec<_>>().join(", "),
            }));
        }
        if let Some(asked) = asked.pop() {
            return Ok(Ok(asked));
        }
        let instead = match open.as_slice() {
            [] => "it asks nothing now".to_owned(),
            open => format!("it asks about {}", open.join(", ")),
        };
        Ok(Err(Refusal::NotAsked {
            release: release_id.to_owned(),
            check: check.to_owned(),
            instead,
        }))
    }
}

fn draft(kind: RecordKind, deployment: &DeploymentRow, principal: &str, body: &Value) -> Result<Draft, Failure> {
    Ok(Draft {
        application: Some(deployment.application.clone()),
        environment: Some(deployment.environment.clone()),
        deployment_id: Some(deployment.deployment_id.clone()),
        release_id: Some(deployment.release_id.clone()),
        ..Draft::new(kind, principal, Body::new(body)?)
    })
}
