//! Lambda wiring: configuration, logs, errors that Step Functions can branch on.
