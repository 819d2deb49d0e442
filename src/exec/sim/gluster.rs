//! Trusted pools: who is in one with whom, and how a gluster command line is read and answered.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write as _;
use std::sync::Arc;

use super::Hosts;
use super::host::{Failure, Reply};
use super::packed::Packed;
use super::snapshots::Snapshot;
use super::xml;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Created,
    Started,
    Stopped,
}

impl Status {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Created => "Created",
            Self::Started => "Started",
            Self::Stopped => "Stopped",
        }
    }
}

/// A brick as its volume knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Brick {
    /// The node, by manage name.
    pub node: Arc<str>,
    /// The node as the command named it.
    pub address: Arc<str>,
    pub path: Packed,
    /// The thin volume that gluster itself mounts: bricks of snapshots and clones only.
    pub device: Option<Box<(String, String)>>,
    /// Entries that wait for healing.
    pub pending_heals: u64,
}

/// Node and path of a brick.
pub(super) type BrickKey = (Arc<str>, Packed);

impl Brick {
    pub fn name(&self) -> String {
        format!("{}:{}", self.address, self.path)
    }

    pub fn key(&self) -> BrickKey {
        (self.node.clone(), self.path.clone())
    }
}

#[derive(Debug)]
pub(super) struct Volume {
    pub name: String,
    pub id: Arc<str>,
    pub status: Status,
    pub replica: usize,
    pub arbiter: usize,
    /// Bricks of a dispersed set, 0 for another type.
    pub disperse: usize,
    pub redundancy: usize,
    pub bricks: Vec<Brick>,
    pub options: Options,
    pub snapshots: usize,
    /// Bricks whose removal was started.
    pub leaving: Vec<BrickKey>,
}

/// The options of a volume, by name.
#[derive(Debug, Clone, Default)]
pub(super) struct Options(Vec<(Packed, Packed)>);

impl Options {
    pub fn set(&mut self, key: &str, value: &str) {
        match self.0.binary_search_by(|(known, _)| known.text().as_str().cmp(key)) {
            Ok(at) => {
                if let Some((_, known)) = self.0.get_mut(at) {
                    *known = Packed::new(value);
                }
            }
            Err(at) => {
                // Most volumes get these: the defaults and the id.
                if self.0.capacity() == 0 {
                    self.0.reserve_exact(6);
                }
                self.0.insert(at, (Packed::new(key), Packed::new(value)));
            }
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = (String, String)> {
        self.0.iter().map(|(key, value)| (key.text(), value.text()))
    }

    pub const fn len(&self) -> usize {
        self.0.len()
    }
}

impl Volume {
    pub const fn set_size(&self) -> usize {
        if self.disperse > 0 { self.disperse } else { self.replica }
    }

    /// Number and name of the type.
    pub const fn kind(&self) -> (u8, &'static str) {
        let several = self.bricks.len() > self.set_size();
        match (self.disperse > 0, self.replica > 1, several) {
            (true, _, false) => (4, "Disperse"),
            (true, _, true) => (9, "Distributed-Disperse"),
            (false, true, false) => (2, "Replicate"),
            (false, true, true) => (7, "Distributed-Replicate"),
            (false, false, _) => (0, "Distribute"),
        }
    }

    pub const fn is_arbiter(&self, index: usize) -> bool {
        self.arbiter > 0 && index % self.replica == self.replica - 1
    }
}

/// A node as gluster knows it.
#[derive(Debug)]
pub(super) struct Member {
    pub uuid: String,
    pub address: String,
    pool: u64,
}

#[derive(Debug, Default)]
pub(super) struct Pool {
    /// Manage names.
    pub members: Vec<String>,
    pub volumes: BTreeMap<String, Volume>,
    pub bricks: HashSet<BrickKey>,
    /// Bricks of each node.
    pub per_node: HashMap<Arc<str>, usize>,
    pub snapshots: BTreeMap<String, Snapshot>,
    pub snapshot_limit: Option<u64>,
}

impl Pool {
    pub fn enter_brick(&mut self, brick: &Brick) {
        if self.bricks.insert(brick.key()) {
            *self.per_node.entry(Arc::clone(&brick.node)).or_default() += 1;
        }
    }

    pub fn strike_brick(&mut self, brick: &Brick) {
        if self.bricks.remove(&brick.key())
            && let Some(count) = self.per_node.get_mut(&brick.node)
        {
            *count -= 1;
        }
    }
}

/// All that gluster knows on all nodes.
#[derive(Debug, Default)]
pub(super) struct Gluster {
    /// Storage name to manage name.
    names: HashMap<Arc<str>, Arc<str>>,
    members: HashMap<String, Member>,
    pub pools: BTreeMap<u64, Pool>,
    next_pool: u64,
}

/// A success: what is printed without and with `--xml`.
pub(super) struct Answer {
    pub text: String,
    pub xml: String,
}

impl Answer {
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), xml: String::new() }
    }
}

/// A refusal by glusterd.
pub(super) struct Refusal {
    /// Before the reason when printed, such as `volume stop: v: failed: `.
    prefix: String,
    reason: String,
    errno: i32,
    /// Exit status with `--xml`, where the refusal stands in the document.
    xml_status: u32,
}

impl Refusal {
    pub fn new(prefix: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { prefix: prefix.into(), reason: reason.into(), errno: 30800, xml_status: 0 }
    }

    pub const fn errno(mut self, errno: i32) -> Self {
        self.errno = errno;
        self
    }

    pub const fn fails_with_xml(mut self) -> Self {
        self.xml_status = 1;
        self
    }

    /// The command line is not one that the CLI understands.
    pub fn usage(reason: impl Into<String>) -> Self {
        Self { prefix: String::new(), reason: reason.into(), errno: 0, xml_status: u32::MAX }
    }
}

pub(super) type Done = Result<Answer, Refusal>;

/// 16 random bytes as gluster writes them.
pub(super) fn uuid() -> String {
    let text = hex::encode(rand::random::<[u8; 16]>());
    let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
    format!("{}-{}-{}-{}-{}", part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32))
}

/// One command under way: on which node, and what it may look at.
pub(super) struct Scene<'a> {
    pub hosts: &'a Hosts,
    /// The node it runs on.
    pub host: &'a str,
    pub names: &'a HashMap<Arc<str>, Arc<str>>,
    pub members: &'a HashMap<String, Member>,
    pub pool_id: u64,
    pub pool: &'a mut Pool,
}

impl Scene<'_> {
    /// Whether the node's glusterd answers.
    pub fn up(&self, node: &str) -> bool {
        self.hosts.with(node, |host| host.powered && host.glusterd)
    }

    pub fn node_of(&self, address: &str) -> Arc<str> {
        self.names.get(address).cloned().unwrap_or_else(|| address.into())
    }

    /// The name of a node, kept once however many bricks have it.
    pub fn address(&self, address: &str) -> Arc<str> {
        self.names.get_key_value(address).map_or_else(|| address.into(), |(known, _)| Arc::clone(known))
    }

    pub fn is_friend(&self, node: &str) -> bool {
        self.members.get(node).is_some_and(|member| member.pool == self.pool_id)
    }

    /// Brick processes of a volume start where its nodes are up.
    pub fn start_bricks(&self, volume: &Volume) {
        for brick in &volume.bricks {
            self.hosts.with(&brick.node, |host| {
                if host.powered && host.glusterd {
                    host.start_brick(&brick.path.text(), &volume.id);
                }
            });
        }
    }

    pub fn stop_bricks<'b>(&self, bricks: impl Iterator<Item = &'b Brick>) {
        for brick in bricks {
            self.hosts.with(&brick.node, |host| {
                if host.powered && host.glusterd {
                    host.stop_brick(&brick.path.text());
                }
            });
        }
    }
}

impl Gluster {
    pub fn introduce(&mut self, manage: &str, storage: &str) {
        self.names.insert(storage.into(), manage.into());
        if let Some(member) = self.members.get_mut(manage)
            && member.address == manage
        {
            member.address = storage.to_owned();
        }
    }

    pub fn node_of(&self, address: &str) -> Arc<str> {
        self.names.get(address).cloned().unwrap_or_else(|| address.into())
    }

    /// The name of a node, kept once however many bricks have it.
    pub fn address(&self, address: &str) -> Arc<str> {
        self.names.get_key_value(address).map_or_else(|| address.into(), |(known, _)| Arc::clone(known))
    }

    /// The pool of a node; a new node has one for itself.
    pub fn pool_of(&mut self, node: &str) -> u64 {
        if let Some(member) = self.members.get(node) {
            return member.pool;
        }
        let address = self.names.iter().find(|(_, manage)| ***manage == *node).map_or(node, |(storage, _)| storage);
        let member = Member { uuid: uuid(), address: address.to_owned(), pool: self.next_pool };
        self.members.insert(node.to_owned(), member);
        let pool = Pool { members: vec![node.to_owned()], ..Pool::default() };
        self.pools.insert(self.next_pool, pool);
        self.next_pool += 1;
        self.next_pool - 1
    }

    /// Puts a node into another one's pool.
    pub fn join(&mut self, host: &str, node: &str) {
        let (to, from) = (self.pool_of(host), self.pool_of(node));
        if to == from {
            return;
        }
        if let Some(pool) = self.pools.get_mut(&from) {
            pool.members.retain(|member| member != node);
            if pool.members.is_empty() {
                self.pools.remove(&from);
            }
        }
        if let Some(member) = self.members.get_mut(node) {
            member.pool = to;
        }
        if let Some(pool) = self.pools.get_mut(&to) {
            pool.members.push(node.to_owned());
        }
    }

    fn leave(&mut self, node: &str) {
        if let Some(old) = self.members.remove(node)
            && let Some(pool) = self.pools.get_mut(&old.pool)
        {
            pool.members.retain(|member| member != node);
        }
        self.pool_of(node);
    }

    pub fn scene<'a>(&'a mut self, hosts: &'a Hosts, host: &'a str) -> Option<Scene<'a>> {
        let pool_id = self.pool_of(host);
        let Self { names, members, pools, .. } = self;
        Some(Scene { hosts, host, names, members, pool_id, pool: pools.get_mut(&pool_id)? })
    }

    /// glusterd of `node` came up: its bricks follow what the pool decided meanwhile.
    pub fn catch_up(&mut self, hosts: &Hosts, node: &str) {
        let Some(scene) = self.scene(hosts, node) else { return };
        for volume in scene.pool.volumes.values() {
            for brick in volume.bricks.iter().filter(|brick| *brick.node == *node) {
                hosts.with(node, |host| {
                    if let Some((vg, lv)) = brick.device.as_deref() {
                        host.attach_snapshot(vg, lv, &brick.path.text());
                    }
                    if volume.status == Status::Started {
                        host.start_brick(&brick.path.text(), &volume.id);
                    } else {
                        host.stop_brick(&brick.path.text());
                    }
                });
            }
        }
    }

    /// `gluster` with these words, on `host`.
    pub fn run(&mut self, hosts: &Hosts, host: &str, words: &[&str]) -> Reply {
        let mut xml = false;
        let mut script = false;
        let mut rest = Vec::with_capacity(words.len());
        for word in words {
            match *word {
                "--xml" => xml = true,
                "--mode=script" => script = true,
                word if word.starts_with("--") => {
                    let seconds = word.strip_prefix("--timeout=").and_then(|seconds| seconds.parse::<u32>().ok());
                    if seconds.is_none() {
                        return Err(Failure::new(1, format!("gluster: unrecognized option '{word}'")));
                    }
                }
                word => rest.push(word),
            }
        }
        if !hosts.with(host, |host| host.glusterd) {
            return Err(Failure::new(1, "Connection failed. Please check if gluster daemon is operational."));
        }
        if !script && matches!(rest.as_slice(), ["volume", "stop" | "delete", ..] | ["peer", "detach", ..]) {
            // It would ask, and nobody is there to answer.
            return Err(Failure::new(1, ""));
        }
        let done = match rest.as_slice() {
            ["peer", "probe", address] => self.probe(hosts, host, address),
            ["peer", "detach", address] => self.detach(hosts, host, address, false),
            ["peer", "detach", address, "force"] => self.detach(hosts, host, address, true),
            ["peer", "status"] => self.peer_status(hosts, host, false),
            ["pool", "list"] => self.peer_status(hosts, host, true),
            ["volume", rest @ ..] => {
                self.scene(hosts, host).map_or_else(|| Err(no_scene()), |mut scene| scene.volume(rest))
            }
            ["snapshot", rest @ ..] => {
                self.scene(hosts, host).map_or_else(|| Err(no_scene()), |mut scene| scene.snapshot(rest))
            }
            [] => Err(Refusal::usage("gluster: no command given")),
            [word, ..] => Err(Refusal::usage(format!("unrecognized word: {word} (position 0)"))),
        };
        match done {
            Ok(answer) if xml => Ok(xml::document(0, 0, "", &answer.xml)),
            Ok(answer) => Ok(answer.text),
            Err(refusal) if xml && refusal.xml_status != u32::MAX => {
                let document = xml::document(-1, refusal.errno, &refusal.reason, "");
                match refusal.xml_status {
                    0 => Ok(document),
                    status => Err(Failure { status, stderr: String::new(), stdout: document }),
                }
            }
            Err(refusal) => Err(Failure::new(1, format!("{}{}", refusal.prefix, refusal.reason))),
        }
    }

    fn probe(&mut self, hosts: &Hosts, host: &str, address: &str) -> Done {
        let node = self.node_of(address);
        if *node == *host {
            return Ok(Answer::text("peer probe: success. Probe on localhost not needed\n"));
        }
        let failed = |reason: String| Err(Refusal::new("peer probe: failed: ", reason));
        let own = self.pool_of(host);
        if self.members.get(&*node).is_some_and(|member| member.pool == own) {
            return Ok(Answer::text(format!("peer probe: success. Host {address} port 24007 already in peer list\n")));
        }
        if !hosts.with(&node, |host| host.powered && host.glusterd) {
            return failed("Probe returned with Transport endpoint is not connected".to_owned());
        }
        let other = self.pool_of(&node);
        if self.pools.get(&other).is_some_and(|pool| pool.members.len() > 1 || !pool.volumes.is_empty()) {
            return failed(format!("{address} is either already part of another cluster or having volumes configured"));
        }
        self.join(host, &node);
        if let Some(member) = self.members.get_mut(&*node) {
            member.address = address.to_owned();
        }
        Ok(Answer::text("peer probe: success\n"))
    }

    fn detach(&mut self, hosts: &Hosts, host: &str, address: &str, force: bool) -> Done {
        let node = self.node_of(address);
        let failed = |reason: String| Err(Refusal::new("peer detach: failed: ", reason));
        if *node == *host {
            return failed(format!("{address} is localhost"));
        }
        let own = self.pool_of(host);
        if self.members.get(&*node).is_none_or(|member| member.pool != own) {
            return failed(format!("{address} is not part of cluster"));
        }
        if self.pools.get(&own).is_some_and(|pool| pool.per_node.get(&node).is_some_and(|bricks| *bricks > 0)) {
            return failed(format!(
                "Peer {address} hosts one or more bricks. If the peer is in not recoverable state then use either \
                 replace-brick or remove-brick command with force to remove all bricks from the peer and attempt the \
                 peer detach again."
            ));
        }
        if !force && !hosts.with(&node, |host| host.powered && host.glusterd) {
            return failed("One of the peers is probably down. Check with 'peer status'".to_owned());
        }
        self.leave(&node);
        Ok(Answer::text("peer detach: success\n"))
    }

    fn peer_status(&mut self, hosts: &Hosts, host: &str, with_self: bool) -> Done {
        let Some(scene) = self.scene(hosts, host) else { return Err(no_scene()) };
        let peers = || scene.pool.members.iter().filter(|node| with_self || *node != host);
        let mut text = if with_self {
            "UUID\t\t\t\t\tHostname\tState\n".to_owned()
        } else {
            format!("Number of Peers: {}\n", peers().count())
        };
        let mut inner = String::from("<peerStatus>\n");
        for node in peers() {
            let Some(member) = scene.members.get(node) else { continue };
            let up = scene.up(node);
            let state = if up { "Connected" } else { "Disconnected" };
            let address = if *node == *host { "localhost" } else { member.address.as_str() };
            if with_self {
                let _ = writeln!(text, "{}\t{address}\t{state}", member.uuid);
            } else {
                let _ =
                    write!(text, "\nHostname: {address}\nUuid: {}\nState: Peer in Cluster ({state})\n", member.uuid);
            }
            let _ = write!(
                inner,
                "<peer>\n<uuid>{}</uuid>\n{}\n<connected>{}</connected>\n<state>3</state>\n<stateStr>Peer in Cluster</stateStr>\n</peer>\n",
                member.uuid,
                xml::element("hostname", address),
                u8::from(up)
            );
        }
        inner.push_str("</peerStatus>\n");
        Ok(Answer { text, xml: inner })
    }
}

fn no_scene() -> Refusal {
    Refusal::usage("gluster: this node has no pool")
}
