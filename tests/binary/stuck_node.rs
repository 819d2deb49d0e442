//! A storage node that takes connections and says nothing: operations on it stay under way for as long as a test wants.

use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use russh::keys::PrivateKey;
use russh::keys::ssh_key::LineEnding;
use russh::keys::ssh_key::private::Ed25519Keypair;
use serde_json::{Value, json};

use crate::process::{Place, wait_for};

pub struct StuckNode {
    pub port: u16,
    held: Arc<Mutex<Vec<TcpStream>>>,
    released: Arc<AtomicBool>,
}

impl StuckNode {
    pub fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let node = Self { port, held: Arc::default(), released: Arc::default() };
        let (held, released) = (Arc::clone(&node.held), Arc::clone(&node.released));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut held = held.lock().unwrap();
                if !released.load(Ordering::SeqCst) {
                    held.push(stream);
                }
            }
        });
        node
    }

    /// Waits until the server has come to the node.
    pub fn wait_for_visit(&self) {
        wait_for("a connection to the node", || (!self.held.lock().unwrap().is_empty()).then_some(()));
    }

    /// Hangs up on everybody, now and from now on.
    pub fn release(&self) {
        let mut held = self.held.lock().unwrap();
        self.released.store(true, Ordering::SeqCst);
        held.clear();
    }
}

/// The configuration of a server that reaches `127.0.0.1` by SSH on this port.
pub fn ssh_config(place: &Place, port: u16) -> Value {
    let keyfile = place.path("id_ed25519");
    let key = PrivateKey::from(Ed25519Keypair::from_seed(&[7; 32]));
    std::fs::write(&keyfile, key.to_openssh(LineEnding::LF).unwrap().as_bytes()).unwrap();
    let mut config = place.config();
    config["glusterfs"]["executor"] = json!("ssh");
    config["glusterfs"]["sshexec"] = json!({"keyfile": keyfile, "user": "root", "port": port.to_string()});
    config
}

/// Makes a cluster of one node, `127.0.0.1`, in the database, with the help of simulated nodes; gives what is there.
pub fn cluster_of_one(place: &Place) -> Value {
    let server = place.start();
    let admin = server.admin();
    admin.load(&["127.0.0.1"]);
    admin.resource_of(admin.post("/volumes", &json!({"size": 3, "name": "there"})));
    let everything = admin.everything();
    server.stop();
    everything
}
