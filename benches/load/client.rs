//! A small HTTP client that keeps its connection and takes next to no processor time.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, bail};
use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::server::ADMIN_KEY;

/// A token for one method and path, good for a long time.
fn token(method: &str, path: &str) -> anyhow::Result<String> {
    let qsh = hex::encode(Sha256::digest(format!("{method}&{path}")));
    let claims = json!({"iss": "admin", "iat": 0, "exp": 1_i64 << 40, "qsh": qsh});
    Ok(jsonwebtoken::encode(&Header::default(), &claims, &EncodingKey::from_secret(ADMIN_KEY.as_bytes()))?)
}

/// A whole request as it is sent.
pub fn request(method: &str, path: &str, body: Option<&Value>) -> anyhow::Result<Vec<u8>> {
    let token = token(method, path)?;
    let body = body.map(Value::to_string).unwrap_or_default();
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: bearer {token}\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    Ok(request.into_bytes())
}

/// An answer.
pub struct Answer<'a> {
    pub status: u16,
    pub location: Option<&'a str>,
    /// The operation still runs.
    pub pending: bool,
    pub body: &'a [u8],
}

/// A connection with at most one request under way.
pub struct Connection {
    stream: TcpStream,
    inbox: Vec<u8>,
    filled: usize,
}

impl Connection {
    pub fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        Ok(Self { stream, inbox: vec![0; 64 * 1024], filled: 0 })
    }

    pub fn send(&mut self, request: &[u8]) -> anyhow::Result<()> {
        Ok(self.stream.write_all(request)?)
    }

    /// The answer to the request under way.
    pub fn receive(&mut self) -> anyhow::Result<Answer<'_>> {
        self.filled = 0;
        let head = loop {
            self.fill()?;
            let filled = self.inbox.get(..self.filled).unwrap_or_default();
            if let Some(end) = filled.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
        };
        let text = std::str::from_utf8(self.inbox.get(..head).unwrap_or_default())?;
        // 204 has no body and says nothing of one.
        let length: usize = header(text, "content-length").unwrap_or("0").parse()?;
        while self.filled < head + length {
            self.fill()?;
        }
        let text = std::str::from_utf8(self.inbox.get(..head).unwrap_or_default())?;
        Ok(Answer {
            status: text.get(9..12).context("not an HTTP answer")?.parse()?,
            location: header(text, "location"),
            pending: header(text, "x-pending") == Some("true"),
            body: self.inbox.get(head..head + length).unwrap_or_default(),
        })
    }

    fn fill(&mut self) -> anyhow::Result<()> {
        if self.filled == self.inbox.len() {
            self.inbox.resize(2 * self.filled, 0);
        }
        match self.stream.read(self.inbox.get_mut(self.filled..).unwrap_or_default())? {
            0 => bail!("the server closed the connection"),
            read => self.filled += read,
        }
        Ok(())
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// Asks, and follows what is asked until it is done.
pub struct Client {
    connection: Connection,
    /// Requests without an id in their path, ready to be sent.
    known: HashMap<(String, String), Vec<u8>>,
}

impl Client {
    pub fn new(connection: Connection) -> Self {
        Self { connection, known: HashMap::new() }
    }

    /// The JSON that answers a request.
    pub fn json(&mut self, method: &str, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.connection.send(&request(method, path, Some(body).filter(|body| !body.is_null()))?)?;
        let answer = self.connection.receive()?;
        if !(200..300).contains(&answer.status) {
            bail!("{method} {path}: {} {}", answer.status, String::from_utf8_lossy(answer.body));
        }
        Ok(serde_json::from_slice(answer.body)?)
    }

    /// Starts an operation and asks the queue, after `poll` each time, until it is done. Returns where its result is, if it has
    /// one.
    pub fn run(&mut self, method: &str, path: &str, body: &Value, poll: Duration) -> anyhow::Result<String> {
        let key = (path.to_owned(), body.to_string());
        if !self.known.contains_key(&key) {
            self.known.clear();
            self.known.insert(key.clone(), request(method, path, Some(body))?);
        }
        self.connection.send(self.known.get(&key).context("the request is gone")?)?;
        let answer = self.connection.receive()?;
        if answer.status != 202 {
            bail!("{method} {path}: {} {}", answer.status, String::from_utf8_lossy(answer.body));
        }
        let queue = answer.location.context("nowhere to ask for the result")?.to_owned();
        let ask = request("GET", &queue, None)?;
        loop {
            std::thread::sleep(poll);
            self.connection.send(&ask)?;
            let answer = self.connection.receive()?;
            match (answer.status, answer.pending) {
                (200, true) => {}
                (204, _) => return Ok(String::new()),
                (303, _) => return Ok(answer.location.context("nowhere to find the result")?.to_owned()),
                (status, _) => bail!("{method} {path}: {status} {}", String::from_utf8_lossy(answer.body)),
            }
        }
    }
}
