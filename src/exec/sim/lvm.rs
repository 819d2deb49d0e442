//! Disks, physical volumes, volume groups, thin pools and thin volumes, as LVM 2.03 keeps them.
//!
//! Two things are left out so that a disk's whole size can be used, as with the reference's mock: the metadata area of
//! the physical volume, and the spare metadata volume that the first thin pool of a group brings along.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::host::{Args, Failure, Host, Reply, Tree, clean};
use super::packed::Packed;

/// A disk.
#[derive(Debug)]
pub(super) struct Disk {
    pub kib: u64,
    pub pv: Option<Pv>,
    /// Holds something that LVM will not overwrite unasked.
    pub data: bool,
}

/// The physical volume on a disk.
#[derive(Debug)]
pub(super) struct Pv {
    pub uuid: String,
    pub vg: Option<String>,
}

/// A volume group; all of ours have one disk.
#[derive(Debug)]
pub(super) struct Vg {
    pub disk: String,
    pub uuid: String,
    pub extent_kib: u64,
    pub extents: u64,
    pub free: u64,
    pub pools: BTreeMap<Packed, Pool>,
    pub lvs: BTreeMap<Packed, Lv>,
}

/// A thin pool; sizes in extents.
#[derive(Debug)]
pub(super) struct Pool {
    pub data: u64,
    pub meta: u64,
    pub thins: usize,
}

/// A thin volume.
#[derive(Debug)]
pub(super) struct Lv {
    pub pool: Packed,
    pub kib: u64,
    /// The volume this one was a snapshot of.
    pub origin: Option<Box<str>>,
    /// The filesystem, once made.
    pub fs: Option<Tree>,
    pub mounted: Option<Packed>,
}

/// A UUID in LVM's form.
pub(super) fn lvm_uuid() -> String {
    const LETTERS: &[u8; 62] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let mut uuid = String::with_capacity(38);
    for (i, byte) in rand::random::<[u8; 32]>().into_iter().enumerate() {
        if matches!(i, 6 | 10 | 14 | 18 | 22 | 26) {
            uuid.push('-');
        }
        uuid.push(LETTERS.get(usize::from(byte % 62)).copied().map_or('0', char::from));
    }
    uuid
}

/// A size as LVM reads it; a bare number is in MiB.
fn kib(text: &str) -> Result<u64, Failure> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let bad =
        || Failure::new(3, format!("  Invalid argument for --size: {text}\n  Error during parsing of command line."));
    let number: u64 = digits.parse().map_err(|_| bad())?;
    let unit = match text.get(digits.len()..).unwrap_or_default() {
        "k" | "K" => 1,
        "m" | "M" | "" => 1024,
        "g" | "G" => 1024 * 1024,
        "t" | "T" => 1024 * 1024 * 1024,
        _ => return Err(bad()),
    };
    number.checked_mul(unit).ok_or_else(bad)
}

fn no_vg(vg: &str) -> Failure {
    Failure::new(5, format!("  Volume group \"{vg}\" not found\n  Cannot process volume group {vg}"))
}

fn no_lv(vg: &str, lv: &str) -> Failure {
    Failure::new(5, format!("  Failed to find logical volume \"{vg}/{lv}\""))
}

fn vg_and_lv(word: &str) -> Result<(&str, &str), Failure> {
    let word = word.strip_prefix("/dev/").unwrap_or(word);
    word.split_once('/')
        .filter(|(vg, lv)| !vg.is_empty() && !lv.is_empty() && !lv.contains('/'))
        .ok_or_else(|| Failure::new(3, format!("  \"{word}\": Invalid path for Logical Volume.")))
}

/// Says it, unless told to be quiet.
fn said(args: &Args<'_>, text: String) -> String {
    if args.has("-qq") || args.has("-q") { String::new() } else { text }
}

/// The device mapper's name of a volume: hyphens in names are doubled.
pub(super) fn mapper_name(vg: &str, lv: &str) -> String {
    format!("{}-{}", vg.replace('-', "--"), lv.replace('-', "--"))
}

fn from_mapper_name(name: &str) -> Option<(String, String)> {
    let bytes = name.as_bytes();
    let mut i = 0;
    while let Some(at) = name.get(i..)?.find('-') {
        let at = i + at;
        if bytes.get(at + 1) == Some(&b'-') {
            i = at + 2;
            continue;
        }
        return Some((name.get(..at)?.replace("--", "-"), name.get(at + 1..)?.replace("--", "-")));
    }
    None
}

/// What `--reportformat json` prints: `rows` under `kind`, each a list of fields.
fn report(kind: &str, rows: &[Vec<(&str, String)>]) -> String {
    let mut text = format!("  {{\n      \"report\": [\n          {{\n              \"{kind}\": [\n");
    for (i, row) in rows.iter().enumerate() {
        let fields: Vec<String> = row.iter().map(|(name, value)| format!("\"{name}\":\"{value}\"")).collect();
        let comma = if i + 1 < rows.len() { "," } else { "" };
        let _ = writeln!(text, "                  {{{}}}{comma}", fields.join(", "));
    }
    text.push_str("              ]\n          }\n      ]\n  }\n");
    text
}

fn in_k(kib: u64) -> String {
    format!("{kib}.00k")
}

impl Vg {
    fn new(disk: &str, kib: u64, extent_kib: u64) -> Self {
        let extents = kib / extent_kib.max(1);
        Self {
            disk: disk.to_owned(),
            uuid: lvm_uuid(),
            extent_kib,
            extents,
            free: extents,
            pools: BTreeMap::new(),
            lvs: BTreeMap::new(),
        }
    }

    fn has(&self, name: &str) -> bool {
        let name = Packed::new(name);
        self.lvs.contains_key(&name) || self.pools.contains_key(&name)
    }

    /// Extents that hold `kib`.
    fn extents_for(&self, kib: u64) -> u64 {
        kib.div_ceil(self.extent_kib.max(1))
    }

    fn add_thin(&mut self, pool: &str, name: &str, kib: u64, origin: Option<&str>) -> bool {
        let kib = self.extents_for(kib) * self.extent_kib;
        let pool = Packed::new(pool);
        let Some(in_pool) = self.pools.get_mut(&pool) else { return false };
        in_pool.thins += 1;
        let lv = Lv { pool, kib, origin: origin.map(Box::from), fs: None, mounted: None };
        self.lvs.insert(Packed::new(name), lv);
        true
    }

    fn drop_thin(&mut self, name: &str) {
        if let Some(lv) = self.lvs.remove(&Packed::new(name))
            && let Some(pool) = self.pools.get_mut(&lv.pool)
        {
            pool.thins = pool.thins.saturating_sub(1);
        }
    }
}

impl Host {
    /// The disk behind a device name, which appears with the first use of its name.
    fn disk_name(&mut self, word: &str) -> Option<String> {
        let name = clean(word);
        if let Some(uuid) = name.strip_prefix("/dev/disk/by-id/lvm-pv-uuid-") {
            return self.pv_uuids.get(uuid).cloned();
        }
        if !word.starts_with('/') || name.starts_with("/dev/mapper/") || self.dir(&name).is_some() {
            return None;
        }
        let kib = self.device_size.to_kib().0;
        self.disks.entry(name.clone()).or_insert(Disk { kib, pv: None, data: false });
        Some(name)
    }

    fn disk(&mut self, word: &str) -> Option<(String, &mut Disk)> {
        let name = self.disk_name(word)?;
        let disk = self.disks.get_mut(&name)?;
        Some((name, disk))
    }

    /// The volume behind `/dev/mapper/<name>` or `/dev/<vg>/<lv>`.
    pub fn volume_of(&self, device: &str) -> Option<(String, String)> {
        let (vg, lv) = match device.strip_prefix("/dev/mapper/") {
            Some(name) => from_mapper_name(name)?,
            None => {
                let (vg, lv) = device.strip_prefix("/dev/")?.split_once('/')?;
                (vg.to_owned(), lv.to_owned())
            }
        };
        self.vgs.get(&Packed::new(&vg))?.lvs.contains_key(&Packed::new(&lv)).then_some((vg, lv))
    }

    /// A thin volume, to change it.
    pub fn lv_mut(&mut self, vg: &str, lv: &str) -> Option<&mut Lv> {
        self.vgs.get_mut(&Packed::new(vg))?.lvs.get_mut(&Packed::new(lv))
    }

    fn make_pv(&mut self, name: &str, uuid: String) {
        if let Some(disk) = self.disks.get_mut(name) {
            if let Some(old) = disk.pv.take() {
                self.pv_uuids.remove(&old.uuid);
            }
            self.pv_uuids.insert(uuid.clone(), name.to_owned());
            disk.pv = Some(Pv { uuid, vg: None });
            disk.data = false;
        }
    }

    fn make_vg(&mut self, vg: &str, disk_name: &str, extent_kib: u64) {
        if let Some(disk) = self.disks.get_mut(disk_name) {
            if let Some(pv) = &mut disk.pv {
                pv.vg = Some(vg.to_owned());
            }
            self.vgs.insert(Packed::new(vg), Vg::new(disk_name, disk.kib, extent_kib));
        }
    }

    /// Makes room for another disk of this name; the one in use is only reached by its volume group from now on.
    fn set_aside(&mut self, name: &str) {
        let Some(disk) = self.disks.remove(name) else { return };
        let aside = (1_u32..).map(|n| format!("{name} #{n}")).find(|aside| !self.disks.contains_key(aside));
        let Some(aside) = aside else { return };
        if let Some(pv) = &disk.pv {
            self.pv_uuids.insert(pv.uuid.clone(), aside.clone());
            if let Some(vg) = pv.vg.as_ref().and_then(|vg| self.vgs.get_mut(&Packed::new(vg))) {
                vg.disk.clone_from(&aside);
            }
        }
        self.disks.insert(aside, disk);
    }

    /// A disk of this name that was set aside and whose volume group has gone since.
    fn unused_aside(&self, name: &str) -> Option<String> {
        let unused = |disk: &Disk| disk.pv.as_ref().is_some_and(|pv| pv.vg.is_none());
        let aside = format!("{name} #");
        self.disks
            .iter()
            .find(|(known, disk)| known.starts_with(&aside) && unused(disk))
            .map(|(known, _)| known.clone())
    }

    /// A device that was set up before this server started.
    pub fn adopt_device(&mut self, dev: &str, vg: &str, pv_uuid: &str, total_kib: u64, extent_kib: u64) {
        let name = clean(dev);
        if self.disks.get(&name).is_some_and(|disk| disk.pv.is_some()) {
            self.set_aside(&name);
        }
        self.disks.insert(name.clone(), Disk { kib: total_kib, pv: None, data: false });
        self.make_pv(&name, if pv_uuid.is_empty() { lvm_uuid() } else { pv_uuid.to_owned() });
        self.make_vg(vg, &name, extent_kib);
    }

    /// A thin volume with a filesystem, made before this server started.
    pub fn adopt_lv(&mut self, vg: &str, pool: (&str, u64, u64), lv: &str, kib: u64) {
        let Some(group) = self.vgs.get_mut(&Packed::new(vg)) else { return };
        let (pool, pool_kib, meta_kib) = pool;
        if !group.pools.contains_key(&Packed::new(pool)) {
            let (data, meta) = (group.extents_for(pool_kib), group.extents_for(meta_kib));
            group.free = group.free.saturating_sub(data + meta);
            group.pools.insert(Packed::new(pool), Pool { data, meta, thins: 0 });
        }
        if !group.has(lv) && group.add_thin(pool, lv, kib, None) {
            let mut fs = Tree::default();
            let _ = fs.make("/brick");
            if let Some(made) = group.lvs.get_mut(&Packed::new(lv)) {
                made.fs = Some(fs);
            }
        }
    }

    /// Marks a disk as holding a filesystem of somebody.
    pub fn put_data(&mut self, dev: &str) {
        if let Some((_, disk)) = self.disk(dev) {
            disk.data = true;
        }
    }

    pub fn lvm(&mut self, verb: &str, words: &[&str]) -> Reply {
        match verb {
            "pvcreate" => self.pvcreate(words),
            "pvremove" => self.pvremove(words),
            "pvs" => self.pvs(words),
            "vgcreate" => self.vgcreate(words),
            "vgremove" => self.vgremove(words),
            "vgdisplay" => self.vgdisplay(words),
            "vgs" => self.list_vgs(words),
            "lvcreate" => self.lvcreate(words),
            "lvremove" => self.lvremove(words),
            "lvs" => self.list_lvs(words),
            _ => Err(Failure::new(2, format!("  No such command '{verb}'.  Try 'help'."))),
        }
    }

    fn pvcreate(&mut self, words: &[&str]) -> Reply {
        let args =
            Args::read("pvcreate", words, &["-qq", "-q", "-f", "-ff", "-y"], &["--metadatasize", "--dataalignment"])?;
        let word = args.only("pvcreate")?;
        for option in ["--metadatasize", "--dataalignment"] {
            args.value(option).map_or(Ok(0), kib)?;
        }
        let Some((name, disk)) = self.disk(word) else {
            return Err(Failure::new(5, format!("  No device found for {word}.")));
        };
        let used_by = disk.pv.as_ref().and_then(|pv| pv.vg.clone());
        if used_by.is_some() && self.tolerant {
            self.set_aside(&name);
            self.disk(word);
        } else if let Some(vg) = used_by {
            return Err(Failure::new(
                5,
                format!(
                    "  Can't initialize physical volume \"{word}\" of volume group \"{vg}\" without -ff\n  \
                     {word}: physical volume not initialized."
                ),
            ));
        }
        if self.disks.get(&name).is_some_and(|disk| disk.data) && !args.has("-y") && !args.has("-ff") {
            return Err(Failure::new(
                5,
                format!(
                    "  WARNING: xfs signature detected on {word} at offset 0. Wipe it? [y/n]: [n]\n  \
                     Aborted wiping of xfs.\n  1 existing signature left on the device."
                ),
            ));
        }
        self.make_pv(&name, lvm_uuid());
        Ok(said(&args, format!("  Physical volume \"{word}\" successfully created.\n")))
    }

    fn pvremove(&mut self, words: &[&str]) -> Reply {
        let args = Args::read("pvremove", words, &["-qq", "-q", "-f", "-y"], &[])?;
        let word = args.only("pvremove")?;
        let Some(name) = self.disk_name(word) else {
            return Err(Failure::new(5, format!("  No PV found on device {word}.")));
        };
        if let Some(aside) = self.unused_aside(&name) {
            let uuid = self.disks.remove(&aside).and_then(|disk| disk.pv).map(|pv| pv.uuid);
            self.pv_uuids.remove(&uuid.unwrap_or_default());
            return Ok(said(&args, format!("  Labels on physical volume \"{word}\" successfully wiped.\n")));
        }
        let Some(disk) = self.disks.get_mut(&name) else {
            return Err(Failure::new(5, format!("  No PV found on device {word}.")));
        };
        match &disk.pv {
            None => return Err(Failure::new(5, format!("  No PV found on device {word}."))),
            Some(Pv { vg: Some(vg), .. }) => {
                return Err(Failure::new(
                    5,
                    format!(
                        "  PV {word} is used by VG {vg} so please use vgreduce first.\n  (If you are certain you need \
                         pvremove, then confirm by using --force twice.)\n  {word}: physical volume label not removed."
                    ),
                ));
            }
            Some(_) => {}
        }
        if let Some(pv) = disk.pv.take() {
            self.pv_uuids.remove(&pv.uuid);
        }
        Ok(said(&args, format!("  Labels on physical volume \"{word}\" successfully wiped.\n")))
    }

    pub fn wipefs(&mut self, words: &[&str]) -> Reply {
        let args = Args::read("wipefs", words, &["--all", "-a"], &[])?;
        let word = args.only("wipefs")?;
        if !args.has("--all") && !args.has("-a") {
            return Ok(String::new());
        }
        let Some((name, disk)) = self.disk(word) else {
            return Err(Failure::new(
                1,
                format!("wipefs: error: {word}: probing initialization failed: No such file or directory"),
            ));
        };
        disk.data = false;
        if let Some(vg) = disk.pv.as_ref().and_then(|pv| pv.vg.clone()) {
            if self.vgs.get(&Packed::new(&vg)).is_some_and(|vg| !vg.pools.is_empty() || !vg.lvs.is_empty()) {
                return Err(Failure::new(
                    1,
                    format!("wipefs: error: {word}: probing initialization failed: Device or resource busy"),
                ));
            }
            self.vgs.remove(&Packed::new(&vg));
        }
        if let Some(pv) = self.disks.get_mut(&name).and_then(|disk| disk.pv.take()) {
            self.pv_uuids.remove(&pv.uuid);
            return Ok(format!(
                "{word}: 8 bytes were erased at offset 0x00000218 (LVM2_member): 4c 56 4d 32 20 30 30 31\n"
            ));
        }
        Ok(String::new())
    }

    pub fn udevadm(&mut self, words: &[&str]) -> Reply {
        let Some((&"info", words)) = words.split_first() else {
            return Err(Failure::new(1, "udevadm: only 'info' is known here"));
        };
        let args = Args::read("udevadm", words, &[], &["--query", "--name"])?;
        let (Some("symlink"), Some(word)) = (args.value("--query"), args.value("--name")) else {
            return Err(Failure::new(1, "udevadm: only --query=symlink --name=<device> is known here"));
        };
        let Some((name, disk)) = self.disk(word) else {
            return Err(Failure::new(1, format!("Unknown device \"{word}\": No such device")));
        };
        let plain = name.trim_start_matches("/dev/").trim_start_matches('/').replace('/', "-");
        let by_path = format!("disk/by-path/sim-{plain}");
        Ok(match &disk.pv {
            Some(pv) => format!("disk/by-id/lvm-pv-uuid-{} {by_path}\n", pv.uuid),
            None => format!("{by_path}\n"),
        })
    }

    fn pvs(&mut self, words: &[&str]) -> Reply {
        let args = Args::read("pvs", words, &[], &["-o", "--reportformat", "--units"])?;
        json_only("pvs", &args)?;
        let names = match args.rest.as_slice() {
            [] => {
                let mut names: Vec<String> = self.pv_uuids.values().cloned().collect();
                names.sort_unstable();
                names
            }
            [word] => match self.disk(word) {
                Some((name, Disk { pv: Some(_), .. })) => vec![name],
                _ => {
                    let mut failure = Failure::new(5, format!("  Failed to find physical volume \"{word}\"."));
                    failure.stdout = report("pv", &[]);
                    return Err(failure);
                }
            },
            _ => return Err(Failure::new(3, "pvs: one device at most is known here")),
        };
        let columns = args.value("-o").unwrap_or("pv_name,vg_name,pv_fmt,pv_attr,pv_size,pv_free");
        let mut rows = Vec::with_capacity(names.len());
        for name in names {
            let Some(disk) = self.disks.get(&name) else { continue };
            let Some(pv) = &disk.pv else { continue };
            let vg = pv.vg.as_ref().and_then(|vg| self.vgs.get(&Packed::new(vg)));
            rows.push(row(columns, |column| {
                Some(match column {
                    "pv_name" => name.clone(),
                    "pv_uuid" => pv.uuid.clone(),
                    "vg_name" => pv.vg.clone().unwrap_or_default(),
                    "pv_fmt" => "lvm2".to_owned(),
                    "pv_attr" => if vg.is_some() { "a--" } else { "---" }.to_owned(),
                    "pv_size" => in_k(vg.map_or(disk.kib, |vg| vg.extents * vg.extent_kib)),
                    "pv_free" => in_k(vg.map_or(disk.kib, |vg| vg.free * vg.extent_kib)),
                    _ => return None,
                })
            })?);
        }
        Ok(report("pv", &rows))
    }

    fn vgcreate(&mut self, words: &[&str]) -> Reply {
        let args = Args::read("vgcreate", words, &["-qq", "-q"], &["--physicalextentsize", "--autobackup"])?;
        let [vg, word] = args.rest.as_slice() else {
            return Err(Failure::new(3, "  Please enter volume group name and physical volumes"));
        };
        let extent = args.value("--physicalextentsize").map_or(Ok(4096), kib)?;
        if extent == 0 {
            return Err(Failure::new(3, "  Physical extent size may not be zero."));
        }
        if self.vgs.contains_key(&Packed::new(vg)) {
            return Err(Failure::new(5, format!("  A volume group called {vg} already exists.")));
        }
        let Some((name, disk)) = self.disk(word) else {
            return Err(Failure::new(5, format!("  No device found for {word}.")));
        };
        match &disk.pv {
            None => self.make_pv(&name, lvm_uuid()),
            Some(Pv { vg: Some(other), .. }) => {
                return Err(Failure::new(
                    5,
                    format!(
                        "  Physical volume '{word}' is already in volume group '{other}'\n  \
                         Unable to add physical volume '{word}' to volume group '{vg}'"
                    ),
                ));
            }
            Some(_) => {}
        }
        self.make_vg(vg, &name, extent);
        Ok(said(&args, format!("  Volume group \"{vg}\" successfully created\n")))
    }

    fn vgremove(&mut self, words: &[&str]) -> Reply {
        let args = Args::read("vgremove", words, &["-qq", "-q"], &[])?;
        let vg = args.only("vgremove")?;
        let group = self.vgs.get(&Packed::new(vg)).ok_or_else(|| no_vg(vg))?;
        let volumes = group.lvs.len() + group.pools.len();
        if volumes > 0 {
            return Err(Failure::new(
                5,
                format!(
                    "Do you really want to remove volume group \"{vg}\" containing {volumes} logical volumes? [y/n]: [n]\n  \
                     Volume group \"{vg}\" not removed"
                ),
            ));
        }
        if let Some(pv) = self.disks.get_mut(&group.disk).and_then(|disk| disk.pv.as_mut()) {
            pv.vg = None;
        }
        self.vgs.remove(&Packed::new(vg));
        Ok(said(&args, format!("  Volume group \"{vg}\" successfully removed\n")))
    }

    fn vgdisplay(&mut self, words: &[&str]) -> Reply {
        let args = Args::read("vgdisplay", words, &["-c"], &[])?;
        let name = args.only("vgdisplay")?;
        if !args.has("-c") {
            return Err(Failure::new(3, "vgdisplay: only -c is known here"));
        }
        let vg = self.vgs.get(&Packed::new(name)).ok_or_else(|| no_vg(name))?;
        let open = vg.lvs.values().filter(|lv| lv.mounted.is_some()).count();
        Ok(format!(
            "  {name}:r/w:772:-1:0:{}:{open}:-1:0:1:1:{}:{}:{}:{}:{}:{}\n",
            vg.lvs.len() + vg.pools.len(),
            vg.extents * vg.extent_kib,
            vg.extent_kib,
            vg.extents,
            vg.extents - vg.free,
            vg.free,
            vg.uuid
        ))
    }

    fn list_vgs(&mut self, words: &[&str]) -> Reply {
        let args = Args::read("vgs", words, &["--noheadings"], &["-o", "--options", "--reportformat", "--units"])?;
        if args.has("--noheadings") && args.value("--options") == Some("vg_name") {
            let name = args.only("vgs")?;
            return if self.vgs.contains_key(&Packed::new(name)) {
                Ok(format!("  {name}\n"))
            } else {
                Err(no_vg(name))
            };
        }
        json_only("vgs", &args)?;
        let names = match args.rest.as_slice() {
            [] => {
                let mut names: Vec<String> = self.vgs.keys().map(Packed::text).collect();
                names.sort_unstable();
                names
            }
            names => names.iter().map(|name| (*name).to_owned()).collect(),
        };
        let columns = args.value("-o").unwrap_or("vg_name,pv_count,lv_count,snap_count,vg_attr,vg_size,vg_free");
        let mut rows = Vec::with_capacity(names.len());
        for name in names {
            let vg = self.vgs.get(&Packed::new(&name)).ok_or_else(|| no_vg(&name))?;
            let pv = self.disks.get(&vg.disk).and_then(|disk| disk.pv.as_ref());
            rows.push(row(columns, |column| {
                Some(match column {
                    "vg_name" => name.clone(),
                    "pv_name" => vg.disk.clone(),
                    "pv_uuid" => pv.map_or_else(String::new, |pv| pv.uuid.clone()),
                    "pv_count" => "1".to_owned(),
                    "lv_count" => (vg.lvs.len() + vg.pools.len()).to_string(),
                    "snap_count" => "0".to_owned(),
                    "vg_attr" => "wz--n-".to_owned(),
                    "vg_size" => in_k(vg.extents * vg.extent_kib),
                    "vg_free" => in_k(vg.free * vg.extent_kib),
                    _ => return None,
                })
            })?);
        }
        Ok(report("vg", &rows))
    }

    fn lvcreate(&mut self, words: &[&str]) -> Reply {
        let options =
            ["--autobackup", "--poolmetadatasize", "--chunksize", "--size", "--thin", "--virtualsize", "--name"];
        let args = Args::read("lvcreate", words, &["-qq", "-q"], &options)?;
        let (Some(target), Some(virtual_size), Some(name)) =
            (args.value("--thin"), args.value("--virtualsize"), args.value("--name"))
        else {
            return Err(Failure::new(
                3,
                "lvcreate: only thin volumes with --thin, --virtualsize and --name are known here",
            ));
        };
        if let [extra, ..] = args.rest.as_slice() {
            return Err(Failure::new(3, format!("lvcreate: extra operand '{extra}'")));
        }
        let (vg, pool) = vg_and_lv(target)?;
        let virtual_kib = kib(virtual_size)?;
        let size = args.value("--size").map(kib).transpose()?;
        let meta = args.value("--poolmetadatasize").map(kib).transpose()?;
        let chunk = args.value("--chunksize").map_or(Ok(256), kib)?;
        if !(64..=1024 * 1024).contains(&chunk) || chunk % 64 != 0 {
            return Err(Failure::new(
                3,
                "  Chunk size must be a multiple of 64.00 KiB in range 64.00 KiB to 1.00 GiB.",
            ));
        }
        let group = self.vgs.get_mut(&Packed::new(vg)).ok_or_else(|| no_vg(vg))?;
        if group.has(name) {
            return Err(Failure::new(
                5,
                format!("  Logical Volume \"{name}\" already exists in volume group \"{vg}\""),
            ));
        }
        if virtual_kib == 0 {
            return Err(Failure::new(3, "  Please specify a virtual size above zero."));
        }
        match size {
            Some(_) if group.has(pool) => {
                return Err(Failure::new(
                    5,
                    format!("  Logical Volume \"{pool}\" already exists in volume group \"{vg}\""),
                ));
            }
            Some(size) => {
                let meta = meta.unwrap_or(size / 200).clamp(2048, 16 * 1024 * 1024);
                let (data, meta) = (group.extents_for(size), group.extents_for(meta));
                if data + meta > group.free {
                    return Err(Failure::new(
                        5,
                        format!(
                            "  Volume group \"{vg}\" has insufficient free space ({} extents): {} required.",
                            group.free,
                            data + meta
                        ),
                    ));
                }
                group.free -= data + meta;
                group.pools.insert(Packed::new(pool), Pool { data, meta, thins: 0 });
            }
            None if !group.pools.contains_key(&Packed::new(pool)) => {
                return Err(Failure::new(5, format!("  Pool {vg}/{pool} not found")));
            }
            None => {}
        }
        group.add_thin(pool, name, virtual_kib, None);
        Ok(said(&args, format!("  Logical volume \"{name}\" created.\n")))
    }

    fn lvremove(&mut self, words: &[&str]) -> Reply {
        let args = Args::read("lvremove", words, &["-qq", "-q", "-f", "-y"], &["--autobackup"])?;
        let (vg, lv) = vg_and_lv(args.only("lvremove")?)?;
        let group = self.vgs.get_mut(&Packed::new(vg)).ok_or_else(|| no_vg(vg))?;
        if !group.has(lv) {
            return Err(no_lv(vg, lv));
        }
        if !args.has("-f") && !args.has("-y") {
            return Err(Failure::new(
                5,
                format!(
                    "Do you really want to remove active logical volume {vg}/{lv}? [y/n]: [n]\n  Logical volume {lv} not removed."
                ),
            ));
        }
        // Removing a pool with -f takes its volumes along.
        let packed = Packed::new(lv);
        let doomed: Vec<String> = match group.pools.get(&packed) {
            None => vec![lv.to_owned()],
            Some(pool) if pool.thins == 0 => Vec::new(),
            Some(_) => group.lvs.iter().filter(|(_, thin)| thin.pool == packed).map(|(name, _)| name.text()).collect(),
        };
        for name in &doomed {
            if group.lvs.get(&Packed::new(name)).is_some_and(|thin| thin.mounted.is_some()) {
                return Err(Failure::new(5, format!("  Logical volume {vg}/{name} contains a filesystem in use.")));
            }
        }
        for name in &doomed {
            group.drop_thin(name);
        }
        if let Some(pool) = group.pools.remove(&packed) {
            group.free += pool.data + pool.meta;
        }
        Ok(said(&args, format!("  Logical volume \"{lv}\" successfully removed.\n")))
    }

    fn list_lvs(&mut self, words: &[&str]) -> Reply {
        let flags = ["--noheadings", "--all", "-a"];
        let args = Args::read("lvs", words, &flags, &["--options", "-o", "--reportformat", "--units"])?;
        if args.value("--reportformat").is_some() {
            json_only("lvs", &args)?;
            return Ok(report("lv", &self.lv_rows(args.value("-o"))?));
        }
        if args.has("--noheadings") && args.value("--options") == Some("lv_name") {
            let vg = args.only("lvs")?;
            return self.lv_names(vg, args.has("--all") || args.has("-a"));
        }
        let (true, Some("thin_count")) = (args.has("--noheadings"), args.value("--options").or(args.value("-o")))
        else {
            return Err(Failure::new(3, "lvs: only --noheadings --options=thin_count and JSON are known here"));
        };
        let (vg, lv) = vg_and_lv(args.only("lvs")?)?;
        let group = self.vgs.get(&Packed::new(vg)).ok_or_else(|| no_vg(vg))?;
        let packed = Packed::new(lv);
        match group.pools.get(&packed) {
            Some(pool) => Ok(format!("  {}\n", pool.thins)),
            None if group.lvs.contains_key(&packed) => Ok("  \n".to_owned()),
            None => Err(no_lv(vg, lv)),
        }
    }

    /// One name a line; with `all` also the hidden halves of pools, in brackets.
    fn lv_names(&self, vg: &str, all: bool) -> Reply {
        let group = self.vgs.get(&Packed::new(vg)).ok_or_else(|| no_vg(vg))?;
        let mut names: Vec<String> = group.lvs.keys().chain(group.pools.keys()).map(Packed::text).collect();
        if all {
            names.extend(group.pools.keys().flat_map(|pool| ["tdata", "tmeta"].map(|half| format!("[{pool}_{half}]"))));
        }
        names.sort_unstable();
        Ok(names.iter().map(|name| format!("  {name}\n")).collect())
    }

    fn lv_rows(&self, columns: Option<&str>) -> Result<Vec<Vec<(&'static str, String)>>, Failure> {
        let columns = columns.unwrap_or(
            "lv_name,vg_name,lv_attr,lv_size,pool_lv,origin,data_percent,metadata_percent,move_pv,mirror_log,copy_percent,convert_lv",
        );
        let mut rows = Vec::new();
        for (vg_name, vg) in &self.vgs {
            for (name, lv) in &vg.lvs {
                rows.push((vg_name.text(), name.text(), "Vwi-aotz--", lv.kib, lv.pool.text(), lv.origin.as_deref()));
            }
            for (name, pool) in &vg.pools {
                rows.push((vg_name.text(), name.text(), "twi-aotz--", pool.data * vg.extent_kib, String::new(), None));
            }
        }
        rows.sort_unstable();
        rows.into_iter()
            .map(|(vg, name, attr, kib, pool, origin)| {
                row(columns, |column| {
                    Some(match column {
                        "lv_name" => name.clone(),
                        "vg_name" => vg.clone(),
                        "lv_attr" => attr.to_owned(),
                        "lv_size" => in_k(kib),
                        "pool_lv" => pool.clone(),
                        "origin" => origin.unwrap_or_default().to_owned(),
                        "data_percent" | "metadata_percent" => "0.00".to_owned(),
                        "move_pv" | "mirror_log" | "copy_percent" | "convert_lv" => String::new(),
                        _ => return None,
                    })
                })
            })
            .collect()
    }

    /// A snapshot of a thin volume, with a copy of its directories' marks left out: gluster sets its own.
    pub fn snapshot_lv(&mut self, vg: &str, origin: &str, name: &str) -> bool {
        let Some(group) = self.vgs.get_mut(&Packed::new(vg)) else { return false };
        let Some((pool, kib)) = group.lvs.get(&Packed::new(origin)).map(|lv| (lv.pool.text(), lv.kib)) else {
            return false;
        };
        if group.has(name) || !group.add_thin(&pool, name, kib, Some(origin)) {
            return false;
        }
        if let Some(lv) = group.lvs.get_mut(&Packed::new(name)) {
            lv.fs = Some(Tree::default());
        }
        true
    }

    /// Removes a volume that gluster made.
    pub fn drop_lv(&mut self, vg: &str, name: &str) {
        if let Some(group) = self.vgs.get_mut(&Packed::new(vg)) {
            group.drop_thin(name);
        }
    }
}

fn json_only(program: &str, args: &Args<'_>) -> Result<(), Failure> {
    if args.value("--reportformat") != Some("json") {
        return Err(Failure::new(3, format!("{program}: only --reportformat json is known here")));
    }
    match args.value("--units") {
        None | Some("k") => Ok(()),
        Some(unit) => Err(Failure::new(3, format!("{program}: units '{unit}' are not known here"))),
    }
}

const COLUMNS: [&str; 24] = [
    "pv_name",
    "pv_uuid",
    "vg_name",
    "pv_fmt",
    "pv_attr",
    "pv_size",
    "pv_free",
    "pv_count",
    "lv_count",
    "snap_count",
    "vg_attr",
    "vg_size",
    "vg_free",
    "lv_name",
    "lv_attr",
    "lv_size",
    "pool_lv",
    "origin",
    "data_percent",
    "metadata_percent",
    "move_pv",
    "mirror_log",
    "copy_percent",
    "convert_lv",
];

/// One row of a report: the asked columns, each by its value.
fn row(columns: &str, value: impl Fn(&str) -> Option<String>) -> Result<Vec<(&'static str, String)>, Failure> {
    columns
        .split(',')
        .map(|asked| {
            let known = COLUMNS.iter().find(|known| **known == asked);
            known
                .and_then(|name| value(name).map(|value| (*name, value)))
                .ok_or_else(|| Failure::new(3, format!("  Unrecognised field: {asked}")))
        })
        .collect()
}
