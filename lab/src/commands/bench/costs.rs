//! What a release costs, by the number of its environments, and what an account costs in which nothing is released.

use esclusa_core::pipeline::Pipeline;
use jiff::SignedDuration;
use lab::example::Example;
use lab::images::Kind;
use lab::{DEPLOYER, Lab};
use simulator::{DynamoDb, Lambda, Settings};
use simulator_step_functions::StepFunctions;

use super::EXAMPLE;
use super::work::Work;
use crate::commands::CommandError;
use crate::commands::page::Page;

/// How many environments a release goes through.
const ENVIRONMENTS: [u32; 3] = [1, 3, 10];

/// A month, as AWS's price lists count it.
const MONTH_HOURS: f64 = 730.0;

/// The memory of a function, in GB.
const FUNCTION_GIGABYTES: f64 = 0.25;

/// Prices of `us-east-1` without any free tier, in dollars: <https://aws.amazon.com/step-functions/pricing/>,
const PER_TRANSITION: f64 = 25.0e-6;
/// <https://aws.amazon.com/lambda/pricing/> for arm64,
const PER_INVOCATION: f64 = 0.2e-6;
/// <https://aws.amazon.com/eventbridge/pricing/> for the rounds of the schedules,
const PER_ROUND: f64 = 1.0e-6;
const PER_GIGABYTE_SECOND: f64 = 13.333_4e-6;
/// <https://aws.amazon.com/dynamodb/pricing/on-demand/>,
const PER_WRITE_UNIT: f64 = 0.625e-6;
const PER_READ_UNIT: f64 = 0.125e-6;
/// and <https://aws.amazon.com/cloudwatch/pricing/>.
const PER_LOG_BYTE: f64 = 0.5e-9;

/// What was used within some time.
#[derive(Debug, Clone, Copy, Default)]
struct Used {
    transitions: f64,
    invocations: f64,
    /// How long the invocations last together, in seconds.
    lambda_seconds: f64,
    write_units: f64,
    read_units: f64,
    log_bytes: f64,
}

impl Used {
    /// What was used so far, where an invocation works itself for `work_seconds` besides waiting for AWS.
    fn of(lab: &Lab, work_seconds: f64) -> Self {
        let world = lab.world();
        let machines = world.service::<StepFunctions>();
        let transitions = machines.map_or(0, |machines| {
            let executions = machines.executions().iter();
            executions.map(|arn| machines.transitions(arn)).sum()
        });
        let functions = world
            .service::<Lambda>()
            .into_iter()
            .flat_map(|lambda| lambda.usage().values());
        let (invocations, waits) = functions.fold((0.0, 0.0), |(invocations, waits), usage| {
            (
                invocations + f64::from(usage.invocations),
                waits + usage.duration.as_secs_f64(),
            )
        });
        let tables = world
            .service::<DynamoDb>()
            .into_iter()
            .flat_map(|tables| tables.usage().values());
        let units = tables.fold((0.0, 0.0), |(writes, reads), usage| {
            (writes + usage.write_units, reads + usage.read_units)
        });
        // Those of the functions. Tasks have theirs.
        let own = format!("/{DEPLOYER}/");
        let groups = world
            .kernel()
            .logs
            .groups
            .iter()
            .filter(|(name, _)| name.starts_with(&own));
        let streams = groups.flat_map(|(_, streams)| streams.values());
        let log_bytes = streams.flatten().map(|line| line.message.len()).sum();
        Self {
            transitions: number(transitions),
            invocations,
            lambda_seconds: waits + invocations * work_seconds,
            write_units: units.0,
            read_units: units.1,
            log_bytes: number::<usize>(log_bytes),
        }
    }

    /// What was used since `before`, without what is used anyhow in that time.
    fn since(self, before: Self, at_rest: Self, hours: f64) -> Self {
        let own = |now: f64, before: f64, hourly: f64| (now - before - hourly * hours).max(0.0);
        Self {
            transitions: own(self.transitions, before.transitions, at_rest.transitions),
            invocations: own(self.invocations, before.invocations, at_rest.invocations),
            lambda_seconds: own(self.lambda_seconds, before.lambda_seconds, at_rest.lambda_seconds),
            write_units: own(self.write_units, before.write_units, at_rest.write_units),
            read_units: own(self.read_units, before.read_units, at_rest.read_units),
            log_bytes: own(self.log_bytes, before.log_bytes, at_rest.log_bytes),
        }
    }

    fn dollars(self) -> f64 {
        let gigabyte_seconds = self.lambda_seconds * FUNCTION_GIGABYTES;
        self.transitions * PER_TRANSITION
            + self.invocations * PER_INVOCATION
            + gigabyte_seconds * PER_GIGABYTE_SECOND
            + self.write_units * PER_WRITE_UNIT
            + self.read_units * PER_READ_UNIT
            + self.log_bytes * PER_LOG_BYTE
    }

    fn rows(self) -> [(&'static str, f64); 6] {
        [
            ("state transitions", self.transitions),
            ("Lambda invocations", self.invocations),
            ("Lambda milliseconds", self.lambda_seconds * 1_000.0),
            ("DynamoDB write units", self.write_units),
            ("DynamoDB read units", self.read_units),
            ("kilobytes of logs", self.log_bytes / 1_000.0),
        ]
    }
}

fn number<T: TryInto<u32>>(count: T) -> f64 {
    count.try_into().map_or(f64::NAN, f64::from)
}

/// Measures and prints, with what the programs of the functions were seen to work.
pub(super) fn print(work: Option<Work>, page: &mut Page) -> Result<(), CommandError> {
    let work_seconds = work.map_or(0.0, |work| work.seconds_per_invocation);
    let mut releases = Vec::new();
    let mut at_rest = Used::default();
    for count in ENVIRONMENTS {
        let (release, hourly) = measure(count, work_seconds)?;
        releases.push(release);
        at_rest = hourly;
    }
    page.heading(format_args!(
        "What a release of {EXAMPLE} costs, by its environments: in each a migration and a service"
    ))?;
    page.faint("  prices of us-east-1 without a free tier; each answer of AWS is on its way for 2 to 40 ms")?;
    match work {
        Some(work) => page.faint(format_args!(
            "  besides, an invocation takes {:.1} ms of a processor, its share of the starts included: the mean of {} of the programs here",
            work.seconds_per_invocation * 1_000.0,
            work.invocations
        ))?,
        None => page.faint("  what an invocation works itself is not counted: `scripts/bench` measures it with the programs")?,
    }
    let columns = |values: Vec<String>| values.iter().map(|value| format!("{value:>10}")).collect::<String>();
    page.text(format_args!(
        "  {:<22}{}",
        "environments",
        columns(ENVIRONMENTS.iter().map(u32::to_string).collect())
    ))?;
    let names = Used::default().rows();
    for (index, (name, _)) in names.iter().enumerate() {
        let values = releases
            .iter()
            .filter_map(|used| used.rows().get(index).map(|(_, value)| format!("{value:.0}")));
        page.text(format_args!("  {name:<22}{}", columns(values.collect())))?;
    }
    let dollars = releases.iter().map(|used| format!("{:.4}", used.dollars()));
    page.text(format_args!("  {:<22}{}", "dollars", columns(dollars.collect())))?;

    page.heading("What an account costs in a month in which nothing is released")?;
    for (name, value) in at_rest.rows() {
        page.text(format_args!("  {name:<22}{:>10.0}", value * MONTH_HOURS))?;
    }
    // At rest every invocation is one of a schedule.
    let dollars = at_rest.dollars() + at_rest.invocations * PER_ROUND;
    page.text(format_args!("  {:<22}{:>10.2}", "dollars", dollars * MONTH_HOURS))?;
    page.faint("  not counted: alarms, metrics, secrets, traces, and the logs of the state machines")?;
    Ok(())
}

/// What the second release through so many environments uses, and what the account uses in an hour at rest.
fn measure(environments: u32, work_seconds: f64) -> Result<(Used, Used), CommandError> {
    let example = Example::load(EXAMPLE)?.repeated("develop", environments)?;
    let settings = Settings {
        function_logs: true,
        ..Settings::default()
    };
    let mut lab = Lab::with_example(&settings, &example)?;
    let hour = SignedDuration::from_hours(1);
    lab.simulation().run_for(hour);
    let before = Used::of(&lab, work_seconds);
    lab.simulation().run_for(hour);
    let at_rest = Used::of(&lab, work_seconds).since(before, Used::default(), 0.0);
    lab.push_example(&example, "app", "v1.0.0", Kind::Good)?;
    lab.settle();
    let (before, began) = (Used::of(&lab, work_seconds), lab.world().now());
    lab.push_example(&example, "app", "v1.1.0", Kind::Good)?;
    lab.settle();
    let hours = lab.world().now().duration_since(began).as_secs_f64() / 3_600.0;
    is_in_every_environment(&lab, &example.pipeline)?;
    Ok((Used::of(&lab, work_seconds).since(before, at_rest, hours), at_rest))
}

/// A release that did not go all the way would cost less.
fn is_in_every_environment(lab: &Lab, pipeline: &Pipeline) -> Result<(), CommandError> {
    let deployments = lab.executions("deployment").len();
    let expected = pipeline.environment_names().len() * 2;
    if deployments == expected {
        return Ok(());
    }
    Err(CommandError::Refused(format!(
        "two releases went into {deployments} environments instead of {expected}"
    )))
}
