//! The explored application, for tests: what cannot be done is a failed test.

use std::ops::{Deref, DerefMut};
use std::path::PathBuf;
use std::sync::OnceLock;

use esclusa_core::canonical::sha256_hex;
use jiff::SignedDuration;
pub(crate) use lab::explorer::Image;
use serde_json::Value;
use simulator::{CallRecord, World};
use simulator_event_bridge::{Fault as DeliveryFault, Occurrence, Pattern};
use simulator_step_functions::StepFunctions;

/// Longer than a push that is delivered again after minutes takes to its end, and then the period of every schedule:
/// what a sweep or a reconciliation heals is healed after it.
pub(crate) const SWEPT: SignedDuration = SignedDuration::from_mins(9);

/// How many disturbed runs a sampled loop makes at most. Every loop has all of its runs in an ignored test beside it.
pub(crate) const SAMPLE: usize = 12;

/// The tag that every image is pushed under.
pub(crate) const TAG: &str = "4f2c1e9";

/// A simulated account in which the shop runs, with Esclusa.
#[derive(Debug)]
pub(crate) struct Shop {
    shop: lab::explorer::Shop,
    pub(crate) seed: u64,
}

impl Deref for Shop {
    type Target = lab::explorer::Shop;

    fn deref(&self) -> &Self::Target {
        &self.shop
    }
}

impl DerefMut for Shop {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.shop
    }
}

impl Shop {
    pub(crate) const CLUSTER: &str = lab::explorer::Shop::CLUSTER;
    pub(crate) const SERVICES: [&str; 2] = lab::explorer::Shop::SERVICES;

    /// An account in which the shop has run for a while.
    pub(crate) fn open(seed: u64) -> Self {
        let shop = lab::explorer::Shop::open(seed).unwrap();
        Self { shop, seed }
    }

    /// Applies another version of the pipeline.
    pub(crate) fn apply(&mut self, pipeline: &str) {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(sha256_hex(pipeline.as_bytes()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join(format!("{:?}.yaml", std::thread::current().id()));
        std::fs::write(&file, pipeline).unwrap();
        let answer = self.lab.esclusa(&["pipelines", "apply", &file.to_string_lossy()]);
        assert_eq!(answer.code, 0, "{}", answer.err);
    }

    /// Pushes an image; its digest.
    pub(crate) fn push(&mut self, image: Image) -> String {
        self.shop.push(TAG, image).unwrap()
    }

    /// Pushes an image under another tag; its digest.
    pub(crate) fn push_as(&mut self, tag: &str, image: Image) -> String {
        self.shop.push(tag, image).unwrap()
    }

    /// Pushes an image and waits until its release is over and everything that is swept was swept.
    pub(crate) fn deploy(&mut self, image: Image) -> String {
        let digest = self.push(image);
        self.finish();
        digest
    }

    /// Waits until every release is over, and then until everything that is swept was swept.
    pub(crate) fn finish(&mut self) {
        assert!(
            self.lab.settle(),
            "seed {}: an execution runs for more than a week",
            self.seed
        );
        self.run_for(SWEPT);
    }

    /// Runs to the very moment in which the deployment enters this state for the first time.
    pub(crate) fn run_until_state(&mut self, state: &str) {
        let machine = format!(":{}-deployment:", lab::DEPLOYER);
        self.run_until(|world| {
            let machines = world.service::<StepFunctions>().unwrap();
            let mut deployments = machines.executions().iter().filter(|arn| arn.contains(&machine));
            deployments.any(|arn| machines.path(arn).last().is_some_and(|last| last == state))
        });
    }

    /// Runs to the very moment in which something holds.
    pub(crate) fn run_until(&mut self, holds: impl FnMut(&World) -> bool) {
        let held = self.lab.simulation().run_until(SignedDuration::from_hours(3), holds);
        assert!(held, "seed {}: what was waited for never came", self.seed);
    }

    /// Disturbs events between their services and the bus.
    pub(crate) fn disturb(&mut self, pattern: &Value, occurrence: Occurrence, fault: DeliveryFault) {
        self.shop.disturb(Pattern::compile(pattern).unwrap(), occurrence, fault);
    }

    /// Asks a service as the administrator, at once and past every fault.
    pub(crate) fn ask(&mut self, service: &str, operation: &str, input: Value) -> Value {
        self.shop.ask(service, operation, input).unwrap()
    }

    /// The calls that a fault has struck since the shop was open.
    pub(crate) fn struck(&self) -> Vec<&CallRecord> {
        let calls = self.lab.world().calls().iter().skip(self.calls_before);
        calls.filter(|call| call.fault.is_some()).collect()
    }

    /// The ARN of the only execution of a machine.
    pub(crate) fn execution(&self, machine: &str) -> String {
        let executions = self.lab.executions(machine);
        let [name] = executions.as_slice() else {
            panic!("{} executions of `{machine}`", executions.len())
        };
        let kernel = self.lab.world().kernel();
        kernel.arn("states", &format!("execution:{}-{machine}:{name}", lab::DEPLOYER))
    }
}

/// The end of the undisturbed run with seed 1, which every disturbed one is compared with; computed once.
pub(crate) fn undisturbed(image: Image) -> &'static crate::observation::End {
    static ENDS: [OnceLock<crate::observation::End>; Image::ALL.len()] = [const { OnceLock::new() }; Image::ALL.len()];
    let index = Image::ALL.iter().position(|kind| *kind == image);
    ENDS.get(index.unwrap()).unwrap().get_or_init(|| {
        let mut shop = Shop::open(1);
        let digest = shop.deploy(image);
        shop.observe(&digest).end
    })
}

/// Asserts that a good image has come to what it comes to undisturbed, and that nothing is left behind.
#[track_caller]
pub(crate) fn ends_as_undisturbed(shop: &mut Shop, digest: &str) {
    let observed = shop.observe(digest);
    assert_eq!(&observed.end, undisturbed(Image::Good), "{:?}", observed.path);
    assert_eq!(observed.problems, Vec::<String>::new());
}
