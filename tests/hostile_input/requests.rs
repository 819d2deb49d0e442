//! Generated requests: the reference's answer or a clear refusal, and after a refusal everything is as it was.

use std::sync::Mutex;

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};

use crate::quoting::{HOSTILE, assert_words_survive};
use crate::server::Server;

/// What the reference answers with 500 before anything has happened: there is no room, or somebody else is at it.
const REFERENCE_500: [&str; 3] =
    ["Failed to allocate new volume: ", "Failed to allocate volume expansion: ", "Failed to set up volume delete: "];

const UNKNOWN: &str = "00000000000000000000000000000000";

/// Every route that takes a body, with one that it takes. `NODE` and the like are put in later.
fn templates() -> Vec<(&'static str, &'static str, Value)> {
    vec![
        ("POST", "/clusters", json!({"file": true, "block": false})),
        ("POST", "/clusters/CLUSTER/flags", json!({"file": true, "block": true})),
        (
            "POST",
            "/nodes",
            json!({"zone": 1, "hostnames": {"manage": ["mx"], "storage": ["sx"]}, "cluster": "CLUSTER", "tags": {"a": "b"}}),
        ),
        ("POST", "/nodes/NODE/state", json!({"state": "online", "healcheck": "enable"})),
        ("POST", "/nodes/NODE/tags", json!({"change_type": "set", "tags": {"a": "b"}})),
        ("POST", "/devices", json!({"name": "/dev/sdz", "node": "NODE", "destroydata": false, "tags": {"a": "b"}})),
        ("POST", "/devices/DEVICE/state", json!({"state": "online", "healcheck": "disable"})),
        ("POST", "/devices/DEVICE/tags", json!({"change_type": "update", "tags": {"a": "b"}})),
        ("DELETE", "/devices/DEVICE", json!({"forceforget": true})),
        (
            "POST",
            "/volumes",
            json!({
                "size": 1, "name": "v", "clusters": ["CLUSTER"], "gid": 1000, "block": false,
                "durability": {"type": "replicate", "replicate": {"replica": 2}, "disperse": {"data": 4, "redundancy": 2}},
                "glustervolumeoptions": ["user.x y"], "snapshot": {"enable": true, "factor": 1.5},
            }),
        ),
        ("POST", "/volumes/VOLUME/expand", json!({"expand_size": 1})),
    ]
}

fn hostile_text() -> impl Strategy<Value = String> {
    prop_oneof![
        proptest::sample::select(HOSTILE).prop_map(str::to_owned),
        proptest::sample::select(
            &[
                "",
                " ",
                "-oProxyCommand=touch owned",
                "--help",
                "-",
                "fe80::1%eth0",
                "[::1]:22",
                "host:22",
                "a..b",
                ".",
                "..",
                "/dev/../etc/passwd",
                "/dev/sdb;id",
                "\u{0}",
                "a\nb",
                "a\r\nX-Evil: 1",
                "\u{1b}[2J",
                "999999999999999999999",
                UNKNOWN,
                "ABCDEFABCDEFABCDEFABCDEFABCDEFAB",
                "user@host",
                "-1",
                "null",
                "/",
                "//",
                "/dev/",
                "_",
                "x.",
            ][..]
        )
        .prop_map(str::to_owned),
        ".{0,40}",
        "[a-z0-9.:%@_-]{1,70}",
        (1usize..3).prop_map(|n| "x".repeat(n * 70_000)),
    ]
}

fn hostile_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        proptest::sample::select(&[0i64, -1, 1, 2, 3, 4, i64::MAX, i64::MIN, 1 << 31, 1 << 32, 1 << 40][..])
            .prop_map(Value::from),
        Just(json!(u64::MAX)),
        hostile_text().prop_map(Value::from),
        (100usize..140).prop_map(|depth| (0..depth).fold(Value::Null, |inner, _| json!([inner]))),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::vec((hostile_text(), inner), 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// All places in a value, as JSON pointers.
fn places(value: &Value, at: String, found: &mut Vec<String>) {
    found.push(at.clone());
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| {
            let key = key.replace('~', "~0").replace('/', "~1");
            places(value, format!("{at}/{key}"), found);
        }),
        Value::Array(list) => list.iter().enumerate().for_each(|(i, value)| places(value, format!("{at}/{i}"), found)),
        _ => {}
    }
}

#[derive(Debug, Clone)]
struct Hostile {
    method: String,
    path: String,
    body: Vec<u8>,
}

fn changed_template() -> impl Strategy<Value = Hostile> {
    let number = prop_oneof![any::<i64>(), -2i64..6, Just(i64::MAX), Just(1 << 31)];
    let typed = (hostile_text(), number, any::<bool>());
    let change = (any::<prop::sample::Index>(), hostile_value(), typed, 0..4);
    (proptest::sample::select(templates()), proptest::collection::vec(change, 1..3)).prop_map(
        |((method, path, mut body), changes)| {
            for (at, value, (text, number, flag), any_type) in changes {
                let mut found = Vec::new();
                places(&body, String::new(), &mut found);
                let place = &found[at.index(found.len())];
                let slot = body.pointer_mut(place).unwrap();
                *slot = match slot {
                    _ if any_type == 0 => value,
                    Value::String(_) => text.into(),
                    Value::Number(_) => number.into(),
                    Value::Bool(_) => flag.into(),
                    Value::Array(list) => list.iter().cloned().chain([text.into()]).collect(),
                    Value::Object(map) => {
                        map.iter().map(|(key, value)| (key.clone(), value.clone())).chain([(text, value)]).collect()
                    }
                    Value::Null => value,
                };
            }
            Hostile { method: method.to_owned(), path: path.to_owned(), body: body.to_string().into_bytes() }
        },
    )
}

fn broken_text() -> impl Strategy<Value = Hostile> {
    let body = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..200),
        ".{0,100}".prop_map(String::into_bytes),
        (1usize..60_000).prop_map(|n| "[".repeat(n).into_bytes()),
        (1usize..30_000).prop_map(|n| "{\"a\":".repeat(n).into_bytes()),
        (1usize..30_000).prop_map(|n| format!("{{\"size\":{}{}}}", "[".repeat(n), "]".repeat(n)).into_bytes()),
        Just(b"{\"size\":1e999}".to_vec()),
        Just(b"{\"size\":1.0}".to_vec()),
        Just(b"{\"size\":99999999999999999999999}".to_vec()),
        Just(b"{\"size\":-0}".to_vec()),
        Just(b"{\"size\":1}{\"size\":1}".to_vec()),
        Just(b"\xef\xbb\xbf{\"size\":1}".to_vec()),
        Just(b"{\"name\":\"\\ud800\"}".to_vec()),
        (proptest::sample::select(templates()), any::<prop::sample::Index>()).prop_map(|((_, _, body), at)| {
            let mut text = body.to_string().into_bytes();
            text.truncate(at.index(text.len()));
            text
        }),
        (proptest::sample::select(templates()), any::<prop::sample::Index>(), any::<u8>()).prop_map(
            |((_, _, body), at, byte)| {
                let mut text = body.to_string().into_bytes();
                let at = at.index(text.len());
                text[at] = byte;
                text
            }
        ),
    ];
    (proptest::sample::select(templates()), body).prop_map(|((method, path, _), body)| Hostile {
        method: method.to_owned(),
        path: path.to_owned(),
        body,
    })
}

fn odd_path() -> impl Strategy<Value = Hostile> {
    let id = prop_oneof![
        Just(UNKNOWN.to_owned()),
        "[0-9a-f]{0,40}",
        "[0-9a-fA-F]{32}",
        "[%a-zA-Z0-9.~:;,=$&'()*+!@-]{0,30}",
        Just("f".repeat(5_000)),
        proptest::sample::select(
            &["..", ".", "%2e%2e", "%00", "%0a", "%2f", "%zz", "%", "%ff%fe", "CLUSTER", "NODE", "DEVICE", "VOLUME"][..]
        )
        .prop_map(str::to_owned),
    ];
    let kind =
        proptest::sample::select(&["clusters", "nodes", "devices", "volumes", "queue", "operations", "hello", ""][..]);
    let tail = proptest::sample::select(
        &["", "/", "//", "/state", "/tags", "/expand", "/flags", "/resync", "/x", "?a=b", "/../.."][..],
    );
    let method = prop_oneof![
        proptest::sample::select(&["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "CONNECT"][..])
            .prop_map(str::to_owned),
        "[A-Z]{1,12}",
    ];
    let body = prop_oneof![Just(Vec::new()), Just(b"{".to_vec()), Just(b"[]".to_vec()), Just(b"\"x\"".to_vec())];
    (method, kind, id, tail, body).prop_map(|(method, kind, id, tail, body)| Hostile {
        method,
        path: format!("/{kind}/{id}{tail}"),
        body,
    })
}

/// The ids of things that exist.
fn put_in_ids(server: &Server, text: &str) -> String {
    let ids = server.ops.store().read(|tx| {
        let node = tx.nodes(server.cluster)?.first().map_or(UNKNOWN.to_owned(), |node| node.id.to_string());
        let device = tx.all_devices()?.first().map_or(UNKNOWN.to_owned(), |device| device.id.to_string());
        let volume = tx.volume_ids(None)?.first().map_or(UNKNOWN.to_owned(), ToString::to_string);
        Ok([("CLUSTER", server.cluster.to_string()), ("NODE", node), ("DEVICE", device), ("VOLUME", volume)])
    });
    ids.unwrap().iter().fold(text.to_owned(), |text, (name, id)| text.replace(name, id))
}

async fn ask(server: &Server, hostile: &Hostile) -> StatusCode {
    let path = put_in_ids(server, &hostile.path);
    let body = match std::str::from_utf8(&hostile.body) {
        Ok(text) => put_in_ids(server, text).into_bytes(),
        Err(_) => hostile.body.clone(),
    };
    let method = Method::from_bytes(hostile.method.as_bytes()).unwrap();
    let Ok(request) =
        Request::builder().method(&method).uri(&path).header("content-length", body.len()).body(Body::from(body))
    else {
        // No HTTP library lets such a path through.
        return StatusCode::BAD_REQUEST;
    };
    let (before, sent) = (server.dump(), server.sent().len());
    let answer = server.ask(request).await;
    let shown = || {
        let body: String = String::from_utf8_lossy(&hostile.body).chars().take(600).collect();
        format!("{} {path} {body}\n-> {} {}", hostile.method, answer.status, answer.text)
    };
    if let Some(outcome) = server.outcome(&answer).await {
        assert_ne!(outcome, heketi::store::Outcome::Running, "{}", shown());
    } else if answer.status != StatusCode::OK && answer.status != StatusCode::CREATED {
        let known = answer.status.is_client_error()
            || answer.status == StatusCode::MOVED_PERMANENTLY
            || REFERENCE_500.iter().any(|known| answer.text.starts_with(known));
        assert!(known, "{}", shown());
        assert!(!answer.text.contains("internal error"), "{}", shown());
        assert_eq!(server.dump(), before, "{}", shown());
        // A new node is refused after a look at who is up.
        let more: Vec<_> =
            server.sent()[sent..].iter().filter(|(line, _)| line != "systemctl status glusterd").cloned().collect();
        assert!(more.is_empty(), "{}\n{more:?}", shown());
    }
    answer.status
}

/// Asks so many requests, and returns how many were refused and how many were not.
fn storm(cases: u32, requests: impl Strategy<Value = Hostile>) -> [u32; 2] {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let server = Mutex::new((runtime.block_on(Server::new(None)), 0));
    let counts = Mutex::new([0, 0]);
    let config = ProptestConfig { cases, max_shrink_iters: 40, failure_persistence: None, ..ProptestConfig::default() };
    // The same requests each time; another seed asks others.
    let rng = match std::env::var("STORM_SEED") {
        Ok(seed) => TestRng::from_seed(RngAlgorithm::ChaCha, &[seed.parse().unwrap(); 32]),
        Err(_) => TestRng::deterministic_rng(RngAlgorithm::ChaCha),
    };
    let mut runner = TestRunner::new_with_rng(config, rng);
    runner
        .run(&requests, |hostile| {
            let mut server = server.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            if server.1 == 400 {
                // What was accepted piles up.
                assert_words_survive(&server.0.sent());
                *server = (runtime.block_on(Server::new(None)), 0);
            }
            server.1 += 1;
            let status = runtime.block_on(ask(&server.0, &hostile));
            let refused = status.is_client_error() || status.is_redirection() || status.is_server_error();
            counts.lock().unwrap()[usize::from(!refused)] += 1;
            Ok(())
        })
        .unwrap();
    assert_words_survive(&server.into_inner().unwrap().0.sent());
    counts.into_inner().unwrap()
}

#[test]
fn bodies_that_are_almost_right() {
    let [refused, taken] = storm(1500, changed_template());
    println!("{refused} refused, {taken} taken");
    assert!(refused > 500 && taken > 200, "{refused} refused, {taken} taken");
}

#[test]
fn bodies_that_are_broken() {
    let [refused, taken] = storm(800, broken_text());
    println!("{refused} refused, {taken} taken");
    assert!(refused > 600, "{refused} refused, {taken} taken");
}

#[test]
fn paths_and_methods() {
    let [refused, taken] = storm(1500, odd_path());
    println!("{refused} refused, {taken} taken");
    assert!(refused > 1000, "{refused} refused, {taken} taken");
}

#[tokio::test]
async fn bodies_that_are_too_long() {
    let server = Server::new(None).await;
    let long = |name: usize| json!({"size": 1, "name": "x".repeat(name)}).to_string();
    for (size, status) in [(10 << 20, StatusCode::BAD_REQUEST), (17 << 20, StatusCode::PAYLOAD_TOO_LARGE)] {
        let name = long(size).replace('x', if status == StatusCode::BAD_REQUEST { "." } else { "x" });
        let before = server.dump();
        let request = Request::post("/volumes").body(Body::from(name)).unwrap();
        assert_eq!(server.ask(request).await.status, status);
        assert!(server.dump() == before && server.sent().is_empty());
    }
}

#[tokio::test]
async fn host_names_that_ssh_could_take_for_something_else() {
    let server = Server::new(None).await;
    let before = server.dump();
    for host in [
        "-oProxyCommand=touch owned",
        "-l",
        "root@host",
        "host:22",
        "[::1]",
        "fe80::1%eth0",
        "a b",
        "a\nb",
        "",
        "a/b",
        "a$b",
        "é",
        ".",
        "a..b",
        "a.-b",
        "-a.b",
        "%h",
        "host;id",
    ] {
        for (manage, storage) in [(host, "s9"), ("m9", host)] {
            let body = json!({"zone": 1, "cluster": server.cluster.to_string(),
                "hostnames": {"manage": [manage], "storage": [storage]}});
            let request = Request::post("/nodes").body(Body::from(body.to_string())).unwrap();
            let answer = server.ask(request).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{host}: {}", answer.text);
        }
    }
    assert!(server.dump() == before && server.sent().is_empty());
    for host in ["::1", "192.0.2.1", "a_b", "a-b.c"] {
        let body = json!({"zone": 1, "cluster": server.cluster.to_string(),
            "hostnames": {"manage": [host], "storage": [host]}});
        let request = Request::post("/nodes").body(Body::from(body.to_string())).unwrap();
        assert_eq!(server.ask(request).await.status, StatusCode::ACCEPTED, "{host}");
    }
}
