//! What the engine asks of each kind of operation, and the words they share.

use async_trait::async_trait;

use super::{OpError, Ops};
use crate::exec::NodeError;
use crate::ids::{DeviceId, OpId};
use crate::store::{Outcome, StoreError, Tx};

/// Why Exec did not succeed.
#[derive(Debug)]
pub enum Failure {
    /// A node failed; the device, if it was work on one.
    Node(NodeError, Option<DeviceId>),
    /// Something else, in the client's words.
    Text(String),
    /// The database failed.
    Store(StoreError),
}

impl From<NodeError> for Failure {
    fn from(error: NodeError) -> Self {
        Self::Node(error, None)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Node(error, _) => error.fmt(f),
            Self::Text(text) => text.fmt(f),
            Self::Store(error) => error.fmt(f),
        }
    }
}

impl Failure {
    /// The line for the operator.
    pub fn report(&self) -> String {
        match self {
            Self::Node(error, _) => error.report(),
            other => other.to_string(),
        }
    }
}

/// Why an operation has to be resolved.
#[derive(Debug, Clone, Copy)]
pub enum Cause<'a> {
    /// Exec failed, just now.
    Failed(&'a Failure),
    /// The server ended, or an earlier attempt to resolve failed: nobody knows how far it got.
    Lost,
}

impl Cause<'_> {
    /// A command may still be at work on a node. One that gluster's own program gave up waiting for ends with a status
    /// like any other, while glusterd goes on with it.
    pub fn is_uncertain(&self) -> bool {
        match self {
            Self::Failed(Failure::Node(error, _)) => !error.nothing_ran(),
            Self::Failed(_) => false,
            Self::Lost => true,
        }
    }
}

/// What became of an operation that had to be resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolution {
    /// Nothing of it is left on any node.
    Undone,
    /// It is complete after all.
    Done,
}

/// The stages of one kind of operation. What a stage learns for the next one it keeps in itself.
#[async_trait]
pub trait Stages: Send + Sync {
    /// The work on the nodes. Cleans nothing up.
    async fn exec(&mut self, ops: &Ops, op: OpId) -> Result<(), Failure>;

    /// Makes the result visible, and says what the client gets.
    fn finalize(&self, tx: &Tx<'_>) -> Result<Outcome, StoreError>;

    /// Brings the nodes to one of two states, from whatever state they are in: all or nothing. Safe to repeat.
    async fn resolve(&mut self, ops: &Ops, op: OpId, cause: Cause<'_>) -> Result<Resolution, Failure>;

    /// After `Undone`: makes the store as if the operation had never been.
    fn roll_back(&mut self, tx: &Tx<'_>) -> Result<(), StoreError>;

    /// After `Undone` and `roll_back`: plans the operation anew, in the same transaction, if it is to be tried again.
    fn plan_again(&mut self, _ops: &Ops, _tx: &Tx<'_>, _op: OpId, _failure: &Failure) -> Result<bool, OpError> {
        Ok(false)
    }
}
