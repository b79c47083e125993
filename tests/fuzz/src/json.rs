//! Mutations of JSON documents. Changing bytes almost always breaks the syntax, and what lies behind the parser is never reached.

use fastrand::Rng;
use serde_json::{Map, Value, json};

/// How often the bytes are changed instead, in one of this many mutations.
const BYTES_ONCE_IN: u32 = 6;

/// Texts of the formats, of their edges and of what has more than one reading.
const TEXTS: &[&str] = &[
    "",
    "null",
    "a",
    "api",
    "${environment}",
    "${",
    "$${x}",
    "a\nb",
    "\u{0}",
    "é",
    "\u{1f600}",
    "true",
    "*",
    "-1",
    "0",
    "1.5",
    "latest",
    "ACTIVE",
    "PRIMARY",
    "ECS",
    "RUNNING",
    "STOPPED",
    "DELETED",
    "SUCCESSFUL",
    "STOP_REQUESTED",
    "COMPLETED",
    "FAILED",
    "EssentialContainerExited",
    "TaskFailedToStart",
    "UserInitiated",
    "aws.ecr",
    "aws.ecs",
    "aws.events",
    "aws.states",
    "ECR Image Action",
    "ECS Task State Change",
    "Scheduled Event",
    "2026-11-21T10:00:00.123456789012Z",
    "2026-11-21T10:00:00+01:00",
    "-009999-01-01T00:00:00Z",
    "awsvpc",
    "host",
    "tcp",
    "udp",
    "awslogs",
    "fluentd",
    "arn:aws:ssm:::parameter/x",
    "--password",
    "PASSWORD=x",
    "before_services",
    "after_services",
    "semver:^1",
    "123456789012",
    "eu-west-1",
];

/// Names of members, besides those of the document itself.
const NAMES: &[&str] = &[
    "name",
    "value",
    "valueFrom",
    "environment",
    "secrets",
    "containerDefinitions",
    "containers",
    "overrides",
    "containerOverrides",
    "command",
    "portMappings",
    "containerPort",
    "hostPort",
    "protocol",
    "healthCheck",
    "logConfiguration",
    "logDriver",
    "options",
    "cpu",
    "memory",
    "tags",
    "essential",
    "networkMode",
    "status",
    "detail",
    "source",
    "detail-type",
    "action",
    "exitCode",
    "startedAt",
    "stoppedAt",
    "createdAt",
    "version",
    "desiredCount",
    "runningCount",
    "deployments",
    "failures",
    "tasks",
    "base",
    "other",
    "settings",
    "token",
    "family",
    "image",
];

/// Changes one thing in the document that `data[..size]` is; where it is none, some of its bytes. Gives the new size.
pub fn mutate(data: &mut [u8], size: usize, size_max: usize, seed: u32) -> usize {
    let mut random = Rng::with_seed(seed.into());
    if random.u32(0..BYTES_ONCE_IN) == 0 {
        return libfuzzer_sys::fuzzer_mutate(data, size, size_max);
    }
    let Ok(mut document) = serde_json::from_slice::<Value>(&data[..size]) else {
        return libfuzzer_sys::fuzzer_mutate(data, size, size_max);
    };
    // Mostly one change: what is sound should stay so in all but one place.
    for _ in 0..[1, 1, 1, 1, 2, 4][random.usize(0..6)] {
        let donor = pick(&document, &mut random);
        let chosen = random.usize(0..count(&document));
        let mut left = chosen;
        if let Some(node) = node(&mut document, &mut left) {
            change(node, donor, &mut random);
        }
    }
    let text = document.to_string();
    if text.len() > size_max {
        return libfuzzer_sys::fuzzer_mutate(data, size, size_max);
    }
    data[..text.len()].copy_from_slice(text.as_bytes());
    text.len()
}

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Object(members) => members.values().map(count).sum(),
        Value::Array(elements) => elements.iter().map(count).sum(),
        _ => 0,
    }
}

/// The node of that number, from the root.
fn node<'a>(value: &'a mut Value, left: &mut usize) -> Option<&'a mut Value> {
    if *left == 0 {
        return Some(value);
    }
    *left -= 1;
    match value {
        Value::Object(members) => members.values_mut().find_map(|member| node(member, left)),
        Value::Array(elements) => elements.iter_mut().find_map(|element| node(element, left)),
        _ => None,
    }
}

/// A copy of some node.
fn pick(document: &Value, random: &mut Rng) -> Value {
    let mut left = random.usize(0..count(document));
    node(&mut document.clone(), &mut left)
        .map(std::mem::take)
        .unwrap_or_default()
}

fn change(node: &mut Value, donor: Value, random: &mut Rng) {
    match (node, random.u32(0..8)) {
        (Value::Object(members), 0..=5) => member(members, donor, random),
        (Value::Array(elements), 0..=5) => element(elements, donor, random),
        (Value::String(text), 0..=2) => words(text, random),
        (Value::Number(number), 0..=2) => *number = around(number, random),
        (node, 6) => *node = donor,
        (node, _) => *node = value(random),
    }
}

fn member(members: &mut Map<String, Value>, donor: Value, random: &mut Rng) {
    let existing = members.keys().nth(random.usize(0..members.len().max(1))).cloned();
    let name = NAMES[random.usize(0..NAMES.len())].to_owned();
    match (random.u32(0..7), existing) {
        // To the end: the order of declaration means something in some documents and must not in others.
        (6, Some(existing)) => {
            let value = members.shift_remove(&existing).unwrap_or_default();
            members.insert(existing, value);
        }
        (0, Some(existing)) => {
            members.shift_remove(&existing);
        }
        (1, Some(existing)) => {
            let value = members.shift_remove(&existing).unwrap_or_default();
            members.insert(name, value);
        }
        (2, Some(existing)) => {
            let value = members.get(&existing).cloned().unwrap_or_default();
            members.insert(format!("{existing}-{}", random.u8(..)), value);
        }
        (3, Some(existing)) => {
            members.insert(existing, donor);
        }
        (4, _) => {
            members.insert(name, value(random));
        }
        _ => {
            members.insert(name, donor);
        }
    }
}

fn element(elements: &mut Vec<Value>, donor: Value, random: &mut Rng) {
    let place = random.usize(0..=elements.len());
    match random.u32(0..5) {
        0 if place < elements.len() => {
            elements.remove(place);
        }
        1 if place < elements.len() => elements.insert(place, elements[place].clone()),
        2 if !elements.is_empty() => {
            let other = random.usize(0..elements.len());
            let last = elements.len() - 1;
            elements.swap(place.min(last), other);
        }
        3 => elements.insert(place, value(random)),
        _ => elements.insert(place, donor),
    }
}

fn words(text: &mut String, random: &mut Rng) {
    let places: Vec<usize> = text
        .char_indices()
        .map(|(place, _)| place)
        .chain([text.len()])
        .collect();
    let place = places[random.usize(0..places.len())];
    match random.u32(0..4) {
        0 => text.truncate(place),
        1 => text.insert_str(place, TEXTS[random.usize(0..TEXTS.len())]),
        2 => text.insert(place, random.char('\u{0}'..'\u{100}')),
        _ => *text = TEXTS[random.usize(0..TEXTS.len())].to_owned(),
    }
}

fn around(number: &serde_json::Number, random: &mut Rng) -> serde_json::Number {
    let near = number.as_i64().map(|number| number.wrapping_add(random.i64(-2..3)));
    match random.u32(0..4) {
        0 => near.map_or_else(|| number.clone(), Into::into),
        1 => random.u64(..).into(),
        2 => random.i64(-1_000..200_000).into(),
        _ => serde_json::Number::from_f64(f64::from_bits(random.u64(..))).unwrap_or_else(|| number.clone()),
    }
}

fn value(random: &mut Rng) -> Value {
    match random.u32(0..10) {
        0 => Value::Null,
        1 => json!([]),
        2 => json!({}),
        3 => random.bool().into(),
        4 => random.i64(-2..300).into(),
        5 => [
            json!(u64::MAX),
            json!(i64::MIN),
            json!(-0.0),
            json!(1e300),
            json!(1_746_529_354.325),
        ][random.usize(0..5)]
        .clone(),
        _ => TEXTS[random.usize(0..TEXTS.len())].into(),
    }
}
