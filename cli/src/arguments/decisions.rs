//! What people decide and order.

use clap::{Args, Subcommand};
use esclusa_core::decision::PLAN_DIGITS_MIN;

#[derive(Debug, Args)]
pub(crate) struct Quarantine {
    #[command(subcommand)]
    pub(crate) command: Option<QuarantineCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum QuarantineCommand {
    /// List the images in quarantine
    List,
    /// Quarantine an image that is known to be bad
    ///
    /// Every plan with it is refused from then on, in every environment. A release waiting with it is kept at its gates
    /// for an hour; one being deployed continues: `esclusa stop` stops it, and `esclusa rollback` rolls back what runs.
    Add {
        /// The application
        application: String,
        /// The version, as a tag or a digest
        version: String,
        /// The image by its name in the pipeline file, where the application has several
        #[arg(long, value_name = "NAME")]
        image: Option<String>,
        /// Why
        #[arg(long)]
        reason: String,
    },
    /// Release an image, once it is clear that the image was not at fault
    Release {
        /// The full digest, such as `sha256:0f…`
        digest: String,
        /// What was found
        #[arg(long)]
        reason: String,
    },
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("choice").required(true))]
pub(crate) struct Answer {
    /// The release
    pub(crate) release: String,
    /// The environment; the one that asks unless given
    #[arg(long)]
    pub(crate) environment: Option<String>,
    /// The check by its name in the pipeline file
    #[arg(long, value_name = "NAME")]
    pub(crate) check: String,
    /// Keep the release, and ignore the check from now on
    #[arg(long, group = "choice")]
    pub(crate) keep: bool,
    /// Roll the release back
    #[arg(long, group = "choice")]
    pub(crate) roll_back: bool,
    /// Why
    #[arg(long)]
    pub(crate) reason: String,
}

#[derive(Debug, Args)]
pub(crate) struct Approval {
    /// The release; `esclusa approvals` lists the waiting ones
    pub(crate) release: String,
    /// The environment; the one where it waits unless given
    #[arg(long)]
    pub(crate) environment: Option<String>,
    /// The plan, by the first digits of its hash (12 or more), as `esclusa approvals` shows it; refused when the plan has
    /// changed. Whatever is planned unless given
    #[arg(long, value_name = "HASH", value_parser = plan)]
    pub(crate) plan: Option<String>,
    /// Why
    #[arg(long)]
    pub(crate) reason: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Rejection {
    /// The release; `esclusa approvals` lists the waiting ones
    pub(crate) release: String,
    /// The environment; the one where it waits unless given
    #[arg(long)]
    pub(crate) environment: Option<String>,
    /// The plan, by the first digits of its hash (12 or more), as `esclusa approvals` shows it; refused when the plan has
    /// changed. Whatever is planned unless given
    #[arg(long, value_name = "HASH", value_parser = plan)]
    pub(crate) plan: Option<String>,
    /// Why
    #[arg(long)]
    pub(crate) reason: String,
}

/// Reads the hash of a plan, or its first digits.
fn plan(text: &str) -> Result<String, String> {
    if text.len() >= PLAN_DIGITS_MIN && text.chars().all(|character| character.is_ascii_hexdigit()) {
        Ok(text.to_ascii_lowercase())
    } else {
        Err(format!(
            "give {PLAN_DIGITS_MIN} or more of the hexadecimal digits that `esclusa approvals` shows"
        ))
    }
}

#[derive(Debug, Args)]
pub(crate) struct Acknowledge {
    /// The release; `esclusa approvals` lists the waiting ones
    pub(crate) release: String,
    /// The acknowledgement, by its name in the pipeline file
    pub(crate) name: String,
    /// The environment; the one where it waits unless given
    #[arg(long)]
    pub(crate) environment: Option<String>,
    /// What was found
    #[arg(long)]
    pub(crate) note: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Freeze {
    /// The application; all of them unless given
    pub(crate) application: Option<String>,
    /// The environment; all of them unless given
    pub(crate) environment: Option<String>,
    /// Why
    #[arg(long)]
    pub(crate) reason: String,
    /// Until when: a time (2026-12-01T08:00Z) or for how long (2h, 3d); until lifted unless given
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<String>,
    /// Also stop what is on its way there: no further step begins, and what it has moved goes back
    #[arg(long)]
    pub(crate) stop: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Unfreeze {
    /// The application; without one, the freeze that was set for all of them
    pub(crate) application: Option<String>,
    /// The environment; without one, the freeze that was set for all of them
    pub(crate) environment: Option<String>,
    /// Why
    #[arg(long)]
    pub(crate) reason: String,
}

#[derive(Debug, Args)]
pub(crate) struct Debts {
    #[command(subcommand)]
    pub(crate) command: Option<DebtsCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DebtsCommand {
    /// List what hotfixes owe
    List,
    /// Settle what a hotfix owes, once it has been made up for
    Settle {
        /// The release
        release: String,
        /// What was done
        #[arg(long)]
        reason: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Hold {
    /// The release; `esclusa status` lists those on their way
    pub(crate) release: String,
    /// Why
    #[arg(long)]
    pub(crate) reason: String,
    /// Until when: a time (2026-12-01T08:00Z) or for how long (2h, 3d); until lifted unless given
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ReleaseHold {
    /// The release
    pub(crate) release: String,
    /// Why
    #[arg(long)]
    pub(crate) reason: String,
}

#[derive(Debug, Args)]
pub(crate) struct Pin {
    /// The application
    pub(crate) application: String,
    /// The environment
    pub(crate) environment: String,
    /// Why
    #[arg(long)]
    pub(crate) reason: String,
    /// Until when: a time (2026-12-01T08:00Z) or for how long (2h, 3d); until lifted unless given
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Unpin {
    /// The application
    pub(crate) application: String,
    /// The environment
    pub(crate) environment: String,
    /// Why
    #[arg(long)]
    pub(crate) reason: String,
}

#[derive(Debug, Args)]
pub(crate) struct Stop {
    /// The release; `esclusa status` lists those on their way
    pub(crate) release: String,
    /// Why
    #[arg(long)]
    pub(crate) reason: String,
}

#[derive(Debug, Args)]
pub(crate) struct Unlock {
    /// The name, such as `environment/shop/production`; `esclusa locks` lists them
    pub(crate) name: String,
    /// The deployment to take a held lock from
    #[arg(long, value_name = "DEPLOYMENT")]
    pub(crate) from: Option<String>,
    /// What was found and done
    #[arg(long)]
    pub(crate) reason: String,
}
