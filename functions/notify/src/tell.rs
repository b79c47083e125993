//! Telling Slack what differs from what it was told last.
//!
//! What is about to be told is written down first, so that two rounds at once do not tell it twice. Where the answer is
//! lost, nobody knows what became of it: writing a card anew is safe, and a message that is posted once more is one too
//! many in the channel, which only Slack could tell.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use esclusa_adapters::cards::Known;
use esclusa_adapters::control::rows::{CardPauseRow, CardRow, DeploymentRow, ReleaseRow};
use esclusa_adapters::control::{Change, Expected, Key, Stored};
use esclusa_adapters::journal::{Commit, Committed};
use esclusa_adapters::planning::pipeline_version;
use esclusa_adapters::secrets::SecretReader;
use esclusa_adapters::slack::{Destination, Written};
use esclusa_core::canonical::canonical_sha256;
use esclusa_core::card::{Alert, Card, alert_message, message};
use esclusa_core::error::{ErrorKind, Failure};
use esclusa_core::pipeline::{Pipeline, ResolvedEnvironment, resolve};
use esclusa_core::secret::Secret;
use esclusa_core::verdict::End;
use esclusa_core::wave::in_waves;
use esclusa_runtime::Round;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::Notify;

/// How long somebody who tells something may still be at it: longer than the function runs.
const AT_IT: SignedDuration = SignedDuration::from_secs(70);

/// How long after the end of a release it is still tried to tell it.
const GIVEN_UP: SignedDuration = SignedDuration::from_hours(72);

/// What is left of the time of an invocation when nothing more is begun: longer than Slack is waited for.
pub(crate) const RESERVE: SignedDuration = SignedDuration::from_secs(15);

/// What became of telling something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    /// Slack shows what is true.
    True,
    /// It does not yet: the next round goes on.
    Later,
    /// Slack takes nothing for a while.
    Paused,
}

/// The pipelines that a round has read.
type Pipelines = BTreeMap<(String, u32), Pipeline>;

/// What is told in one environment, and where.
struct Place<'a> {
    release: &'a ReleaseRow,
    environment: &'a ResolvedEnvironment,
    channel: &'a str,
    token: &'a Secret<String>,
}

impl Place<'_> {
    fn key(&self) -> Key {
        Key::card(&self.release.release_id, self.environment.name.as_str())
    }

    fn name(&self, of: &str) -> String {
        format!("{}/{}/{of}", self.release.release_id, self.environment.name)
    }
}

impl Notify {
    /// Looks at everything once, and tells what differs.
    pub(crate) async fn round(&self, token: &SecretReader, round: &mut Round) -> Result<Value, Failure> {
        let clock = self.journal.clock();
        let now = clock.now()?;
        let candidates = self.candidates(now, round).await?;
        let pause: Option<Stored<CardPauseRow>> = self.journal.control().get(&Key::card_pause()).await?;
        if let Some(pause) = pause.filter(|pause| now < pause.row.until) {
            return Ok(json!({"pausedUntil": pause.row.until}));
        }
        if candidates.is_empty() {
            return Ok(json!({"looked": 0}));
        }
        let token = token.read().await?;
        let mut looked = 0_usize;
        let mut pipelines = Pipelines::new();
        for release_id in &round.in_turn(candidates) {
            if !round.has_time(clock.now()?) {
                break;
            }
            looked = looked.saturating_add(1);
            match self.tell_release(release_id, &token, &mut pipelines).await {
                Ok((Told::True, Some(_))) => self.forget(release_id).await?,
                Ok((Told::Later, Some(ended_at))) if now.duration_since(ended_at) > GIVEN_UP => {
                    tracing::warn!(
                        release_id,
                        "the end of a release could not be announced for days; giving up"
                    );
                    self.forget(release_id).await?;
                }
                Ok((Told::True | Told::Later, _)) => {}
                Ok((Told::Paused, _)) => break,
                Err(failure) => round.failed(&format!("what is told of release `{release_id}`"), &failure),
            }
        }
        Ok(json!({"looked": looked}))
    }

    /// Tells what differs about a release, and when it ended where it had before anything about it was read: only then
    /// nothing follows.
    async fn tell_release(
        &self,
        release_id: &str,
        token: &Secret<String>,
        pipelines: &mut Pipelines,
    ) -> Result<(Told, Option<Timestamp>), Failure> {
        let release: Option<Stored<ReleaseRow>> = self.journal.control().get(&Key::release(release_id)).await?;
        let Some(release) = release.map(|stored| stored.row) else {
            return Ok((Told::True, Some(Timestamp::MIN)));
        };
        let over = release
            .end
            .as_ref()
            .map(|_| release.ended_at.unwrap_or(release.created_at));
        let key = (release.application.clone(), release.pipeline_version);
        let pipeline: &Pipeline = match pipelines.entry(key) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unread) => {
                match pipeline_version(self.journal.control(), &release.application, release.pipeline_version).await {
                    Ok((_, pipeline)) => unread.insert(pipeline),
                    // Nobody knows where to tell it.
                    Err(failure) if failure.kind == ErrorKind::Refused => {
                        tracing::warn!(release_id, message = %failure.message, "nobody is notified of a release");
                        return Ok((Told::True, over));
                    }
                    Err(failure) => return Err(failure),
                }
            }
        };
        let mut told = Told::True;
        for wave in in_waves(&release.environments, &release.waves) {
            let mut is_through = true;
            for name in &wave {
                let deployment = self.journal.last_deployment(release_id, name).await?;
                let deployment: Option<DeploymentRow> = deployment.map(|stored| stored.row);
                let end = deployment.as_ref().and_then(|deployment| deployment.end.as_ref());
                is_through &= end.is_some_and(End::is_in_force);
                let environment = resolve(pipeline, name).ok();
                let slack = environment.as_ref().and_then(|environment| {
                    let notifications = environment.notifications.as_ref()?;
                    notifications.slack.as_ref()
                });
                let (Some(environment), Some(slack)) = (&environment, slack) else {
                    continue;
                };
                let known = Known::read(self.journal.control(), &release, pipeline, name, deployment).await?;
                let place = Place {
                    release: &release,
                    environment,
                    channel: slack.channel.as_str(),
                    token,
                };
                if let Some(card) = known.card(&release, environment) {
                    match self.tell(&place, &card).await? {
                        Told::True => {}
                        Told::Later => told = Told::Later,
                        Told::Paused => return Ok((Told::Paused, over)),
                    }
                }
            }
            if !is_through {
                break;
            }
        }
        Ok((told, over))
    }

    /// Shows the card, then tells people of what they are told besides, one after the other: each of it is announced for
    /// itself.
    async fn tell(&self, place: &Place<'_>, card: &Card) -> Result<Told, Failure> {
        loop {
            if let Some(told) = self.tell_next(place, card).await? {
                return Ok(told);
            }
        }
    }

    /// Tells the next of what is to be told. Nothing where that was done, and there may be more.
    async fn tell_next(&self, place: &Place<'_>, card: &Card) -> Result<Option<Told>, Failure> {
        let stored: Option<Stored<CardRow>> = self.journal.control().get(&place.key()).await?;
        let expected = Expected::unchanged(stored.as_ref());
        let nothing_yet = || CardRow {
            channel: place.channel.to_owned(),
            ts: None,
            gone: 0,
            shown: None,
            alerted: BTreeSet::new(),
            telling_since: None,
        };
        let row = stored.map_or_else(nothing_yet, |stored| stored.row);
        let now = self.journal.clock().now()?;
        if row.telling_since.is_some_and(|since| now.duration_since(since) < AT_IT) {
            return Ok(Some(Told::Later));
        }
        let desired = message(card);
        let hash = canonical_sha256(&desired);
        let is_shown = row.ts.is_some() && row.shown.as_ref() == Some(&hash);
        // The card comes first.
        let mut alerts = card.alerts().iter().filter(|_| is_shown);
        let alert = alerts.find(|alert| !row.alerted.contains(&alert.key));
        if is_shown && alert.is_none() {
            return Ok(Some(Told::True));
        }
        let intent = CardRow {
            telling_since: Some(now),
            ..row.clone()
        };
        let Some(revision) = self.write(place, &intent, expected).await? else {
            return Ok(Some(Told::Later));
        };
        let sent = self.send(place, &row, &desired, alert).await?;
        let mut next = CardRow {
            telling_since: None,
            ..row
        };
        let told = match sent {
            Written::There { channel, ts } => {
                match alert {
                    Some(alert) => {
                        next.alerted.insert(alert.key.clone());
                    }
                    None => {
                        next.channel = channel;
                        next.ts = Some(ts);
                        next.shown = Some(hash);
                    }
                }
                Told::True
            }
            Written::TooMany { seconds } => {
                self.pause(now, seconds).await?;
                Told::Paused
            }
            Written::Refused { code } => {
                if IS_GONE.contains(&code.as_str()) {
                    // Somebody removed the card: it is written anew, as another message.
                    next.ts = None;
                    next.shown = None;
                    next.gone = next.gone.saturating_add(1);
                } else {
                    let remedy = remedy(&code);
                    tracing::warn!(code, channel = next.channel, "Slack did not accept a message: {remedy}");
                }
                Told::Later
            }
            Written::Unknown { why } => {
                // It stays announced: for a while nobody repeats what may have come about.
                tracing::warn!(why, "it is unknown whether Slack accepted a message");
                return Ok(Some(Told::Later));
            }
        };
        let is_written = self.write(place, &next, Expected::Revision(revision)).await?.is_some();
        Ok(match told {
            Told::True if is_written => None,
            Told::True => Some(Told::Later),
            told => Some(told),
        })
    }

    /// Posts an alert below the card, or else shows the card as it is to be.
    async fn send(
        &self,
        place: &Place<'_>,
        row: &CardRow,
        desired: &Value,
        alert: Option<&Alert>,
    ) -> Result<Written, Failure> {
        let channel = &row.channel;
        match (&row.ts, alert) {
            (Some(ts), Some(alert)) => {
                let thread = Some(ts.as_str());
                let name = place.name(&format!("{}/{}", alert.key, row.gone));
                let below = Destination { channel, thread };
                self.slack.post(place.token, below, &alert_message(alert), &name).await
            }
            (Some(ts), None) => self.slack.update(place.token, channel, ts, desired).await,
            (None, _) => {
                let name = place.name(&format!("card/{}", row.gone));
                let to = Destination { channel, thread: None };
                self.slack.post(place.token, to, desired, &name).await
            }
        }
    }

    /// Writes the row of a card. Its revision, or nothing where another round was faster.
    async fn write(&self, place: &Place<'_>, row: &CardRow, expected: Expected) -> Result<Option<u64>, Failure> {
        let commit = Commit::new().change(Change::put(place.key(), row, expected)?);
        match self.journal.commit(commit).await? {
            Committed::Lost(_) => Ok(None),
            written => {
                written.or_failure()?;
                Ok(Some(match expected {
                    Expected::Absent => 1,
                    Expected::Revision(revision) => revision.saturating_add(1),
                }))
            }
        }
    }

    async fn pause(&self, now: Timestamp, seconds: u32) -> Result<(), Failure> {
        let pause = SignedDuration::from_secs(i64::from(seconds));
        let until = now.saturating_add(pause).unwrap_or(Timestamp::MAX);
        let key = Key::card_pause();
        let stored: Option<Stored<CardPauseRow>> = self.journal.control().get(&key).await?;
        let expected = Expected::unchanged(stored.as_ref());
        let commit = Commit::new().change(Change::put(key, &CardPauseRow { until }, expected)?);
        match self.journal.commit(commit).await? {
            Committed::Lost(_) => Ok(()),
            written => written.or_failure().map(|_| ()),
        }
    }
}

/// Slack's words for a message that is not there any more.
const IS_GONE: [&str; 4] = [
    "message_not_found",
    "thread_not_found",
    "duplicate_message_not_found",
    "duplicate_channel_not_found",
];

/// What helps against what Slack says.
fn remedy(code: &str) -> &'static str {
    match code {
        "not_in_channel" | "channel_not_found" => {
            "invite the app to the channel, or correct `notifications` of the pipeline"
        }
        "invalid_auth" | "not_authed" | "account_inactive" | "token_revoked" | "token_expired" => {
            "install the app again and store its token in the secret of `SlackBotTokenArn`"
        }
        "missing_scope" => "give the app the scope `chat:write` and install it again",
        "is_archived" => "unarchive the channel, or name another one in `notifications` of the pipeline",
        _ => "https://docs.slack.dev/reference/methods/chat.postMessage explains it",
    }
}
