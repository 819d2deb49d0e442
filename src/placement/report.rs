//! Why a volume does not fit, rule by rule and device by device, for the log: the error texts that clients see are the
//! reference's and say nothing (spec-ops.md 3.1).

use std::fmt;

use crate::ids::DeviceId;
use crate::topology::EntryState;
use crate::units::Kib;

/// Most devices a report names.
const MAX_DEVICES: usize = 32;

/// Most ways to cut the volume a report tells of.
const MAX_ATTEMPTS: usize = 16;

/// Why a device takes no brick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Its node is not online.
    Node(EntryState),
    /// It is not online itself.
    Device(EntryState),
    /// The request says to leave it out.
    Avoided,
    /// The rule of `user.heketi.device-tag-match` (spec-ops.md 3.6).
    Tag,
    /// Its tag `arbiter` keeps it for arbiter bricks, of which the volume has none (spec-ops.md 3.5).
    ArbiterTag,
    /// Too little is left of it.
    Space {
        /// What is left.
        free: Kib,
        /// What the smallest brick that it may hold would take; it has to be less than what is left.
        needed: Kib,
    },
}

impl Refusal {
    /// The rule, without the device's numbers.
    const fn rule(self) -> &'static str {
        match self {
            Self::Node(_) => "node not online",
            Self::Device(_) => "device not online",
            Self::Avoided => "to be avoided",
            Self::Tag => "tag rule",
            Self::ArbiterTag => "arbiter tag",
            Self::Space { .. } => "too little space",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(state) => write!(f, "node {state}"),
            Self::Device(state) => write!(f, "device {state}"),
            Self::Space { free, needed } => write!(f, "{free} free, more than {needed} needed"),
            Self::Avoided | Self::Tag | Self::ArbiterTag => f.write_str(self.rule()),
        }
    }
}

/// One way to cut the volume, and why it could not be placed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// How many sets.
    pub sets: u64,
    /// Size of each data brick.
    pub brick: Kib,
    /// Size of each arbiter brick, if there are any.
    pub arbiter: Option<Kib>,
    /// Bricks in all.
    pub bricks: u64,
    /// For how many of them there is room, with no two of a set on a node or, if checked, in a zone. It may be all of
    /// them if data and arbiter bricks compete for it. `None`: not tried, since a volume may not have so many bricks.
    pub room: Option<u64>,
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} sets of {} bricks", self.sets, self.brick)?;
        if let Some(arbiter) = self.arbiter {
            write!(f, " with arbiters of {arbiter}")?;
        }
        match self.room {
            Some(room) => write!(f, ": room for {room} of {} bricks", self.bricks),
            None => write!(f, ": {} bricks are too many", self.bricks),
        }
    }
}

/// Why a volume does not fit. Bounded in size whatever the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// The ways to cut the volume, in the order they were tried.
    pub attempts: Vec<Attempt>,
    /// Further attempts that are not listed.
    pub more_attempts: usize,
    /// Bricks of a set had to be in different zones.
    pub strict_zones: bool,
    /// Devices that take bricks of the size last tried; `None` if none was.
    pub usable: Option<usize>,
    /// Each rule that refused devices, and how many.
    pub rules: Vec<(&'static str, usize)>,
    /// Devices that take no brick of the size last tried.
    pub devices: Vec<(DeviceId, Refusal)>,
    /// Further such devices that are not listed.
    pub more_devices: usize,
}

impl Report {
    pub(super) fn add_attempt(&mut self, attempt: Attempt) {
        if self.attempts.len() < MAX_ATTEMPTS {
            self.attempts.push(attempt);
        } else {
            self.more_attempts += 1;
        }
    }

    pub(super) fn add_device(&mut self, device: DeviceId, refusal: Option<Refusal>) {
        let usable = self.usable.get_or_insert(0);
        let Some(refusal) = refusal else {
            *usable += 1;
            return;
        };
        match self.rules.iter_mut().find(|(rule, _)| *rule == refusal.rule()) {
            Some((_, count)) => *count += 1,
            None => self.rules.push((refusal.rule(), 1)),
        }
        if self.devices.len() < MAX_DEVICES {
            self.devices.push((device, refusal));
        } else {
            self.more_devices += 1;
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.attempts.as_slice() {
            [] => f.write_str("bricks would be too small")?,
            [first, others @ ..] => {
                write!(f, "{first}")?;
                others.iter().try_for_each(|attempt| write!(f, "; {attempt}"))?;
            }
        }
        if self.more_attempts > 0 {
            write!(f, "; {} more attempts", self.more_attempts)?;
        }
        if self.strict_zones {
            f.write_str("; zone checking is strict")?;
        }
        if let Some(usable) = self.usable {
            write!(f, "; {usable} devices usable")?;
        }
        for (rule, count) in &self.rules {
            write!(f, "; {rule}: {count}")?;
        }
        for (device, refusal) in &self.devices {
            write!(f, "; {device}: {refusal}")?;
        }
        if self.more_devices > 0 {
            write!(f, "; {} more devices", self.more_devices)?;
        }
        Ok(())
    }
}
