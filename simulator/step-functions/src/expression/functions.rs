//! What Step Functions adds to JSONata, and the built-in functions that must not read the host's clock or randomness.

use std::cell::RefCell;
use std::rc::Rc;

use jiff::Timestamp;
use jsonata_core::evaluator::{Evaluator, EvaluatorError, HostFnResult};
use jsonata_core::value::JValue;
use sha2::{Digest, Sha256, Sha384, Sha512};

/// The longest array that `$range` may build, as in JSONata's own range operator.
const RANGE_LENGTH: usize = 10_000_000;

/// Makes the functions known to `evaluator`.
pub(super) fn register(evaluator: &mut Evaluator, now: Timestamp, rng: fastrand::Rng) -> Result<(), EvaluatorError> {
    let rng = Rc::new(RefCell::new(rng));
    evaluator.register_fn("partition", partition)?;
    evaluator.register_fn("range", range)?;
    evaluator.register_fn("hash", hash)?;
    evaluator.register_fn("parse", parse)?;
    let source = Rc::clone(&rng);
    evaluator.register_fn("uuid", move |_: &[JValue]| {
        Ok(JValue::from(uuid(&mut source.borrow_mut())))
    })?;
    let source = Rc::clone(&rng);
    evaluator.register_fn_override("random", move |arguments: &[JValue]| {
        random(arguments, &mut source.borrow_mut())
    })?;
    evaluator.register_fn_override("shuffle", move |arguments: &[JValue]| {
        shuffle(arguments, &mut rng.borrow_mut())
    })?;
    evaluator.register_fn_override("millis", move |_: &[JValue]| Ok(JValue::from(now.as_millisecond())))?;
    evaluator.register_fn_override("now", move |arguments: &[JValue]| {
        if arguments.is_empty() {
            return Ok(JValue::from(now.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()));
        }
        Err(failure(
            "$now with a picture is not implemented: write `$fromMillis($millis(), picture)`",
        ))
    })?;
    evaluator.register_fn_override("eval", |_: &[JValue]| {
        Err(failure("$eval is not available: use $parse"))
    })
}

fn failure(message: impl Into<String>) -> EvaluatorError {
    EvaluatorError::EvaluationError(message.into())
}

fn whole_number(arguments: &[JValue], index: usize, function: &str) -> Result<i64, EvaluatorError> {
    arguments
        .get(index)
        .and_then(JValue::as_i64)
        .ok_or_else(|| failure(format!("argument {} of ${function} must be a whole number", index + 1)))
}

/// `$partition(array, size)`: the array in chunks, the last of which may be shorter.
fn partition(arguments: &[JValue]) -> HostFnResult {
    let items = match arguments.first() {
        None | Some(JValue::Undefined) => return Ok(JValue::Undefined),
        Some(value) => value
            .as_array()
            .ok_or_else(|| failure("argument 1 of $partition must be an array"))?,
    };
    let size = usize::try_from(whole_number(arguments, 1, "partition")?).unwrap_or(0);
    if size == 0 {
        return Err(failure("argument 2 of $partition must be greater than zero"));
    }
    Ok(JValue::array(
        items.chunks(size).map(|chunk| JValue::array(chunk.to_vec())).collect(),
    ))
}

/// `$range(first, last, step)`: both ends are included.
fn range(arguments: &[JValue]) -> HostFnResult {
    let first = whole_number(arguments, 0, "range")?;
    let last = whole_number(arguments, 1, "range")?;
    let step = whole_number(arguments, 2, "range")?;
    if step == 0 {
        return Err(failure("argument 3 of $range must not be zero"));
    }
    let inside = |value: &i64| if step > 0 { *value <= last } else { *value >= last };
    let numbers: Vec<JValue> = std::iter::successors(Some(first).filter(inside), |value| {
        value.checked_add(step).filter(inside)
    })
    .take(RANGE_LENGTH + 1)
    .map(JValue::from)
    .collect();
    if numbers.len() > RANGE_LENGTH {
        return Err(failure(format!("$range may build at most {RANGE_LENGTH} items")));
    }
    Ok(JValue::array(numbers))
}

/// `$hash(text, algorithm)`: lower-case hexadecimal digits.
fn hash(arguments: &[JValue]) -> HostFnResult {
    let text = match arguments.first() {
        None | Some(JValue::Undefined) => return Ok(JValue::Undefined),
        Some(value) => value
            .as_str()
            .ok_or_else(|| failure("argument 1 of $hash must be a string"))?,
    };
    let digest = match arguments.get(1).and_then(JValue::as_str) {
        Some("SHA-256") => hex::encode(Sha256::digest(text)),
        Some("SHA-384") => hex::encode(Sha384::digest(text)),
        Some("SHA-512") => hex::encode(Sha512::digest(text)),
        Some(known @ ("MD5" | "SHA-1")) => {
            return Err(failure(format!(
                "the simulated AWS does not implement $hash with `{known}`"
            )));
        }
        _ => {
            return Err(failure(
                "argument 2 of $hash must be one of SHA-256, SHA-384, SHA-512, SHA-1, MD5",
            ));
        }
    };
    Ok(JValue::from(digest))
}

/// `$parse(text)`: the JSON value that the text holds.
fn parse(arguments: &[JValue]) -> HostFnResult {
    match arguments.first() {
        None | Some(JValue::Undefined) => Ok(JValue::Undefined),
        Some(value) => {
            let text = value
                .as_str()
                .ok_or_else(|| failure("argument 1 of $parse must be a string"))?;
            JValue::from_json_str(text).map_err(|error| failure(format!("$parse got a text that is not JSON: {error}")))
        }
    }
}

/// `$random(seed)`: with a seed, always the same number.
fn random(arguments: &[JValue], rng: &mut fastrand::Rng) -> HostFnResult {
    if arguments.is_empty() {
        return Ok(JValue::from(rng.f64()));
    }
    let seed = whole_number(arguments, 0, "random")?;
    Ok(JValue::from(fastrand::Rng::with_seed(seed.unsigned_abs()).f64()))
}

fn shuffle(arguments: &[JValue], rng: &mut fastrand::Rng) -> HostFnResult {
    let mut items = match arguments.first() {
        None | Some(JValue::Undefined) => return Ok(JValue::Undefined),
        Some(value) => value
            .as_array()
            .ok_or_else(|| failure("argument 1 of $shuffle must be an array"))?
            .clone(),
    };
    rng.shuffle(&mut items);
    Ok(JValue::array(items))
}

fn uuid(rng: &mut fastrand::Rng) -> String {
    let bits = rng.u128(..);
    let version_and_variant = (bits & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
    let digits = format!("{version_and_variant:032x}");
    let part = |from: usize, to: usize| digits.get(from..to).unwrap_or_default();
    [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-")
}
