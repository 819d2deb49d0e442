//! What a client sees on the wire, whatever the route: forms of answers, paths, methods, bodies.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{App, serve};
use crate::exec::{CommandSettings, Nodes, sim::Sim};
use crate::ops::{Ops, OpsSettings};
use crate::store::Store;
use crate::units::Gib;

/// A server without tokens on an empty database.
struct Server {
    port: u16,
    _end: tokio::sync::oneshot::Sender<()>,
    _folder: tempfile::TempDir,
}

impl Server {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(&folder.path().join("heketi.db")).unwrap();
        let nodes = Nodes::new(Arc::new(Sim::new(Gib(500))), CommandSettings::default());
        let settings = OpsSettings {
            pre_request_options: vec![String::new()],
            post_request_options: vec![String::new()],
            ..OpsSettings::default()
        };
        let ops = Ops::new(Arc::new(store), Arc::new(nodes), settings);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        tokio::spawn(serve(listener, App::new(ops, None), async {
            let _ = ended.await;
        }));
        Self { port, _end: end, _folder: folder }
    }

    /// All that comes back on one connection, without dates.
    async fn send(&self, request: &[u8]) -> String {
        let mut connection = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        connection.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        connection.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8(answer).unwrap();
        answer.split_inclusive("\r\n").filter(|line| !line.starts_with("Date: ")).collect()
    }

    /// The answer to a request that is the last one on its connection.
    async fn ask(&self, line: &str, rest: &str) -> String {
        let request = format!("{line} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{rest}");
        self.send(request.as_bytes()).await.replace("Connection: close\r\n", "")
    }
}

#[tokio::test]
async fn answers_have_the_references_form() {
    let server = Server::start().await;
    for (line, answer) in [
        (
            "GET /hello",
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=UTF-8\r\nContent-Length: 17\r\n\r\nHello from Heketi",
        ),
        (
            "GET /clusters?x=1",
            "HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=UTF-8\r\nContent-Length: 16\r\n\r\n{\"clusters\":[]}\n",
        ),
        (
            "GET /hello/",
            "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\n\
             Content-Length: 24\r\n\r\nInvalid path or request\n",
        ),
        (
            "GET /volumes/?a=b&c",
            "HTTP/1.1 301 Moved Permanently\r\nContent-Type: text/html; charset=utf-8\r\nLocation: /volumes?a=b&c\r\n\
             Content-Length: 53\r\n\r\n<a href=\"/volumes?a=b&amp;c\">Moved Permanently</a>.\n\n",
        ),
        ("POST /volumes/", "HTTP/1.1 301 Moved Permanently\r\nLocation: /volumes\r\nContent-Length: 0\r\n\r\n"),
        ("GET //a/../b%20c/?x", "HTTP/1.1 301 Moved Permanently\r\nLocation: /b%20c/?x\r\nContent-Length: 0\r\n\r\n"),
        ("GET http://o/./x", "HTTP/1.1 301 Moved Permanently\r\nLocation: http://o/x\r\nContent-Length: 0\r\n\r\n"),
        ("OPTIONS *", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ] {
        assert_eq!(server.ask(line, "\r\n").await, answer, "{line}");
    }
    for line in ["HEAD /clusters", "PUT /clusters", "DELETE /volumes/", "GET /nodes", "POST /queue/ab", "get /clusters"]
    {
        assert_eq!(
            server.ask(line, "\r\n").await,
            "HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n",
            "{line}"
        );
    }
    for line in ["GET /clusters/zz", "GET /clusters%3Fx", "GET /", "GET /volumes/ab/cd", "POST /hello", "HEAD /hello"] {
        assert!(server.ask(line, "\r\n").await.starts_with("HTTP/1.1 404 Not Found\r\n"), "{line}");
    }
    let id_in_capitals = server.ask("GET /volumes/ABCDEF0123456789ABCDEF0123456789", "\r\n").await;
    assert!(id_in_capitals.ends_with("\r\n\r\nId not found\n"), "{id_in_capitals}");
    assert!(server.ask("GET /%zz", "\r\n").await.starts_with("HTTP/1.1 400 Bad Request\r\n"));
}

#[tokio::test]
async fn bodies_come_in_every_form_of_http() {
    let server = Server::start().await;
    for rest in [
        "Content-Length: 2\r\n\r\n{}",
        "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n",
        "Content-Type: nonsense\r\nContent-Length: 4\r\n\r\nnull",
    ] {
        assert!(server.ask("POST /clusters", rest).await.starts_with("HTTP/1.1 201 Created\r\n"), "{rest}");
    }
    let expect = server.ask("POST /clusters", "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n{}").await;
    assert!(expect.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\n"), "{expect}");
    for rest in ["\r\n", "Content-Length: 1\r\n\r\n{", "Content-Length: 4\r\n\r\n{} x"] {
        let answer = server.ask("POST /clusters", rest).await;
        assert!(answer.starts_with("HTTP/1.1 422 "), "{rest}");
        assert!(answer.ends_with("\r\n\r\nrequest unable to be parsed\n"), "{answer}");
    }
    // The body of DELETE counts only if its length is given.
    let device = "DELETE /devices/00000000000000000000000000000000";
    assert!(server.ask(device, "Content-Length: 1\r\n\r\n{").await.starts_with("HTTP/1.1 422 "));
    assert!(server.ask(device, "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n0\r\n\r\n").await.contains("Id not found"));
    // Clients send bodies with GET.
    assert!(server.ask("GET /clusters", "Content-Length: 5\r\n\r\nhello").await.starts_with("HTTP/1.1 200 OK\r\n"));
    let long = format!("Content-Length: {0}\r\n\r\n{1}", 10 << 20, "a".repeat(10 << 20));
    assert!(server.ask("POST /volumes", &long).await.starts_with("HTTP/1.1 422 "));
}

#[tokio::test]
async fn connections_are_kept_or_closed_as_asked() {
    let server = Server::start().await;
    let old = server.send(b"GET /hello HTTP/1.0\r\n\r\n").await;
    assert!(old.starts_with("HTTP/1.0 200 OK\r\n"), "{old}");
    let two = server
        .send(b"GET /hello HTTP/1.1\r\nHost: h\r\n\r\nGET /nope HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        .await;
    assert!(
        two.starts_with("HTTP/1.1 200 OK\r\n") && two.contains("Hello from HeketiHTTP/1.1 404 Not Found\r\n"),
        "{two}"
    );
}

impl Server {
    /// Sends JSON, and follows a job to its end. Returns the status line's code, `Location` and the body.
    async fn json(&self, line: &str, body: &str) -> (u16, String, String) {
        let rest = format!("Content-Length: {}\r\n\r\n{body}", body.len());
        let mut answer = self.ask(line, &rest).await;
        while let Some(queue) = answer.split("Location: ").nth(1).and_then(|rest| rest.split("\r\n").next())
            && queue.starts_with("/queue/")
        {
            let line = format!("GET {queue}");
            answer = self.ask(&line, "\r\n").await;
            for _ in 0..10_000 {
                if !answer.contains("\r\nX-Pending: true\r\n") {
                    break;
                }
                tokio::task::yield_now().await;
                answer = self.ask(&line, "\r\n").await;
            }
        }
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let location = head.split("Location: ").nth(1).and_then(|rest| rest.split("\r\n").next()).unwrap_or_default();
        (head[9..12].parse().unwrap(), location.to_owned(), body.to_owned())
    }

    /// One node with one device, in a cluster of their own.
    async fn topology(&self) {
        let (_, _, cluster) = self.json("POST /clusters", r#"{"file":true}"#).await;
        let cluster: serde_json::Value = serde_json::from_str(&cluster).unwrap();
        let node =
            format!(r#"{{"zone":1,"hostnames":{{"manage":["m","m"],"storage":["s"]}},"cluster":{}}}"#, cluster["id"]);
        let (status, node, text) = self.json("POST /nodes", &node).await;
        assert_eq!(status, 303, "{text}");
        let device = format!(r#"{{"name":"/dev/sdb","node":"{}"}}"#, node.strip_prefix("/nodes/").unwrap());
        assert_eq!(self.json("POST /devices", &device).await, (204, String::new(), String::new()));
    }
}

#[tokio::test]
async fn a_volume_is_told_as_it_was_asked_for() {
    let server = Server::start().await;
    server.topology().await;
    let request = r#"{"size":1,"durability":{"replicate":{"replica":9},"disperse":{"data":4,"redundancy":-2}},"gid":7,
                      "glustervolumeoptions":["user.a <b>"],"snapshot":{"enable":true,"factor":1.10},"clusters":null}"#;
    let (status, location, _) = server.json("POST /volumes", request).await;
    assert_eq!(status, 303);
    let (_, _, text) = server.json(&format!("GET {location}"), "").await;
    let id = location.strip_prefix("/volumes/").unwrap();
    let wanted = format!(
        "{{\"size\":1,\"name\":\"vol_{id}\",\"durability\":{{\"type\":\"none\",\"replicate\":{{\"replica\":9}},\"disperse\":\
         {{\"data\":4,\"redundancy\":-2}}}},\"gid\":7,\"glustervolumeoptions\":[\"\",\"user.a \\u003cb\\u003e\",\"\"],\
         \"snapshot\":{{\"enable\":true,\"factor\":1.1}},\"id\":\"{id}\",\"cluster\":\""
    );
    assert!(text.starts_with(&wanted), "{text}\n{wanted}");
    assert!(
        text.contains("\"mount\":{\"glusterfs\":{\"hosts\":[\"s\"],\"device\":\"s:vol_")
            && text
                .contains("\",\"options\":{\"backup-volfile-servers\":\"\"}}},\"blockinfo\":{},\"bricks\":[{\"id\":\"")
    );
}

#[tokio::test]
async fn an_option_without_a_value_does_not_swallow_the_next_one() {
    let server = Server::start().await;
    server.topology().await;
    let request = r#"{"size":1,"glustervolumeoptions":["user.a","user.b"]}"#;
    let (status, _, text) = server.json("POST /volumes", request).await;
    assert_eq!(status, 500);
    assert_eq!(text, "Usage:\nvolume set <VOLNAME> <KEY> <VALUE>\n\n");
    assert_eq!(server.json("GET /volumes", "").await.2, "{\"volumes\":[]}\n");
}
