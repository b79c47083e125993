//! See `esclusa_fuzz::fuzzed`.
#![no_main]

esclusa_fuzz::target!("image", json);
