//! One simulated node: what it holds, how its commands read their words, and its directories.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::lvm::{Disk, Vg};
use super::mounts::{Mount, Table};
use super::packed::Packed;
use crate::exec::Output;
use crate::units::Gib;

/// Where brick mounts live; what is two levels below it belongs to a brick.
const MOUNT_ROOT: &str = "/var/lib/heketi/mounts/";

/// A command that ended with a status other than 0.
#[derive(Debug)]
pub(super) struct Failure {
    pub status: u32,
    pub stderr: String,
    pub stdout: String,
}

impl Failure {
    pub fn new(status: u32, stderr: impl Into<String>) -> Self {
        let mut stderr = stderr.into();
        if !stderr.is_empty() && !stderr.ends_with('\n') {
            stderr.push('\n');
        }
        Self { status, stderr, stdout: String::new() }
    }

    /// The shell found no such program.
    pub fn no_command(program: &str) -> Self {
        Self::new(127, format!("bash: line 1: {program}: command not found"))
    }
}

/// What a command printed, or how it failed.
pub(super) type Reply = Result<String, Failure>;

pub(super) fn output(reply: Reply) -> Output {
    match reply {
        Ok(stdout) => Output { status: 0, stdout, stderr: String::new() },
        Err(failure) => Output { status: failure.status, stdout: failure.stdout, stderr: failure.stderr },
    }
}

/// The words of one command, sorted into options and the rest.
#[derive(Default)]
pub(super) struct Args<'a> {
    flags: Vec<&'a str>,
    values: Vec<(&'a str, &'a str)>,
    pub rest: Vec<&'a str>,
}

impl<'a> Args<'a> {
    /// Reads `words`, which may hold these flags and these options with a value, and nothing else that starts with `-`.
    pub fn read(program: &str, words: &[&'a str], flags: &[&str], options: &[&str]) -> Result<Self, Failure> {
        let mut args = Self::default();
        let mut words = words.iter().copied();
        while let Some(word) = words.next() {
            if !word.starts_with('-') || word == "-" {
                args.rest.push(word);
                continue;
            }
            if word == "--" {
                args.rest.extend(words);
                break;
            }
            let (name, value) = match word.split_once('=') {
                Some((name, value)) if name.starts_with("--") => (name, Some(value)),
                _ => (word, None),
            };
            if value.is_none() && flags.contains(&name) {
                args.flags.push(name);
            } else if options.contains(&name) {
                let Some(value) = value.or_else(|| words.next()) else {
                    return Err(Failure::new(3, format!("{program}: option '{name}' requires an argument")));
                };
                args.values.push((name, value));
            } else {
                return Err(Failure::new(3, format!("{program}: unrecognized option '{word}'")));
            }
        }
        Ok(args)
    }

    pub fn has(&self, flag: &str) -> bool {
        self.flags.contains(&flag)
    }

    pub fn value(&self, option: &str) -> Option<&'a str> {
        self.values.iter().rev().find(|(name, _)| *name == option).map(|(_, value)| *value)
    }

    /// The only operand.
    pub fn only(&self, program: &str) -> Result<&'a str, Failure> {
        match self.rest.as_slice() {
            [one] => Ok(one),
            [] => Err(Failure::new(3, format!("{program}: missing operand"))),
            [_, extra, ..] => Err(Failure::new(3, format!("{program}: extra operand '{extra}'"))),
        }
    }
}

/// What is known of a directory.
#[derive(Debug, Default)]
pub(super) struct Dir {
    children: u32,
    /// What was set of its group and permissions.
    pub access: Option<Box<Access>>,
    /// The mark that gluster leaves on a brick (`trusted.glusterfs.volume-id`); it outlives the volume.
    pub volume: Option<Arc<str>>,
}

/// Who may do what with a directory.
#[derive(Debug, Default)]
pub(super) struct Access {
    pub gid: Option<u32>,
    pub mode: Option<String>,
}

/// The directories of one filesystem, by path from its root, which is the empty text.
#[derive(Debug)]
pub(super) enum Tree {
    /// That of a brick has two.
    Few(Vec<(Packed, Dir)>),
    #[expect(clippy::box_collection, reason = "most trees are of the other kind, and are to be small")]
    Many(Box<HashMap<Packed, Dir>>),
}

/// With more directories than this, they are looked up rather than looked through.
const FEW: usize = 8;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum DirError {
    Missing,
    Exists,
    NotEmpty,
}

impl DirError {
    pub const fn text(&self) -> &'static str {
        match self {
            Self::Missing => "No such file or directory",
            Self::Exists => "File exists",
            Self::NotEmpty => "Directory not empty",
        }
    }
}

impl Default for Tree {
    fn default() -> Self {
        let mut dirs = Vec::with_capacity(2);
        dirs.push((Packed::new(""), Dir::default()));
        Self::Few(dirs)
    }
}

impl Tree {
    pub fn get(&self, path: &str) -> Option<&Dir> {
        let path = Packed::new(path);
        match self {
            Self::Few(dirs) => dirs.iter().find(|(known, _)| *known == path).map(|(_, dir)| dir),
            Self::Many(dirs) => dirs.get(&path),
        }
    }

    /// The path of a directory as the tree keeps it, to be shared.
    pub fn path(&self, path: &str) -> Option<Packed> {
        let path = Packed::new(path);
        match self {
            Self::Few(dirs) => dirs.iter().find(|(known, _)| *known == path).map(|(known, _)| known.clone()),
            Self::Many(dirs) => dirs.get_key_value(&path).map(|(known, _)| known.clone()),
        }
    }

    pub fn get_mut(&mut self, path: &str) -> Option<&mut Dir> {
        let path = Packed::new(path);
        match self {
            Self::Few(dirs) => dirs.iter_mut().find(|(known, _)| *known == path).map(|(_, dir)| dir),
            Self::Many(dirs) => dirs.get_mut(&path),
        }
    }

    fn insert(&mut self, path: &str) {
        let entry = (Packed::new(path), Dir::default());
        match self {
            Self::Few(dirs) if dirs.len() < FEW => dirs.push(entry),
            Self::Few(dirs) => *self = Self::Many(Box::new(dirs.drain(..).chain([entry]).collect())),
            Self::Many(dirs) => drop(dirs.insert(entry.0, entry.1)),
        }
    }

    fn retain(&mut self, mut keep: impl FnMut(&Packed) -> bool) {
        match self {
            Self::Few(dirs) => dirs.retain(|(path, _)| keep(path)),
            Self::Many(dirs) => dirs.retain(|path, _| keep(path)),
        }
    }

    /// A path that is in the tree goes.
    fn drop_one(&mut self, path: &str) {
        let gone = Packed::new(path);
        match self {
            Self::Few(dirs) => dirs.retain(|(known, _)| *known != gone),
            Self::Many(dirs) => drop(dirs.remove(&gone)),
        }
        if let Some(above) = self.get_mut(parent(path)) {
            above.children -= 1;
        }
    }

    pub fn make(&mut self, path: &str) -> Result<(), DirError> {
        if self.get(path).is_some() {
            return Err(DirError::Exists);
        }
        self.get_mut(parent(path)).ok_or(DirError::Missing)?.children += 1;
        self.insert(path);
        Ok(())
    }

    fn make_all(&mut self, path: &str) {
        if !path.is_empty() && self.get(path).is_none() {
            self.make_all(parent(path));
            if let Some(above) = self.get_mut(parent(path)) {
                above.children += 1;
            }
            self.insert(path);
        }
    }

    fn remove(&mut self, path: &str) -> Result<(), DirError> {
        let dir = self.get(path).ok_or(DirError::Missing)?;
        if dir.children > 0 || dir.volume.is_some() {
            return Err(DirError::NotEmpty);
        }
        self.drop_one(path);
        Ok(())
    }

    fn remove_all(&mut self, path: &str) {
        if self.get(path).is_some() {
            self.drop_one(path);
        }
        let below = format!("{path}/");
        self.retain(|known| !known.text().starts_with(&below));
    }

    /// All but the root.
    pub fn dirs(&self) -> impl Iterator<Item = (String, &Dir)> {
        let (few, many) = match self {
            Self::Few(dirs) => (Some(dirs.iter().map(|(path, dir)| (path, dir))), None),
            Self::Many(dirs) => (None, Some(dirs.iter())),
        };
        let all = few.into_iter().flatten().chain(many.into_iter().flatten());
        all.map(|(path, dir)| (path.text(), dir)).filter(|(path, _)| !path.is_empty())
    }
}

/// The path of the directory that holds `path`; the root's is the empty text.
pub(super) fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

/// `path` without doubled or trailing slashes. `/` becomes the empty text.
pub(super) fn clean(path: &str) -> String {
    let mut clean = String::with_capacity(path.len());
    for part in path.split('/').filter(|part| !part.is_empty()) {
        clean.push('/');
        clean.push_str(part);
    }
    clean
}

/// A storage node.
pub(super) struct Host {
    pub device_size: Gib,
    pub tolerant: bool,
    pub powered: bool,
    pub glusterd: bool,
    pub disks: HashMap<String, Disk>,
    /// PV UUID to disk.
    pub pv_uuids: HashMap<String, String>,
    pub vgs: HashMap<Packed, Vg>,
    pub root: Tree,
    pub mounts: BTreeMap<Packed, Mount>,
    /// No mount point is shorter.
    pub shortest_mount: usize,
    /// Files in the form of fstab.
    pub tables: BTreeMap<String, Table>,
}

impl Host {
    pub fn new(device_size: Gib, tolerant: bool) -> Self {
        let mut root = Tree::default();
        for path in ["/etc", "/var/lib", "/run", "/mnt", "/tmp", "/dev"] {
            root.make_all(path);
        }
        Self {
            device_size,
            tolerant,
            powered: true,
            glusterd: true,
            disks: HashMap::new(),
            pv_uuids: HashMap::new(),
            vgs: HashMap::new(),
            root,
            mounts: BTreeMap::new(),
            shortest_mount: usize::MAX,
            tables: BTreeMap::from([("/etc/fstab".to_owned(), Table::default())]),
        }
    }

    /// Runs anything but gluster.
    pub fn run(&mut self, argv: &[&str]) -> Reply {
        let Some((&program, words)) = argv.split_first() else { return Ok(String::new()) };
        match program {
            // The two names under which the operator may have put lvm in another namespace.
            "sudo" | "exec-on-host" | "/usr/sbin/exec-on-host" => self.run(words),
            "/usr/sbin/lvm" | "/sbin/lvm" | "lvm" => match words.split_first() {
                Some((&verb, words)) => self.lvm(verb, words),
                None => Err(Failure::new(3, "lvm: no command given")),
            },
            "pvcreate" | "pvremove" | "pvs" | "vgcreate" | "vgremove" | "vgdisplay" | "vgs" | "lvcreate"
            | "lvremove" | "lvs" => self.lvm(program, words),
            "/usr/bin/udevadm" | "udevadm" => self.udevadm(words),
            "wipefs" => self.wipefs(words),
            "mkfs.xfs" => self.mkfs(words),
            "awk" => self.awk(words),
            "sed" => self.sed(words),
            "cat" => self.cat(words),
            "mount" => self.mount(words),
            "umount" => self.umount(words),
            "lsof" => self.lsof(words),
            "mkdir" => self.mkdir(words),
            "rmdir" => self.rmdir(words),
            "test" => match words {
                ["-d", path] if self.dir(&clean(path)).is_some() => Ok(String::new()),
                ["-e", path] if self.dir(&clean(path)).is_some() || self.tables.contains_key(&clean(path)) => {
                    Ok(String::new())
                }
                ["-d" | "-e", _] => Err(Failure::new(1, "")),
                _ => Err(Failure::new(2, "test: only -d and -e are known here")),
            },
            "rm" => self.rm(words),
            "chown" => self.chown(words),
            "chmod" => self.chmod(words),
            "systemctl" => self.systemctl(words),
            "true" => Ok(String::new()),
            _ => Err(Failure::no_command(program)),
        }
    }

    /// The mount point at or above `path`.
    pub fn mount_above<'p>(&self, path: &'p str) -> Option<&'p str> {
        let mut at = path;
        while at.len() >= self.shortest_mount {
            if self.mounts.contains_key(&Packed::new(at)) {
                return Some(at);
            }
            at = parent(at);
        }
        None
    }

    /// The filesystem that holds `path`, and the path in it.
    pub fn tree<'p>(&self, path: &'p str) -> Option<(&Tree, &'p str)> {
        match self.mount_above(path) {
            None => Some((&self.root, path)),
            Some(point) => {
                let mount = self.mounts.get(&Packed::new(point))?;
                let tree = self.vgs.get(&mount.vg)?.lvs.get(&mount.lv)?.fs.as_ref()?;
                Some((tree, path.get(point.len()..)?))
            }
        }
    }

    /// As `tree`, to change it.
    pub fn tree_mut<'p>(&mut self, path: &'p str) -> Option<(&mut Tree, &'p str)> {
        match self.mount_above(path) {
            None => Some((&mut self.root, path)),
            Some(point) => {
                let mount = self.mounts.get(&Packed::new(point))?;
                let tree = self.vgs.get_mut(&mount.vg)?.lvs.get_mut(&mount.lv)?.fs.as_mut()?;
                Some((tree, path.get(point.len()..)?))
            }
        }
    }

    pub fn dir(&self, path: &str) -> Option<&Dir> {
        let (tree, path) = self.tree(path)?;
        tree.get(path)
    }

    pub fn dir_mut(&mut self, path: &str) -> Option<&mut Dir> {
        let (tree, path) = self.tree_mut(path)?;
        tree.get_mut(path)
    }

    pub fn make_dir(&mut self, path: &str) -> Result<(), DirError> {
        let (tree, path) = self.tree_mut(path).ok_or(DirError::Missing)?;
        tree.make(path)
    }

    pub fn make_dirs(&mut self, path: &str) {
        if let Some((tree, path)) = self.tree_mut(path) {
            tree.make_all(path);
        }
    }

    /// Directories made for bricks: two levels below the mount root.
    pub fn brick_dirs(&self) -> impl Iterator<Item = String> {
        self.root
            .dirs()
            .map(|(path, _)| path)
            .filter(|path| path.strip_prefix(MOUNT_ROOT).is_some_and(|below| below.contains('/')))
    }

    fn mkdir(&mut self, words: &[&str]) -> Reply {
        let args = Args::read("mkdir", words, &["-p"], &[])?;
        let word = args.only("mkdir")?;
        let path = clean(word);
        if args.has("-p") {
            self.make_dirs(&path);
            return Ok(String::new());
        }
        self.make_dir(&path)
            .map_err(|err| Failure::new(1, format!("mkdir: cannot create directory '{word}': {}", err.text())))?;
        Ok(String::new())
    }

    fn rmdir(&mut self, words: &[&str]) -> Reply {
        let args = Args::read("rmdir", words, &[], &[])?;
        let word = args.only("rmdir")?;
        let path = clean(word);
        let failed = |cause: &str| Failure::new(1, format!("rmdir: failed to remove '{word}': {cause}"));
        if self.mounts.contains_key(&Packed::new(&path)) || path.is_empty() {
            return Err(failed("Device or resource busy"));
        }
        let (tree, path) = self.tree_mut(&path).ok_or_else(|| failed(DirError::Missing.text()))?;
        tree.remove(path).map_err(|err| failed(err.text()))?;
        Ok(String::new())
    }

    fn rm(&mut self, words: &[&str]) -> Reply {
        let args = Args::read("rm", words, &["-r", "-f", "-rf", "-fr"], &[])?;
        let word = args.only("rm")?;
        let path = clean(word);
        let forced = args.has("-f") || args.has("-rf") || args.has("-fr");
        let deep = args.has("-r") || args.has("-rf") || args.has("-fr");
        let failed = |cause: &str| Failure::new(1, format!("rm: cannot remove '{word}': {cause}"));
        if self.dir(&path).is_none() {
            return if forced { Ok(String::new()) } else { Err(failed(DirError::Missing.text())) };
        }
        if !deep {
            return Err(failed("Is a directory"));
        }
        let below = format!("{path}/");
        let held = |point: String| point == path || point.starts_with(&below);
        if path.is_empty() || self.mounts.keys().any(|point| held(point.text())) {
            return Err(failed("Device or resource busy"));
        }
        if let Some((tree, path)) = self.tree_mut(&path) {
            tree.remove_all(path);
        }
        Ok(String::new())
    }

    fn chown(&mut self, words: &[&str]) -> Reply {
        let args = Args::read("chown", words, &[], &[])?;
        let [owner, path] = args.rest.as_slice() else { return Err(Failure::new(1, "chown: missing operand")) };
        let gid = owner.strip_prefix(':').and_then(|gid| gid.parse().ok());
        let gid = gid.ok_or_else(|| Failure::new(1, format!("chown: invalid group: '{owner}'")))?;
        match self.dir_mut(&clean(path)) {
            Some(dir) => dir.access.get_or_insert_default().gid = Some(gid),
            None => return Err(Failure::new(1, format!("chown: cannot access '{path}': No such file or directory"))),
        }
        Ok(String::new())
    }

    fn chmod(&mut self, words: &[&str]) -> Reply {
        let args = Args::read("chmod", words, &[], &[])?;
        let [mode, path] = args.rest.as_slice() else { return Err(Failure::new(1, "chmod: missing operand")) };
        if mode.is_empty() || !mode.bytes().all(|b| (b'0'..=b'7').contains(&b)) {
            return Err(Failure::new(1, format!("chmod: invalid mode: '{mode}'")));
        }
        match self.dir_mut(&clean(path)) {
            Some(dir) => dir.access.get_or_insert_default().mode = Some((*mode).to_owned()),
            None => return Err(Failure::new(1, format!("chmod: cannot access '{path}': No such file or directory"))),
        }
        Ok(String::new())
    }

    fn systemctl(&self, words: &[&str]) -> Reply {
        match words {
            ["status", "glusterd" | "glusterd.service"] => {
                let head = "* glusterd.service - GlusterFS, a clustered file-system server\n";
                if self.glusterd {
                    return Ok(format!("{head}     Active: active (running)\n"));
                }
                Err(Failure {
                    status: 3,
                    stdout: format!("{head}     Active: inactive (dead)\n"),
                    stderr: String::new(),
                })
            }
            ["status", unit, ..] => Err(Failure::new(4, format!("Unit {unit}.service could not be found."))),
            [verb, ..] => Err(Failure::new(1, format!("Unknown command verb {verb}."))),
            [] => Err(Failure::new(1, "systemctl: no command given")),
        }
    }
}
