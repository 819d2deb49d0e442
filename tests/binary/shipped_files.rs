//! The files an operator installs: `config/heketi.json` and `systemd/heketi.service`.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::process::{ADMIN_KEY, Place, Server, USER_KEY, heketi};
use crate::stuck_node::ssh_config;

fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn sample() -> Value {
    serde_json::from_str(&std::fs::read_to_string(shipped("config/heketi.json")).unwrap()).unwrap()
}

#[test]
fn the_sample_does_not_start_before_it_has_keys() {
    let output = heketi(&["--config", shipped("config/heketi.json").to_str().unwrap()], &[]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let err = String::from_utf8(output.stderr).unwrap();
    assert!(err.starts_with("ERROR: Missing JWT information in config file") && err.lines().count() == 1, "{err}");
}

#[test]
fn the_sample_is_read_without_complaint_and_works() {
    let place = Place::new();
    let db = place.path("heketi.db");
    let file = shipped("config/heketi.json");
    // The key of SSH, written by this.
    ssh_config(&place, 22);
    let keyfile = place.path("id_ed25519");
    let executors: [&[(&str, &str)]; 2] =
        [&[("HEKETI_EXECUTOR", "mock")], &[("HEKETI_SSH_KEYFILE", keyfile.to_str().unwrap())]];
    for executor in executors {
        let mut env = vec![
            ("HEKETI_ADMIN_KEY", ADMIN_KEY),
            ("HEKETI_USER_KEY", USER_KEY),
            ("HEKETI_HTTP_PORT", "0"),
            ("HEKETI_DB_PATH", db.to_str().unwrap()),
        ];
        env.extend(executor);
        let server = Server::start(&["--config", file.to_str().unwrap()], &env);
        server.admin().get("/clusters").expect(200);
        let (out, err) = server.stop();
        assert_eq!(err, "");
        let complaints: Vec<_> = out
            .lines()
            .filter(|line| line.contains(" WARN") && !line.contains("NEW DATABASE") && !line.contains("simulated"))
            .collect();
        assert!(complaints.is_empty(), "{complaints:?}");
    }
}

/// A misspelt key is skipped in silence, as the reference does; not so in what we ship.
#[test]
fn every_key_of_the_sample_is_one_that_is_documented() {
    let documented = ["mod.rs", "server.rs", "glusterfs.rs", "executor.rs", "notes.rs"]
        .map(|name| std::fs::read_to_string(shipped("src/config").join(name)).unwrap())
        .concat();
    fn check(value: &Value, documented: &str) {
        let Value::Object(map) = value else { return };
        for (key, value) in map.iter().filter(|(key, _)| !key.starts_with('_')) {
            assert!(documented.contains(&format!("\"{key}\"")), "unknown key {key}");
            check(value, documented);
        }
    }
    check(&sample(), &documented);
}

#[test]
fn the_unit_fits_the_server_and_the_sample() {
    let unit = std::fs::read_to_string(shipped("systemd/heketi.service")).unwrap();
    let value = |key: &str| -> Vec<&str> {
        unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).collect()
    };
    assert_eq!(value("Type"), ["notify"]);
    assert_eq!(value("User"), ["heketi"]);
    assert_eq!(value("EnvironmentFile"), ["-/etc/heketi/heketi.env"]);
    assert_eq!(value("ExecStart"), ["/usr/bin/heketi --config=/etc/heketi/heketi.json"]);
    // Longer than the server takes to end: 20 s for operations, 3 s for answers, 2 s for threads.
    let stop: u64 = value("TimeoutStopSec")[0].parse().unwrap();
    assert!(stop > 25, "{stop}");
    // The only place that can be written to is the one that the sample has its database in.
    assert_eq!(value("StateDirectory"), ["heketi"]);
    let db = sample()["glusterfs"]["db"].as_str().unwrap().to_owned();
    assert_eq!(Path::new(&db).parent(), Some(Path::new("/var/lib/heketi")));
}

/// Readiness is told over the socket that the unit's `Type=notify` waits on.
#[test]
fn systemd_is_told_when_the_server_is_ready_and_when_it_stops() {
    let place = Place::new();
    let path = place.path("notify");
    let socket = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(crate::process::BOUND)).unwrap();
    let file = place.write_config(&place.config());
    let env = [("NOTIFY_SOCKET", path.to_str().unwrap())];
    let server = Server::start(&["--config", file.to_str().unwrap()], &env);
    let told = || {
        let mut text = [0; 256];
        let length = socket.recv(&mut text).unwrap();
        String::from_utf8_lossy(&text[..length]).into_owned()
    };
    assert_eq!(told().trim(), "READY=1");
    server.stop();
    assert_eq!(told().trim(), "STOPPING=1");
}
