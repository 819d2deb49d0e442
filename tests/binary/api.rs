//! The main job, over HTTP, on simulated nodes; and that it is all there after a restart.

use serde_json::{Value, json};

use crate::client::Client;
use crate::process::{ADMIN_KEY, Place, Server, USER_KEY, wait_for};

const HOSTS: [&str; 3] = ["node1", "node2", "node3"];

fn replica3(size: u64, name: &str) -> Value {
    json!({"size": size, "name": name, "durability": {"type": "replicate", "replicate": {"replica": 3}}})
}

#[test]
fn hello_needs_no_token_and_all_else_does() {
    let place = Place::new();
    let server = place.start();
    let anonymous = server.anonymous();
    assert_eq!(anonymous.get("/hello").expect(200).body, "Hello from Heketi");
    let refusals = [
        (anonymous.get("/clusters"), "Required authorization token not found\n"),
        (anonymous.get("/nothing"), "Required authorization token not found\n"),
        (Client::new(server.port, Some(("user", USER_KEY))).get("/clusters"), "Administrator access required\n"),
        (
            Client::new(server.port, Some(("admin", USER_KEY))).get("/clusters"),
            "Invalid JWT token: signature is invalid (client and server secrets may not match)\n",
        ),
    ];
    for (answer, text) in refusals {
        assert_eq!(answer.expect(401).body, text);
    }
    assert_eq!(server.admin().get("/clusters").expect(200).body, "{\"clusters\":[]}\n");
}

#[test]
fn without_auth_tokens_are_not_looked_at() {
    let place = Place::new();
    let mut config = place.config();
    config["jwt"] = json!({});
    let file = place.write_config(&config);
    let server = Server::start(&["--config", file.to_str().unwrap(), "--disable-auth"], &[]);
    server.anonymous().get("/clusters").expect(200);
    server.anonymous().send("GET", "/clusters", "Authorization: nonsense\r\n", "").expect(200);
    let (_, err) = server.stop();
    assert_eq!(err, "WARNING: Heketi started with --disable-auth\n");
}

#[test]
fn volumes_are_made_grown_and_deleted_and_a_restart_forgets_nothing() {
    let place = Place::new();
    let server = place.start();
    let admin = server.admin();
    admin.load(&HOSTS);
    let empty = admin.everything();

    let accepted = admin.post("/volumes", &replica3(10, "v1"));
    let queue = accepted.header("Location").unwrap().to_owned();
    let volume = admin.resource_of(accepted);
    assert_eq!((&volume["name"], &volume["size"]), (&json!("v1"), &json!(10)));
    assert_eq!(volume["bricks"].as_array().unwrap().len(), 3);
    let path = format!("/volumes/{}", volume["id"].as_str().unwrap());
    let grown = admin.resource_of(admin.post(&format!("{path}/expand"), &json!({"expand_size": 5})));
    assert_eq!(grown["size"], 15);
    let failed = admin.post("/volumes", &replica3(10, "v1")).expect(500);
    assert_eq!(failed.body, "Failed to allocate new volume: Volume name 'v1' already in use\n");
    let before = admin.everything();
    server.stop();

    let server = place.start();
    let admin = server.admin();
    assert_eq!(admin.everything(), before);
    for _ in 0..2 {
        assert_eq!(admin.get(&queue).expect(303).header("Location"), Some(path.as_str()));
    }
    // The simulated nodes are as they were, too: they can delete what the last ones made.
    let deleted = admin.delete(&path);
    let queue = deleted.header("Location").unwrap().to_owned();
    admin.result_of(deleted).expect(204);
    assert_eq!(admin.everything(), empty);
    server.kill();

    let server = place.start();
    server.admin().get(&queue).expect(204);
    server.admin().get(&path).expect(404);
    assert_eq!(server.admin().everything(), empty);
}

#[test]
fn the_user_role_sees_its_volume_through() {
    let place = Place::new();
    let server = place.start();
    server.admin().load(&HOSTS);
    let user = server.user();
    let volume = user.resource_of(user.post("/volumes", &replica3(2, "")));
    let cluster = user.get(&format!("/clusters/{}", volume["cluster"].as_str().unwrap())).expect(200).json();
    for node in cluster["nodes"].as_array().unwrap() {
        user.get(&format!("/nodes/{}", node.as_str().unwrap())).expect(200);
    }
    user.get("/clusters").expect(401);
    let path = format!("/volumes/{}", volume["id"].as_str().unwrap());
    user.result_of(user.delete(&path)).expect(204);
}

#[test]
fn the_environment_beats_the_file() {
    let place = Place::new();
    let mut config = place.config();
    config["port"] = json!("1");
    config["jwt"] = json!({"admin": {"key": "not-this"}, "user": {"key": "nor-this"}});
    config["glusterfs"]["executor"] = json!("ssh");
    config["glusterfs"]["db"] = json!("/no/such/folder/heketi.db");
    config["glusterfs"]["max_inflight_operations"] = json!(3);
    let file = place.write_config(&config);
    // Whoever has the port may lose it before the server takes it: then it is another one's turn.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let db = place.path("other.db");
    let env = [
        ("HEKETI_HTTP_PORT", free.as_str()),
        ("HEKETI_ADMIN_KEY", ADMIN_KEY),
        ("HEKETI_USER_KEY", USER_KEY),
        ("HEKETI_EXECUTOR", "mock"),
        ("HEKETI_DB_PATH", db.to_str().unwrap()),
        ("HEKETI_GLUSTERAPP_LOGLEVEL", "warning"),
        ("HEKETI_MOCK_DEVICE_SIZE_GB", "7"),
        ("HEKETI_MAX_INFLIGHT_OPERATIONS", "zz"),
    ];
    let server = Server::start(&["--config", file.to_str().unwrap()], &env);
    assert_eq!(server.port.to_string(), free);
    let admin = server.admin();
    admin.load(&["node1"]);
    let nodes = admin.everything()["nodes"].clone();
    assert_eq!(nodes[0][0]["devices"][0]["storage"]["total"], 7 * 1024 * 1024);
    assert!(db.exists());
    let (out, _) = server.stop();
    assert!(out.contains("While parsing HEKETI_MAX_INFLIGHT_OPERATIONS"), "{out}");
    assert!(out.contains("NEW DATABASE"), "{out}");
    assert!(!out.contains(" INFO "), "{out}");
}

#[test]
fn without_file_descriptors_it_waits_and_goes_on() {
    let place = Place::new();
    let file = place.write_config(&place.config());
    let few = format!("ulimit -n 40; exec {} --config {}", env!("CARGO_BIN_EXE_heketi"), file.display());
    let mut server = Server::run(std::process::Command::new("sh").args(["-c", &few]));
    let held: Vec<_> = (0..60).map(|_| std::net::TcpStream::connect(("127.0.0.1", server.port)).unwrap()).collect();
    wait_for("a refusal of the system", || server.said_on_stderr("cannot accept connections now").then_some(()));
    assert!(server.has_ended().is_none());
    drop(held);
    server.admin().get("/clusters").expect(200);
}
