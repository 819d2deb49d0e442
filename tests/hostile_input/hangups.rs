//! Clients that hang up: what they have asked for is done as a whole, or not at all.

use std::time::Instant;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use heketi::exec::inject::{Action, Gate, Rule};
use heketi::http::serve;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use crate::server::{BOUND, Server};

struct Listening {
    address: std::net::SocketAddr,
    end: tokio::sync::oneshot::Sender<()>,
    serving: tokio::task::JoinHandle<()>,
}

async fn listen(server: &Server) -> Listening {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let app = server.app.clone();
    let serving = tokio::spawn(serve(listener, app, async move {
        let _ = ended.await;
    }));
    Listening { address, end, serving }
}

/// Sends so much of a request and hangs up.
async fn hang_up(address: std::net::SocketAddr, path: &str, body: &str, sent: usize) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!("POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&body.as_bytes()[..sent]).await.unwrap();
    stream.flush().await.unwrap();
    drop(stream);
}

async fn until(server: &Server, what: &str, is: impl Fn(&Server) -> bool) {
    let began = Instant::now();
    while !is(server) {
        assert!(began.elapsed() < BOUND, "waited in vain: {what}");
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
}

fn quiet(server: &Server) -> bool {
    server.ops.under_way() == 0 && server.ops.store().read(|tx| tx.operations()).unwrap().is_empty()
}

#[tokio::test]
async fn a_whole_request_is_carried_out() {
    let server = Server::new(None).await;
    let Listening { address, end: _end, .. } = listen(&server).await;
    // It waits on a node while its client goes.
    let gate = Gate::new();
    server.nodes.inner.add(Rule::line("mkfs", Action::Freeze(gate.clone())));
    let body = json!({"size": 1, "name": "v", "durability": {"type": "replicate"}}).to_string();
    hang_up(address, "/volumes", &body, body.len()).await;
    tokio::time::timeout(BOUND, gate.frozen()).await.unwrap();
    assert!(server.ops.store().read(|tx| tx.volume_ids(None)).unwrap().is_empty());
    gate.open();
    until(&server, "the volume", |server| !server.ops.store().read(|tx| tx.volume_ids(None)).unwrap().is_empty()).await;
    until(&server, "the end of the operation", quiet).await;
}

#[tokio::test]
async fn a_request_that_looks_at_a_node_first_is_carried_out() {
    let server = Server::new(None).await;
    let Listening { address, end: _end, .. } = listen(&server).await;
    let gate = Gate::new();
    server.nodes.inner.add(Rule::line("systemctl", Action::Freeze(gate.clone())).nth(1));
    let body =
        json!({"zone": 1, "cluster": server.cluster.to_string(), "hostnames": {"manage": ["m9"], "storage": ["s9"]}});
    let body = body.to_string();
    hang_up(address, "/nodes", &body, body.len()).await;
    tokio::time::timeout(BOUND, gate.frozen()).await.unwrap();
    gate.open();
    until(&server, "the node", |server| server.ops.store().read(|tx| tx.all_nodes()).unwrap().len() == 4).await;
    until(&server, "the end of the operation", quiet).await;
}

#[tokio::test]
async fn half_a_request_is_nothing() {
    let server = Server::new(None).await;
    let Listening { address, end, serving } = listen(&server).await;
    let before = server.dump();
    let body = json!({"size": 1, "name": "v", "durability": {"type": "replicate"}}).to_string();
    for sent in [0, 1, body.len() / 2, body.len() - 1] {
        hang_up(address, "/volumes", &body, sent).await;
    }
    // The server still answers, and has done nothing.
    let request = Request::get("/volumes").body(Body::empty()).unwrap();
    assert_eq!(server.ask(request).await.status, StatusCode::OK);
    // It ends once it is through with all connections.
    drop(end);
    tokio::time::timeout(BOUND, serving).await.unwrap().unwrap();
    assert!(server.dump() == before && server.sent().is_empty() && quiet(&server));
}
