//! Policies that came over the API, read as a template says them: one reader for both.

use std::any::Any;
use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use simulator_kernel::Kernel;
use simulator_template::{Settings, Template, TemplateError};

use super::{Iam, Sqs};

/// The template with these resources, where the kernel stands.
pub(super) fn template(resources: &Map<String, Value>, kernel: &Kernel) -> Result<Template, TemplateError> {
    if resources.is_empty() {
        return Ok(Template::default());
    }
    let settings = Settings {
        account: kernel.account().to_owned(),
        region: kernel.region().to_owned(),
        stack: "made".to_owned(),
        parameters: BTreeMap::new(),
    };
    Template::load(&json!({"Resources": resources}).to_string(), &settings)
}

/// What was made in a service that takes policies.
pub(crate) fn of(service: &dyn Any) -> Option<&Template> {
    let iam = service.downcast_ref::<Iam>().map(Iam::template);
    iam.or_else(|| service.downcast_ref::<Sqs>().map(Sqs::template))
}
