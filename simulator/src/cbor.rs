//! The bodies of the protocol rpc-v2-cbor, as the JSON that services work with.

use aws_smithy_cbor::data::Type;
use aws_smithy_cbor::decode::DeserializeError;
use aws_smithy_cbor::{Decoder, Encoder};
use aws_smithy_types::DateTime;
use serde_json::{Map, Number, Value};

/// How deep a body may nest: far deeper than any input of AWS.
const DEPTH: usize = 32;

/// Reads a body. Times become seconds since 1970, as awsJson has them. What JSON cannot hold, such as bytes, is
/// refused.
pub(crate) fn decode(body: &[u8]) -> Result<Value, DeserializeError> {
    let mut decoder = Decoder::new(body);
    let value = read(&mut decoder, DEPTH)?;
    if decoder.position() < body.len() {
        return Err(DeserializeError::expected_end_of_stream(decoder.position()));
    }
    Ok(value)
}

fn read(decoder: &mut Decoder<'_>, depth: usize) -> Result<Value, DeserializeError> {
    let refused = |why: &'static str| DeserializeError::custom(why, decoder.position());
    let Some(depth) = depth.checked_sub(1) else {
        return Err(refused("the body is nested too deeply"));
    };
    Ok(match decoder.datatype()? {
        Type::Null => decoder.null().map(|()| Value::Null)?,
        Type::Bool => decoder.boolean()?.into(),
        Type::U8 | Type::U16 | Type::U32 | Type::U64 | Type::I8 | Type::I16 | Type::I32 | Type::I64 => {
            decoder.long()?.into()
        }
        Type::F32 | Type::F64 => number(decoder.double()?),
        Type::String | Type::StringIndef => decoder.string()?.into(),
        Type::Tag => number(decoder.timestamp()?.as_secs_f64()),
        Type::Array | Type::ArrayIndef => {
            let mut left = decoder.list()?;
            let mut items = Vec::new();
            while has_another(decoder, &mut left)? {
                items.push(read(decoder, depth)?);
            }
            items.into()
        }
        Type::Map | Type::MapIndef => {
            let mut left = decoder.map()?;
            let mut members = Map::new();
            while has_another(decoder, &mut left)? {
                members.insert(decoder.string()?, read(decoder, depth)?);
            }
            members.into()
        }
        _ => return Err(refused("the simulated AWS does not read this type of CBOR")),
    })
}

/// A number that JSON does not have is null, as an input that is left out.
fn number(number: f64) -> Value {
    Number::from_f64(number).map_or(Value::Null, Value::Number)
}

/// Whether a list or map has another entry; `left` is none where its end is marked.
fn has_another(decoder: &mut Decoder<'_>, left: &mut Option<u64>) -> Result<bool, DeserializeError> {
    if let Some(left) = left {
        let next = left.checked_sub(1);
        *left = next.unwrap_or_default();
        return Ok(next.is_some());
    }
    let is_over = decoder.datatype()? == Type::Break;
    if is_over {
        decoder.skip()?;
    }
    Ok(!is_over)
}

/// Writes a body. JSON knows no times: a number is one where its member is called so, and so is each of a list, as all
/// times of CloudWatch are.
pub(crate) fn encode(value: &Value) -> Vec<u8> {
    let mut encoder = Encoder::new(Vec::new());
    write(&mut encoder, value);
    encoder.into_writer()
}

fn write(encoder: &mut Encoder, value: &Value) {
    match value {
        Value::Null => {
            encoder.null();
        }
        Value::Bool(flag) => {
            encoder.boolean(*flag);
        }
        Value::Number(number) => match number.as_i64() {
            Some(number) => {
                encoder.long(number);
            }
            None => {
                encoder.double(number.as_f64().unwrap_or_default());
            }
        },
        Value::String(text) => {
            encoder.str(text);
        }
        Value::Array(items) => {
            encoder.array(items.len());
            for item in items {
                write(encoder, item);
            }
        }
        Value::Object(members) => {
            encoder.map(members.len());
            for (name, value) in members {
                encoder.str(name);
                match value {
                    Value::Number(time) if name.ends_with("Timestamp") => write_time(encoder, time),
                    Value::Array(items) if name == "Timestamps" => {
                        encoder.array(items.len());
                        for item in items {
                            match item {
                                Value::Number(time) => write_time(encoder, time),
                                other => write(encoder, other),
                            }
                        }
                    }
                    value => write(encoder, value),
                }
            }
        }
    }
}

fn write_time(encoder: &mut Encoder, seconds: &Number) {
    encoder.timestamp(&DateTime::from_secs_f64(seconds.as_f64().unwrap_or_default()));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let value = json!({
            "AlarmNames": ["errors", "ä"], "MaxRecords": 100, "Threshold": 5.0, "Below": -7, "ActionsEnabled": true, "NextToken": null,
            "StateUpdatedTimestamp": 1_793_610_000.125, "Timestamps": [1_793_610_000.0, 1_793_610_060.5], "Dimensions": [{"Name": "QueueName", "Value": "letters"}],
        });
        assert_eq!(decode(&encode(&value)).unwrap(), value);
    }

    #[test]
    fn lists_and_maps_whose_end_is_marked_are_read() {
        let mut encoder = Encoder::new(Vec::new());
        encoder.begin_map().str("AlarmNames").begin_array();
        encoder.str("errors").end().end();
        assert_eq!(
            decode(&encoder.into_writer()).unwrap(),
            json!({"AlarmNames": ["errors"]})
        );
    }

    #[test]
    fn what_is_no_body_is_refused() {
        let deep = vec![0x81; 1000];
        for bytes in [
            &[][..],
            &[0xa1, 0x01, 0x02],
            &[0x41, 0x00],
            &[0xf6, 0xf6],
            &[0x82, 0x01],
            &deep,
        ] {
            assert!(decode(bytes).is_err(), "{bytes:?}");
        }
    }
}
