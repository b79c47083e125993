//! The Lambda function migrate.
