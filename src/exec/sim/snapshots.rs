//! `gluster snapshot ...`: thin snapshots of a volume's bricks, and volumes cloned from them.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use super::gluster::{Answer, Brick, Done, Refusal, Scene, Status, Volume, uuid};
use super::host::Host;
use super::lvm::mapper_name;
use super::packed::Packed;
use super::xml;

/// A snapshot of a volume.
#[derive(Debug)]
pub(super) struct Snapshot {
    id: String,
    pub volume: String,
    active: bool,
    bricks: Vec<Brick>,
}

fn refuse(verb: &str, reason: String) -> Refusal {
    Refusal::new(format!("snapshot {verb}: failed: "), reason)
}

fn unknown(verb: &str, name: &str) -> Refusal {
    refuse(verb, format!("Snapshot ({name}) does not exist")).errno(30807)
}

/// What the answers to create, activate and deactivate hold.
fn named(kind: &str, name: &str, id: &str) -> String {
    format!("<{kind}>\n<snapshot>\n{}\n<uuid>{id}</uuid>\n</snapshot>\n</{kind}>\n", xml::element("name", name))
}

fn mount_point(path: &str) -> &str {
    path.strip_suffix("/brick").unwrap_or(path)
}

impl Host {
    /// Mounts a volume that gluster made, as glusterd does at its own start too.
    pub fn attach_snapshot(&mut self, vg: &str, lv: &str, path: &str) {
        let point = mount_point(path);
        self.make_dirs(point);
        let place = Packed::new(point);
        if !self.mounts.contains_key(&place) {
            let _ = self.attach(&format!("/dev/mapper/{}", mapper_name(vg, lv)), point, "rw,noatime,nouuid");
        }
        if self.mounts.contains_key(&place) {
            self.make_dirs(path);
        }
    }

    /// Whether a brick process runs on `path`.
    pub fn brick_runs(&self, path: &str) -> bool {
        let found = self.mount_above(path).and_then(|point| {
            let below = Packed::new(path.get(point.len()..)?);
            Some((self.mounts.get(&Packed::new(point))?, below))
        });
        match found {
            Some((mount, below)) => mount.users.contains(&below),
            None => self.dir(path).is_some_and(|dir| dir.volume.is_some()),
        }
    }
}

impl Scene<'_> {
    pub fn snapshot(&mut self, words: &[&str]) -> Done {
        match words {
            ["create", name, volume] | ["create", name, volume, "no-timestamp"] => self.snap_create(name, volume),
            ["activate", name] | ["activate", name, "force"] => self.snap_activate(name, true),
            ["deactivate", name] => self.snap_activate(name, false),
            ["clone", clone, name] => self.snap_clone(clone, name),
            ["delete", name] => self.snap_delete(name),
            ["list"] => self.snap_list(None),
            ["list", volume] => self.snap_list(Some(volume)),
            ["config", "snap-max-hard-limit", limit] => {
                let limit = limit.parse().ok().filter(|limit| (1..=256).contains(limit));
                let limit = limit.ok_or_else(|| {
                    refuse("config", "Invalid snap-max-hard-limit. Expected range 1 - 256".to_owned())
                })?;
                self.pool.snapshot_limit = Some(limit);
                Ok(Answer::text("snapshot config: snap-max-hard-limit for System set successfully\n"))
            }
            [word, ..] => Err(Refusal::usage(format!("unrecognized word: {word} (position 1)"))),
            [] => Err(Refusal::usage("unrecognized command: snapshot")),
        }
    }

    /// Takes thin snapshots of these bricks for the new volume `id`. All or none.
    fn snap_bricks(&self, verb: &str, bricks: &[Brick], id: &str) -> Result<Vec<Brick>, Refusal> {
        let label = id.replace('-', "");
        let mut of_node: HashMap<&str, usize> = HashMap::new();
        let mut made: Vec<Brick> = Vec::with_capacity(bricks.len());
        for (i, brick) in bricks.iter().enumerate() {
            let number = of_node.entry(&brick.node).or_default();
            let lv = format!("{label}_{number}");
            *number += 1;
            let path = format!("/run/gluster/snaps/{label}/brick{}/brick", i + 1);
            let up = self.up(&brick.node);
            let vg = self.hosts.with(&brick.node, |host| {
                let (vg, origin) = match &brick.device {
                    Some(device) => (**device).clone(),
                    None => {
                        let path = brick.path.text();
                        let mount = host.mounts.get(&Packed::new(host.mount_above(&path)?))?;
                        (mount.vg.text(), mount.lv.text())
                    }
                };
                (up && host.snapshot_lv(&vg, &origin, &lv)).then_some(vg)
            });
            let Some(vg) = vg else {
                self.drop_bricks(&made);
                let reason = if up {
                    "Snapshot is supported only for thin provisioned LV"
                } else {
                    "One or more bricks may be down"
                };
                return Err(refuse(verb, format!("{reason}: {}", brick.name())));
            };
            made.push(Brick { path: Packed::new(&path), device: Some(Box::new((vg, lv))), ..brick.clone() });
        }
        Ok(made)
    }

    fn mount_bricks(&self, bricks: &[Brick]) {
        for brick in bricks {
            if let Some((vg, lv)) = brick.device.as_deref() {
                self.hosts.with(&brick.node, |host| host.attach_snapshot(vg, lv, &brick.path.text()));
            }
        }
    }

    fn unmount_bricks(&self, bricks: &[Brick]) {
        for brick in bricks {
            self.hosts.with(&brick.node, |host| host.detach(mount_point(&brick.path.text())));
        }
    }

    fn drop_bricks(&self, bricks: &[Brick]) {
        self.unmount_bricks(bricks);
        for brick in bricks {
            if let Some((vg, lv)) = brick.device.as_deref() {
                self.hosts.with(&brick.node, |host| host.drop_lv(vg, lv));
            }
        }
    }

    fn snap_create(&mut self, name: &str, volume_name: &str) -> Done {
        let missing = || refuse("create", format!("Volume ({volume_name}) does not exist"));
        let volume = self.pool.volumes.get(volume_name).ok_or_else(missing)?;
        if self.pool.snapshots.contains_key(name) {
            return Err(refuse("create", format!("Snapshot {name} already exists")));
        }
        if volume.status != Status::Started {
            return Err(refuse("create", format!("volume {volume_name} is not in the started state")));
        }
        if self.pool.snapshot_limit.is_some_and(|limit| volume.snapshots as u64 >= limit) {
            let reason = format!(
                "The number of existing snaps has reached the effective maximum limit for the volume ({volume_name})"
            );
            return Err(refuse("create", reason).errno(30805));
        }
        let id = uuid();
        let bricks = self.snap_bricks("create", &volume.bricks, &id)?;
        if let Some(volume) = self.pool.volumes.get_mut(volume_name) {
            volume.snapshots += 1;
        }
        let xml = named("snapCreate", name, &id);
        let snapshot = Snapshot { id, volume: volume_name.to_owned(), active: false, bricks };
        self.pool.snapshots.insert(name.to_owned(), snapshot);
        Ok(Answer { text: format!("snapshot create: success: Snap {name} created successfully\n"), xml })
    }

    fn snap_activate(&mut self, name: &str, active: bool) -> Done {
        let (verb, kind) = if active { ("activate", "snapActivate") } else { ("deactivate", "snapDeactivate") };
        let snapshot = self.pool.snapshots.get(name).ok_or_else(|| unknown(verb, name))?;
        if snapshot.active == active {
            return Err(refuse(verb, format!("Snapshot {name} is already {verb}d.")));
        }
        let answer = Answer {
            text: format!("Snapshot {verb}: {name}: Snap {verb}d successfully\n"),
            xml: named(kind, name, &snapshot.id),
        };
        if active {
            self.mount_bricks(&snapshot.bricks);
        } else {
            self.unmount_bricks(&snapshot.bricks);
        }
        if let Some(snapshot) = self.pool.snapshots.get_mut(name) {
            snapshot.active = active;
        }
        Ok(answer)
    }

    fn snap_clone(&mut self, clone: &str, name: &str) -> Done {
        let snapshot = self.pool.snapshots.get(name).ok_or_else(|| unknown("clone", name))?;
        if self.pool.volumes.contains_key(clone) {
            return Err(refuse("clone", format!("Volume with name:{clone} already exists")));
        }
        if !snapshot.active {
            return Err(refuse("clone", format!("Snapshot {name} is not activated")));
        }
        let gone = || refuse("clone", format!("Volume ({}) does not exist", snapshot.volume));
        let origin = self.pool.volumes.get(&snapshot.volume).ok_or_else(gone)?;
        let id: Arc<str> = uuid().into();
        let bricks = self.snap_bricks("clone", &snapshot.bricks, &id)?;
        self.mount_bricks(&bricks);
        let volume = Volume {
            name: clone.to_owned(),
            id: Arc::clone(&id),
            status: Status::Created,
            replica: origin.replica,
            arbiter: origin.arbiter,
            disperse: origin.disperse,
            redundancy: origin.redundancy,
            bricks,
            options: origin.options.clone(),
            snapshots: 0,
            leaving: Vec::new(),
        };
        self.enter_bricks(&id, &volume.bricks);
        self.pool.volumes.insert(clone.to_owned(), volume);
        Ok(Answer {
            text: format!("snapshot clone: success: Clone {clone} created successfully\n"),
            xml: format!(
                "<CloneCreate>\n<volume>\n{}\n<uuid>{id}</uuid>\n</volume>\n</CloneCreate>\n",
                xml::element("name", clone)
            ),
        })
    }

    fn snap_delete(&mut self, name: &str) -> Done {
        let snapshot = self.pool.snapshots.remove(name).ok_or_else(|| unknown("delete", name))?;
        self.drop_bricks(&snapshot.bricks);
        if let Some(volume) = self.pool.volumes.get_mut(&snapshot.volume) {
            volume.snapshots = volume.snapshots.saturating_sub(1);
        }
        Ok(Answer {
            text: format!("snapshot delete: {name}: snap removed successfully\n"),
            xml: format!(
                "<snapDelete>\n<snapshots>\n<snapshot>\n<status>Success</status>\n{}\n<uuid>{}</uuid>\n</snapshot>\n</snapshots>\n</snapDelete>\n",
                xml::element("name", name),
                snapshot.id
            ),
        })
    }

    fn snap_list(&self, volume: Option<&str>) -> Done {
        if let Some(volume) = volume
            && !self.pool.volumes.contains_key(volume)
        {
            return Err(refuse("list", format!("Volume ({volume}) does not exist")).errno(30806));
        }
        let names: Vec<&String> = (self.pool.snapshots.iter())
            .filter(|(_, snapshot)| volume.is_none_or(|volume| snapshot.volume == volume))
            .map(|(name, _)| name)
            .collect();
        let mut text = String::new();
        let mut inner = format!("<snapList>\n<count>{}</count>\n", names.len());
        for name in names {
            let _ = writeln!(text, "{name}");
            let _ = writeln!(inner, "{}", xml::element("snapshot", name));
        }
        inner.push_str("</snapList>\n");
        if text.is_empty() {
            text.push_str("No snapshots present\n");
        }
        Ok(Answer { text, xml: inner })
    }
}
