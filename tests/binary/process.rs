//! A server process, its folder and what it says.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::Client;

/// Longer than anything here takes on a busy machine.
pub const BOUND: Duration = Duration::from_secs(60);

pub const ADMIN_KEY: &str = "Key-of-the-admin-0815";
pub const USER_KEY: &str = "Key-of-the-user-4711";

/// Waits until `ready` gives something. Panics when that takes too long.
pub fn wait_for<T>(what: &str, mut ready: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = ready() {
            return found;
        }
        assert!(began.elapsed() < BOUND, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A folder with a configuration, a database and keys.
pub struct Place {
    folder: TempDir,
}

impl Place {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A configuration that works: simulated nodes, any free port, no timers.
    pub fn config(&self) -> Value {
        json!({
            "port": "",
            "jwt": {"admin": {"key": ADMIN_KEY}, "user": {"key": USER_KEY}},
            "glusterfs": {
                "executor": "mock",
                "db": self.path("heketi.db"),
                "loglevel": "debug",
                "disable_monitor_gluster_nodes": true,
            },
        })
    }

    /// Writes the configuration file, readable by its owner alone, and gives its path.
    pub fn write_config(&self, config: &Value) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let path = self.path("heketi.json");
        std::fs::write(&path, serde_json::to_vec_pretty(config).unwrap()).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    /// Starts a server with this configuration and waits until it listens.
    pub fn start_with(&self, config: &Value) -> Server {
        Server::start(&["--config", self.write_config(config).to_str().unwrap()], &[])
    }

    /// Starts a server on simulated nodes.
    pub fn start(&self) -> Server {
        self.start_with(&self.config())
    }
}

/// The binary, with nothing of this process's environment.
pub fn heketi(args: &[&str], env: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_heketi"));
    command.args(args).env_clear().envs(env.iter().copied()).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Lines as they come, for others to wait for.
#[derive(Default)]
struct Lines {
    text: Mutex<String>,
    more: Condvar,
}

impl Lines {
    fn collect(self: &Arc<Self>, stream: impl Read + Send + 'static) -> std::thread::JoinHandle<()> {
        let lines = Arc::clone(self);
        std::thread::spawn(move || {
            let mut reader = BufReader::new(stream);
            let mut line = String::new();
            while reader.read_line(&mut line).is_ok_and(|read| read > 0) {
                lines.text.lock().unwrap().push_str(&line);
                lines.more.notify_all();
                line.clear();
            }
        })
    }
}

/// A running server. Killed when dropped.
pub struct Server {
    child: Child,
    out: Arc<Lines>,
    err: Arc<Lines>,
    readers: Vec<std::thread::JoinHandle<()>>,
    pub port: u16,
}

impl Server {
    pub fn start(args: &[&str], env: &[(&str, &str)]) -> Self {
        Self::run(&mut heketi(args, env))
    }

    /// Runs a command that becomes a server.
    pub fn run(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (out, err) = (Arc::<Lines>::default(), Arc::<Lines>::default());
        let readers = vec![out.collect(child.stdout.take().unwrap()), err.collect(child.stderr.take().unwrap())];
        let mut server = Self { child, out, err, readers, port: 0 };
        let line = server.line_with("Listening on port ");
        server.port = line.trim().strip_prefix("Listening on port ").unwrap().parse().unwrap();
        server
    }

    pub fn admin(&self) -> Client {
        Client::new(self.port, Some(("admin", ADMIN_KEY)))
    }

    pub fn user(&self) -> Client {
        Client::new(self.port, Some(("user", USER_KEY)))
    }

    pub fn anonymous(&self) -> Client {
        Client::new(self.port, None)
    }

    pub fn said_on_stderr(&self, part: &str) -> bool {
        self.err.text.lock().unwrap().contains(part)
    }

    /// Waits for a line on standard output.
    pub fn line_with(&mut self, part: &str) -> String {
        let began = Instant::now();
        let mut text = self.out.text.lock().unwrap();
        loop {
            if let Some(line) = text.lines().find(|line| line.contains(part)) {
                return line.to_owned();
            }
            let ended = self.child.try_wait().unwrap();
            assert!(
                ended.is_none() && began.elapsed() < BOUND,
                "no line with {part:?} ({ended:?}) in {text}\n{}",
                self.err.text.lock().unwrap()
            );
            text = self.out.more.wait_timeout(text, Duration::from_millis(100)).unwrap().0;
        }
    }

    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// As a power cut ends it.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub fn has_ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Waits for the end; gives the exit status, standard output and standard error.
    pub fn wait(mut self) -> (ExitStatus, String, String) {
        let status = wait_for("the end of the server", || self.has_ended());
        for reader in self.readers.drain(..) {
            reader.join().unwrap();
        }
        let taken = |lines: &Lines| std::mem::take(&mut *lines.text.lock().unwrap());
        (status, taken(&self.out), taken(&self.err))
    }

    /// Ends it by SIGTERM, and checks that it ends well.
    pub fn stop(self) -> (String, String) {
        self.signal("TERM");
        let (status, out, err) = self.wait();
        assert_eq!(status.code(), Some(0), "{out}\n{err}");
        assert!(out.ends_with("Shutting down...\n") || out.contains("Shutting down...\n"), "{out}");
        (out, err)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
