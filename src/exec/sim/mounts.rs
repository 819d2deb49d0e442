//! Filesystems, mounts and fstab files of a simulated node.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::host::{Args, Failure, Host, Reply, Tree, clean};
use super::lvm::mapper_name;
use super::packed::Packed;

/// The smallest filesystem that mkfs.xfs 6 makes.
const XFS_LEAST_KIB: u64 = 300 * 1024;

/// A mounted thin volume.
#[derive(Debug)]
pub(super) struct Mount {
    pub vg: Packed,
    pub lv: Packed,
    pub options: Packed,
    /// Paths of the brick processes that hold it, from the mount point on.
    pub users: Vec<Packed>,
}

/// A file in the form of fstab. Lines are also found by the brick that they name, so that deleting the lines of one
/// brick costs the same however many there are.
#[derive(Debug, Default)]
pub(super) struct Table {
    lines: BTreeMap<u64, Packed>,
    by_brick: BTreeSet<(Packed, u64)>,
    next: u64,
}

const BRICK: &str = "brick_";

/// `brick_` and 32 hex digits, if `text` starts so.
fn brick_token(text: &str) -> Option<&str> {
    let token = text.get(..BRICK.len() + 32)?;
    let digits = token.strip_prefix(BRICK)?;
    digits.bytes().all(|b| b.is_ascii_hexdigit()).then_some(token)
}

fn tokens(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices(BRICK).filter_map(|(at, _)| brick_token(line.get(at..)?))
}

impl Table {
    pub fn push(&mut self, line: &str) {
        let id = self.next;
        self.next += 1;
        self.by_brick.extend(tokens(line).map(|token| (Packed::new(token), id)));
        self.lines.insert(id, Packed::new(line));
    }

    fn delete(&mut self, id: u64) {
        let Some(line) = self.lines.remove(&id) else { return };
        for token in tokens(&line.text()) {
            self.by_brick.remove(&(Packed::new(token), id));
        }
    }

    fn delete_matching(&mut self, pattern: &str) {
        let ids: Vec<u64> = if brick_token(pattern) == Some(pattern) {
            let token = Packed::new(pattern);
            self.by_brick.range((token.clone(), 0)..=(token, u64::MAX)).map(|(_, id)| *id).collect()
        } else {
            self.lines.iter().filter(|(_, line)| line.text().contains(pattern)).map(|(id, _)| *id).collect()
        };
        for id in ids {
            self.delete(id);
        }
    }

    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.lines.values().map(Packed::text)
    }
}

impl Host {
    pub fn mkfs(&mut self, words: &[&str]) -> Reply {
        let usage = |text: String| Failure::new(1, format!("{text}\nUsage: mkfs.xfs"));
        let args = Args::read("mkfs.xfs", words, &["-f", "-q", "--unsupported"], &["-i", "-d", "-n"])
            .map_err(|failure| usage(failure.stderr.trim_end().to_owned()))?;
        let device = args.only("mkfs.xfs").map_err(|_| usage("no device name given in argument list".to_owned()))?;
        for (option, keys) in [("-i", &["size", "maxpct"][..]), ("-d", &["su", "sw"]), ("-n", &["size"])] {
            for pair in args.value(option).unwrap_or_default().split(',').filter(|pair| !pair.is_empty()) {
                let known = pair.split_once('=').is_some_and(|(key, value)| {
                    keys.contains(&key) && value.trim_end_matches(['k', 'm', 'g']).parse::<u64>().is_ok()
                });
                if !known {
                    return Err(usage(format!("unknown option {option} {pair}")));
                }
            }
        }
        let missing = || usage(format!("Error accessing specified device {device}: No such file or directory"));
        let (vg, lv) = self.volume_of(device).ok_or_else(missing)?;
        let volume = self.lv_mut(&vg, &lv).ok_or_else(missing)?;
        if volume.mounted.is_some() {
            return Err(usage(format!("mkfs.xfs: {device} contains a mounted filesystem")));
        }
        if volume.fs.is_some() && !args.has("-f") {
            return Err(Failure::new(
                1,
                format!(
                    "mkfs.xfs: {device} appears to contain an existing filesystem (xfs).\n\
                     mkfs.xfs: Use the -f option to force overwrite."
                ),
            ));
        }
        if volume.kib < XFS_LEAST_KIB && !args.has("--unsupported") {
            return Err(usage("Filesystem must be larger than 300MB.".to_owned()));
        }
        volume.fs = Some(Tree::default());
        Ok(format!("meta-data={device} isize=512 agcount=4\n"))
    }

    /// `BEGIN {print "<line>" >> "<file>"}` and nothing else.
    pub fn awk(&mut self, words: &[&str]) -> Reply {
        let [program] = words else { return Err(Failure::new(2, "awk: one program without files is known here")) };
        let parts = program.strip_prefix("BEGIN {print \"").and_then(|rest| {
            let (line, file) = rest.split_once("\" >> \"")?;
            Some((line, file.strip_suffix("\"}")?))
        });
        let Some((line, file)) =
            parts.filter(|(line, file)| !line.contains(['"', '\\']) && !file.contains(['"', '\\']))
        else {
            return Err(Failure::new(2, format!("awk: 1: unexpected character in {program}")));
        };
        let path = clean(file);
        if !self.tables.contains_key(&path) {
            if self.dir(super::host::parent(&path)).is_none() {
                return Err(Failure::new(2, format!("awk: cannot open \"{file}\" (No such file or directory)")));
            }
            self.tables.insert(path.clone(), Table::default());
        }
        if let Some(table) = self.tables.get_mut(&path) {
            table.push(line);
        }
        Ok(String::new())
    }

    /// `-i.save "/<text>/d" <file>`; the text has to be one that stands for itself.
    pub fn sed(&mut self, words: &[&str]) -> Reply {
        let ["-i.save", script, file] = words else {
            return Err(Failure::new(1, "sed: only -i.save \"/<text>/d\" <file> is known here"));
        };
        let pattern = script.strip_prefix('/').and_then(|rest| rest.strip_suffix("/d")).filter(|pattern| {
            !pattern.is_empty() && pattern.bytes().all(|b| b.is_ascii_alphanumeric() || b"_- ".contains(&b))
        });
        let Some(pattern) = pattern else {
            return Err(Failure::new(1, format!("sed: -e expression #1: unknown command: {script}")));
        };
        match self.tables.get_mut(&clean(file)) {
            Some(table) => table.delete_matching(pattern),
            None => return Err(Failure::new(2, format!("sed: can't read {file}: No such file or directory"))),
        }
        Ok(String::new())
    }

    pub fn cat(&self, words: &[&str]) -> Reply {
        let [file] = words else { return Err(Failure::new(1, "cat: one file is known here")) };
        let Some(table) = self.tables.get(&clean(file)) else {
            return Err(Failure::new(1, format!("cat: {file}: No such file or directory")));
        };
        let mut text = String::new();
        for line in table.lines() {
            text.push_str(&line);
            text.push('\n');
        }
        Ok(text)
    }

    pub fn mount(&mut self, words: &[&str]) -> Reply {
        if words.is_empty() {
            return Ok(self.mount_list());
        }
        let args = Args::read("mount", words, &[], &["-o"])?;
        let [device, point] = args.rest.as_slice() else { return Err(Failure::new(1, "mount: bad usage")) };
        self.attach(device, &clean(point), args.value("-o").unwrap_or("rw"))
            .map_err(|cause| Failure::new(32, format!("mount: {point}: {cause}")))?;
        Ok(String::new())
    }

    /// Mounts, or says why not.
    pub fn attach(&mut self, device: &str, point: &str, options: &str) -> Result<(), String> {
        if self.dir(point).is_none() {
            return Err("mount point does not exist.".to_owned());
        }
        let missing = || format!("special device {device} does not exist.");
        let (vg, lv) = self.volume_of(device).ok_or_else(missing)?;
        let place = self.root.path(point).unwrap_or_else(|| Packed::new(point));
        if self.mounts.contains_key(&place) {
            return Err(format!("{device} already mounted on {point}."));
        }
        let volume = self.lv_mut(&vg, &lv).ok_or_else(missing)?;
        if volume.fs.is_none() {
            return Err(format!(
                "wrong fs type, bad option, bad superblock on {device}, missing codepage or helper program, or other error."
            ));
        }
        if let Some(other) = &volume.mounted {
            return Err(format!("{device} already mounted on {other}."));
        }
        volume.mounted = Some(place.clone());
        let (vg, lv, options) = (Packed::new(&vg), Packed::new(&lv), Packed::new(options));
        self.shortest_mount = self.shortest_mount.min(point.len().max(1));
        self.mounts.insert(place, Mount { vg, lv, options, users: Vec::new() });
        Ok(())
    }

    fn mount_list(&self) -> String {
        let mut text = String::from("/dev/vda1 on / type xfs (rw,relatime)\n");
        let mut points: Vec<_> = self.mounts.iter().map(|(point, mount)| (point.text(), mount)).collect();
        points.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        for (point, mount) in points {
            let device = mapper_name(&mount.vg.text(), &mount.lv.text());
            let _ = writeln!(text, "/dev/mapper/{device} on {point} type xfs ({})", mount.options);
        }
        text
    }

    pub fn umount(&mut self, words: &[&str]) -> Reply {
        let args = Args::read("umount", words, &[], &[])?;
        let word = args.only("umount")?;
        let point = clean(word);
        let failed = |cause: &str| Failure::new(32, format!("umount: {word}: {cause}"));
        match self.mounts.get(&Packed::new(&point)) {
            None if self.dir(&point).is_none() => return Err(failed("no mount point specified.")),
            None => return Err(failed("not mounted.")),
            Some(mount) if !mount.users.is_empty() => return Err(failed("target is busy.")),
            Some(_) => self.detach(&point),
        }
        Ok(String::new())
    }

    pub fn detach(&mut self, point: &str) {
        if let Some(mount) = self.mounts.remove(&Packed::new(point))
            && let Some(volume) = self.vgs.get_mut(&mount.vg).and_then(|vg| vg.lvs.get_mut(&mount.lv))
        {
            volume.mounted = None;
        }
    }

    pub fn lsof(&self, words: &[&str]) -> Reply {
        let [word] = words else { return Err(Failure::new(1, "lsof: one path is known here")) };
        let mut text = String::new();
        let point = clean(word);
        for path in self.mounts.get(&Packed::new(&point)).into_iter().flat_map(|mount| &mount.users) {
            let _ = writeln!(text, "glusterfsd 4242 root 8r DIR 253,2 22 64 {point}{path}");
        }
        if text.is_empty() { Err(Failure::new(1, "")) } else { Ok(text) }
    }

    /// A brick process starts on `path`; it needs the directory with its volume's mark.
    pub fn start_brick(&mut self, path: &str, volume_id: &str) -> bool {
        if self.dir(path).is_none_or(|dir| dir.volume.as_deref() != Some(volume_id)) {
            return false;
        }
        if let Some((mount, path)) = self.mount_of(path)
            && !mount.users.contains(&path)
        {
            mount.users.reserve_exact(1);
            mount.users.push(path);
        }
        true
    }

    pub fn stop_brick(&mut self, path: &str) {
        if let Some((mount, path)) = self.mount_of(path) {
            mount.users.retain(|user| *user != path);
        }
    }

    /// The mount that holds `path`, and the path from its mount point on.
    fn mount_of(&mut self, path: &str) -> Option<(&mut Mount, Packed)> {
        let point = self.mount_above(path)?;
        let below = Packed::new(path.get(point.len()..)?);
        Some((self.mounts.get_mut(&Packed::new(point))?, below))
    }

    /// Pulls the plug: what is mounted and what runs is gone.
    pub fn power_off(&mut self) {
        self.powered = false;
        let points: Vec<String> = self.mounts.keys().map(Packed::text).collect();
        for point in points {
            self.detach(&point);
        }
    }

    /// Boots: mounts what the fstab files name and what is there.
    pub fn power_on(&mut self) {
        if self.powered {
            return;
        }
        self.powered = true;
        let lines: Vec<String> = self.tables.values().flat_map(Table::lines).collect();
        for line in lines {
            let mut fields = line.split_whitespace();
            if let (Some(device), Some(point), Some("xfs"), Some(options)) =
                (fields.next(), fields.next(), fields.next(), fields.next())
            {
                // A line without its volume is what a lost lvremove leaves behind.
                let _ = self.attach(device, &clean(point), options);
            }
        }
    }
}
