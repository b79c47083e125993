//! The HTTP endpoints of simulated services: which host name leads where, and which running containers answer there.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::Activity;

/// The containers that answer at a host name: those of this name in the running tasks of an ECS service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Site {
    /// The name of the cluster.
    pub cluster: String,
    /// The name of the service.
    pub service: String,
    /// The name of the container in the task definition.
    pub container: String,
}

/// A container of a task that is `RUNNING`.
#[derive(Debug, Clone, PartialEq)]
pub struct Server {
    /// When its task became `RUNNING`.
    pub started_at: Timestamp,
    /// What it answers.
    pub activity: Activity,
}

/// The servers of one site.
#[derive(Debug, Clone, Default, PartialEq)]
struct Servers {
    by_task: BTreeMap<String, Server>,
    /// How many requests there were.
    requests: usize,
}

/// The sites of the account.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sites {
    /// By host name, such as `shop.example.com`: set by whoever builds a world.
    pub hosts: BTreeMap<String, Site>,
    servers: BTreeMap<Site, Servers>,
}

impl Sites {
    /// A container answers from now on. For ECS only.
    pub fn open(&mut self, site: Site, task_id: &str, server: impl FnOnce() -> Server) {
        let servers = self.servers.entry(site).or_default();
        servers.by_task.entry(task_id.to_owned()).or_insert_with(server);
    }

    /// A container does not answer any more. For ECS only.
    pub fn close(&mut self, site: &Site, task_id: &str) {
        if let Some(servers) = self.servers.get_mut(site) {
            servers.by_task.remove(task_id);
        }
    }

    /// The container whose turn it is to answer, if any runs.
    pub fn next_server(&mut self, site: &Site) -> Option<&Server> {
        let servers = self.servers.get_mut(site)?;
        let turn = servers.requests.checked_rem(servers.by_task.len())?;
        servers.requests = servers.requests.wrapping_add(1);
        servers.by_task.values().nth(turn)
    }
}
