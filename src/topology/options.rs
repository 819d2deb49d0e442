//! Gluster options of a volume, and those among them that steer placement (spec-ops.md 9.2).

/// Options as stored and reported: `key value` strings in order, empty ones included.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VolumeOptions(pub Vec<String>);

impl VolumeOptions {
    /// The last value given for `key`; the key ends at the first blank, and a key without one has the value "".
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().rev().find_map(|option| {
            let (name, value) = option.split_once(' ').unwrap_or((option, ""));
            (name == key).then_some(value)
        })
    }

    /// `user.heketi.arbiter`: one brick of each set holds metadata only. The value is a Go boolean.
    pub fn arbiter(&self) -> bool {
        matches!(self.get("user.heketi.arbiter"), Some("1" | "t" | "T" | "TRUE" | "true" | "True"))
    }

    /// `user.heketi.average-file-size` in KiB; `None` if absent, zero or not a number.
    pub fn average_file_size_kib(&self) -> Option<u64> {
        self.get("user.heketi.average-file-size")?.parse().ok().filter(|size| *size > 0)
    }

    /// `user.heketi.zone-checking`, if it says anything.
    pub fn zone_checking(&self) -> Option<&str> {
        self.get("user.heketi.zone-checking").filter(|value| !value.is_empty())
    }

    /// `user.heketi.device-tag-match`, if it says anything.
    pub fn device_tag_match(&self) -> Option<&str> {
        self.get("user.heketi.device-tag-match").filter(|value| !value.is_empty())
    }

    /// The options that are sent to gluster, as (key, value); empty strings are left out.
    pub fn for_gluster(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().filter_map(|option| Self::words(option))
    }

    /// The key and the value of one option as gluster is told them; `None` if it is empty. Blanks around it, such as the
    /// configuration's comma lists leave, do not count.
    pub fn words(option: &str) -> Option<(&str, &str)> {
        let option = option.trim();
        let (key, value) = option.split_once(' ').unwrap_or((option, ""));
        (!option.is_empty()).then(|| (key, value.trim_start()))
    }
}
