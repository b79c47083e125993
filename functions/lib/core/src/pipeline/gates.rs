//! What the pipeline file says about gates: when a release may come into an environment, and who must agree.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use jiff::civil::Date;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::model::{Pipeline, TagPolicy};
use super::names::{MemberId, Name};

/// A person, by the identities under which they come.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Person {
    /// ARNs of IAM principals as AWS tells them, such as `arn:aws:sts::123456789012:assumed-role/tech-lead/ana`; `*`
    /// stands for anything.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub iam: Vec<String>,
    /// Ids of the members of Slack that this person is, such as `U0123ABCD`, or `T0123ABCD/U0123ABCD` for the one of that
    /// workspace and of no other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub slack: Vec<MemberId>,
}

/// When releases may come into an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Windows {
    /// The IANA time zone in which everything here is written, such as `America/Lima`.
    pub zone: String,
    /// When releases may come, every week or once; at any time unless given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub allow: Vec<Window>,
    /// When nothing comes, whatever is allowed, every week or once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 200))]
    pub deny: Vec<Window>,
    /// Days on which nothing comes, from midnight to midnight, but for what is allowed once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 500))]
    #[schemars(with = "Vec<String>")]
    pub holidays: Vec<Date>,
    /// A JSON file with a list of more of them, relative to this file: dates, or `{"date", "name"}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holidays_file: Option<String>,
}

/// A day in a file of holidays.
#[derive(Deserialize)]
#[serde(untagged)]
enum Holiday {
    Day(Date),
    Named { date: Date },
}

impl Windows {
    /// Takes in the holidays of the file that it names.
    ///
    /// # Errors
    /// What is wrong with the file, for people.
    fn take_in(&mut self, files: &BTreeMap<String, String>) -> Result<(), String> {
        let Some(path) = &self.holidays_file else {
            return Ok(());
        };
        let text = files.get(path).ok_or_else(|| format!("there is no file `{path}`"))?;
        let days: Vec<Holiday> = serde_json::from_str(text).map_err(|error| {
            format!("`{path}` is not a JSON list of dates such as `[\"2026-12-08\", {{\"date\": \"2026-12-25\", \"name\": \"Christmas\"}}]`: {error}")
        })?;
        self.holidays.extend(days.into_iter().map(|day| match day {
            Holiday::Day(date) | Holiday::Named { date } => date,
        }));
        Ok(())
    }
}

impl Pipeline {
    /// The same pipeline with what stands in the files beside it, but for task definitions: its holidays.
    ///
    /// # Errors
    /// What is wrong with a file, for people.
    pub fn with_files(mut self, files: &BTreeMap<String, String>) -> Result<Self, String> {
        let windows = self
            .environments
            .iter_mut()
            .filter_map(|environment| environment.windows.as_mut());
        for windows in windows {
            windows.take_in(files)?;
        }
        Ok(self)
    }
}

/// A time that comes every week, on its days, or without them once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// The days of the week on which it begins; without them it comes once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 7))]
    pub days: Vec<Day>,
    /// When it begins: a time of day such as `10:00`, or of what comes once a date and a time, such as
    /// `2026-12-20T00:00`.
    pub from: String,
    /// When it ends, in the same way. Of what comes every week one that is not after `from` is of the next day, and
    /// `24:00` is midnight.
    pub to: String,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Day {
    /// Monday.
    Mon,
    /// Tuesday.
    Tue,
    /// Wednesday.
    Wed,
    /// Thursday.
    Thu,
    /// Friday.
    Fri,
    /// Saturday.
    Sat,
    /// Sunday.
    Sun,
}

/// Who must agree before a release comes into an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// Who may agree, by their names in `people`. Whoever asked for the release may not.
    #[schemars(length(min = 1, max = 50))]
    pub approvers: Vec<Name>,
    /// How many of them must agree.
    #[serde(default = "default_quorum")]
    #[schemars(range(min = 1, max = 10))]
    pub quorum: u32,
    /// Hours in which they may, of those in which the windows of the environment are open; any number unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 720))]
    pub expires_open_hours: Option<u32>,
    /// What becomes of a release with which not enough have agreed in time.
    #[serde(default, skip_serializing_if = "AtExpiry::is_end")]
    pub at_expiry: AtExpiry,
    /// What it means that nobody knows who pushed an image: an event of the registry does not say.
    #[serde(default)]
    pub unknown_pusher: UnknownPusher,
}

/// What becomes of a release with which not enough have agreed in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AtExpiry {
    /// It ends.
    #[default]
    End,
    /// It comes, unless somebody has said no or an acknowledgement is missing: where silence is consent. A hotfix ends
    /// all the same.
    Approve,
}

impl AtExpiry {
    fn is_end(&self) -> bool {
        *self == Self::End
    }
}

/// What it means that nobody knows who pushed an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UnknownPusher {
    /// It may be one of the approvers: one more must agree.
    #[default]
    RaisesQuorum,
    /// It is somebody else, such as a job.
    IsNobody,
}

/// Something that must have been seen to before a release comes into an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Acknowledgement {
    /// The image says so by an annotation of its manifest or a label of its configuration, as a job wrote it.
    Image {
        /// The name of the annotation or label, such as `com.example.tests`.
        annotation: String,
        /// What it must be.
        is: String,
    },
    /// A person says so with `esclusa acknowledge`.
    Person {
        /// What is said, such as `the feature flags are set`.
        that: String,
        /// Who may, by their names in `people`; all of them unless given.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        #[schemars(length(max = 50))]
        by: Vec<Name>,
    },
}

/// Which releases are hotfixes, and what they do without.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hotfix {
    /// The tags that make a push one; none unless given: then only `esclusa deploy --hotfix` asks for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<TagPolicy>,
    /// What it does without.
    #[serde(default = "everything_skipped")]
    #[schemars(length(min = 1, max = 2))]
    pub skips: Vec<Skip>,
}

/// Something that a hotfix does without.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Skip {
    /// The soak of environments that another one follows.
    Soak,
    /// The windows.
    Window,
}

fn everything_skipped() -> Vec<Skip> {
    vec![Skip::Soak, Skip::Window]
}

/// The people of a pipeline by their names.
pub type People = IndexMap<Name, Person>;

const fn default_quorum() -> u32 {
    1
}
