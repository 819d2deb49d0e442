//! Which host keys are believed: those in given files only, or those seen first.

use std::fs::OpenOptions;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use russh::keys::known_hosts::known_host_keys_path;
use russh::keys::{Algorithm, HashAlg, PublicKey, PublicKeyBase64, parse_public_key_base64};

use super::key::SshSetupError;
use super::{lock, one_line};

/// A key that a file holds for a host.
struct Known {
    key: PublicKey,
    path: PathBuf,
    line: usize,
}

/// What the files say about a host.
#[derive(Default)]
struct Findings {
    known: Vec<Known>,
    /// Keys that are not to be believed for any host.
    revoked: Vec<Known>,
}

/// The judge of host keys. Files are read at each connection, so editing them needs no restart.
pub(super) struct HostKeys {
    /// The only files believed, or the one where keys are remembered.
    files: Vec<PathBuf>,
    /// Where keys seen first are remembered, unless only given ones are believed.
    trust_file: Option<PathBuf>,
    /// Held while the trust file is read and extended.
    learning: Mutex<()>,
}

impl HostKeys {
    /// Fails if a file that has to be believed cannot be read. A trust file may come into being later.
    pub(super) fn new(strict: Vec<PathBuf>, trust_file: PathBuf) -> Result<Self, SshSetupError> {
        let (files, trust_file) = match strict.is_empty() {
            true => (vec![trust_file.clone()], Some(trust_file)),
            false => (strict, None),
        };
        for path in &files {
            let read = if trust_file.is_some() { read_if_there(path) } else { read_text(path) };
            read.map_err(|reason| SshSetupError::KnownHosts { path: path.clone(), reason })?;
        }
        Ok(Self { files, trust_file, learning: Mutex::default() })
    }

    /// The kinds of keys on record for a host: it is to show one of these, not another that it may have as well.
    pub(super) fn kinds(&self, host: &str, port: u16) -> Vec<Algorithm> {
        // What cannot be read is told when the key is checked.
        let found = self.search(host, port).unwrap_or_default();
        found.known.iter().map(|known| known.key.algorithm()).collect()
    }

    /// Judges a key; a refusal is the reason, without the node's name.
    pub(super) fn check(&self, host: &str, port: u16, key: &PublicKey) -> Result<(), String> {
        let _guard = lock(&self.learning);
        let found = self.search(host, port)?;
        let shown = describe(key);
        if let Some(known) = found.revoked.iter().find(|known| same(&known.key, key)) {
            return Err(format!("host key {shown} is revoked (line {} of {})", known.line, known.path.display()));
        }
        if found.known.iter().any(|known| same(&known.key, key)) {
            return Ok(());
        }
        let mut alike = found.known.iter().filter(|known| known.key.algorithm() == key.algorithm());
        if let Some(known) = alike.next().or(found.known.first()) {
            return Err(format!(
                "the host key has changed: expected {} (line {line} of {path}), the node shows {shown}; if the node was \
                 reinstalled, remove line {line} of {path}, otherwise somebody may be posing as it",
                describe(&known.key),
                line = known.line,
                path = known.path.display(),
            ));
        }
        let Some(trust_file) = &self.trust_file else {
            let names: Vec<String> = self.files.iter().map(|path| path.display().to_string()).collect();
            return Err(format!("host key {shown} is not in {}", names.join(", ")));
        };
        append(trust_file, &pattern(host, port), key)
            .map_err(|error| format!("cannot remember host key {shown} in {}: {error}", trust_file.display()))?;
        tracing::info!("{host}: host key {shown} seen for the first time, trusted from now on");
        Ok(())
    }

    fn search(&self, host: &str, port: u16) -> Result<Findings, String> {
        let mut found = Findings::default();
        for path in &self.files {
            search(path, host, port, &mut found)?;
        }
        Ok(found)
    }
}

/// A key as operators see it elsewhere: its kind and its fingerprint.
fn describe(key: &PublicKey) -> String {
    format!("{} {}", key.algorithm(), key.fingerprint(HashAlg::Sha256))
}

/// Comments do not count.
fn same(a: &PublicKey, b: &PublicKey) -> bool {
    a.key_data() == b.key_data()
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
fn search(path: &Path, host: &str, port: u16, found: &mut Findings) -> Result<(), String> {
    let unreadable = |error: String| format!("cannot read known hosts file {}: {}", path.display(), one_line(&error));
    let text = read_if_there(path).map_err(|error| unreadable(error.to_string()))?;
    let name = pattern(host, port);
    let mut hashed = Vec::new();
    for (line, number) in text.lines().zip(1..) {
        let mut fields = line.split_whitespace().peekable();
        let marker = fields.next_if(|field| field.starts_with('@'));
        let (Some(hosts), Some(_kind), Some(key)) = (fields.next(), fields.next(), fields.next()) else {
            continue;
        };
        let list = match marker {
            _ if hosts.starts_with('#') => continue,
            Some("@revoked") => &mut found.revoked,
            // Authorities sign certificates, which are not accepted.
            Some(_) => continue,
            None if hosts.starts_with("|1|") => &mut hashed,
            None if matches_hosts(hosts, &name, port) => &mut found.known,
            None => continue,
        };
        match parse_public_key_base64(key) {
            Ok(key) => list.push(Known { key, path: path.to_owned(), line: number }),
            Err(error) => tracing::debug!("line {number} of {} has a key of no known kind: {error}", path.display()),
        }
    }
    if !hashed.is_empty() {
        // The library knows how names are hashed, but counts lines in its own way.
        let matches = known_host_keys_path(&host.to_ascii_lowercase(), port, path)
            .map_err(|error| unreadable(error.to_string()))?;
        hashed.retain(|known| matches.iter().any(|(_, key)| same(key, &known.key)));
        found.known.append(&mut hashed);
    }
    Ok(())
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
    match pattern.split_first() {
        None => text.is_empty(),
        Some((b'*', rest)) => (0..=text.len()).any(|skipped| text.get(skipped..).is_some_and(|t| wildcard(rest, t))),
        Some((p, rest)) => text.split_first().is_some_and(|(t, text)| (p == t || *p == b'?') && wildcard(rest, text)),
    }
}

/// Adds a line in one write, so that a crash or a second writer never leaves half of one.
fn append(path: &Path, name: &str, key: &PublicKey) -> io::Result<()> {
    let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
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
