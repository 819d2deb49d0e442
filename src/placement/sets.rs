//! In how many sets of which size a volume may be cut (spec-ops.md 2.2).

use super::Limits;
use crate::topology::Durability;
use crate::units::Kib;

/// One way to cut a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BrickSets {
    /// How many sets.
    pub sets: u64,
    /// Size of each data brick.
    pub brick: Kib,
}

/// The ways to cut a volume, with ever more and smaller bricks; it ends where bricks would be too small
/// (spec-ops.md 2.2).
#[derive(Debug, Clone)]
pub struct BrickSetGenerator {
    size: Kib,
    data_bricks: u64,
    smallest: Kib,
    largest: Kib,
    sets: Option<u64>,
}

impl BrickSetGenerator {
    /// The ways to cut `size`.
    pub fn new(size: Kib, durability: Durability, limits: &Limits) -> Self {
        Self {
            size,
            data_bricks: u64::from(durability.data_bricks().max(1)),
            smallest: limits.brick_min.max(Kib(1)),
            largest: limits.brick_max,
            sets: Some(1),
        }
    }
}

impl Iterator for BrickSetGenerator {
    type Item = BrickSets;

    fn next(&mut self) -> Option<BrickSets> {
        loop {
            let sets = self.sets?;
            let brick = Kib(self.size.0.checked_div(sets)?.checked_div(self.data_bricks)?);
            if brick < self.smallest {
                self.sets = None;
                return None;
            }
            self.sets = sets.checked_mul(2);
            if brick <= self.largest {
                return Some(BrickSets { sets, brick });
            }
        }
    }
}
