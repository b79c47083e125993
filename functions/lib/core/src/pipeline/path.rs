//! Where in the file something is, by the keys and indexes that lead to it.

use std::fmt;

/// One step into a YAML document.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Segment {
    /// A key of a mapping.
    Name(String),
    /// An element of a sequence, from 0.
    Index(usize),
}

/// The steps from the root of the document to a node.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Path(Vec<Segment>);

impl Path {
    /// The path of the member `key` of this mapping.
    #[must_use]
    pub(super) fn key(&self, key: impl AsRef<str>) -> Self {
        self.with(Segment::Name(key.as_ref().to_owned()))
    }

    /// The path of the element `index` of this sequence.
    #[must_use]
    pub(super) fn index(&self, index: usize) -> Self {
        self.with(Segment::Index(index))
    }

    /// The steps, from the root.
    pub(super) fn segments(&self) -> &[Segment] {
        &self.0
    }

    /// This path below `prefix`.
    #[must_use]
    pub(super) fn below(&self, prefix: &Self) -> Self {
        Self(prefix.0.iter().chain(&self.0).cloned().collect())
    }

    fn with(&self, segment: Segment) -> Self {
        let mut segments = self.0.clone();
        segments.push(segment);
        Self(segments)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Name(key) if position == 0 => write!(formatter, "{}", key.escape_debug())?,
                Segment::Name(key) => write!(formatter, ".{}", key.escape_debug())?,
                Segment::Index(index) => write!(formatter, "[{index}]")?,
            }
        }
        Ok(())
    }
}
