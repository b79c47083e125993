//! Environments that are made from a pattern by their names: short-lived ones that share everything the file says.

use std::borrow::Cow;

use wildmatch::WildMatch;

use super::model::{Environment, Pipeline, TagPolicy};
use super::names::{EnvironmentName, Tag};

/// How the tags of a pattern say which environment they mean.
pub(super) const NAME: &str = "${environment}";

impl Environment {
    /// Whether environments are made from it by their names, and it is none itself.
    #[must_use]
    pub fn is_pattern(&self) -> bool {
        !self.names.is_empty()
    }

    /// Whether an environment of this name is made from it.
    fn makes(&self, name: &str) -> bool {
        self.names.iter().any(|glob| WildMatch::new(glob).matches(name))
    }

    /// The environment of this name, made from it.
    pub(super) fn made(&self, name: EnvironmentName) -> Self {
        let filled = |patterns: &[String]| -> Vec<String> {
            let filled = patterns.iter().map(|pattern| pattern.replace(NAME, name.as_str()));
            filled.collect()
        };
        Self {
            tags: TagPolicy {
                allow: filled(&self.tags.allow),
                deny: filled(&self.tags.deny),
            },
            names: Vec::new(),
            name,
            ..self.clone()
        }
    }

    /// The name of the environment that a tag means: of all parts of the tag that stand where `${environment}` does in
    /// a pattern of `tags.allow` and are the name of such an environment, the shortest.
    fn named_by(&self, tag: &Tag) -> Option<EnvironmentName> {
        let splits = self.tags.allow.iter().filter_map(|pattern| pattern.split_once(NAME));
        let named = splits.filter_map(|(before, after)| {
            let (before, after) = (WildMatch::new(before), WildMatch::new(after));
            let ends = |from: usize| tag.as_str().get(from..).map_or(0, str::len);
            // A tag is ASCII: every index is the edge of a character.
            let starts = 0..tag.as_str().len();
            let parts = starts.flat_map(|from| (1..=ends(from)).map(move |length| (from, length)));
            let fitting = parts.filter_map(|(from, length)| {
                let (head, rest) = tag.as_str().split_at_checked(from)?;
                let (name, tail) = rest.split_at_checked(length)?;
                let fits = before.matches(head) && after.matches(tail) && self.makes(name);
                name.parse().ok().filter(|_| fits)
            });
            fitting.min_by_key(|name: &EnvironmentName| name.as_str().len())
        });
        named.min_by_key(|name| name.as_str().len())
    }
}

impl Pipeline {
    /// The environment of a name: one that the file names, or one that is made from a pattern of it.
    #[must_use]
    pub fn environment(&self, name: &str) -> Option<Cow<'_, Environment>> {
        let mut named = self.named();
        if let Some(environment) = named.find(|environment| environment.name.as_str() == name) {
            return Some(Cow::Borrowed(environment));
        }
        let parsed: EnvironmentName = name.parse().ok()?;
        let pattern = self.patterns().find(|pattern| pattern.makes(name))?;
        Some(Cow::Owned(pattern.made(parsed)))
    }

    /// The environments that the file names, in order.
    pub fn named(&self) -> impl Iterator<Item = &Environment> {
        self.environments.iter().filter(|environment| !environment.is_pattern())
    }

    /// Whether the file names an environment so.
    #[must_use]
    pub fn is_named(&self, name: &str) -> bool {
        self.named().any(|environment| environment.name.as_str() == name)
    }

    /// Names of all environments, in the order of the file: of those that are made from a pattern, the globs.
    #[must_use]
    pub fn environment_names(&self) -> Vec<&str> {
        let names = self.environments.iter().flat_map(|environment| {
            let own = (!environment.is_pattern()).then_some(environment.name.as_str());
            own.into_iter().chain(environment.names.iter().map(String::as_str))
        });
        names.collect()
    }

    /// What other environments are made from.
    pub fn patterns(&self) -> impl Iterator<Item = &Environment> {
        self.environments.iter().filter(|environment| environment.is_pattern())
    }

    /// The environments that a tag may mean, in the order of the file: every one that the file names, and of a pattern
    /// the one that the tag names.
    pub fn environments_of(&self, tag: &Tag) -> impl Iterator<Item = Cow<'_, Environment>> {
        self.environments.iter().filter_map(|environment| {
            if !environment.is_pattern() {
                return Some(Cow::Borrowed(environment));
            }
            let name = environment.named_by(tag)?;
            // What the file names is never made, and of several patterns the first one makes it.
            let first = self.patterns().find(|pattern| pattern.makes(name.as_str()));
            let is_made = !self.is_named(name.as_str()) && first.is_some_and(|first| first.name == environment.name);
            is_made.then(|| Cow::Owned(environment.made(name)))
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::pipeline::{parse, resolve};
    use crate::tags::environments_for;

    fn blog(environments: &str) -> String {
        format!(
            "version: 1\napplication: blog\nimages: {{app: {{repository: blog}}}}\n\
             task_definitions: {{web: {{family: \"blog-${{environment}}\", containers: {{web: {{image: app}}}}}}}}\n\
             services: {{web: {{service: blog, task_definition: web}}}}\nenvironments:\n{environments}"
        )
    }

    const PATTERN: &str = "  - {name: stage, trigger: push, cluster: stage, tags: {allow: [\"main-*\"]}}\n  \
                           - {name: app, names: [alpha, \"pr-*\"], trigger: push, cluster: \"blog-${environment}\", tags: {allow: [\"${environment}-*\"], deny: [\"*-wip\"]}}\n";

    fn going_to(tag: &str) -> Vec<String> {
        let pipeline = parse(&blog(PATTERN)).unwrap();
        environments_for(&pipeline, &tag.parse().unwrap())
            .unwrap()
            .unwrap_or_default()
    }

    #[test]
    fn the_tag_names_the_environment_by_the_shortest_name_that_fits() {
        assert_eq!(going_to("alpha-3f2a"), ["alpha"]);
        assert_eq!(going_to("pr-12-3f2a"), ["pr-12"]);
        assert_eq!(going_to("pr-1-2-3"), ["pr-1"]);
        assert_eq!(going_to("main-3f2a"), ["stage"]);
        assert!(going_to("beta-3f2a").is_empty(), "no such name");
        assert!(going_to("alpha").is_empty(), "the pattern wants a hyphen");
        assert!(going_to("alpha-wip").is_empty(), "it is denied");
    }

    #[test]
    fn an_environment_that_is_made_is_one_like_any_other_and_the_pattern_is_none() {
        let pipeline = parse(&blog(PATTERN)).unwrap();
        let made = resolve(&pipeline, "pr-12").unwrap();
        assert_eq!((made.name.as_str(), made.cluster.as_str()), ("pr-12", "blog-pr-12"));
        assert_eq!(made.tags.allow, ["pr-12-*"]);
        let family = made.task_definitions.values().next().unwrap().family.as_str();
        assert_eq!(family, "blog-pr-12");
        let none = resolve(&pipeline, "app").unwrap_err().to_string();
        assert!(
            none.contains("no environment `app`") && none.contains("`alpha`, `pr-*`"),
            "{none}"
        );
        assert!(resolve(&pipeline, "beta").is_err());
    }

    #[test]
    fn what_a_file_names_is_never_made() {
        let text = blog(&PATTERN.replace("names: [alpha,", "names: [\"*\","));
        let pipeline = parse(&text).unwrap();
        assert_eq!(resolve(&pipeline, "stage").unwrap().cluster, "stage");
        let tag = "stage-1".parse().unwrap();
        assert!(environments_for(&pipeline, &tag).unwrap().is_err());
    }

    #[test]
    fn of_several_patterns_the_first_one_makes_a_name() {
        let text = format!(
            "{PATTERN}  - {{name: any, names: [\"*\"], trigger: push, cluster: \"any-${{environment}}\", tags: {{allow: [\"${{environment}}-*\"]}}}}\n"
        );
        let pipeline = parse(&blog(&text.replace(
            "names: [alpha, \"pr-*\"], trigger: push",
            "names: [alpha], trigger: manual",
        )))
        .unwrap();
        let going = |tag: &str| environments_for(&pipeline, &tag.parse().unwrap()).unwrap();
        assert!(going("alpha-1").is_err(), "only a person brings something there");
        assert_eq!(going("beta-1").unwrap(), ["beta"]);
        assert_eq!(resolve(&pipeline, "alpha").unwrap().cluster, "blog-alpha");
    }

    fn refused(environments: &str) -> String {
        let errors = parse(&blog(environments)).unwrap_err();
        errors.to_string()
    }

    #[test]
    fn a_pattern_whose_environments_would_share_a_service_or_that_no_tag_can_name_is_refused() {
        let shared = refused(&PATTERN.replace("blog-${environment}\"", "blog\""));
        assert!(
            shared.contains("`web` would be the same service in every environment"),
            "{shared}"
        );
        let unnamed = refused(&PATTERN.replace("\"${environment}-*\"", "\"*\""));
        assert!(
            unnamed.contains("does not say which environment a tag means"),
            "{unnamed}"
        );
        let vague = refused(&PATTERN.replace("${environment}-*", "${environment}*"));
        assert!(vague.contains("a fixed character"), "{vague}");
        let fixed = refused(&PATTERN.replace("main-*", "${environment}-*"));
        assert!(fixed.contains("only a pattern"), "{fixed}");
        let name = refused(&PATTERN.replace("pr-*", "PR *"));
        assert!(name.contains("not the name of an environment"), "{name}");
    }
}
