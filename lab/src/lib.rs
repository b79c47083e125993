//! Esclusa on the simulated AWS: the local run, the invariants, time travel.
