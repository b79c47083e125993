//! The default event bus: rules, targets and events.

mod api;
mod requests;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use serde_json::{Value, json};
use simulator_kernel::{ApiError, Authorization, CallId, Kernel, Principal, Reply, Request, Service, TimerId};

use crate::courier::{Courier, Parcel, Undelivered};
use crate::delivery::{Delivery, Fault};
use crate::expression::Expression;
use crate::pattern::Pattern;
use crate::target::{Aim, Destination, Target};
use crate::transform::Context;

/// Amazon EventBridge: the default event bus of the account.
#[derive(Debug)]
pub struct EventBridge {
    rules: BTreeMap<String, Rule>,
    courier: Courier,
    /// Events that a fault holds back.
    held: BTreeMap<TimerId, Value>,
    /// The next run of every scheduled rule.
    ticks: BTreeMap<TimerId, String>,
    /// Events that a fault dropped.
    dropped: Vec<Value>,
    /// The faults between the services and the bus.
    pub delivery: Delivery,
}

#[derive(Debug)]
struct Rule {
    arn: String,
    description: Option<String>,
    enabled: bool,
    trigger: Trigger,
    targets: BTreeMap<String, (Target, Aim)>,
}

#[derive(Debug)]
enum Trigger {
    Pattern { text: String, pattern: Pattern },
    Schedule { text: String, expression: Expression },
}

impl Default for EventBridge {
    fn default() -> Self {
        Self::new()
    }
}

impl EventBridge {
    const NAME: &str = "events";
    const PRINCIPAL: &str = "events.amazonaws.com";

    /// A bus without rules.
    #[must_use]
    pub fn new() -> Self {
        Self {
            rules: BTreeMap::new(),
            courier: Courier::new(Self::NAME),
            held: BTreeMap::new(),
            ticks: BTreeMap::new(),
            dropped: Vec::new(),
            delivery: Delivery::default(),
        }
    }

    /// The events that targets did not receive, in the order delivery ended.
    #[must_use]
    pub fn undelivered(&self) -> &[Undelivered] {
        self.courier.undelivered()
    }

    /// The events that [`Fault::Drop`] took, in the order they were put.
    #[must_use]
    pub fn dropped(&self) -> &[Value] {
        &self.dropped
    }

    /// Takes an event as it comes from its source, faults included.
    fn arrive(&mut self, event: &Value, kernel: &mut Kernel) {
        match self.delivery.judge(event) {
            None => self.route(event, kernel),
            Some(Fault::Drop) => self.dropped.push(event.clone()),
            Some(Fault::Delay(time)) => {
                self.held.insert(kernel.wake_after(time, Self::NAME), event.clone());
            }
            Some(Fault::Duplicate(time)) => {
                self.route(event, kernel);
                self.held.insert(kernel.wake_after(time, Self::NAME), event.clone());
            }
            Some(Fault::Replace { pointer, value }) => {
                let mut event = event.clone();
                if let Some(slot) = event.pointer_mut(&pointer) {
                    *slot = value;
                }
                self.route(&event, kernel);
            }
        }
    }

    /// Sends an event to the targets of all rules that want it.
    fn route(&mut self, event: &Value, kernel: &mut Kernel) {
        let mut parcels = Vec::new();
        for (name, rule) in &self.rules {
            let wanted = matches!(&rule.trigger, Trigger::Pattern { pattern, .. } if pattern.matches(event));
            if rule.enabled && wanted {
                parcels.extend(rule.parcels(name, event, kernel));
            }
        }
        // An event that came from another bus goes to no third one: <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-cross-account.html>.
        if is_of_elsewhere(event, kernel) {
            parcels.retain(|(parcel, _)| parcel.destination != Destination::Bus);
        }
        self.dispatch(parcels, kernel);
    }

    fn dispatch(&mut self, parcels: Vec<(Parcel, Option<String>)>, kernel: &mut Kernel) {
        for (parcel, unreadable) in parcels {
            match unreadable {
                None => self.courier.send(parcel, kernel),
                Some(reason) => self.courier.give_up(&parcel, "INVALID_JSON", &reason, None, kernel),
            }
        }
    }

    /// Runs a scheduled rule and sets its next run.
    fn tick(&mut self, name: &str, kernel: &mut Kernel) {
        let Some(rule) = self.rules.get(name) else {
            return;
        };
        let event = scheduled_event(&rule.arn, "aws.events", &json!({}), kernel);
        let parcels = rule.parcels(name, &event, kernel);
        self.dispatch(parcels, kernel);
        self.set_tick(name, kernel);
    }

    fn set_tick(&mut self, name: &str, kernel: &mut Kernel) {
        self.ticks.retain(|_, ticking| ticking != name);
        let Some(Rule {
            enabled: true,
            trigger: Trigger::Schedule { expression, .. },
            ..
        }) = self.rules.get(name)
        else {
            return;
        };
        if let Some(at) = expression.next(kernel.now(), &TimeZone::UTC) {
            self.ticks.insert(kernel.wake_at(at, Self::NAME), name.to_owned());
        }
    }
}

fn is_of_elsewhere(event: &Value, kernel: &Kernel) -> bool {
    let is = |member: &str, here: &str| event.get(member).and_then(Value::as_str) == Some(here);
    !is("account", kernel.account()) || !is("region", kernel.region())
}

impl Rule {
    /// One parcel per target, with the reason where its payload cannot be formed.
    fn parcels(&self, name: &str, event: &Value, kernel: &Kernel) -> Vec<(Parcel, Option<String>)> {
        let context = Context {
            rule_arn: &self.arn,
            rule_name: name,
            ingestion_time: kernel.now().to_string(),
        };
        let service = Principal::Service(EventBridge::PRINCIPAL.to_owned());
        self.targets
            .values()
            .map(|(target, aim)| {
                let (payload, unreadable) = match target.payload(event, &context) {
                    Ok(payload) => (payload, None),
                    Err(reason) => (Value::Null, Some(reason)),
                };
                let parcel = Parcel {
                    origin: self.arn.clone(),
                    target: target.arn.clone(),
                    destination: aim.destination,
                    principal: aim.principal.clone(),
                    payload,
                    event: event.to_string(),
                    dead_letter_queue: target.dead_letter_queue().map(str::to_owned),
                    dead_letter_principal: service.clone(),
                    policy: target.retry_policy.clone().unwrap_or_default(),
                    since: kernel.now(),
                    retries: 0,
                };
                (parcel, unreadable)
            })
            .collect()
    }
}

/// The event that a schedule sends: `detail` is an object from a rule and a text from Scheduler.
pub(crate) fn scheduled_event(resource: &str, source: &str, detail: &Value, kernel: &mut Kernel) -> Value {
    json!({
        "version": "0",
        "id": kernel.uuid(),
        "detail-type": "Scheduled Event",
        "source": source,
        "account": kernel.account(),
        "time": kernel.now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        "region": kernel.region(),
        "resources": [resource],
        "detail": detail,
    })
}

impl Service for EventBridge {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn authorizations(&self, request: &Request, kernel: &Kernel) -> Vec<Authorization> {
        api::authorizations(request, kernel)
    }

    fn call(&mut self, request: &Request, kernel: &mut Kernel) -> Reply {
        Reply::Now(self.operate(request, kernel))
    }

    fn wake(&mut self, timer: TimerId, kernel: &mut Kernel) {
        if let Some(event) = self.held.remove(&timer) {
            self.route(&event, kernel);
        } else if let Some(rule) = self.ticks.remove(&timer) {
            self.tick(&rule, kernel);
        } else {
            self.courier.wake(timer, kernel);
        }
    }

    fn replied(&mut self, call: CallId, result: Result<Value, ApiError>, kernel: &mut Kernel) {
        self.courier.replied(call, result, kernel);
    }

    fn event(&mut self, event: &Value, kernel: &mut Kernel) {
        self.arrive(event, kernel);
    }
}
