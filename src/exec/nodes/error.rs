//! What can go wrong with a node.

use crate::exec::{TransportError, TransportErrorKind};

/// A command did not do its work, or its answer makes no sense.
///
/// `Display` is the text a client gets, as the reference words it (spec-ops.md 6.2): what the command wrote to standard
/// error. [`NodeError::report`] is the line for the operator, with node and command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NodeError {
    /// The command did not run to its end.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The command exited with a status other than 0.
    #[error("{}", text_of(.status, .stderr))]
    Exit {
        /// Where it ran.
        host: String,
        /// Its line.
        command: String,
        /// Its exit status.
        status: u32,
        /// What it wrote to standard error.
        stderr: String,
    },
    /// The command succeeded, but its output cannot be understood.
    #[error("{what}")]
    Answer {
        /// Where it ran.
        host: String,
        /// Its line.
        command: String,
        /// What is wrong with its output.
        what: String,
    },
    /// A failure with the reference's own wording around it.
    #[error("{text}")]
    Worded {
        /// What the client gets.
        text: String,
        /// What went wrong underneath.
        cause: Box<NodeError>,
    },
}

/// The line end of the command stays, as clients of the reference get it; they cut it off.
fn text_of(status: &u32, stderr: &str) -> String {
    match stderr {
        "" => format!("Process exited with status {status}"),
        text => text.to_owned(),
    }
}

impl NodeError {
    /// The same failure under the reference's wording.
    #[must_use]
    pub fn worded(self, text: String) -> Self {
        Self::Worded { text, cause: Box::new(self) }
    }

    /// Nothing ran on the node, so another may be asked instead.
    pub fn nothing_ran(&self) -> bool {
        match self {
            Self::Transport(error) => error.nothing_ran(),
            Self::Worded { cause, .. } => cause.nothing_ran(),
            Self::Exit { .. } | Self::Answer { .. } => false,
        }
    }

    /// The same failure of a command that followed others: those have run, even if this one has not.
    #[must_use]
    pub fn after_others(self) -> Self {
        match self {
            Self::Transport(mut error) if error.nothing_ran() => {
                error.kind = TransportErrorKind::Dropped;
                Self::Transport(error)
            }
            Self::Worded { text, cause } => Self::Worded { text, cause: Box::new(cause.after_others()) },
            other => other,
        }
    }

    /// The node cannot be reached at all, or has answered that the command failed. Neither its key nor ours is in question.
    pub fn is_down_or_refused(&self) -> bool {
        match self {
            Self::Transport(error) => error.kind == TransportErrorKind::Connect,
            Self::Worded { cause, .. } => cause.is_down_or_refused(),
            Self::Exit { .. } => true,
            Self::Answer { .. } => false,
        }
    }

    /// The node gave no answer: it is down, refuses us or hangs.
    pub fn is_transport(&self) -> bool {
        match self {
            Self::Transport(_) => true,
            Self::Worded { cause, .. } => cause.is_transport(),
            Self::Exit { .. } | Self::Answer { .. } => false,
        }
    }

    /// One line for the log: what happened, on which node, with which command.
    pub fn report(&self) -> String {
        let text = self.to_string();
        let text = text.trim_end();
        match self {
            Self::Transport(error) => match &error.command {
                Some(command) => format!("{error} (node {}, command `{command}`)", error.host),
                None => format!("{error} (node {})", error.host),
            },
            Self::Exit { host, command, status, .. } => {
                format!("{text} (node {host}, command `{command}`, exit status {status})")
            }
            Self::Answer { host, command, .. } => format!("{text} (node {host}, command `{command}`)"),
            Self::Worded { cause, .. } => format!("{text}: {}", cause.report()),
        }
    }
}
