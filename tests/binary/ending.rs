//! Ended by signals.

use std::io::Read;
use std::net::TcpStream;

use serde_json::json;

use crate::process::{BOUND, Place, Server, wait_for};
use crate::stuck_node::{StuckNode, cluster_of_one, ssh_config};

#[test]
fn each_signal_that_ends_it_ends_it_well() {
    let place = Place::new();
    for name in ["TERM", "INT", "HUP"] {
        let server = place.start();
        server.admin().get("/clusters").expect(200);
        // Clients such as Kubernetes' leave connections open; nobody waits for them.
        let mut left_open = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
        left_open.set_read_timeout(Some(BOUND)).unwrap();
        server.admin().get("/clusters").expect(200);
        server.signal(name);
        let (status, out, err) = server.wait();
        assert_eq!((status.code(), err.as_str()), (Some(0), ""), "{name}: {out}");
        assert!(out.contains("Shutting down...\n"), "{name}: {out}");
        assert_eq!(left_open.read(&mut [0; 1]).unwrap_or(0), 0);
        // What the write-ahead log had is in the file again: the database is one file.
        assert!(!place.path("heketi.db-wal").exists(), "{name}");
    }
}

#[test]
fn sigusr2_does_not_end_it() {
    let place = Place::new();
    let mut server = place.start();
    server.signal("USR2");
    server.line_with("SIGUSR2");
    server.admin().get("/clusters").expect(200);
    server.stop();
}

/// A server with a create under way on a node that hangs, and the path of its answer.
fn busy(place: &Place, node: &StuckNode) -> (Server, String) {
    cluster_of_one(place);
    let mut config = ssh_config(place, node.port);
    // So that a refusal comes from the end alone.
    config["glusterfs"]["max_inflight_operations"] = json!(1000);
    let server = place.start_with(&config);
    let accepted = server.admin().post("/volumes", &json!({"size": 20})).expect(202);
    node.wait_for_visit();
    (server, accepted.header("Location").unwrap().to_owned())
}

#[test]
fn operations_under_way_are_waited_for_and_can_be_followed_but_none_is_added() {
    let place = Place::new();
    let node = StuckNode::new();
    let (mut server, queue) = busy(&place, &node);
    server.signal("TERM");
    server.line_with("Shutting down...");
    let admin = server.admin();
    // The signal has been taken; operations are refused from the next moment on. One more could come in between.
    let refused = wait_for("the refusal", || {
        let answer = admin.post("/volumes", &json!({"size": 20}));
        (answer.status == 429).then_some(answer)
    });
    assert_eq!(refused.body, "Server busy. Retry operation later.\n");
    assert_eq!(admin.get(&queue).expect(200).header("X-Pending"), Some("true"));
    admin.get("/clusters").expect(200);
    assert_eq!(server.has_ended(), None);
    node.release();
    let (status, out, _) = server.wait();
    assert_eq!(status.code(), Some(0));
    assert!(!out.contains("still under way"), "{out}");

    // The client that was not there to read it can do so after the restart.
    let server = place.start();
    let failed = server.admin().get(&queue).expect(500);
    assert!(failed.body.contains("127.0.0.1"), "{failed:?}");
}

#[test]
fn a_second_signal_ends_it_at_once_and_the_next_server_resolves_what_was_under_way() {
    let place = Place::new();
    let node = StuckNode::new();
    let (mut server, queue) = busy(&place, &node);
    server.signal("TERM");
    server.line_with("Shutting down...");
    server.signal("INT");
    let (status, out, _) = server.wait();
    assert_eq!(status.code(), Some(0));
    assert!(out.contains("a second signal"), "{out}");

    let mut server = place.start();
    server.line_with("Create Volume is undone now");
    server.admin().get(&queue).expect(500);
    assert_eq!(server.admin().everything()["volumes"].as_array().unwrap().len(), 1);
}
