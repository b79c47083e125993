//! AWS Step Functions on a laptop.
