//! What API Gateway hands over and takes back, in payload format 2.0
//! (<https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>).

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A request.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HttpRequest {
    /// Method and path of the route that it takes.
    pub(crate) route_key: String,
    /// The headers, with their names in lower case.
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, String>,
    /// What stands in the path for each name in braces of the route.
    #[serde(default)]
    pub(crate) path_parameters: BTreeMap<String, String>,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    is_base64_encoded: bool,
    #[serde(default)]
    request_context: Context,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Context {
    #[serde(default)]
    authorizer: Option<Authorizer>,
}

#[derive(Deserialize)]
struct Authorizer {
    #[serde(default)]
    iam: Option<Iam>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Iam {
    user_arn: Option<String>,
}

impl HttpRequest {
    /// The body, byte by byte as it came; none where it cannot be read.
    pub(crate) fn body(&self) -> Option<Vec<u8>> {
        let body = self.body.as_deref().unwrap_or_default();
        if self.is_base64_encoded {
            STANDARD.decode(body).ok()
        } else {
            Some(body.as_bytes().to_vec())
        }
    }

    /// Who calls, where API Gateway has asked: the ARN under which AWS knows them.
    pub(crate) fn principal(&self) -> Option<&str> {
        let iam = self.request_context.authorizer.as_ref()?.iam.as_ref()?;
        iam.user_arn.as_deref().filter(|arn| arn.starts_with("arn:"))
    }
}

/// A response.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Response {
    status_code: u16,
    headers: BTreeMap<&'static str, &'static str>,
    body: String,
    /// Whether it tells of something that was written down and that somebody waits for.
    #[serde(skip)]
    pub(crate) is_waited_for: bool,
}

impl Response {
    /// Nothing more than that it was taken.
    pub(crate) fn empty(status_code: u16) -> Self {
        Self {
            status_code,
            headers: BTreeMap::new(),
            body: String::new(),
            is_waited_for: false,
        }
    }

    /// A document.
    pub(crate) fn json(status_code: u16, body: &Value) -> Self {
        Self {
            status_code,
            headers: BTreeMap::from([("content-type", "application/json")]),
            body: body.to_string(),
            is_waited_for: false,
        }
    }

    /// The same, of something that was written down and that somebody waits for.
    pub(crate) fn waited_for(self) -> Self {
        Self {
            is_waited_for: true,
            ..self
        }
    }

    /// Why it is not done.
    pub(crate) fn error(status_code: u16, message: &str) -> Self {
        Self::json(status_code, &json!({"error": message}))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(event: Value) -> HttpRequest {
        serde_json::from_value(event).unwrap()
    }

    #[test]
    fn a_body_is_what_was_sent_whether_it_is_encoded_or_not() {
        let plain = request(json!({"routeKey": "POST /x", "body": "a=%20b"}));
        assert_eq!(plain.body().unwrap(), b"a=%20b");
        let encoded = request(json!({"routeKey": "POST /x", "body": "YT0lMjBi", "isBase64Encoded": true}));
        assert_eq!(encoded.body().unwrap(), b"a=%20b");
        let broken = request(json!({"routeKey": "POST /x", "body": "%", "isBase64Encoded": true}));
        assert_eq!(broken.body(), None);
        assert_eq!(request(json!({"routeKey": "POST /x"})).body().unwrap(), b"");
    }

    #[test]
    fn only_the_authorizer_says_who_calls() {
        let arn = "arn:aws:sts::123456789012:assumed-role/lead/ana";
        let signed = json!({"routeKey": "POST /x", "requestContext": {"authorizer": {"iam": {"userArn": arn}}}});
        assert_eq!(request(signed).principal(), Some(arn));
        for event in [
            json!({"routeKey": "POST /x", "headers": {"userarn": arn}}),
            json!({"routeKey": "POST /x", "requestContext": {"authorizer": {"jwt": {}}}}),
            json!({"routeKey": "POST /x", "requestContext": {"authorizer": {"iam": {"userArn": "slack:T0/U0"}}}}),
        ] {
            assert_eq!(request(event).principal(), None);
        }
    }
}
