//! The Lambda function register.
