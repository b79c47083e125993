//! The Lambda function traffic.
