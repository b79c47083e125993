//! HTTP requests of AWS clients to operations, and answers back: the awsJson 1.0 and 1.1 protocols, the rpc-v2-cbor
//! protocol of CloudWatch, the REST-JSON paths of Lambda and EventBridge Scheduler, and the query protocol of STS, IAM,
//! Elastic Load Balancing, RDS and SNS.

mod answer;

use std::borrow::Cow;
use std::io::Read;

use flate2::read::GzDecoder;
use serde_json::{Map, Value, json};
use simulator_kernel::ApiError;

use crate::cbor;
pub(crate) use answer::encode;

/// The most that a body may hold, compressed or not: far more than any input of AWS.
pub(crate) const LARGEST_PLAIN_BYTES: u32 = 16 << 20;

/// The namespace of the answers of RDS, whose lists have items of their own names.
const RDS_NAMESPACE: &str = "http://rds.amazonaws.com/doc/2014-10-31/";

/// The namespace of EC2, whose errors have a shape of their own. Nothing else of it is known.
const EC2_NAMESPACE: &str = "http://ec2.amazonaws.com/doc/2016-11-15/";

/// The services that speak the query protocol. Others that do are told so in it.
const QUERY_SERVICES: [&str; 5] = ["sts", "iam", "elasticloadbalancing", "rds", "sns"];

/// The content type of the query protocol.
const FORM: &str = "application/x-www-form-urlencoded";

/// How the answer must be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// `X-Amz-Target` and a JSON body; the content type is answered in kind.
    Json { content_type: String },
    /// A path that names the operation, and CBOR.
    Cbor,
    /// Method and path; errors are named by a header too.
    Rest,
    /// Lambda's `Invoke`: the payload is the body, the rest is headers.
    Invoke,
    /// XML, of which only errors are written: nothing that speaks it is simulated.
    RestXml,
    /// A form in, XML out.
    Query { namespace: &'static str, action: String },
}

/// One request, understood as far as the protocol goes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct HttpCall {
    pub(crate) access_key_id: String,
    pub(crate) region: String,
    pub(crate) service: String,
    pub(crate) operation: String,
    pub(crate) input: Value,
    pub(crate) protocol: Protocol,
}

/// One answer, ready for any HTTP library.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct HttpAnswer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
}

/// Reads a request, of whose headers `header` gives the text. An error is told to the client with [`Protocol::Rest`],
/// which clients of the JSON protocols understand too.
pub(crate) fn parse<'h>(
    method: &str,
    uri: &http::Uri,
    header: impl Fn(&str) -> Option<&'h str>,
    body: &[u8],
) -> Result<HttpCall, ApiError> {
    let (access_key_id, region, service) = header("authorization").and_then(credential).ok_or_else(|| {
        ApiError::client(
            "MissingAuthenticationTokenException",
            "the request has no `Authorization` header of signature version 4",
        )
    })?;
    let call = |operation: String, input: Value, protocol: Protocol| HttpCall {
        access_key_id: access_key_id.to_owned(),
        region: region.to_owned(),
        service: service.to_owned(),
        operation,
        input,
        protocol,
    };
    if let Some(target) = header("x-amz-target") {
        let operation = target.rsplit_once('.').map_or(target, |(_, operation)| operation);
        let content_type = header("content-type")
            .unwrap_or("application/x-amz-json-1.1")
            .to_owned();
        let mut input = json_body(body)?;
        // SDKs write maps in the order of their hash tables, which differs from run to run.
        input.sort_all_objects();
        return Ok(call(operation.to_owned(), input, Protocol::Json { content_type }));
    }
    if header("smithy-protocol") == Some("rpc-v2-cbor") {
        let operation = uri
            .path()
            .rsplit_once("/operation/")
            .map_or("", |(_, operation)| operation);
        let body = plain(header("content-encoding"), body)?;
        let input = cbor::decode(&body)
            .map_err(|error| ApiError::client("SerializationException", format!("the body is not CBOR: {error}")))?;
        return Ok(call(operation.to_owned(), input, Protocol::Cbor));
    }
    let segments: Vec<String> = uri
        .path()
        .split('/')
        .filter(|part| !part.is_empty())
        .map(percent_decode)
        .collect();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let query = form(uri.query().unwrap_or_default().as_bytes());
    match (service, method, segments.as_slice()) {
        ("lambda", "POST", ["2015-03-31", "functions", name, "invocations"]) => {
            let mut input = json!({
                "FunctionName": name,
                "InvocationType": header("x-amz-invocation-type").unwrap_or("RequestResponse"),
                "Payload": json_body(body).map_err(|error| ApiError::client("InvalidRequestContentException", error.message))?,
            });
            merge(&mut input, query);
            Ok(call("Invoke".to_owned(), input, Protocol::Invoke))
        }
        ("lambda", "GET", ["2015-03-31", "functions", name]) => Ok(call(
            "GetFunction".to_owned(),
            json!({"FunctionName": name}),
            Protocol::Rest,
        )),
        ("lambda", "GET", ["2015-03-31", "functions", name, "configuration"]) => Ok(call(
            "GetFunctionConfiguration".to_owned(),
            json!({"FunctionName": name}),
            Protocol::Rest,
        )),
        ("lambda", "GET", ["2015-03-31", "functions"]) => {
            Ok(call("ListFunctions".to_owned(), Value::Object(query), Protocol::Rest))
        }
        ("scheduler", method, ["schedules", rest @ ..]) => {
            let operation = match (method, rest.is_empty()) {
                ("GET", true) => "ListSchedules",
                ("GET", false) => "GetSchedule",
                ("POST", false) => "CreateSchedule",
                ("PUT", false) => "UpdateSchedule",
                ("DELETE", false) => "DeleteSchedule",
                _ => return Err(unknown_path(method, uri, service)),
            };
            let mut input = json_body(body)?;
            merge(
                &mut input,
                query
                    .into_iter()
                    .map(|(name, value)| (upper_first(&name), value))
                    .collect(),
            );
            if let Some(name) = rest.first() {
                merge(&mut input, Map::from_iter([("Name".to_owned(), json!(name))]));
            }
            Ok(call(operation.to_owned(), input, Protocol::Rest))
        }
        (service, "POST", [])
            if QUERY_SERVICES.contains(&service)
                || header("content-type").is_some_and(|kind| kind.starts_with(FORM)) =>
        {
            let mut input = form(body);
            let action = input
                .remove("Action")
                .and_then(|action| action.as_str().map(str::to_owned))
                .unwrap_or_default();
            input.remove("Version");
            let namespace = match service {
                "sts" => "https://sts.amazonaws.com/doc/2011-06-15/",
                "rds" => RDS_NAMESPACE,
                "iam" => "https://iam.amazonaws.com/doc/2010-05-08/",
                "ec2" => EC2_NAMESPACE,
                "sns" => "http://sns.amazonaws.com/doc/2010-03-31/",
                _ => "http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/",
            };
            let protocol = Protocol::Query {
                namespace,
                action: action.clone(),
            };
            Ok(call(action, nested(input)?, protocol))
        }
        ("s3", ..) => Ok(call(format!("{method} {}", uri.path()), json!({}), Protocol::RestXml)),
        _ => Err(unknown_path(method, uri, service)),
    }
}

/// Refuses a path that names no operation, with those that there are.
fn unknown_path(method: &str, uri: &http::Uri, service: &str) -> ApiError {
    let path = uri.path();
    let known: &[&str] = match service {
        "lambda" => &["Invoke", "GetFunction", "GetFunctionConfiguration", "ListFunctions"],
        "scheduler" => &[
            "CreateSchedule",
            "UpdateSchedule",
            "GetSchedule",
            "DeleteSchedule",
            "ListSchedules",
        ],
        _ => return ApiError::unsupported(format_args!("`{method} {path}` of `{service}`")),
    };
    ApiError::unknown_operation(service, &format!("{method} {path}"), known)
}

/// The members of a form of the query protocol: `Targets.member.1.Id` is the `Id` of the first of the list `Targets`.
fn nested(form: Map<String, Value>) -> Result<Value, ApiError> {
    let mut input = Map::new();
    // The items of a list come in the order of their numbers.
    for (name, value) in form {
        let refused = || ApiError::client("MalformedInput", format!("the parameter `{name}` cannot be understood"));
        let Some((list, rest)) = name.split_once(".member.") else {
            input.insert(name, value);
            continue;
        };
        let (number, member) = rest
            .split_once('.')
            .map_or((rest, None), |(number, member)| (number, Some(member)));
        let position = number.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
        let items = input.entry(list).or_insert_with(|| json!([])).as_array_mut();
        let (Some(position), Some(items)) = (position, items) else {
            return Err(refused());
        };
        if position == items.len() {
            items.push(json!({}));
        }
        match (items.get_mut(position), member) {
            (Some(item), None) => *item = value,
            (Some(Value::Object(item)), Some(member)) if !member.contains('.') => {
                item.insert(member.to_owned(), value);
            }
            _ => return Err(refused()),
        }
    }
    Ok(Value::Object(input))
}

/// The body as it was before it was compressed: clients compress the large ones of `PutMetricData`.
fn plain<'b>(encoding: Option<&str>, body: &'b [u8]) -> Result<Cow<'b, [u8]>, ApiError> {
    match encoding {
        None => Ok(Cow::Borrowed(body)),
        Some("gzip") => {
            let mut plain = Vec::new();
            GzDecoder::new(body)
                .take(LARGEST_PLAIN_BYTES.into())
                .read_to_end(&mut plain)
                .map_err(|error| {
                    ApiError::client("SerializationException", format!("the body is not gzip: {error}"))
                })?;
            Ok(Cow::Owned(plain))
        }
        Some(other) => Err(ApiError::unsupported(format_args!("the content encoding `{other}`"))),
    }
}

/// Access key id, Region and signing name of `AWS4-HMAC-SHA256 Credential={key}/{date}/{region}/{service}/aws4_request,
/// …`.
pub(crate) fn credential(authorization: &str) -> Option<(&str, &str, &str)> {
    let (_, rest) = authorization.split_once("Credential=")?;
    let scope = rest.split([',', ' ']).next()?;
    let mut parts = scope.split('/');
    let key = parts.next()?;
    let region = parts.nth(1)?;
    let service = parts.next()?;
    (!key.is_empty() && !service.is_empty()).then_some((key, region, service))
}

fn json_body(body: &[u8]) -> Result<Value, ApiError> {
    if body.is_empty() {
        return Ok(json!({}));
    }
    serde_json::from_slice(body)
        .map_err(|error| ApiError::client("SerializationException", format!("the body is not JSON: {error}")))
}

fn merge(input: &mut Value, members: Map<String, Value>) {
    if let Some(object) = input.as_object_mut() {
        object.extend(members);
    }
}

fn upper_first(name: &str) -> String {
    let mut letters = name.chars();
    letters
        .next()
        .map(|first| first.to_ascii_uppercase())
        .into_iter()
        .chain(letters)
        .collect()
}

pub(crate) fn form(body: &[u8]) -> Map<String, Value> {
    let text = String::from_utf8_lossy(body);
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (
                percent_decode(&name.replace('+', " ")),
                Value::String(percent_decode(&value.replace('+', " "))),
            )
        })
        .collect()
}

fn percent_decode(text: &str) -> String {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digits: String = bytes.by_ref().take(2).map(char::from).collect();
            match u8::from_str_radix(&digits, 16) {
                Ok(value) => decoded.push(value),
                Err(_) => {
                    decoded.push(b'%');
                    decoded.extend(digits.bytes());
                }
            }
        } else {
            decoded.push(byte);
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const SIGNED: &str = "AWS4-HMAC-SHA256 Credential=AKIATEST/20261102/us-east-1/{service}/aws4_request, SignedHeaders=host, Signature=00";

    fn request(
        service: &str,
        method: &str,
        uri: &str,
        extra: &[(&'static str, &str)],
        body: &str,
    ) -> Result<HttpCall, ApiError> {
        let signed = SIGNED.replace("{service}", service);
        let headers: BTreeMap<&str, &str> = [("authorization", signed.as_str())]
            .into_iter()
            .chain(extra.iter().copied())
            .collect();
        parse(
            method,
            &uri.parse().unwrap(),
            |name| headers.get(name).copied(),
            body.as_bytes(),
        )
    }

    #[test]
    fn the_signature_names_the_service_and_the_target_the_operation() {
        let target = [("x-amz-target", "AmazonEC2ContainerServiceV20141113.RunTask")];
        let call = request("ecs", "POST", "/", &target, r#"{"cluster": "a"}"#).unwrap();
        assert_eq!((call.service.as_str(), call.operation.as_str()), ("ecs", "RunTask"));
        assert_eq!(call.access_key_id, "AKIATEST");
        assert_eq!(call.input, json!({"cluster": "a"}));
    }

    #[test]
    fn a_function_may_be_invoked_by_its_arn() {
        let uri = "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aus-east-1%3A123456789012%3Afunction%3Aintake/invocations?Qualifier=live";
        let call = request(
            "lambda",
            "POST",
            uri,
            &[("x-amz-invocation-type", "Event")],
            r#"{"b": 1, "a": 2}"#,
        )
        .unwrap();
        assert_eq!(
            call.input["FunctionName"],
            "arn:aws:lambda:us-east-1:123456789012:function:intake"
        );
        assert_eq!(call.input["InvocationType"], "Event");
        assert_eq!(call.input["Qualifier"], "live");
        assert_eq!(
            call.input["Payload"].to_string(),
            r#"{"b":1,"a":2}"#,
            "a payload keeps its bytes' order"
        );
    }

    #[test]
    fn an_unknown_path_is_refused_by_name() {
        let error = request("apigateway", "GET", "/v2/apis", &[], "").unwrap_err();
        assert_eq!(
            error.message,
            "the simulated AWS does not implement `GET /v2/apis` of `apigateway`"
        );
        let error = request("scheduler", "GET", "/schedule-groups", &[], "").unwrap_err();
        assert!(error.message.contains("there are `CreateSchedule`, "), "{error}");
    }

    #[test]
    fn who_speaks_xml_is_refused_in_xml() {
        let form = [("content-type", "application/x-www-form-urlencoded; charset=utf-8")];
        for (service, method, uri, body, wanted) in [
            ("sns", "POST", "/", "Action=ListTopics", "<ErrorResponse "),
            (
                "ec2",
                "POST",
                "/",
                "Action=DescribeSubnets",
                "<Response><Errors><Error><Code>Unknown",
            ),
            ("s3", "GET", "/bucket", "", "<Error><Code>Unknown"),
        ] {
            let call = request(service, method, uri, &form, body).unwrap();
            let answer = encode(&call.protocol, "r", Err(ApiError::client("Unknown", "<nothing>")));
            let text = String::from_utf8(answer.body).unwrap();
            assert!(text.starts_with(wanted) && text.contains("&lt;nothing&gt;"), "{text}");
        }
    }

    #[test]
    fn an_unsigned_request_is_refused() {
        let error = parse("POST", &"/".parse().unwrap(), |_| None, b"").unwrap_err();
        assert_eq!(error.code, "MissingAuthenticationTokenException");
    }

    #[test]
    fn a_function_error_travels_in_a_header_beside_the_payload() {
        let output = json!({"StatusCode": 200, "FunctionError": "Unhandled", "Payload": {"errorType": "Oops"}});
        let answer = encode(&Protocol::Invoke, "r", Ok(output));
        assert!(
            answer
                .headers
                .contains(&("x-amz-function-error", "Unhandled".to_owned()))
        );
        assert_eq!(answer.body, br#"{"errorType":"Oops"}"#);
    }

    #[test]
    fn sts_is_answered_in_xml() {
        let call = request("sts", "POST", "/", &[], "Action=GetCallerIdentity&Version=2011-06-15").unwrap();
        assert_eq!(call.operation, "GetCallerIdentity");
        let answer = encode(&call.protocol, "r", Ok(json!({"Account": "1<2"})));
        let body = String::from_utf8(answer.body).unwrap();
        assert!(
            body.contains("<GetCallerIdentityResult><Account>1&lt;2</Account></GetCallerIdentityResult>"),
            "{body}"
        );
    }
}
