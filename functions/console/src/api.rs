//! `/api/…`: the same decisions for whoever AWS knows. Who they are is what API Gateway says, and nothing of the
//! request.

use esclusa_adapters::decisions::{Reply, Voice, Wish};
use esclusa_adapters::requests::{HOTFIX, ReleaseRequest};
use esclusa_core::decision::Refusal;
use esclusa_core::error::{ErrorKind, Failure};
use esclusa_core::pipeline::Choice;
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::Console;
use crate::request::{HttpRequest, Response};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct VoteBody {
    release: String,
    #[serde(default)]
    environment: Option<String>,
    #[serde(default)]
    plan: Option<String>,
    approves: bool,
    #[serde(default)]
    reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct AnswerBody {
    release: String,
    #[serde(default)]
    environment: Option<String>,
    check: String,
    #[serde(default)]
    asked_at: Option<Timestamp>,
    choice: Choice,
    reason: String,
}

/// What was sent and by whom, or the response that says what is missing.
fn read<T: DeserializeOwned>(request: &HttpRequest) -> Result<(T, &str), Response> {
    let Some(principal) = request.principal() else {
        return Err(Response::error(
            403,
            "sign the request with the credentials of an IAM principal",
        ));
    };
    let body = request.body().unwrap_or_default();
    let body = serde_json::from_slice(&body).map_err(|error| Response::error(400, &format!("the body: {error}")))?;
    Ok((body, principal))
}

fn is_blank(text: Option<&str>) -> bool {
    text.is_none_or(|text| text.trim().is_empty())
}

impl Console {
    pub(crate) async fn post_vote(&self, request: &HttpRequest) -> Result<Response, Failure> {
        let (body, principal): (VoteBody, &str) = match read(request) {
            Ok(read) => read,
            Err(response) => return Ok(response),
        };
        if !body.approves && is_blank(body.reason.as_deref()) {
            return Ok(Response::error(400, "a reason is required: give one in `reason`"));
        }
        let voice = Voice {
            release: &body.release,
            environment: body.environment.as_deref(),
            plan: body.plan.as_deref(),
            principal,
            approves: body.approves,
            reason: body.reason.as_deref(),
        };
        match self.journal.vote(&voice, &[]).await? {
            Ok(voted) => {
                let environment = &voted.waiting.deployment.environment;
                let told = json!({"vote": voted.vote, "person": voted.person, "environment": environment, "tag": voted.waiting.release.tag});
                Ok(Response::json(200, &told).waited_for())
            }
            Err(refusal) => {
                self.refused((&body.release, body.environment.as_deref()), principal, &refusal)
                    .await
            }
        }
    }

    pub(crate) async fn post_answer(&self, request: &HttpRequest) -> Result<Response, Failure> {
        let (body, principal): (AnswerBody, &str) = match read(request) {
            Ok(read) => read,
            Err(response) => return Ok(response),
        };
        if is_blank(Some(&body.reason)) {
            return Ok(Response::error(400, "a reason is required: give one in `reason`"));
        }
        let reply = Reply {
            release: &body.release,
            environment: body.environment.as_deref(),
            check: &body.check,
            asked_at: body.asked_at,
            choice: body.choice,
            principal,
            reason: &body.reason,
        };
        match self.journal.answer(&reply, &[]).await? {
            Ok(answered) => {
                let told = json!({"answer": answered.answer, "deployment_id": answered.deployment.deployment_id, "environment": answered.deployment.environment});
                Ok(Response::json(200, &told))
            }
            Err(refusal) => {
                self.refused((&body.release, body.environment.as_deref()), principal, &refusal)
                    .await
            }
        }
    }

    /// What is ordered is the last part of the path, so that a policy of IAM can let somebody order one thing and not
    /// another.
    pub(crate) async fn post_order(&self, request: &HttpRequest) -> Result<Response, Failure> {
        let (mut body, principal): (Map<String, Value>, &str) = match read(request) {
            Ok(read) => read,
            Err(response) => return Ok(response),
        };
        let order = request.path_parameters.get("order").cloned().unwrap_or_default();
        body.insert("order".to_owned(), json!(order));
        let wish: Wish = match serde_json::from_value(Value::Object(body)) {
            Ok(wish) => wish,
            Err(error) => return Ok(Response::error(400, &format!("the order: {error}"))),
        };
        match (self.journal.order(&wish, principal, &[]).await?, wish.about()) {
            (Ok(told), _) => Ok(Response::json(200, &told).waited_for()),
            (Err(refusal), Some(about)) => self.refused(about, principal, &refusal).await,
            (Err(refusal), None) => Ok(Response::error(409, &refusal.to_string())),
        }
    }

    /// What is asked for is the last part of the path, so that a policy of IAM can let somebody go back and not forth.
    /// Who asks is whoever signed, and nobody else.
    pub(crate) async fn post_release(&self, request: &HttpRequest) -> Result<Response, Failure> {
        let (mut body, principal): (Map<String, Value>, &str) = match read(request) {
            Ok(read) => read,
            Err(response) => return Ok(response),
        };
        let Some(Value::String(request_id)) = body.remove("requestId") else {
            let message = "choose a `requestId` for the request: a repeat with the same id asks for no second release";
            return Ok(Response::error(400, message));
        };
        let kind = request.path_parameters.get("kind").map_or("", String::as_str);
        let is_hotfix = kind == HOTFIX;
        body.insert("kind".to_owned(), json!(if is_hotfix { "deploy" } else { kind }));
        body.insert("hotfix".to_owned(), json!(is_hotfix));
        let wanted: ReleaseRequest = match serde_json::from_value(Value::Object(body)) {
            Ok(wanted) => wanted,
            Err(error) => return Ok(Response::error(400, &format!("the request: {error}"))),
        };
        match self.requester.ask(&wanted, &request_id, principal).await {
            Ok(asked) => Ok(Response::json(200, &asked)),
            Err(failure) if failure.kind == ErrorKind::Refused => Ok(Response::error(409, &failure.message)),
            Err(failure) if failure.kind == ErrorKind::InvalidInput => Ok(Response::error(400, &failure.message)),
            Err(failure) => Err(failure),
        }
    }

    async fn refused(
        &self,
        (release_id, environment): (&str, Option<&str>),
        principal: &str,
        refusal: &Refusal,
    ) -> Result<Response, Failure> {
        self.journal
            .refuse((release_id, environment), principal, refusal, &[])
            .await?;
        let status = if refusal.is_forbidden() { 403 } else { 409 };
        Ok(Response::error(status, &refusal.to_string()))
    }
}
