//! The private key that nodes know us by.

use std::path::{Path, PathBuf};

use russh::keys::{PrivateKey, decode_secret_key};

/// Why the SSH transport cannot be set up; each is one line that names the file.
#[derive(Debug, thiserror::Error)]
pub enum SshSetupError {
    /// The private key is not there, or not for us to read.
    #[error("Unable to read private key file {}: {reason}", path.display())]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: std::io::Error,
    },
    /// The private key has a passphrase, and nobody to type it.
    #[error("Unable to read private key file {}: it is encrypted, a key without passphrase is needed", path.display())]
    KeyEncrypted {
        /// The file.
        path: PathBuf,
    },
    /// The file holds no private key of a kind we know.
    #[error("Unable to read private key file {}: {cause}", path.display())]
    KeyFormat {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// A file of known host keys cannot be read.
    #[error("Unable to read known hosts file {}: {reason}", path.display())]
    KnownHosts {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: std::io::Error,
    },
}

/// Loads a key in OpenSSH, PKCS#1, SEC1 or PKCS#8 form.
pub(super) fn load(path: &Path) -> Result<PrivateKey, SshSetupError> {
    let bytes = std::fs::read(path).map_err(|reason| SshSetupError::KeyFile { path: path.to_owned(), reason })?;
    let text = String::from_utf8_lossy(&bytes);
    let encrypted = || SshSetupError::KeyEncrypted { path: path.to_owned() };
    let malformed = |cause: String| SshSetupError::KeyFormat { path: path.to_owned(), cause };

    // PEM says so in a header or in the title; OpenSSH's own form only inside.
    if text.lines().any(|line| {
        line.starts_with("Proc-Type:") && line.contains("ENCRYPTED") || line.starts_with("-----BEGIN ENCRYPTED ")
    }) {
        return Err(encrypted());
    }
    if !text.contains("PRIVATE KEY-----") {
        return Err(malformed("it holds no private key".to_owned()));
    }
    // The decoder wants bare lines: carriage returns and blanks are an editor's doing.
    let clean: String = text.lines().flat_map(|line| [line.trim(), "\n"]).collect();
    let key = decode_secret_key(&clean, None).map_err(|error| match error {
        russh::keys::Error::KeyIsEncrypted => encrypted(),
        other => malformed(super::one_line(&other.to_string())),
    })?;
    if key.is_encrypted() {
        return Err(encrypted());
    }
    Ok(key)
}
