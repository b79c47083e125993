//! What the pipeline file says about who pushed an image.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::gates::People;
use super::names::Name;
use crate::gate::person_of;

/// How an image says who pushed it, which the event of a registry does not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pusher {
    /// The name of an annotation of its manifest or a label of its configuration, such as `com.example.author`. It
    /// says a name in `people`, the id of a member of Slack, or the ARN of an IAM principal.
    pub annotation: String,
}

/// Who pushed an image, as far as it says so itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed<'a> {
    /// One of the people of the pipeline.
    By(&'a Name),
    /// Somebody whom the pipeline does not know, by these words.
    ByStranger(&'a str),
    /// It does not say.
    Unsaid,
}

impl Pusher {
    /// Who pushed an image that says this of itself. It is a claim of whoever made the image: it may take somebody out
    /// of those who decide about it, and lets nobody decide.
    #[must_use]
    pub fn of<'a>(&self, people: &'a People, said: &'a BTreeMap<String, String>) -> Pushed<'a> {
        let claim = said.get(&self.annotation).map(|claim| claim.trim());
        let Some(claim) = claim.filter(|claim| !claim.is_empty()) else {
            return Pushed::Unsaid;
        };
        let by_name = people.keys().find(|name| name.as_str() == claim);
        let is_member = |member: &super::MemberId| member.user() == claim;
        let by_member = || people.iter().find(|(_, person)| person.slack.iter().any(is_member));
        let is_arn = claim.starts_with("arn:");
        let by_arn = || person_of(people, claim).filter(|_| is_arn);
        let person = by_name.or_else(|| by_member().map(|(name, _)| name)).or_else(by_arn);
        person.map_or(Pushed::ByStranger(claim), Pushed::By)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::Person;

    #[test]
    fn an_image_names_a_person_by_name_by_member_or_by_arn_and_anybody_else_is_a_stranger() {
        let person = |iam: &str, slack: &str| Person {
            iam: vec![iam.to_owned()],
            slack: vec![slack.parse().unwrap()],
        };
        let people = People::from_iter([
            ("ana".parse().unwrap(), person("arn:aws:iam::1:user/ana", "U0ANA")),
            (
                "luis".parse().unwrap(),
                person("arn:aws:sts::1:assumed-role/*/luis", "U0LUIS"),
            ),
            // Who is let in by any ARN is not meant by any word.
            ("all".parse().unwrap(), person("*", "U0ALL")),
        ]);
        let pusher = Pusher {
            annotation: "com.example.author".to_owned(),
        };
        let (ana, luis) = ("ana".parse().unwrap(), "luis".parse().unwrap());
        for (claim, expected) in [
            (Some("ana"), Pushed::By(&ana)),
            (Some(" ana\n"), Pushed::By(&ana)),
            (Some("U0LUIS"), Pushed::By(&luis)),
            (Some("arn:aws:iam::1:user/ana"), Pushed::By(&ana)),
            (Some("arn:aws:sts::1:assumed-role/ci/luis"), Pushed::By(&luis)),
            (Some("Ana"), Pushed::ByStranger("Ana")),
            (Some("slack:T0/U0ANA"), Pushed::ByStranger("slack:T0/U0ANA")),
            (Some("dependabot"), Pushed::ByStranger("dependabot")),
            (Some(" "), Pushed::Unsaid),
            (None, Pushed::Unsaid),
        ] {
            let said = claim.map(|claim| ("com.example.author".to_owned(), claim.to_owned()));
            let other = [("com.example.committer".to_owned(), "luis".to_owned())];
            let said = said.into_iter().chain(other).collect();
            assert_eq!(pusher.of(&people, &said), expected, "{claim:?}");
        }
    }
}
