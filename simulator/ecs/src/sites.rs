//! Running containers at the sites of their services.

use simulator_kernel::{Kernel, Server, Site};

use crate::containers::ContainerStatus;
use crate::tasks::{Task, TaskStatus};

impl Task {
    /// Lets its containers answer while it runs.
    pub(crate) fn tell_sites(&self, kernel: &mut Kernel) {
        let (Some(membership), Some(started_at)) = (&self.membership, self.moments.started) else {
            return;
        };
        let is_running = self.status == TaskStatus::Running && self.is_wanted();
        for container in &self.containers {
            let site = Site {
                cluster: membership.service.cluster.clone(),
                service: membership.service.name.clone(),
                container: container.name.clone(),
            };
            if is_running && container.status == ContainerStatus::Running {
                kernel.sites.open(site, &self.id, || Server {
                    started_at,
                    activity: container.activity.clone(),
                });
            } else {
                kernel.sites.close(&site, &self.id);
            }
        }
    }
}
