//! Fuzz targets: the properties of the tests crate, and mutations that keep JSON what it is.

// The file and not the crate: the crate also brings the simulated AWS, which would be instrumented with the rest.
#[path = "../../src/fuzzed/mod.rs"]
pub mod fuzzed;

mod json;

pub use json::mutate;

/// Declares a target that holds its input against the property of its name.
#[macro_export]
macro_rules! target {
    ($name:literal) => {
        libfuzzer_sys::fuzz_target!(|input: &[u8]| $crate::fuzzed::check($name, input));
    };
    ($name:literal, json) => {
        $crate::target!($name);
        libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, size_max: usize, seed: u32| {
            $crate::mutate(data, size, size_max, seed)
        });
    };
}
