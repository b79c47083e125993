//! The command line. The texts here are the reference of `esclusa --help`.

mod decisions;

use std::ffi::OsString;
use std::path::PathBuf;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use clap::{Args, CommandFactory, Parser, Subcommand};

pub(crate) use self::decisions::{
    Acknowledge, Answer, Approval, Debts, DebtsCommand, Freeze, Hold, Pin, Quarantine, QuarantineCommand, Rejection,
    ReleaseHold, Stop, Unfreeze, Unlock, Unpin,
};
use crate::error::Exit;
use crate::output::{Format, Output};

const EXAMPLES: &str = "\
Examples:
  esclusa init shop --cluster shop-staging --cluster shop-production     a first pipeline file
  esclusa doctor                                        is everything as it must be?
  esclusa pipelines apply pipeline.yaml                 use this file for new releases
  esclusa plan shop production --version v1.4.0         what would change, without changing anything
  esclusa deploy shop production v1.4.0                 bring a version there and follow it
  esclusa rollback shop production --reason \"errors\"    back to the last verified release
  esclusa status shop                                   what runs where, what waits for what
  esclusa audit --application shop --since 2d           what happened, who did it
  esclusa audit verify --all                            nothing was changed or cut off

Exit codes:
  0  done: for `deploy` and `rollback`, SUCCEEDED or UNCHANGED; for `plan`, no difference
  1  failed: the release did not succeed, a record is broken, something does not allow it
  2  the input is not valid: arguments, names, a file; of `plan` that is 1, and 2 a difference

Credentials and Region are those of the AWS command line. AWS_ENDPOINT_URL leads elsewhere.";

/// Brings container images into ECS services, and tells what happened.
#[derive(Debug, Parser)]
#[command(name = "esclusa", version, after_help = EXAMPLES, arg_required_else_help = true)]
#[command(disable_help_subcommand = true)]
pub struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) options: Options,
}

/// What every command takes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Options {
    /// The form of the answer; `csv` only for `audit`
    #[arg(long, global = true, value_enum, default_value_t, value_name = "FORM")]
    pub(crate) output: Format,
    /// The installation, by the name of its stack, from which the four names below follow; `esclusa` unless given
    #[arg(
        long,
        global = true,
        env = "ESCLUSA_STACK",
        hide_env_values = true,
        value_name = "NAME",
        value_parser = clap::builder::NonEmptyStringValueParser::new()
    )]
    pub(crate) stack: Option<String>,
    /// The control table of the installation; `STACK-control` unless given
    #[arg(long, global = true, value_name = "TABLE")]
    control_table: Option<String>,
    /// The ledger table of the installation; `STACK-ledger` unless given
    #[arg(long, global = true, value_name = "TABLE")]
    ledger_table: Option<String>,
    /// The function that takes requests; `STACK-intake` unless given
    #[arg(long, global = true, value_name = "NAME")]
    intake_function: Option<String>,
    /// The function that checks once more; `STACK-observe` unless given
    #[arg(long, global = true, value_name = "NAME")]
    observe_function: Option<String>,
    /// The address of the installation's API, which is no web page: people decide through it then, and need no permission on a table
    ///
    /// It is the output `ConsoleEndpoint` of the stack.
    #[arg(
        long,
        global = true,
        env = "ESCLUSA_CONSOLE_URL",
        hide_env_values = true,
        value_name = "URL"
    )]
    pub(crate) console_url: Option<String>,
    /// The Region of the installation
    #[arg(long, global = true)]
    pub(crate) region: Option<String>,
    /// The profile of the AWS configuration to take credentials and Region from
    #[arg(long, global = true)]
    pub(crate) profile: Option<String>,
}

/// The name of an installation that nobody has called otherwise.
const STACK: &str = "esclusa";

impl Options {
    pub(crate) fn control_table(&self) -> String {
        self.named(self.control_table.as_ref(), "control")
    }

    pub(crate) fn ledger_table(&self) -> String {
        self.named(self.ledger_table.as_ref(), "ledger")
    }

    pub(crate) fn intake_function(&self) -> String {
        self.named(self.intake_function.as_ref(), "intake")
    }

    pub(crate) fn observe_function(&self) -> String {
        self.named(self.observe_function.as_ref(), "observe")
    }

    /// The name that was given, or the one that a piece of the stack has.
    fn named(&self, given: Option<&String>, piece: &str) -> String {
        match given {
            Some(name) => name.clone(),
            None => format!("{}-{piece}", self.stack.as_deref().unwrap_or(STACK)),
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write a first pipeline file from services that run
    ///
    /// The clusters are the environments, in the order in which a release goes through them. An environment is called what tells its cluster from the
    /// others, such as `staging` of `shop-staging`; `--cluster CLUSTER=ENVIRONMENT` calls it otherwise. The file is valid as it is, and a release by it
    /// changes nothing but images. What is not known is left to you, in comments.
    Init(Init),
    /// Look whether everything is as it must be, and say what helps
    ///
    /// The pieces of the installation, what starts them, what could not be delivered, and what each pipeline in force needs of the account. Nothing that is
    /// found ends the looking, and nothing is changed. What you may not see is told as `unknown`. The exit code is 1 when there is a problem.
    Doctor(Doctor),
    /// Check, apply and show pipeline files
    #[command(subcommand)]
    Pipelines(Pipelines),
    /// Show what a deployment would change, without changing anything
    ///
    /// For every task definition what would change against what is live, then the steps in their order; or, as one list, whatever forbids the
    /// deployment. Values of environment variables are never shown.
    ///
    /// The exit code is 0 without a difference, 2 with one, and 1 when the deployment would be refused, the plan cannot be made, or the arguments are not
    /// valid.
    Plan(Plan),
    /// Bring a version into one environment, and follow it to its end
    ///
    /// Interrupting the command ends the following, not the release. The exit code is 0 when the release ends SUCCEEDED or UNCHANGED, 1 otherwise.
    Deploy(Deploy),
    /// Bring an environment back to a verified release, and follow it to its end
    ///
    /// The services go back to the task definitions that were verified with that release; nothing is registered, and no task is run but the down commands
    /// that `--undo-migrations` asks for. The exit code is 0 when the release ends SUCCEEDED or UNCHANGED, 1 otherwise.
    Rollback(Rollback),
    /// Show what runs where, and what is on its way and waits for what
    ///
    /// For one application also how many tasks of every service run, by deployment of ECS; for one environment also the releases that were verified
    /// there before, to which `esclusa rollback --to` goes back.
    Status(Status),
    /// Tell what happened, or verify that the records are whole
    ///
    /// The newest records are told, the newest last; without a selection those of today (UTC). Only `--release` reads a chain itself: the other
    /// listings come from indexes, which may lag by moments.
    Audit(Audit),
    /// Show the locks of all environments and databases, and who waits for them
    Locks,
    /// Show the images that go nowhere, put one among them, or let one out again
    ///
    /// An image whose migration, rollout or verification failed in one environment, or that somebody has put there, is refused in every environment.
    /// Without a subcommand those are listed.
    Quarantine(Quarantine),
    /// Show the releases that wait at a gate, and what each gate says
    Approvals,
    /// Say why a version runs in an environment, or why it does not
    ///
    /// Every gate with what it said, who agreed, and what became of it before; without a version, of what runs there.
    Why(Why),
    /// Say when a version would come into which environment, if it were pushed now
    ///
    /// By the same functions that the gates are asked with. How long a deployment takes is what the last one took there.
    When(When),
    /// Agree that a release comes into the environment it waits for
    ///
    /// What is agreed to is the plan as `esclusa plan` and `esclusa approvals` show it: a plan that changes is asked for again.
    Approve(Approval),
    /// Say no to a release that waits at a gate, which ends it
    Reject(Rejection),
    /// Say that something was seen to, which a release waits for
    ///
    /// What an environment asks for is in its pipeline, under `acknowledgements`; `esclusa approvals` shows what is missing.
    Acknowledge(Acknowledge),
    /// Let nothing come into an environment until it is lifted or over; rollbacks are let through
    Freeze(Freeze),
    /// Lift a freeze
    Unfreeze(Unfreeze),
    /// Keep a release from coming into any further environment, for now
    ///
    /// It waits before the next environment; a deployment that has its locks goes on.
    Hold(Hold),
    /// Let a held release go on
    ReleaseHold(ReleaseHold),
    /// Have an environment keep the version that it runs
    ///
    /// Other versions wait before it. Rollbacks are let through.
    Pin(Pin),
    /// Let other versions come into an environment again
    Unpin(Unpin),
    /// Stop a release: begin nothing more of it, and bring back what it has moved
    ///
    /// A release that waits ends at once. A task that runs is let run to its end, a rollout is rolled back, and what soaks is brought back. A release
    /// that is in force and has ended is taken back with `esclusa rollback`.
    Stop(Stop),
    /// Show what hotfixes did without and still owe, or settle it
    ///
    /// A release in good order that is verified in the same environment settles it by itself. Without a subcommand what is owed is listed.
    Debts(Debts),
    /// Decide about a check that failed and asks: keep the release, or take it back
    ///
    /// `esclusa status --release ID` shows what is asked, what the check saw, and what happens when nobody answers in time.
    Answer(Answer),
    /// Look once more whether what was verified works
    ///
    /// A check that fails revokes the verification: the release goes into no further environment, and nothing goes back to it. One that is well again
    /// restores it. The exit code is 1 when the verification does not hold.
    Recheck(Recheck),
    /// Free a lock that was left in quarantine, or that a deployment does not give back
    ///
    /// Look at the environment first: whatever made the lock stay may have left services or a schema half-way. A deployment that loses its lock acts no
    /// more; what it has begun goes on in ECS.
    Unlock(Unlock),
}

#[derive(Debug, Args)]
pub(crate) struct Init {
    /// The name of the application
    pub(crate) application: String,
    /// A cluster, and the environment that it is; again for each further environment
    #[arg(long = "cluster", required = true, value_name = "CLUSTER[=ENVIRONMENT]")]
    pub(crate) clusters: Vec<String>,
    /// A service of the application; again for each further one. All of the clusters unless given
    #[arg(long = "service", value_name = "NAME")]
    pub(crate) services: Vec<String>,
    /// The file to write; `-` for standard output
    #[arg(long, default_value = "pipeline.yaml", value_name = "FILE")]
    pub(crate) output_file: PathBuf,
    /// Write over a file that exists
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// Of the pipelines only that of this application
    pub(crate) application: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Pipelines {
    /// Check a pipeline file and the task definitions it refers to, without AWS
    Validate {
        /// The pipeline file
        file: PathBuf,
    },
    /// Store a pipeline file as the version that new releases use
    Apply {
        /// The pipeline file
        file: PathBuf,
        /// Who applies it, where it is not the caller; the record names the caller as well
        #[arg(long, value_name = "WHO")]
        by: Option<String>,
    },
    /// Write a stored pipeline file to standard output
    Show {
        /// The application
        application: String,
        /// The version; the one in force unless given
        #[arg(long, value_name = "N")]
        version: Option<u32>,
    },
    /// List the applications, or the versions of one of them
    List {
        /// The application, of which the newest hundred versions are listed
        application: Option<String>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Plan {
    /// The application
    pub(crate) application: String,
    /// The environment
    pub(crate) environment: String,
    /// The version, as a tag or a digest; the one in force unless given
    #[arg(long, value_name = "TAG_OR_DIGEST")]
    pub(crate) version: Option<String>,
    /// The image by its name in the pipeline file, where the application has several
    #[arg(long, value_name = "NAME")]
    pub(crate) image: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Deploy {
    /// The application
    pub(crate) application: String,
    /// The environment
    pub(crate) environment: String,
    /// The version, as a tag or a digest
    pub(crate) version: String,
    /// The image by its name in the pipeline file, where the application has several
    #[arg(long, value_name = "NAME")]
    pub(crate) image: Option<String>,
    /// Why
    #[arg(long)]
    pub(crate) reason: Option<String>,
    /// Do without what the pipeline says that a hotfix does without; it owes that afterwards
    #[arg(long, requires = "reason")]
    pub(crate) hotfix: bool,
    #[command(flatten)]
    pub(crate) request: Request,
}

#[derive(Debug, Args)]
pub(crate) struct Rollback {
    /// The application
    pub(crate) application: String,
    /// The environment
    pub(crate) environment: String,
    /// The release to go back to; the last verified one before the current unless given
    #[arg(long, value_name = "RELEASE")]
    pub(crate) to: Option<String>,
    /// Take the migrations since then back as well, by their down commands, once the services are back
    #[arg(long)]
    pub(crate) undo_migrations: bool,
    /// Why
    #[arg(long)]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) request: Request,
}

#[derive(Debug, Args)]
pub(crate) struct Request {
    /// Do not follow the release to its end
    #[arg(long)]
    pub(crate) no_wait: bool,
    /// Makes a repetition of this command the same request, such as the id of a job
    #[arg(long, value_name = "ID")]
    pub(crate) request_id: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Status {
    /// The application; all of them unless given
    pub(crate) application: Option<String>,
    /// The environment; all of them unless given
    pub(crate) environment: Option<String>,
    /// One release, with the steps of its deployments
    #[arg(long, value_name = "ID", conflicts_with = "application")]
    pub(crate) release: Option<String>,
    /// Show it again whenever something changes; with `--release`, until it ends
    #[arg(long)]
    pub(crate) watch: bool,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Audit {
    #[command(subcommand)]
    pub(crate) verify: Option<AuditCommand>,
    #[command(flatten)]
    pub(crate) selection: AuditSelection,
}

#[derive(Debug, Args)]
pub(crate) struct AuditSelection {
    /// Records of one release and its deployments
    #[arg(long, value_name = "ID", group = "about")]
    pub(crate) release: Option<String>,
    /// Records about an application
    #[arg(long, value_name = "NAME", group = "about")]
    pub(crate) application: Option<String>,
    /// Only those about this environment of the application
    #[arg(long, value_name = "NAME", requires = "application")]
    pub(crate) environment: Option<String>,
    /// Records about an image
    #[arg(long, group = "about")]
    pub(crate) digest: Option<String>,
    /// Records of one day in UTC, such as 2026-11-21
    #[arg(long, group = "about")]
    pub(crate) day: Option<String>,
    /// Not before: a time (2026-11-21T14:00Z), a day, or how long ago (90min, 2d)
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// Not after, in the same way
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<String>,
    /// The most records to tell
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) limit: u32,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Walk the chains of records against their heads, which are kept outside the ledger
    ///
    /// Recomputes the hash of every record, compares the end of each chain with its head in the control table, and the chains of ended releases with the
    /// heads that are anchored in the chain of their application. The exit code is 1 when a record is not as it was written; it is named.
    Verify(AuditVerify),
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct AuditVerify {
    /// The chain of one release
    #[arg(long, value_name = "ID")]
    pub(crate) release: Option<String>,
    /// The chains of an application, its releases and its repositories
    #[arg(long, value_name = "NAME")]
    pub(crate) application: Option<String>,
    /// The chains of all applications
    #[arg(long)]
    pub(crate) all: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Why {
    /// The application
    pub(crate) application: String,
    /// The environment
    pub(crate) environment: String,
    /// The version, as a tag or a digest; what runs there unless given
    #[arg(long)]
    pub(crate) version: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct When {
    /// The application
    pub(crate) application: String,
    /// The tag that would be pushed
    pub(crate) tag: String,
    /// As a hotfix, without what the pipeline says that one does without, whatever the tag says
    #[arg(long)]
    pub(crate) hotfix: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Recheck {
    /// The application
    pub(crate) application: String,
    /// The environment
    pub(crate) environment: String,
}

impl Arguments {
    /// The command line in these words, the name of the program first.
    ///
    /// # Errors
    /// The exit of the process where it is none: what the parser has to say is written then.
    pub fn read(words: &[OsString], output: &mut Output) -> Result<Self, Exit> {
        Self::try_parse_from(words).map_err(|usage| {
            if is_json_asked_for(words) {
                output.set_format(Format::Json);
            }
            let exit = output.usage(&usage);
            if is_plan_asked_for(words) { exit.of_plan() } else { exit }
        })
    }

    /// Whether a plan is asked for, whose exit codes tell a difference from everything else.
    pub(crate) fn is_plan(&self) -> bool {
        matches!(self.command, Command::Plan(_))
    }

    /// The form of the answer.
    #[must_use]
    pub fn format(&self) -> Format {
        self.options.output
    }

    /// The configuration of the AWS SDK that the command line asks for. A command that needs no AWS looks for none.
    pub async fn load_config(&self) -> SdkConfig {
        if matches!(self.command, Command::Pipelines(Pipelines::Validate { .. })) {
            return SdkConfig::builder().build();
        }
        let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12());
        if let Some(profile) = &self.options.profile {
            loader = loader.profile_name(profile);
        }
        if let Some(region) = &self.options.region {
            loader = loader.region(Region::new(region.clone()));
        }
        loader.load().await
    }
}

/// Whether `--output json` is among words that cannot be parsed as a whole.
fn is_json_asked_for(words: &[OsString]) -> bool {
    let is_pair = |pair: &[OsString]| matches!(pair, [option, form] if option == "--output" && form == "json");
    words.windows(2).any(is_pair) || words.iter().any(|word| word == "--output=json")
}

/// Whether the command is `plan` in words that cannot be parsed as a whole.
fn is_plan_asked_for(words: &[OsString]) -> bool {
    let command = Arguments::command().ignore_errors(true);
    let found = command.try_get_matches_from(words);
    found.is_ok_and(|matches| matches.subcommand_name() == Some("plan"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_has_no_contradictions() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn help_is_a_page_that_one_can_read() {
        let help = Arguments::command().term_width(100).render_help().to_string();
        insta::assert_snapshot!(help);
    }

    #[test]
    fn what_an_installation_is_made_of_follows_from_its_stack_unless_it_is_named() {
        let names = |words: &[&str]| {
            let arguments = Arguments::try_parse_from([&["esclusa", "doctor"], words].concat()).unwrap();
            let options = arguments.options;
            [
                options.control_table(),
                options.ledger_table(),
                options.intake_function(),
                options.observe_function(),
            ]
        };
        let of = |stack: &str| ["control", "ledger", "intake", "observe"].map(|piece| format!("{stack}-{piece}"));
        assert_eq!(names(&[]), of("esclusa"));
        assert_eq!(names(&["--stack", "blue"]), of("blue"));
        assert!(Arguments::try_parse_from(["esclusa", "doctor", "--stack", ""]).is_err());
        let [control, _, intake, observe] = of("blue");
        assert_eq!(
            names(&["--stack", "blue", "--ledger-table", "records"]),
            [control, "records".to_owned(), intake, observe]
        );
    }

    #[test]
    fn an_audit_is_about_one_thing() {
        let parse = |words: &[&str]| Arguments::try_parse_from([&["esclusa", "audit"], words].concat()).is_ok();
        assert!(parse(&[]) && parse(&["--application", "shop", "--environment", "develop", "--since", "2d"]));
        assert!(parse(&["verify", "--all"]));
        assert!(!parse(&["--application", "shop", "--day", "2026-11-21"]));
        assert!(!parse(&["--environment", "develop"]));
        assert!(!parse(&["verify"]));
        assert!(!parse(&["verify", "--all", "--application", "shop"]));
    }
}
