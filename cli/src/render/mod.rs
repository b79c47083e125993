//! Text for people. Everything can be read without its colours.

pub(crate) mod excerpt;
pub(crate) mod palette;
pub(crate) mod plan;
pub(crate) mod record;
pub(crate) mod table;
pub(crate) mod words;
