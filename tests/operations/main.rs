//! Operations on simulated nodes that fail in every way we know of. What has to hold after each fault, once whatever broke
//! is whole again and recovery has run: the store and the nodes agree, nothing is under way, and the client has an answer.

// A test that meets what it did not expect should stop there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod agree;
mod cases;
mod crowd;
mod cuts;
mod rules;
mod undo;
mod world;
