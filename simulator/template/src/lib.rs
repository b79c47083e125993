//! Reads a closed subset of AWS SAM and evaluates the policies of its roles.
