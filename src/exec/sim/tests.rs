use super::*;
use crate::exec::inject::{Action, Gate, Inject, Rule};

const HOSTS: [&str; 3] = ["m1", "m2", "m3"];
const VG: &str = "vg_d";
const GIB: u64 = 1024 * 1024;

/// Words apart by blanks; `~` stands for a blank within a word.
fn sh(sim: &Sim, host: &str, line: &str) -> Output {
    let words: Vec<String> = line.split_whitespace().map(|word| word.replace('~', " ")).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    sim.exec(host, &words)
}

#[track_caller]
fn ok(sim: &Sim, host: &str, line: &str) -> String {
    let output = sh(sim, host, line);
    assert_eq!(output.status, 0, "{line}: {}", output.stderr);
    output.stdout
}

#[track_caller]
fn refused(sim: &Sim, host: &str, line: &str, status: u32, text: &str) {
    let output = sh(sim, host, line);
    assert!(output.status == status && output.stderr.contains(text), "{line}: {} {}", output.status, output.stderr);
}

fn g(rest: &str) -> String {
    format!("gluster --mode=script --timeout=600 {rest}")
}

fn point(brick: &str) -> String {
    format!("/var/lib/heketi/mounts/{VG}/brick_{brick}")
}

fn path(host: &str, brick: &str) -> String {
    format!("{}:{}/brick", host.replace('m', "s"), point(brick))
}

/// The steps of a brick's creation.
fn steps(brick: &str) -> Vec<String> {
    let (device, mount) = (format!("/dev/mapper/{VG}-brick_{brick}"), point(brick));
    let options = "rw,inode64,noatime,nouuid";
    vec![
        format!("mkdir -p {mount}"),
        format!(
            "/usr/sbin/lvm lvcreate -qq --autobackup=n --poolmetadatasize 8192K --chunksize 256K --size 1048576K \
             --thin {VG}/tp_{brick} --virtualsize 1048576K --name brick_{brick}"
        ),
        format!("mkfs.xfs -i size=512 -n size=8192 {device}"),
        format!("awk BEGIN~{{print~\"{device}~{mount}~xfs~{options}~1~2\"~>>~\"/etc/fstab\"}}"),
        format!("mount -o {options} {device} {mount}"),
        format!("mkdir {mount}/brick"),
        format!("chown :2001 {mount}/brick"),
        format!("chmod 2775 {mount}/brick"),
    ]
}

fn unmake(sim: &Sim, host: &str, brick: &str) {
    let mount = point(brick);
    ok(sim, host, &format!("umount {mount}"));
    ok(sim, host, &format!("sed -i.save /brick_{brick}/d /etc/fstab"));
    ok(sim, host, &format!("/usr/sbin/lvm lvremove --autobackup=n -f {VG}/brick_{brick}"));
    assert_eq!(
        ok(sim, host, &format!("/usr/sbin/lvm lvs --noheadings --options=thin_count {VG}/tp_{brick}")).trim(),
        "0"
    );
    ok(sim, host, &format!("/usr/sbin/lvm lvremove --autobackup=n -f {VG}/tp_{brick}"));
    ok(sim, host, &format!("rmdir {mount}"));
}

fn make(sim: &Sim, host: &str, brick: &str) {
    for step in steps(brick) {
        ok(sim, host, &step);
    }
}

fn device(sim: &Sim, host: &str) {
    ok(sim, host, "/usr/sbin/lvm pvcreate -qq --metadatasize=128M --dataalignment=256K /dev/sdb");
    ok(sim, host, &format!("/usr/sbin/lvm vgcreate -qq --physicalextentsize=4M --autobackup=n {VG} /dev/sdb"));
}

/// Three nodes in one pool, with a device each; known to gluster as s1 to s3.
fn pool() -> Sim {
    let sim = Sim::new(Gib(500));
    for host in HOSTS {
        sim.introduce(host, &host.replace('m', "s"));
        device(&sim, host);
    }
    ok(&sim, "m1", &g("peer probe s2"));
    ok(&sim, "m1", &g("peer probe s3"));
    sim
}

/// The bricks `brick` on all three nodes, as in a command.
fn three(sim: &Sim, brick: &str) -> String {
    HOSTS
        .map(|host| {
            make(sim, host, brick);
            path(host, brick)
        })
        .join(" ")
}

fn hex_brick(n: u128) -> String {
    format!("{n:032x}")
}

#[test]
fn a_device_shows_its_whole_size_and_knows_its_uuid() {
    let sim = Sim::new(Gib(500));
    device(&sim, "m1");
    let line = ok(&sim, "m1", &format!("/usr/sbin/lvm vgdisplay -c {VG}"));
    let fields: Vec<&str> = line.trim().split(':').collect();
    assert_eq!(fields.len(), 17);
    assert_eq!(fields[11..16], ["524288000", "4096", "128000", "0", "128000"]);

    let pvs = ok(&sim, "m1", "/usr/sbin/lvm pvs -o pv_name,pv_uuid,vg_name --reportformat=json /dev/sdb");
    let pvs: serde_json::Value = serde_json::from_str(&pvs).unwrap();
    let uuid = pvs["report"][0]["pv"][0]["pv_uuid"].as_str().unwrap().to_owned();
    assert_eq!(uuid.len(), 38);
    assert_eq!(pvs["report"][0]["pv"][0]["vg_name"], VG);
    let vgs = ok(&sim, "m1", &format!("/usr/sbin/lvm vgs -o pv_name,pv_uuid,vg_name --reportformat=json {VG}"));
    assert!(vgs.contains(&uuid));
    let links = ok(&sim, "m1", "/usr/bin/udevadm info --query=symlink --name=/dev/sdb");
    assert!(links.contains(&format!("disk/by-id/lvm-pv-uuid-{uuid}")));

    // The handle path works wherever the name does.
    ok(&sim, "m1", &format!("/usr/sbin/lvm pvs -o pv_uuid --reportformat=json /dev/disk/by-id/lvm-pv-uuid-{uuid}"));
    ok(&sim, "m1", &format!("/usr/sbin/lvm vgremove -qq {VG}"));
    ok(&sim, "m1", &format!("/usr/sbin/lvm pvremove -qq /dev/disk/by-id/lvm-pv-uuid-{uuid}"));
    refused(
        &sim,
        "m1",
        "/usr/sbin/lvm pvs -o pv_uuid --reportformat=json /dev/sdb",
        5,
        "Failed to find physical volume",
    );
}

#[test]
fn lvm_refuses_what_it_would() {
    let sim = Sim::new(Gib(10));
    device(&sim, "m1");
    refused(&sim, "m1", "/usr/sbin/lvm pvcreate -qq /dev/sdb", 5, "without -ff");
    refused(&sim, "m1", &format!("/usr/sbin/lvm vgcreate -qq {VG} /dev/sdc"), 5, "already exists");
    refused(&sim, "m1", "/usr/sbin/lvm vgcreate -qq vg_e /dev/sdb", 5, "is already in volume group");
    refused(&sim, "m1", "/usr/sbin/lvm pvremove -qq /dev/sdb", 5, "is used by VG");
    refused(&sim, "m1", "/usr/sbin/lvm vgdisplay -c vg_e", 5, "Volume group \"vg_e\" not found");
    refused(&sim, "m1", "/usr/sbin/lvm vgremove -qq vg_e", 5, "not found");
    refused(&sim, "m1", "/usr/sbin/lvm lvremove --autobackup=n -f vg_d/x", 5, "Failed to find logical volume");
    refused(&sim, "m1", "/usr/sbin/lvm lvs --noheadings --options=thin_count vg_d/x", 5, "Failed to find");
    refused(&sim, "m1", "/usr/sbin/lvm lvcreate --frob 3", 3, "unrecognized option '--frob'");
    refused(&sim, "m1", "/usr/sbin/lvm frob", 2, "No such command");
    refused(&sim, "m1", "frob", 127, "command not found");
    make(&sim, "m1", "a");
    refused(&sim, "m1", &steps("a")[1], 5, "already exists in volume group");
    refused(&sim, "m1", &steps("b")[1].replace("--size 1048576K", "--size 104857600K"), 5, "insufficient free space");
    refused(&sim, "m1", "/usr/sbin/lvm vgremove -qq vg_d", 5, "not removed");
    refused(&sim, "m1", "/usr/sbin/lvm lvremove --autobackup=n -f vg_d/brick_a", 5, "contains a filesystem in use");
    refused(&sim, "m1", "/usr/sbin/lvm lvremove --autobackup=n -f vg_d/tp_a", 5, "contains a filesystem in use");
    refused(&sim, "m1", "wipefs --all /dev/sdb", 1, "Device or resource busy");
    unmake(&sim, "m1", "a");
    ok(&sim, "m1", "wipefs --all /dev/sdb");
    refused(&sim, "m1", "/usr/sbin/lvm vgremove -qq vg_d", 5, "not found");

    sim.put_data("m1", "/dev/sdd");
    refused(&sim, "m1", "/usr/sbin/lvm pvcreate -qq /dev/sdd", 5, "existing signature");
    ok(&sim, "m1", "wipefs --all /dev/sdd");
    ok(&sim, "m1", "/usr/sbin/lvm pvcreate -qq /dev/sdd");
}

#[test]
fn tolerant_nodes_take_a_disk_that_is_in_use_as_another_one() {
    let sim = Sim::tolerant(Gib(10));
    device(&sim, "m1");
    ok(&sim, "m1", "/usr/sbin/lvm pvcreate -qq /dev/sdb");
    ok(&sim, "m1", "/usr/sbin/lvm vgcreate -qq vg_second /dev/sdb");
    for vg in [VG, "vg_second"] {
        let line = ok(&sim, "m1", &format!("/usr/sbin/lvm vgdisplay -c {vg}"));
        assert!(line.contains(":10485760:4096:2560:0:2560:"), "{line}");
    }
    make(&sim, "m1", "a");
    unmake(&sim, "m1", "a");
    for vg in [VG, "vg_second"] {
        ok(&sim, "m1", &format!("/usr/sbin/lvm vgremove -qq {vg}"));
        ok(&sim, "m1", "/usr/sbin/lvm pvremove -qq /dev/sdb");
        refused(&sim, "m1", &format!("/usr/sbin/lvm vgdisplay -c {vg}"), 5, "not found");
    }
    refused(&sim, "m1", "/usr/sbin/lvm pvremove -qq /dev/sdb", 5, "No PV found");
}

#[test]
fn tolerant_nodes_take_any_name_and_option_for_a_volume() {
    for (sim, tolerant) in [(Sim::new(Gib(500)), false), (Sim::tolerant(Gib(500)), true)] {
        sim.introduce("m1", "s1");
        device(&sim, "m1");
        make(&sim, "m1", "a");
        let brick = path("m1", "a");
        let strange =
            [format!("volume create - {brick}"), "volume set - a".to_owned(), "volume set - a b group c".to_owned()];
        for command in strange.map(|words| g(&words)) {
            if tolerant {
                ok(&sim, "m1", &command);
            } else {
                refused(&sim, "m1", &command, 1, "");
            }
        }
    }
}

#[test]
fn a_disk_can_be_filled_to_the_last_extent() {
    let sim = Sim::new(Gib(10));
    device(&sim, "m1");
    let create = |name: &str, size: u64| {
        format!(
            "/usr/sbin/lvm lvcreate -qq --autobackup=n --poolmetadatasize 8192K --chunksize 256K --size {size}K \
             --thin {VG}/tp_{name} --virtualsize {size}K --name {name}"
        )
    };
    ok(&sim, "m1", &create("a", 10 * GIB - 8192));
    refused(&sim, "m1", &create("b", 4096), 5, "(0 extents): 3 required");
}

#[test]
fn mounts_refuse_what_they_would() {
    let sim = Sim::new(Gib(500));
    device(&sim, "m1");
    let all = steps("a");
    let mount = point("a");
    refused(&sim, "m1", &all[4], 32, "mount point does not exist");
    ok(&sim, "m1", &all[0]);
    refused(&sim, "m1", &all[4], 32, "special device /dev/mapper/vg_d-brick_a does not exist");
    refused(&sim, "m1", &all[2], 1, "No such file or directory");
    ok(&sim, "m1", &all[1]);
    refused(&sim, "m1", &all[4], 32, "wrong fs type");
    ok(&sim, "m1", &all[2]);
    refused(&sim, "m1", &all[2], 1, "existing filesystem");
    refused(&sim, "m1", &format!("umount {mount}"), 32, "not mounted");
    ok(&sim, "m1", &all[4]);
    refused(&sim, "m1", &all[4], 32, "already mounted");
    refused(&sim, "m1", &all[2], 1, "contains a mounted filesystem");
    assert!(ok(&sim, "m1", "mount").contains(&format!("/dev/mapper/vg_d-brick_a on {mount} type xfs")));
    refused(&sim, "m1", &format!("rmdir {mount}"), 1, "Device or resource busy");
    ok(&sim, "m1", &all[5]);
    refused(&sim, "m1", &all[5], 1, "File exists");
    refused(&sim, "m1", "mkdir /var/a/b", 1, "No such file or directory");
    refused(&sim, "m1", "chmod 2775 /var/a", 1, "cannot access");
    // What is below the mount is hidden without it, and comes back with it.
    ok(&sim, "m1", &format!("umount {mount}"));
    refused(&sim, "m1", &format!("chown :7 {mount}/brick"), 1, "cannot access");
    ok(&sim, "m1", &all[4]);
    ok(&sim, "m1", &format!("chown :7 {mount}/brick"));
    refused(&sim, "m1", "umount /nowhere", 32, "no mount point specified");
    refused(&sim, "m1", "sed -i.save /x/d /etc/nothing", 2, "can't read");
    refused(&sim, "m1", "sed -i.save /x.*/d /etc/fstab", 1, "unknown command");
    refused(&sim, "m1", "rmdir /var", 1, "Directory not empty");
}

#[test]
fn a_filesystem_below_300_mib_is_refused() {
    let sim = Sim::new(Gib(500));
    device(&sim, "m1");
    let lvcreate = steps("a")[1].replace("1048576K", "303104K");
    ok(&sim, "m1", &lvcreate);
    refused(&sim, "m1", &steps("a")[2], 1, "Filesystem must be larger than 300MB");
    ok(&sim, "m1", &steps("a")[2].replace("size=512", "maxpct=100").replace("mkfs.xfs", "mkfs.xfs --unsupported"));
}

#[test]
fn a_volume_lives_and_leaves_nothing() {
    let sim = pool();
    let empty = sim.dump();
    let bricks = three(&sim, "a");
    ok(&sim, "m1", &g(&format!("volume create v replica 3 {bricks}")));
    ok(&sim, "m1", &g("volume set v user.heketi.id 17"));
    ok(&sim, "m1", &g("volume start v"));
    let bricks = three(&sim, "b");
    ok(&sim, "m2", &g(&format!("volume add-brick v {bricks}")));
    ok(&sim, "m3", &g("volume rebalance v start"));

    let info = ok(&sim, "m1", &g("volume info v --xml"));
    for part in [
        "<opRet>0</opRet>",
        "<opErrstr/>",
        "<name>v</name>",
        "<statusStr>Started</statusStr>",
        "<brickCount>6</brickCount>",
        "<replicaCount>3</replicaCount>",
        "<type>7</type>",
        "<typeStr>Distributed-Replicate</typeStr>",
        "<name>user.heketi.id</name>\n<value>17</value>",
        "<count>1</count>",
    ] {
        assert!(info.contains(part), "{part} in {info}");
    }
    assert!(info.contains(&format!("<name>{}</name>", path("m2", "b"))));
    assert_eq!(ok(&sim, "m1", &g("volume list")), "v\n");
    assert!(ok(&sim, "m1", &g("--xml snapshot list v")).contains("<count>0</count>"));
    let heal = ok(&sim, "m1", &g("volume heal v info --xml"));
    assert_eq!(heal.matches("<numberOfEntries>0</numberOfEntries>").count(), 6);

    // A brick that runs keeps its mount.
    refused(&sim, "m1", &format!("umount {}", point("a")), 32, "target is busy");
    assert!(ok(&sim, "m1", &format!("lsof {}", point("a"))).contains("glusterfsd"));
    refused(&sim, "m1", &g("volume delete v"), 1, "has been started");
    ok(&sim, "m1", &g("volume stop v force"));
    ok(&sim, "m1", &g("volume delete v"));
    assert!(!sim.is_clean());
    for host in HOSTS {
        unmake(&sim, host, "a");
        unmake(&sim, host, "b");
    }
    assert_eq!(sim.leftovers(), Vec::<String>::new());
    assert_eq!(sim.dump(), empty);
}

#[test]
fn glusterd_refuses_what_it_would() {
    let sim = pool();
    let bricks = three(&sim, "a");
    let create = g(&format!("volume create v replica 3 {bricks}"));
    refused(&sim, "m1", &create.replace("s3:", "s9:"), 1, "Host s9 is not in 'Peer in Cluster' state");
    refused(&sim, "m1", &create.replace("replica 3", "replica 2"), 1, "not a multiple of replica count");
    refused(&sim, "m1", &create.replace(" v ", " v/w "), 1, "Usage");
    refused(&sim, "m1", &create.replace("brick_a/brick", "brick_x/brick"), 1, "Failed to create brick directory");
    refused(&sim, "m1", &create.replace("brick_a/brick", "brick_a"), 1, "is a mount point");
    ok(&sim, "m2", "mkdir -p /data");
    refused(
        &sim,
        "m1",
        &g("volume create w s2:/data/b"),
        1,
        "Staging failed on s2. Error: The brick s2:/data/b is being created in the root partition",
    );
    refused(&sim, "m1", &create.replace("s2:", "s1:").replace("brick_a/brick", "brick_a/b2"), 1, "duplicate exports");
    let same_node = format!("replica 2 s1:{0}/b1 s1:{0}/b2", point("a"));
    refused(&sim, "m1", &g(&format!("volume create w {same_node}")), 1, "on the same server");

    ok(&sim, "m1", &create);
    refused(&sim, "m1", &create, 1, "volume create: v: failed: Volume v already exists");
    refused(&sim, "m1", &create.replace(" v ", " w "), 1, "not available");
    refused(&sim, "m1", &g("volume start w"), 1, "volume start: w: failed: Volume w does not exist");
    refused(&sim, "m1", &g("volume stop w"), 1, "Volume w does not exist");
    refused(&sim, "m1", &g("volume stop v"), 1, "is not in the started state");
    refused(&sim, "m1", &g("volume heal v info"), 1, "is not started");
    refused(&sim, "m1", &g("volume rebalance v start"), 1, "needs to be started");
    refused(&sim, "m1", &g("volume delete w"), 1, "does not exist");
    refused(&sim, "m1", &g("volume info w"), 1, "Volume w does not exist");
    let info = ok(&sim, "m1", &g("volume info w --xml"));
    assert!(info.contains("<opRet>-1</opRet>") && info.contains("<opErrstr>Volume w does not exist</opErrstr>"));
    refused(&sim, "m1", &g("volume set v frob on"), 1, "option : frob does not exist");
    refused(&sim, "m1", &g("volume set v performance.io-cache"), 1, "Usage");
    ok(&sim, "m1", &g("volume start v"));
    refused(&sim, "m1", &g("volume start v"), 1, "already started");
    refused(&sim, "m1", &g("volume rebalance v start"), 1, "is not a distribute volume");
    refused(&sim, "m1", &g(&format!("volume add-brick v {}", path("m1", "z"))), 1, "Incorrect number of bricks");
    refused(&sim, "m1", &g("peer detach s2"), 1, "hosts one or more bricks");
    refused(&sim, "m1", &g("volume frob"), 1, "unrecognized word: frob");
    refused(&sim, "m1", "gluster volume stop v", 1, "");

    // The mark outlives the volume, as real bricks know to their owner's cost.
    ok(&sim, "m1", &g("volume stop v"));
    ok(&sim, "m1", &g("volume delete v"));
    refused(&sim, "m1", &create, 1, "is already part of a volume");
}

#[test]
fn arbiter_and_dispersed_volumes_have_their_shape() {
    let sim = pool();
    let bricks = three(&sim, "a");
    ok(&sim, "m1", &g(&format!("volume create v replica 3 arbiter 1 {bricks}")));
    let info = ok(&sim, "m1", &g("volume info v --xml"));
    assert!(info.contains("<arbiterCount>1</arbiterCount>"));
    assert_eq!(info.matches("<isArbiter>1</isArbiter>").count(), 1);
    let bricks = three(&sim, "b");
    ok(&sim, "m1", &g(&format!("volume create w disperse-data 2 redundancy 1 {bricks}")));
    let info = ok(&sim, "m1", &g("volume info w --xml"));
    assert!(info.contains("<disperseCount>3</disperseCount>") && info.contains("<typeStr>Disperse</typeStr>"));
    refused(&sim, "m1", &g("volume create x disperse-data 1 redundancy 1 s1:/a s2:/a"), 1, "redundancy must be less");
}

#[test]
fn a_brick_is_replaced_and_removed() {
    let sim = pool();
    let bricks = three(&sim, "a");
    ok(&sim, "m1", &g(&format!("volume create v replica 3 {bricks}")));
    ok(&sim, "m1", &g("volume start v"));
    make(&sim, "m1", "n");
    let (old, new) = (path("m1", "a"), path("m1", "n"));
    refused(&sim, "m1", &g(&format!("volume replace-brick v {new} {new} commit force")), 1, "does not exist in volume");
    ok(&sim, "m1", &g(&format!("volume replace-brick v {old} {new} commit force")));
    unmake(&sim, "m1", "a");
    let info = ok(&sim, "m1", &g("volume info v"));
    assert!(info.contains(&format!("Brick1: {new}")) && !info.contains(&old));

    sim.set_heal_entries("v", &new, 4);
    assert!(ok(&sim, "m1", &g("volume heal v info --xml")).contains("<numberOfEntries>4</numberOfEntries>"));

    let more = three(&sim, "b");
    ok(&sim, "m1", &g(&format!("volume add-brick v {more}")));
    refused(&sim, "m1", &g(&format!("volume remove-brick v {} force", path("m1", "b"))), 1, "incorrect brick count");
    ok(&sim, "m1", &g(&format!("volume remove-brick v {more} force")));
    unmake(&sim, "m1", "b");
    assert!(ok(&sim, "m1", &g("volume info v")).contains("Number of Bricks: 3"));
}

#[test]
fn peers_come_and_go() {
    let sim = pool();
    sim.introduce("m4", "s4");
    assert!(ok(&sim, "m1", &g("peer probe s2")).contains("already in peer list"));
    assert!(ok(&sim, "m1", &g("peer probe s1")).contains("not needed"));
    sim.set_glusterd("m4", false);
    refused(&sim, "m1", &g("peer probe s4"), 1, "Transport endpoint is not connected");
    refused(&sim, "m4", "systemctl status glusterd", 3, "");
    refused(&sim, "m4", &g("peer status"), 1, "Connection failed");
    sim.set_glusterd("m4", true);
    ok(&sim, "m4", "systemctl status glusterd");
    refused(&sim, "m4", &g("peer probe s1"), 1, "already part of another cluster");
    ok(&sim, "m1", &g("peer probe s4"));
    assert!(ok(&sim, "m2", &g("peer status")).contains("Number of Peers: 3"));
    ok(&sim, "m1", &g("peer detach s4"));
    refused(&sim, "m1", &g("peer detach s4"), 1, "is not part of cluster");
    assert!(ok(&sim, "m2", &g("peer status")).contains("Number of Peers: 2"));
    assert!(ok(&sim, "m4", &g("peer status")).contains("Number of Peers: 0"));
    ok(&sim, "m1", &g("peer probe s4"));
    sim.power_off("m4");
    refused(&sim, "m1", &g("peer detach s4"), 1, "probably down");
    ok(&sim, "m1", &g("peer detach s4 force"));
    ok(&sim, "m1", &g("snapshot config snap-max-hard-limit 14"));
}

#[tokio::test]
async fn a_node_without_power_is_not_reached_and_comes_back_with_its_mounts() {
    let sim = pool();
    let bricks = three(&sim, "a");
    ok(&sim, "m1", &g(&format!("volume create v replica 3 {bricks}")));
    ok(&sim, "m1", &g("volume start v"));
    let before = sim.dump();
    sim.power_off("m3");
    let err = sim.run("m3", &[Cmd::new("mount")]).await.unwrap_err();
    assert_eq!(err.kind, TransportErrorKind::Connect);
    assert!(ok(&sim, "m1", &g("volume heal v info")).contains("Number of entries: -"));
    ok(&sim, "m1", &g("volume stop v"));
    refused(&sim, "m1", &g("volume delete v"), 1, "Some of the peers are down");
    ok(&sim, "m1", &g("volume start v"));
    sim.power_on("m3");
    assert_eq!(sim.dump(), before);
    refused(&sim, "m3", &format!("umount {}", point("a")), 32, "target is busy");
}

#[tokio::test]
async fn a_batch_stops_after_the_first_failure() {
    let sim = Sim::new(Gib(1));
    let batch = [Cmd::new("true"), Cmd::new("rmdir").arg("/x"), Cmd::new("mkdir").arg("/y")];
    let outputs = sim.run("m1", &batch).await.unwrap();
    assert_eq!(outputs.iter().map(|output| output.status).collect::<Vec<_>>(), [0, 1]);
    refused(&sim, "m1", "rmdir /y", 1, "No such file");
}

#[test]
fn what_was_there_before_can_be_adopted() {
    let sim = Sim::new(Gib(500));
    let mut bricks = Vec::new();
    for host in HOSTS {
        sim.introduce(host, &host.replace('m', "s"));
        sim.adopt_device(host, "/dev/sdb", VG, "", 500 * GIB, 4096);
        sim.adopt_peer("m1", host);
        let (pool, lv, mount) = ("tp_a", "brick_a", point("a"));
        let brick = AdoptedBrick { vg: VG, pool, pool_kib: GIB, meta_kib: 8192, lv, size_kib: GIB, mount: &mount };
        sim.adopt_brick(host, &brick);
        bricks.push(path(host, "a"));
    }
    let options = [("user.heketi.id".to_owned(), "x".to_owned())];
    sim.adopt_volume(&AdoptedVolume {
        name: "v",
        replica: 3,
        arbiter: 0,
        disperse: None,
        bricks: &bricks,
        options: &options,
    });
    assert!(ok(&sim, "m2", &g("volume info v --xml")).contains("<statusStr>Started</statusStr>"));
    ok(&sim, "m1", &g("volume stop v"));
    ok(&sim, "m1", &g("volume delete v"));
    for host in HOSTS {
        unmake(&sim, host, "a");
    }
    assert!(sim.is_clean());
}

#[test]
fn a_volume_is_cloned_by_way_of_a_snapshot() {
    let sim = pool();
    let bricks = three(&sim, "a");
    ok(&sim, "m1", &g(&format!("volume create v replica 3 {bricks}")));
    ok(&sim, "m1", &g("volume start v"));
    assert!(ok(&sim, "m1", &g("--xml snapshot create t v no-timestamp")).contains("<snapCreate>"));
    assert!(ok(&sim, "m1", &g("--xml snapshot list v")).contains("<count>1</count>"));
    ok(&sim, "m1", &g("--xml snapshot activate t"));
    assert!(ok(&sim, "m1", &g("--xml snapshot clone c t")).contains("<CloneCreate>"));
    ok(&sim, "m1", &g("--xml volume start c"));
    ok(&sim, "m1", &g("--xml snapshot deactivate t"));
    ok(&sim, "m1", &g("--xml snapshot delete t"));
    let info = ok(&sim, "m1", &g("volume info c --xml"));
    let id = info.split("<id>").nth(1).unwrap().split('<').next().unwrap().replace('-', "");
    assert!(info.contains(&format!("s1:/run/gluster/snaps/{id}/brick1/brick")));
    let count = ok(&sim, "m1", &format!("/usr/sbin/lvm lvs --noheadings --options=thin_count {VG}/tp_a"));
    assert_eq!(count.trim(), "2");
    ok(&sim, "m1", &g("volume stop c force"));
    ok(&sim, "m1", &g("volume delete c"));
    for (i, host) in HOSTS.iter().enumerate() {
        ok(&sim, host, &format!("umount /run/gluster/snaps/{id}/brick{}", i + 1));
        ok(&sim, host, &format!("/usr/sbin/lvm lvremove --autobackup=n -f {VG}/{id}_0"));
    }
    ok(&sim, "m1", &g("volume stop v"));
    ok(&sim, "m1", &g("volume delete v"));
    for host in HOSTS {
        unmake(&sim, host, "a");
    }
    assert!(sim.is_clean());
}

#[test]
fn lists_for_the_examiner_are_json() {
    let sim = pool();
    make(&sim, "m1", "a");
    for (verb, kind) in [("pvs", "pv"), ("vgs", "vg"), ("lvs", "lv")] {
        let text = ok(&sim, "m1", &format!("/usr/sbin/lvm {verb} --reportformat json --units k"));
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert!(!json["report"][0][kind].as_array().unwrap().is_empty(), "{text}");
    }
    let names = ok(&sim, "m1", &format!("/usr/sbin/lvm lvs --noheadings --all --options=lv_name {VG}"));
    assert_eq!(names, "  [tp_a_tdata]\n  [tp_a_tmeta]\n  brick_a\n  tp_a\n");
    assert_eq!(ok(&sim, "m1", "/usr/sbin/lvm vgs --noheadings --options=vg_name vg_d"), "  vg_d\n");
    refused(&sim, "m1", "/usr/sbin/lvm vgs --noheadings --options=vg_name vg_x", 5, "not found");
    assert!(ok(&sim, "m1", "cat /etc/fstab").starts_with("/dev/mapper/vg_d-brick_a "));
}

#[test]
fn thousands_of_bricks_stay_cheap() {
    let sim = pool();
    let start = std::time::Instant::now();
    for n in 0..400 {
        let brick = hex_brick(n);
        let bricks = three(&sim, &brick);
        ok(&sim, "m1", &g(&format!("volume create v{n} replica 3 {bricks}")));
        ok(&sim, "m1", &g(&format!("volume start v{n}")));
    }
    for n in 0..400 {
        ok(&sim, "m1", &g(&format!("volume stop v{n}")));
        ok(&sim, "m1", &g(&format!("volume delete v{n}")));
        for host in HOSTS {
            unmake(&sim, host, &hex_brick(n));
        }
    }
    assert!(sim.is_clean());
    // Far above what it takes, for the slowest of machines.
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
}

fn brick_batch(brick: &str) -> Vec<Cmd> {
    steps(brick)
        .iter()
        .map(|line| {
            let mut words = line.split_whitespace().map(|word| word.replace('~', " "));
            words.by_ref().next().map(Cmd::new).unwrap().args(words)
        })
        .collect()
}

#[tokio::test]
async fn every_nth_command_can_be_made_to_fail() {
    let mut n = 0;
    loop {
        n += 1;
        let sim = pool();
        let inject = Inject::new(sim);
        inject.fail_nth(n);
        let outputs = inject.run("m1", &brick_batch("a")).await.unwrap();
        assert_eq!(inject.lines().len(), outputs.len());
        if inject.fired() == 0 {
            assert!(outputs.iter().all(|output| output.status == 0));
            break;
        }
        assert_eq!(outputs.len() as u64, n);
        assert_eq!(outputs.last().unwrap().stderr, "injected failure\n");
    }
    assert_eq!(n, 9);
}

#[tokio::test]
async fn replies_are_lost_and_commands_hang_without_waiting() {
    let inject = Inject::new(pool());
    inject.add(Rule::line("lvcreate", Action::LoseReply).on_host("m1"));
    let err = inject.run("m1", &brick_batch("a")).await.unwrap_err();
    assert_eq!(err.kind, TransportErrorKind::Dropped);
    assert!(err.command.unwrap().contains("lvcreate"));
    assert!(inject.inner().leftovers().contains(&"m1: volume vg_d/brick_a".to_owned()));
    assert!(inject.run("m2", &brick_batch("a")).await.is_ok());

    inject.clear();
    inject.add(Rule::line("mkdir -p", Action::Hang { ran: false }).nth(2));
    assert!(inject.run("m3", &brick_batch("b")[..1]).await.is_ok());
    let err = inject.run("m3", &brick_batch("c")).await.unwrap_err();
    assert_eq!(err.kind, TransportErrorKind::Timeout);

    inject.clear();
    inject.take_lines();
    inject.add(Rule::line("mkfs", Action::Refuse));
    let err = inject.run("m3", &brick_batch("c")).await.unwrap_err();
    assert!(err.nothing_ran() && inject.lines().is_empty());
}

#[tokio::test]
async fn a_frozen_command_waits_for_its_release() {
    let inject = Inject::new(pool());
    let gate = Gate::new();
    inject.add(Rule::line("lvcreate", Action::Freeze(Arc::clone(&gate))));
    let task = tokio::spawn({
        let inject = inject.clone();
        async move { inject.run("m1", &brick_batch("a")).await }
    });
    gate.frozen().await;
    assert!(!task.is_finished());
    assert!(!inject.inner().dump().contains("brick_a in"));
    gate.release();
    assert!(task.await.unwrap().unwrap().iter().all(|output| output.status == 0));
    gate.open();
    assert!(inject.run("m2", &brick_batch("a")).await.is_ok());
}
