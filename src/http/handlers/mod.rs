//! What routes do: read the request, check it, ask `ops` or the store, write the answer. No handler talks to a node.

pub mod clusters;
pub mod devices;
pub mod nodes;
pub mod queue;
pub mod volumes;
