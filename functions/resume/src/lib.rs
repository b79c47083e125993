//! The Lambda function resume.
