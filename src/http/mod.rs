//! The REST server: what a request goes through, from the socket to its handler and back.

mod access;
pub mod auth;
mod call;
mod entry;
mod handlers;
mod path;
mod reply;
mod routes;
mod serve;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use auth::Keys;
pub use entry::handle;
pub use serve::serve;

use crate::ops::Ops;

/// What handlers work with. Cheap to clone.
#[derive(Clone)]
pub struct App(Arc<Inner>);

struct Inner {
    ops: Ops,
    keys: Option<Keys>,
}

impl App {
    /// An application on these operations. Without keys, everybody may do everything.
    pub fn new(ops: Ops, keys: Option<Keys>) -> Self {
        Self(Arc::new(Inner { ops, keys }))
    }

    fn ops(&self) -> &Ops {
        &self.0.ops
    }

    fn keys(&self) -> Option<&Keys> {
        self.0.keys.as_ref()
    }
}
