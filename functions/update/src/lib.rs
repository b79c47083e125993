//! The Lambda function update.
