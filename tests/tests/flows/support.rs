//! One simulated account with one application: what a test does to it, and what it can ask about it afterwards.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use jiff::{SignedDuration, Timestamp};
use lab::example::Example;
use lab::images::Kind;
use lab::{Answer, Beside, Lab, target};
use serde_json::{Value, json};
use simulator::kernel::{Behaviour, Image, ImageStatus, Place, Service};
use simulator::services::{ApplicationAutoScaling, Slack, Sqs};
use simulator::{CallOutcome, CallRecord, DynamoDb, Principal, Settings, World, plain_item};
use simulator_ecs::{CapacityShortage, Ecs};
use simulator_event_bridge::{Disturbance, EventBridge, Fault, Occurrence, Pattern};
use simulator_step_functions::StepFunctions;

use crate::path::REFUSED;

/// An account with the deployer and one application, whose services have come to rest.
pub(crate) struct Account {
    pub(crate) lab: Lab,
    pub(crate) example: Example,
    /// How many calls had been made when the account was ready: only later ones are looked at.
    ready: usize,
}

impl Account {
    /// An account with one of the examples.
    pub(crate) fn with(name: &str) -> Self {
        Self::resting(name, Kind::Good, &Settings::default())
    }

    /// An account with one of the examples, in which what functions write is kept, and becomes metrics.
    pub(crate) fn with_logs(name: &str) -> Self {
        Self::resting(name, Kind::Good, &logged())
    }

    /// An account with one of the examples, in which chance falls otherwise.
    pub(crate) fn seeded(name: &str, seed: u64) -> Self {
        let settings = Settings {
            seed,
            ..Settings::default()
        };
        Self::resting(name, Kind::Good, &settings)
    }

    /// An account with one of the examples that begins at a moment.
    pub(crate) fn beginning(name: &str, start: Timestamp) -> Self {
        let settings = Settings {
            start,
            ..Settings::default()
        };
        Self::resting(name, Kind::Good, &settings)
    }

    /// An account with one of the examples whose services have never come up.
    pub(crate) fn never_up(name: &str) -> Self {
        Self::resting(name, Kind::CrashLoop, &Settings::default())
    }

    /// An account with one of the examples, whose people have a Slack with this channel.
    pub(crate) fn beside_slack(name: &str, channel: &str) -> Self {
        Self::slack(name, channel, &Settings::default())
    }

    /// As [`Self::beside_slack`], and what functions write is kept.
    pub(crate) fn beside_slack_with_logs(name: &str, channel: &str) -> Self {
        Self::slack(name, channel, &logged())
    }

    fn slack(name: &str, channel: &str, settings: &Settings) -> Self {
        let example = Example::load(name).unwrap();
        let mut lab = Lab::beside(settings, Beside::Slack).unwrap();
        lab.add(&example).unwrap();
        let (slack, _) = lab.world_mut().service_mut::<Slack>().unwrap();
        slack.invite(channel);
        Self::rested(lab, example, Kind::Good)
    }

    /// An account with one of the examples and a connected place, in which environments of it are.
    pub(crate) fn beside_place(name: &str, place: &Place, edit: impl FnOnce(String) -> String) -> Self {
        let example = Example::load(name).unwrap();
        let beside = if *place == target::region() {
            Beside::Region
        } else {
            Beside::Account
        };
        let mut lab = Lab::beside(&Settings::default(), beside).unwrap();
        lab.add(&example).unwrap();
        target::provide(lab.world_mut(), place, &example).unwrap();
        let mut account = Self::rested(lab, example, Kind::Good);
        let text = std::fs::read_to_string(&account.example.file).unwrap();
        account.apply(&edit(text));
        account.forget_calls();
        account
    }

    /// Looks at a place. Nothing happens meanwhile.
    pub(crate) fn there<T>(&mut self, place: &Place, look: impl FnOnce(&mut Self) -> T) -> T {
        let home = self.lab.world().home().clone();
        self.lab.world_mut().stand(place);
        let seen = look(self);
        self.lab.world_mut().stand(&home);
        seen
    }

    fn resting(name: &str, base: Kind, settings: &Settings) -> Self {
        let example = Example::load(name).unwrap();
        let lab = Lab::with_example(settings, &example).unwrap();
        Self::rested(lab, example, base)
    }

    fn rested(lab: Lab, example: Example, base: Kind) -> Self {
        let mut account = Self { lab, example, ready: 0 };
        account.provide_base_images(base);
        account.pass(SignedDuration::from_mins(5));
        account.forget_calls();
        account
    }

    /// The images that the task definitions of the infrastructure code name. They were pushed before anybody listened.
    fn provide_base_images(&mut self, kind: Kind) {
        let manifest = kind.manifest("before", &[]);
        let kernel = self.lab.world_mut().kernel_mut();
        let pushed_at = kernel.now().saturating_sub(SignedDuration::from_hours(1)).unwrap();
        for image in self.example.pipeline.images.values() {
            let digest = format!("sha256:{}", "b0".repeat(32));
            let base = Image {
                digest: digest.clone(),
                tags: ["latest".to_owned()].into(),
                manifest: manifest.clone(),
                manifest_media_type: "application/vnd.oci.image.manifest.v1+json".to_owned(),
                labels: std::collections::BTreeMap::new(),
                artifact_media_type: Some("application/vnd.oci.image.config.v1+json".to_owned()),
                pushed_at,
                status: ImageStatus::Active,
            };
            kernel
                .images
                .repositories
                .get_mut(image.repository.as_str())
                .unwrap()
                .insert(digest, base);
        }
    }

    /// An account with one of the examples, in which a good version runs already.
    pub(crate) fn running(name: &str, tag: &str) -> Self {
        let mut account = Self::with(name);
        account.release(tag, Kind::Good);
        account.forget_calls();
        account
    }

    /// An account with one of the examples whose pipeline file reads differently in one place.
    pub(crate) fn edited(name: &str, from: &str, to: &str) -> Self {
        let mut account = Self::with(name);
        let text = std::fs::read_to_string(&account.example.file).unwrap();
        assert_eq!(text.matches(from).count(), 1, "`{from}` in the pipeline of {name}");
        account.apply(&text.replace(from, to));
        account
    }

    /// Applies the pipeline again as another version: what was pushed before it is nothing that the registry is read
    /// for.
    pub(crate) fn apply_again(&mut self) {
        let text = std::fs::read_to_string(&self.example.file).unwrap();
        let at = self.lab.world().kernel().now();
        self.apply(&format!("{text}\n# applied again at {at}\n"));
    }

    fn apply(&mut self, text: &str) {
        let file = self.written(text);
        self.esclusa(&["pipelines", "apply", &file.to_string_lossy()]);
    }

    /// A pipeline file beside the task definitions of the example.
    pub(crate) fn written(&self, text: &str) -> PathBuf {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = format!("flows-{}-{number}", std::process::id());
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(folder);
        self.example.written(&folder, text).unwrap()
    }

    /// Pushes an image that says this of itself, and waits for the end.
    pub(crate) fn release_that_says(&mut self, tag: &str, kind: Kind, annotations: &[(&str, &str)]) -> String {
        let digest = self.push_that_says(tag, kind, annotations);
        self.settle();
        digest
    }

    /// Pushes an image that says this of itself, and waits for nothing.
    pub(crate) fn push_that_says(&mut self, tag: &str, kind: Kind, annotations: &[(&str, &str)]) -> String {
        let mut manifest: Value = serde_json::from_str(&kind.manifest(tag, &self.example.commands())).unwrap();
        for (name, value) in annotations {
            manifest["annotations"][*name] = json!(value);
        }
        let repository = self.repository();
        self.lab.push(&repository, Some(tag), &manifest.to_string()).unwrap()
    }

    /// Pushes an image that has these labels, with its configuration, and waits for nothing.
    pub(crate) fn push_labelled(&mut self, tag: Option<&str>, kind: Kind, labels: &[(&str, &str)]) -> String {
        let labels: serde_json::Map<_, _> = labels
            .iter()
            .map(|(name, value)| ((*name).to_owned(), json!(value)))
            .collect();
        let configuration = json!({"os": "linux", "config": {"Labels": labels}}).to_string();
        let repository = self.repository();
        let digest = self.lab.upload(&repository, configuration.as_bytes()).unwrap();
        let version = tag.unwrap_or("v0.0.0");
        let mut manifest: Value = serde_json::from_str(&kind.manifest(version, &self.example.commands())).unwrap();
        manifest["config"]["digest"] = json!(digest);
        self.lab.push(&repository, tag, &manifest.to_string()).unwrap()
    }

    /// Pushes an index whose first platform is the image with that digest, and waits for nothing.
    pub(crate) fn push_index(&mut self, tag: &str, digest: &str) -> String {
        let platform = json!({"digest": digest, "platform": {"os": "linux", "architecture": "amd64"}});
        let index = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [platform]});
        let input = json!({
            "repositoryName": self.repository(), "imageTag": tag, "imageManifest": index.to_string(),
            "imageManifestMediaType": index["mediaType"],
        });
        let answer = self.lab.world_mut().administer("ecr", "PutImage", input).unwrap();
        answer["image"]["imageId"]["imageDigest"].as_str().unwrap().to_owned()
    }

    /// The repository of the application's first image.
    fn repository(&self) -> String {
        let mut images = self.example.pipeline.images.values();
        images.next().unwrap().repository.to_string()
    }

    /// Pushes an image whose containers behave so, and waits for the end. The members are those of [`Behaviour`].
    pub(crate) fn release_that_behaves(&mut self, tag: &str, behaviour: &Value) {
        self.release_that_says(tag, Kind::Good, &[(Behaviour::ANNOTATION, &behaviour.to_string())]);
    }

    /// What is known about the schema of a database in an environment.
    pub(crate) fn schema(&self, environment: &str, database: &str) -> Option<Value> {
        let application = &self.example.pipeline.application;
        let rows = self.rows(&format!("ENVIRONMENT#{application}#{environment}"));
        let key = format!("SCHEMA#{database}");
        rows.into_iter().find(|row| row["sk"] == key.as_str())
    }

    /// Lets time pass.
    pub(crate) fn pass(&mut self, time: SignedDuration) {
        self.lab.simulation().run_for(time);
    }

    /// Leaves Fargate without room from now on for so long.
    pub(crate) fn run_out_of_capacity(&mut self, time: SignedDuration) {
        let now = self.lab.world().now();
        if let Some((ecs, _)) = self.lab.world_mut().service_mut::<Ecs>() {
            let shortage = CapacityShortage::fargate(now, now + time);
            ecs.settings.capacity_shortages.push(shortage);
        }
    }

    /// Looks away from what was called until now.
    pub(crate) fn forget_calls(&mut self) {
        self.ready = self.lab.world().calls().len();
    }

    /// Runs until an execution has entered a state.
    #[track_caller]
    pub(crate) fn run_until_entered(&mut self, execution: &str, state: &str) {
        let arn = |machines: &StepFunctions| {
            machines
                .executions()
                .iter()
                .find(|arn| arn.ends_with(&format!(":{execution}")))
                .cloned()
        };
        let entered = |world: &World| {
            let machines = world.service::<StepFunctions>().unwrap();
            arn(machines).is_some_and(|arn| machines.path(&arn).iter().any(|entered| entered == state))
        };
        let reached = self.lab.simulation().run_until(SignedDuration::from_hours(6), entered);
        assert!(
            reached,
            "`{execution}` never entered `{state}`: {:?}",
            self.lab.path(execution)
        );
    }

    /// Runs until the only release is there. Its id.
    pub(crate) fn run_until_claimed(&mut self) -> String {
        let begun = |world: &World| !world.service::<StepFunctions>().unwrap().executions().is_empty();
        assert!(
            self.lab.simulation().run_until(SignedDuration::from_mins(10), begun),
            "no release was started"
        );
        self.only_release()
    }

    /// Registers how a service scales, as infrastructure code does.
    pub(crate) fn provide_scaling(&mut self, cluster: &str, service: &str, minimum: i64, maximum: i64) {
        let (scaling, kernel) = self.lab.world_mut().service_mut::<ApplicationAutoScaling>().unwrap();
        scaling.provide(cluster, service, minimum, maximum, kernel);
    }

    /// An alarm that is well, and changes only when it is told to.
    pub(crate) fn create_alarm(&mut self, name: &str) {
        let alarm = json!({"AlarmName": name, "ComparisonOperator": "GreaterThanThreshold", "EvaluationPeriods": 1});
        self.administer("monitoring", "PutMetricAlarm", alarm);
        self.say_alarm(name, "OK");
    }

    /// Suspends the scaling of a service, as somebody does by hand.
    pub(crate) fn suspend_scaling(&mut self, cluster: &str, service: &str, suspended: Value) {
        let (scaling, _) = self.lab.world_mut().service_mut::<ApplicationAutoScaling>().unwrap();
        scaling.suspend(cluster, service, suspended);
    }

    /// Puts a CloudWatch alarm into a state, such as `ALARM`.
    pub(crate) fn say_alarm(&mut self, name: &str, state: &str) {
        let state = json!({"AlarmName": name, "StateValue": state, "StateReason": "said by hand"});
        self.administer("monitoring", "SetAlarmState", state);
    }

    /// Puts an event on the bus, as it is.
    pub(crate) fn put_event(&mut self, event: &Value) {
        let (bus, kernel) = self.lab.world_mut().service_mut::<EventBridge>().unwrap();
        bus.event(event, kernel);
    }

    /// Puts a disturbance between the registry and the bus.
    pub(crate) fn disturb_pushes(&mut self, occurrence: Occurrence, fault: Fault) {
        let pattern = Pattern::compile(&json!({"detail-type": ["ECR Image Action"]})).unwrap();
        let (bus, _) = self.lab.world_mut().service_mut::<EventBridge>().unwrap();
        bus.delivery.plan(Disturbance {
            pattern,
            occurrence,
            fault,
        });
    }

    /// The events of pushes that were put on the bus so far.
    pub(crate) fn push_events(&self) -> Vec<Value> {
        let is_push = |event: &&Value| event["detail"]["action-type"] == "PUSH";
        self.lab.world().events().iter().filter(is_push).cloned().collect()
    }

    /// Runs until every execution is over.
    pub(crate) fn settle(&mut self) {
        assert!(self.lab.settle(), "an execution did not end within a week");
    }

    /// Pushes the only image of the application and waits for the end of what follows. The digest.
    pub(crate) fn release(&mut self, tag: &str, kind: Kind) -> String {
        let image = self.example.pipeline.images.keys().next().unwrap().to_string();
        self.release_image(&image, tag, kind)
    }

    /// Pushes one of the images of the application and waits for the end of what follows. The digest.
    pub(crate) fn release_image(&mut self, image: &str, tag: &str, kind: Kind) -> String {
        let digest = self.push_image(image, tag, kind);
        self.settle();
        digest
    }

    /// Pushes the only image of the application, and waits for nothing. The digest.
    pub(crate) fn push(&mut self, tag: &str, kind: Kind) -> String {
        let image = self.example.pipeline.images.keys().next().unwrap().to_string();
        self.push_image(&image, tag, kind)
    }

    /// Pushes one of the images of the application, and waits for nothing. The digest.
    pub(crate) fn push_image(&mut self, image: &str, tag: &str, kind: Kind) -> String {
        self.lab.push_example(&self.example, image, tag, kind).unwrap()
    }

    /// Calls an AWS service with every permission.
    pub(crate) fn administer(&mut self, service: &str, operation: &str, input: Value) -> Value {
        self.lab.world_mut().administer(service, operation, input).unwrap()
    }

    /// Runs `esclusa` and expects it to be content.
    pub(crate) fn esclusa(&mut self, words: &[&str]) -> Answer {
        let answer = self.lab.esclusa(words);
        assert_eq!(
            answer.code,
            0,
            "`esclusa {}`: {}{}",
            words.join(" "),
            answer.out,
            answer.err
        );
        answer
    }

    // ------------------------------------------------------------------ executions

    /// The ids of the releases, in the order in which they were started.
    pub(crate) fn releases(&self) -> Vec<String> {
        self.lab.executions("release")
    }

    /// The id of the only release.
    pub(crate) fn only_release(&self) -> String {
        let releases = self.releases();
        assert_eq!(releases.len(), 1, "{releases:?}");
        releases[0].clone()
    }

    /// Asserts the states that an execution entered. How often it looks at one rollout until the counts show what
    /// happened depends on the moment: several looks in a row count as one.
    #[track_caller]
    pub(crate) fn assert_path(&self, execution: &str, segments: &[&[&str]]) {
        let another_look = ["PauseBeforeNextLook", "AwaitService", "JudgeService", "ServiceOutcome?"];
        let mut path = self.lab.path(execution);
        while let Some(at) = path
            .windows(another_look.len())
            .position(|states| states == another_look)
        {
            path.drain(at..at + another_look.len());
        }
        assert_eq!(path, segments.concat(), "path of `{execution}`");
    }

    /// Asserts the states that the first deployment of the last release entered in an environment.
    #[track_caller]
    pub(crate) fn assert_deployment_path(&self, environment: &str, segments: &[&[&str]]) {
        let release = self.releases().pop().unwrap();
        self.assert_path(&format!("{release}-{environment}-1"), segments);
    }

    // ------------------------------------------------------------------ ends

    /// What `esclusa status --release` tells of a release.
    pub(crate) fn status(&mut self, release: &str) -> Value {
        let answer = self.lab.esclusa(&["status", "--release", release, "--output", "json"]);
        serde_json::from_str(&answer.out).unwrap_or_else(|error| panic!("{error}: {}{}", answer.out, answer.err))
    }

    /// Asserts how the last release ended.
    #[track_caller]
    pub(crate) fn assert_ended(&mut self, verdict: &str, effect: &str, reason: &str) {
        let release = self.releases().pop().unwrap();
        self.assert_release_ended(&release, verdict, effect, reason);
    }

    /// Asserts how all releases ended, in the order in which they were started: verdict, effect and reason of each.
    #[track_caller]
    pub(crate) fn assert_all_ended(&mut self, expected: &[&str]) {
        let mut ended = Vec::new();
        for release in self.releases() {
            let end = self.status(&release)["end"].clone();
            let part = |name: &str| end[name].as_str().unwrap_or_default().to_owned();
            ended.push([part("verdict"), part("effect"), part("reason")].join(" "));
        }
        assert_eq!(ended, expected);
    }

    /// Asserts how a release ended.
    #[track_caller]
    pub(crate) fn assert_release_ended(&mut self, release: &str, verdict: &str, effect: &str, reason: &str) {
        let status = self.status(release);
        let end = &status["end"];
        assert_eq!(
            [&end["verdict"], &end["effect"], &end["reason"]],
            [verdict, effect, reason],
            "{end:#}"
        );
    }

    /// The reasons for people that the last release ended with, one per line.
    pub(crate) fn reasons(&mut self) -> String {
        let release = self.releases().pop().unwrap();
        let status = self.status(&release);
        let reasons = status["end"]["reasons"].as_array().cloned().unwrap_or_default();
        reasons.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("\n")
    }

    // ------------------------------------------------------------------ what was called

    /// The calls of one ECS operation by the deployer that ECS carried out.
    pub(crate) fn ecs_calls(&self, operation: &str) -> Vec<&CallRecord> {
        self.calls("ecs", operation)
    }

    /// The calls of one operation by the deployer that the service carried out.
    pub(crate) fn calls(&self, service: &str, operation: &str) -> Vec<&CallRecord> {
        let is_meant = |call: &&CallRecord| {
            call.service == service
                && call.operation == operation
                && call.outcome == CallOutcome::Success
                && matches!(call.principal, Principal::Role(_) | Principal::RoleOf { .. })
        };
        self.lab.world().calls()[self.ready..].iter().filter(is_meant).collect()
    }

    /// Asserts how often the deployer called the operations that change something in ECS.
    #[track_caller]
    pub(crate) fn assert_acts(&self, expected: &[(&str, usize)]) {
        let acts = [
            "RegisterTaskDefinition",
            "RunTask",
            "StopTask",
            "UpdateService",
            "StopServiceDeployment",
        ];
        let counted: Vec<(&str, usize)> = acts
            .map(|act| (act, self.ecs_calls(act).len()))
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .collect();
        assert_eq!(counted, expected);
    }

    // ------------------------------------------------------------------ what runs

    /// A service as ECS describes it.
    pub(crate) fn service(&mut self, cluster: &str, service: &str) -> Value {
        let input = json!({"cluster": cluster, "services": [service]});
        self.administer("ecs", "DescribeServices", input)["services"][0].clone()
    }

    /// Family and revision of the task definition that a service is set to.
    pub(crate) fn definition_of(&self, cluster: &str, service: &str) -> String {
        let ecs = self.lab.world().service::<Ecs>().unwrap();
        last_part(ecs.service_task_definition(cluster, service).unwrap())
    }

    /// The digests that a container of the running tasks of a service has, one entry per task.
    pub(crate) fn digests_of(&mut self, cluster: &str, service: &str, container: &str) -> Vec<String> {
        let arns: Vec<String> = self
            .lab
            .world()
            .service::<Ecs>()
            .unwrap()
            .running_tasks(cluster, service)
            .into_iter()
            .map(|task| task.arn)
            .collect();
        if arns.is_empty() {
            return Vec::new();
        }
        let tasks =
            self.administer("ecs", "DescribeTasks", json!({"cluster": cluster, "tasks": arns}))["tasks"].clone();
        let containers = tasks
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|task| task["containers"].as_array().unwrap().clone());
        let wanted = containers.filter(|candidate| candidate["name"] == container);
        wanted
            .map(|container| container["imageDigest"].as_str().unwrap_or_default().to_owned())
            .collect()
    }

    /// Asserts that a service runs `count` tasks with this digest in a container, and nothing else.
    #[track_caller]
    pub(crate) fn assert_runs(&mut self, cluster: &str, service: &str, container: &str, digest: &str, count: usize) {
        assert_eq!(
            self.digests_of(cluster, service, container),
            vec![digest.to_owned(); count],
            "tasks of `{service}`"
        );
    }

    // ------------------------------------------------------------------ what is written down

    /// The items of the control table whose partition key begins so.
    pub(crate) fn rows(&self, prefix: &str) -> Vec<Value> {
        let items = self
            .lab
            .world()
            .service::<DynamoDb>()
            .unwrap()
            .items("esclusa-control")
            .unwrap();
        items
            .iter()
            .map(plain_item)
            .filter(|row| row["pk"].as_str().unwrap().starts_with(prefix))
            .collect()
    }

    /// The records of the ledger of one kind, in the order of their chains, with their bodies as JSON.
    pub(crate) fn records(&self, kind: &str) -> Vec<Value> {
        let items = self
            .lab
            .world()
            .service::<DynamoDb>()
            .unwrap()
            .items("esclusa-ledger")
            .unwrap();
        let with_body = |mut record: Value| {
            record["body"] = serde_json::from_str(record["body"].as_str().unwrap()).unwrap();
            record
        };
        items
            .iter()
            .map(plain_item)
            .filter(|record| record["kind"] == kind)
            .map(with_body)
            .collect()
    }

    /// Name and status of every lock.
    pub(crate) fn locks(&self) -> Vec<(String, String)> {
        let row = |row: &Value| {
            let name = row["pk"].as_str().unwrap().trim_start_matches("LOCK#").to_owned();
            (name, row["status"].as_str().unwrap().to_owned())
        };
        let is_lock = |row: &&Value| row["sk"] == "LOCK";
        self.rows("LOCK#").iter().filter(is_lock).map(row).collect()
    }

    /// The bodies of the messages that could not be delivered.
    pub(crate) fn dead_letters(&self) -> Vec<Value> {
        let queue = self.lab.world().service::<Sqs>().unwrap();
        queue
            .messages("esclusa-dead-letters")
            .into_iter()
            .map(|message| serde_json::from_str(&message.body).unwrap())
            .collect()
    }

    /// Pushes the first image, and asserts that its plan is refused with these words before anything is called.
    #[track_caller]
    pub(crate) fn assert_refuses(&mut self, words: &[&str]) {
        self.release("v1.0.0", Kind::Good);
        self.assert_path(&self.only_release(), &[REFUSED]);
        self.assert_ended("FAILED", "none", "refused");
        self.assert_acts(&[]);
        let reasons = self.reasons();
        for words in words {
            assert!(reasons.contains(words), "{reasons}");
        }
        self.assert_left("FREE");
    }

    /// Asserts what holds after every flow whose executions are over: the records are whole, nobody waits, no act is
    /// without its outcome, no lock is held, and the locks are as told.
    #[track_caller]
    pub(crate) fn assert_left(&mut self, lock_status: &str) {
        let answer = self.lab.esclusa(&["audit", "verify", "--all"]);
        assert_eq!(answer.code, 0, "{}{}", answer.out, answer.err);
        for open in ["OPEN#WAIT", "OPEN#INTENT", "OPEN#RELEASE"] {
            assert_eq!(self.rows(open), Vec::<Value>::new());
        }
        let waiting: Vec<Value> = self
            .rows("RESOURCE#")
            .into_iter()
            .filter(|row| row["status"] == "OPEN")
            .collect();
        assert_eq!(waiting, Vec::<Value>::new());
        let announced: Vec<Value> = self
            .rows("DEPLOYMENT#")
            .into_iter()
            .filter(|row| row["status"] == "OPEN")
            .collect();
        assert_eq!(announced, Vec::<Value>::new());
        let queued: Vec<Value> = self
            .rows("LOCK#")
            .into_iter()
            .filter(|row| row["sk"] != "LOCK")
            .collect();
        assert_eq!(queued, Vec::<Value>::new());
        for (name, status) in self.locks() {
            assert_eq!(status, lock_status, "lock `{name}`");
        }
    }
}

fn logged() -> Settings {
    Settings {
        function_logs: true,
        ..Settings::default()
    }
}

/// What a record of the ledger says that a look has measured of a check, if it has.
pub(crate) fn measured<'a>(look: &'a Value, check: &str) -> Option<&'a Value> {
    let all = look["body"]["checks"].as_array().unwrap();
    all.iter().find(|measured| measured["check"] == check)
}

/// What stands after the last slash.
pub(crate) fn last_part(arn: &str) -> String {
    arn.rsplit('/').next().unwrap_or_default().to_owned()
}
