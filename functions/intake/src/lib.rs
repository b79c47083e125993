//! The Lambda function intake.
