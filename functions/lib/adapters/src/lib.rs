//! Narrow ports to the outside world and their AWS side.
