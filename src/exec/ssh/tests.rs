//! Against a real sshd on the loopback interface. Where there is none, or it cannot log anybody in because the tests do
//! not run as root, these tests say so and pass.

use std::collections::HashSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::{LINE_LIMIT, SshTransport, Timing};
use crate::exec::{Cmd, Output, SshSettings, Transport, TransportError, TransportErrorKind};

const SSHD: &str = "/usr/sbin/sshd";
const HOST: &str = "127.0.0.1";
/// Nothing here takes as long.
const BOUND: Duration = Duration::from_secs(20);

/// An sshd that lets root in with the key `id`.
struct Sshd {
    child: Child,
    dir: TempDir,
    port: u16,
}

impl Sshd {
    fn start() -> Option<Self> {
        Self::start_with("", &["-t", "ed25519"])
    }

    /// With lines for its configuration, and options of ssh-keygen for the key.
    fn start_with(lines: &str, key: &[&str]) -> Option<Self> {
        let root = Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout == b"0\n");
        if !root || !Path::new(SSHD).exists() || Command::new("ssh-keygen").arg("-?").output().is_err() {
            eprintln!("skipped: needs root, {SSHD} and ssh-keygen");
            return None;
        }
        // sshd wants this directory; packages make it at boot.
        fs::create_dir_all("/run/sshd").unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name).display().to_string();
        keygen(&dir.path().join("host"), &["-t", "ed25519"]);
        keygen(&dir.path().join("id"), key);
        let port = free_port();
        let config = format!(
            "ListenAddress {HOST}:{port}\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nUsePAM no\nStrictModes no\n\
             PermitRootLogin yes\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nLogLevel ERROR\n{lines}\n",
            path("host"),
            path("id.pub"),
        );
        fs::write(dir.path().join("config"), config).unwrap();
        let child = Command::new(SSHD).args(["-D", "-e", "-f", &path("config")]).stderr(Stdio::piped()).spawn();
        let mut sshd = Self { child: child.unwrap(), dir, port };
        let since = Instant::now();
        while TcpStream::connect((HOST, port)).is_err() {
            if since.elapsed() > BOUND || sshd.child.try_wait().unwrap().is_some() {
                let _ = sshd.child.kill();
                let said: Vec<_> =
                    BufReader::new(sshd.child.stderr.take().unwrap()).lines().map_while(Result::ok).collect();
                panic!("sshd does not start: {said:?}");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Some(sshd)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn settings(&self) -> SshSettings {
        SshSettings {
            keyfile: self.path("id"),
            user: "root".to_owned(),
            port: self.port,
            sudo: false,
            known_hosts: Vec::new(),
            trust_file: self.path("trusted"),
        }
    }

    fn transport(&self) -> SshTransport {
        transport(self.settings())
    }

    /// The kind and text of the host key, as known-hosts files have it.
    fn host_key(&self) -> String {
        let text = fs::read_to_string(self.path("host.pub")).unwrap();
        text.split(' ').take(2).collect::<Vec<_>>().join(" ")
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn keygen(path: &Path, options: &[&str]) {
    let made = Command::new("ssh-keygen").args(["-q", "-N", ""]).args(options).arg("-f").arg(path).output().unwrap();
    assert!(made.status.success(), "{made:?}");
}

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

fn transport(settings: SshSettings) -> SshTransport {
    let timing = Timing { patience: Duration::from_secs(2), drain: Duration::from_millis(500), ..Timing::default() };
    SshTransport::with_timing(settings, timing).unwrap()
}

fn sh(script: &str) -> Cmd {
    Cmd::new("sh").arg("-c").single(script).timeout(BOUND)
}

async fn run(transport: &SshTransport, cmd: Cmd) -> Result<Output, TransportError> {
    let ran = tokio::time::timeout(BOUND * 2, transport.run(HOST, &[cmd])).await.expect("a bounded run");
    ran.map(|mut outputs| outputs.remove(0))
}

async fn failure(transport: &SshTransport, kind: TransportErrorKind, parts: &[&str]) -> TransportError {
    let error = run(transport, Cmd::new("true")).await.unwrap_err();
    assert_eq!(error.kind, kind, "{error}");
    for part in parts.iter().chain(&[HOST]) {
        assert!(error.message.contains(part), "no {part:?} in {error}");
    }
    error
}

async fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let since = Instant::now();
    while !done() {
        assert!(since.elapsed() < BOUND, "waited too long until {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn alive(pid: &str) -> bool {
    // A process that nobody has waited for yet is dead all the same.
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap().trim_start().starts_with(['Z', 'X']))
}

/// The sshd process that a process on the node belongs to.
fn session_of(pid: &str) -> String {
    let mut pid = pid.to_owned();
    loop {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        if stat.contains("(sshd") {
            return pid;
        }
        pid = stat.rsplit(')').next().unwrap().split_whitespace().nth(1).unwrap().to_owned();
    }
}

fn kill(pid: &str) {
    assert!(Command::new("kill").args(["-9", pid]).status().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_run_in_order_until_one_fails() {
    let Some(sshd) = Sshd::start() else { return };
    let transport = sshd.transport();
    let cmds = [
        Cmd::new("echo").arg("one"),
        sh("echo out; echo err >&2; exit 3"),
        sh(&format!("touch {}", sshd.path("never").display())),
    ];
    let outputs = transport.run(HOST, &cmds).await.unwrap();
    assert_eq!(outputs.len(), 2);
    assert_eq!(outputs[0], Output { stdout: "one\n".to_owned(), ..Output::default() });
    assert_eq!(outputs[1], Output { status: 3, stdout: "out\n".to_owned(), stderr: "err\n".to_owned() });
    assert!(!sshd.path("never").exists());
    assert!(transport.run(HOST, &[]).await.unwrap().is_empty());

    assert_eq!(run(&transport, Cmd::new("no-such-program")).await.unwrap().status, 127);
    assert_eq!(run(&transport, sh("kill -TERM $$")).await.unwrap().status, 128 + 15);
    let large = run(&transport, sh("head -c 3000000 /dev/zero | tr '\\0' x; echo end >&2")).await.unwrap();
    assert_eq!((large.stdout.len(), large.stderr.as_str()), (3_000_000, "end\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_has_begun_is_never_said_not_to_have_run() {
    let Some(sshd) = Sshd::start() else { return };
    let refused = Cmd::new("echo").arg("zero\0byte");
    let alone = sshd.transport().run(HOST, std::slice::from_ref(&refused)).await.unwrap_err();
    assert!(alone.nothing_ran(), "{alone}");
    let second = sshd.transport().run(HOST, &[Cmd::new("true"), refused]).await.unwrap_err();
    assert!(!second.nothing_ran(), "{second}");
}

#[tokio::test(flavor = "multi_thread")]
async fn words_arrive_as_they_were() {
    let Some(sshd) = Sshd::start() else { return };
    let transport = sshd.transport();
    for word in ["", "it's", "'; touch /nowhere; '", "$(id) `id` $HOME", "\"a\" \\ !x * ~ # é", "a\nb", "'\\''", "-n"]
    {
        let cmd = Cmd::new("printf").arg("%s|%s|%s").arg(word).single(word).double(word);
        assert_eq!(run(&transport, cmd).await.unwrap().stdout, format!("{word}|{word}|{word}"));
    }
    for bad in ["a\0b".to_owned(), "x".repeat(LINE_LIMIT)] {
        let error = run(&transport, Cmd::new("echo").arg(bad)).await.unwrap_err();
        assert!(error.nothing_ran() && error.message.contains("not sent"), "{error}");
    }
    let long = "x".repeat(LINE_LIMIT - 100);
    assert_eq!(run(&transport, Cmd::new("printf").arg(long.as_str())).await.unwrap().stdout, long);
}

#[test]
fn sudo_goes_inside_the_quotes() {
    let dir = tempfile::tempdir().unwrap();
    let keyfile = dir.path().join("id");
    if Command::new("ssh-keygen").arg("-?").output().is_err() {
        eprintln!("skipped: needs ssh-keygen");
        return;
    }
    keygen(&keyfile, &["-t", "ed25519"]);
    let mut settings = SshSettings {
        keyfile,
        user: "heketi".to_owned(),
        port: 22,
        sudo: true,
        known_hosts: Vec::new(),
        trust_file: dir.path().join("trusted"),
    };
    assert_eq!(transport(settings.clone()).wrap("echo 'a'"), r"/bin/bash -c 'sudo echo '\''a'\'''");
    settings.sudo = false;
    assert_eq!(transport(settings).wrap("lvs"), "/bin/bash -c 'lvs'");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hung_command_times_out() {
    let Some(sshd) = Sshd::start() else { return };
    let transport = sshd.transport();
    let pid = sshd.path("pid");
    let hung = sh(&format!("echo $$ > {}; exec sleep 60", pid.display())).timeout(Duration::from_secs(4));
    let since = Instant::now();
    let error = run(&transport, hung).await.unwrap_err();
    assert!(since.elapsed() < Duration::from_secs(55), "its end was waited for");
    assert_eq!(error.kind, TransportErrorKind::Timeout);
    assert!(error.message.contains("SSH command timeout") && error.message.contains(HOST), "{error}");
    assert!(error.message.contains("sleep 60"), "{error}");

    // A node that cannot kill it (sshd does not for root) keeps its session, so the connection is replaced.
    let pid = fs::read_to_string(pid).unwrap().trim().to_owned();
    let via = || async { run(&transport, sh("echo $SSH_CONNECTION")).await.unwrap().stdout };
    let (first, since) = (via().await, Instant::now());
    while alive(&pid) && via().await == first {
        assert!(since.elapsed() < BOUND, "the connection is kept");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    if alive(&pid) {
        kill(&pid);
    }

    // The limit is each command's own: all together take longer, none comes near it even on a busy machine.
    let commands = vec![sh("sleep 0.5").timeout(Duration::from_secs(6)); 14];
    assert_eq!(transport.run(HOST, &commands).await.unwrap().len(), 14);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_left_behind_is_not_waited_for() {
    let Some(sshd) = Sshd::start() else { return };
    let output = run(&sshd.transport(), sh("sleep 30 & echo $!; exit 4")).await.unwrap();
    assert_eq!(output.status, 4);
    kill(output.stdout.trim());
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_name_node_and_cause() {
    let Some(sshd) = Sshd::start() else { return };
    keygen(&sshd.path("other"), &["-t", "ed25519"]);
    let wrong = SshSettings { keyfile: sshd.path("other"), ..sshd.settings() };
    let parts = ["refused key", "other", "root"];
    assert!(failure(&transport(wrong), TransportErrorKind::Auth, &parts).await.nothing_ran());

    let closed = SshSettings { port: free_port(), ..sshd.settings() };
    let parts = ["connection refused"];
    assert!(failure(&transport(closed), TransportErrorKind::Connect, &parts).await.nothing_ran());

    let error = sshd.transport().run("no-such-host.invalid", &[Cmd::new("true")]).await.unwrap_err();
    assert_eq!(error.kind, TransportErrorKind::Connect);
    assert!(error.message.contains("no-such-host.invalid") && error.message.contains("resolve"), "{error}");
    assert!(sshd.transport().run("a b", &[Cmd::new("true")]).await.unwrap_err().nothing_ran());

    // Takes connections, and says nothing.
    let silent = TcpListener::bind((HOST, 0)).unwrap();
    let settings = SshSettings { port: silent.local_addr().unwrap().port(), ..sshd.settings() };
    let timing = Timing { connect: Duration::from_millis(300), ..Timing::default() };
    let transport = SshTransport::with_timing(settings, timing).unwrap();
    failure(&transport, TransportErrorKind::Connect, &["no answer within 0.3 s"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_key_seen_first_is_remembered() {
    let Some(sshd) = Sshd::start() else { return };
    run(&sshd.transport(), Cmd::new("true")).await.unwrap();
    let line = format!("[{HOST}]:{} {}\n", sshd.port, sshd.host_key());
    assert_eq!(fs::read_to_string(sshd.path("trusted")).unwrap(), line);
    run(&sshd.transport(), Cmd::new("true")).await.unwrap();
    assert_eq!(fs::read_to_string(sshd.path("trusted")).unwrap(), line);

    for kind in ["ed25519", "ecdsa"] {
        let other = sshd.path(kind);
        keygen(&other, &["-t", kind]);
        let key = fs::read_to_string(other.with_extension("pub")).unwrap();
        fs::write(sshd.path("trusted"), format!("# a remark\n[{HOST}]:{} {key}", sshd.port)).unwrap();
        let parts = ["host key has changed", "line 2 of", "trusted"];
        assert!(failure(&sshd.transport(), TransportErrorKind::HostKey, &parts).await.nothing_ran());
    }

    let nowhere = SshSettings { trust_file: sshd.path("missing/trusted"), ..sshd.settings() };
    failure(&transport(nowhere), TransportErrorKind::HostKey, &["cannot remember"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn given_files_are_the_only_ones_believed() {
    let Some(sshd) = Sshd::start() else { return };
    let strict = SshSettings { known_hosts: vec![sshd.path("a"), sshd.path("b")], ..sshd.settings() };
    assert!(SshTransport::new(strict.clone()).is_err());
    let key = sshd.host_key();
    let here = format!("[{HOST}]:{}", sshd.port);
    fs::write(sshd.path("a"), format!("other {key}\n")).unwrap();
    fs::write(sshd.path("b"), "").unwrap();
    failure(&transport(strict.clone()), TransportErrorKind::HostKey, &["is not in", "ed25519", "SHA256:"]).await;
    assert!(!sshd.path("trusted").exists());

    for line in [format!("{here} {key} node\n"), format!("x,[127.0.*]:{} {key}\n", sshd.port)] {
        fs::write(sshd.path("b"), line).unwrap();
        run(&transport(strict.clone()), Cmd::new("true")).await.unwrap();
    }
    let revoked = format!("{here} {key}\n@revoked * {key}\n");
    fs::write(sshd.path("b"), revoked).unwrap();
    failure(&transport(strict.clone()), TransportErrorKind::HostKey, &["revoked", "line 2"]).await;

    fs::write(sshd.path("b"), format!("# one\n\nelsewhere {key}\n{here} {key}\n")).unwrap();
    let hashed = Command::new("ssh-keygen").args(["-q", "-H", "-f"]).arg(sshd.path("b")).output().unwrap();
    assert!(hashed.status.success(), "{hashed:?}");
    assert!(!fs::read_to_string(sshd.path("b")).unwrap().contains(HOST));
    run(&transport(strict), Cmd::new("true")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_whose_connection_breaks_is_not_sent_again() {
    let Some(sshd) = Sshd::start() else { return };
    let transport = Arc::new(sshd.transport());
    let runs = sshd.path("runs");
    let script = format!("echo $$ >> {}; exec sleep 60", runs.display());
    let task = tokio::spawn({
        let transport = Arc::clone(&transport);
        async move { run(&transport, sh(&script)).await }
    });
    wait_until("the command runs", || fs::read_to_string(&runs).is_ok_and(|text| text.ends_with('\n'))).await;
    let pid = fs::read_to_string(&runs).unwrap().trim().to_owned();
    kill(&session_of(&pid));
    let error = task.await.unwrap().unwrap_err();
    assert_eq!(error.kind, TransportErrorKind::Dropped, "{error}");
    assert!(error.message.contains("connection lost") && error.message.contains(HOST), "{error}");
    assert!(!error.nothing_ran());

    // The next command gets a new connection, and the first has run once.
    assert_eq!(run(&transport, Cmd::new("echo").arg("again")).await.unwrap().stdout, "again\n");
    assert_eq!(fs::read_to_string(&runs).unwrap().lines().count(), 1);
    if alive(&pid) {
        kill(&pid);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_lost_while_idle_is_made_again() {
    let Some(sshd) = Sshd::start() else { return };
    let transport = sshd.transport();
    let parent = || sh("echo $PPID; echo $SSH_CONNECTION");
    let first = run(&transport, parent()).await.unwrap().stdout;
    let session = session_of(first.lines().next().unwrap());
    kill(&session);
    wait_until("the session is gone", || !alive(&session)).await;
    let second = run(&transport, parent()).await.unwrap().stdout;
    assert_ne!(first.lines().nth(1), second.lines().nth(1));

    let session = session_of(second.lines().next().unwrap());
    drop(transport);
    wait_until("the session ends with its transport", || !alive(&session)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_share_one_connection() {
    // Fewer sessions than we use at once: the rest have to wait.
    for (sessions, most) in [(10, 8), (3, 3)] {
        let Some(sshd) = Sshd::start_with(&format!("MaxSessions {sessions}"), &["-t", "ed25519"]) else { return };
        let transport = Arc::new(sshd.transport());
        let marks = sshd.path("marks");
        fs::create_dir(&marks).unwrap();
        let script = format!("cd {}; touch $$; ls | wc -l; sleep 0.3; rm $$; echo $SSH_CONNECTION", marks.display());
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..20 {
            let (transport, cmd) = (Arc::clone(&transport), sh(&script));
            tasks.spawn(async move { run(&transport, cmd).await.unwrap().stdout });
        }
        let outputs = tasks.join_all().await;
        let connections: HashSet<&str> = outputs.iter().map(|output| output.lines().nth(1).unwrap()).collect();
        assert_eq!(connections.len(), 1);
        let busiest =
            outputs.iter().map(|output| output.lines().next().unwrap().trim().parse::<usize>().unwrap()).max();
        assert!(busiest.unwrap() > 1 && busiest.unwrap() <= most, "{busiest:?} at once");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_takes_no_sessions_is_given_up() {
    let Some(sshd) = Sshd::start_with("MaxSessions 0", &["-t", "ed25519"]) else { return };
    failure(&sshd.transport(), TransportErrorKind::Connect, &["MaxSessions"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_node_is_noticed() {
    let Some(sshd) = Sshd::start() else { return };
    let timing = Timing { keepalive: Duration::from_millis(200), ..Timing::default() };
    let transport = Arc::new(SshTransport::with_timing(sshd.settings(), timing).unwrap());
    let session = session_of(run(&transport, sh("echo $PPID")).await.unwrap().stdout.trim());
    let task = tokio::spawn({
        let transport = Arc::clone(&transport);
        // Stops the process that would have answered.
        async move { run(&transport, sh(&format!("kill -STOP {session}; sleep 10"))).await.map_err(|e| (e, session)) }
    });
    let (error, session) = task.await.unwrap().unwrap_err();
    kill(&session);
    assert_eq!(error.kind, TransportErrorKind::Dropped, "{error}");
    assert!(error.message.contains("no longer answers"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_all_kinds() {
    for options in [
        &["-t", "ed25519"][..],
        &["-t", "ecdsa", "-b", "256"],
        &["-t", "ecdsa", "-b", "384"],
        &["-t", "ecdsa", "-b", "521"],
        &["-t", "ecdsa", "-m", "PEM"],
        &["-t", "rsa", "-b", "2048"],
        &["-t", "rsa", "-b", "2048", "-m", "PEM"],
        &["-t", "rsa", "-b", "2048", "-m", "PKCS8"],
    ] {
        let Some(sshd) = Sshd::start_with("", options) else { return };
        let ran = run(&sshd.transport(), Cmd::new("true")).await;
        assert_eq!(ran.map(|output| output.status).map_err(|e| e.message), Ok(0), "{options:?}");
    }
    let Some(sshd) = Sshd::start_with("PubkeyAcceptedAlgorithms ssh-rsa", &["-t", "rsa", "-b", "2048"]) else { return };
    failure(&sshd.transport(), TransportErrorKind::Auth, &["refused key"]).await;
}

#[test]
fn unusable_key_files_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let attempt = |name: &str| {
        let settings = SshSettings {
            keyfile: dir.path().join(name),
            user: "root".to_owned(),
            port: 22,
            sudo: false,
            known_hosts: Vec::new(),
            trust_file: dir.path().join("trusted"),
        };
        let message = SshTransport::new(settings).err().unwrap().to_string();
        assert!(message.contains(name) && !message.contains('\n'), "{message}");
        message
    };
    assert!(attempt("missing").contains("No such file"));
    fs::write(dir.path().join("public"), "ssh-ed25519 AAAA\n").unwrap();
    assert!(attempt("public").contains("no private key"));
    if Command::new("ssh-keygen").arg("-?").output().is_err() {
        return;
    }
    for format in ["RFC4716", "PEM", "PKCS8"] {
        let path = dir.path().join(format);
        let options = ["-q", "-t", "rsa", "-b", "2048", "-N", "secret", "-m", format, "-f"];
        let made = Command::new("ssh-keygen").args(options).arg(&path).output().unwrap();
        assert!(made.status.success(), "{made:?}");
        assert!(attempt(format).contains("encrypted"));
    }
}
