//! I4: migrations start once, and no code comes onto a schema that does not take it.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::Findings;
use crate::explorer::Shop;
use crate::explorer::seen::{Act, image_of, migrations};

impl Findings<'_> {
    pub(super) fn migrations_run_once(&mut self) {
        let tasks = migrations(self.shop);
        let mut found = Vec::new();
        let mut started: BTreeMap<(&str, &str, &str), u32> = BTreeMap::new();
        for task in tasks.values().filter(|task| task.started_at.is_some()) {
            let mut runs = self.acts.iter().filter(|act| act.operation == "RunTask");
            let act = runs.find(|act| act.started_by == task.started_by);
            let Some(Act {
                deployment_id, mode, ..
            }) = act
            else {
                found.push(format!("a migration was started by nobody: `{}`", task.started_by));
                continue;
            };
            let release = self.deployments.iter().find(|row| row.deployment_id == *deployment_id);
            // Once forward, and once back where it is taken back.
            let release = release.map(|row| (row.release_id.as_str(), row.environment.as_str(), mode.as_str()));
            let times = started.entry(release.unwrap_or_default()).or_default();
            *times += 1;
            if *times > 1 {
                found.push(format!("the migration of `{deployment_id}` is started again"));
            }
        }
        let mut spans: BTreeMap<&str, Vec<(Timestamp, Timestamp)>> = BTreeMap::new();
        for task in tasks.values() {
            if let Some(started_at) = task.started_at {
                let span = (started_at, task.stopped_at.unwrap_or(Timestamp::MAX));
                spans.entry(&task.cluster).or_default().push(span);
            }
        }
        for spans in spans.values_mut() {
            spans.sort_unstable();
            for pair in spans.windows(2) {
                if let [(_, end), (start, _)] = pair
                    && start < end
                {
                    found.push(format!(
                        "a migration starts at {start}, beside one that runs until {end}"
                    ));
                }
            }
        }
        for what in found {
            self.violated("I4", what);
        }
    }

    /// Walks through the acts: no service is brought to code that is older than what a migration before has left the
    /// schema for.
    pub(super) fn code_fits_its_schema(&mut self) {
        let tasks = migrations(self.shop);
        let mut found = Vec::new();
        // Of every place, what each deployment has left the schema for.
        let mut floors: BTreeMap<&(String, String), BTreeMap<&str, u64>> = BTreeMap::new();
        for act in self.acts.iter().filter(|act| act.place.0 == Shop::NAME) {
            let floors = floors.entry(&act.place).or_default();
            match act.operation.as_str() {
                "RunTask" => {
                    let task = tasks.values().find(|task| task.started_by == act.started_by);
                    let Some(task) = task.filter(|task| task.started_at.is_some()) else {
                        continue;
                    };
                    if act.mode == "way_back" {
                        if task.exit_code == Some(0) {
                            floors.remove(act.deployment_id.as_str());
                        }
                        continue;
                    }
                    let digest = image_of(self.shop, &act.task_definition);
                    floors.insert(&act.deployment_id, self.shop.versions_of(&digest).1);
                }
                "UpdateService" => {
                    let digest = image_of(self.shop, &act.task_definition);
                    let (version, _) = self.shop.versions_of(&digest);
                    let floor = floors.values().copied().max().unwrap_or_default();
                    if version < floor {
                        found.push(format!(
                            "`{}` brings a service to version {version} at {}, and the schema takes {floor} and later",
                            act.deployment_id, act.at
                        ));
                    }
                }
                _ => {}
            }
        }
        for what in found {
            self.violated("I4", what);
        }
    }
}
