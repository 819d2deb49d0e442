//! What is secret stays secret, at the most talkative level as well.

use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use crate::client::token;
use crate::process::{ADMIN_KEY, Place, Server, USER_KEY};
use crate::stuck_node::{StuckNode, ssh_config};

#[test]
fn neither_keys_nor_tokens_are_logged() {
    let place = Place::new();
    let node = StuckNode::new();
    node.release();
    let server = place.start_with(&ssh_config(&place, node.port));
    let anonymous = server.anonymous();
    let mut tokens = Vec::new();
    for (issuer, key) in [("admin", ADMIN_KEY), ("user", USER_KEY), ("admin", USER_KEY), ("nobody", ADMIN_KEY)] {
        for path in ["/clusters", "/volumes", "/nothing"] {
            let token = token(issuer, key, "GET", path);
            // Used for its own path and for another.
            for path in [path, "/nodes/1"] {
                anonymous.send("GET", path, &format!("Authorization: bearer {token}\r\n"), "");
            }
            tokens.push(token);
        }
    }
    anonymous.send("GET", "/clusters", &format!("Authorization: bearer {ADMIN_KEY}\r\n"), "").expect(401);
    // A command that fails on a node is logged with all there is to know.
    let admin = server.admin();
    let cluster = admin.post("/clusters", &json!({"file": true})).expect(201).json();
    let names = json!({"manage": ["127.0.0.1"], "storage": ["127.0.0.1"]});
    admin.post("/nodes", &json!({"zone": 1, "hostnames": names, "cluster": cluster["id"]})).expect(400);
    let key = std::fs::read_to_string(place.path("id_ed25519")).unwrap();
    let (out, err) = server.stop();
    assert!(err.contains("127.0.0.1"), "{err}");
    let mut secrets: Vec<&str> = vec![ADMIN_KEY, USER_KEY];
    // The second and third parts are the claims and the signature.
    secrets.extend(tokens.iter().flat_map(|token| token.split('.').skip(1)));
    secrets.extend(key.lines().filter(|line| !line.starts_with("---")));
    for secret in secrets {
        assert!(!out.contains(secret) && !err.contains(secret), "{secret} is in the log");
    }
}

#[test]
fn a_configuration_with_keys_that_everybody_can_read_is_told() {
    let place = Place::new();
    let file = place.write_config(&place.config());
    let warning = "holds the keys of the API and is readable by all users";
    for (mode, warned) in [(0o600, false), (0o640, false), (0o644, true)] {
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        let server = Server::start(&["--config", file.to_str().unwrap()], &[]);
        let (out, _) = server.stop();
        assert_eq!(out.contains(warning), warned, "{mode:o}: {out}");
    }
}
