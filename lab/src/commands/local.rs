//! `lab local`: a push into the simulated account, shown from its event to its proof.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use esclusa_core::pipeline::Trigger;
use jiff::{SignedDuration, Timestamp};
use lab::example::{Example, NAMES};
use lab::images::Kind;
use lab::oracle::{self, Arrival, Opinion};
use lab::walk::{Line, Tone, Walk};
use lab::{AT_GATE, Beside, Lab, is_settled, repository};
use simulator::Settings;

use super::page::Page;
use super::served::{self, Serving};
use super::{CommandError, channel};

/// How long what runs already is given to become steady.
const STEADY: SignedDuration = SignedDuration::from_mins(5);

/// How long a release may take: longer than every wait of its state machines together.
const PATIENCE: SignedDuration = SignedDuration::from_hours(24 * 7);

/// How long the event of a push may be on its way.
const DELIVERY: SignedDuration = SignedDuration::from_secs(30);

/// How long people may wait until they are told: two rounds.
const TOLD: SignedDuration = SignedDuration::from_mins(2);

/// How long before its first client a served world begins: about as long as what is shown first takes in it.
const PRELUDE: SignedDuration = SignedDuration::from_mins(30);

/// Versions of which every application takes one in the first of its environments.
const KNOWN_GOOD: [&str; 2] = ["v1.4.0", "develop-1.4.0"];
const PUSHED: [&str; 2] = ["v1.5.0", "develop-1.5.0"];

/// The arguments.
#[derive(Debug, Clone, Args)]
pub(crate) struct Local {
    /// End when the release has ended: exit code 0 only if the checker agrees that the image runs and the record is
    /// whole
    #[arg(long)]
    once: bool,
    /// Whose image is pushed
    #[arg(long, default_value = "imagy-catalog", value_parser = NAMES)]
    application: String,
    /// How the pushed image behaves
    #[arg(long, value_enum, default_value_t)]
    image: Kind,
    /// People are told in a simulated Slack: its channel is shown at the end
    #[arg(long)]
    slack: bool,
    /// How many simulated seconds pass in a second while nothing is deployed
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..), value_name = "SECONDS", conflicts_with = "once")]
    pace: u32,
    /// Where it listens on this machine; 0 is any free port
    #[arg(long, default_value_t = 0, conflicts_with = "once")]
    port: u16,
    /// Where the lines for other shells are written: endpoint, key and path [default: .local/environment]
    #[arg(long, value_name = "FILE", conflicts_with = "once")]
    environment: Option<PathBuf>,
    /// Decides every interleaving, delay and id; with `--once` the same seed gives the same lines
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// A version of an application that was pushed.
struct Version {
    tag: String,
    digest: String,
    release_id: String,
    environments: Vec<String>,
}

/// Everything that a run knows.
struct Run {
    lab: Lab,
    example: Example,
    image: String,
    walk: Walk,
}

pub(crate) fn execute(local: &Local) -> Result<ExitCode, CommandError> {
    if local.once {
        let (_, _, agreed) = show(local, Settings::default().start)?;
        return Ok(if agreed { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    #[expect(
        clippy::disallowed_methods,
        reason = "whoever tries the served account lives in real time"
    )]
    let start = Timestamp::now().saturating_sub(PRELUDE).unwrap_or_default();
    let example = Example::load(&local.application)?;
    let local = local.clone();
    let serving = Serving {
        port: local.port,
        pace: local.pace,
        environment: local
            .environment
            .clone()
            .unwrap_or_else(|| repository().join(".local/environment")),
    };
    served::execute(&example, &serving, move || {
        let (lab, walk, _) = show(&local, start)?;
        Ok((lab.into_world(), walk))
    })
}

/// The whole story. Whether the checker agrees with its end.
fn show(local: &Local, start: Timestamp) -> Result<(Lab, Walk, bool), CommandError> {
    let page = &mut Page::of_process();
    let settings = Settings {
        seed: local.seed,
        start,
        // Whoever looks with the AWS CLI finds what the functions wrote, and what it measures.
        function_logs: true,
        ..Settings::default()
    };
    let mut run = prepare(local, &settings, page)?;
    let before = match local.image {
        Kind::Good => None,
        _ => Some(run.deploy_known_good(page)?),
    };
    let version = run.push(&PUSHED, local.image)?;
    let name = local.image.name();
    page.heading(format_args!(
        "Pushing {} {} ({name}), digest {}",
        local.application,
        version.tag,
        short(&version.digest)
    ))?;
    page.faint("  time      where       who            what")?;
    let version = run.follow(version, page)?;
    run.tell(&version, page)?;
    if local.slack {
        run.lab.simulation().run_for(TOLD);
        channel::show(&run.lab, page)?;
    }
    let agreed = run.judge(&version, before.as_ref(), page)?;
    Ok((run.lab, run.walk, agreed))
}

/// The account with the deployer and every application in it.
fn prepare(local: &Local, settings: &Settings, page: &mut Page) -> Result<Run, CommandError> {
    let Settings {
        account, region, seed, ..
    } = settings;
    page.text(format_args!(
        "A simulated AWS with Esclusa in it: account {account}, {region}, seed {seed}. Nothing leaves this machine."
    ))?;
    page.faint(
        "The template, the state machines and the functions are those that are deployed; AWS around them is simulated.",
    )?;
    let beside = if local.slack { Beside::Slack } else { Beside::Nobody };
    let mut lab = Lab::beside(settings, beside)?;
    page.heading("Applying the pipelines of the examples")?;
    let mut examples = Vec::new();
    for name in NAMES {
        let example = Example::load(name)?;
        lab.add(&example)?;
        provide_images(&mut lab, &example)?;
        lab.simulation().run_for(STEADY);
        if local.slack && example.name == local.application {
            channel::open(&mut lab, &example)?;
        }
        page.text(format_args!("  {name:<14}  {}", outline(&example)))?;
        examples.push(example);
    }
    let walk = Walk::new(&examples, lab.world_mut());
    let example = examples.into_iter().find(|example| example.name == local.application);
    let example =
        example.ok_or_else(|| CommandError::Refused(format!("there is no example `{}`", local.application)))?;
    let image = example
        .pipeline
        .images
        .keys()
        .next()
        .map(ToString::to_string)
        .unwrap_or_default();
    Ok(Run {
        lab,
        example,
        image,
        walk,
    })
}

/// What the services ran before Esclusa came: `latest`, where no environment takes it for a release.
fn provide_images(lab: &mut Lab, example: &Example) -> Result<(), CommandError> {
    const BEFORE: &str = "latest";
    if example.pushed_through(BEFORE).is_empty() {
        for image in example.pipeline.images.keys() {
            lab.push_example(example, image.as_str(), BEFORE, Kind::Good)?;
        }
    }
    Ok(())
}

/// Where an application goes, and in which steps.
fn outline(example: &Example) -> String {
    let pipeline = &example.pipeline;
    let environments: Vec<String> = pipeline
        .environments
        .iter()
        .map(|environment| {
            let name = if environment.is_pattern() {
                environment.names.join(" or ")
            } else {
                environment.name.to_string()
            };
            match environment.trigger {
                Trigger::Push => name,
                Trigger::Manual => format!("{name} (by hand)"),
            }
        })
        .collect();
    let keys = |keys: Vec<String>, word: &str| {
        if keys.is_empty() {
            String::new()
        } else {
            format!("{word} {}", keys.join(", "))
        }
    };
    let tasks = keys(pipeline.tasks.keys().map(ToString::to_string).collect(), "; tasks");
    let services = keys(
        pipeline.services.keys().map(ToString::to_string).collect(),
        "; services",
    );
    format!("{}{tasks}{services}", environments.join(" > "))
}

impl Run {
    /// Pushes an image under the first of these tags that an environment takes.
    fn push(&mut self, tags: &[&str], kind: Kind) -> Result<Version, CommandError> {
        let tag = tags.iter().find(|tag| !self.example.pushed_through(tag).is_empty());
        let tag = tag
            .ok_or_else(|| CommandError::Refused(format!("no environment of `{}` takes a push", self.example.name)))?;
        let digest = self.lab.push_example(&self.example, &self.image, tag, kind)?;
        Ok(Version {
            tag: (*tag).to_owned(),
            digest,
            release_id: String::new(),
            environments: self.example.pushed_through(tag),
        })
    }

    /// Lets the release of a version go to its end, and hands on what happens.
    fn follow_with(
        &mut self,
        version: Version,
        mut told: impl FnMut(Line) -> io::Result<()>,
    ) -> Result<Version, CommandError> {
        let from = self.lab.world().now();
        let after = |span: SignedDuration| from.saturating_add(span).unwrap_or(Timestamp::MAX);
        let (delivered, late) = (after(DELIVERY), after(PATIENCE));
        let mut agreed = BTreeSet::new();
        loop {
            let now = self.lab.world().now();
            if (now >= delivered && is_settled(self.lab.world())) || now >= late || !self.lab.world_mut().step() {
                break;
            }
            let lines = self.walk.look(self.lab.world_mut());
            let is_news = !lines.is_empty();
            for line in lines {
                told(line)?;
            }
            if is_news && let Some(line) = self.agree(&mut agreed) {
                told(line)?;
            }
        }
        let release_id = self.lab.executions("release").pop();
        let release_id = release_id
            .ok_or_else(|| CommandError::Refused(format!("the push of `{}` started no release", version.tag)))?;
        Ok(Version { release_id, ..version })
    }

    /// Somebody agrees with what waits for them, once for each release: that is what would be seen of it, had somebody
    /// looked.
    fn agree(&mut self, agreed: &mut BTreeSet<String>) -> Option<Line> {
        let release = self.lab.executions("release").pop()?;
        let waits = self.lab.path(&release).last().is_some_and(|state| state == AT_GATE);
        if !waits || agreed.contains(&release) {
            return None;
        }
        let answer = self.lab.esclusa(&["approve", &release, "--reason", "seen in staging"]);
        if answer.code != 0 {
            return None;
        }
        agreed.insert(release);
        Some(Line {
            at: self.lab.world().now(),
            place: String::new(),
            who: "a person".to_owned(),
            text: format!("esclusa approve: {}", answer.out.split(';').next().unwrap_or_default()),
            tone: Tone::Good,
            state: false,
        })
    }

    fn follow(&mut self, version: Version, page: &mut Page) -> Result<Version, CommandError> {
        let version = self.follow_with(version, |line| page.line(line))?;
        page.flush()?;
        Ok(version)
    }

    /// What a bad image can go back to.
    fn deploy_known_good(&mut self, page: &mut Page) -> Result<Version, CommandError> {
        let began = self.lab.world().now();
        let version = self.push(&KNOWN_GOOD, Kind::Good)?;
        let version = self.follow_with(version, |_| Ok(()))?;
        let opinion = self.check(&version, Arrival::Deployed)?;
        let minutes = self.lab.world().now().duration_since(began).as_mins();
        page.heading(format_args!(
            "First {} {} (good), so that there is something to go back to",
            self.example.name, version.tag
        ))?;
        if opinion.agrees() {
            page.text(format_args!(
                "  it runs in {} after {minutes} minutes of simulated time, and the checker agrees",
                version.environments.join(" and ")
            ))?;
        } else {
            opine(&opinion, page)?;
        }
        Ok(version)
    }

    /// What the command line says about it.
    fn tell(&mut self, version: &Version, page: &mut Page) -> Result<(), CommandError> {
        let release_id = version.release_id.as_str();
        let application = self.example.name.clone();
        for words in [&["audit", "--release", release_id][..], &["status", &application]] {
            page.heading(format_args!("$ esclusa {}", words.join(" ")))?;
            self.lab.esclusa_into(words, &mut esclusa_cli::Output::of_process());
        }
        Ok(())
    }

    /// The checker's word on the version and, where it was a bad one, on what ran before.
    fn judge(&mut self, version: &Version, before: Option<&Version>, page: &mut Page) -> Result<bool, CommandError> {
        let opinion = self.check(version, Arrival::Deployed)?;
        page.heading(format_args!(
            "The checker, which asks only ECS, Step Functions and the ledger: does {} run?",
            version.tag
        ))?;
        opine(&opinion, page)?;
        if let Some(before) = before.filter(|_| !opinion.agrees()) {
            let opinion = self.check_running(before, Arrival::Restored)?;
            page.heading(format_args!("And does {} run, as it did before?", before.tag))?;
            opine(&opinion, page)?;
        }
        page.text("")?;
        if opinion.agrees() {
            page.good(
                "It runs.",
                format_args!(
                    "{} {} is in {}, and the record is whole.",
                    self.example.name,
                    version.tag,
                    version.environments.join(" and ")
                ),
            )?;
        } else {
            page.bad(
                "It does not run.",
                format_args!("{} {} is not where it was meant to be.", self.example.name, version.tag),
            )?;
        }
        Ok(opinion.agrees())
    }

    fn check(&mut self, version: &Version, arrival: Arrival) -> Result<Opinion, CommandError> {
        let running = self.check_running(version, arrival)?;
        let config = self.lab.administrator().clone();
        let reading = oracle::record_is_whole(&config, &self.example.name, &version.release_id);
        Ok(running.and(self.lab.simulation().block_on(reading)))
    }

    /// Asks about one environment after another until one has not what it should: a release comes into the next only
    /// through the one before.
    fn check_running(&mut self, version: &Version, arrival: Arrival) -> Result<Opinion, CommandError> {
        let config = self.lab.administrator().clone();
        let mut opinion = Opinion::default();
        for environment in &version.environments {
            let question = self
                .example
                .question(environment, &self.image, &version.digest, arrival)?;
            opinion = opinion.and(self.lab.simulation().block_on(oracle::image_runs(&config, &question)));
            if !opinion.agrees() {
                break;
            }
        }
        Ok(opinion)
    }
}

fn opine(opinion: &Opinion, page: &mut Page) -> io::Result<()> {
    for proven in &opinion.proven {
        page.good("proven", proven)?;
    }
    for finding in &opinion.findings {
        page.bad("wrong ", finding)?;
    }
    Ok(())
}

/// A digest by as many digits as tell two apart by eye.
fn short(digest: &str) -> &str {
    digest.get(..19).unwrap_or(digest)
}
