//! Connections, on a listening server without any nodes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::serve_patiently;
use crate::exec::{CommandSettings, Nodes, sim::Sim};
use crate::http::App;
use crate::ops::{Ops, OpsSettings};
use crate::store::Store;
use crate::units::Gib;

/// Longer than anything here takes, shorter than the patience of whoever waits for the tests.
const BOUND: Duration = Duration::from_secs(20);
const REQUEST: &[u8] = b"GET /hello HTTP/1.1\r\nHost: h\r\n\r\n";

struct Server {
    address: SocketAddr,
    end: oneshot::Sender<()>,
    serving: JoinHandle<()>,
    _folder: tempfile::TempDir,
}

async fn server(silence: Duration) -> Server {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(&folder.path().join("heketi.db")).unwrap();
    let nodes = Nodes::new(Arc::new(Sim::new(Gib(1))), CommandSettings::default());
    let settings = OpsSettings::default();
    let app = App::new(Ops::new(Arc::new(store), Arc::new(nodes), settings), None);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (end, ended) = oneshot::channel();
    let serving = tokio::spawn(async move {
        serve_patiently(listener, app, silence, async {
            let _ = ended.await;
        })
        .await;
    });
    Server { address, end, serving, _folder: folder }
}

/// Sends this, and returns all that comes until the server closes the connection.
async fn until_closed(stream: &mut TcpStream) -> Vec<u8> {
    let mut got = Vec::new();
    // A reset is an end as well.
    let _ = timeout(BOUND, stream.read_to_end(&mut got)).await.expect("the server keeps the connection open");
    got
}

async fn one_answer(stream: &mut TcpStream) -> String {
    stream.write_all(REQUEST).await.unwrap();
    let mut got = Vec::new();
    while !got.ends_with(b"Hello from Heketi") {
        assert_ne!(timeout(BOUND, stream.read_buf(&mut got)).await.unwrap().unwrap(), 0, "{got:?}");
    }
    String::from_utf8(got).unwrap()
}

#[tokio::test]
async fn half_a_head_and_then_silence_is_closed() {
    let server = server(Duration::from_millis(50)).await;
    for start in [&b""[..], b"GET /hel", b"GET /hello HTTP/1.1\r\nHost: h\r\n"] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(start).await.unwrap();
        let got = until_closed(&mut stream).await;
        assert!(!got.starts_with(b"HTTP/1.1 200"), "{got:?}");
    }
}

#[tokio::test]
async fn a_connection_serves_many_requests_and_is_closed_when_none_comes() {
    let server = server(Duration::from_millis(500)).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    for _ in 0..3 {
        assert!(one_answer(&mut stream).await.starts_with("HTTP/1.1 200 OK\r\n"));
    }
    assert!(until_closed(&mut stream).await.is_empty());
}

#[tokio::test]
async fn the_end_waits_for_no_silent_connection() {
    let Server { address, end, serving, _folder } = server(Duration::from_secs(3600)).await;
    let mut unused = TcpStream::connect(address).await.unwrap();
    let mut used = TcpStream::connect(address).await.unwrap();
    // Connections are accepted in order: this answer says that the unused one has been, too.
    one_answer(&mut used).await;
    drop(end);
    timeout(BOUND, serving).await.expect("the server waits for a silent connection").unwrap();
    assert!(until_closed(&mut unused).await.is_empty());
    assert!(until_closed(&mut used).await.is_empty());
    assert!(TcpStream::connect(address).await.is_err());
}
