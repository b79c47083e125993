//! `lab bench`: what a deployment costs, and what an audit query reads. A program to look at, not an assertion.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use jiff::{SignedDuration, Timestamp};
use lab::example::Example;
use lab::images::Kind;
use lab::{DEPLOYER, Lab, is_settled};
use simulator::{CallRecord, Principal, Settings, World};
use simulator_step_functions::StepFunctions;

use super::CommandError;
use super::page::Page;

mod costs;
mod ledger;
mod starts;
mod wakes;
mod work;

/// The example whose image is deployed: a migration and a service, in two environments.
const EXAMPLE: &str = "imagy-catalog";

/// The smaller of the two sizes at which the ledger is asked.
const FEW_RECORDS: u32 = 1_000;

/// The arguments.
#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// How many images are pushed, one after the other
    #[arg(long, default_value_t = 25, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    releases: u32,
    /// With how many records in the ledger the audit queries are asked, besides 1,000
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1_000..=10_000_000))]
    records: u32,
    /// The folder with the programs of the functions, and of `examples/hello`, whose starts and work are measured
    #[arg(long)]
    programs: Option<PathBuf>,
}

pub(crate) fn execute(bench: &Bench) -> Result<ExitCode, CommandError> {
    let page = &mut Page::of_process();
    if cfg!(debug_assertions) {
        page.text("This is a build without optimisation: `scripts/bench` measures one with.")?;
    }
    deployments(bench, page)?;
    let work = bench.programs.as_deref().map(work::measure).transpose()?;
    costs::print(work, page)?;
    wakes::print(page)?;
    if let Some(programs) = &bench.programs {
        starts::print(programs, page)?;
    }
    page.heading("Audit queries of the command esclusa, by the number of records in the ledger")?;
    page.faint("  items read are what DynamoDB charges for; the time is that of the simulated DynamoDB on this machine, and shows only how it grows")?;
    for records in [FEW_RECORDS, bench.records] {
        ledger::measure(records, page)?;
    }
    page.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// Pushes image after image through two environments.
fn deployments(bench: &Bench, page: &mut Page) -> Result<(), CommandError> {
    let example = Example::load(EXAMPLE)?;
    let mut lab = Lab::with_example(&Settings::default(), &example)?;
    lab.simulation().run_for(SignedDuration::from_mins(5));
    let (calls, began) = (lab.world().calls().len(), lab.world().now());
    let (told, taken) = timed(|| push_all(&mut lab, &example, bench.releases));
    told?;
    let passed = lab.world().now().duration_since(began);
    let deployments = lab.executions("deployment").len();
    let cost = Cost::of(lab.world(), calls);

    page.heading(format_args!(
        "{} releases of {EXAMPLE}: {deployments} deployments, each with a migration and a service",
        bench.releases
    ))?;
    page.text(format_args!(
        "  {:>9.1}  simulated deployments in a second, on one core",
        per(deployments, taken)
    ))?;
    page.text(format_args!(
        "  {:>9.0}  times faster than its own clock: {} of simulated time in {:.1} s",
        passed.as_secs_f64() / taken.as_secs_f64(),
        hours(passed),
        taken.as_secs_f64()
    ))?;
    page.text("\n  for each deployment, its share of the release included:")?;
    for (what, count) in cost.rows() {
        page.text(format_args!("  {:>9.1}  {what}", mean(count, deployments)))?;
    }
    Ok(())
}

/// Whether so many releases have been carried out.
fn is_over(world: &World, releases: usize) -> bool {
    let of_release = format!(":{DEPLOYER}-release:");
    let machines = world.service::<StepFunctions>();
    let started = machines.map_or(0, |machines| {
        machines
            .executions()
            .iter()
            .filter(|arn| arn.contains(&of_release))
            .count()
    });
    started == releases && is_settled(world)
}

fn push_all(lab: &mut Lab, example: &Example, releases: u32) -> Result<(), CommandError> {
    for number in 1..=releases {
        lab.push_example(example, "app", &format!("v1.{number}.0"), Kind::Good)?;
        lab.settle();
    }
    Ok(())
}

/// What was used.
struct Cost {
    transitions: u64,
    invocations_by_machines: u64,
    invocations_by_events: u64,
    calls: BTreeMap<String, u64>,
}

impl Cost {
    fn of(world: &World, from: usize) -> Self {
        let machines = world.service::<StepFunctions>();
        let transitions = machines.map_or(0, |machines| {
            machines.executions().iter().map(|arn| machines.transitions(arn)).sum()
        });
        let mut cost = Self {
            transitions,
            invocations_by_machines: 0,
            invocations_by_events: 0,
            calls: BTreeMap::new(),
        };
        for call in world.calls().iter().skip(from) {
            cost.count(call);
        }
        cost
    }

    fn count(&mut self, call: &CallRecord) {
        if call.function.is_some() {
            *self.calls.entry(call.service.clone()).or_default() += 1;
        } else if call.service == "lambda" {
            match &call.principal {
                Principal::Role(role) if role.ends_with("-state-machine") => self.invocations_by_machines += 1,
                _ => self.invocations_by_events += 1,
            }
        }
    }

    fn rows(&self) -> Vec<(String, u64)> {
        let mut rows = vec![
            ("state transitions".to_owned(), self.transitions),
            (
                "Lambda invocations by the state machines".to_owned(),
                self.invocations_by_machines,
            ),
            (
                "Lambda invocations by events and schedules".to_owned(),
                self.invocations_by_events,
            ),
        ];
        rows.extend(
            self.calls
                .iter()
                .map(|(service, count)| (format!("calls of the functions to {service}"), *count)),
        );
        rows
    }
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn timed<T>(measured: impl FnOnce() -> T) -> (T, Duration) {
    let began = Instant::now();
    let result = measured();
    (result, began.elapsed())
}

fn per(count: usize, taken: Duration) -> f64 {
    u32::try_from(count).map_or(f64::NAN, f64::from) / taken.as_secs_f64()
}

fn mean(count: u64, among: usize) -> f64 {
    match (u32::try_from(count), u32::try_from(among)) {
        (Ok(count), Ok(among)) if among > 0 => f64::from(count) / f64::from(among),
        _ => f64::NAN,
    }
}

fn hours(span: SignedDuration) -> String {
    format!("{} h {} min", span.as_hours(), span.as_mins() % 60)
}

/// The beginning of the simulated time of a world that is filled with history.
fn today() -> Timestamp {
    Settings::default().start
}
