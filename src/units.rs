//! Sizes. Requests speak of GiB, devices and bricks of KiB (spec-ops.md, notation); neither is ever a bare `u64`.

use std::fmt;
use std::iter::Sum;

/// A size in KiB.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Kib(pub u64);

/// A size in GiB, as API requests give it.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Gib(pub u64);

impl Kib {
    /// No space at all.
    pub const ZERO: Self = Self(0);

    /// The sum, or the largest size if it does not fit.
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The difference, never below zero.
    pub const fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// The smallest multiple of `step` that is not below this size. A zero step leaves it as it is.
    pub const fn round_up_to(self, step: Self) -> Self {
        match self.0.checked_next_multiple_of(step.0) {
            Some(size) => Self(size),
            None => self,
        }
    }
}

impl Sum for Kib {
    fn sum<I: Iterator<Item = Self>>(sizes: I) -> Self {
        sizes.fold(Self::ZERO, Self::plus)
    }
}

impl Gib {
    /// The same size in KiB, or the largest one if it does not fit.
    pub const fn to_kib(self) -> Kib {
        Kib(self.0.saturating_mul(1024 * 1024))
    }
}

impl fmt::Display for Kib {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} KiB", self.0)
    }
}

impl fmt::Display for Gib {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} GiB", self.0)
    }
}
