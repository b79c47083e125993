//! How a deployment ended, for the release that waits for it.

use esclusa_core::error::Failure;
use serde_json::{Value, json};

use crate::Observe;

impl Observe {
    /// The end of a deployment. Its execution may be over before its end is written: then asking again helps.
    pub(crate) async fn read_deployment(&self, deployment_id: &str) -> Result<Value, Failure> {
        let work = self.journal.work(deployment_id).await?;
        let Some(end) = &work.deployment.row.end else {
            return Err(Failure::transient(format!(
                "the end of deployment `{deployment_id}` is not written yet"
            )));
        };
        Ok(json!({"verdict": end.verdict, "effect": end.effect, "reason": end.reason}))
    }
}
