//! `lab explore`: Esclusa under random faults, until a seed shows what must not be.

mod tally;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use lab::InstallError;
use lab::explorer::{Known, Outcome, Plan, known_calls, run, shrink};

use super::CommandError;
use super::page::Page;
use tally::Tally;

/// How many seeds are explored between two times that the tally is written down.
const BATCH: u64 = 200;

/// How many are explored at a time where the first violation ends it.
const SMALL_BATCH: u64 = 10;

/// How many violations are looked at closely.
const SHOWN: usize = 5;

/// The arguments.
#[derive(Debug, Args)]
pub(crate) struct Explore {
    /// How many seeds are explored
    #[arg(long, default_value_t = 1_000, value_name = "N")]
    seeds: u64,
    /// The first seed
    #[arg(long, default_value_t = 0, value_name = "SEED")]
    from: u64,
    /// Explore this seed alone, and tell everything that happens
    #[arg(long, value_name = "SEED", conflicts_with_all = ["seeds", "from"])]
    seed: Option<u64>,
    /// Explore until this invariant is violated, such as `I4`, and say by which seed; no violation is looked at
    /// closely
    #[arg(long, value_name = "INVARIANT", conflicts_with = "seed")]
    until: Option<String>,
    /// How many threads explore; as many as there are cores unless given
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Where the tally is kept, from which the same program goes on when it was interrupted
    #[arg(long, default_value = "target/explore.json", value_name = "FILE")]
    tally: PathBuf,
}

pub(crate) fn execute(explore: &Explore) -> Result<ExitCode, CommandError> {
    let page = &mut Page::of_process();
    let known = known_calls()?;
    if let Some(seed) = explore.seed {
        return one(seed, &known, page);
    }
    let mut tally = Tally::resumed(&explore.tally, explore.from)?;
    if tally.explored > 0 {
        page.text(format_args!("{} seeds were explored before; going on", tally.explored))?;
    }
    let before = tally.explored;
    #[expect(clippy::disallowed_methods, reason = "it is the pace on this machine that is told")]
    let began = Instant::now();
    let bar = ProgressBar::new(explore.seeds).with_position(tally.explored);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos} of {len} seeds, {per_sec}, {eta} left") {
        bar.set_style(style);
    }
    let is_enough = |tally: &Tally| match &explore.until {
        None => tally.violating.len() >= SHOWN,
        Some(invariant) => tally.first(invariant).is_some(),
    };
    let batch_size = explore.until.as_ref().map_or(BATCH, |_| SMALL_BATCH);
    while tally.explored < explore.seeds && !is_enough(&tally) {
        let from = explore.from.saturating_add(tally.explored);
        let count = batch_size.min(explore.seeds.saturating_sub(tally.explored));
        batch(from, count, explore.threads, &known, &bar, &mut tally)?;
        tally.write(&explore.tally)?;
    }
    bar.finish_and_clear();
    if let Some(invariant) = &explore.until {
        return until(invariant, &tally, page);
    }
    let explored = tally.explored.saturating_sub(before);
    page.heading(format_args!("{} seeds, from seed {}", tally.explored, explore.from))?;
    if explored > 0 {
        let taken = began.elapsed().as_secs_f64();
        let seconds = format_args!(
            "{explored} of them in {taken:.0} s: {:.1} in a second",
            per(explored, taken)
        )
        .to_string();
        page.faint(format_args!("  {seconds}"))?;
    }
    tally.tell(&known, page)?;
    for seed in tally.violating.keys().take(SHOWN) {
        violated(*seed, &known, page)?;
    }
    if tally.violating.is_empty() {
        page.good("no violation", "every invariant held in every run")?;
        page.flush()?;
        return Ok(ExitCode::SUCCESS);
    }
    page.flush()?;
    Ok(ExitCode::FAILURE)
}

/// Which seed was the first that violated an invariant. Found is what was looked for.
fn until(invariant: &str, tally: &Tally, page: &mut Page) -> Result<ExitCode, CommandError> {
    let code = match tally.first(invariant) {
        Some(seed) => {
            page.text(format_args!("{invariant} is violated by seed {seed}"))?;
            ExitCode::SUCCESS
        }
        None => {
            page.text(format_args!("{invariant} is not violated by {} seeds", tally.explored))?;
            ExitCode::FAILURE
        }
    };
    page.flush()?;
    Ok(code)
}

/// Explores some seeds on several threads.
fn batch(
    from: u64,
    count: u64,
    threads: Option<usize>,
    known: &Known,
    bar: &ProgressBar,
    tally: &mut Tally,
) -> Result<(), CommandError> {
    let next = AtomicU64::new(0);
    let shared = Mutex::new((tally, Ok(())));
    let threads = threads.or_else(|| std::thread::available_parallelism().ok().map(usize::from));
    std::thread::scope(|scope| {
        for _ in 0..threads.unwrap_or(1) {
            scope.spawn(|| {
                loop {
                    let offset = next.fetch_add(1, Ordering::Relaxed);
                    if offset >= count {
                        return;
                    }
                    let seed = from.saturating_add(offset);
                    let outcome = run(&Plan::draw(seed, known), false);
                    bar.inc(1);
                    let Ok(mut shared) = shared.lock() else { return };
                    match outcome {
                        Ok(outcome) => shared.0.count(seed, &outcome),
                        Err(error) => {
                            shared.1 = Err(error);
                            return;
                        }
                    }
                }
            });
        }
    });
    let outcome: Result<(), InstallError> = match shared.into_inner() {
        Ok((_, outcome)) => outcome,
        Err(_) => return Err(CommandError::Refused("a run broke off: see above".to_owned())),
    };
    Ok(outcome?)
}

/// One seed, with everything that happens.
fn one(seed: u64, known: &Known, page: &mut Page) -> Result<ExitCode, CommandError> {
    let plan = Plan::draw(seed, known);
    page.text(&plan)?;
    let outcome = run(&plan, true)?;
    transcript(&outcome, page)?;
    page.flush()?;
    Ok(if outcome.violations.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// A seed with a violation: its plan, and what is left of it when everything that is not needed is left out.
fn violated(seed: u64, known: &Known, page: &mut Page) -> Result<(), CommandError> {
    let plan = Plan::draw(seed, known);
    let violations = run(&plan, false)?.violations;
    page.heading(format_args!("seed {seed}"))?;
    page.text(&plan)?;
    let shortest = shrink(&plan, &violations)?;
    page.heading(format_args!(
        "the shortest plan that violates it as well: {} of {} happenings",
        shortest.happenings.len(),
        plan.happenings.len()
    ))?;
    page.text(&shortest)?;
    let outcome = run(&shortest, true)?;
    transcript(&outcome, page)?;
    page.faint(format_args!("again, whole: `lab explore --seed {seed}`"))?;
    Ok(())
}

fn transcript(outcome: &Outcome, page: &mut Page) -> Result<(), CommandError> {
    for line in &outcome.transcript {
        page.line(line.clone())?;
    }
    for violation in &outcome.violations {
        page.bad("violated", violation)?;
    }
    if outcome.violations.is_empty() {
        page.good("no violation", "every invariant held")?;
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
fn per(count: u64, seconds: f64) -> f64 {
    count as f64 / seconds
}
