//! One connection to one node, and one command on it.

use std::borrow::Cow;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use russh::client::{self, DisconnectReason, Handle, Msg};
use russh::keys::{Algorithm, HashAlg, PrivateKeyWithHashAlg, PublicKeyOrCertificate};
use russh::{Channel, ChannelMsg, ChannelOpenFailure, Disconnect, Preferred, Sig};
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::host_keys::{Accepted, HostKeys, describe};
use super::{Failure, Shared, one_line};
use crate::exec::{Output, TransportErrorKind};

/// Most bytes that a command may write to each of its two outputs.
pub(super) const OUTPUT_LIMIT: usize = 16 * 1024 * 1024;

/// What came of a request to run a command.
pub(super) enum Outcome {
    /// It ran to its end.
    Ran(Output),
    /// The connection was lost before the command was sent: it may be sent on another one.
    NotSent(Failure),
    /// Neither; not to be sent again.
    Failed(Failure),
}

/// What happens to the session, as told by the library.
#[derive(Default)]
struct Link {
    /// Why it ended.
    reason: OnceLock<String>,
    /// Cancelled when it has ended.
    gone: CancellationToken,
}

/// A logged-in connection.
pub(super) struct Connection {
    handle: Handle<Watcher>,
    link: Arc<Link>,
    /// `host:port` or the address that answered.
    address: String,
    /// Not to be given to further commands.
    retired: AtomicBool,
    /// Commands on it now.
    active: AtomicUsize,
    /// Told each time that a channel is free again.
    freed: Notify,
}

/// Judges the host key, and notes the end of the session.
struct Watcher {
    shared: Arc<Shared>,
    host: String,
    link: Arc<Link>,
    _gone: DropGuard,
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
        let key = match shown {
            PublicKeyOrCertificate::PublicKey { key, .. } => key.clone(),
            PublicKeyOrCertificate::Certificate(_) => {
                return Err(SessionError::HostKey(
                    "the node shows a host certificate, a plain host key is needed".to_owned(),
                ));
            }
        };
        let shared = Arc::clone(&self.shared);
        let host = self.host.clone();
        let port = shared.settings.port;
        let verdict = tokio::task::spawn_blocking(move || {
            let accepted = shared.host_keys.check(&host, port, &key)?;
            if accepted != Accepted::Known {
                tracing::info!("{host}: host key {} seen for the first time, trusted from now on", describe(&key));
            }
            Ok(())
        })
        .await
        .map_err(|error| SessionError::HostKey(error.to_string()))?;
        verdict.map_err(SessionError::HostKey).map(|()| true)
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
        let _ = self.link.reason.set(text);
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
        let port = shared.settings.port;
        let mut address = format!("{host}:{port}");
        let limit = shared.timing.connect;
        match timeout(limit, Self::establish(shared, host, &mut address)).await {
            Ok(result) => result,
            Err(_) => Err(Failure::connect(format!("no answer within {} s", seconds(limit)), &address)),
        }
    }

    async fn establish(shared: &Arc<Shared>, host: &str, address: &mut String) -> Result<Self, Failure> {
        // Such a name cannot resolve, and must not reach a file of host keys.
        if host.is_empty() || !host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_:%".contains(&b)) {
            return Err(Failure::connect("not a host name".to_owned(), address));
        }
        let stream = dial(shared, host, address).await?;

        let link = Arc::new(Link::default());
        let watcher = Watcher {
            shared: Arc::clone(shared),
            host: host.to_owned(),
            link: Arc::clone(&link),
            _gone: link.gone.clone().drop_guard(),
        };
        let config = {
            let shared = Arc::clone(shared);
            let host = host.to_owned();
            tokio::task::spawn_blocking(move || config(&shared, &host))
                .await
                .map_err(|error| Failure::connect(error.to_string(), address))?
        };
        let mut handle =
            client::connect_stream(Arc::new(config), stream, watcher).await.map_err(|error| match error {
                SessionError::HostKey(cause) => {
                    Failure { kind: TransportErrorKind::HostKey, text: cause, address: address.clone() }
                }
                SessionError::Ssh(error) => {
                    Failure::connect(format!("SSH handshake failed: {}", lost_cause(&error)), address)
                }
            })?;
        log_in(shared, &mut handle, address).await?;
        Ok(Self {
            handle,
            link,
            address: address.clone(),
            retired: AtomicBool::new(false),
            active: AtomicUsize::new(0),
            freed: Notify::new(),
        })
    }

    /// Whether further commands may be sent on it.
    pub(super) fn is_usable(&self) -> bool {
        !self.retired.load(Ordering::Relaxed) && !self.handle.is_closed() && !self.link.gone.is_cancelled()
    }

    /// The address that answered.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Ends it; what runs on it is given up. Waits a moment for the farewell to be sent.
    pub(super) async fn close(&self) {
        self.retired.store(true, Ordering::Relaxed);
        let farewell = async {
            let _ = self.handle.disconnect(Disconnect::ByApplication, "", "en").await;
            self.link.gone.cancelled().await;
        };
        let _ = timeout(Duration::from_secs(1), farewell).await;
    }

    /// Runs one command in a channel of its own.
    ///
    /// `permit` is held until the node has let go of the channel, which can be later than this returns.
    pub(super) async fn run(
        self: Arc<Self>,
        shared: &Shared,
        line: &str,
        limit: Duration,
        permit: OwnedSemaphorePermit,
    ) -> Outcome {
        let channel = match self.open_channel(shared, limit).await {
            Ok(channel) => channel,
            Err(outcome) => return outcome,
        };
        let using = Using::new(&self, permit);
        if channel.exec(true, line).await.is_err() {
            // The session was gone before it took the request.
            return Outcome::NotSent(self.lost_idle());
        }
        Running { channel, output: Vec::new(), errors: Vec::new(), status: None, ended: false, using }
            .follow(&self, shared, limit)
            .await
    }

    async fn open_channel(&self, shared: &Shared, limit: Duration) -> Result<Channel<Msg>, Outcome> {
        let timing = &shared.timing;
        let deadline = Instant::now() + limit;
        let mut alone_since: Option<Instant> = None;
        let mut pause = Duration::from_millis(20);
        loop {
            let freed = self.freed.notified();
            let cause = match timeout(timing.connect, self.handle.channel_open_session()).await {
                Ok(Ok(channel)) => return Ok(channel),
                Ok(Err(russh::Error::ChannelOpenFailure(cause))) => cause,
                Ok(Err(_)) => return Err(Outcome::NotSent(self.lost_idle())),
                Err(_) => {
                    // Commands that run on it may yet end well; no further one goes there.
                    self.retired.store(true, Ordering::Relaxed);
                    return Err(Outcome::NotSent(Failure::connect(
                        format!("no answer within {} s", seconds(timing.connect)),
                        &self.address,
                    )));
                }
            };

            // The node allows fewer sessions than we use. While some of ours run, one will end.
            let now = Instant::now();
            let busy = self.active.load(Ordering::Relaxed) > 0;
            alone_since = if busy { None } else { alone_since.or(Some(now)) };
            let hopeless = alone_since.is_some_and(|since| now >= since + timing.refused);
            if hopeless || now >= deadline || cause == ChannelOpenFailure::UnknownChannelType {
                return Err(Outcome::Failed(Failure::connect(
                    format!(
                        "the node refuses to open a session ({}), see MaxSessions in its sshd_config",
                        cause.description().to_ascii_lowercase()
                    ),
                    &self.address,
                )));
            }
            let _ = timeout(pause, freed).await;
            pause = (pause * 2).min(Duration::from_millis(500));
        }
    }

    /// The connection was lost while nothing of this command had been sent.
    fn lost_idle(&self) -> Failure {
        Failure::connect(format!("connection lost{}", self.reason()), &self.address)
    }

    fn reason(&self) -> String {
        match self.link.reason.get() {
            Some(reason) => format!(" ({reason})"),
            None => String::new(),
        }
    }
}

/// A command's share of a connection: counted from its start until the node has let go of its channel.
struct Using {
    connection: Arc<Connection>,
    _permit: OwnedSemaphorePermit,
}

impl Using {
    fn new(connection: &Arc<Connection>, permit: OwnedSemaphorePermit) -> Self {
        connection.active.fetch_add(1, Ordering::Relaxed);
        Self { connection: Arc::clone(connection), _permit: permit }
    }
}

impl Drop for Using {
    fn drop(&mut self) {
        self.connection.active.fetch_sub(1, Ordering::Relaxed);
        self.connection.freed.notify_one();
    }
}

/// A command under way.
struct Running {
    channel: Channel<Msg>,
    output: Vec<u8>,
    errors: Vec<u8>,
    status: Option<u32>,
    /// No more output will come.
    ended: bool,
    using: Using,
}

impl Running {
    async fn follow(mut self, connection: &Connection, shared: &Shared, limit: Duration) -> Outcome {
        let deadline = Instant::now() + limit;
        let address = connection.address();
        let failed = |kind, text: String| Outcome::Failed(Failure { kind, text, address: address.to_owned() });
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
                Some(ChannelMsg::Data { data }) => self.output.extend_from_slice(&data),
                Some(ChannelMsg::ExtendedData { data, ext: 1 }) => {
                    self.errors.extend_from_slice(&data);
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
            if self.output.len() > OUTPUT_LIMIT || self.errors.len() > OUTPUT_LIMIT {
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
            stdout: text(std::mem::take(&mut self.output)),
            stderr: text(std::mem::take(&mut self.errors)),
        }
    }

    /// Closes the channel without waiting: the share of the connection is given back when the node has let go, or
    /// after a while.
    fn give_up(mut self, shared: &Shared, kill: bool) -> Output {
        let output = self.take_output();
        let patience = shared.timing.let_go;
        tokio::spawn(async move {
            let Self { mut channel, using, .. } = self;
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
            let _ = timeout(patience, farewell).await;
            drop(using);
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

pub(super) fn seconds(limit: Duration) -> String {
    format!("{}", (limit.as_secs_f64() * 10.0).round() / 10.0)
}

/// A TCP connection to the first address that takes one.
async fn dial(shared: &Shared, host: &str, address: &mut String) -> Result<TcpStream, Failure> {
    let addresses: Vec<_> = match lookup_host((host, shared.settings.port)).await {
        Ok(found) => found.collect(),
        Err(_) => Vec::new(),
    };
    if addresses.is_empty() {
        return Err(Failure::connect("name does not resolve".to_owned(), address));
    }
    // A dead address must not use up the time of those after it.
    let share = shared.timing.connect / u32::try_from(addresses.len()).unwrap_or(u32::MAX);
    let mut failure = None;
    for candidate in addresses {
        *address = candidate.to_string();
        match timeout(share, TcpStream::connect(candidate)).await {
            Ok(Ok(stream)) => {
                // Small requests must not wait for each other's acknowledgement.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!("{host}: cannot set TCP_NODELAY: {error}");
                }
                return Ok(stream);
            }
            Ok(Err(error)) => failure = Some(Failure::connect(io_cause(&error), address)),
            Err(_) => {
                failure = Some(Failure::connect(format!("no answer within {} s", seconds(share)), address));
            }
        }
    }
    Err(failure.unwrap_or_else(|| Failure::connect("no answer".to_owned(), address)))
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

async fn log_in(shared: &Shared, handle: &mut Handle<Watcher>, address: &str) -> Result<(), Failure> {
    let refused = |detail: &str| Failure {
        kind: TransportErrorKind::Auth,
        text: format!(
            "the node refused key {} for user {}{detail}",
            shared.settings.keyfile.display(),
            shared.settings.user
        ),
        address: address.to_owned(),
    };
    let interrupted =
        |error: russh::Error| Failure::connect(format!("SSH login failed: {}", lost_cause(&error)), address);

    let mut hash = None;
    let mut detail = "";
    if matches!(shared.key.algorithm(), Algorithm::Rsa { .. }) {
        // SHA-1 is never used, even if the node knows nothing else.
        let best = handle.best_supported_rsa_hash().await.map_err(interrupted)?;
        if best == Some(None) {
            detail = " (it takes RSA keys with SHA-1 only)";
        }
        hash = Some(best.flatten().unwrap_or(HashAlg::Sha512));
    }
    let key = PrivateKeyWithHashAlg::new(Arc::clone(&shared.key), hash);
    match handle.authenticate_publickey(shared.settings.user.clone(), key).await.map_err(interrupted)? {
        client::AuthResult::Success => Ok(()),
        client::AuthResult::Failure { partial_success: true, .. } => Err(refused(" alone: it wants a further proof")),
        client::AuthResult::Failure { .. } => Err(refused(detail)),
    }
}
