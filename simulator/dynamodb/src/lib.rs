//! Amazon DynamoDB on a laptop.
