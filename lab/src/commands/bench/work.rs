//! How long the programs of the functions work themselves, besides waiting for AWS.

use std::path::Path;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use lab::example::Example;
use lab::images::Kind;
use lab::{DEPLOYER, InstallError, Lab, push_example};
use simulator::served::{Pace, Server};
use simulator::{Lambda, Settings, World};

use super::starts::FUNCTIONS;
use super::{EXAMPLE, is_over};
use crate::commands::CommandError;

/// How many images are pushed. The first finds no process at work, as the first push of a day does.
const RELEASES: usize = 3;

/// How fast simulated time passes: a release takes a few seconds, and the rounds of the schedules have no great share.
const PACE: Pace = Pace::Factor(60.0);

/// The longest real time that one of them takes.
const PATIENCE: Duration = Duration::from_mins(5);

/// How often it is looked whether a release is over.
const LOOK: Duration = Duration::from_millis(100);

/// How many ticks of the processor's time Linux counts in a second, whatever the machine.
const TICKS_PER_SECOND: f64 = 100.0;

/// What was seen of the programs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Work {
    /// The processor's time that an invocation takes, in seconds: the mean of all functions, their starts included.
    pub(super) seconds_per_invocation: f64,
    /// Of how many invocations.
    pub(super) invocations: u32,
}

/// Lets the programs of a folder deploy a few releases.
#[expect(
    clippy::disallowed_methods,
    reason = "programs read the real clock, and take real time"
)]
pub(super) fn measure(folder: &Path) -> Result<Work, CommandError> {
    let example = Example::load(EXAMPLE)?;
    let now = Timestamp::now();
    let server = Server::start(PACE, move || served(now)).map_err(|error| CommandError::Refused(error.to_string()))?;
    let programs = FUNCTIONS.map(|name| (format!("{DEPLOYER}-{name}"), folder.join(name)));
    server.run_programs(programs.into());
    for number in 1..=RELEASES {
        let example = example.clone();
        look(&server, move |world| {
            push_example(world, &example, "app", &format!("v1.{number}.0"), Kind::Good)
        })??;
        let began = Instant::now();
        while !look(&server, move |world| is_over(world, number))? {
            if began.elapsed() > PATIENCE {
                return Err(CommandError::Refused(
                    "a release by the programs does not end".to_owned(),
                ));
            }
            std::thread::sleep(LOOK);
        }
    }
    let invocations = look(&server, |world| {
        let lambda = world.service::<Lambda>();
        lambda.map_or(0, |lambda| lambda.usage().values().map(|usage| usage.invocations).sum())
    })?;
    let seconds: f64 = processor_seconds_of_children()?;
    Ok(Work {
        seconds_per_invocation: seconds / f64::from(invocations),
        invocations,
    })
}

/// The account with the example, whose functions have no code of their own in this process.
fn served(now: Timestamp) -> Result<World, InstallError> {
    let settings = Settings {
        start: now,
        ..Settings::default()
    };
    let mut world = Lab::with_example(&settings, &Example::load(EXAMPLE)?)?.into_world();
    if let Some((lambda, _)) = world.service_mut::<Lambda>() {
        for name in FUNCTIONS {
            lambda.unregister(&format!("{DEPLOYER}-{name}"));
        }
    }
    Ok(world)
}

fn look<T: Send + 'static>(
    server: &Server,
    look: impl FnOnce(&mut World) -> T + Send + 'static,
) -> Result<T, CommandError> {
    let ended = || CommandError::Refused("the simulated account has ended".to_owned());
    server.with_world(look).ok_or_else(ended)
}

/// The processor's time that the processes which this one has started and which still run have taken: user and system.
/// <https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html>
fn processor_seconds_of_children() -> Result<f64, CommandError> {
    let own = std::process::id().to_string();
    let mut ticks = 0.0;
    for entry in std::fs::read_dir("/proc")? {
        // A process that has ended since is not one of the functions, which run until they are killed.
        let Ok(stat) = std::fs::read_to_string(entry?.path().join("stat")) else {
            continue;
        };
        // The name, in parentheses, may hold anything.
        let fields: Vec<&str> = stat
            .rsplit_once(')')
            .map_or_else(Vec::new, |(_, rest)| rest.split_whitespace().collect());
        if fields.get(PARENT) == Some(&own.as_str()) {
            let times = [USER_TICKS, SYSTEM_TICKS]
                .into_iter()
                .filter_map(|field| fields.get(field)?.parse::<f64>().ok());
            ticks += times.sum::<f64>();
        }
    }
    Ok(ticks / TICKS_PER_SECOND)
}

/// The fields of a process's `stat` after its name.
const PARENT: usize = 1;
const USER_TICKS: usize = 11;
const SYSTEM_TICKS: usize = 12;
