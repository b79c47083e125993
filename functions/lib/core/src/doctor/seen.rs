//! What became of looking at something.

/// What became of looking at something: what is not there, and what one may not see, are findings as well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen<T> {
    /// It is there.
    Found(T),
    /// It is not.
    Absent,
    /// Whoever looks may not.
    Denied {
        /// The action, such as `ecs:DescribeServices`.
        action: String,
    },
    /// Nobody knows.
    Unreadable {
        /// Why.
        why: String,
    },
}

impl<T> Seen<T> {
    /// What is there.
    pub const fn found(&self) -> Option<&T> {
        match self {
            Self::Found(facts) => Some(facts),
            Self::Absent | Self::Denied { .. } | Self::Unreadable { .. } => None,
        }
    }

    /// The same, of what is there something else.
    pub fn map<U>(self, read: impl FnOnce(T) -> U) -> Seen<U> {
        match self {
            Self::Found(facts) => Seen::Found(read(facts)),
            Self::Absent => Seen::Absent,
            Self::Denied { action } => Seen::Denied { action },
            Self::Unreadable { why } => Seen::Unreadable { why },
        }
    }
}
