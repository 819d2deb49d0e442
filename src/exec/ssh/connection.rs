//! One connection to one node, and one command on it.

use std::borrow::Cow;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use russh::client::{self, DisconnectReason, Handle, Msg};
use russh::keys::{Algorithm, HashAlg, PrivateKeyWithHashAlg, PublicKeyOrCertificate};
use russh::{Channel, ChannelMsg, ChannelOpenFailure, Preferred, Sig};
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::{Failure, Shared, one_line};
use crate::exec::{Output, TransportErrorKind};

/// Most bytes that a command may write to each of its two outputs.
const OUTPUT_LIMIT: usize = 16 * 1024 * 1024;
/// Pause before a node that refused a channel is asked again, and what it doubles up to.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(160));

/// What came of a request to run a command.
pub(super) enum Outcome {
    /// It ran to its end.
    Ran(Output),
    /// The connection was lost before the command was sent: it may be sent on another one.
    NotSent(Failure),
    /// Neither; not to be sent again.
    Failed(Failure),
}

/// A logged-in connection. The session ends when this and all channels are dropped.
pub(super) struct Connection {
    handle: Handle<Watcher>,
    /// Why the session ended.
    end: Arc<OnceLock<String>>,
    /// Not to be given to further commands. Shared with the channels in use, which are counted so.
    retired: Arc<AtomicBool>,
}

/// Judges the host key, and notes the end of the session.
struct Watcher {
    shared: Arc<Shared>,
    host: String,
    end: Arc<OnceLock<String>>,
}

#[derive(Debug)]
enum SessionError {
    Ssh(russh::Error),
    HostKey(String),
}

impl From<russh::Error> for SessionError {
    fn from(error: russh::Error) -> Self {
        Self::Ssh(error)
    }
}

impl client::Handler for Watcher {
    type Error = SessionError;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        let PublicKeyOrCertificate::PublicKey { key, .. } = shown else {
            let text = "the node shows a host certificate, a plain host key is needed";
            return Err(SessionError::HostKey(text.to_owned()));
        };
        let (shared, host, key) = (Arc::clone(&self.shared), self.host.clone(), key.clone());
        tokio::task::spawn_blocking(move || shared.host_keys.check(&host, shared.settings.port, &key))
            .await
            .unwrap_or_else(|error| Err(error.to_string()))
            .map_err(SessionError::HostKey)?;
        Ok(true)
    }

    async fn disconnected(&mut self, reason: DisconnectReason<Self::Error>) -> Result<(), Self::Error> {
        let text = match reason {
            DisconnectReason::ReceivedDisconnect(info) if !info.message.is_empty() => {
                format!("the node said: {}", one_line(&info.message))
            }
            DisconnectReason::ReceivedDisconnect(_) => "closed by the node".to_owned(),
            DisconnectReason::Error(SessionError::Ssh(error)) => lost_cause(&error),
            DisconnectReason::Error(SessionError::HostKey(cause)) => cause,
        };
        // Only the first reason is the true one.
        let _ = self.end.set(text);
        Ok(())
    }
}

fn lost_cause(error: &russh::Error) -> String {
    match error {
        russh::Error::KeepaliveTimeout | russh::Error::InactivityTimeout => "the node no longer answers".to_owned(),
        russh::Error::Disconnect | russh::Error::HUP => "closed by the node".to_owned(),
        russh::Error::IO(error) => io_cause(error),
        other => one_line(&other.to_string()),
    }
}

fn io_cause(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::HostUnreachable => "host unreachable".to_owned(),
        io::ErrorKind::NetworkUnreachable => "network unreachable".to_owned(),
        io::ErrorKind::ConnectionReset => "connection reset by the node".to_owned(),
        io::ErrorKind::UnexpectedEof => "closed by the node".to_owned(),
        io::ErrorKind::TimedOut => "no answer".to_owned(),
        _ => one_line(&error.to_string()),
    }
}

impl Connection {
    /// Connects, checks the host key and logs in.
    pub(super) async fn open(shared: &Arc<Shared>, host: &str) -> Result<Self, Failure> {
        let limit = shared.timing.connect;
        timeout(limit, Self::establish(shared, host)).await.unwrap_or_else(|_| Err(no_answer(limit)))
    }

    async fn establish(shared: &Arc<Shared>, host: &str) -> Result<Self, Failure> {
        // Such a name cannot resolve, and must not reach a file of host keys.
        if host.is_empty() || !host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_:%".contains(&b)) {
            return Err(Failure::connect("not a host name"));
        }
        let stream = dial(shared, host).await?;
        let end = Arc::new(OnceLock::new());
        let watcher = Watcher { shared: Arc::clone(shared), host: host.to_owned(), end: Arc::clone(&end) };
        let (known, name) = (Arc::clone(shared), host.to_owned());
        let config = tokio::task::spawn_blocking(move || config(&known, &name))
            .await
            .map_err(|error| Failure::connect(error.to_string()))?;
        let connected = client::connect_stream(Arc::new(config), stream, watcher).await;
        let mut handle = connected.map_err(|error| match error {
            SessionError::HostKey(cause) => Failure::new(TransportErrorKind::HostKey, cause),
            SessionError::Ssh(error) => Failure::connect(format!("SSH handshake failed: {}", lost_cause(&error))),
        })?;
        log_in(shared, &mut handle).await?;
        tracing::info!("{host}: connected");
        Ok(Self { handle, end, retired: Arc::default() })
    }

    /// Whether further commands may be sent on it.
    pub(super) fn is_usable(&self) -> bool {
        !self.retired.load(Ordering::Relaxed) && !self.handle.is_closed()
    }

    /// Runs one command in a channel of its own.
    ///
    /// `permit` is held until the node has let go of the channel, which can be later than this returns.
    pub(super) async fn run(
        &self,
        shared: &Shared,
        line: &str,
        limit: Duration,
        permit: OwnedSemaphorePermit,
    ) -> Outcome {
        let channel = match self.open_channel(shared, limit).await {
            Ok(channel) => channel,
            Err(outcome) => return outcome,
        };
        if channel.exec(true, line).await.is_err() {
            // The session was gone before it took the request.
            return self.lost_idle();
        }
        let share = Share { _permit: permit, retired: Arc::clone(&self.retired) };
        let (stdout, stderr) = (Vec::new(), Vec::new());
        Running { channel, stdout, stderr, status: None, ended: false, share }.follow(self, shared, limit).await
    }

    async fn open_channel(&self, shared: &Shared, limit: Duration) -> Result<Channel<Msg>, Outcome> {
        let patience = shared.timing.patience;
        let deadline = Instant::now() + limit;
        let mut last_busy = Instant::now();
        let (mut pause, longest) = PAUSES;
        loop {
            let cause = match timeout(shared.timing.connect, self.handle.channel_open_session()).await {
                Ok(Ok(channel)) => return Ok(channel),
                Ok(Err(russh::Error::ChannelOpenFailure(cause))) => cause,
                Ok(Err(_)) => return Err(self.lost_idle()),
                Err(_) => {
                    // Commands that run on it may yet end well; no further one goes there.
                    self.retired.store(true, Ordering::Relaxed);
                    return Err(Outcome::NotSent(no_answer(shared.timing.connect)));
                }
            };
            // The node allows fewer sessions than we use. While some of ours run, one will end.
            let now = Instant::now();
            if Arc::strong_count(&self.retired) > 1 {
                last_busy = now;
            }
            if now >= deadline.min(last_busy + patience) || cause == ChannelOpenFailure::UnknownChannelType {
                self.retired.store(true, Ordering::Relaxed);
                return Err(Outcome::NotSent(Failure::connect(format!(
                    "the node refuses to open a session ({}), see MaxSessions in its sshd_config",
                    cause.description().to_ascii_lowercase()
                ))));
            }
            sleep(pause).await;
            pause = longest.min(pause * 2);
        }
    }

    /// The connection was lost while nothing of this command had been sent.
    fn lost_idle(&self) -> Outcome {
        Outcome::NotSent(Failure::connect(format!("connection lost{}", self.reason())))
    }

    fn reason(&self) -> String {
        self.end.get().map(|reason| format!(" ({reason})")).unwrap_or_default()
    }
}

/// A command's share of a connection, until the node has let go of its channel.
struct Share {
    _permit: OwnedSemaphorePermit,
    retired: Arc<AtomicBool>,
}

/// A command under way.
struct Running {
    channel: Channel<Msg>,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    status: Option<u32>,
    /// No more output will come.
    ended: bool,
    share: Share,
}

impl Running {
    async fn follow(mut self, connection: &Connection, shared: &Shared, limit: Duration) -> Outcome {
        let deadline = Instant::now() + limit;
        let failed = |kind, text: String| Outcome::Failed(Failure::new(kind, text));
        let mut quiet_since = Instant::now();
        loop {
            // Output may follow the exit status, but a daemon that the command left behind may hold it open for ever.
            let until = match self.status {
                Some(_) => deadline.min(quiet_since + shared.timing.drain),
                None => deadline,
            };
            let message = match timeout_at(until, self.channel.wait()).await {
                Ok(message) => message,
                Err(_) if self.status.is_some() => {
                    return Outcome::Ran(self.give_up(shared, false));
                }
                Err(_) => {
                    self.give_up(shared, true);
                    return failed(
                        TransportErrorKind::Timeout,
                        format!("SSH command timeout after {} s", seconds(limit)),
                    );
                }
            };
            quiet_since = Instant::now();
            match message {
                Some(ChannelMsg::Data { data }) => self.stdout.extend_from_slice(&data),
                Some(ChannelMsg::ExtendedData { data, ext: 1 }) => {
                    self.stderr.extend_from_slice(&data);
                }
                Some(ChannelMsg::ExitStatus { exit_status }) => self.status = Some(exit_status),
                Some(ChannelMsg::ExitSignal { signal_name, .. }) => {
                    self.status = Some(signal_status(&signal_name));
                }
                Some(ChannelMsg::Eof) => self.ended = true,
                // Refused before it was started.
                Some(ChannelMsg::Failure) if self.status.is_none() => {
                    self.give_up(shared, false);
                    return failed(TransportErrorKind::Connect, "the node refused to start the command".to_owned());
                }
                Some(ChannelMsg::Close) => {
                    return match self.status {
                        Some(_) => Outcome::Ran(self.take_output()),
                        None => failed(
                            TransportErrorKind::Dropped,
                            "the node told no exit status; it may have done its work".to_owned(),
                        ),
                    };
                }
                // Without the end of the output, half of an answer could pass for the whole.
                None if self.status.is_some() && self.ended => {
                    return Outcome::Ran(self.take_output());
                }
                None => {
                    return failed(
                        TransportErrorKind::Dropped,
                        format!("connection lost{} while it ran; it may have done its work", connection.reason()),
                    );
                }
                Some(_) => {}
            }
            if self.stdout.len() > OUTPUT_LIMIT || self.stderr.len() > OUTPUT_LIMIT {
                self.give_up(shared, true);
                return failed(
                    TransportErrorKind::Dropped,
                    format!(
                        "output exceeds {} MiB; the command was killed and may have done its work",
                        OUTPUT_LIMIT / (1024 * 1024)
                    ),
                );
            }
        }
    }

    fn take_output(&mut self) -> Output {
        Output {
            status: self.status.unwrap_or(255),
            stdout: text(std::mem::take(&mut self.stdout)),
            stderr: text(std::mem::take(&mut self.stderr)),
        }
    }

    /// Closes the channel without waiting: the share of the connection is given back when the node has let go. If it does
    /// not, the connection gets no more commands.
    fn give_up(mut self, shared: &Shared, kill: bool) -> Output {
        let output = self.take_output();
        let patience = shared.timing.patience;
        tokio::spawn(async move {
            let Self { mut channel, share, .. } = self;
            let farewell = async {
                if kill {
                    let _ = channel.signal(Sig::KILL).await;
                }
                let _ = channel.close().await;
                while let Some(message) = channel.wait().await {
                    if matches!(message, ChannelMsg::Close) {
                        break;
                    }
                }
            };
            // A command that hangs keeps its session on the node, which allows a connection only so many.
            if timeout(patience, farewell).await.is_err() {
                share.retired.store(true, Ordering::Relaxed);
            }
        });
        output
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// 128 and the number of the signal on Linux, as a shell has it.
fn signal_status(signal: &Sig) -> u32 {
    let number = match signal {
        Sig::HUP => 1,
        Sig::INT => 2,
        Sig::QUIT => 3,
        Sig::ILL => 4,
        Sig::ABRT => 6,
        Sig::FPE => 8,
        Sig::KILL => 9,
        Sig::USR1 => 10,
        Sig::SEGV => 11,
        Sig::PIPE => 13,
        Sig::ALRM => 14,
        Sig::TERM => 15,
        Sig::Custom(_) => return 255,
    };
    128 + number
}

/// A duration as text, to the tenth of a second.
fn seconds(limit: Duration) -> f64 {
    (limit.as_secs_f64() * 10.0).round() / 10.0
}

fn no_answer(limit: Duration) -> Failure {
    Failure::connect(format!("no answer within {} s", seconds(limit)))
}

/// A TCP connection to the first address that takes one.
async fn dial(shared: &Shared, host: &str) -> Result<TcpStream, Failure> {
    let addresses: Vec<_> = match lookup_host((host, shared.settings.port)).await {
        Ok(found) => found.collect(),
        Err(error) => return Err(Failure::connect(format!("name does not resolve: {}", one_line(&error.to_string())))),
    };
    // A dead address must not use up the time of those after it.
    let share = shared.timing.connect / u32::try_from(addresses.len()).unwrap_or(u32::MAX).max(1);
    let mut failure = Failure::connect("name does not resolve");
    for address in addresses {
        match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Small requests must not wait for each other's acknowledgement.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!("{host}: cannot set TCP_NODELAY: {error}");
                }
                return Ok(stream);
            }
            Ok(Err(error)) => failure = Failure::connect(io_cause(&error)),
            Err(_) => failure = no_answer(share),
        }
    }
    Err(failure)
}

fn config(shared: &Shared, host: &str) -> client::Config {
    let kinds = shared.host_keys.kinds(host, shared.settings.port);
    let on_record = |offered: &Algorithm| {
        kinds.iter().any(|kind| match (kind, offered) {
            (Algorithm::Rsa { .. }, Algorithm::Rsa { .. }) => true,
            _ => kind == offered,
        })
    };
    let mut algorithms: Vec<Algorithm> = Preferred::DEFAULT
        .key
        .iter()
        .filter(|algorithm| !matches!(algorithm, Algorithm::Rsa { hash: None }))
        .cloned()
        .collect();
    algorithms.sort_by_key(|algorithm| !on_record(algorithm));

    let timing = &shared.timing;
    client::Config {
        preferred: Preferred { key: Cow::Owned(algorithms), ..Preferred::DEFAULT },
        keepalive_interval: Some(timing.keepalive),
        keepalive_max: 3,
        // Answers to keepalives count as activity. This ends what keepalives do not cover: a handshake that hangs and
        // a write that nobody takes.
        inactivity_timeout: Some(timing.keepalive * 4 + Duration::from_secs(5)),
        nodelay: true,
        ..client::Config::default()
    }
}

async fn log_in(shared: &Shared, handle: &mut Handle<Watcher>) -> Result<(), Failure> {
    let settings = &shared.settings;
    let refused = |detail: &str| {
        let text = format!("the node refused key {} for user {}{detail}", settings.keyfile.display(), settings.user);
        Failure::new(TransportErrorKind::Auth, text)
    };
    let lost = |error: russh::Error| Failure::connect(format!("SSH login failed: {}", lost_cause(&error)));

    let mut hash = None;
    if shared.key.algorithm().is_rsa() {
        // SHA-1 is never used, even if the node knows nothing else.
        hash = match handle.best_supported_rsa_hash().await.map_err(lost)? {
            Some(None) => return Err(refused(" (it takes RSA keys with SHA-1 only)")),
            Some(best) => best,
            None => Some(HashAlg::Sha512),
        };
    }
    let key = PrivateKeyWithHashAlg::new(Arc::clone(&shared.key), hash);
    match handle.authenticate_publickey(settings.user.clone(), key).await.map_err(lost)? {
        client::AuthResult::Success => Ok(()),
        client::AuthResult::Failure { partial_success: true, .. } => Err(refused(" alone: it wants a further proof")),
        client::AuthResult::Failure { .. } => Err(refused("")),
    }
}
