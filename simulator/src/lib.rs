//! AWS on a laptop: one seed, one clock, injectable faults.
