//! A client as small as can be: one connection a request, a fresh token for each.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::process::{BOUND, wait_for};

pub struct Client {
    port: u16,
    issuer: Option<(&'static str, &'static str)>,
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    headers: BTreeMap<String, String>,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(&name.to_ascii_lowercase()).map(String::as_str)
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Checks the status on the way.
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }
}

pub fn token(issuer: &str, key: &str, method: &str, path: &str) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let qsh = hex::encode(Sha256::digest(format!("{method}&{path}")));
    let claims = json!({"iss": issuer, "iat": now, "exp": now + 300, "qsh": qsh});
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &EncodingKey::from_secret(key.as_bytes())).unwrap()
}

impl Client {
    pub fn new(port: u16, issuer: Option<(&'static str, &'static str)>) -> Self {
        Self { port, issuer }
    }

    /// Sends one request with this header line, and reads the answer.
    pub fn send(&self, method: &str, path: &str, header: &str, body: &str) -> Answer {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(BOUND)).unwrap();
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n{header}\r\n{body}"
        )
        .unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        Answer { status, headers, body: body.to_owned() }
    }

    fn request(&self, method: &str, path: &str, body: &str) -> Answer {
        let header = match self.issuer {
            Some((issuer, key)) => format!("Authorization: bearer {}\r\n", token(issuer, key, method, path)),
            None => String::new(),
        };
        self.send(method, path, &header, body)
    }

    pub fn get(&self, path: &str) -> Answer {
        self.request("GET", path, "")
    }

    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.request("POST", path, &body.to_string())
    }

    pub fn delete(&self, path: &str) -> Answer {
        self.request("DELETE", path, "")
    }

    /// Follows an accepted operation to its end: what its answer of the queue is.
    pub fn result_of(&self, accepted: Answer) -> Answer {
        let queue = accepted.expect(202).header("Location").unwrap().to_owned();
        assert!(queue.starts_with("/queue/"), "{queue}");
        self.result_at(&queue)
    }

    pub fn result_at(&self, queue: &str) -> Answer {
        wait_for("the end of an operation", || Some(self.get(queue)).filter(|a| a.header("X-Pending").is_none()))
    }

    /// What came of an accepted operation.
    pub fn resource_of(&self, accepted: Answer) -> Value {
        let path = self.result_of(accepted).expect(303).header("Location").unwrap().to_owned();
        self.get(&path).expect(200).json()
    }

    /// Makes a cluster of these nodes, one device each, and gives its id.
    pub fn load(&self, hosts: &[&str]) -> String {
        let cluster = self.post("/clusters", &json!({"file": true, "block": true})).expect(201).json();
        let cluster = cluster["id"].as_str().unwrap().to_owned();
        for (i, host) in hosts.iter().enumerate() {
            let names = json!({"manage": [host], "storage": [format!("10.0.0.{}", i + 1)]});
            let node = self.post("/nodes", &json!({"zone": i + 1, "hostnames": names, "cluster": cluster}));
            let node = self.resource_of(node);
            let device = self.post("/devices", &json!({"name": "/dev/sdb", "node": node["id"]}));
            self.result_of(device).expect(204);
        }
        cluster
    }

    /// All that the server knows, as one value.
    pub fn everything(&self) -> Value {
        let clusters = self.get("/clusters").expect(200).json();
        let ids = |value: &Value| -> Vec<String> {
            value.as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned()).collect()
        };
        let all = |kind: &str, value: &Value| -> Vec<Value> {
            ids(value).iter().map(|id| self.get(&format!("/{kind}/{id}")).expect(200).json()).collect()
        };
        let known = all("clusters", &clusters["clusters"]);
        let nodes: Vec<_> = known.iter().map(|cluster| all("nodes", &cluster["nodes"])).collect();
        let volumes = all("volumes", &self.get("/volumes").expect(200).json()["volumes"]);
        json!({"clusters": known, "nodes": nodes, "volumes": volumes})
    }
}

/// Asks for something until the server is gone, which is `None`; a busy server gives an empty text.
pub fn try_post(port: u16, path: &str, body: &str) -> Option<String> {
    let token = token("admin", crate::process::ADMIN_KEY, "POST", path);
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    let length = body.len();
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: {length}\r\nAuthorization: bearer {token}\r\n\r\n{body}"
    )
    .ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok().filter(|read| *read > 0)?;
    let location =
        text.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("location: ").map(str::to_owned));
    Some(location.unwrap_or_default())
}
