//! Texts that become names, ids, versions, patterns and kinds: from the command line, from events, from the registry
//! and from the tables.

use std::cmp::Ordering;
use std::fmt::{Debug, Display};
use std::str::FromStr;
use std::sync::LazyLock;

use esclusa_core::error::{ErrorKind, Failure};
use esclusa_core::identity::{DeploymentId, ReleaseId};
use esclusa_core::ledger::RecordKind;
use esclusa_core::migration::{intent_of, started_by};
use esclusa_core::pipeline::{
    AccountId, ApplicationName, ChannelId, Digest, EnvironmentName, InvalidName, MemberId, Name, Newest, Region,
    RepositoryName, Tag, TagPolicy,
};
use esclusa_core::protocol::Attempt;
use esclusa_core::tags::{Candidate, TagDecision, TagRules, compare_age, version_of};
use esclusa_core::version::Version;
use jiff::Timestamp;
use regex_lite::Regex;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::assert_one_line;

/// Every line of the input is a text; each is held against every form, alone and together with the next two.
pub(super) fn check(input: &[u8]) {
    let Ok(input) = std::str::from_utf8(input) else { return };
    let lines: Vec<&str> = input.split('\n').take(6).collect();
    // What is one line here may be several elsewhere.
    for text in lines.iter().copied().chain([input]) {
        names(text);
        ids(text);
        kinds(text);
        mark(text);
        attempt(text);
    }
    for window in lines.windows(2) {
        if let [one, other] = window {
            pattern(one, other);
            order_of_attempts(one, other);
        }
    }
    for window in lines.windows(3) {
        if let [one, other, third] = window {
            ages([one, other, third]);
        }
    }
}

/// A name matches the pattern that the schema shows for it.
fn names(text: &str) {
    macro_rules! checked {
        ($($name:ident: $length:expr),*) => {$({
            static PATTERN: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new($name::PATTERN).ok());
            let matches = PATTERN.as_ref().is_some_and(|pattern| pattern.is_match(text));
            let is_valid = read_back::<$name, InvalidName>(text);
            assert_eq!(is_valid, matches && $length.contains(&text.len()), "{} and its pattern disagree: {text:?}", stringify!($name));
        })*};
    }
    checked!(
        ApplicationName: (1..=32), EnvironmentName: (1..=20), Name: (1..=40), Digest: (71..=71), Tag: (1..=128),
        RepositoryName: (2..=256), AccountId: (12..=12), Region: (0..=usize::MAX), MemberId: (3..=63), ChannelId: (3..=31)
    );
    let is_version = read_back::<Version, _>(text);
    assert_eq!(
        is_version,
        text.parse::<Tag>().is_ok() || text.parse::<Digest>().is_ok()
    );
}

/// What is read is written as it was given, in text and in JSON; what is refused is shown on one line.
fn read_back<T, E>(text: &str) -> bool
where
    T: FromStr<Err = E> + Display + Debug + PartialEq + Serialize + DeserializeOwned,
    E: Display,
{
    let json = serde_json::Value::from(text);
    match text.parse::<T>() {
        Ok(read) => {
            assert_eq!(read.to_string(), text);
            assert_eq!(serde_json::to_value(&read).ok().as_ref(), Some(&json));
            assert_eq!(serde_json::from_value::<T>(json).ok().as_ref(), Some(&read));
            true
        }
        Err(error) => {
            assert_one_line(&error.to_string());
            assert!(
                serde_json::from_value::<T>(json).is_err(),
                "JSON takes {text:?}, the text does not"
            );
            false
        }
    }
}

fn ids(text: &str) {
    if read_back::<ReleaseId, _>(text)
        && let Ok(id) = text.parse::<ReleaseId>()
    {
        assert!(id.application().parse::<ApplicationName>().is_ok());
        for (environment, attempt) in [("production", 1), ("eu-west-2", 99), ("a", 10)] {
            let Ok(environment) = environment.parse::<EnvironmentName>() else {
                continue;
            };
            let deployment = DeploymentId::new(id.clone(), environment, attempt);
            let again = deployment
                .as_ref()
                .ok()
                .and_then(|deployment| deployment.as_str().parse().ok());
            assert_eq!(again, deployment.ok(), "an id of {text:?} is not read again");
        }
    }
    if read_back::<DeploymentId, _>(text)
        && let Ok(id) = text.parse::<DeploymentId>()
    {
        let again = DeploymentId::new(id.release_id().clone(), id.environment().clone(), id.attempt());
        assert_eq!(again.ok(), Some(id));
        assert!(
            text.len() <= 80,
            "Step Functions takes no name of {} characters",
            text.len()
        );
    }
}

fn kinds(text: &str) {
    read_back::<ErrorKind, Failure>(text);
    read_back::<RecordKind, Failure>(text);
}

fn mark(text: &str) {
    assert_eq!(intent_of(&started_by(text)), Some(text).filter(|text| !text.is_empty()));
    assert!(intent_of(text).is_none_or(|id| started_by(id) == text));
}

fn attempt(text: &str) {
    match text.parse::<Attempt>() {
        Ok(attempt) => assert_eq!(attempt.to_string().parse().as_ref(), Ok(&attempt)),
        Err(failure) => assert_one_line(&failure.to_string()),
    }
}

/// The text of attempts sorts as they do: since the year 0 and up to a million retries, which Step Functions does not
/// make.
fn order_of_attempts(one: &str, other: &str) {
    let read = |text: &str| {
        text.parse::<Attempt>()
            .ok()
            .filter(|attempt| attempt.retry_count < 1_000_000)
    };
    let (Some(one), Some(other)) = (read(one), read(other)) else {
        return;
    };
    if [one, other]
        .iter()
        .all(|attempt| attempt.to_string().starts_with(|first: char| first.is_ascii_digit()))
    {
        assert_eq!(one.cmp(&other), one.to_string().cmp(&other.to_string()));
    }
}

/// A pattern that is accepted decides about every tag as its grammar says, and what is denied stays denied.
fn pattern(pattern: &str, tag: &str) {
    let rules = |allow: &str, deny: &[&str]| {
        TagRules::new(&TagPolicy {
            allow: vec![allow.to_owned()],
            deny: deny.iter().map(|text| (*text).to_owned()).collect(),
        })
    };
    let only = match (TagRules::check_pattern(pattern), rules(pattern, &[])) {
        (Ok(()), Ok(only)) => only,
        (Err(error), Err(same)) => {
            assert_eq!(error, same);
            return assert_one_line(&error.to_string());
        }
        (checked, _) => panic!("{pattern:?} is checked as {checked:?} and read otherwise"),
    };
    let Ok(tag) = tag.parse::<Tag>() else { return };
    let decision = only.decide(&tag);
    assert_one_line(&decision.to_string());
    let is_attestation = tag.as_str().starts_with("sha256-");
    if !pattern.starts_with("semver:") {
        let matches = glob(pattern.as_bytes(), tag.as_str().as_bytes());
        assert_eq!(
            decision.is_allowed(),
            matches && !is_attestation,
            "{pattern:?} and {tag}: {decision}"
        );
    } else if decision.is_allowed() {
        assert!(version_of(&tag).is_some(), "{tag} is no version");
    }
    let denied = rules("*", &[pattern]).map(|rules| rules.decide(&tag));
    match denied {
        Ok(TagDecision::Allowed { .. }) => assert!(!decision.is_allowed() && !is_attestation),
        Ok(TagDecision::Denied { .. }) => assert!(decision.is_allowed() || is_attestation),
        other => panic!("{other:?}"),
    }
}

/// `*` stands for any text, `?` for one character, everything else for itself.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let mut reached = vec![true];
    reached.resize(text.len() + 1, false);
    for each in pattern {
        let mut next = vec![false; text.len() + 1];
        let mut any = false;
        for (position, (was, now)) in reached.iter().zip(next.iter_mut()).enumerate() {
            any |= *was;
            let before = position.checked_sub(1);
            let is_step = before.is_some_and(|before| {
                reached.get(before) == Some(&true) && (*each == b'?' || text.get(before) == Some(each))
            });
            *now = if *each == b'*' { any } else { is_step };
        }
        reached = next;
    }
    reached.last() == Some(&true)
}

/// The age of pushes is an order: the same both ways, and without circles.
fn ages(tags: [&str; 3]) {
    let tags: Vec<Tag> = tags.iter().filter_map(|tag| tag.parse().ok()).collect();
    let candidates: Vec<Candidate<'_>> = tags
        .iter()
        .enumerate()
        .map(|(position, tag)| Candidate {
            tag,
            generation: position as u64 + 1,
            pushed_at: Timestamp::from_second(i64::from(tag.as_str().len() % 2 == 0)).unwrap_or_default(),
        })
        .collect();
    for newest in [Newest::Push, Newest::Version] {
        let age = |one, other| compare_age(newest, one, other);
        for one in &candidates {
            assert_eq!(age(one, one), Ordering::Equal);
            for other in &candidates {
                assert_eq!(age(one, other), age(other, one).reverse());
                for third in &candidates {
                    let is_chain = age(one, other).is_lt() && age(other, third).is_lt();
                    assert!(!is_chain || age(one, third).is_lt(), "{one:?} {other:?} {third:?}");
                }
            }
        }
    }
}
