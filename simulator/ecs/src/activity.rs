//! What containers do while their task is `RUNNING`, as their image scripts it.

use jiff::Timestamp;
use simulator_kernel::{Kernel, Metric, MetricScript, Sample};

use crate::containers::ContainerStatus;
use crate::tasks::{Task, TaskStatus};
use crate::{Ecs, Timer};

/// One line of a script, by its position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Script {
    Metric(usize),
    Log(usize),
}

/// The next moment of one script of one container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    container: usize,
    script: Script,
    /// How many have been before.
    count: u32,
}

impl Ecs {
    /// The task has reached `RUNNING`.
    pub(crate) fn begin_activity(&mut self, id: &str, kernel: &mut Kernel) {
        let Some(task) = self.tasks.get(id) else { return };
        let mut moments = Vec::new();
        for (container, of) in task.containers.iter().enumerate() {
            let is_own = |name: &Option<String>| name.as_ref().is_none_or(|name| *name == of.name);
            let metrics = of.activity.metrics.iter().enumerate();
            let metrics = metrics.filter(|(_, script)| is_own(&script.container));
            let lines = of.activity.log_every.iter().enumerate();
            let lines = lines.filter(|(_, script)| is_own(&script.container));
            let scripts = metrics
                .map(|(index, _)| Script::Metric(index))
                .chain(lines.map(|(index, _)| Script::Log(index)));
            moments.extend(scripts.map(|script| Moment {
                container,
                script,
                count: 0,
            }));
        }
        for moment in moments {
            self.await_moment(id, moment, kernel);
        }
    }

    fn await_moment(&mut self, id: &str, moment: Moment, kernel: &mut Kernel) {
        if let Some(at) = self.tasks.get(id).and_then(|task| task.time_of(moment)) {
            self.timers.set_at(at, Timer::Activity(id.to_owned(), moment), kernel);
        }
    }

    /// The moment has come. A task that does not run any more does nothing, and nothing follows.
    pub(crate) fn act(&mut self, id: &str, moment: Moment, kernel: &mut Kernel) {
        let Some(task) = self
            .tasks
            .get(id)
            .filter(|task| task.status == TaskStatus::Running && task.is_wanted())
        else {
            return;
        };
        let Some(container) = task
            .containers
            .get(moment.container)
            .filter(|container| container.status == ContainerStatus::Running)
        else {
            return;
        };
        match moment.script {
            Script::Metric(index) => {
                if let Some(script) = container.activity.metrics.get(index)
                    && let Some(metric) = task.metric(script)
                    && let Some(value) = script.value(moment.count)
                {
                    let at = kernel.now();
                    let count = 1.0;
                    kernel.metrics.put(&metric, Sample { at, value, count });
                }
            }
            Script::Log(index) => {
                if let Some(script) = container.activity.log_every.get(index) {
                    container.log(&script.text, kernel);
                }
            }
        }
        let next = Moment {
            count: moment.count.saturating_add(1),
            ..moment
        };
        self.await_moment(id, next, kernel);
    }
}

impl Task {
    fn time_of(&self, moment: Moment) -> Option<Timestamp> {
        let activity = &self.containers.get(moment.container)?.activity;
        let age = match moment.script {
            Script::Metric(index) => activity.metrics.get(index)?.moment(moment.count)?,
            Script::Log(index) => activity.log_every.get(index)?.moment(moment.count)?,
        };
        self.moments.started?.checked_add(age).ok()
    }

    /// The metric that a script of this task means.
    fn metric(&self, script: &MetricScript) -> Option<Metric> {
        let service = self
            .membership
            .as_ref()
            .map(|membership| membership.service.name.as_str());
        let dimensions = script.dimensions.iter().map(|(name, value)| {
            let value = value.replace("${cluster}", &self.cluster);
            let value = match service {
                Some(service) => value.replace("${service}", service),
                None => Some(value).filter(|value| !value.contains("${service}"))?,
            };
            Some((name.clone(), value))
        });
        Some(Metric {
            namespace: script.namespace.clone(),
            name: script.name.clone(),
            dimensions: dimensions.collect::<Option<_>>()?,
        })
    }
}
