//! Tolerant types of the AWS events that Esclusa consumes.
