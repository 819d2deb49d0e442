//! `gluster volume ...`, as glusterd 10 answers it.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::sync::Arc;

use super::gluster::{Answer, Brick, Done, Options, Refusal, Scene, Status, Volume, uuid};
use super::host::{Host, clean, parent};
use super::packed::Packed;
use super::xml;

/// Namespaces of options that gluster knows; within one, any name passes.
const NAMESPACES: [&str; 25] = [
    "auth",
    "bitrot",
    "changelog",
    "client",
    "cluster",
    "config",
    "ctime",
    "debug",
    "delay-gen",
    "diagnostics",
    "dht",
    "disperse",
    "features",
    "ganesha",
    "geo-replication",
    "locks",
    "network",
    "nfs",
    "performance",
    "rpc-auth",
    "server",
    "ssl",
    "storage",
    "transport",
    "user",
];

/// The group that block hosting volumes ask for; what the other groups set is not simulated.
const GLUSTER_BLOCK: [(&str, &str); 20] = [
    ("performance.quick-read", "off"),
    ("performance.read-ahead", "off"),
    ("performance.io-cache", "off"),
    ("performance.stat-prefetch", "off"),
    ("performance.open-behind", "off"),
    ("performance.readdir-ahead", "off"),
    ("performance.strict-o-direct", "on"),
    ("performance.client-io-threads", "on"),
    ("performance.io-thread-count", "32"),
    ("performance.high-prio-threads", "32"),
    ("performance.normal-prio-threads", "32"),
    ("performance.low-prio-threads", "32"),
    ("performance.least-prio-threads", "4"),
    ("client.event-threads", "8"),
    ("server.event-threads", "8"),
    ("network.remote-dio", "disable"),
    ("cluster.eager-lock", "enable"),
    ("cluster.quorum-type", "auto"),
    ("features.shard", "on"),
    ("user.cifs", "off"),
];

const GROUPS: [&str; 7] =
    ["db-workload", "gluster-block", "metadata-cache", "nl-cache", "samba", "small-file-perf", "virt"];

/// What follows the name in `volume create`.
struct Shape {
    replica: usize,
    arbiter: usize,
    disperse: usize,
    redundancy: usize,
    force: bool,
    bricks: Vec<(String, String)>,
}

fn number(words: &[&str], at: usize) -> Result<usize, Refusal> {
    let name = words.get(at).copied().unwrap_or_default();
    let value = words.get(at + 1).copied().unwrap_or_default();
    value
        .parse()
        .ok()
        .filter(|number| *number > 0)
        .ok_or_else(|| Refusal::usage(format!("{name} count should be greater than 0, not '{value}'")))
}

fn brick_name(word: &str) -> Result<(String, String), Refusal> {
    let parts = word.find(":/").and_then(|at| Some((word.get(..at)?, word.get(at + 1..)?)));
    match parts {
        Some((address, path)) if !address.is_empty() && path.len() > 1 => Ok((address.to_owned(), clean(path))),
        _ => Err(Refusal::usage(format!("Wrong brick type: {word}, use <HOSTNAME>:<export-dir-abs-path>"))),
    }
}

fn brick_names(words: &[&str]) -> Result<Vec<(String, String)>, Refusal> {
    if words.is_empty() {
        return Err(Refusal::usage("Usage: bricks are missing"));
    }
    let mut seen = HashSet::new();
    words
        .iter()
        .map(|word| {
            let brick = brick_name(word)?;
            if !seen.insert(brick.clone()) {
                return Err(Refusal::usage(format!("Found duplicate exports {word}")));
            }
            Ok(brick)
        })
        .collect()
}

impl Shape {
    fn read(words: &[&str]) -> Result<Self, Refusal> {
        let mut shape = Self { replica: 1, arbiter: 0, disperse: 0, redundancy: 0, force: false, bricks: Vec::new() };
        let mut data = 0;
        let mut at = 0;
        while let Some(word) = words.get(at) {
            match *word {
                "replica" => shape.replica = number(words, at)?,
                "arbiter" => shape.arbiter = number(words, at)?,
                "disperse" => shape.disperse = number(words, at)?,
                "disperse-data" => data = number(words, at)?,
                "redundancy" => shape.redundancy = number(words, at)?,
                "transport" if words.get(at + 1) == Some(&"tcp") => {}
                _ => break,
            }
            if *word == "replica" && shape.replica < 2 {
                return Err(Refusal::usage("replica count should be greater than 1"));
            }
            at += 2;
        }
        if shape.arbiter > 0 {
            // `replica 2 arbiter 1` is the newer way to say `replica 3 arbiter 1`.
            shape.replica = match (shape.replica, shape.arbiter) {
                (2 | 3, 1) => 3,
                _ => {
                    return Err(Refusal::usage(
                        "For arbiter configuration, replica count must be 2 and arbiter count must be 1.",
                    ));
                }
            };
        }
        if data > 0 || shape.disperse > 0 || shape.redundancy > 0 {
            if shape.replica > 1 {
                return Err(Refusal::usage("disperse and replica volumes cannot be combined"));
            }
            match (shape.disperse, data, shape.redundancy) {
                (0, 1.., 1..) => shape.disperse = data + shape.redundancy,
                (1.., 1.., 0) => shape.redundancy = shape.disperse.saturating_sub(data),
                (1.., 0, 1..) => {}
                (all, 1.., 1..) if all == data + shape.redundancy => {}
                _ => return Err(Refusal::usage("Wrong disperse, disperse-data or redundancy count")),
            }
            if shape.redundancy == 0 || shape.disperse <= 2 * shape.redundancy {
                return Err(Refusal::usage("redundancy must be less than half of the disperse count"));
            }
        }
        let mut rest = words.get(at..).unwrap_or_default();
        if let Some((&"force", before)) = rest.split_last() {
            shape.force = true;
            rest = before;
        }
        shape.bricks = brick_names(rest)?;
        Ok(shape)
    }
}

fn check_name(name: &str) -> Result<(), Refusal> {
    if name.is_empty() || name.starts_with('-') || name.contains('/') {
        return Err(Refusal::usage("Usage:\nvolume create <NEW-VOLNAME> ..."));
    }
    if name == "all" {
        return Err(Refusal::usage("\"all\" cannot be the name of a volume."));
    }
    if let Some(c) = name.chars().find(|c| !c.is_ascii_alphanumeric() && !"-_".contains(*c)) {
        return Err(Refusal::usage(format!("Volume name should not contain \"{c}\" character.")));
    }
    if name.len() > 255 {
        return Err(Refusal::usage("Volume name exceeds 255 characters."));
    }
    Ok(())
}

/// glusterd's look at a new brick's directory, which it makes if only the last component is missing.
fn stage_brick(host: &mut Host, address: &str, path: &str, force: bool) -> Result<(), String> {
    if host.dir(path).is_none()
        && let Err(err) = host.make_dir(path)
    {
        return Err(format!("Failed to create brick directory for brick {address}:{path}. Reason : {} ", err.text()));
    }
    if host.dir(path).is_some_and(|dir| dir.volume.is_some()) {
        return Err(format!("{path} is already part of a volume"));
    }
    let mut above = parent(path);
    while !above.is_empty() {
        if host.dir(above).is_some_and(|dir| dir.volume.is_some()) {
            return Err(format!("parent directory {above} is already part of a volume"));
        }
        above = parent(above);
    }
    if force {
        return Ok(());
    }
    let recommended = "Or use 'force' at the end of the command if you want to override this behavior.";
    match host.mount_above(path) {
        Some(point) if point == path => Err(format!(
            "The brick {address}:{path} is a mount point. Please create a sub-directory under the mount point and use \
             that as the brick directory. {recommended}"
        )),
        Some(_) => Ok(()),
        None => Err(format!(
            "The brick {address}:{path} is being created in the root partition. It is recommended that you don't use \
             the system's root partition for storage backend. {recommended}"
        )),
    }
}

fn usage(verb: &str) -> Refusal {
    Refusal::usage(format!("Usage:\nvolume {verb} <VOLNAME> ..."))
}

impl Scene<'_> {
    pub fn volume(&mut self, words: &[&str]) -> Done {
        match words {
            ["create", name, rest @ ..] => self.create(name, rest),
            ["start", name] => self.start(name, false),
            ["start", name, "force"] => self.start(name, true),
            ["stop", name] => self.stop(name, false),
            ["stop", name, "force"] => self.stop(name, true),
            ["delete", name] => self.delete(name),
            ["info"] | ["info", "all"] => Ok(self.info_all()),
            ["info", name] => self.info(name),
            ["list"] => Ok(self.list()),
            ["status", name] => self.status(name),
            ["set", name, pairs @ ..] => self.set(name, pairs),
            ["add-brick", name, rest @ ..] => self.add_brick(name, rest),
            ["remove-brick", name, rest @ ..] => self.remove_brick(name, rest),
            ["rebalance", name, rest @ ..] => self.rebalance(name, rest),
            ["heal", name, rest @ ..] => self.heal(name, rest),
            ["replace-brick", name, old, new, "commit", "force"] => self.replace_brick(name, old, new),
            [verb @ ("create" | "start" | "stop" | "delete" | "replace-brick"), ..] => Err(usage(verb)),
            [word, ..] => Err(Refusal::usage(format!("unrecognized word: {word} (position 1)"))),
            [] => Err(Refusal::usage("unrecognized command: volume")),
        }
    }

    /// Checks new bricks on their nodes, in the order in which glusterd does.
    fn stage_bricks(&self, prefix: &str, names: Vec<(String, String)>, force: bool) -> Result<Vec<Brick>, Refusal> {
        let failed = |reason: String| Err(Refusal::new(prefix, reason));
        let mut bricks = Vec::with_capacity(names.len());
        for (address, path) in names {
            let node = self.node_of(&address);
            if !self.is_friend(&node) {
                return failed(format!("Host {address} is not in 'Peer in Cluster' state"));
            }
            if !self.up(&node) {
                return failed(format!("Host {address} not connected"));
            }
            let packed = Packed::new(&path);
            let brick = Brick { node, address: self.address(&address), path: packed, device: None, pending_heals: 0 };
            if self.pool.bricks.contains(&brick.key()) {
                return failed(format!(
                    "Brick: {} not available. Brick may be containing or be contained by an existing brick.",
                    brick.name()
                ));
            }
            let staged = self.hosts.with(&brick.node, |host| stage_brick(host, &brick.address, &path, force));
            if let Err(reason) = staged {
                return failed(if *brick.node == *self.host {
                    reason
                } else {
                    format!("Staging failed on {}. Error: {reason}", brick.address)
                });
            }
            bricks.push(brick);
        }
        Ok(bricks)
    }

    /// Bricks of one set have to be on different nodes.
    fn check_order(&self, prefix: &str, kind: &str, names: &[(String, String)], set: usize) -> Result<(), Refusal> {
        for bricks in names.chunks(set.max(1)) {
            let mut nodes = HashSet::new();
            if !bricks.iter().all(|(address, _)| nodes.insert(self.node_of(address))) {
                return Err(Refusal::new(
                    prefix,
                    format!(
                        "Multiple bricks of a {kind} volume are present on the same server. This setup is not optimal. \
                         Bricks should be on different nodes to have best fault tolerant configuration. Use 'force' at \
                         the end of the command if you want to override this behavior. "
                    ),
                ));
            }
        }
        Ok(())
    }

    /// Enters new bricks of a volume, and leaves the volume's mark on them.
    pub fn enter_bricks(&mut self, id: &Arc<str>, bricks: &[Brick]) {
        for brick in bricks {
            self.pool.enter_brick(brick);
            self.hosts.with(&brick.node, |host| {
                if let Some(dir) = host.dir_mut(&brick.path.text()) {
                    dir.volume = Some(Arc::clone(id));
                }
            });
        }
    }

    fn create(&mut self, name: &str, rest: &[&str]) -> Done {
        if !self.hosts.tolerant {
            check_name(name)?;
        }
        let shape = Shape::read(rest)?;
        let (kind, set) = if shape.disperse > 0 { ("disperse", shape.disperse) } else { ("replica", shape.replica) };
        if !shape.bricks.len().is_multiple_of(set) {
            return Err(Refusal::usage(format!("number of bricks is not a multiple of {kind} count")));
        }
        let prefix = format!("volume create: {name}: failed: ");
        if self.pool.volumes.contains_key(name) {
            return Err(Refusal::new(prefix, format!("Volume {name} already exists")));
        }
        if !shape.force && set > 1 {
            let kind = if kind == "replica" { "replicate" } else { kind };
            self.check_order(&prefix, kind, &shape.bricks, set)?;
        }
        let bricks = self.stage_bricks(&prefix, shape.bricks, shape.force)?;
        let mut volume = Volume {
            name: name.to_owned(),
            id: uuid().into(),
            status: Status::Created,
            replica: shape.replica,
            arbiter: shape.arbiter,
            disperse: shape.disperse,
            redundancy: shape.redundancy,
            bricks,
            options: Options::default(),
            snapshots: 0,
            leaving: Vec::new(),
        };
        set_defaults(&mut volume);
        self.enter_bricks(&volume.id, &volume.bricks);
        let xml = format!(
            "<volCreate>\n<volume>\n{}\n<id>{}</id>\n</volume>\n</volCreate>\n",
            xml::element("name", name),
            volume.id
        );
        self.pool.volumes.insert(name.to_owned(), volume);
        Ok(Answer { text: format!("volume create: {name}: success: please start the volume to access data\n"), xml })
    }

    fn start(&mut self, name: &str, force: bool) -> Done {
        let refuse = |reason: String| Refusal::new(format!("volume start: {name}: failed: "), reason);
        let volume = self.pool.volumes.get(name);
        let volume = volume.ok_or_else(|| refuse(format!("Volume {name} does not exist")))?;
        if volume.status == Status::Started && !force {
            return Err(refuse(format!("Volume {name} already started")));
        }
        for brick in volume.bricks.iter().filter(|_| !force) {
            let reason = self.hosts.with(&brick.node, |host| {
                if !host.powered || !host.glusterd {
                    return None;
                }
                match host.dir(&brick.path.text()).map(|dir| dir.volume.as_deref()) {
                    None => Some(format!(
                        "Failed to find brick directory {} for volume {name}. Reason : No such file or directory",
                        brick.path
                    )),
                    Some(None) => Some(format!(
                        "Failed to get extended attribute trusted.glusterfs.volume-id for brick dir {}. Reason : No data available",
                        brick.path
                    )),
                    Some(Some(id)) if *id != *volume.id => Some(format!(
                        "Volume id mismatch for brick {}. Expected volume id {}, volume id {id} found",
                        brick.name(),
                        volume.id
                    )),
                    Some(Some(_)) => None,
                }
            });
            match reason {
                Some(reason) if *brick.node == *self.host => return Err(refuse(reason)),
                Some(reason) => return Err(refuse(format!("Staging failed on {}. Error: {reason}", brick.address))),
                None => {}
            }
        }
        self.start_bricks(volume);
        if let Some(volume) = self.pool.volumes.get_mut(name) {
            volume.status = Status::Started;
        }
        Ok(Answer::text(format!("volume start: {name}: success\n")))
    }

    fn stop(&mut self, name: &str, force: bool) -> Done {
        let refuse = |reason: String| Refusal::new(format!("volume stop: {name}: failed: "), reason);
        let volume = self.pool.volumes.get(name);
        let volume = volume.ok_or_else(|| refuse(format!("Volume {name} does not exist")))?;
        if volume.status != Status::Started && !force {
            return Err(refuse(format!("Volume {name} is not in the started state")));
        }
        self.stop_bricks(volume.bricks.iter());
        if let Some(volume) = self.pool.volumes.get_mut(name) {
            volume.status = Status::Stopped;
        }
        Ok(Answer::text(format!("volume stop: {name}: success\n")))
    }

    /// Only whether there is anything to tell.
    fn status(&self, name: &str) -> Done {
        let refuse = |reason: String| Refusal::new(format!("volume status: {name}: failed: "), reason);
        let volume = self.pool.volumes.get(name);
        let volume = volume.ok_or_else(|| refuse(format!("Volume {name} does not exist")))?;
        if volume.status != Status::Started {
            return Err(refuse(format!("Volume {name} is not started")));
        }
        Ok(Answer::text(format!("Status of volume: {name}\n")))
    }

    fn delete(&mut self, name: &str) -> Done {
        let refuse = |reason: String| Refusal::new(format!("volume delete: {name}: failed: "), reason);
        let volume = self.pool.volumes.get(name);
        let volume = volume.ok_or_else(|| refuse(format!("Volume {name} does not exist")))?;
        if volume.status == Status::Started {
            return Err(refuse(format!("Volume {name} has been started.Volume needs to be stopped before deletion.")));
        }
        if volume.snapshots > 0 {
            return Err(refuse(format!(
                "Cannot delete Volume {name} ,as it has {} snapshots. To delete the volume, first delete all the \
                 snapshots under it.",
                volume.snapshots
            )));
        }
        if !self.pool.members.iter().all(|node| self.up(node)) {
            return Err(refuse("Some of the peers are down".to_owned()));
        }
        if let Some(volume) = self.pool.volumes.remove(name) {
            for brick in &volume.bricks {
                self.pool.strike_brick(brick);
            }
        }
        Ok(Answer::text(format!("volume delete: {name}: success\n")))
    }

    fn info(&self, name: &str) -> Done {
        let volume = self.pool.volumes.get(name);
        let volume = volume.ok_or_else(|| Refusal::new("", format!("Volume {name} does not exist")))?;
        let xml = xml::vol_info(std::iter::once(volume), self.members);
        Ok(Answer { text: describe(volume), xml })
    }

    fn info_all(&self) -> Answer {
        let text = if self.pool.volumes.is_empty() {
            "No volumes present\n".to_owned()
        } else {
            self.pool.volumes.values().map(describe).collect()
        };
        Answer { text, xml: xml::vol_info(self.pool.volumes.values(), self.members) }
    }

    fn list(&self) -> Answer {
        let mut text = String::new();
        let mut inner = format!("<volList>\n<count>{}</count>\n", self.pool.volumes.len());
        for name in self.pool.volumes.keys() {
            let _ = writeln!(text, "{name}");
            let _ = writeln!(inner, "{}", xml::element("volume", name));
        }
        if text.is_empty() {
            text.push_str("No volumes present in cluster\n");
        }
        inner.push_str("</volList>\n");
        Answer { text, xml: inner }
    }

    fn set(&mut self, name: &str, pairs: &[&str]) -> Done {
        let tolerant = self.hosts.tolerant;
        if pairs.is_empty() || !(tolerant || pairs.len().is_multiple_of(2)) {
            return Err(Refusal::usage("Usage:\nvolume set <VOLNAME> <KEY> <VALUE>"));
        }
        let refuse = |reason: String| Refusal::new("volume set: failed: ", reason);
        let volume = self.pool.volumes.get_mut(name);
        let volume = volume.ok_or_else(|| refuse(format!("Volume {name} does not exist")))?;
        let mut options = Vec::new();
        for pair in pairs.chunks(2) {
            let [key, rest @ ..] = pair else { continue };
            let value = rest.first().unwrap_or(&"");
            if *key == "group" {
                if !tolerant && !GROUPS.contains(value) {
                    return Err(refuse(format!(
                        "Unable to open file '/var/lib/glusterd/groups/{value}'. Error: No such file or directory"
                    )));
                }
                if *value == "gluster-block" {
                    options.extend(GLUSTER_BLOCK);
                }
                continue;
            }
            let known =
                key.split_once('.').is_some_and(|(space, rest)| NAMESPACES.contains(&space) && !rest.is_empty());
            if !known && !tolerant {
                return Err(refuse(format!("option : {key} does not exist")));
            }
            if value.is_empty() && !tolerant {
                return Err(Refusal::usage("Usage:\nvolume set <VOLNAME> <KEY> <VALUE>"));
            }
            options.push((*key, *value));
        }
        options.into_iter().for_each(|(key, value)| volume.options.set(key, value));
        Ok(Answer::text("volume set: success\n"))
    }

    fn add_brick(&mut self, name: &str, rest: &[&str]) -> Done {
        let prefix = "volume add-brick: failed: ";
        let shape = Shape::read(rest)?;
        let volume = self.pool.volumes.get(name);
        let volume = volume.ok_or_else(|| Refusal::new(prefix, format!("Volume {name} does not exist")))?;
        if (shape.replica > 1 && shape.replica != volume.replica) || shape.disperse > 0 {
            return Err(Refusal::new(prefix, "a change of the replica or disperse count is not simulated"));
        }
        let set = volume.set_size();
        if !shape.bricks.len().is_multiple_of(set) {
            return Err(Refusal::new(
                prefix,
                format!("Incorrect number of bricks supplied {} with count {set}", shape.bricks.len()),
            ));
        }
        if set > 1 && !shape.force {
            let kind = if volume.disperse > 0 { "disperse" } else { "replicate" };
            self.check_order(prefix, kind, &shape.bricks, set)?;
        }
        let id = volume.id.clone();
        let bricks = self.stage_bricks(prefix, shape.bricks, shape.force)?;
        self.enter_bricks(&id, &bricks);
        if let Some(volume) = self.pool.volumes.get_mut(name) {
            volume.bricks.extend(bricks);
        }
        self.restart_bricks(name);
        Ok(Answer::text("volume add-brick: success\n"))
    }

    /// Brick processes of a started volume run, whichever did not yet.
    fn restart_bricks(&self, name: &str) {
        if let Some(volume) = self.pool.volumes.get(name).filter(|volume| volume.status == Status::Started) {
            self.start_bricks(volume);
        }
    }

    fn remove_brick(&mut self, name: &str, rest: &[&str]) -> Done {
        let Some((&action, rest)) = rest.split_last() else { return Err(usage("remove-brick")) };
        if !matches!(action, "start" | "stop" | "status" | "commit" | "force") {
            return Err(usage("remove-brick"));
        }
        let rest = if rest.first() == Some(&"replica") { rest.get(2..).unwrap_or_default() } else { rest };
        let names = brick_names(rest)?;
        let keys: Vec<_> = names.iter().map(|(address, path)| (self.node_of(address), Packed::new(path))).collect();
        let refuse = |reason: String| Refusal::new(format!("volume remove-brick {action}: failed: "), reason);
        let volume = self.pool.volumes.get_mut(name);
        let volume = volume.ok_or_else(|| refuse(format!("Volume {name} does not exist")))?;
        let set = volume.set_size();
        let places: HashMap<_, _> = volume.bricks.iter().enumerate().map(|(i, brick)| (brick.key(), i)).collect();
        let mut indexes = Vec::with_capacity(keys.len());
        for (key, (address, path)) in keys.iter().zip(&names) {
            let index = places.get(key);
            indexes.push(*index.ok_or_else(|| refuse(format!("Incorrect brick {address}:{path} for volume {name}")))?);
        }
        if names.len() >= volume.bricks.len() {
            return Err(refuse("Deleting all the bricks of the volume is not allowed".to_owned()));
        }
        if !names.len().is_multiple_of(set) {
            return Err(refuse(format!("Remove brick incorrect brick count of {} for replica {set}", names.len())));
        }
        indexes.sort_unstable();
        if indexes.chunks(set).any(|chunk| chunk.first().map(|i| i / set) != chunk.last().map(|i| i / set)) {
            return Err(refuse("Bricks are from different subvolumes".to_owned()));
        }
        match action {
            "start" if volume.status != Status::Started => {
                return Err(refuse(format!(
                    "Volume {name} needs to be started before remove-brick (you can use 'force' or 'commit' to override this behavior)"
                )));
            }
            "start" => volume.leaving = keys,
            "status" | "stop" | "commit" if volume.leaving.is_empty() => {
                return Err(refuse("remove-brick not started.".to_owned()));
            }
            "stop" => volume.leaving.clear(),
            "commit" | "force" => {
                volume.leaving.clear();
                let gone: HashSet<_> = keys.into_iter().collect();
                let (removed, kept) =
                    std::mem::take(&mut volume.bricks).into_iter().partition(|brick| gone.contains(&brick.key()));
                volume.bricks = kept;
                let removed: Vec<Brick> = removed;
                self.stop_bricks(removed.iter());
                for brick in &removed {
                    self.pool.strike_brick(brick);
                }
            }
            _ => {}
        }
        Ok(Answer::text(format!("volume remove-brick {action}: success\n")))
    }

    fn rebalance(&self, name: &str, rest: &[&str]) -> Done {
        let refuse = |reason: String| Refusal::new(format!("volume rebalance: {name}: failed: "), reason);
        if !matches!(rest, ["start" | "stop" | "status"] | ["start", "force"] | ["fix-layout", "start"]) {
            return Err(usage("rebalance"));
        }
        let volume = self.pool.volumes.get(name);
        let volume = volume.ok_or_else(|| refuse(format!("Volume {name} does not exist")))?;
        if volume.status != Status::Started {
            return Err(refuse(format!("Volume {name} needs to be started to perform rebalance")));
        }
        if volume.bricks.len() <= volume.set_size() {
            return Err(refuse(format!(
                "Volume {name} is not a distribute volume or contains only 1 brick.\nNot performing rebalance"
            )));
        }
        let task = uuid();
        Ok(Answer {
            text: match rest {
                ["status"] => {
                    format!("{:>40} {:>15}\nlocalhost completed\nvolume rebalance: {name}: success\n", "Node", "status")
                }
                ["stop"] => format!("volume rebalance: {name}: success\n"),
                _ => format!(
                    "volume rebalance: {name}: success: Rebalance on {name} has been started successfully. Use \
                     rebalance status command to check status of the rebalance process.\nID: {task}\n"
                ),
            },
            xml: format!("<volRebalance>\n<task-id>{task}</task-id>\n<op>1</op>\n</volRebalance>\n"),
        })
    }

    fn heal(&self, name: &str, rest: &[&str]) -> Done {
        if !matches!(rest, [] | ["full" | "info"]) {
            return Err(usage("heal"));
        }
        let info = rest == ["info"];
        let prefix = if info { "" } else { "Launching heal operation has been unsuccessful:\n" };
        let refuse = |reason: String| Refusal::new(prefix, reason).fails_with_xml();
        let volume = self.pool.volumes.get(name);
        let volume = volume.ok_or_else(|| refuse(format!("Volume {name} does not exist")))?;
        if volume.set_size() < 2 {
            return Err(refuse(format!("Volume {name} is not of type replicate/disperse")));
        }
        if volume.status != Status::Started {
            return Err(refuse(format!("Volume {name} is not started.")));
        }
        if !info {
            return Ok(Answer::text(format!(
                "Launching heal operation to perform index self heal on volume {name} has been successful \n\
                 Use heal info commands to check status.\n"
            )));
        }
        let mut text = String::new();
        let bricks: Vec<_> = volume
            .bricks
            .iter()
            .map(|brick| {
                let runs = self.hosts.with(&brick.node, |host| host.powered && host.brick_runs(&brick.path.text()));
                (brick, runs.then_some(brick.pending_heals))
            })
            .collect();
        for (brick, entries) in &bricks {
            let (status, entries) = match entries {
                Some(entries) => ("Connected", entries.to_string()),
                None => ("Transport endpoint is not connected", "-".to_owned()),
            };
            let _ = write!(text, "Brick {}\nStatus: {status}\nNumber of entries: {entries}\n\n", brick.name());
        }
        Ok(Answer { text, xml: xml::heal_info(bricks.into_iter(), self.members) })
    }

    fn replace_brick(&mut self, name: &str, old: &str, new: &str) -> Done {
        let prefix = "volume replace-brick: failed: ";
        let (old_address, old_path) = brick_name(old)?;
        let new = brick_name(new)?;
        let volume = self.pool.volumes.get(name);
        let volume = volume.ok_or_else(|| Refusal::new(prefix, format!("volume: {name} does not exist")))?;
        if volume.status != Status::Started {
            return Err(Refusal::new(prefix, format!("volume: {name} is not started")));
        }
        if volume.set_size() < 2 {
            return Err(Refusal::new(
                prefix,
                "replace-brick is not permitted on distribute only volumes. Please use add-brick and remove-brick operations instead.",
            ));
        }
        let key = (self.node_of(&old_address), Packed::new(&old_path));
        let index = volume.bricks.iter().position(|brick| brick.key() == key);
        let index =
            index.ok_or_else(|| Refusal::new(prefix, format!("brick: {old} does not exist in volume: {name}")))?;
        let id = volume.id.clone();
        let bricks = self.stage_bricks(prefix, vec![new], true)?;
        self.enter_bricks(&id, &bricks);
        let replaced = self.pool.volumes.get_mut(name).and_then(|volume| volume.bricks.get_mut(index));
        if let (Some(place), Some(brick)) = (replaced, bricks.into_iter().next()) {
            let old = std::mem::replace(place, brick);
            self.stop_bricks(std::iter::once(&old));
            self.pool.strike_brick(&old);
        }
        self.restart_bricks(name);
        Ok(Answer::text("volume replace-brick: success: replace-brick commit force operation successful\n"))
    }
}

/// What gluster sets on each new volume by itself.
pub(super) fn set_defaults(volume: &mut Volume) {
    let common = [("nfs.disable", "on"), ("storage.fips-mode-rchecksum", "on"), ("transport.address-family", "inet")];
    let replicated = [("cluster.granular-entry-heal", "on"), ("performance.client-io-threads", "off")];
    let more: &[_] = if volume.replica > 1 { &replicated } else { &[] };
    for (key, value) in common.iter().chain(more) {
        volume.options.set(key, value);
    }
}

fn describe(volume: &Volume) -> String {
    let mut text = format!(
        " \nVolume Name: {}\nType: {}\nVolume ID: {}\nStatus: {}\nSnapshot Count: {}\nNumber of Bricks: {}\n\
         Transport-type: tcp\nBricks:\n",
        volume.name,
        volume.kind().1,
        volume.id,
        volume.status.name(),
        volume.snapshots,
        volume.bricks.len()
    );
    for (i, brick) in volume.bricks.iter().enumerate() {
        let arbiter = if volume.is_arbiter(i) { " (arbiter)" } else { "" };
        let _ = writeln!(text, "Brick{}: {}{arbiter}", i + 1, brick.name());
    }
    text.push_str("Options Reconfigured:\n");
    for (key, value) in volume.options.iter() {
        let _ = writeln!(text, "{key}: {value}");
    }
    text
}
