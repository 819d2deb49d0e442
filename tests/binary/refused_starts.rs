//! Starts that must fail: with one clear line, a status that is not 0, and nothing changed.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::Path;

use serde_json::{Value, json};

use crate::process::{BOUND, Place, heketi, wait_for};

/// All files below a folder with their contents.
fn files(folder: &Path) -> BTreeMap<std::path::PathBuf, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => {
                found.extend(files(&path));
                found.insert(path, None);
            }
            false => {
                let content = std::fs::read(&path).unwrap();
                found.insert(path, Some(content));
            }
        }
    }
    found
}

/// Starts the server, waits for its end, and gives its status, standard output and standard error.
fn end_of(args: &[&str]) -> (i32, String, String) {
    let mut child = heketi(args, &[]).spawn().unwrap();
    let began = std::time::Instant::now();
    let status = wait_for("the refusal", || {
        let ended = child.try_wait().unwrap();
        if ended.is_none() && began.elapsed() > BOUND / 2 {
            child.kill().unwrap();
        }
        ended
    });
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().expect("it had to be killed"), text(output.stdout), text(output.stderr))
}

fn assert_refused(place: &Place, args: &[&str], part: &str) {
    let before = files(place.folder());
    let (status, out, err) = end_of(args);
    assert_eq!(status, 1, "{args:?}: {out}{err}");
    assert_eq!(err.lines().count(), 1, "{err}");
    assert!(err.starts_with("ERROR: ") && err.contains(part), "expected {part:?}: {err}");
    assert_eq!(out.lines().filter(|line| !line.contains(" INFO ") && !line.contains(" WARN")).count(), 1, "{out}");
    let after = files(place.folder());
    let changed: Vec<_> = after.iter().filter(|(path, content)| before.get(*path) != Some(*content)).collect();
    assert!(changed.is_empty() && after.len() == before.len(), "{part}: {changed:?}");
}

#[test]
fn a_configuration_that_cannot_be_used() {
    let place = Place::new();
    let file = place.path("heketi.json");
    let file = file.to_str().unwrap();
    assert_refused(&place, &["--config", file], "Unable to open config file");
    let folder = place.folder().to_str().unwrap();
    assert_refused(&place, &["--config", folder], "Unable to open config file");
    let texts = [
        ("", "Unable to parse configuration: EOF"),
        ("{", "Unable to parse configuration"),
        ("// comments are not JSON", "Unable to parse configuration"),
        ("{\"port\": 8080, \"glusterfs\": {}}", "port: expected a string, found the number 8080"),
        ("{\"glusterfs\": {\"sshexec\": {\"sudo\": \"yes\"}}}", "glusterfs.sshexec.sudo"),
        ("{\"port\": \"8080\"}", "the object glusterfs is missing"),
        ("null", "the object glusterfs is missing"),
        ("{\"glusterfs\": {\"executor\": \"mock\"}}", "Missing JWT information in config file"),
    ];
    for (text, part) in texts {
        std::fs::write(file, text).unwrap();
        assert_refused(&place, &["--config", file], part);
    }
}

#[test]
fn settings_that_cannot_be_used() {
    let place = Place::new();
    std::fs::write(place.path("garbage"), "no key\n").unwrap();
    let garbage = place.path("garbage");
    let cases: [(&str, Value, &str); 13] = [
        ("/jwt/admin/key", json!(""), "Missing JWT information in config file"),
        ("/jwt/user/key", json!(null), "Missing JWT information in config file"),
        ("/glusterfs/executor", json!("teleport"), "invalid executor: teleport"),
        ("/glusterfs/executor", json!("kubernetes"), "executor kubernetes is not supported"),
        ("/glusterfs/executor", json!("ssh"), "Missing ssh private key file in configuration"),
        ("/glusterfs", json!({"sshexec": {"keyfile": place.path("none")}}), "Unable to read private key file"),
        ("/glusterfs", json!({"sshexec": {"keyfile": place.folder()}}), "Unable to read private key file"),
        ("/glusterfs", json!({"sshexec": {"keyfile": garbage}}), "Unable to read private key file"),
        ("/port", json!("70000"), "HTTP Server error: listen tcp: address 70000: invalid port"),
        ("/default_state", json!("read-only"), "default_state"),
        ("/default_state", json!("asleep"), "unknown admin state name: asleep"),
        ("/glusterfs/db_read_only", json!(true), "db_read_only"),
        ("/glusterfs/db", json!(place.path("missing/heketi.db")), "its folder does not exist"),
    ];
    for (pointer, value, part) in cases {
        let mut config = place.config();
        config["default_state"] = json!("normal");
        config["glusterfs"]["db_read_only"] = json!(false);
        let mut value = value;
        if pointer == "/glusterfs" {
            value["db"] = json!(place.path("heketi.db"));
        }
        *config.pointer_mut(pointer).unwrap() = value;
        let file = place.write_config(&config);
        assert_refused(&place, &["--config", file.to_str().unwrap()], part);
    }
    let mut config = place.config();
    config["enable_tls"] = json!(true);
    config["cert_file"] = json!(garbage);
    config["key_file"] = json!(garbage);
    let file = place.write_config(&config);
    assert_refused(&place, &["--config", file.to_str().unwrap()], "enable_tls");
}

#[test]
fn files_that_are_no_database_of_ours() {
    let place = Place::new();
    let file = place.write_config(&place.config());
    let file = file.to_str().unwrap();
    let db = place.path("heketi.db");
    let mut bolt = vec![0; 16384];
    bolt[16..20].copy_from_slice(&[0xed, 0xda, 0x0c, 0xed]);
    for (content, part) in [
        (bolt, "is a bolt database of the Go heketi"),
        (b"{\"clusterentries\":{}}".to_vec(), "it is not an SQLite file"),
        (Vec::new(), "the file is empty"),
    ] {
        std::fs::write(&db, content).unwrap();
        assert_refused(&place, &["--config", file], part);
        std::fs::remove_file(&db).unwrap();
    }
    rusqlite::Connection::open(&db).unwrap().execute_batch("PRAGMA journal_mode=WAL; CREATE TABLE t (x)").unwrap();
    assert_refused(&place, &["--config", file], "the SQLite database of another program");
    std::fs::remove_file(&db).unwrap();
    std::fs::create_dir(&db).unwrap();
    assert_refused(&place, &["--config", file], "cannot open the database");
    std::fs::remove_dir(&db).unwrap();

    place.start().stop();
    rusqlite::Connection::open(&db).unwrap().pragma_update(None, "user_version", 99).unwrap();
    assert_refused(&place, &["--config", file], "was written by a newer heketi-rs (schema 99");
}

#[test]
fn a_busy_port() {
    let place = Place::new();
    for address in ["0.0.0.0:0", "[::]:0"] {
        let Ok(taken) = TcpListener::bind(address) else { continue };
        let mut config = place.config();
        let port = taken.local_addr().unwrap().port().to_string();
        config["port"] = json!(port);
        let file = place.write_config(&config);
        let part = format!("HTTP Server error: listen tcp :{port}: bind: address already in use");
        assert_refused(&place, &["--config", file.to_str().unwrap()], &part);
    }
}

#[test]
fn a_second_server_on_the_same_database() {
    let place = Place::new();
    let first = place.start();
    let file = place.write_config(&place.config());
    let (status, _, err) = end_of(&["--config", file.to_str().unwrap()]);
    assert_eq!(status, 1);
    assert!(err.contains("heketi.db is in use by another heketi server"), "{err}");
    assert_eq!(err.lines().count(), 1, "{err}");
    first.admin().get("/clusters").expect(200);
    // The lock ends with its holder, however that ends.
    first.kill();
    place.start().stop();
}

#[test]
fn the_command_line() {
    let (status, out, err) = end_of(&[]);
    assert_eq!((status, err.as_str()), (1, "Please provide configuration file\n"));
    let version = format!("Heketi {} (heketi-rs)\n", env!("CARGO_PKG_VERSION"));
    assert!(out.starts_with(&version), "{out}");
    for flag in ["--version", "-v"] {
        let (status, out, err) = end_of(&[flag]);
        assert_eq!((status, err.as_str()), (0, ""));
        assert_eq!(out, version);
    }
    for flag in ["--help", "-h"] {
        let (status, out, err) = end_of(&[flag]);
        assert_eq!((status, err.as_str()), (0, ""));
        for named in ["--config", "--disable-auth", "--version"] {
            assert!(out.contains(named), "{out}");
        }
    }
    let (status, _, err) = end_of(&["--foo"]);
    assert_eq!((status, err.as_str()), (255, "Error: unknown flag: --foo\n"));
}
