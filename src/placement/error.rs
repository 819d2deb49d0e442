//! Why nothing was placed (spec-ops.md 3.1, appendix A).

use super::Report;
use crate::units::Kib;

/// Why nothing was placed. The texts are the reference's; clients see them.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PlacementError {
    /// It does not fit, in the words used where several clusters were tried (spec-ops.md 3.1).
    #[error("No space")]
    NoSpace(Box<Report>),
    /// More bricks than a volume may have would be needed (spec-ops.md 2.2).
    #[error("Maximum number of bricks reached.")]
    MaxBricks(Box<Report>),
    /// Bricks would get too small (spec-ops.md 2.2).
    #[error("Minimum brick size limit reached.  Out of space.")]
    MinBrickSize(Box<Report>),
    /// The cluster is empty (spec-ops.md 3.1).
    #[error("No nodes in cluster")]
    NoNodes,
    /// No device takes bricks (spec-ops.md 3.1).
    #[error("No online storage devices in cluster")]
    NoOnlineDevices,
    /// Data bricks are smaller than the average file; this aborts a request (spec-ops.md 2.5).
    #[error("Average file size ({}) is greater than Brick size ({})", average.0, brick.0)]
    AverageFileSize {
        /// The volume's average file size.
        average: Kib,
        /// Size of the data bricks.
        brick: Kib,
    },
    /// The value of `user.heketi.device-tag-match` is no rule; this aborts a request (spec-ops.md 3.6).
    #[error("Invalid tag matching rule: Invalid tag match rule: {0}")]
    TagRule(String),
}

impl PlacementError {
    /// Whether the request is fine but too large for this cluster: another one may take it (spec-ops.md 3.1).
    pub const fn is_no_fit(&self) -> bool {
        self.report().is_some()
    }

    /// Why it did not fit, for the log.
    pub const fn report(&self) -> Option<&Report> {
        match self {
            Self::NoSpace(report) | Self::MaxBricks(report) | Self::MinBrickSize(report) => Some(report),
            Self::NoNodes | Self::NoOnlineDevices | Self::AverageFileSize { .. } | Self::TagRule(_) => None,
        }
    }

    /// The error as recorded for one of several clusters: all that do not fit are `No space` (spec-ops.md 3.1).
    #[must_use]
    pub fn into_no_space(self) -> Self {
        match self {
            Self::MaxBricks(report) | Self::MinBrickSize(report) => Self::NoSpace(report),
            other => other,
        }
    }
}
