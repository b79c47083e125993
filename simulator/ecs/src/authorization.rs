//! What a caller must be allowed to do, following the "Service Authorization Reference" for Amazon ECS.

use serde_json::Value;
use simulator_kernel::{Authorization, Kernel, Request};

use crate::Ecs;
use crate::input::{list, short_name, text, texts};

const TASKS_PRINCIPAL: &str = "ecs-tasks.amazonaws.com";
/// Who assumes the roles of lifecycle hooks.
const HOOKS_PRINCIPAL: &str = "ecs.amazonaws.com";

impl Ecs {
    /// The permissions of one request. Operations on several resources need each of them.
    pub(crate) fn required_permissions(&self, request: &Request, kernel: &Kernel) -> Vec<Authorization> {
        let scope = Scope {
            ecs: self,
            request,
            kernel,
        };
        match request.operation.as_str() {
            "CreateCluster" => scope.creation("*".to_owned(), "cluster", text(&request.input, "clusterName")),
            "DescribeClusters" => scope.each("clusters", |name| scope.arn("cluster", short_name(name))),
            "ListClusters" => vec![scope.on("*")],
            "DeleteCluster" => vec![scope.on(scope.arn("cluster", short_name(scope.member("cluster"))))],
            "RegisterTaskDefinition" => scope.register_task_definition(),
            "DescribeTaskDefinition"
            | "DeregisterTaskDefinition"
            | "ListTaskDefinitions"
            | "ListTaskDefinitionFamilies" => vec![scope.on("*")],
            "TagResource" | "UntagResource" | "ListTagsForResource" => vec![scope.on(scope.member("resourceArn"))],
            "RunTask" => scope.run_task(),
            "DescribeTasks" => scope.in_cluster(scope.each("tasks", |task| scope.in_cluster_arn("task", task))),
            "StopTask" => {
                let task = scope.in_cluster_arn("task", scope.member("task"));
                scope.in_cluster(vec![scope.on(task)])
            }
            // Both know resource types that these requests do not name: the cluster is a condition only.
            "ListTasks" | "ListServices" => scope.in_cluster(vec![scope.on("*")]),
            "CreateService" => {
                let arn = scope.in_cluster_arn("service", scope.member("serviceName"));
                let mut needed = scope.in_cluster(vec![scope.on(arn.clone())]);
                needed.extend(scope.tagging(&arn));
                needed.extend(scope.hook_roles());
                needed
            }
            "UpdateService" => {
                let arn = scope.in_cluster_arn("service", scope.member("service"));
                let mut needed = scope.in_cluster(vec![scope.on(arn)]);
                needed.extend(scope.hook_roles());
                needed
            }
            "DeleteService" | "ListServiceDeployments" => {
                let arn = scope.in_cluster_arn("service", scope.member("service"));
                scope.in_cluster(vec![scope.on(arn)])
            }
            "DescribeServices" => {
                scope.in_cluster(scope.each("services", |service| scope.in_cluster_arn("service", service)))
            }
            "DescribeServiceDeployments" => scope.each("serviceDeploymentArns", str::to_owned),
            "DescribeServiceRevisions" => scope.each("serviceRevisionArns", str::to_owned),
            "StopServiceDeployment" => vec![scope.on(scope.member("serviceDeploymentArn"))],
            _ => Vec::new(),
        }
    }
}

struct Scope<'a> {
    ecs: &'a Ecs,
    request: &'a Request,
    kernel: &'a Kernel,
}

impl Scope<'_> {
    fn member(&self, key: &str) -> &str {
        text(&self.request.input, key).unwrap_or_default()
    }

    fn arn(&self, kind: &str, path: &str) -> String {
        self.kernel.arn("ecs", &format!("{kind}/{path}"))
    }

    fn cluster_arn(&self) -> String {
        self.arn("cluster", Ecs::cluster_name(&self.request.input))
    }

    /// The ARN of a task or service that is named by id, name or ARN.
    fn in_cluster_arn(&self, kind: &str, reference: &str) -> String {
        if reference.starts_with("arn:") {
            return reference.to_owned();
        }
        self.arn(kind, &format!("{}/{reference}", Ecs::cluster_name(&self.request.input)))
    }

    fn on(&self, resource: impl Into<String>) -> Authorization {
        Authorization::new(format!("ecs:{}", self.request.operation), resource)
    }

    fn each(&self, key: &str, arn: impl Fn(&str) -> String) -> Vec<Authorization> {
        texts(&self.request.input, key)
            .into_iter()
            .map(|reference| self.on(arn(reference)))
            .collect()
    }

    fn in_cluster(&self, needed: Vec<Authorization>) -> Vec<Authorization> {
        let cluster = self.cluster_arn();
        needed
            .into_iter()
            .map(|authorization| authorization.with("ecs:cluster", &cluster))
            .collect()
    }

    /// Creating with tags needs the right to tag what is created.
    fn tagging(&self, arn: &str) -> Option<Authorization> {
        let tags = list(&self.request.input, "tags");
        let first = Authorization::new("ecs:TagResource", arn).with("ecs:CreateAction", &self.request.operation);
        (!tags.is_empty()).then(|| with_tags(first, tags))
    }

    fn creation(&self, resource: String, kind: &str, name: Option<&str>) -> Vec<Authorization> {
        let mut needed = vec![self.on(resource)];
        needed.extend(self.tagging(&self.arn(kind, name.unwrap_or("default"))));
        needed
    }

    fn register_task_definition(&self) -> Vec<Authorization> {
        let input = &self.request.input;
        let arn = self.arn("task-definition", &format!("{}:*", self.member("family")));
        let mut needed = vec![with_tags(self.on(arn.clone()), list(input, "tags"))];
        needed.extend(self.tagging(&arn));
        needed.extend(
            ["taskRoleArn", "executionRoleArn"]
                .iter()
                .filter_map(|key| text(input, key))
                .map(|role| pass_role(role, TASKS_PRINCIPAL)),
        );
        needed
    }

    /// The roles by which ECS is to invoke the lifecycle hooks that the request names.
    fn hook_roles(&self) -> Vec<Authorization> {
        let configuration = self
            .request
            .input
            .get("deploymentConfiguration")
            .unwrap_or(&Value::Null);
        let hooks = list(configuration, "lifecycleHooks").iter();
        hooks
            .filter_map(|hook| text(hook, "roleArn"))
            .map(|role| pass_role(role, HOOKS_PRINCIPAL))
            .collect()
    }

    /// A bare family is resolved to its latest revision before the permission is checked.
    fn run_task(&self) -> Vec<Authorization> {
        let input = &self.request.input;
        let named = self.member("taskDefinition");
        let definition = self.ecs.task_definitions.find(named);
        let arn = definition.map_or_else(
            || {
                if named.starts_with("arn:") {
                    named.to_owned()
                } else {
                    self.arn("task-definition", named)
                }
            },
            |definition| definition.arn.clone(),
        );
        let mut needed = self.in_cluster(vec![with_tags(self.on(arn), list(input, "tags"))]);
        let new_tasks = self.arn("task", &format!("{}/*", Ecs::cluster_name(input)));
        needed.extend(self.tagging(&new_tasks));
        let overrides = input.get("overrides").unwrap_or(&Value::Null);
        let content = definition.map_or(&Value::Null, |definition| &definition.content);
        let roles = ["taskRoleArn", "executionRoleArn"];
        needed.extend(
            roles
                .iter()
                .filter_map(|key| text(overrides, key).or_else(|| text(content, key)))
                .map(|role| pass_role(role, TASKS_PRINCIPAL)),
        );
        needed
    }
}

fn pass_role(role: &str, principal: &str) -> Authorization {
    Authorization::new("iam:PassRole", role).with("iam:PassedToService", principal)
}

fn with_tags(authorization: Authorization, tags: &[Value]) -> Authorization {
    tags.iter().fold(authorization, |authorization, tag| {
        let (key, value) = (
            text(tag, "key").unwrap_or_default(),
            text(tag, "value").unwrap_or_default(),
        );
        authorization
            .with("aws:TagKeys", key)
            .with(format!("aws:RequestTag/{key}"), value)
    })
}
