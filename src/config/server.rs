//! The top level of the file (spec-api.md 5.2): what the HTTP server needs.

use std::fmt;
use std::path::PathBuf;

use super::ConfigError;
use super::notes::Notes;
use super::reader::Section;

/// A secret, never shown by `Debug`.
#[derive(Clone, Default)]
pub struct Secret(String);

impl Secret {
    /// Hides a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The bytes, for checking signatures only.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_empty() { "<not set>" } else { "<hidden>" })
    }
}

/// Keys and clock tolerance of tokens (spec-api.md 3).
#[derive(Debug, Clone)]
pub struct JwtSettings {
    /// Key of issuer `admin`. Key `jwt.admin.key`, variable `HEKETI_ADMIN_KEY`.
    pub admin_key: Secret,
    /// Key of issuer `user`. Key `jwt.user.key`, variable `HEKETI_USER_KEY`.
    pub user_key: Secret,
    /// The file itself holds a key, so that nobody else should be able to read it.
    pub keys_in_file: bool,
    /// How far in the future a token may be issued, in seconds. Variable `HEKETI_JWT_IAT_LEEWAY_SECONDS`, default 120.
    pub iat_leeway: u64,
}

impl JwtSettings {
    const DEFAULT_IAT_LEEWAY: u64 = 120;

    pub(super) fn read(root: &Section<'_>, notes: &mut Notes) -> Result<Self, ConfigError> {
        let jwt = root.section("jwt")?;
        let (admin, user) = (jwt.section("admin")?, jwt.section("user")?);
        let iat_leeway = root.env.uint("HEKETI_JWT_IAT_LEEWAY_SECONDS").unwrap_or(Ok(Self::DEFAULT_IAT_LEEWAY));
        Ok(Self {
            admin_key: Secret(admin.text_env("key", "HEKETI_ADMIN_KEY")?.unwrap_or_default()),
            user_key: Secret(user.text_env("key", "HEKETI_USER_KEY")?.unwrap_or_default()),
            keys_in_file: admin.text("key")?.is_some() || user.text("key")?.is_some(),
            iat_leeway: iat_leeway.unwrap_or_else(|bad| {
                notes.warn(format!(
                    "{} not valid: {}, input string: {}, using default: {}",
                    bad.name,
                    bad.reason,
                    bad.text,
                    Self::DEFAULT_IAT_LEEWAY
                ));
                Self::DEFAULT_IAT_LEEWAY
            }),
        })
    }
}

/// Where the server's certificate is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsSettings {
    /// PEM file of the certificate chain. Key `cert_file`.
    pub cert_file: PathBuf,
    /// PEM file of the private key. Key `key_file`.
    pub key_file: PathBuf,
}

impl TlsSettings {
    pub(super) fn read(root: &Section<'_>) -> Result<Option<Self>, ConfigError> {
        let files = (root.text("cert_file")?, root.text("key_file")?);
        if !root.flag("enable_tls")? {
            return Ok(None);
        }
        match files {
            (Some(cert), Some(key)) => Ok(Some(Self { cert_file: cert.into(), key_file: key.into() })),
            _ => Err(ConfigError::invalid("enable_tls needs both cert_file and key_file")),
        }
    }
}

/// Admin state at start (spec-api.md 4.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DefaultState {
    /// `normal`: everything is served.
    #[default]
    Normal,
    /// `read-only`: reads alone are served.
    ReadOnly,
    /// `local-client`: others than local clients may only read.
    LocalClient,
}

impl DefaultState {
    pub(super) fn read(root: &Section<'_>) -> Result<Self, ConfigError> {
        match root.text_env("default_state", "HEKETI_DEFAULT_STATE")?.as_deref() {
            None | Some("normal") => Ok(Self::Normal),
            Some("read-only") => Ok(Self::ReadOnly),
            Some("local-client") => Ok(Self::LocalClient),
            Some(other) => {
                Err(ConfigError::invalid(&format!("unable to set admin state: unknown admin state name: {other}")))
            }
        }
    }
}

/// Tells about settings whose silent absence would surprise.
pub(super) fn note_what_has_no_effect(root: &Section<'_>, notes: &mut Notes) -> Result<(), ConfigError> {
    if root.is_false("use_auth")? {
        notes.info("use_auth has no effect: authentication is on unless --disable-auth is given".to_owned());
    }
    if root.flag("backup_db_to_kube_secret")? || root.env.is_set("HEKETI_BACKUP_DB_TO_KUBE_SECRET") {
        notes.warn("backup_db_to_kube_secret is not supported: no copies of the database are kept".to_owned());
    }
    Ok(())
}
