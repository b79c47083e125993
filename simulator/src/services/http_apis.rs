//! HTTP APIs of Amazon API Gateway: a request to a route becomes an event of payload format 2.0, and what the function
//! answers a response (<https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>).

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use simulator_kernel::{ApiError, Authorization, CallId, Kernel, Principal, Reply, Request, RequestId, Service};
use simulator_template::{HttpRoute, Template};

use super::sites::UNKNOWN_HOST;
use super::{Input, invalid};
use crate::identity::{self, AccessKey};

/// The signing name of requests to an API.
pub(crate) const NAME: &str = "execute-api";

/// The service that invokes the functions.
const GATEWAY: &str = "apigateway.amazonaws.com";

/// The service `execute-api`. The input of a call is `{"host", "api", "path", "query", "headers", "body", "signed"}`,
/// its operation the method, its output `{"status", "headers", "body"}`.
#[derive(Debug, Default)]
pub struct HttpApis {
    /// The ids of the APIs.
    ids: Vec<String>,
    /// The routes, each with the authorizer that counts.
    routes: Vec<HttpRoute>,
    /// Requests whose functions are at work.
    open: BTreeMap<CallId, RequestId>,
}

impl HttpApis {
    /// Creates the APIs of a template.
    pub(crate) fn load(&mut self, template: &Template) {
        for api in template.http_apis.values() {
            self.ids.push(api.id.clone());
            let own = template.http_routes.values().filter(|route| route.api_id == api.id);
            self.routes.extend(own.map(|route| HttpRoute {
                authorizer: route.authorizer.clone().or_else(|| api.default_authorizer.clone()),
                ..route.clone()
            }));
        }
    }

    /// The id of the API that a request is for: by its host name, or by `api` where it came over the loopback endpoint.
    fn api(&self, input: Input<'_>, kernel: &Kernel) -> Option<&str> {
        let by_host = || input.text("host")?.strip_suffix(&suffix(kernel));
        let id = input.text("api").or_else(by_host)?;
        self.ids.iter().map(String::as_str).find(|known| *known == id)
    }

    fn route(&self, request: &Request, kernel: &Kernel) -> Option<&HttpRoute> {
        let input = Input(&request.input);
        let api = self.api(input, kernel)?;
        let path = input.text("path")?;
        let is_meant = |route: &&HttpRoute| {
            let is_method = route.method == request.operation || route.method == "ANY";
            route.api_id == api && is_method && parameters(&route.path, path).is_some()
        };
        self.routes.iter().find(is_meant)
    }

    fn answer(&mut self, request: &Request, kernel: &mut Kernel) -> Result<Reply, ApiError> {
        let input = Input(&request.input);
        let host = input.required("host")?;
        if self.api(input, kernel).is_none() {
            let message = format!("failed to lookup address information of `{host}`: Name or service not known");
            return Err(ApiError::client(UNKNOWN_HOST, message));
        }
        let Some(route) = self.route(request, kernel).cloned() else {
            return Ok(Reply::Now(Ok(said(404, "Not Found"))));
        };
        if asks(&route) && !input.flag("signed") {
            return Ok(Reply::Now(Ok(said(403, "Forbidden"))));
        }
        let event = event(request, &route, kernel)?;
        let resource = resource(&route, input.text("path").unwrap_or_default());
        let source = kernel.arn(NAME, &resource);
        let call = kernel.call_for(
            Some(&source),
            NAME,
            "lambda",
            "Invoke",
            json!({"FunctionName": route.function_arn, "Payload": event}),
            &Principal::Service(GATEWAY.to_owned()),
        );
        self.open.insert(call, request.id);
        Ok(Reply::Later)
    }
}

/// What stands in a path for each name in braces of a route; nothing where the path is not of that route.
fn parameters(route: &str, path: &str) -> Option<Map<String, Value>> {
    let (mut route, mut path) = (route.split('/'), path.split('/'));
    let mut found = Map::new();
    loop {
        match (route.next(), path.next()) {
            (None, None) => return Some(found),
            (Some(known), Some(part)) => {
                let name = known.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
                match name {
                    Some(name) if !part.is_empty() => {
                        found.insert(name.to_owned(), json!(part));
                    }
                    Some(_) => return None,
                    None if known == part => {}
                    None => return None,
                }
            }
            (Some(_), None) | (None, Some(_)) => return None,
        }
    }
}

/// What the host names of the Region end with.
fn suffix(kernel: &Kernel) -> String {
    format!(".{NAME}.{}.amazonaws.com", kernel.region())
}

/// Whether a route asks who calls.
fn asks(route: &HttpRoute) -> bool {
    route.authorizer.as_deref() == Some("AWS_IAM")
}

/// What a request acts on, as IAM names it.
fn resource(route: &HttpRoute, path: &str) -> String {
    format!("{}/$default/{}{path}", route.api_id, route.method)
}

/// An answer of the gateway itself.
fn said(status: u16, message: &str) -> Value {
    json!({"status": status, "headers": {"content-type": "application/json"}, "body": json!({"message": message}).to_string()})
}

/// Whether the gateway passes a body on as it is: what is no text is written in Base64.
fn is_text(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    kind.starts_with("text/") || ["application/json", "application/javascript", "application/xml"].contains(&kind)
}

fn event(request: &Request, route: &HttpRoute, kernel: &mut Kernel) -> Result<Value, ApiError> {
    let input = Input(&request.input);
    let mut headers = Map::new();
    for (name, value) in input.object("headers").into_iter().flatten() {
        let value = value.as_str().ok_or_else(|| invalid("a header is not a string"))?;
        headers.insert(name.to_ascii_lowercase(), json!(value));
    }
    let content_type = headers.get("content-type").and_then(Value::as_str).unwrap_or_default();
    let body = input.text("body").unwrap_or_default();
    let is_encoded = !body.is_empty() && !is_text(content_type);
    let sent = if is_encoded {
        STANDARD.encode(body)
    } else {
        body.to_owned()
    };
    let (method, path, query) = (
        request.operation.as_str(),
        input.text("path").unwrap_or_default(),
        input.text("query").unwrap_or_default(),
    );
    let parameters = parameters(&route.path, path).unwrap_or_default();
    let now = kernel.now();
    let mut context = json!({
        "accountId": kernel.account(),
        "apiId": route.api_id,
        "domainName": input.text("host"),
        "domainPrefix": route.api_id,
        "http": {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1", "userAgent": headers.get("user-agent")},
        "requestId": kernel.hex_id(16),
        "routeKey": format!("{} {}", route.method, route.path),
        "stage": "$default",
        "time": now.strftime("%d/%b/%Y:%H:%M:%S +0000").to_string(),
        "timeEpoch": now.as_millisecond(),
    });
    if asks(route)
        && let Some(members) = context.as_object_mut()
    {
        let (arn, id) = identity::caller(&request.principal, kernel);
        let iam = json!({
            "accessKey": request.principal.access_key_id(),
            "accountId": kernel.account(),
            "callerId": id,
            "cognitoIdentity": null,
            "principalOrgId": null,
            "userArn": arn,
            "userId": id,
        });
        members.insert("authorizer".to_owned(), json!({"iam": iam}));
    }
    let mut event = json!({
        "version": "2.0",
        "routeKey": format!("{} {}", route.method, route.path),
        "rawPath": path,
        "rawQueryString": query,
        "headers": headers,
        "requestContext": context,
        "isBase64Encoded": is_encoded,
    });
    if !parameters.is_empty()
        && let Some(members) = event.as_object_mut()
    {
        members.insert("pathParameters".to_owned(), Value::Object(parameters));
    }
    if !body.is_empty()
        && let Some(members) = event.as_object_mut()
    {
        members.insert("body".to_owned(), json!(sent));
    }
    Ok(event)
}

/// What the function answered, as a response. A function that fails, or answers nonsense, is an internal error.
fn response(answer: Result<Value, ApiError>) -> Value {
    let broken = || said(500, "Internal Server Error");
    let Ok(answer) = answer else {
        return broken();
    };
    if answer.get("FunctionError").is_some_and(|error| !error.is_null()) {
        return broken();
    }
    let payload = answer.get("Payload").cloned().unwrap_or_default();
    // Without a status it is taken for the body of a success.
    let Some(status) = payload.get("statusCode") else {
        let headers = json!({"content-type": "application/json"});
        return json!({"status": 200, "headers": headers, "body": payload.to_string()});
    };
    let Some(status) = status.as_u64() else {
        return broken();
    };
    let body = payload.get("body").and_then(Value::as_str).unwrap_or_default();
    let is_encoded = payload.get("isBase64Encoded").and_then(Value::as_bool) == Some(true);
    let body = if is_encoded {
        let decoded = STANDARD.decode(body).ok();
        match decoded.and_then(|bytes| String::from_utf8(bytes).ok()) {
            Some(text) => text,
            None => return broken(),
        }
    } else {
        body.to_owned()
    };
    let headers = payload.get("headers").cloned().unwrap_or_else(|| json!({}));
    json!({"status": status, "headers": headers, "body": body})
}

impl Service for HttpApis {
    fn name(&self) -> &'static str {
        NAME
    }

    fn authorizations(&self, request: &Request, kernel: &Kernel) -> Vec<Authorization> {
        let route = self.route(request, kernel).filter(|route| asks(route));
        let route = route.filter(|_| Input(&request.input).flag("signed"));
        let path = Input(&request.input).text("path").unwrap_or_default();
        route
            .map(|route| Authorization::new("execute-api:Invoke", kernel.arn(NAME, &resource(route, path))))
            .into_iter()
            .collect()
    }

    fn call(&mut self, request: &Request, kernel: &mut Kernel) -> Reply {
        self.answer(request, kernel)
            .unwrap_or_else(|error| Reply::Now(Err(error)))
    }

    fn replied(&mut self, call: CallId, result: Result<Value, ApiError>, kernel: &mut Kernel) {
        if let Some(request) = self.open.remove(&call) {
            kernel.answer(request, Ok(response(result)));
        }
    }
}
