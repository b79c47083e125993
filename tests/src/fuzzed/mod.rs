//! What must hold for whatever comes from outside, as functions of bytes: the fuzz targets in `tests/fuzz` look for an
//! input that breaks one, and a test replays the corpus of what was found worth keeping.
#![expect(
    clippy::panic,
    reason = "an input that breaks a property must stop the fuzzer and fail the test"
)]

mod ecs_answer;
mod event;
mod image;
mod interaction;
mod json;
mod ledger;
mod mask;
mod pipeline;
mod task_definition;
mod text;

/// A property of one parser.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// The name of the fuzz target and of its corpus.
    pub name: &'static str,
    /// Panics where the property does not hold for the input.
    pub check: fn(&[u8]),
}

/// Every target.
pub const TARGETS: [Target; 9] = [
    Target {
        name: "event",
        check: event::check,
    },
    Target {
        name: "pipeline",
        check: pipeline::check,
    },
    Target {
        name: "task_definition",
        check: task_definition::check,
    },
    Target {
        name: "ecs_answer",
        check: ecs_answer::check,
    },
    Target {
        name: "text",
        check: text::check,
    },
    Target {
        name: "mask",
        check: mask::check,
    },
    Target {
        name: "ledger",
        check: ledger::check,
    },
    Target {
        name: "interaction",
        check: interaction::check,
    },
    Target {
        name: "image",
        check: image::check,
    },
];

/// Holds `input` against the property of a target.
pub fn check(target: &str, input: &[u8]) {
    match TARGETS.iter().find(|known| known.name == target) {
        Some(target) => (target.check)(input),
        None => panic!("there is no target `{target}`"),
    }
}

/// What people read in a log or a terminal stays on its line, whatever came from outside.
fn assert_one_line(text: &str) {
    assert!(!text.is_empty(), "nothing is said");
    assert!(!text.chars().any(char::is_control), "a control character in {text:?}");
}
