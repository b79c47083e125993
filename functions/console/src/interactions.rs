//! `POST /slack/interactions`: a button was pressed.
//!
//! Slack waits three seconds. What is decided is written before it is answered, in one transaction together with that
//! this very request was taken; whoever pressed is told privately if that can be done in time, and the card follows by
//! itself.

use esclusa_adapters::control::rows::SlackRequestRow;
use esclusa_adapters::control::{Change, Expected, Key};
use esclusa_adapters::decisions::{Reply, Voice, Wish};
use esclusa_core::canonical::sha256_hex;
use esclusa_core::decision::Refusal;
use esclusa_core::error::Failure;
use esclusa_core::pipeline::Choice;
use esclusa_core::slack::{
    self, Click, Interaction, Press, SIGNATURE_HEADER, SignedRequest, TIMESTAMP_HEADER, TOLERANCE,
};
use jiff::Timestamp;

use crate::Console;
use crate::request::{HttpRequest, Response};

/// What stands for the reason of an answer: there is no room for words on a button.
const REASON: &str = "answered in Slack";

/// What stands for the reason of an order.
const ORDERED: &str = "ordered in Slack";

impl Console {
    pub(crate) async fn interaction(&self, request: &HttpRequest) -> Result<Response, Failure> {
        let Some(signing) = &self.signing else {
            let message = "Slack is not configured: set the parameter `SlackSigningSecretArn` of the stack with `scripts/deploy --guided`";
            return Ok(Response::error(404, message));
        };
        let header = |name: &str| request.headers.get(name).map(String::as_str);
        let Some(body) = request.body() else {
            return Ok(Response::empty(401));
        };
        let signed = SignedRequest {
            timestamp: header(TIMESTAMP_HEADER),
            signature: header(SIGNATURE_HEADER),
            body: &body,
        };
        let now = self.journal.clock().now()?;
        if let Err(unsigned) = slack::verify(&signing.read().await?, &signed, now) {
            tracing::warn!(why = %unsigned, "a request is not accepted as one from Slack");
            return Ok(Response::empty(401));
        }
        let click = match slack::read(&body) {
            Ok(Interaction::Click(click)) => click,
            Ok(Interaction::Other) => return Ok(Response::empty(200)),
            Err(error) => return Ok(Response::error(400, &error.to_string())),
        };
        // Hexadecimal digits are the same signature in either case.
        let taken = taken(&signed.signature.unwrap_or_default().to_ascii_lowercase(), now)?;
        let mut response = Response::empty(200);
        let told = match self.decide(&click, &taken).await? {
            Ok(told) => {
                // Answers are taken up by the next look at the checks.
                if !matches!(click.press, Press::Keep | Press::RollBack) {
                    response = response.waited_for();
                }
                told
            }
            Err(refusal) => {
                if !self.write_down(&click, &refusal, &taken).await? {
                    // The very same request once more: whoever pressed was told.
                    return Ok(Response::empty(200));
                }
                refusal.to_string()
            }
        };
        if let Some(url) = &click.response_url
            && let Err(failure) = self.slack.tell(url, &told).await
        {
            tracing::warn!(message = %failure.message, "whoever pressed a button could not be answered");
        }
        Ok(response)
    }

    /// Writes the decision, and says what to tell whoever made it.
    async fn decide(&self, click: &Click, taken: &Change) -> Result<Result<String, Refusal>, Failure> {
        let principal = click.member.to_string();
        let pointer = &click.pointer;
        let along = std::slice::from_ref(taken);
        let vote = |approves: bool| Voice {
            release: &pointer.release,
            environment: Some(&pointer.environment),
            plan: Some(pointer.plan.as_deref().unwrap_or_default()),
            principal: &principal,
            approves,
            reason: None,
        };
        let answer = |choice: Choice| Reply {
            release: &pointer.release,
            environment: Some(&pointer.environment),
            check: pointer.check.as_deref().unwrap_or_default(),
            asked_at: Some(pointer.asked_at.unwrap_or(Timestamp::MIN)),
            choice,
            principal: &principal,
            reason: REASON,
        };
        let order = |is_hold: bool| {
            let (release, reason) = (pointer.release.clone(), ORDERED.to_owned());
            if is_hold {
                Wish::Hold {
                    release,
                    reason,
                    until: None,
                }
            } else {
                Wish::ReleaseHold { release, reason }
            }
        };
        let here = |what: &str| format!("{what} in `{}`", pointer.environment);
        let (what, decided) = match click.press {
            Press::Hold => (
                "is held".to_owned(),
                self.ordered(&order(true), &click.pointer.release, &principal, along)
                    .await?,
            ),
            Press::ReleaseHold => (
                "is released from its hold".to_owned(),
                self.ordered(&order(false), &click.pointer.release, &principal, along)
                    .await?,
            ),
            Press::Approve => (
                here("is approved"),
                self.journal.vote(&vote(true), along).await?.map(|_| ()),
            ),
            Press::Reject => (
                here("is rejected"),
                self.journal.vote(&vote(false), along).await?.map(|_| ()),
            ),
            Press::RollBack => (
                here("goes back"),
                self.journal.answer(&answer(Choice::Rollback), along).await?.map(|_| ()),
            ),
            Press::Keep => (
                here("stays"),
                self.journal.answer(&answer(Choice::Keep), along).await?.map(|_| ()),
            ),
        };
        Ok(decided.map(|()| format!("`{}` {what}; the card is updated within two minutes", pointer.release)))
    }

    /// Carries out an order of one of the people of the pipeline: Slack says who somebody is, and not what they may.
    async fn ordered(
        &self,
        wish: &Wish,
        release_id: &str,
        principal: &str,
        along: &[Change],
    ) -> Result<Result<(), Refusal>, Failure> {
        if let Err(refusal) = self.journal.known_to_pipeline(release_id, principal).await? {
            return Ok(Err(refusal));
        }
        Ok(self.journal.order(wish, principal, along).await?.map(|_| ()))
    }

    /// Writes down that this very request was taken and, where somebody wanted what they may not, that as well. Whether
    /// it was not taken before.
    async fn write_down(&self, click: &Click, refusal: &Refusal, taken: &Change) -> Result<bool, Failure> {
        let about = (click.pointer.release.as_str(), Some(click.pointer.environment.as_str()));
        let along = std::slice::from_ref(taken);
        let principal = click.member.to_string();
        self.journal.refuse(about, &principal, refusal, along).await
    }
}

/// That a request was taken, for as long as its signature is.
fn taken(signature: &str, now: Timestamp) -> Result<Change, Failure> {
    // It may have been signed that much after now, by Slack's clock.
    let until = now
        .saturating_add(TOLERANCE)
        .and_then(|at| at.saturating_add(TOLERANCE));
    let row = SlackRequestRow {
        expires_at: until.unwrap_or(Timestamp::MAX).as_second(),
    };
    Change::put(Key::slack_request(&sha256_hex(signature)), &row, Expected::Absent)
}
