//! The program `lab`: Esclusa on a simulated AWS, to look at, to try, to measure.

mod commands;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use mimalloc::MiMalloc;

use commands::page::Page;

/// An explored seed is a million small allocations: the allocator of the system would take a quarter of the time.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Esclusa on a simulated AWS. Nothing leaves this machine.
#[derive(Debug, Parser)]
#[command(name = "lab", disable_help_subcommand = true, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show a push on its way into its environments, then stay up to be tried
    Local(commands::local::Local),
    /// Push another image into a simulated AWS that is up
    Push(commands::push::Push),
    /// Print the label `simulator.behaviour` by which an image of your own behaves like one of these
    Behaviour(commands::behaviour::Behaviour),
    /// Explore what happens when things go wrong, seed after seed
    Explore(commands::explore::Explore),
    /// Measure deployments and audit queries
    Bench(commands::bench::Bench),
}

fn main() -> ExitCode {
    let answer = match Arguments::parse().command {
        Command::Local(local) => commands::local::execute(&local),
        Command::Push(push) => commands::push::execute(&push),
        Command::Behaviour(behaviour) => commands::behaviour::execute(&behaviour),
        Command::Bench(bench) => commands::bench::execute(&bench),
        Command::Explore(explore) => commands::explore::execute(&explore),
    };
    answer.unwrap_or_else(|error| {
        // Where the error cannot be written either, the exit code says it.
        let _written = Page::of_errors().error(&error);
        ExitCode::FAILURE
    })
}
