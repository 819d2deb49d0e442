//! Identifiers: 16 random bytes, written as 32 lower-case hex digits (spec-ops.md 1.1). One type for each kind of
//! thing, so that a brick's id cannot be passed where a volume's is meant.

use std::fmt;
use std::str::FromStr;

/// The text is not an id: exactly 32 lower-case hex digits are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an id is 32 lower-case hex digits")]
pub struct NotAnId;

fn parse(text: &str) -> Result<[u8; 16], NotAnId> {
    if text.bytes().any(|b| b.is_ascii_uppercase()) {
        // The reference looks ids up literally, so `ABC...` never names what `abc...` does.
        return Err(NotAnId);
    }
    let mut bytes = [0; 16];
    hex::decode_to_slice(text, &mut bytes).map_err(|_| NotAnId)?;
    Ok(bytes)
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 16]);

        impl $name {
            /// A new id from the system's random numbers.
            pub fn random() -> Self {
                Self(rand::random())
            }

            /// The id with these bytes; for ids drawn from a seed.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// The 16 bytes behind the text.
            pub const fn bytes(&self) -> &[u8; 16] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut text = [0; 32];
                hex::encode_to_slice(self.0, &mut text).map_err(|_| fmt::Error)?;
                f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = NotAnId;

            fn from_str(text: &str) -> Result<Self, NotAnId> {
                parse(text).map(Self)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

ids! {
    /// A cluster: a group of nodes that share volumes.
    ClusterId;
    /// A storage node.
    NodeId;
    /// A raw disk on a node; its volume group is `vg_<id>`.
    DeviceId;
    /// A brick: one thin logical volume on one device.
    BrickId;
    /// A gluster volume.
    VolumeId;
    /// A block volume.
    BlockVolumeId;
    /// A pending operation.
    OpId;
    /// A queue entry that a client polls; not the id of the operation behind it.
    JobId;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_bytes_agree() {
        let id: VolumeId = "00ff1234567890abcdef1234567890ab".parse().unwrap();
        assert_eq!(id.to_string(), "00ff1234567890abcdef1234567890ab");
        assert_eq!(id.bytes()[1], 0xff);
    }

    #[test]
    fn only_32_lower_case_hex_digits_are_an_id() {
        for text in ["", "ab", "00FF1234567890abcdef1234567890ab", "zz", "00ff1234567890abcdef1234567890ab0"] {
            assert_eq!(text.parse::<BrickId>(), Err(NotAnId), "{text}");
        }
    }
}
