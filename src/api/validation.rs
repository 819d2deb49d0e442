//! Checks of requests, and the one text they end in (spec-api.md 1.4).

use std::collections::BTreeMap;
use std::net::IpAddr;

/// What is wrong with a request (400): one message a key, by ascending key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Invalid(BTreeMap<&'static str, String>);

impl std::fmt::Display for Invalid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "validation failed: {}", self.list())
    }
}

impl Invalid {
    fn list(&self) -> String {
        let items: Vec<_> = self.0.iter().map(|(key, message)| format!("{key}: {message}")).collect();
        format!("{}.", items.join("; "))
    }

    /// Adds a message for a key, if there is one.
    pub fn check(&mut self, key: &'static str, message: Option<String>) {
        if let Some(message) = message {
            self.0.entry(key).or_insert(message);
        }
    }

    /// Adds what is wrong with an object within.
    pub fn nested(&mut self, key: &'static str, inner: &Self) {
        if !inner.0.is_empty() {
            self.check(key, Some(format!("({})", inner.list())));
        }
    }

    /// An error if anything was added.
    pub fn result(self) -> Result<(), Self> {
        if self.0.is_empty() { Ok(()) } else { Err(self) }
    }
}

/// Rules, each with the reference's message.
pub mod rules {
    use super::{BTreeMap, IpAddr};

    fn blank() -> String {
        "cannot be blank".to_owned()
    }

    /// A number that must be at least 1.
    pub fn positive(number: i64) -> Option<String> {
        match number {
            0 => Some(blank()),
            1.. => None,
            _ => Some("must be no less than 1".to_owned()),
        }
    }

    /// A text that must be there.
    pub fn required(text: &str) -> Option<String> {
        text.is_empty().then(blank)
    }

    /// A text that must match, if it is there.
    pub fn format(text: &str, matches: impl Fn(char) -> bool) -> Option<String> {
        (!text.chars().all(matches)).then(|| "must be in a valid format".to_owned())
    }

    /// A name of a volume. One that starts with a hyphen is refused by gluster, or taken for a switch.
    pub fn name(text: &str) -> Option<String> {
        let rest = text.strip_prefix('-').map_or(text, |_| " ");
        format(rest, |c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
    }

    /// An id that must be there.
    pub fn id(text: &str) -> Option<String> {
        required(text).or_else(|| {
            let valid = text.chars().count() == 32 && text.chars().all(|c| c.is_ascii_hexdigit());
            (!valid).then(|| format!("{text} is not a valid UUID"))
        })
    }

    /// The name of a disk.
    pub fn device_name(text: &str) -> Option<String> {
        required(text).or_else(|| {
            let rest = text.strip_prefix('/').filter(|rest| !rest.is_empty());
            match rest {
                Some(rest) => format(rest, |c| c.is_ascii_alphanumeric() || "_.:/-".contains(c)),
                None => Some("must be in a valid format".to_owned()),
            }
        })
    }

    /// A list of host names of which there must be one at least; `kind` is `manage` or `storage`.
    pub fn hosts(hosts: &[String], kind: &str) -> Option<String> {
        if hosts.is_empty() {
            return Some(blank());
        }
        let valid = hosts.iter().all(|host| host.parse::<IpAddr>().is_ok() || is_dns_name(host));
        (!valid).then(|| format!("[{}] is not a valid {kind} hostname", hosts.join(" ")))
    }

    fn is_dns_name(host: &str) -> bool {
        let name = host.strip_suffix(['.', '_']).filter(|name| !name.is_empty()).unwrap_or(host);
        host.chars().filter(|c| *c != '.').count() <= 255
            && name.split('.').all(|label| {
                let first = label.chars().next();
                label.len() <= 63
                    && first.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_')
                    && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
            })
    }

    /// Tags of a node or device.
    pub fn tags(tags: &BTreeMap<String, String>) -> Option<String> {
        if tags.len() > 32 {
            return Some(format!("too many tags specified ({}), up to 32 supported", tags.len()));
        }
        tags.iter().find_map(|(name, value)| {
            if name.is_empty() {
                Some("tag names may not be empty".to_owned())
            } else if name.chars().count() > 32 {
                Some(format!("tag name {name}: the length must be between 1 and 32"))
            } else if value.chars().count() > 64 {
                Some(format!("value of tag {name}: the length must be no more than 64"))
            } else if !name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c)) {
                Some(format!("invalid characters in tag name {name}"))
            } else {
                None
            }
        })
    }
}
