//! `esclusa approve` and `esclusa reject`: a person agrees with a plan, or says no to it.

use esclusa_adapters::control::{Change, Expected, Key};
use esclusa_adapters::journal::{Commit, Committed};
use esclusa_core::gate::{self, person_of};
use esclusa_core::ledger::{Body, Chain, Draft, RecordKind};
use serde_json::json;

use super::approvals::{self, Waiting};
use crate::arguments::Vote;
use crate::error::{CommandError, Exit};
use crate::output::{Format, Output};
use crate::session::Session;

pub(super) async fn execute(
    command: &Vote,
    approves: bool,
    session: &Session,
    output: &mut Output,
) -> Result<Exit, CommandError> {
    let Vote { release, reason } = command;
    if !approves && reason.as_ref().is_none_or(|reason| reason.trim().is_empty()) {
        return Err(CommandError::InvalidInput("say why with `--reason`".to_owned()));
    }
    let Some(waits) = approvals::of(release, session).await? else {
        return Err(CommandError::refused(format!(
            "release `{release}` waits at no gate: `esclusa approvals` lists those that do"
        )));
    };
    let principal = session.caller().await?.arn;
    let person = may_vote(&waits, &principal, approves)?;
    let Waiting { deployment, .. } = &waits;
    let vote = gate::Vote {
        plan_hash: deployment.plan_hash.clone(),
        principal: principal.clone(),
        approves,
        reason: reason.clone(),
        at: session.now()?,
    };
    let body = Body::new(&json!({
        "decision": if approves { "approve" } else { "reject" },
        "person": person,
        "planHash": deployment.plan_hash,
        "tag": waits.release.tag,
        "reason": reason,
    }))?;
    let draft = Draft {
        application: Some(deployment.application.clone()),
        environment: Some(deployment.environment.clone()),
        deployment_id: Some(deployment.deployment_id.clone()),
        release_id: Some(release.clone()),
        ..Draft::new(RecordKind::PersonDecided, &principal, body)
    };
    let key = Key::vote(release, &deployment.environment, &vote.plan_hash, &principal, approves);
    let commit = Commit::new()
        .change(Change::put(key, &vote, Expected::Absent)?)
        .record(&Chain::application(&deployment.application), draft);
    if let Committed::Lost(_) = session.journal.commit(commit).await? {
        return Err(CommandError::refused(format!(
            "`{person}` said so already; nothing was done"
        )));
    }
    if output.format() == Format::Json {
        output.document(&json!({"vote": vote, "person": person, "environment": deployment.environment}))?;
    } else {
        let what = if approves { "approved" } else { "rejected" };
        output.line(format_args!(
            "`{}` is {what} for `{}` by `{person}`; the gate is asked again within two minutes (`esclusa status --release {release} --watch`)",
            waits.release.tag, deployment.environment
        ))?;
    }
    Ok(Exit::Success)
}

/// The name of the caller, who must be one of the approvers; to agree, another one than whoever asked for the release.
fn may_vote(waits: &Waiting, principal: &str, approves: bool) -> Result<String, CommandError> {
    let place = format!("{}/{}", waits.release.application, waits.deployment.environment);
    let Some(approval) = &waits.gates.approval else {
        return Err(CommandError::refused(format!(
            "nobody has to agree to what comes into `{place}`"
        )));
    };
    let names: Vec<String> = approval.approvers.iter().map(|name| format!("`{name}`")).collect();
    let person = person_of(&waits.gates.people, principal).filter(|person| approval.approvers.contains(person));
    let Some(person) = person else {
        return Err(CommandError::refused(format!(
            "`{principal}` is none of those who may decide about `{place}`: {}",
            names.join(", ")
        )));
    };
    let asked_by = person_of(&waits.gates.people, &waits.release.requested_by);
    if approves && asked_by == Some(person) {
        return Err(CommandError::refused(format!(
            "`{person}` asked for this release: another one of {} must agree",
            names.join(", ")
        )));
    }
    Ok(person.to_string())
}
