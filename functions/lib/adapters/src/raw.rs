//! JSON through the SDK, whole.
//!
//! The SDK reads and writes what its model knows and drops the rest without a word: a task definition copied through it
//! loses every field newer than the SDK. Where that matters, the SDK signs, sends, retries and reads errors, and the
//! JSON is ours both ways.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::{
    AfterDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextMut,
};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::ConfigBag;
use esclusa_core::error::Failure;
use serde_json::Value;

/// Keeps the body of a successful answer for [`ResponseBody::json`]. Hand a clone to the operation.
#[derive(Clone, Default)]
pub(crate) struct ResponseBody(Arc<Mutex<Option<Vec<u8>>>>);

impl ResponseBody {
    /// The JSON that AWS sent, once the operation has succeeded.
    pub(crate) fn json(&self, action: &str) -> Result<Value, Failure> {
        let body = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let body = body.ok_or_else(|| Failure::defect(format!("the answer to `{action}` was not kept")))?;
        serde_json::from_slice(&body).map_err(|error| {
            Failure::transient(format!(
                "the answer to `{action}` is not JSON (column {})",
                error.column()
            ))
        })
    }
}

/// Bodies carry the environment of containers: nothing of them is printed.
impl fmt::Debug for ResponseBody {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ResponseBody")
    }
}

impl Intercept for ResponseBody {
    fn name(&self) -> &'static str {
        "ResponseBody"
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if context.output_or_error().is_ok() {
            let body = context.response().body().bytes().map(<[u8]>::to_vec);
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = body;
        }
        Ok(())
    }
}

/// Sends `body` instead of what the SDK made of the typed input: before the first attempt, so that every attempt signs
/// it.
pub(crate) struct RequestBody(Vec<u8>);

impl RequestBody {
    /// The body to send.
    pub(crate) fn new(body: &Value) -> Self {
        Self(body.to_string().into_bytes())
    }
}

/// Bodies carry the environment of containers: nothing of them is printed.
impl fmt::Debug for RequestBody {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("RequestBody")
    }
}

impl Intercept for RequestBody {
    fn name(&self) -> &'static str {
        "RequestBody"
    }

    fn modify_before_retry_loop(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request_mut();
        *request.body_mut() = SdkBody::from(self.0.clone());
        request.headers_mut().insert("content-length", self.0.len().to_string());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use aws_config::retry::RetryConfig;
    use aws_smithy_async::rt::sleep::{AsyncSleep, Sleep};
    use serde_json::json;

    use super::*;
    use crate::testing::{Answer, Recorded};

    #[tokio::test]
    async fn members_that_the_sdk_does_not_know_survive_both_ways() {
        let answer = json!({"taskDefinition": {"family": "api", "newerThanTheSdk": {"kept": [1, null]}}});
        let recorded = Recorded::new([Answer::json(200, &answer)]);
        let request = json!({"family": "api", "containerDefinitions": [{"name": "api", "newerThanTheSdk": true}]});
        let body = ResponseBody::default();
        let client = aws_sdk_ecs::Client::new(&recorded.config());
        let operation = client.register_task_definition().customize();
        operation
            .interceptor(RequestBody::new(&request))
            .interceptor(body.clone())
            .send()
            .await
            .unwrap();

        assert_eq!(body.json("ecs:RegisterTaskDefinition").unwrap(), answer);
        let sent = recorded.requests();
        assert_eq!(sent[0].body, request);
        assert_eq!(sent[0].header("content-length"), request.to_string().len().to_string());
        assert_eq!(sent[0].operation(), "RegisterTaskDefinition");
    }

    /// Waits for nothing.
    #[derive(Debug)]
    struct NoSleep;

    impl AsyncSleep for NoSleep {
        fn sleep(&self, _: std::time::Duration) -> Sleep {
            Sleep::new(std::future::ready(()))
        }
    }

    #[tokio::test]
    async fn every_attempt_sends_and_signs_our_body_and_only_the_success_is_kept() {
        let recorded = Recorded::new([
            Answer::json(500, &json!({"__type": "ServerException", "message": "try again"})),
            Answer::json(200, &json!({"taskDefinition": {"revision": 2}})),
        ]);
        let config = recorded
            .config()
            .into_builder()
            .retry_config(RetryConfig::standard())
            .sleep_impl(NoSleep)
            .build();
        let request = json!({"family": "api"});
        let body = ResponseBody::default();
        let operation = aws_sdk_ecs::Client::new(&config).register_task_definition().customize();
        operation
            .interceptor(RequestBody::new(&request))
            .interceptor(body.clone())
            .send()
            .await
            .unwrap();

        let sent = recorded.requests();
        assert_eq!(sent.len(), 2);
        assert!(
            sent.iter()
                .all(|one| one.body == request && one.header("authorization").contains("Signature="))
        );
        assert_eq!(
            body.json("ecs:RegisterTaskDefinition").unwrap()["taskDefinition"]["revision"],
            2
        );
    }

    #[tokio::test]
    async fn an_error_leaves_nothing_to_read_and_nothing_is_printed() {
        let recorded = Recorded::new([Answer::json(
            400,
            &json!({"__type": "ClientException", "message": "no"}),
        )]);
        let body = ResponseBody::default();
        let operation = aws_sdk_ecs::Client::new(&recorded.config())
            .describe_task_definition()
            .customize();
        operation.interceptor(body.clone()).send().await.unwrap_err();
        assert!(
            body.json("ecs:DescribeTaskDefinition")
                .unwrap_err()
                .message
                .contains("was not kept")
        );
        assert_eq!(
            format!("{:?}", RequestBody::new(&json!({"environment": "secret"}))),
            "RequestBody"
        );
    }
}
