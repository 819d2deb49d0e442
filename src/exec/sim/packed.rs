//! Text as the simulated nodes keep it. Ten thousand volumes leave some half a million names, paths and lines behind,
//! nearly all of them made of ids and a few fixed parts: an id takes 16 bytes here, a known part two.

use std::fmt::{self, Write as _};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// Parts that are common in what bricks and volumes leave behind. Of two that begin alike, the longer one comes first.
const PARTS: [&str; 18] = [
    "/var/lib/heketi/mounts/vg_",
    "/dev/mapper/vg_",
    "/brick_",
    "/brick",
    "-brick_",
    "brick_",
    " xfs rw,inode64,noatime,nouuid 1 2",
    "rw,inode64,noatime,nouuid",
    "vg_",
    "tp_",
    "vol_",
    "nfs.disable",
    "storage.fips-mode-rchecksum",
    "transport.address-family",
    "cluster.granular-entry-heal",
    "performance.client-io-threads",
    "user.heketi.id",
    "server.tcp-user-timeout",
];

// Bytes that UTF-8 does not have.
/// The 16 bytes of an id follow.
const ID: u8 = 0xFF;
/// The place of a known part follows.
const PART: u8 = 0xFE;
/// The place of an id that the text has had already follows.
const AGAIN: u8 = 0xFD;

const SHORT: usize = 22;
/// How many ids of a text are looked for again.
const REMEMBERED: usize = 4;

/// The one packed form of a text: equal texts have equal forms. It takes 24 bytes, and more only if it is longer than
/// 22; clones share that.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Packed(Form);

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Form {
    Short(u8, [u8; SHORT]),
    Long(Arc<[u8]>),
}

/// The id that `bytes` begin with.
fn id(bytes: &[u8]) -> Option<[u8; 16]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut id = [0; 16];
    for (byte, pair) in id.iter_mut().zip(bytes.get(..32)?.chunks_exact(2)) {
        let [high, low] = *pair else { return None };
        *byte = digit(high)? << 4 | digit(low)?;
    }
    Some(id)
}

/// The known part that `bytes` begin with, and its place.
fn part(bytes: &[u8]) -> Option<(&'static str, u8)> {
    let first = bytes.first();
    // Most bytes begin none: that is seen without comparing whole parts.
    let begun = PARTS.iter().zip(0..).filter(|(part, _)| part.as_bytes().first() == first);
    begun.map(|(part, place)| (*part, place)).find(|(part, _)| bytes.starts_with(part.as_bytes()))
}

impl Packed {
    pub fn new(text: &str) -> Self {
        let mut rest = text.as_bytes();
        let mut packed = Vec::with_capacity(96);
        let mut ids = [[0; 16]; REMEMBERED];
        let mut next_id = 0;
        while let Some(&first) = rest.first() {
            let taken = if let Some(id) = id(rest) {
                match ids.iter().zip(0_u8..).take(next_id).find(|(known, _)| **known == id) {
                    Some((_, place)) => packed.extend([AGAIN, place]),
                    None => {
                        packed.push(ID);
                        packed.extend(id);
                        if let Some(place) = ids.get_mut(next_id) {
                            *place = id;
                            next_id += 1;
                        }
                    }
                }
                32
            } else if let Some((part, place)) = part(rest) {
                packed.extend([PART, place]);
                part.len()
            } else {
                packed.push(first);
                1
            };
            rest = rest.get(taken..).unwrap_or_default();
        }
        let mut short = [0; SHORT];
        match (short.get_mut(..packed.len()), u8::try_from(packed.len())) {
            (Some(place), Ok(length)) => {
                place.copy_from_slice(&packed);
                Self(Form::Short(length, short))
            }
            _ => Self(Form::Long(packed.into())),
        }
    }

    fn bytes(&self) -> &[u8] {
        match &self.0 {
            Form::Short(length, bytes) => bytes.get(..usize::from(*length)).unwrap_or_default(),
            Form::Long(bytes) => bytes,
        }
    }

    /// What was packed.
    pub fn text(&self) -> String {
        let mut rest = self.bytes();
        let mut text = Vec::with_capacity(128);
        let mut ids: Vec<&[u8]> = Vec::new();
        let put_id = |id: &[u8], text: &mut Vec<u8>| {
            const DIGITS: &[u8; 16] = b"0123456789abcdef";
            let digits = id.iter().flat_map(|byte| [byte >> 4, byte & 15]);
            text.extend(digits.filter_map(|digit| DIGITS.get(usize::from(digit))));
        };
        while let Some((&first, after)) = rest.split_first() {
            let (&second, after_second) = after.split_first().unwrap_or((&0, &[]));
            rest = match first {
                ID => {
                    let (id, after) = after.split_at_checked(16).unwrap_or_default();
                    ids.push(id);
                    put_id(id, &mut text);
                    after
                }
                AGAIN => {
                    put_id(ids.get(usize::from(second)).copied().unwrap_or_default(), &mut text);
                    after_second
                }
                PART => {
                    text.extend(PARTS.get(usize::from(second)).copied().unwrap_or_default().bytes());
                    after_second
                }
                byte => {
                    text.push(byte);
                    after
                }
            };
        }
        String::from_utf8(text).unwrap_or_default()
    }
}

impl Hash for Packed {
    /// Mixes the bytes down to eight before the map's own hash, which is slow, sees them.
    fn hash<H: Hasher>(&self, state: &mut H) {
        let words = self.bytes().chunks(8).map(|chunk| {
            let mut word = [0; 8];
            word.iter_mut().zip(chunk).for_each(|(byte, from)| *byte = *from);
            u64::from_le_bytes(word)
        });
        let mixed = words.fold(0_u64, |mixed, word| (mixed.rotate_left(5) ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        state.write_u64(mixed);
    }
}

impl fmt::Display for Packed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

impl fmt::Debug for Packed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        f.write_str(&self.text())?;
        f.write_char('"')
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ID_TEXT: &str = "00ff1234567890abcdef1234567890ab";

    #[test]
    fn what_bricks_leave_is_small() {
        let other = "10ff1234567890abcdef1234567890ab";
        let path = format!("/var/lib/heketi/mounts/vg_{ID_TEXT}/brick_{other}");
        let line = format!("/dev/mapper/vg_{ID_TEXT}-brick_{other} {path} xfs rw,inode64,noatime,nouuid 1 2");
        for (text, bytes) in [(format!("brick_{ID_TEXT}"), 19), (path, 38), (line, 49)] {
            let packed = Packed::new(&text);
            assert_eq!(packed.text(), text);
            assert_eq!(packed.bytes().len(), bytes, "{text}");
        }
        assert_eq!(size_of::<Packed>(), 24);
    }

    proptest! {
        #[test]
        fn text_survives(parts in prop::collection::vec(
            prop_oneof![
                ".{0,8}",
                "[0-9a-f]{31,33}",
                Just(ID_TEXT.to_owned()),
                prop::sample::select(PARTS.to_vec()).prop_map(str::to_owned),
            ],
            0..8,
        )) {
            let text = parts.concat();
            let packed = Packed::new(&text);
            prop_assert_eq!(packed.text(), text.clone());
            prop_assert!(packed == Packed::new(&text));
        }
    }
}
