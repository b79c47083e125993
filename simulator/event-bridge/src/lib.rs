//! Amazon EventBridge and EventBridge Scheduler on a laptop.
