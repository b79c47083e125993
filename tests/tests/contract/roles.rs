//! A role may do what its functions do, and nothing else: what the flows asked for against what the template allows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use simulator::kernel::Authorization;
use simulator::{CallOutcome, CallRecord, Principal, Template, TemplateSettings};

use crate::{flows, text};

/// Every permission that a role needed in the flows, each once.
#[derive(Default)]
struct Needs(BTreeMap<String, BTreeMap<String, Authorization>>);

/// What the roles at home and those of the other account needed.
struct Everywhere {
    home: Needs,
    there: Needs,
}

impl Needs {
    fn add(&mut self, calls: &[CallRecord], role_of: fn(&Principal) -> Option<&String>) {
        for call in calls {
            let Some(role) = role_of(&call.principal) else {
                continue;
            };
            if call.outcome == CallOutcome::NeverSent {
                continue;
            }
            for needed in &call.authorizations {
                let of_role = self.0.entry(role.clone()).or_default();
                of_role.entry(format!("{needed:?}")).or_insert_with(|| needed.clone());
            }
        }
    }

    fn of(&self, role: &str) -> impl Iterator<Item = &Authorization> {
        self.0.get(role).into_iter().flat_map(BTreeMap::values)
    }

    /// What the flows needed and the template does not allow, as `role: action`.
    fn missing(&self, template: &Template) -> BTreeSet<String> {
        let all = self
            .0
            .iter()
            .flat_map(|(role, needed)| needed.values().map(move |needed| (role, needed)));
        let refused = all.filter(
            |(
                role,
                Authorization {
                    action,
                    resource,
                    conditions,
                },
            )| { !template.allows(role, action, resource, conditions).is_allowed() },
        );
        refused
            .map(|(role, needed)| format!("{role}: {}", needed.action))
            .collect()
    }

    /// What the template allows and no flow needed, as `role: action on resource`.
    fn unused(&self, template: &Template) -> BTreeSet<String> {
        let grants = template.roles.values().flat_map(|role| {
            let grants = template.allowed_actions(&role.name).into_iter();
            grants.map(|grant| (role.name.as_str(), grant))
        });
        let unused = grants.filter(|(role, grant)| {
            // A policy that several roles share says what functions need, not what each of them does.
            let holders: Vec<&str> = match SHARED.iter().find(|policy| grant.by.contains(*policy)) {
                Some(_) => self.0.keys().map(String::as_str).collect(),
                None => vec![role],
            };
            !holders
                .iter()
                .flat_map(|role| self.of(role))
                .any(|needed| grant.covers(&needed.action, &needed.resource))
        });
        unused
            .map(|(role, grant)| format!("{role}: {} on {}", grant.action, grant.resource))
            .collect()
    }
}

/// The policies that several roles share: they say what functions or state machines need, not what each of them does.
const SHARED: [&str; 3] = ["FunctionPolicy", "StateMachinePolicy", "TablePolicy"];

/// What no flow can use, and why it stays: the beginning of the action, a part of the resource, the reason.
const EXCEPTIONS: [(&str, &str, &str); 7] = [
    (
        "logs:",
        "log-group:/esclusa/*",
        "Lambda writes the log of a function with the role of the function",
    ),
    (
        "logs:",
        "*",
        "Step Functions sets its log delivery up with the role of the state machine",
    ),
    (
        "xray:",
        "*",
        "Lambda and Step Functions write traces with the role of what they run",
    ),
    ("ecs:DescribeServiceDeployments", ":service/", TWO_TYPES),
    ("ecs:DescribeServiceRevisions", ":service/", TWO_TYPES),
    ("ecs:StopServiceDeployment", ":service/", TWO_TYPES),
    (
        "iam:PassRole",
        ":role/",
        "the roles are a parameter, and the lab's value is wider than what the flows deploy",
    ),
];

/// What a role has for what the simulated account does not take: services with Lambda lifecycle hooks, whose roles an
/// update passes.
const NOT_SIMULATED: (&str, &str) = ("update", "iam:PassRole");

const TWO_TYPES: &str = "IAM knows two types of resources for this action, and does not say which one it asks for";

fn is_excepted(unused: &str) -> bool {
    let (_, grant) = unused.split_once(": ").unwrap();
    EXCEPTIONS
        .iter()
        .any(|(action, resource, _)| grant.starts_with(action) && grant.contains(resource))
}

#[test]
fn every_role_may_do_what_its_flows_need() {
    assert_eq!(needs().missing(&template(&text())), BTreeSet::new());
}

/// That a role of another account has exactly the powers that its function has at home is for the template's own tests;
/// that every one of those is used, for those of this file.
#[test]
fn every_function_is_at_work_in_another_account_and_may_do_there_what_it_needs() {
    let needed = &everywhere().there;
    assert_eq!(needed.missing(&template_there()), BTreeSet::new());
    let functions = ["migrate", "observe", "register", "resume", "traffic", "update"];
    let mut expected: BTreeSet<String> = functions.map(|function| format!("esclusa-target-{function}")).into();
    expected.insert("esclusa-target-forward-eu-west-1".to_owned());
    assert_eq!(needed.0.keys().cloned().collect::<BTreeSet<_>>(), expected);
    let asked = needed.of("esclusa-target-observe").map(|needed| needed.action.as_str());
    assert!(asked.collect::<BTreeSet<_>>().contains("ecr:DescribeImages"));
}

#[test]
fn no_role_may_do_what_no_flow_needs() {
    let unused = needs().unused(&template(&text()));
    let (excepted, unused): (BTreeSet<&String>, BTreeSet<&String>) =
        unused.iter().partition(|grant| is_excepted(grant));
    assert_eq!(unused, BTreeSet::new());
    for (action, resource, reason) in EXCEPTIONS {
        let is_needed = excepted
            .iter()
            .any(|grant| grant.contains(action) && grant.contains(resource));
        assert!(is_needed, "nothing is excepted because {reason}");
    }
}

#[test]
fn an_action_that_is_taken_from_a_role_is_named_and_so_is_one_that_nobody_uses() {
    let real = text();
    let unused: BTreeSet<String> = needs().unused(&template(&real)).into_iter().collect();
    let mut checked = 0;
    for (role, before, block, after) in role_blocks(&real) {
        for action in actions(block) {
            if (role, action) == NOT_SIMULATED {
                continue;
            }
            let planted = block.replace(action, &format!("{action}Never"));
            let mutant = template(&format!("{before}{planted}{after}"));
            let name = format!("esclusa-{role}");
            // The whole verdict: this action is missing, and what stands in its place is new among the unused.
            assert_eq!(needs().missing(&mutant), BTreeSet::from([format!("{name}: {action}")]));
            let new: BTreeSet<String> = needs().unused(&mutant).difference(&unused).cloned().collect();
            let planted = format!("{name}: {action}Never on ");
            assert!(
                !new.is_empty() && new.iter().all(|grant| grant.starts_with(&planted)),
                "{new:?}"
            );
            checked += 1;
        }
    }
    assert!(checked > 40, "only {checked} actions were found in the template");
}

/// The functions' own roles in the text of the template: the name, what stands before the role, the role, what stands
/// behind it.
fn role_blocks(text: &str) -> Vec<(&'static str, &str, &str, &str)> {
    let functions = [
        "intake", "observe", "register", "migrate", "update", "traffic", "record", "resume", "notify", "console",
    ];
    let block = |name: &'static str| {
        let start = text.find(&format!("      RoleName: !Sub ${{AWS::StackName}}-{name}\n"));
        let (before, role) = text.split_at(start.unwrap());
        let (block, after) = role.split_at(role.find("\n\n").unwrap());
        (name, before, block, after)
    };
    functions.into_iter().map(block).collect()
}

/// The actions that statements name, each once.
fn actions(block: &str) -> BTreeSet<&str> {
    let listed = block.lines().filter_map(|line| line.trim().strip_prefix("- "));
    let single = block.lines().filter_map(|line| line.trim().strip_prefix("Action: "));
    let is_action = |word: &&str| {
        word.split_once(':').is_some_and(|(service, name)| {
            service.chars().all(|letter| letter.is_ascii_lowercase()) && name.chars().all(char::is_alphanumeric)
        })
    };
    listed
        .chain(single)
        .filter(is_action)
        .filter(|action| *action != "sts:AssumeRole")
        .collect()
}

/// What the roles at home needed in all flows.
fn needs() -> &'static Needs {
    &everywhere().home
}

fn everywhere() -> &'static Everywhere {
    static NEEDS: OnceLock<Everywhere> = OnceLock::new();
    NEEDS.get_or_init(|| {
        let (mut home, mut there) = (Needs::default(), Needs::default());
        let run = |flow: flows::Flow| flow().world().calls().to_vec();
        std::thread::scope(|scope| {
            let flows: Vec<_> = flows::ALL
                .into_iter()
                .map(|(name, flow)| (name, scope.spawn(move || run(flow))))
                .collect();
            for (name, flow) in flows {
                let calls = flow.join().expect(name);
                home.add(&calls, |principal| match principal {
                    Principal::Role(role) => Some(role),
                    _ => None,
                });
                there.add(&calls, |principal| match principal {
                    Principal::RoleOf { role, .. } => Some(role),
                    _ => None,
                });
            }
        });
        Everywhere { home, there }
    })
}

/// A template with the values that the lab gives its parameters.
fn template(text: &str) -> Template {
    let loaded = lab::Lab::beside(&simulator::Settings::default(), lab::Beside::Slack).unwrap();
    let loaded = loaded.world().template().unwrap();
    let simulator::Settings { account, region, .. } = simulator::Settings::default();
    let settings = TemplateSettings {
        account,
        region,
        stack: lab::DEPLOYER.to_owned(),
        parameters: loaded.parameters.clone(),
    };
    let connected = [
        ("TargetAccounts", "210987654321"),
        ("TargetExternalId", "known-to-both"),
    ];
    let connected = connected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let parameters = settings.parameters.into_iter().chain(connected).collect();
    Template::load(text, &TemplateSettings { parameters, ..settings }).unwrap()
}

/// The template of the other account with the values that the lab gives its parameters.
fn template_there() -> Template {
    let mut lab = lab::Lab::beside(&simulator::Settings::default(), lab::Beside::Account).unwrap();
    let place = lab::target::account();
    lab.world_mut().at(&place, |world| world.template().unwrap().clone())
}
