//! Which host keys are believed: those in given files only, or those seen first.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use russh::keys::known_hosts::known_host_keys_path;
use russh::keys::ssh_key::public::KeyData;
use russh::keys::{Algorithm, HashAlg, PublicKey, PublicKeyBase64, parse_public_key_base64};

use super::key::SshSetupError;
use super::lock;

/// A key that a file holds for a host.
struct Known {
    key: PublicKey,
    path: PathBuf,
    line: usize,
}

/// What one file says about a host.
#[derive(Default)]
struct Findings {
    known: Vec<Known>,
    /// Keys that are not to be believed for any host.
    revoked: Vec<Known>,
}

/// How a key came to be accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Accepted {
    /// It was on record.
    Known,
    /// It was seen for the first time, and is on record now.
    Learned,
    /// It was seen for the first time, and is remembered by this process only.
    NotSaved,
}

/// The judge of host keys. Files are read at each connection, so editing them needs no restart.
pub(super) struct HostKeys {
    /// The only files believed, if there are any.
    strict: Vec<PathBuf>,
    /// Where keys are remembered otherwise.
    trust_file: PathBuf,
    /// Keys that could not be written down. The lock is also held while the trust file is read and extended.
    unsaved: Mutex<Vec<(String, PublicKey)>>,
}

impl HostKeys {
    /// Fails if a file that has to be believed cannot be read.
    pub(super) fn new(strict: Vec<PathBuf>, trust_file: PathBuf) -> Result<Self, SshSetupError> {
        for path in &strict {
            read_text(path).map_err(|source| SshSetupError::KnownHosts { path: path.clone(), source })?;
        }
        if strict.is_empty() {
            read_if_there(&trust_file)
                .map_err(|source| SshSetupError::KnownHosts { path: trust_file.clone(), source })?;
        }
        Ok(Self { strict, trust_file, unsaved: Mutex::new(Vec::new()) })
    }

    /// The kinds of keys on record for a host: it is to show one of these, not another that it may have as well.
    pub(super) fn kinds(&self, host: &str, port: u16) -> Vec<Algorithm> {
        let mut kinds: Vec<Algorithm> = self
            .files()
            .iter()
            .filter_map(|path| search(path, host, port).ok())
            .flat_map(|found| found.known)
            .map(|known| known.key.algorithm())
            .collect();
        let name = pattern(host, port);
        kinds.extend(lock(&self.unsaved).iter().filter(|(host, _)| *host == name).map(|(_, key)| key.algorithm()));
        kinds
    }

    /// Judges a key; a refusal is the reason, without the node's name.
    pub(super) fn check(&self, host: &str, port: u16, key: &PublicKey) -> Result<Accepted, String> {
        if self.strict.is_empty() {
            self.trust_on_first_use(host, port, key)
        } else {
            self.check_strictly(host, port, key)
        }
    }

    fn files(&self) -> &[PathBuf] {
        if self.strict.is_empty() { std::slice::from_ref(&self.trust_file) } else { &self.strict }
    }

    fn check_strictly(&self, host: &str, port: u16, key: &PublicKey) -> Result<Accepted, String> {
        let mut all = Findings::default();
        for path in &self.strict {
            let found = search(path, host, port)?;
            all.known.extend(found.known);
            all.revoked.extend(found.revoked);
        }
        refuse_revoked(&all, key)?;
        if all.known.iter().any(|known| same(&known.key, key)) {
            return Ok(Accepted::Known);
        }
        match all.closest(key) {
            Some(known) => Err(changed(known, key)),
            None => Err(format!("host key {} is not in {}", describe(key), list(&self.strict))),
        }
    }

    fn trust_on_first_use(&self, host: &str, port: u16, key: &PublicKey) -> Result<Accepted, String> {
        let mut unsaved = lock(&self.unsaved);
        let found = search(&self.trust_file, host, port)?;
        refuse_revoked(&found, key)?;
        if found.known.iter().any(|known| same(&known.key, key)) {
            return Ok(Accepted::Known);
        }
        if let Some(known) = found.closest(key) {
            return Err(changed(known, key));
        }

        let name = pattern(host, port);
        if let Some((_, known)) = unsaved.iter().find(|(host, _)| *host == name) {
            if same(known, key) {
                return Ok(Accepted::Known);
            }
            return Err(format!(
                "the host key has changed: expected {} (kept in memory only), the node shows {}; if the node was \
                 reinstalled, restart this server",
                describe(known),
                describe(key)
            ));
        }

        match append(&self.trust_file, &name, key) {
            Ok(()) => Ok(Accepted::Learned),
            Err(error) => {
                tracing::warn!(
                    "cannot write host key of {host} to {}, it will be forgotten at the next restart: {error}",
                    self.trust_file.display()
                );
                unsaved.push((name, key.clone()));
                Ok(Accepted::NotSaved)
            }
        }
    }
}

impl Findings {
    /// The key on record to hold against `key`: one of its kind if there is one.
    fn closest(&self, key: &PublicKey) -> Option<&Known> {
        let mut known = self.known.iter();
        known.clone().find(|known| known.key.algorithm() == key.algorithm()).or_else(|| known.next())
    }
}

/// A key as operators see it elsewhere: its kind and its fingerprint.
pub(super) fn describe(key: &PublicKey) -> String {
    format!("{} {}", key.algorithm(), key.fingerprint(HashAlg::Sha256))
}

fn changed(known: &Known, key: &PublicKey) -> String {
    format!(
        "the host key has changed: expected {} (line {line} of {path}), the node shows {}; if the node was reinstalled, \
         remove line {line} of {path}, otherwise somebody may be posing as it",
        describe(&known.key),
        describe(key),
        line = known.line,
        path = known.path.display(),
    )
}

fn refuse_revoked(found: &Findings, key: &PublicKey) -> Result<(), String> {
    match found.revoked.iter().find(|known| same(&known.key, key)) {
        Some(known) => {
            Err(format!("host key {} is revoked (line {} of {})", describe(key), known.line, known.path.display()))
        }
        None => Ok(()),
    }
}

fn list(paths: &[PathBuf]) -> String {
    let names: Vec<String> = paths.iter().map(|p| p.display().to_string()).collect();
    names.join(", ")
}

/// Comments do not count.
fn same(a: &PublicKey, b: &PublicKey) -> bool {
    let (a, b): (&KeyData, &KeyData) = (a.key_data(), b.key_data());
    a == b
}

/// A host as these files name it.
fn pattern(host: &str, port: u16) -> String {
    let host = host.to_ascii_lowercase();
    if port == 22 { host } else { format!("[{host}]:{port}") }
}

fn read_text(path: &Path) -> io::Result<String> {
    Ok(String::from_utf8_lossy(&std::fs::read(path)?).into_owned())
}

fn read_if_there(path: &Path) -> io::Result<String> {
    match read_text(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        other => other,
    }
}

/// Looks a host up in one file. A file that is not there holds nothing; one that cannot be read is an error, since it
/// may hold another key.
fn search(path: &Path, host: &str, port: u16) -> Result<Findings, String> {
    let text =
        read_if_there(path).map_err(|error| format!("cannot read known hosts file {}: {error}", path.display()))?;
    let name = pattern(host, port);
    let known = |key, line| Known { key, path: path.to_owned(), line };

    let mut found = Findings::default();
    // Real numbers of the lines that the library counts when it looks for hashed names.
    let mut counted = Vec::new();
    let mut hashed = false;
    for (line, number) in text.lines().zip(1..) {
        if !line.starts_with('#') {
            counted.push((number, line.starts_with("|1|")));
        }
        let mut fields = line.split_whitespace().peekable();
        let marker = fields.next_if(|field| field.starts_with('@'));
        let (Some(hosts), Some(_kind), Some(key)) = (fields.next(), fields.next(), fields.next()) else {
            continue;
        };
        match marker {
            Some("@revoked") => {
                if let Ok(key) = parse_public_key_base64(key) {
                    found.revoked.push(known(key, number));
                }
            }
            // Authorities sign certificates, which are not accepted.
            Some(_) => {}
            None if hosts.starts_with('#') => {}
            None if hosts.starts_with("|1|") => hashed = true,
            None if matches_hosts(hosts, &name, port) => match parse_public_key_base64(key) {
                Ok(key) => found.known.push(known(key, number)),
                Err(error) => tracing::debug!("line {number} of {} holds no host key we know: {error}", path.display()),
            },
            None => {}
        }
    }

    if hashed {
        let matches = known_host_keys_path(&host.to_ascii_lowercase(), port, path).map_err(|error| {
            format!("cannot read a line for this node in {}: {}", path.display(), super::one_line(&error.to_string()))
        })?;
        for (position, key) in matches {
            // Lines with names in the clear were seen above, with more care.
            if let Some(&(number, true)) = counted.get(position.saturating_sub(1)) {
                found.known.push(known(key, number));
            }
        }
    }
    Ok(found)
}

/// Whether the first field of a line is about `name`: patterns with commas between, `!` excludes.
fn matches_hosts(hosts: &str, name: &str, port: u16) -> bool {
    let mut matched = false;
    for item in hosts.split(',') {
        let (negated, item) = match item.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, item),
        };
        let item = item.to_ascii_lowercase();
        let item = match item.strip_prefix('[').and_then(|rest| rest.strip_suffix("]:22")) {
            Some(host) if port == 22 => host.to_owned(),
            _ => item,
        };
        if wildcard(item.as_bytes(), name.as_bytes()) {
            if negated {
                return false;
            }
            matched = true;
        }
    }
    matched
}

/// `*` is any text, `?` any one byte.
fn wildcard(pattern: &[u8], text: &[u8]) -> bool {
    // Rows of the classic table: which prefixes of `text` the pattern so far matches.
    let mut row = vec![false; text.len() + 1];
    if let Some(first) = row.first_mut() {
        *first = true;
    }
    for &p in pattern {
        let mut next = Vec::with_capacity(row.len());
        let mut before = None::<bool>;
        for (i, &here) in row.iter().enumerate() {
            let byte = i.checked_sub(1).and_then(|i| text.get(i));
            let value = if p == b'*' {
                here || next.last().copied().unwrap_or(false)
            } else {
                before.unwrap_or(false) && (p == b'?' || byte == Some(&p))
            };
            next.push(value);
            before = Some(here);
        }
        row = next;
    }
    row.last().copied().unwrap_or(false)
}

/// Adds a line in one write, so that a crash or a second writer never leaves half of one.
fn append(path: &Path, name: &str, key: &PublicKey) -> io::Result<()> {
    let mut file: File = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
    let mut line = String::new();
    if file.seek(SeekFrom::End(-1)).is_ok() {
        let mut last = [0_u8; 1];
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            line.push('\n');
        }
    }
    line.push_str(&format!("{name} {} {}\n", key.algorithm(), key.public_key_base64()));
    file.write_all(line.as_bytes())?;
    file.sync_data()
}

#[cfg(test)]
mod tests {
    use super::{matches_hosts, wildcard};

    #[test]
    fn patterns() {
        assert!(wildcard(b"node*", b"node10"));
        assert!(wildcard(b"*", b""));
        assert!(wildcard(b"no?e*0", b"node10"));
        assert!(!wildcard(b"node?", b"node10"));
        assert!(!wildcard(b"node10", b"node1"));
        assert!(matches_hosts("a,Node1,b", "node1", 22));
        assert!(matches_hosts("[node1]:22", "node1", 22));
        assert!(matches_hosts("[node1]:2222", "[node1]:2222", 2222));
        assert!(!matches_hosts("node1", "[node1]:2222", 2222));
        assert!(!matches_hosts("node*,!node1", "node1", 22));
    }
}
