//! Walking a chain and naming the first record that is not as it was written.

use std::fmt;

use super::{GENESIS_HASH, Head, Record};

/// A chain that is whole up to its anchored head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The head that was reached, equal to the anchored one.
    pub head: Head,
}

/// What is wrong with a chain, at its first wrong place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("record {sequence} of chain `{chain}` {what}")]
pub struct Broken {
    /// The chain.
    pub chain: String,
    /// The sequence number of the record that is wrong or not there.
    pub sequence: u64,
    /// What is wrong with it.
    pub what: Damage,
}

/// The ways in which a record can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Damage {
    /// Its content does not give its hash.
    Changed,
    /// Its content gives its hash, but whoever remembers it, the next record or the anchor, remembers another one.
    Rewritten,
    /// It is not there, while later ones are.
    Missing,
    /// It is not in its place.
    Reordered,
    /// It and everything after it, up to the anchored head, are not there.
    Truncated,
    /// It lies beyond the anchored head.
    BeyondHead,
    /// It belongs to another chain.
    ForeignChain,
}

impl fmt::Display for Damage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Changed => "was changed: its content does not give its hash",
            Self::Rewritten => "was rewritten: what follows it remembers another hash",
            Self::Missing => "is missing",
            Self::Reordered => "is not in its place",
            Self::Truncated => "and everything after it was cut off",
            Self::BeyondHead => "lies beyond the anchored head",
            Self::ForeignChain => "belongs to another chain",
        })
    }
}

/// Verifies `records`, all of one chain in ascending order, against a head that was anchored outside the ledger.
///
/// Whoever rewrites a record must rewrite every later one as well; that shows at the anchor, and then the last record
/// is the one that is named.
///
/// # Errors
/// [`Broken`] names the first record that is not as it was written.
pub fn verify(records: &[Record], anchored: &Head) -> Result<Verified, Broken> {
    let broken = |sequence: u64, what: Damage| {
        Err(Broken {
            chain: anchored.chain.to_string(),
            sequence,
            what,
        })
    };
    let mut reached = Head::genesis(anchored.chain.clone());
    for (position, record) in records.iter().enumerate() {
        let expected = reached.sequence.saturating_add(1);
        if record.chain != anchored.chain {
            return broken(expected, Damage::ForeignChain);
        }
        if record.sequence != expected {
            let elsewhere = records.iter().skip(position).any(|later| later.sequence == expected);
            return match (elsewhere, record.sequence > expected) {
                (true, _) => broken(expected, Damage::Reordered),
                (false, true) => broken(expected, Damage::Missing),
                (false, false) => broken(record.sequence, Damage::Reordered),
            };
        }
        if record.computed_hash() != record.hash {
            return broken(expected, Damage::Changed);
        }
        if record.previous_hash != reached.hash {
            // The first record has nobody before it that could have been rewritten.
            let rewritten = if reached.hash == GENESIS_HASH {
                expected
            } else {
                reached.sequence
            };
            return broken(rewritten, Damage::Rewritten);
        }
        if expected > anchored.sequence {
            return broken(expected, Damage::BeyondHead);
        }
        reached = record.head();
    }
    if reached.sequence < anchored.sequence {
        return broken(reached.sequence.saturating_add(1), Damage::Truncated);
    }
    if reached.hash != anchored.hash {
        return broken(reached.sequence, Damage::Rewritten);
    }
    Ok(Verified { head: reached })
}
