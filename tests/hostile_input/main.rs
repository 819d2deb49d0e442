//! Whatever a client sends: an answer that a client can understand, nothing broken, and nothing run on a node that was
//! not asked for.

// A test that meets what it did not expect should stop there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod hangups;
mod quoting;
mod requests;
mod server;
mod tokens;
