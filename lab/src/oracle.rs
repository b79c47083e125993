//! The checker: reads nothing but the AWS APIs and the ledger.
