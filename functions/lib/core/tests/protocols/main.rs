//! Every interleaving of each protocol of Esclusa, with crashes and lost answers, over the very functions that the
//! Lambdas call.
//!
//! A model that is right keeps all its properties. The same model with a planted fault must break the one that the
//! fault is about: a checker that finds nothing in a wrong protocol says nothing about a right one.

mod harness;
mod intent;
mod lock;
mod rendezvous;
mod tag_generations;
