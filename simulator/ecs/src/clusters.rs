//! Clusters.

use serde_json::{Value, json};
use simulator_kernel::{ApiError, Kernel};

use crate::Ecs;
use crate::input::{
    Answer, includes_tags, invalid_parameter, list, merge_tags, only, page, set, short_name, text, texts,
};
use crate::tasks::TaskStatus;

#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) arn: String,
    pub(crate) tags: Vec<Value>,
    settings: Value,
    capacity_providers: Value,
    default_capacity_provider_strategy: Value,
}

impl Cluster {
    /// The provider that tasks without a launch type run on, if the cluster has a default.
    pub(crate) fn default_capacity_provider(&self) -> Option<&str> {
        let items = self.default_capacity_provider_strategy.as_array()?;
        items.first().and_then(|item| text(item, "capacityProvider"))
    }
}

impl Ecs {
    /// The cluster that a request names, or `default`.
    pub(crate) fn cluster_name(input: &Value) -> &str {
        text(input, "cluster").map_or("default", short_name)
    }

    pub(crate) fn cluster(&self, input: &Value) -> Result<(String, &Cluster), ApiError> {
        let name = Self::cluster_name(input);
        let cluster = self.clusters.get(name);
        cluster
            .map(|cluster| (name.to_owned(), cluster))
            .ok_or_else(|| ApiError::client("ClusterNotFoundException", "Cluster not found."))
    }

    pub(crate) fn create_cluster(&mut self, input: &Value, kernel: &Kernel) -> Answer {
        let known = [
            "clusterName",
            "tags",
            "settings",
            "capacityProviders",
            "defaultCapacityProviderStrategy",
        ];
        only("CreateCluster", input, &known)?;
        let name = text(input, "clusterName").unwrap_or("default");
        if name.is_empty() || name.len() > 255 || !name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c)) {
            return Err(invalid_parameter("The cluster name is not valid."));
        }
        let mut tags = Vec::new();
        merge_tags(&mut tags, list(input, "tags"))?;
        let member = |key: &str| input.get(key).cloned().unwrap_or_else(|| json!([]));
        self.clusters.entry(name.to_owned()).or_insert_with(|| Cluster {
            arn: kernel.arn("ecs", &format!("cluster/{name}")),
            tags,
            settings: member("settings"),
            capacity_providers: member("capacityProviders"),
            default_capacity_provider_strategy: member("defaultCapacityProviderStrategy"),
        });
        Ok(json!({"cluster": self.describe_cluster(name, true)}))
    }

    pub(crate) fn describe_clusters(&self, input: &Value, kernel: &Kernel) -> Answer {
        only("DescribeClusters", input, &["clusters", "include"])?;
        let named = texts(input, "clusters");
        let names = if named.is_empty() { vec!["default"] } else { named };
        let mut clusters = Vec::new();
        let mut failures = Vec::new();
        for name in names.into_iter().map(short_name) {
            if self.clusters.contains_key(name) {
                clusters.push(self.describe_cluster(name, includes_tags(input)));
            } else {
                failures.push(json!({"arn": kernel.arn("ecs", &format!("cluster/{name}")), "reason": "MISSING"}));
            }
        }
        Ok(json!({"clusters": clusters, "failures": failures}))
    }

    pub(crate) fn list_clusters(&self, input: &Value) -> Answer {
        only("ListClusters", input, &["maxResults", "nextToken"])?;
        let arns: Vec<&str> = self.clusters.values().map(|cluster| cluster.arn.as_str()).collect();
        page("clusterArns", &arns, |arn| arn, |arn| json!(arn), input, 100)
    }

    pub(crate) fn delete_cluster(&mut self, input: &Value) -> Answer {
        only("DeleteCluster", input, &["cluster"])?;
        let (name, _) = self.cluster(input)?;
        if self
            .services
            .values()
            .any(|service| service.key.cluster == name && service.is_active())
        {
            let message = "The Cluster cannot be deleted while Services are active.";
            return Err(ApiError::client("ClusterContainsServicesException", message));
        }
        if self.tasks.values().any(|task| task.cluster == name && task.may_run()) {
            let message = "The Cluster cannot be deleted while Tasks are active.";
            return Err(ApiError::client("ClusterContainsTasksException", message));
        }
        let mut described = self.describe_cluster(&name, true);
        set(&mut described, "status", json!("INACTIVE"));
        self.clusters.remove(&name);
        Ok(json!({"cluster": described}))
    }

    fn describe_cluster(&self, name: &str, with_tags: bool) -> Value {
        let Some(cluster) = self.clusters.get(name) else {
            return Value::Null;
        };
        let tasks = || self.tasks.values().filter(|task| task.cluster == name);
        let services = self
            .services
            .values()
            .filter(|service| service.key.cluster == name && service.is_active());
        let mut described = json!({
            "clusterArn": cluster.arn,
            "clusterName": name,
            "status": "ACTIVE",
            "registeredContainerInstancesCount": 0,
            "runningTasksCount": tasks().filter(|task| task.status == TaskStatus::Running).count(),
            "pendingTasksCount": tasks().filter(|task| task.status < TaskStatus::Running).count(),
            "activeServicesCount": services.count(),
            "statistics": [],
            "tags": [],
            "settings": cluster.settings,
            "capacityProviders": cluster.capacity_providers,
            "defaultCapacityProviderStrategy": cluster.default_capacity_provider_strategy,
        });
        if with_tags {
            set(&mut described, "tags", json!(cluster.tags));
        }
        described
    }
}
