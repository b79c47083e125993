//! The Lambda function observe.
