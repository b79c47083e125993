//! The ground every simulated AWS service stands on.
//!
//! A service is a synchronous struct that implements [`Service`]. It never reads a clock, never draws its own
//! randomness and never calls another service: it asks the [`Kernel`] for the time, for a random number, to be woken
//! later ([`Kernel::wake_at`]), to call another service ([`Kernel::call`]) or to put an event on the default bus
//! ([`Kernel::emit`]). The world that owns the kernel carries those wishes out, in an order that only the seed decides.
//! The same seed gives the same history, byte for byte.

mod activity;
mod alarms;
mod api;
mod images;
mod logs;
mod metrics;
mod place;
mod sites;
mod targets;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

pub use activity::{Activity, ActivityError, HttpScript, LogScript, MetricScript};
pub use alarms::{AlarmState, Alarms};
pub use api::{ApiError, Authorization, CallId, INTERNAL, Outgoing, Principal, Reply, Request, RequestId, Service};
pub use images::{Behaviour, Image, ImageStatus, Images, Outcome, Program, Resolution};
pub use logs::{LogEvent, Logs};
pub use metrics::{Metric, Metrics, Sample, Statistic, Usage, Window};
use place::Ground;
pub use place::Place;
pub use sites::{Server, Site, Sites};
pub use targets::{Target, TargetCondition, TargetGroup, TargetHealth, Targets};

/// Names one timer of one service. Ids are never reused within a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimerId(pub u64);

/// A timer that is due, as the world takes it from the heap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// The signing name of the service to wake, such as `ecs`.
    pub service: String,
    /// The id that [`Kernel::wake_at`] returned.
    pub timer: TimerId,
}

/// What a service asked for and the world has yet to carry out, in the order it was asked.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// An event of an AWS service, as the complete EventBridge envelope.
    Event(Value),
    /// A call from one service to another on behalf of a role.
    Call(Outgoing),
    /// The answer to a request that was left open with [`Reply::Later`].
    Answer(RequestId, Result<Value, ApiError>),
    /// Somebody has temporary credentials from now on.
    Session(Session),
}

/// Temporary credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Their access key id.
    pub access_key_id: String,
    /// Whom they speak for.
    pub principal: Principal,
    /// The access key that asked for them.
    pub asked_with: Option<String>,
    /// Until when they are good.
    pub expires_at: Timestamp,
}

/// Clock, randomness, timers and wishes of the simulated accounts and Regions.
///
/// It always stands in one [`Place`]: where the service is that it is handed to. What a service asks for happens there,
/// and what it reads is of there.
#[derive(Debug)]
pub struct Kernel {
    home: Arc<Place>,
    here: Arc<Place>,
    /// What the places have that the kernel does not stand in.
    grounds: BTreeMap<Arc<Place>, Ground>,
    now: Timestamp,
    rng: fastrand::Rng,
    next_id: u64,
    timers: BTreeMap<(Timestamp, u64), (Arc<Place>, String)>,
    effects: VecDeque<(Arc<Place>, Effect)>,
    /// The alarms of the account: set through CloudWatch, read by the ECS scheduler while it brings a service in
    /// force.
    pub alarms: Alarms,
    /// The images of the account's registry: written by ECR, read by the ECS scheduler when it pulls.
    pub images: Images,
    /// The log streams of the account: written by simulated containers, read through CloudWatch Logs.
    pub logs: Logs,
    /// The metrics of the account: put by simulated containers and through CloudWatch, which reads them and lets
    /// alarms watch them.
    pub metrics: Metrics,
    /// The target groups that ECS services name: written by ECS, read through Elastic Load Balancing.
    pub targets: Targets,
    /// The host names of the account's services: answered by the containers that ECS runs.
    pub sites: Sites,
    /// The loopback endpoint of a world that is served: where its clients find what AWS has in buckets.
    pub endpoint_url: Option<String>,
}

impl Kernel {
    /// A kernel at `start` whose every random choice comes from `seed`.
    #[must_use]
    pub fn new(account: &str, region: &str, start: Timestamp, seed: u64) -> Self {
        let home = Arc::new(Place::new(account, region));
        Self {
            here: Arc::clone(&home),
            home,
            grounds: BTreeMap::new(),
            now: start,
            rng: fastrand::Rng::with_seed(seed),
            next_id: 1,
            timers: BTreeMap::new(),
            effects: VecDeque::new(),
            alarms: Alarms::default(),
            images: Images::default(),
            logs: Logs::default(),
            metrics: Metrics::default(),
            targets: Targets::default(),
            sites: Sites::default(),
            endpoint_url: None,
        }
    }

    /// The twelve digits of the account that it stands in.
    #[must_use]
    pub fn account(&self) -> &str {
        &self.here.account
    }

    /// The Region that it stands in, such as `us-east-1`.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.here.region
    }

    /// The simulated time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// The one source of randomness.
    pub fn rng(&mut self) -> &mut fastrand::Rng {
        &mut self.rng
    }

    /// A number that was never handed out before in this run.
    pub fn next_id(&mut self) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        id
    }

    /// Lower-case hexadecimal digits drawn from the seed, as AWS uses in task and execution ids.
    pub fn hex_id(&mut self, digits: usize) -> String {
        const ALPHABET: [char; 16] = [
            '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f',
        ];
        (0..digits).map(|_| self.rng.choice(ALPHABET).unwrap_or('0')).collect()
    }

    /// A version-4 UUID drawn from the seed.
    pub fn uuid(&mut self) -> String {
        let hex = self.hex_id(30);
        let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default().to_owned();
        format!(
            "{}-{}-4{}-a{}-{}",
            part(0, 8),
            part(8, 12),
            part(12, 15),
            part(15, 18),
            part(18, 30)
        )
    }

    /// Asks for [`Service::wake`] of `service` at `at`; a time that is already over means as soon as possible.
    pub fn wake_at(&mut self, at: Timestamp, service: &str) -> TimerId {
        let id = self.next_id();
        self.timers
            .insert((at.max(self.now), id), (Arc::clone(&self.here), service.to_owned()));
        TimerId(id)
    }

    /// Asks for [`Service::wake`] of `service` after `delay`.
    pub fn wake_after(&mut self, delay: SignedDuration, service: &str) -> TimerId {
        self.wake_at(self.now.saturating_add(delay).unwrap_or(Timestamp::MAX), service)
    }

    /// Puts an event of an AWS service on the default bus: `detail_type` and `detail` as in the EventBridge events
    /// reference.
    pub fn emit(&mut self, source: &str, detail_type: &str, resources: &[String], detail: Value) {
        let id = self.uuid();
        let resources: Vec<Value> = resources.iter().map(|arn| Value::String(arn.clone())).collect();
        let mut event = serde_json::json!({
            "version": "0",
            "id": id,
            "detail-type": detail_type,
            "source": source,
            "account": self.here.account,
            "time": self.now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            "region": self.here.region,
            "resources": resources,
        });
        if let Some(envelope) = event.as_object_mut() {
            envelope.insert("detail".to_owned(), detail);
        }
        self.wish(Effect::Event(event));
    }

    /// Calls `operation` of `service` as `principal`, for the service `from`. The answer comes back through
    /// [`Service::replied`].
    pub fn call(&mut self, from: &str, service: &str, operation: &str, input: Value, principal: &Principal) -> CallId {
        self.call_for(None, from, service, operation, input, principal)
    }

    /// As [`Kernel::call`], for the resource `source_arn` of the calling service: resource policies may ask for it as
    /// `aws:SourceArn`.
    pub fn call_for(
        &mut self,
        source_arn: Option<&str>,
        from: &str,
        service: &str,
        operation: &str,
        input: Value,
        principal: &Principal,
    ) -> CallId {
        self.call_at(None, source_arn, from, service, operation, input, principal)
    }

    /// As [`Kernel::call_for`], of a service in another place.
    #[expect(clippy::too_many_arguments, reason = "one call has as many parts")]
    pub fn call_at(
        &mut self,
        place: Option<&Place>,
        source_arn: Option<&str>,
        from: &str,
        service: &str,
        operation: &str,
        input: Value,
        principal: &Principal,
    ) -> CallId {
        let id = CallId(self.next_id());
        self.wish(Effect::Call(Outgoing {
            place: place.cloned(),
            id,
            from: from.to_owned(),
            service: service.to_owned(),
            operation: operation.to_owned(),
            input,
            principal: principal.clone(),
            source_arn: source_arn.map(str::to_owned),
        }));
        id
    }

    /// Answers a request that the service had left open with [`Reply::Later`].
    pub fn answer(&mut self, request: RequestId, result: Result<Value, ApiError>) {
        self.wish(Effect::Answer(request, result));
    }

    /// Gives somebody temporary credentials.
    pub fn open_session(&mut self, session: Session) {
        self.wish(Effect::Session(session));
    }

    fn wish(&mut self, effect: Effect) {
        self.effects.push_back((Arc::clone(&self.here), effect));
    }

    /// The next wish to carry out, where it was asked. For the world only.
    pub fn take_effect(&mut self) -> Option<Effect> {
        let (place, effect) = self.effects.pop_front()?;
        self.enter(&place);
        Some(effect)
    }

    /// When the next timer is due, if any is set. For the world only.
    #[must_use]
    pub fn next_due(&self) -> Option<Timestamp> {
        self.timers.keys().next().map(|(at, _)| *at)
    }

    /// Takes the earliest timer, where it was set, and moves the clock to it. For the world only.
    pub fn take_due(&mut self) -> Option<Due> {
        let ((at, id), (place, service)) = self.timers.pop_first()?;
        self.now = self.now.max(at);
        self.enter(&place);
        Some(Due {
            service,
            timer: TimerId(id),
        })
    }

    /// Moves the clock forward to `to` when no timer is due before it; never backwards. For the world only.
    pub fn move_clock(&mut self, to: Timestamp) {
        let limit = self.next_due().map_or(to, |due| due.min(to));
        self.now = self.now.max(limit);
    }

    /// An ARN in this account and Region: `arn:aws:{service}:{region}:{account}:{resource}`.
    #[must_use]
    pub fn arn(&self, service: &str, resource: &str) -> String {
        format!(
            "arn:aws:{service}:{}:{}:{resource}",
            self.here.region, self.here.account
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kernel() -> Kernel {
        Kernel::new("123456789012", "us-east-1", "2026-11-02T09:00:00Z".parse().unwrap(), 7)
    }

    #[test]
    fn timers_fire_in_order_of_time_and_then_of_asking() {
        let mut kernel = kernel();
        let late = kernel.wake_after(SignedDuration::from_secs(10), "ecs");
        let first = kernel.wake_after(SignedDuration::from_secs(5), "states");
        let second = kernel.wake_after(SignedDuration::from_secs(5), "ecs");
        let order: Vec<TimerId> = std::iter::from_fn(|| kernel.take_due()).map(|due| due.timer).collect();
        assert_eq!(order, [first, second, late]);
        assert_eq!(kernel.now().to_string(), "2026-11-02T09:00:10Z");
    }

    #[test]
    fn the_clock_never_jumps_over_a_timer() {
        let mut kernel = kernel();
        kernel.wake_after(SignedDuration::from_secs(5), "ecs");
        kernel.move_clock("2026-11-02T10:00:00Z".parse().unwrap());
        assert_eq!(kernel.now().to_string(), "2026-11-02T09:00:05Z");
    }

    #[test]
    fn one_seed_gives_one_history() {
        let (mut one, mut two) = (kernel(), kernel());
        assert_eq!(one.uuid(), two.uuid());
        assert_eq!(one.hex_id(32), two.hex_id(32));
    }
}
