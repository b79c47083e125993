//! The world: one kernel, its services, the futures of in-process functions, and the order in which things happen.

mod calls;
mod invocations;

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;

use aws_smithy_runtime_api::client::http::SharedHttpConnector;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use simulator_dynamodb::DynamoDb;
use simulator_ecs::Ecs;
use simulator_event_bridge::{EventBridge, Scheduler};
use simulator_kernel::{ApiError, Effect, Kernel, Place, Principal, Reply, Request, RequestId, Service};
use simulator_step_functions::{StepFunctions, TaskTry};
use tokio::sync::oneshot;

use crate::access::Access;
use crate::executor::{Executor, JoinHandle, TaskId};
use crate::fault::{Fault, FaultKind, FaultPlan, FunctionFault, Selector};
use crate::identity::AccessKey;
use crate::lambda::{InvocationId, Lambda};
use crate::mailbox::{Arrival, Mailbox};
use crate::record::CallRecord;
use crate::services::{
    ApplicationAutoScaling, CloudWatch, Ecr, ElasticLoadBalancing, HttpApis, Iam, Logs, Rds, SecretsManager, Sites,
    Slack, Sns, Sqs, Sts,
};
use calls::{Open, Undelivered, Waiting};
pub(crate) use invocations::ProcessHost;
use invocations::Running;

/// Where and when a world begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Twelve digits.
    pub account: String,
    /// Such as `us-east-1`.
    pub region: String,
    /// The simulated time at the beginning.
    pub start: Timestamp,
    /// Decides every interleaving, latency and id.
    pub seed: u64,
    /// Whether what in-process functions write is kept: in their log groups, and as metrics where lines are in the
    /// embedded metric format. What processes write always is.
    pub function_logs: bool,
}

impl Default for Settings {
    /// Account 123456789012 in `us-east-1` on Monday 2 November 2026, 09:00 UTC, with seed 1.
    fn default() -> Self {
        Self {
            account: "123456789012".to_owned(),
            region: "us-east-1".to_owned(),
            start: Timestamp::constant(1_793_610_000, 0),
            seed: 1,
            function_logs: false,
        }
    }
}

/// What the world itself waits for. Services' own timers are in the kernel.
#[derive(Debug)]
enum Alarm {
    /// Somebody sleeps.
    Sleep(oneshot::Sender<()>),
    /// An answer has travelled back to its caller.
    Answer {
        to: Waiting,
        request: RequestId,
        result: Result<Value, ApiError>,
        invocation: Option<InvocationId>,
    },
    /// A delayed call reaches its service.
    Deliver(Box<Undelivered>),
    /// An invocation's time is up.
    Deadline(InvocationId),
}

/// The services of one place by their signing names.
type Services = BTreeMap<&'static str, Box<dyn Service>>;

/// What an invocation was given, and by whom.
#[derive(Debug)]
struct Invoked {
    payload: Value,
    task: Option<TaskTry>,
}

/// Simulated accounts and Regions with everything in them, on one clock. It begins with one account in one Region, its
/// home, and everything that is asked of it is asked there, unless [`World::at`] goes elsewhere.
pub struct World {
    kernel: Kernel,
    services: BTreeMap<Arc<Place>, Services>,
    pub(crate) access: Access,
    executor: Executor,
    mailbox: Arc<Mailbox>,
    alarms: BTreeMap<(Timestamp, u64), Alarm>,
    open: BTreeMap<RequestId, Open>,
    running: BTreeMap<InvocationId, Running>,
    tasks: BTreeMap<TaskId, InvocationId>,
    processes: Option<Box<dyn ProcessHost>>,
    keeps_function_logs: bool,
    faults: FaultPlan<FaultKind>,
    function_faults: FaultPlan<FunctionFault>,
    calls: Vec<CallRecord>,
    invocations: BTreeMap<InvocationId, Invoked>,
    events: Vec<Value>,
}

impl std::fmt::Debug for World {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("World")
            .field("now", &self.kernel.now())
            .field("places", &self.services.keys())
            .field("open", &self.open.len())
            .field("running", &self.running.keys())
            .field("calls", &self.calls.len())
            .finish_non_exhaustive()
    }
}

impl World {
    /// An empty account.
    ///
    /// # Errors
    ///
    /// When the in-memory database cannot be opened.
    pub fn new(settings: &Settings) -> Result<Self, ApiError> {
        let kernel = Kernel::new(&settings.account, &settings.region, settings.start, settings.seed);
        let mailbox = Mailbox::new(settings.start);
        mailbox.register_key(
            &Principal::Administrator.access_key_id(),
            Principal::Administrator,
            None,
        );
        let mut world = Self {
            kernel,
            services: BTreeMap::new(),
            access: Access::default(),
            executor: Executor::new(),
            mailbox,
            alarms: BTreeMap::new(),
            open: BTreeMap::new(),
            running: BTreeMap::new(),
            tasks: BTreeMap::new(),
            processes: None,
            keeps_function_logs: settings.function_logs,
            faults: FaultPlan::default(),
            function_faults: FaultPlan::default(),
            calls: Vec::new(),
            invocations: BTreeMap::new(),
            events: Vec::new(),
        };
        world.provide_services()?;
        Ok(world)
    }

    /// Adds an account in a Region, which is as empty as the first one was.
    ///
    /// # Errors
    ///
    /// When its in-memory database cannot be opened.
    pub fn add_place(&mut self, place: &Place) -> Result<(), ApiError> {
        let owner = Principal::AdministratorOf(place.account.clone());
        if place.account != self.kernel.home().account {
            self.register_principal(owner);
        }
        let place = Arc::new(place.clone());
        self.kernel.enter(&place);
        let provided = self.provide_services();
        self.kernel.go_home();
        provided
    }

    /// Does something in another place: everything that is asked of the world meanwhile is asked there.
    pub fn at<T>(&mut self, place: &Place, work: impl FnOnce(&mut Self) -> T) -> T {
        let left = Arc::clone(self.kernel.here());
        self.kernel.enter(&Arc::new(place.clone()));
        let done = work(self);
        self.kernel.enter(&left);
        done
    }

    /// Goes to another place and stays there until it is told to go elsewhere, or the next thing happens.
    pub fn stand(&mut self, place: &Place) {
        self.kernel.enter(&Arc::new(place.clone()));
    }

    /// Where the world began.
    #[must_use]
    pub fn home(&self) -> &Place {
        self.kernel.home()
    }

    fn provide_services(&mut self) -> Result<(), ApiError> {
        let world = self;
        world.add_service(DynamoDb::new(world.now())?);
        world.add_service(Ecs::default());
        world.add_service(StepFunctions::default());
        world.add_service(ApplicationAutoScaling::default());
        world.add_service(EventBridge::new());
        world.add_service(Scheduler::new());
        world.add_service(Ecr::default());
        world.add_service(Iam::default());
        world.add_service(ElasticLoadBalancing);
        world.add_service(Rds::default());
        world.add_service(Logs);
        world.add_service(Sites::default());
        world.add_service(Slack::default());
        world.add_service(SecretsManager::default());
        world.add_service(HttpApis::default());
        world.add_service(CloudWatch::default());
        world.add_service(Sns::default());
        world.add_service(Sqs::default());
        world.add_service(Sts);
        world.add_service(Lambda::default());
        Ok(())
    }

    /// The services of where the world stands.
    fn here(&self) -> Option<&Services> {
        self.services.get(self.kernel.here())
    }

    /// Adds a service, or replaces the one of the same name.
    pub fn add_service(&mut self, service: impl Service + 'static) {
        let here = Arc::clone(self.kernel.here());
        self.services
            .entry(here)
            .or_default()
            .insert(service.name(), Box::new(service));
    }

    /// A service by its type, to look at what the API does not show.
    #[must_use]
    pub fn service<S: Any>(&self) -> Option<&S> {
        let mut services = self.here()?.values().map(|service| -> &dyn Any { service.as_ref() });
        services.find_map(|service| service.downcast_ref())
    }

    /// A service by its type, with the kernel, to script what the API cannot set.
    pub fn service_mut<S: Any>(&mut self) -> Option<(&mut S, &mut Kernel)> {
        let mut services = self
            .services
            .get_mut(self.kernel.here())?
            .values_mut()
            .map(|service| -> &mut dyn Any { service.as_mut() });
        let service = services.find_map(|service| service.downcast_mut())?;
        Some((service, &mut self.kernel))
    }

    /// Clock, alarms, images, logs and metrics of the account.
    #[must_use]
    pub fn kernel(&self) -> &Kernel {
        &self.kernel
    }

    /// To put events on the bus and set timers as a service does.
    pub fn kernel_mut(&mut self) -> &mut Kernel {
        &mut self.kernel
    }

    /// The simulated time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.kernel.now()
    }

    /// Every call so far, in the order in which they reached their services.
    #[must_use]
    pub fn calls(&self) -> &[CallRecord] {
        &self.calls
    }

    /// What an invocation was given, also when it is over.
    #[must_use]
    pub fn payload(&self, invocation: InvocationId) -> Option<&Value> {
        self.invocations.get(&invocation).map(|invoked| &invoked.payload)
    }

    /// The try of a Task state that an invocation was made for, also when it is over; none where no state machine
    /// waited for it.
    #[must_use]
    pub fn task(&self, invocation: InvocationId) -> Option<&TaskTry> {
        self.invocations.get(&invocation)?.task.as_ref()
    }

    /// Every event that a service put on the default bus so far.
    #[must_use]
    pub fn events(&self) -> &[Value] {
        &self.events
    }

    /// Plans a fault. Faults count their calls from now on.
    pub fn add_fault(&mut self, fault: Fault) {
        self.faults.add(fault.selector, fault.kind);
    }

    /// Plans a fault of the functions that these calls invoke. Faults count their calls from now on.
    pub fn add_function_fault(&mut self, selector: Selector, fault: FunctionFault) {
        self.function_faults.add(selector, fault);
    }

    /// Forgets every planned fault.
    pub fn clear_faults(&mut self) {
        self.faults.clear();
        self.function_faults.clear();
    }

    /// Makes a principal known to the SDK seam and the loopback endpoint, and returns its access key id.
    pub fn register_principal(&mut self, principal: Principal) -> String {
        let key = principal.access_key_id();
        self.mailbox.register_key(&key, principal, None);
        key
    }

    /// An SDK configuration whose clients act as `principal` in this world.
    pub fn sdk_config(&mut self, principal: &Principal) -> aws_config::SdkConfig {
        let key = self.register_principal(principal.clone());
        self.reseed();
        crate::sdk::config(&self.mailbox, self.kernel.region(), &key)
    }

    /// An HTTP connection by which `principal` reaches the sites of this world, as the client of [`World::sdk_config`]
    /// does.
    pub fn http_connector(&mut self, principal: &Principal) -> SharedHttpConnector {
        let key = self.register_principal(principal.clone());
        crate::sdk::connector(&self.mailbox, &key)
    }

    /// From now on the clock of a principal is off by this much.
    pub fn skew_clock(&mut self, principal: &Principal, skew: SignedDuration) {
        self.mailbox.set_skew(&principal.access_key_id(), skew);
    }

    /// Runs a future among the others of this world.
    pub fn spawn<T: 'static>(&mut self, future: impl Future<Output = T> + 'static) -> JoinHandle<T> {
        self.executor.spawn(future)
    }

    /// A future that is ready when `duration` of simulated time has passed.
    pub fn sleep(&self, duration: SignedDuration) -> impl Future<Output = ()> + Send + Sync + use<> {
        self.mailbox.sleep(duration)
    }

    /// Hands a request to a service past permission, fault, time and record. `None` when there is no such service.
    pub(crate) fn call_service(&mut self, service: &str, request: &Request) -> Option<Reply> {
        let services = self.services.get_mut(self.kernel.here())?;
        let service = services.get_mut(service)?;
        Some(service.call(request, &mut self.kernel))
    }

    /// From now on functions without in-process code are run by `host`.
    pub(crate) fn set_process_host(&mut self, host: Box<dyn ProcessHost>) {
        self.processes = Some(host);
    }

    pub(crate) fn mailbox(&self) -> &Arc<Mailbox> {
        &self.mailbox
    }

    /// Whether a call, an effect or an invocation is under way. Timers that services have set for later do not count.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        !self.running.is_empty()
            || !self.open.is_empty()
            || self
                .alarms
                .values()
                .any(|alarm| matches!(alarm, Alarm::Answer { .. } | Alarm::Deliver(_)))
    }

    /// Does the next thing: an effect, else an arrival, else a ready future, else the next timer, to which time jumps.
    /// False when nothing is left.
    pub fn step(&mut self) -> bool {
        self.step_now() || self.step_time(Timestamp::MAX)
    }

    /// Does the next thing that takes no time. False when everything waits.
    pub fn step_now(&mut self) -> bool {
        if let Some(effect) = self.kernel.take_effect() {
            self.carry_out(effect);
        } else if let Some(arrival) = self.mailbox.take() {
            self.receive(arrival);
        } else if let Some(task) = self.executor.draw(self.kernel.rng()) {
            self.reseed();
            self.mailbox.set_running(self.tasks.get(&task).copied());
            self.executor.poll(task);
            self.mailbox.set_running(None);
            self.collect(task);
        } else {
            return false;
        }
        self.kernel.go_home();
        self.start_invocations();
        true
    }

    /// Lets the next timer ring when it is due by `limit`. False, with the clock untouched, when none is.
    pub(crate) fn step_time(&mut self, limit: Timestamp) -> bool {
        let Some(due) = self.next_due().filter(|due| *due <= limit) else {
            return false;
        };
        if self.kernel.next_due().is_some_and(|kernel| kernel <= due) {
            if let Some(due) = self.kernel.take_due() {
                self.mailbox.set_now(self.kernel.now());
                let services = self.services.get_mut(self.kernel.here());
                if let Some(service) = services.and_then(|services| services.get_mut(due.service.as_str())) {
                    service.wake(due.timer, &mut self.kernel);
                }
            }
        } else if let Some((_, alarm)) = self.alarms.pop_first() {
            self.move_clock(due);
            self.ring(alarm);
        }
        self.kernel.go_home();
        self.start_invocations();
        true
    }

    /// When the next timer rings that somebody still waits for.
    pub(crate) fn next_due(&mut self) -> Option<Timestamp> {
        while let Some(entry) = self.alarms.first_entry() {
            let over = match entry.get() {
                Alarm::Sleep(done) => done.is_closed(),
                Alarm::Deadline(invocation) => !self.running.contains_key(invocation),
                Alarm::Answer { .. } | Alarm::Deliver(_) => false,
            };
            if !over {
                break;
            }
            entry.remove();
        }
        let own = self.alarms.keys().next().map(|(at, _)| *at);
        [own, self.kernel.next_due()].into_iter().flatten().min()
    }

    /// Moves the clock when no timer is due before `to`.
    pub(crate) fn move_clock(&mut self, to: Timestamp) {
        self.kernel.move_clock(to);
        self.mailbox.set_now(self.kernel.now());
    }

    fn set_alarm(&mut self, after: SignedDuration, alarm: Alarm) {
        let at = self.kernel.now().saturating_add(after).unwrap_or(Timestamp::MAX);
        let id = self.kernel.next_id();
        self.alarms.insert((at, id), alarm);
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Event(event) => {
                let services = self.services.get_mut(self.kernel.here());
                if let Some(bus) = services.and_then(|services| services.get_mut("events")) {
                    bus.event(&event, &mut self.kernel);
                }
                self.events.push(event);
            }
            Effect::Call(outgoing) => self.call_from_service(outgoing),
            Effect::Answer(request, result) => self.answered(request, result),
            Effect::Session(session) => self.mailbox.register_session(session),
        }
    }

    fn receive(&mut self, arrival: Arrival) {
        match arrival {
            Arrival::Call(call) => self.call_from_client(call),
            Arrival::Sleep { duration, done } => self.set_alarm(duration, Alarm::Sleep(done)),
            Arrival::Ended { invocation, result } => self.invocation_ended(invocation, result),
            Arrival::Line { function, line } => self.log_line(&function, &line),
            Arrival::Errand(errand) => errand(self),
        }
    }

    fn ring(&mut self, alarm: Alarm) {
        match alarm {
            Alarm::Sleep(done) => {
                // Whoever slept may have gone in the same moment.
                let _gone = done.send(());
            }
            Alarm::Answer {
                to, request, result, ..
            } => self.hand_over(to, request, result),
            Alarm::Deliver(undelivered) => self.deliver(*undelivered),
            Alarm::Deadline(invocation) => self.time_out(invocation),
        }
    }

    /// The SDK draws its jitter and idempotency tokens from the thread's generator: from here on that one follows the
    /// world's seed.
    pub(crate) fn reseed(&mut self) {
        fastrand::seed(self.kernel.rng().u64(..));
    }
}
