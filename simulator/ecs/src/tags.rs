//! Tags of resources.

use serde_json::{Value, json};
use simulator_kernel::ApiError;

use crate::Ecs;
use crate::input::{Answer, invalid_parameter, list, merge_tags, only, required_text, text, texts};
use crate::services::ServiceKey;

impl Ecs {
    pub(crate) fn tag_resource(&mut self, input: &Value) -> Answer {
        only("TagResource", input, &["resourceArn", "tags"])?;
        let arn = required_text(input, "resourceArn")?;
        let mut tags = self.tags_of(arn)?.clone();
        merge_tags(&mut tags, list(input, "tags"))?;
        *self.tags_of(arn)? = tags;
        Ok(json!({}))
    }

    pub(crate) fn untag_resource(&mut self, input: &Value) -> Answer {
        only("UntagResource", input, &["resourceArn", "tagKeys"])?;
        let keys = texts(input, "tagKeys");
        let tags = self.tags_of(required_text(input, "resourceArn")?)?;
        tags.retain(|tag| !text(tag, "key").is_some_and(|key| keys.contains(&key)));
        Ok(json!({}))
    }

    pub(crate) fn list_tags_for_resource(&mut self, input: &Value) -> Answer {
        only("ListTagsForResource", input, &["resourceArn"])?;
        let tags = self.tags_of(required_text(input, "resourceArn")?)?;
        Ok(json!({"tags": tags}))
    }

    fn tags_of(&mut self, arn: &str) -> Result<&mut Vec<Value>, ApiError> {
        let resource = arn.splitn(6, ':').nth(5).unwrap_or_default();
        let found = match resource.split_once('/') {
            Some(("task-definition", _)) => self
                .task_definitions
                .find_mut(arn)
                .map(|definition| &mut definition.tags),
            Some(("cluster", name)) => self.clusters.get_mut(name).map(|cluster| &mut cluster.tags),
            Some(("service", path)) => ServiceKey::from_path(path)
                .and_then(|key| self.services.get_mut(&key))
                .map(|service| &mut service.tags),
            Some((kind, _)) => return Err(ApiError::unsupported(format!("tags of the ECS resource type `{kind}`"))),
            None => return Err(invalid_parameter("Invalid ARN.")),
        };
        found.ok_or_else(|| invalid_parameter("The specified resource was not found."))
    }
}
