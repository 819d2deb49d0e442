//! The server under test, as a process of its own.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde_json::json;

use crate::client::Connection;

pub const ADMIN_KEY: &str = "the administrator's key";

/// Longest that a server may take to start or to end.
const LIMIT: Duration = Duration::from_secs(30);

/// The configuration and, with it, the choice of a port. The log is as talkative as it is by default.
pub fn write_config(folder: &Path) -> anyhow::Result<()> {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    let config = json!({
        "port": port.to_string(),
        "use_auth": true,
        "jwt": {"admin": {"key": ADMIN_KEY}, "user": {"key": "the user's key"}},
        "glusterfs": {
            "executor": "mock",
            "db": folder.join("heketi.db"),
            "max_inflight_operations": 64,
            "max_volumes_per_cluster": -1
        }
    });
    Ok(std::fs::write(folder.join("heketi.json"), config.to_string())?)
}

/// Memory in bytes.
pub struct Memory {
    pub resident: u64,
    pub highest: u64,
}

pub struct Server {
    process: Child,
    address: SocketAddr,
    /// From the start of the process to its first answer.
    pub start_up: Duration,
}

impl Server {
    pub fn start(folder: &Path) -> anyhow::Result<Self> {
        let file = folder.join("heketi.json");
        let config: serde_json::Value = serde_json::from_slice(&std::fs::read(&file)?)?;
        let port = config.get("port").and_then(|port| port.as_str()).context("no port")?.parse()?;
        let log = File::options().create(true).append(true).open(folder.join("log"))?;
        let began = Instant::now();
        let process = Command::new(env!("CARGO_BIN_EXE_heketi"))
            .arg(format!("--config={}", file.display()))
            .env_clear()
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        let mut server = Self { process, address: (Ipv4Addr::LOCALHOST, port).into(), start_up: Duration::ZERO };
        while !server.answers() {
            if let Some(status) = server.process.try_wait()? {
                bail!("the server ended at once with {status}: {}", std::fs::read_to_string(folder.join("log"))?);
            }
            if began.elapsed() > LIMIT {
                bail!("the server does not answer");
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        server.start_up = began.elapsed();
        Ok(server)
    }

    fn answers(&self) -> bool {
        self.connect().is_ok_and(|mut connection| {
            connection.send(b"GET /hello HTTP/1.1\r\nhost: localhost\r\n\r\n").is_ok()
                && connection.receive().is_ok_and(|answer| answer.status == 200)
        })
    }

    pub fn connect(&self) -> anyhow::Result<Connection> {
        Connection::open(self.address)
    }

    /// Processor time of all its threads so far, as finely as the kernel counts it.
    pub fn busy(&self) -> anyhow::Result<Duration> {
        let mut nanoseconds = 0;
        for task in std::fs::read_dir(format!("/proc/{}/task", self.process.id()))? {
            // A thread that has ended meanwhile had next to nothing to do.
            let text = std::fs::read_to_string(task?.path().join("schedstat")).unwrap_or_default();
            nanoseconds += text.split(' ').next().and_then(|number| number.parse::<u64>().ok()).unwrap_or(0);
        }
        Ok(Duration::from_nanos(nanoseconds))
    }

    pub fn memory(&self) -> anyhow::Result<Memory> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let read = |name: &str| -> anyhow::Result<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).context("no such line")?;
            Ok(line.trim_start_matches(':').trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
        };
        Ok(Memory { resident: read("VmRSS")?, highest: read("VmHWM")? })
    }

    /// Ends it as a service manager does.
    pub fn stop(mut self) -> anyhow::Result<()> {
        Command::new("kill").arg("-TERM").arg(self.process.id().to_string()).status()?;
        let began = Instant::now();
        while self.process.try_wait()?.is_none() {
            if began.elapsed() > LIMIT {
                bail!("the server does not end");
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Ended already, in the good case.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
