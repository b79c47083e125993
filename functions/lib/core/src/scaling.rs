//! How a service scales by itself: what the environment declares, against what is registered with Application Auto
//! Scaling.
//!
//! Bounds and policies are settings of the environment and no part of a release: a way back leaves them as they are.

use serde::{Deserialize, Serialize};

use crate::pipeline::Scaling;
use crate::task_definition::{Change, ChangeKind};

/// What a policy keeps a service at. The order is that of the policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tracked {
    /// The average CPU utilization.
    Cpu,
    /// The average memory utilization.
    Memory,
}

impl Tracked {
    /// The metric in the API of Application Auto Scaling.
    #[must_use]
    pub const fn predefined_metric(self) -> &'static str {
        match self {
            Self::Cpu => "ECSServiceAverageCPUUtilization",
            Self::Memory => "ECSServiceAverageMemoryUtilization",
        }
    }

    /// The name of our policy: one of a service for each metric, always the same.
    #[must_use]
    pub const fn policy_name(self) -> &'static str {
        match self {
            Self::Cpu => "esclusa-cpu",
            Self::Memory => "esclusa-memory",
        }
    }

    const fn field(self) -> &'static str {
        match self {
            Self::Cpu => "cpu_percent",
            Self::Memory => "memory_percent",
        }
    }
}

/// What Application Auto Scaling has of a service.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ScalingFacts {
    /// The bounds; none where the service is not registered.
    pub bounds: Option<Bounds>,
    /// The target-tracking policies.
    pub policies: Vec<PolicyFacts>,
    /// What is suspended of it.
    pub suspended: Suspended,
}

/// What of the scaling of a service is suspended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Suspended {
    /// That a policy scales in.
    pub scale_in: bool,
    /// That a policy scales out.
    pub scale_out: bool,
    /// That a schedule scales.
    pub scheduled: bool,
}

impl Suspended {
    /// Everything.
    pub const ALL: Self = Self {
        scale_in: true,
        scale_out: true,
        scheduled: true,
    };
}

/// What has to be restored after a deployment that suspends the scaling of a service: what `live` shows, or what was
/// `held` by one that has not restored it. Nothing where somebody else has suspended everything: then that is how it
/// stays.
#[must_use]
pub fn before_suspension(live: &ScalingFacts, held: Option<Suspended>) -> Option<Suspended> {
    held.or(Some(live.suspended).filter(|suspended| *suspended != Suspended::ALL))
}

/// Whether it takes a call to restore what was `before`. What somebody else has made of it since is left alone.
#[must_use]
pub fn is_to_be_restored(live: &ScalingFacts, before: Suspended) -> bool {
    live.bounds.is_some() && live.suspended == Suspended::ALL && before != Suspended::ALL
}

/// Between how many tasks a service scales.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bounds {
    /// The fewest.
    pub min: u32,
    /// The most.
    pub max: u32,
}

/// A target-tracking policy that is there.
#[derive(Debug, Clone, PartialEq)]
pub struct PolicyFacts {
    /// Its name.
    pub name: String,
    /// The predefined metric that it tracks, where it is one.
    pub metric: Option<String>,
    /// What it keeps the metric at.
    pub target_value: f64,
}

/// The policy that a service shall have for one metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// What it tracks.
    pub tracked: Tracked,
    /// What it keeps that at.
    pub percent: u32,
}

/// How a service shall scale, and what is other than that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedScaling {
    /// Between how many tasks.
    pub bounds: Bounds,
    /// The policies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<Policy>,
    /// Whether it does not scale while the service is deployed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suspend: bool,
    /// What is registered otherwise when the plan is made, fit to be shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
}

/// One call that makes what is registered what it shall be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScalingAct {
    /// `RegisterScalableTarget`.
    Register(Bounds),
    /// `PutScalingPolicy`.
    Put(Policy),
}

impl PlannedScaling {
    /// What a pipeline declares, with what is other than that.
    #[must_use]
    pub fn new(declared: &Scaling, live: &ScalingFacts) -> Self {
        let policies = [
            (Tracked::Cpu, declared.cpu_percent),
            (Tracked::Memory, declared.memory_percent),
        ];
        let mut planned = Self {
            bounds: Bounds {
                min: declared.min,
                max: declared.max,
            },
            policies: policies
                .into_iter()
                .filter_map(|(tracked, percent)| {
                    Some(Policy {
                        tracked,
                        percent: percent?,
                    })
                })
                .collect(),
            suspend: declared.suspend,
            changes: Vec::new(),
        };
        planned.changes = planned.changes_from(live);
        planned
    }

    /// Everything that may have to be called, in this order: a policy can only be put where the service is registered.
    pub fn acts(&self) -> impl Iterator<Item = ScalingAct> + '_ {
        let policies = self.policies.iter().copied().map(ScalingAct::Put);
        std::iter::once(ScalingAct::Register(self.bounds)).chain(policies)
    }

    fn changes_from(&self, live: &ScalingFacts) -> Vec<Change> {
        let mut changes = Vec::new();
        let before = live.bounds;
        for (field, before, after) in [
            ("min", before.map(|bounds| bounds.min), self.bounds.min),
            ("max", before.map(|bounds| bounds.max), self.bounds.max),
        ] {
            changes.extend(change(
                field,
                before.map(|before| before.to_string()),
                after.to_string(),
            ));
        }
        for policy in &self.policies {
            let before = policy.tracking(live).map(|policy| policy.target_value.to_string());
            changes.extend(change(policy.tracked.field(), before, policy.percent.to_string()));
        }
        changes
    }
}

impl ScalingAct {
    /// Whether what is registered is what the call would make of it.
    #[must_use]
    pub fn is_done(&self, live: &ScalingFacts) -> bool {
        match self {
            Self::Register(bounds) => live.bounds == Some(*bounds),
            Self::Put(policy) => policy.tracking(live).is_some_and(|live| policy.is_what(live)),
        }
    }
}

impl Policy {
    /// The policy that tracks the same metric, whoever put it: Application Auto Scaling takes only one.
    fn tracking<'a>(&self, live: &'a ScalingFacts) -> Option<&'a PolicyFacts> {
        let metric = self.tracked.predefined_metric();
        live.policies
            .iter()
            .find(|policy| policy.metric.as_deref() == Some(metric))
    }

    fn is_what(&self, live: &PolicyFacts) -> bool {
        (live.target_value - f64::from(self.percent)).abs() < f64::EPSILON
    }

    /// The policy of somebody else that stands where this one should, with another target: the call would be refused.
    #[must_use]
    pub fn kept_out_by<'a>(&self, live: &'a ScalingFacts) -> Option<&'a PolicyFacts> {
        self.tracking(live)
            .filter(|live| live.name != self.tracked.policy_name() && !self.is_what(live))
    }
}

/// Our policies for metrics that are not declared any more. They stay: taking one out takes away the scaling of whoever
/// counts on it.
pub fn undeclared<'a>(planned: &'a PlannedScaling, live: &'a ScalingFacts) -> impl Iterator<Item = &'a str> {
    let is_declared = |name: &str| {
        planned
            .policies
            .iter()
            .any(|policy| policy.tracked.policy_name() == name)
    };
    let names = live.policies.iter().map(|policy| policy.name.as_str());
    let ours = [Tracked::Cpu, Tracked::Memory].map(Tracked::policy_name);
    names.filter(move |name| ours.contains(name) && !is_declared(name))
}

/// How Application Auto Scaling names a service of ECS.
#[must_use]
pub fn resource_id(cluster: &str, service: &str) -> String {
    format!("service/{cluster}/{service}")
}

fn change(field: &str, before: Option<String>, after: String) -> Option<Change> {
    (before.as_ref() != Some(&after)).then(|| Change {
        path: format!("scaling.{field}"),
        kind: if before.is_some() {
            ChangeKind::Changed
        } else {
            ChangeKind::Added
        },
        before,
        after: Some(after),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared(min: u32, max: u32, cpu_percent: Option<u32>, memory_percent: Option<u32>) -> Scaling {
        Scaling {
            min,
            max,
            cpu_percent,
            memory_percent,
            suspend: false,
        }
    }

    fn policy(name: &str, tracked: Tracked, target_value: f64) -> PolicyFacts {
        PolicyFacts {
            name: name.to_owned(),
            metric: Some(tracked.predefined_metric().to_owned()),
            target_value,
        }
    }

    fn due(planned: &PlannedScaling, live: &ScalingFacts) -> Vec<ScalingAct> {
        planned.acts().filter(|act| !act.is_done(live)).collect()
    }

    fn told(planned: &PlannedScaling) -> Vec<String> {
        let told = planned.changes.iter().map(|change| {
            let before = change.before.as_deref().unwrap_or("nothing");
            format!(
                "{}: {before} → {}",
                change.path,
                change.after.as_deref().unwrap_or_default()
            )
        });
        told.collect()
    }

    #[test]
    fn only_what_differs_is_put_and_shown() {
        let live = ScalingFacts {
            bounds: Some(Bounds { min: 1, max: 4 }),
            policies: vec![policy("esclusa-cpu", Tracked::Cpu, 70.0)],
            // Suspended or not is no difference of what is declared.
            suspended: Suspended::ALL,
        };
        let planned = PlannedScaling::new(&declared(3, 10, Some(70), Some(60)), &live);
        assert_eq!(
            due(&planned, &live),
            [
                ScalingAct::Register(Bounds { min: 3, max: 10 }),
                ScalingAct::Put(Policy {
                    tracked: Tracked::Memory,
                    percent: 60
                }),
            ]
        );
        assert_eq!(
            told(&planned),
            [
                "scaling.min: 1 → 3",
                "scaling.max: 4 → 10",
                "scaling.memory_percent: nothing → 60"
            ]
        );
        let same = PlannedScaling::new(&declared(1, 4, Some(70), None), &live);
        assert_eq!((due(&same, &live), told(&same)), (vec![], vec![]));
    }

    #[test]
    fn a_service_that_is_not_registered_is_registered_before_its_policies() {
        let planned = PlannedScaling::new(&declared(2, 3, Some(70), None), &ScalingFacts::default());
        let [ScalingAct::Register(_), ScalingAct::Put(_)] = due(&planned, &ScalingFacts::default())[..] else {
            panic!("{planned:?}");
        };
    }

    #[test]
    fn a_policy_of_somebody_else_counts_where_it_does_the_same_and_is_in_the_way_otherwise() {
        let live = |target| ScalingFacts {
            bounds: Some(Bounds { min: 1, max: 2 }),
            policies: vec![policy("by-terraform", Tracked::Cpu, target)],
            suspended: Suspended::default(),
        };
        let planned = |live: &ScalingFacts| PlannedScaling::new(&declared(1, 2, Some(70), None), live);
        let same = live(70.0);
        assert_eq!(due(&planned(&same), &same), []);
        assert_eq!(planned(&same).policies[0].kept_out_by(&same), None);
        let other = live(50.0);
        let in_the_way = planned(&other).policies[0].kept_out_by(&other).cloned();
        assert_eq!(in_the_way.unwrap().name, "by-terraform");
    }

    #[test]
    fn what_is_not_declared_any_more_is_told() {
        let live = ScalingFacts {
            bounds: Some(Bounds { min: 1, max: 2 }),
            policies: vec![
                policy("esclusa-cpu", Tracked::Cpu, 70.0),
                policy("esclusa-memory", Tracked::Memory, 60.0),
                policy("by-hand", Tracked::Memory, 60.0),
            ],
            suspended: Suspended::default(),
        };
        let planned = PlannedScaling::new(&declared(1, 2, Some(70), None), &live);
        assert_eq!(undeclared(&planned, &live).collect::<Vec<_>>(), ["esclusa-memory"]);
    }

    #[test]
    fn what_was_suspended_before_is_restored_whoever_comes_after_and_what_somebody_else_did_stays() {
        let live = |suspended| ScalingFacts {
            bounds: Some(Bounds { min: 1, max: 2 }),
            suspended,
            ..ScalingFacts::default()
        };
        let none = Suspended::default();
        let scheduled = Suspended {
            scheduled: true,
            ..none
        };
        for (shown, held, before) in [
            (none, None, Some(none)),
            (scheduled, None, Some(scheduled)),
            (Suspended::ALL, None, None),
            (Suspended::ALL, Some(scheduled), Some(scheduled)),
        ] {
            assert_eq!(before_suspension(&live(shown), held), before, "{shown:?} {held:?}");
        }
        for (shown, before, restores) in [
            (Suspended::ALL, none, true),
            (Suspended::ALL, scheduled, true),
            (scheduled, none, false),
            (none, none, false),
        ] {
            assert_eq!(
                is_to_be_restored(&live(shown), before),
                restores,
                "{shown:?} {before:?}"
            );
        }
        let gone = ScalingFacts {
            suspended: Suspended::ALL,
            ..ScalingFacts::default()
        };
        assert!(!is_to_be_restored(&gone, none));
    }
}
