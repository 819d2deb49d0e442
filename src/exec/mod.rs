//! Commands on storage nodes. `Cmd` is what is run, `Transport` is how it gets there, `Nodes` are the typed calls that
//! the operations use. Nothing in here undoes anything: that is the business of `ops`.

mod cmd;
pub mod inject;
pub mod nodes;
mod settings;
pub mod sim;
pub mod ssh;
mod transport;

pub use cmd::{Cmd, Word};
pub use nodes::{NodeError, Nodes};
pub use settings::{CommandSettings, SshSettings};
pub use transport::{Output, Transport, TransportError, TransportErrorKind};
