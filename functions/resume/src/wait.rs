//! Storing a wait, looking at the truth, completing.

use esclusa_adapters::control::rows::OpenWaitRow;
use esclusa_adapters::control::{Change, Expected, Key, Stored};
use esclusa_adapters::journal::{Commit, Committed};
use esclusa_adapters::step_functions::CompletionOutcome;
use esclusa_core::error::{ErrorKind, Failure};
use esclusa_core::place::of_arn;
use esclusa_core::protocol::Attempt;
use esclusa_core::protocol::rendezvous::{
    Completion, Look, SendAnswer, StoreWait, Truth, WaitStatus, complete, give_up, look, store_wait,
};
use esclusa_runtime::{Function, Invocation, Measure, Round};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::{Resume, StoredToken, WaitRow};

/// How long after its deadline a wait is given up: the state has ended by its own timeout by then.
const GRACE: SignedDuration = SignedDuration::from_mins(15);

/// How long the row of a closed wait is kept: longer than its state may be retried.
const KEPT: SignedDuration = SignedDuration::from_hours(24 * 14);

/// What is left of the time of a sweep when it begins no further look: longer than one takes.
const RESERVE: SignedDuration = SignedDuration::from_secs(8);

/// How often a look is repeated when another one was faster.
const TRIES: usize = 4;

/// Who looks; it goes into the output of the waiting state for readers of its history.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Source {
    /// The waiter itself.
    Read,
    /// An event.
    Event,
    /// A sweep.
    Sweep,
}

impl Source {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Event => "event",
            Self::Sweep => "sweep",
        }
    }
}

impl Resume {
    /// The waiter's side: first the token, then the truth.
    pub(crate) async fn store_and_look(&self, row: WaitRow) -> Result<Value, Failure> {
        for _ in 0..TRIES {
            let stored: Option<Stored<WaitRow>> = self.control().get(&row.key()).await?;
            match store_wait(stored.as_ref().map(|stored| &stored.row.waiter), row.waiter.clone())? {
                StoreWait::AlreadyClosed => return Ok(json!({"waiting": false})),
                StoreWait::AlreadyStored => return self.first_look(&row).await,
                StoreWait::Store(_) => {
                    let pointer = OpenWaitRow {
                        resource: row.resource.clone(),
                        execution_arn: row.execution_arn.clone(),
                        state: row.state.clone(),
                    };
                    let pointed: Option<Stored<OpenWaitRow>> = self.control().get(&row.pointer_key()).await?;
                    let commit = Commit::new()
                        .change(Change::put(row.key(), &row, Expected::unchanged(stored.as_ref()))?)
                        .change(Change::put(
                            row.pointer_key(),
                            &pointer,
                            Expected::unchanged(pointed.as_ref()),
                        )?);
                    match self.journal.commit(commit).await? {
                        Committed::Lost(_) => {}
                        written => {
                            written.or_failure()?;
                            return self.first_look(&row).await;
                        }
                    }
                }
            }
        }
        Err(Failure::conflict(format!(
            "the wait of state `{}` is being written by others",
            row.state
        )))
    }

    /// The look of whoever has just stored its token. What runs in another place runs on while its role cannot be
    /// assumed: the wait stands, and the sweep, which says so, looks again.
    async fn first_look(&self, row: &WaitRow) -> Result<Value, Failure> {
        let is_elsewhere = of_arn(&row.resource).is_some_and(|place| place != *self.places.home());
        match self.look_at(row, Source::Read).await {
            Err(failure) if is_elsewhere && [ErrorKind::AccessDenied, ErrorKind::Refused].contains(&failure.kind) => {
                tracing::warn!(state = row.state, message = %failure.message, "a first look at an open wait was denied");
                Ok(json!({"waiting": true}))
            }
            looked => looked,
        }
    }

    /// One look at one wait: reads the truth, and wakes the state when it is over.
    pub(crate) async fn look_at(&self, row: &WaitRow, source: Source) -> Result<Value, Failure> {
        let truth = self.truth(row).await;
        let stored: Option<Stored<WaitRow>> = self.control().get(&row.key()).await?;
        let waiter = stored.as_ref().map(|stored| &stored.row.waiter);
        let truth = match truth {
            Ok(truth) => truth,
            // What is waited for may be gone for good. Once the state must have ended, nothing has to be known about it
            // any more.
            Err(failure) => match give_up(waiter, GRACE, self.clock.now()?) {
                Some(_) => Truth::NotVisible,
                None => return Err(failure),
            },
        };
        match look(waiter, truth) {
            Look::NobodyWaits => {
                self.forget_pointer(row).await?;
                Ok(json!({"waiting": false}))
            }
            Look::StillRunning => {
                let given_up = give_up(waiter, GRACE, self.clock.now()?);
                let waiting = given_up.is_none();
                if let (Some(stored), Some(write)) = (&stored, given_up) {
                    self.close(stored, Completion::Close(write)).await?;
                }
                Ok(json!({"waiting": waiting, "visible": truth != Truth::NotVisible}))
            }
            Look::Complete { token, attempt } => {
                let output = json!({"resourceArn": row.resource, "source": source.as_str()});
                let answer = match self.tokens.succeed(&token.0, &output).await {
                    Ok(CompletionOutcome::Accepted) => SendAnswer::Accepted,
                    Ok(CompletionOutcome::TimedOut) => SendAnswer::TaskTimedOut,
                    Ok(CompletionOutcome::Unknown) => SendAnswer::UnknownToken,
                    Err(failure) if failure.kind == ErrorKind::Transient => SendAnswer::NoAnswer,
                    Err(failure) => return Err(failure),
                };
                self.completed(row, attempt, answer).await?;
                match answer {
                    SendAnswer::NoAnswer => Err(Failure::transient(
                        "step functions did not say whether it took the token",
                    )),
                    SendAnswer::UnknownToken => Err(Failure::defect(format!(
                        "step functions does not know the token of state `{}` of `{}`: look at the execution",
                        row.state, row.execution_arn
                    ))),
                    SendAnswer::Accepted => {
                        Measure::WaitEnded {
                            deployment_id: &row.waiter.deployment_id,
                            wait: row.waiter.kind.as_str(),
                            woken_by: source.as_str(),
                            took: self.clock.now()?.duration_since(row.waiter.attempt.entered_at),
                        }
                        .emit();
                        Ok(json!({"waiting": false}))
                    }
                    SendAnswer::TaskTimedOut => Ok(json!({"waiting": false})),
                }
            }
        }
    }

    async fn completed(&self, row: &WaitRow, sent: Attempt, answer: SendAnswer) -> Result<(), Failure> {
        for _ in 0..TRIES {
            let Some(stored) = self.control().get::<WaitRow>(&row.key()).await? else {
                return Ok(());
            };
            let completion = complete(Some(&stored.row.waiter), sent, answer);
            if self.close(&stored, completion).await.is_ok() {
                return Ok(());
            }
        }
        // The state goes on already; the next sweep closes the row.
        tracing::info!(
            state = row.state,
            "the row of a completed wait is being written by others"
        );
        Ok(())
    }

    async fn close(&self, stored: &Stored<WaitRow>, completion: Completion<StoredToken>) -> Result<(), Failure> {
        let Completion::Close(write) = completion else {
            return Ok(());
        };
        let expires_at = self.clock.now()?.saturating_add(KEPT).unwrap_or(Timestamp::MAX);
        let row = WaitRow {
            waiter: write.row,
            expires_at: Some(expires_at.as_second()),
            ..stored.row.clone()
        };
        let mut commit = Commit::new().change(Change::put(row.key(), &row, Expected::Revision(stored.revision))?);
        if let Some(pointer) = self.control().get::<OpenWaitRow>(&row.pointer_key()).await? {
            commit = commit.change(Change::delete(row.pointer_key(), pointer.revision));
        }
        self.journal.commit(commit).await?.or_failure().map(|_| ())
    }

    async fn forget_pointer(&self, row: &WaitRow) -> Result<(), Failure> {
        // Read in this order, a pointer that is there belongs to a wait that was stored no later: one that is open
        // keeps it.
        let Some(pointer) = self.control().get::<OpenWaitRow>(&row.pointer_key()).await? else {
            return Ok(());
        };
        let stored: Option<Stored<WaitRow>> = self.control().get(&row.key()).await?;
        if stored.is_some_and(|stored| stored.row.waiter.status == WaitStatus::Open) {
            return Ok(());
        }
        let commit = Commit::new().change(Change::delete(row.pointer_key(), pointer.revision));
        // Lost means that the pointer is in use again or gone already.
        let _outcome = self.journal.commit(commit).await?;
        Ok(())
    }

    /// Repeats the look for every open wait, and settles what was left open. One that fails does not keep the others
    /// from theirs.
    pub(crate) async fn sweep(&self, invocation: &Invocation) -> Result<Value, Failure> {
        let mut round = Round::begin(Self::NAME, invocation, self.clock.now()?, RESERVE);
        // There are few of them, and none may wait behind those that people keep open for days.
        let settled = self.settle_intents(&mut round).await?;
        let pointers: Vec<(String, Stored<OpenWaitRow>)> = self.control().all(Key::OPEN_WAITS, "").await?;
        let (mut open, mut woken) = (0_u32, 0_u32);
        for (_, pointer) in round.in_turn(pointers) {
            if !round.has_time(self.clock.now()?) {
                break;
            }
            let OpenWaitRow { resource, state, .. } = &pointer.row;
            let looked = match self.control().get::<WaitRow>(&pointer.row.wait_key()).await {
                Ok(Some(wait)) => self.look_at(&wait.row, Source::Sweep).await,
                Ok(None) => continue,
                Err(failure) => Err(failure),
            };
            match looked {
                Ok(answer) if answer.get("waiting") == Some(&json!(true)) => open += 1,
                Ok(_) => woken += 1,
                Err(failure) => round.failed(&format!("state `{state}` that waits for `{resource}`"), &failure),
            }
        }
        Measure::Found {
            found: "act",
            count: settled,
        }
        .emit();
        let failed = round.end();
        Ok(json!({"open": open, "closed": woken, "settled": settled, "failed": failed}))
    }
}
