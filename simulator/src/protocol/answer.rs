//! Answers as every protocol writes them.

use serde_json::Value;
use simulator_kernel::ApiError;

use super::{EC2_NAMESPACE, HttpAnswer, Protocol, RDS_NAMESPACE};
use crate::cbor;

/// Writes an answer.
pub(crate) fn encode(protocol: &Protocol, request_id: &str, result: Result<Value, ApiError>) -> HttpAnswer {
    let mut answer = match protocol {
        Protocol::Json { content_type } => json_answer(content_type, result),
        Protocol::Cbor => cbor_answer(result),
        Protocol::Rest => rest_answer(result),
        Protocol::Invoke => match result {
            Ok(output) => invoke_answer(output),
            error => rest_answer(error),
        },
        Protocol::RestXml => rest_xml_answer(request_id, result),
        Protocol::Query { namespace, action } => query_answer(namespace, action, request_id, result),
    };
    answer.headers.push(("x-amzn-requestid", request_id.to_owned()));
    answer
}

fn json_answer(content_type: &str, result: Result<Value, ApiError>) -> HttpAnswer {
    let (status, body) = match result {
        Ok(output) => (200, output),
        Err(error) => (error.status, error.body()),
    };
    HttpAnswer {
        status,
        headers: vec![("content-type", content_type.to_owned())],
        body: body.to_string().into_bytes(),
    }
}

fn cbor_answer(result: Result<Value, ApiError>) -> HttpAnswer {
    let (status, body) = match result {
        Ok(output) => (200, output),
        Err(error) => (error.status, error.body()),
    };
    HttpAnswer {
        status,
        headers: vec![
            ("content-type", "application/cbor".to_owned()),
            ("smithy-protocol", "rpc-v2-cbor".to_owned()),
        ],
        body: cbor::encode(&body),
    }
}

fn rest_answer(result: Result<Value, ApiError>) -> HttpAnswer {
    let code = result.as_ref().err().map(|error| error.code.clone());
    let mut answer = json_answer("application/json", result);
    if let Some(code) = code {
        answer.headers.push(("x-amzn-errortype", code));
    }
    answer
}

fn invoke_answer(output: Value) -> HttpAnswer {
    let Value::Object(mut output) = output else {
        return rest_answer(Err(ApiError::server(
            "ServiceException",
            "the answer of `Invoke` is not an object",
        )));
    };
    let status = output
        .get("StatusCode")
        .and_then(Value::as_u64)
        .and_then(|status| u16::try_from(status).ok())
        .unwrap_or(200);
    let mut headers = vec![("content-type", "application/json".to_owned())];
    for (member, header) in [
        ("FunctionError", "x-amz-function-error"),
        ("ExecutedVersion", "x-amz-executed-version"),
    ] {
        if let Some(text) = output.get(member).and_then(Value::as_str) {
            headers.push((header, text.to_owned()));
        }
    }
    let body = output
        .remove("Payload")
        .map(|payload| payload.to_string().into_bytes())
        .unwrap_or_default();
    HttpAnswer { status, headers, body }
}

fn rest_xml_answer(request_id: &str, result: Result<Value, ApiError>) -> HttpAnswer {
    let error = result.err().unwrap_or_else(|| ApiError::unsupported("answers in XML"));
    let body = format!(
        "<Error><Code>{}</Code><Message>{}</Message><RequestId>{request_id}</RequestId></Error>",
        xml_escape(&error.code),
        xml_escape(&error.message)
    );
    HttpAnswer {
        status: error.status,
        headers: vec![("content-type", "application/xml".to_owned())],
        body: body.into_bytes(),
    }
}

fn query_answer(namespace: &str, action: &str, request_id: &str, result: Result<Value, ApiError>) -> HttpAnswer {
    let (status, body) = match result {
        Ok(output) => {
            let members = xml(&output, namespace, "");
            let body = format!(
                "<{action}Response xmlns=\"{namespace}\"><{action}Result>{members}</{action}Result>\
                 <ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{action}Response>"
            );
            (200, body)
        }
        Err(error) if namespace == EC2_NAMESPACE => {
            let body = format!(
                "<Response><Errors><Error><Code>{}</Code><Message>{}</Message></Error></Errors><RequestID>{request_id}</RequestID></Response>",
                xml_escape(&error.code),
                xml_escape(&error.message)
            );
            (error.status, body)
        }
        Err(error) => {
            let body = format!(
                "<ErrorResponse xmlns=\"{namespace}\"><Error><Type>Sender</Type><Code>{}</Code>\
                 <Message>{}</Message></Error><RequestId>{request_id}</RequestId></ErrorResponse>",
                xml_escape(&error.code),
                xml_escape(&error.message)
            );
            (error.status, body)
        }
    };
    HttpAnswer {
        status,
        headers: vec![("content-type", "text/xml".to_owned())],
        body: body.into_bytes(),
    }
}

/// A value of the query protocol. The items of a list are called `member`, in RDS as one of what the list is called
/// after: `DBInstance` in `DBInstances`.
fn xml(value: &Value, namespace: &str, name: &str) -> String {
    let item = match name.strip_suffix('s') {
        Some(singular) if namespace == RDS_NAMESPACE => singular,
        _ => "member",
    };
    match value {
        Value::Null => String::new(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => xml_escape(text),
        Value::Array(items) => items
            .iter()
            .map(|value| format!("<{item}>{}</{item}>", xml(value, namespace, item)))
            .collect(),
        Value::Object(members) => members
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| format!("<{name}>{}</{name}>", xml(value, namespace, name)))
            .collect(),
    }
}

fn xml_escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
