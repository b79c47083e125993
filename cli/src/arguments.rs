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
  esclusa doctor                                        check the installation and the pipelines
  esclusa pipelines apply pipeline.yaml                 use this file for new releases
  esclusa plan shop production --version v1.4.0         what would change, without changing anything
  esclusa deploy shop production v1.4.0                 deploy a version and follow it
  esclusa rollback shop production --reason \"errors\"    back to the last verified release
  esclusa status shop                                   what runs where, and what is waiting
  esclusa audit --application shop --since 2d           what happened, and who did it
  esclusa audit verify --all                            prove that no record was changed or cut off

Exit codes:
  0  done: for `deploy` and `rollback`, SUCCEEDED or UNCHANGED; for `plan`, no difference
  1  failed: the release did not succeed, a record is broken, or the request was refused
  2  the input is not valid: arguments, names, a file; for `plan` that is 1, and 2 is a difference

Credentials and Region are those of the AWS command line. Set AWS_ENDPOINT_URL to use another endpoint.";

/// Deploys container images to ECS services, and records what happened.
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
    /// Output format; `csv` only for `audit`
    #[arg(long, global = true, value_enum, default_value_t, value_name = "FORM")]
    pub(crate) output: Format,
    /// Name of the installation's stack, from which the next four names follow; `esclusa` unless given
    #[arg(
        long,
        global = true,
        env = "ESCLUSA_STACK",
        hide_env_values = true,
        value_name = "NAME",
        value_parser = clap::builder::NonEmptyStringValueParser::new()
    )]
    pub(crate) stack: Option<String>,
    /// Control table of the installation; `STACK-control` unless given
    #[arg(long, global = true, value_name = "TABLE")]
    control_table: Option<String>,
    /// Ledger table of the installation; `STACK-ledger` unless given
    #[arg(long, global = true, value_name = "TABLE")]
    ledger_table: Option<String>,
    /// Function that takes requests; `STACK-intake` unless given
    #[arg(long, global = true, value_name = "NAME")]
    intake_function: Option<String>,
    /// Function that re-runs checks; `STACK-observe` unless given
    #[arg(long, global = true, value_name = "NAME")]
    observe_function: Option<String>,
    /// Send decisions to this API (stack output `ConsoleEndpoint`) instead of writing the tables directly
    ///
    /// The caller then needs no permission on a table. It is an API, not a web page.
    #[arg(
        long,
        global = true,
        env = "ESCLUSA_CONSOLE_URL",
        hide_env_values = true,
        value_name = "URL"
    )]
    pub(crate) console_url: Option<String>,
    /// Region of the installation
    #[arg(long, global = true)]
    pub(crate) region: Option<String>,
    /// AWS profile to take credentials and Region from
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
    /// Write a first pipeline file from running services
    ///
    /// The clusters are the environments, in the order in which a release passes through them. An environment is named
    /// after the part that sets its cluster apart, such as `staging` for `shop-staging`; give `--cluster
    /// CLUSTER=ENVIRONMENT` to name it yourself. The file is valid as written, and a release with it changes nothing
    /// but images. What could not be determined is left to you, in comments.
    Init(Init),
    /// Check the installation and every pipeline, and suggest fixes
    ///
    /// Checks the pieces of the installation, what starts them, what could not be delivered, and what each pipeline in
    /// force needs in the account. A problem does not end the check, and nothing is changed. What you may not see is
    /// reported as `unknown`. The exit code is 1 when there is a problem.
    Doctor(Doctor),
    /// Check, apply and show pipeline files
    #[command(subcommand)]
    Pipelines(Pipelines),
    /// Show what a deployment would change, without changing anything
    ///
    /// Lists for every task definition what would change compared with what is live, then the steps in order; or, in
    /// one list, everything that forbids the deployment. Values of environment variables are never shown.
    ///
    /// The exit code is 0 without a difference, 2 with one, and 1 when the deployment would be refused, the plan cannot
    /// be made, or the arguments are not valid.
    Plan(Plan),
    /// Deploy a version into one environment, and follow it to its end
    ///
    /// Interrupting the command stops following, not the release. The exit code is 0 when the release ends SUCCEEDED or
    /// UNCHANGED, 1 otherwise.
    Deploy(Deploy),
    /// Roll an environment back to a verified release, and follow it to its end
    ///
    /// The services return to the task definitions that were verified with that release; nothing is registered, and no
    /// task is run except the down commands requested with `--undo-migrations`. The exit code is 0 when the release
    /// ends SUCCEEDED or UNCHANGED, 1 otherwise.
    Rollback(Rollback),
    /// Show what runs where, what is on its way, and what it is waiting for
    ///
    /// For one application, also how many tasks of each service run, by ECS deployment; for one environment, also the
    /// releases that were verified there before, which `esclusa rollback --to` accepts.
    Status(Status),
    /// Show what happened, or verify that the records are intact
    ///
    /// Lists the most recent records, the newest last; without a selection, today's (UTC). Only `--release` reads a
    /// chain itself: the other listings come from indexes, which may lag by moments.
    Audit(Audit),
    /// List the locks of all environments and databases, and who is waiting for them
    Locks,
    /// List, add or release quarantined images
    ///
    /// An image whose migration, rollout or verification failed in one environment, or that somebody has added, is
    /// refused in every environment. Without a subcommand, lists them.
    Quarantine(Quarantine),
    /// List the releases waiting at a gate, and what each gate says
    Approvals,
    /// Explain why a version runs in an environment, or why it does not
    ///
    /// Shows what every gate said, who approved, and the result of earlier attempts; without a version, for the one
    /// that runs there.
    Why(Why),
    /// Predict when a version would reach each environment
    ///
    /// Assumes that it is pushed now, and uses the same rules as the gates. A deployment is taken to last as long as
    /// the previous one there.
    When(When),
    /// Approve a release for the environment it is waiting for
    ///
    /// The approval is for the plan as `esclusa plan` and `esclusa approvals` show it: a plan that changes needs a new
    /// one.
    Approve(Approval),
    /// Reject a release waiting at a gate, which ends it
    Reject(Rejection),
    /// Record an acknowledgement that a release is waiting for
    ///
    /// What an environment requires is in its pipeline, under `acknowledgements`; `esclusa approvals` shows what is
    /// missing.
    Acknowledge(Acknowledge),
    /// Block deployments into an environment; rollbacks still pass
    Freeze(Freeze),
    /// Lift a freeze
    Unfreeze(Unfreeze),
    /// Keep a release from entering any further environment
    ///
    /// It waits before the next environment; a deployment that already has its locks continues.
    Hold(Hold),
    /// Let a held release continue
    ReleaseHold(ReleaseHold),
    /// Keep an environment on its current version
    ///
    /// Other versions wait at its gates. Rollbacks still pass.
    Pin(Pin),
    /// Let other versions enter an environment again
    Unpin(Unpin),
    /// Stop a release, and roll back what it has moved
    ///
    /// A waiting release ends at once. A running task runs to its end, a rollout is rolled back, and what soaks goes
    /// back. Once a release has ended in force, use `esclusa rollback` instead.
    Stop(Stop),
    /// List or settle the checks that hotfixes skipped
    ///
    /// A regular release that is verified in the same environment settles them by itself. Without a subcommand, lists
    /// what is owed.
    Debts(Debts),
    /// Answer a failed check: keep the release, or roll it back
    ///
    /// `esclusa status --release ID` shows the question, what the check saw, and what happens if nobody answers in
    /// time.
    Answer(Answer),
    /// Re-run the verification checks of the running version
    ///
    /// A check that fails revokes the verification: the release enters no further environment, and no rollback returns
    /// to it. One that passes again restores it. The exit code is 1 when the verification does not hold.
    Recheck(Recheck),
    /// Free a lock that is quarantined, or that a deployment does not release
    ///
    /// Look at the environment first: whatever left the lock behind may have left services or a schema half-way. A
    /// deployment that loses its lock does nothing further; what it has begun continues in ECS.
    Unlock(Unlock),
}

#[derive(Debug, Args)]
pub(crate) struct Init {
    /// The name of the application
    pub(crate) application: String,
    /// A cluster, and the environment it is; repeat for each environment
    #[arg(long = "cluster", required = true, value_name = "CLUSTER[=ENVIRONMENT]")]
    pub(crate) clusters: Vec<String>,
    /// A service of the application; repeat for each one. All services of the clusters unless given
    #[arg(long = "service", value_name = "NAME")]
    pub(crate) services: Vec<String>,
    /// The file to write; `-` for standard output
    #[arg(long, default_value = "pipeline.yaml", value_name = "FILE")]
    pub(crate) output_file: PathBuf,
    /// Overwrite an existing file
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// Check only the pipeline of this application
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
        /// Who applies it, if not the caller; the record names the caller as well
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
    /// Skip what the pipeline lets a hotfix skip; the release owes it afterwards
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
    /// Also undo the migrations since then with their down commands, once the services are back
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
    /// Id that makes a repeated command the same request, such as that of a CI job
    #[arg(long, value_name = "ID")]
    pub(crate) request_id: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Status {
    /// The application; all of them unless given
    pub(crate) application: Option<String>,
    /// The environment; all of them unless given
    pub(crate) environment: Option<String>,
    /// Show one release, with the steps of its deployments
    #[arg(long, value_name = "ID", conflicts_with = "application")]
    pub(crate) release: Option<String>,
    /// Show it again whenever it changes; with `--release`, until the release ends
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
    /// Records from then on: a time (2026-11-21T14:00Z), a day, or how long ago (90min, 2d)
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// Records until then, in the same form
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<String>,
    /// Show at most this many records
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) limit: u32,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Check the chains of records against their heads, which are kept outside the ledger
    ///
    /// Recomputes the hash of every record, compares the end of each chain with its head in the control table, and the
    /// chains of ended releases with the heads that are anchored in the chain of their application. The exit code is 1
    /// when a record is not as it was written, and the record is named.
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
    /// The version, as a tag or a digest; the one that runs there unless given
    #[arg(long)]
    pub(crate) version: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct When {
    /// The application
    pub(crate) application: String,
    /// The tag that would be pushed
    pub(crate) tag: String,
    /// Predict it as a hotfix, which skips what the pipeline lets one skip, whatever the tag says
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
    fn a_plan_is_named_by_twelve_digits_of_its_hash_or_more() {
        let plan = |digits: &str| {
            let words = ["esclusa", "approve", "shop-1", "--plan", digits];
            match Arguments::try_parse_from(words).ok()?.command {
                Command::Approve(approval) => approval.plan,
                _ => None,
            }
        };
        assert_eq!(plan("5E884898da28").as_deref(), Some("5e884898da28"));
        assert_eq!([plan("5e884898da2"), plan("the newest one")], [None, None]);
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
