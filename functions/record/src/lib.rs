//! The Lambda function record.
