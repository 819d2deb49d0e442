//! Killed in the middle of operations: the next server makes an end of them by itself, at once.

use serde_json::json;

use crate::process::{Place, wait_for};
use crate::stuck_node::{StuckNode, cluster_of_one, ssh_config};

#[test]
fn a_create_that_was_cut_off_vanishes_and_gives_its_space_back() {
    let place = Place::new();
    let before = cluster_of_one(&place);
    let node = StuckNode::new();
    let server = place.start_with(&ssh_config(&place, node.port));
    let admin = server.admin();
    let accepted = admin.post("/volumes", &json!({"size": 20, "name": "cut-off"}));
    let queue = accepted.expect(202).header("Location").unwrap().to_owned();
    node.wait_for_visit();
    assert_eq!(admin.get(&queue).expect(200).header("X-Pending"), Some("true"));
    let during = admin.everything();
    assert_eq!(during["volumes"], before["volumes"]);
    assert_ne!(during["nodes"], before["nodes"], "the space is taken");
    server.kill();

    // Whoever wants to look first can have it wait.
    let mut patient = place.config();
    patient["glusterfs"]["disable_background_cleaner"] = json!(true);
    let mut looking = place.start_with(&patient);
    looking.line_with("1 operations were cut off by the end of the last server; disable_background_cleaner is set");
    assert_ne!(looking.admin().everything()["nodes"], before["nodes"], "the space is taken");
    looking.kill();

    let mut server = place.start();
    let admin = server.admin();
    let told = admin.get(&queue).expect(500).body;
    assert!(told.starts_with("The server was stopped while this operation was under way"), "{told}");
    wait_for("recovery", || (admin.everything() == before).then_some(()));
    server.line_with("1 operations were cut off");
    server.line_with("Create Volume is undone now");
    // Its name is free again, too.
    admin.resource_of(admin.post("/volumes", &json!({"size": 20, "name": "cut-off"})));
}

#[test]
fn a_delete_that_was_cut_off_goes_on() {
    let place = Place::new();
    let before = cluster_of_one(&place);
    let node = StuckNode::new();
    let server = place.start_with(&ssh_config(&place, node.port));
    let admin = server.admin();
    let path = format!("/volumes/{}", before["volumes"][0]["id"].as_str().unwrap());
    admin.delete(&path).expect(202);
    node.wait_for_visit();
    server.kill();

    let server = place.start();
    let admin = server.admin();
    wait_for("recovery", || (admin.everything()["nodes"][0][0]["devices"][0]["storage"]["used"] == 0).then_some(()));
    admin.get(&path).expect(404);
    assert_eq!(admin.everything()["volumes"], json!([]));
}

#[test]
fn killed_while_many_volumes_are_made_nothing_is_half_known() {
    let place = Place::new();
    let server = place.start();
    let admin = server.admin();
    admin.load(&["node1", "node2", "node3"]);
    let empty = admin.everything();
    let (told, tell) = std::sync::mpsc::channel();
    let asking: Vec<_> = (0..4)
        .map(|_| {
            let (port, told) = (server.port, told.clone());
            std::thread::spawn(move || {
                let body = "{\"size\":1,\"durability\":{\"type\":\"replicate\",\"replicate\":{\"replica\":3}}}";
                // Until the server is gone.
                while let Some(queue) = crate::client::try_post(port, "/volumes", body) {
                    told.send(queue).unwrap();
                }
            })
        })
        .collect();
    let mut queues: Vec<String> = tell.iter().take(12).collect();
    server.kill();
    asking.into_iter().for_each(|thread| thread.join().unwrap());
    drop(told);
    queues.extend(tell.iter());

    let server = place.start();
    let admin = server.admin();
    let mut made = Vec::new();
    for queue in queues.iter().filter(|queue| !queue.is_empty()) {
        let answer = admin.get(queue);
        match answer.status {
            303 => made.push(answer.header("Location").unwrap().to_owned()),
            500 => assert!(answer.body.starts_with("The server was stopped"), "{answer:?}"),
            _ => panic!("{answer:?}"),
        }
    }
    let used = |everything: &serde_json::Value| -> u64 {
        everything["nodes"][0]
            .as_array()
            .unwrap()
            .iter()
            .map(|n| n["devices"][0]["storage"]["used"].as_u64().unwrap())
            .sum()
    };
    // What is told to be there is there, and all space that is taken belongs to volumes that can be deleted.
    for path in &made {
        admin.get(path).expect(200);
    }
    let volumes = admin.get("/volumes").expect(200).json()["volumes"].as_array().unwrap().clone();
    for id in &volumes {
        admin.result_of(admin.delete(&format!("/volumes/{}", id.as_str().unwrap()))).expect(204);
    }
    wait_for("recovery", || (used(&admin.everything()) == 0).then_some(()));
    assert_eq!(admin.everything(), empty);
}
