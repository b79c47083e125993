//! Drives a world from a test: the test's own future among the world's, time jumping from one timer to the next.

use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use aws_config::SdkConfig;
use futures_util::future::LocalBoxFuture;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use simulator_kernel::{ApiError, Principal};

use crate::lambda::{FunctionConfiguration, FunctionError, Invocation, Lambda};
use crate::world::{Settings, World};

/// A world on the thread of the caller. Everything runs inside the calls of this type; between them the world stands
/// still.
#[derive(Debug)]
pub struct Simulation {
    world: World,
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Simulation {
    /// An empty account.
    ///
    /// # Errors
    ///
    /// When the in-memory database cannot be opened.
    pub fn new(settings: &Settings) -> Result<Self, ApiError> {
        Ok(Self {
            world: World::new(settings)?,
        })
    }

    /// The world, to look at.
    #[must_use]
    pub fn world(&self) -> &World {
        &self.world
    }

    /// The world, to script.
    pub fn world_mut(&mut self) -> &mut World {
        &mut self.world
    }

    /// The world alone, for whoever drives it from here on.
    #[must_use]
    pub fn into_world(self) -> World {
        self.world
    }

    /// The simulated time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.world.now()
    }

    /// An SDK configuration whose clients act as `principal` in this world.
    pub fn sdk_config(&mut self, principal: &Principal) -> SdkConfig {
        self.world.sdk_config(principal)
    }

    /// Creates or changes a function.
    pub fn configure_function(&mut self, configuration: FunctionConfiguration) {
        if let Some((lambda, _)) = self.world.service_mut::<Lambda>() {
            lambda.configure(configuration);
        }
    }

    /// Gives a function its code. A function that the template does not know is created with default settings.
    pub fn register_function<F>(&mut self, name: &str, handler: F)
    where
        F: Fn(Value, Invocation) -> LocalBoxFuture<'static, Result<Value, FunctionError>> + 'static,
    {
        if let Some((lambda, _)) = self.world.service_mut::<Lambda>() {
            lambda.register(name, Rc::new(handler));
        }
    }

    /// Runs the world until `future` is done. Time jumps over what nobody does.
    ///
    /// # Panics
    ///
    /// When nothing is left in the world that could ever wake the future.
    #[expect(clippy::panic, reason = "a test that would wait for ever must end and say so")]
    pub fn block_on<F: Future>(&mut self, future: F) -> F::Output {
        let mut future = pin!(future);
        let woken = Arc::new(Flag(AtomicBool::new(true)));
        let waker = Waker::from(Arc::clone(&woken));
        let mut context = Context::from_waker(&waker);
        loop {
            if woken.0.swap(false, Ordering::Relaxed) {
                self.world.reseed();
                if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
                    return output;
                }
            } else if !self.world.step() {
                panic!(
                    "the future waits for something that never comes: the world has no event left at {}",
                    self.now()
                );
            }
        }
    }

    /// Runs until no call and no invocation is under way. Timers that services have set for later are not waited for.
    pub fn run_until_idle(&mut self) {
        while self.world.step_now() || (self.world.is_busy() && self.world.step_time(Timestamp::MAX)) {}
    }

    /// Lets this much time pass, with everything that happens in it.
    pub fn run_for(&mut self, duration: SignedDuration) {
        let end = self.now().saturating_add(duration).unwrap_or(Timestamp::MAX);
        self.run_until_time(end);
    }

    /// Runs until `condition` holds, looking after every step, for at most `limit` of simulated time. Whether it held.
    pub fn run_until(&mut self, limit: SignedDuration, mut condition: impl FnMut(&World) -> bool) -> bool {
        let end = self.now().saturating_add(limit).unwrap_or(Timestamp::MAX);
        loop {
            if condition(&self.world) {
                return true;
            }
            if !(self.world.step_now() || self.world.step_time(end)) {
                self.world.move_clock(end);
                return condition(&self.world);
            }
        }
    }

    /// Runs everything that happens until `end`, at which the clock then stands.
    pub fn run_until_time(&mut self, end: Timestamp) {
        while self.world.step_now() || self.world.step_time(end) {}
        self.world.move_clock(end);
    }
}
