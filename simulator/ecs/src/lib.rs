//! Amazon ECS on a laptop.
