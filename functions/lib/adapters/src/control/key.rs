//! The keys of the control table: one function per kind of row, so that no key is ever spelled twice.

use esclusa_core::pipeline::Image;
use esclusa_core::task_definition::Home;

/// Partition and sort key of one row.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// The partition key.
    pub pk: String,
    /// The sort key.
    pub sk: String,
}

/// Where an image repository lies.
#[derive(Debug, Clone, Copy)]
pub struct Repository<'a> {
    /// Twelve digits.
    pub account: &'a str,
    /// Such as `us-east-1`.
    pub region: &'a str,
    /// The repository's name, slashes included.
    pub name: &'a str,
}

impl<'a> Repository<'a> {
    /// Where an image of a pipeline lies.
    #[must_use]
    pub fn of(image: &'a Image, home: &'a Home) -> Self {
        Self {
            account: image.account.as_ref().unwrap_or(&home.account).as_str(),
            region: image.region.as_ref().unwrap_or(&home.region).as_str(),
            name: image.repository.as_str(),
        }
    }
}

impl std::fmt::Display for Repository<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}/{}/{}", self.account, self.region, self.name)
    }
}

impl Key {
    fn new(pk: impl Into<String>, sk: impl Into<String>) -> Self {
        Self {
            pk: pk.into(),
            sk: sk.into(),
        }
    }

    /// An immutable version of a pipeline file.
    #[must_use]
    pub fn pipeline_version(application: &str, version: u32) -> Self {
        Self::new(format!("PIPELINE#{application}"), format!("VERSION#{version:06}"))
    }

    /// Which version of the pipeline file new releases use.
    #[must_use]
    pub fn pipeline_current(application: &str) -> Self {
        Self::new(format!("PIPELINE#{application}"), "CURRENT")
    }

    /// The listing of all applications, one row each.
    #[must_use]
    pub fn application(application: &str) -> Self {
        Self::new(Self::APPLICATIONS, application)
    }

    /// The application that a repository belongs to.
    #[must_use]
    pub fn repository(repository: Repository<'_>) -> Self {
        Self::new(format!("REPOSITORY#{repository}"), "APPLICATION")
    }

    /// What a tag pointed to when it was last seen to move.
    #[must_use]
    pub fn tag(repository: Repository<'_>, tag: &str) -> Self {
        Self::new(format!("TAG#{repository}"), format!("TAG#{tag}"))
    }

    /// The quarantine of a digest.
    #[must_use]
    pub fn quarantine(repository: Repository<'_>, digest: &str) -> Self {
        Self::new(Self::quarantines_of(repository), digest)
    }

    /// The partition of the quarantines of a repository's digests.
    #[must_use]
    pub fn quarantines_of(repository: Repository<'_>) -> String {
        format!("QUARANTINE#{repository}")
    }

    /// The proof that an event was looked at and starts nothing, by the digest of its id.
    #[must_use]
    pub fn ignored_event(event: &str) -> Self {
        Self::new(format!("IGNORED#{event}"), "EVENT")
    }

    /// A release.
    #[must_use]
    pub fn release(release_id: &str) -> Self {
        Self::new(format!("RELEASE#{release_id}"), "RELEASE")
    }

    /// That a release comes no further for now.
    #[must_use]
    pub fn hold(release_id: &str) -> Self {
        Self::new(format!("ORDERS#{release_id}"), "HOLD")
    }

    /// That a release stops.
    #[must_use]
    pub fn stop(release_id: &str) -> Self {
        Self::new(format!("ORDERS#{release_id}"), "STOP")
    }

    /// The pointer by which the releases of an application are listed, oldest first.
    #[must_use]
    pub fn release_listing(application: &str, created_at: &str, release_id: &str) -> Self {
        Self::new(Self::releases_of(application), format!("{created_at}#{release_id}"))
    }

    /// The partition of [`Key::release_listing`].
    #[must_use]
    pub fn releases_of(application: &str) -> String {
        format!("RELEASES#{application}")
    }

    /// The pointer by which the deployments of an image into an environment are listed, oldest plan first.
    #[must_use]
    pub fn deployment_listing(partition: &str, created_at: &str, deployment_id: &str) -> Self {
        Self::new(
            partition,
            format!("{}{created_at}#{deployment_id}", Self::PLANNED_PREFIX),
        )
    }

    /// The pointer to the deployment that brought what is in force of an image into an environment.
    #[must_use]
    pub fn deployment_in_force(partition: &str) -> Self {
        Self::new(partition, "IN_FORCE")
    }

    /// The partition of [`Key::deployment_listing`] and [`Key::deployment_in_force`].
    #[must_use]
    pub fn deployments_into(application: &str, environment: &str, image: &str) -> String {
        format!("DEPLOYMENTS#{application}#{environment}#{image}")
    }

    /// The proof that the end of a release was anchored in the chain of its application.
    #[must_use]
    pub fn anchor(release_id: &str) -> Self {
        Self::new(format!("RELEASE#{release_id}"), "ANCHOR")
    }

    /// The pointer by which a release that has not ended is found.
    #[must_use]
    pub fn open_release(release_id: &str) -> Self {
        Self::new(Self::OPEN_RELEASES, release_id)
    }

    /// The pointer by which a lock in quarantine is found, until somebody frees it.
    #[must_use]
    pub fn quarantined_lock(name: &str) -> Self {
        Self::new(Self::QUARANTINED_LOCKS, name)
    }

    /// The pointer by which a deployment that was started and has not ended is found.
    #[must_use]
    pub fn open_deployment(deployment_id: &str) -> Self {
        Self::new(Self::OPEN_DEPLOYMENTS, deployment_id)
    }

    /// An attempt of a release in an environment, counted from 1.
    #[must_use]
    pub fn attempt(release_id: &str, environment: &str, attempt: u32) -> Self {
        Self::deployment(&format!("{release_id}-{environment}-{attempt}"))
    }

    /// A deployment.
    #[must_use]
    pub fn deployment(deployment_id: &str) -> Self {
        Self::new(Self::deployment_rows(deployment_id), "DEPLOYMENT")
    }

    /// The partition of a deployment's rows.
    #[must_use]
    pub fn deployment_rows(deployment_id: &str) -> String {
        format!("DEPLOYMENT#{deployment_id}")
    }

    /// What was decided under the lock of a deployment: its plan, or that it gives way.
    #[must_use]
    pub fn plan(deployment_id: &str) -> Self {
        Self::new(Self::deployment_rows(deployment_id), "PLAN")
    }

    /// Which step the task belongs to that an announced act started.
    #[must_use]
    pub fn started_by(intent_id: &str) -> Self {
        Self::new(format!("STARTEDBY#{intent_id}"), "STEP")
    }

    /// The steps of a deployment's way back.
    #[must_use]
    pub fn way_back(deployment_id: &str) -> Self {
        Self::new(Self::deployment_rows(deployment_id), "WAY_BACK")
    }

    /// What is known about the verification of a deployment.
    #[must_use]
    pub fn verification(deployment_id: &str) -> Self {
        Self::new(Self::deployment_rows(deployment_id), "VERIFICATION")
    }

    /// Where a release stands at the gates of an environment.
    #[must_use]
    pub fn gates(deployment_id: &str) -> Self {
        Self::new(Self::deployment_rows(deployment_id), "GATES")
    }

    /// What the plan of a deployment changes, as people are shown it.
    #[must_use]
    pub fn summary(deployment_id: &str) -> Self {
        Self::new(Self::deployment_rows(deployment_id), "SUMMARY")
    }

    /// The card of a release in an environment.
    #[must_use]
    pub fn card(release_id: &str, environment: &str) -> Self {
        Self::new(Self::cards_of(release_id), environment)
    }

    /// The partition of [`Key::card`].
    #[must_use]
    pub fn cards_of(release_id: &str) -> String {
        format!("CARD#{release_id}")
    }

    /// The pointer by which a release is found whose cards may be others by now.
    #[must_use]
    pub fn open_card(release_id: &str) -> Self {
        Self::new(Self::OPEN_CARDS, release_id)
    }

    /// The proof that the end of a release was told. No environment has this name.
    #[must_use]
    pub fn cards_told(release_id: &str) -> Self {
        Self::new(Self::cards_of(release_id), "TOLD")
    }

    /// Until when Slack takes no more messages.
    #[must_use]
    pub fn card_pause() -> Self {
        Self::new("CARD#SLACK", "PAUSE")
    }

    /// The proof that a request of Slack was taken, by the digest of its signature.
    #[must_use]
    pub fn slack_request(signature: &str) -> Self {
        Self::new(format!("INTERACTION#{signature}"), "REQUEST")
    }

    /// What somebody said about a plan of a release for an environment.
    #[must_use]
    pub fn vote(release_id: &str, environment: &str, plan_hash: &str, principal: &str, approves: bool) -> Self {
        let choice = if approves { "APPROVE" } else { "REJECT" };
        Self::new(
            Self::vote_rows(release_id, environment),
            format!("{plan_hash}#{choice}#{principal}"),
        )
    }

    /// The partition of [`Key::vote`].
    #[must_use]
    pub fn vote_rows(release_id: &str, environment: &str) -> String {
        format!("VOTES#{release_id}#{environment}")
    }

    /// That somebody has seen to something about a release in an environment.
    #[must_use]
    pub fn acknowledgement(release_id: &str, environment: &str, name: &str) -> Self {
        Self::new(Self::acknowledgement_rows(release_id, environment), name)
    }

    /// The partition of [`Key::acknowledgement`].
    #[must_use]
    pub fn acknowledgement_rows(release_id: &str, environment: &str) -> String {
        format!("ACKNOWLEDGEMENTS#{release_id}#{environment}")
    }

    /// The version that an environment keeps.
    #[must_use]
    pub fn pin(application: &str, environment: &str) -> Self {
        Self::new(Self::pins_of(application), environment)
    }

    /// The partition of [`Key::pin`].
    #[must_use]
    pub fn pins_of(application: &str) -> String {
        format!("PINS#{application}")
    }

    /// What a hotfix owes in an environment.
    #[must_use]
    pub fn debt(application: &str, environment: &str, release_id: &str) -> Self {
        Self::new(Self::debts_of(application), format!("{environment}#{release_id}"))
    }

    /// The partition of [`Key::debt`].
    #[must_use]
    pub fn debts_of(application: &str) -> String {
        format!("DEBTS#{application}")
    }

    /// A freeze over an environment, over all of an application (`*`), or with an application of `*` over everything.
    #[must_use]
    pub fn freeze(application: &str, environment: &str, since: &str) -> Self {
        Self::new(Self::freezes_of(application), format!("{environment}#{since}"))
    }

    /// The partition of [`Key::freeze`].
    #[must_use]
    pub fn freezes_of(application: &str) -> String {
        format!("FREEZES#{application}")
    }

    /// The answer of a person to the question about a check, by the moment of the question.
    #[must_use]
    pub fn answer(deployment_id: &str, check: &str, asked_at: &str) -> Self {
        Self::new(format!("ANSWERS#{deployment_id}"), format!("{check}#{asked_at}"))
    }

    /// The deployment of an image into an environment whose verification looks at an alarm.
    #[must_use]
    pub fn alarm_watch(alarm: &str, deployments: &str) -> Self {
        Self::new(Self::alarm_rows(alarm), deployments)
    }

    /// The partition of [`Key::alarm_watch`].
    #[must_use]
    pub fn alarm_rows(alarm: &str) -> String {
        format!("ALARM#{alarm}")
    }

    /// A task definition that a deployment registered or reused, by its place in the plan.
    #[must_use]
    pub fn revision(deployment_id: &str, name: &str) -> Self {
        Self::new(Self::deployment_rows(deployment_id), format!("REVISION#{name}"))
    }

    /// What a deployment found out about one attempt at one of its steps.
    #[must_use]
    pub fn step(deployment_id: &str, mode: &str, index: usize, attempt: u32) -> Self {
        Self::new(
            Self::deployment_rows(deployment_id),
            format!("{}{mode}#{index:02}#{attempt:02}", Self::STEP_PREFIX),
        )
    }

    /// That a deployment has suspended the scaling of a service.
    #[must_use]
    pub fn suspended_scaling(place: Option<&Home>, cluster: &str, service: &str) -> Self {
        let at = place.map_or_else(String::new, |place| format!("{}/{}/", place.account, place.region));
        Self::new(Self::SUSPENDED_SCALING, format!("{at}{cluster}/{service}"))
    }

    /// What is known about the restore point that a step of a deployment needs.
    #[must_use]
    pub fn restore_point(deployment_id: &str, index: usize) -> Self {
        Self::new(
            Self::deployment_rows(deployment_id),
            format!("{}{index:02}", Self::RESTORE_POINT_PREFIX),
        )
    }

    /// The announcement of one act.
    #[must_use]
    pub fn intent(deployment_id: &str, intent_id: &str) -> Self {
        Self::new(
            Self::deployment_rows(deployment_id),
            format!("{}{intent_id}", Self::INTENT_PREFIX),
        )
    }

    /// The pointer by which the sweeper finds an announced act without an outcome.
    #[must_use]
    pub fn open_intent(deployment_id: &str, intent_id: &str) -> Self {
        Self::new(Self::OPEN_INTENTS, format!("{deployment_id}#{intent_id}"))
    }

    /// How much lies in the dead-letter queue.
    #[must_use]
    pub fn undelivered() -> Self {
        Self::new("UNDELIVERED", "QUEUE")
    }

    /// A lock.
    #[must_use]
    pub fn lock(name: &str) -> Self {
        Self::new(Self::lock_rows(name), "LOCK")
    }

    /// A place in the queue of a lock.
    #[must_use]
    pub fn queued(name: &str, since: &str, deployment_id: &str) -> Self {
        Self::new(
            Self::lock_rows(name),
            format!("{}{since}#{deployment_id}", Self::QUEUE_PREFIX),
        )
    }

    /// The partition of a lock and its queue.
    #[must_use]
    pub fn lock_rows(name: &str) -> String {
        format!("LOCK#{name}")
    }

    /// An execution's wait for the end of a resource.
    #[must_use]
    pub fn waiter(resource: &str, execution_arn: &str, state: &str) -> Self {
        Self::new(
            Self::resource_rows(resource),
            format!("{}{execution_arn}#{state}", Self::WAIT_PREFIX),
        )
    }

    /// An event about a resource, by its version or by the digest of its id.
    #[must_use]
    pub fn event(resource: &str, name: &str) -> Self {
        Self::new(Self::resource_rows(resource), format!("{}{name}", Self::EVENT_PREFIX))
    }

    /// The partition of the rows about a resource.
    #[must_use]
    pub fn resource_rows(resource: &str) -> String {
        format!("RESOURCE#{resource}")
    }

    /// The pointer by which the sweeper finds an open wait.
    #[must_use]
    pub fn open_wait(resource: &str, execution_arn: &str, state: &str) -> Self {
        Self::new(Self::OPEN_WAITS, format!("{resource}#{execution_arn}#{state}"))
    }

    /// A revision of a service that was verified, by the time of its verification.
    #[must_use]
    pub fn verified(service: &str, verified_at: &str) -> Self {
        Self::new(
            Self::service_rows(service),
            format!("{}{verified_at}", Self::VERIFIED_PREFIX),
        )
    }

    /// The partition of the rows about a service, named `{account}/{region}/{cluster}/{service}`.
    #[must_use]
    pub fn service_rows(service: &str) -> String {
        format!("SERVICE#{service}")
    }

    /// What an environment runs.
    #[must_use]
    pub fn environment(application: &str, environment: &str) -> Self {
        Self::new(Self::environment_rows(application, environment), "CURRENT")
    }

    /// What an environment ran since a moment: written once and kept.
    #[must_use]
    pub fn environment_history(application: &str, environment: &str, since: &str) -> Self {
        Self::new(
            Self::environment_rows(application, environment),
            format!("{}{since}", Self::VERIFIED_PREFIX),
        )
    }

    /// What is known about the schema of a database of an environment.
    #[must_use]
    pub fn schema(application: &str, environment: &str, database: &str) -> Self {
        Self::new(
            Self::environment_rows(application, environment),
            format!("{}{database}", Self::SCHEMA_PREFIX),
        )
    }

    /// What the schema of a database was since a moment: written once and kept.
    #[must_use]
    pub fn schema_moved(application: &str, environment: &str, database: &str, since: &str) -> Self {
        Self::new(
            Self::environment_rows(application, environment),
            format!("{}{since}", Self::schema_moved_prefix(database)),
        )
    }

    /// What the sort key of [`Key::schema_moved`] begins with.
    #[must_use]
    pub fn schema_moved_prefix(database: &str) -> String {
        format!("MOVED#{database}#")
    }

    /// The partition of the rows about an environment.
    #[must_use]
    pub fn environment_rows(application: &str, environment: &str) -> String {
        format!("ENVIRONMENT#{application}#{environment}")
    }

    /// The head of a chain of the ledger.
    #[must_use]
    pub fn head(chain: &str) -> Self {
        Self::new(format!("CHAIN#{chain}"), "HEAD")
    }

    /// Whether the row serves only a deployment that is at work and what is found out, or told, about it soon after:
    /// the ledger keeps what it said, and the row of the deployment how it ended.
    #[must_use]
    pub fn is_spent(&self) -> bool {
        let is_work = self.pk.starts_with("DEPLOYMENT#") && self.sk != "DEPLOYMENT";
        let prefixes = ["STARTEDBY#", "CARD#", "ANSWERS#"];
        is_work || prefixes.iter().any(|prefix| self.pk.starts_with(prefix))
    }

    /// The row of an environment that was made from a pattern of the pipeline.
    #[must_use]
    pub fn made_environment(application: &str, environment: &str) -> Self {
        Self::new(Self::made_environments_of(application), environment)
    }

    /// The partition of [`Key::made_environment`].
    #[must_use]
    pub fn made_environments_of(application: &str) -> String {
        format!("MADE#{application}")
    }

    /// The partition that lists all applications.
    pub const APPLICATIONS: &str = "APPLICATIONS";
    /// The partition of [`Key::open_release`].
    pub const OPEN_RELEASES: &str = "OPEN#RELEASE";
    /// The partition of [`Key::open_card`].
    pub const OPEN_CARDS: &str = "CARD#OPEN";
    /// The partition of [`Key::open_deployment`].
    pub const OPEN_DEPLOYMENTS: &str = "OPEN#DEPLOYMENT";
    /// The partition of [`Key::quarantined_lock`].
    pub const QUARANTINED_LOCKS: &str = "QUARANTINED#LOCK";
    /// The partition of [`Key::open_intent`].
    pub const OPEN_INTENTS: &str = "OPEN#INTENT";
    /// The partition of [`Key::open_wait`].
    pub const OPEN_WAITS: &str = "OPEN#WAIT";
    /// The partition of [`Key::suspended_scaling`].
    pub const SUSPENDED_SCALING: &str = "OPEN#SCALING";
    /// What the sort key of a listed deployment begins with.
    pub const PLANNED_PREFIX: &str = "PLANNED#";
    /// What the sort key of a step begins with.
    pub const STEP_PREFIX: &str = "STEP#";
    /// What the sort key of a restore point begins with.
    pub const RESTORE_POINT_PREFIX: &str = "RESTORE_POINT#";
    /// What the sort key of an intent begins with.
    pub const INTENT_PREFIX: &str = "INTENT#";
    /// What the sort key of a place in a queue begins with.
    pub const QUEUE_PREFIX: &str = "QUEUE#";
    /// What the sort key of a wait begins with.
    pub const WAIT_PREFIX: &str = "WAIT#";
    /// What the sort key of an inbox event begins with.
    pub const EVENT_PREFIX: &str = "EVENT#";
    /// What the sort key of [`Key::schema`] begins with.
    pub const SCHEMA_PREFIX: &str = "SCHEMA#";
    /// What the sort key of a verified revision begins with.
    pub const VERIFIED_PREFIX: &str = "VERIFIED#";
}
