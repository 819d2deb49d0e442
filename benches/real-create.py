"""Started by real-create, inside the nodes' network. Arguments: the heketi binary, how many rounds."""
import concurrent.futures
import os
import statistics
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "tests", "real"))
from bench import Server, all_nodes  # noqa: E402

SIZE, POOL, META = 10, "10485760K", "53248K"
GLUSTER = "gluster --mode=script --timeout=600"
MOUNT_OPTIONS = "rw,inode64,noatime,nouuid"


def brick(vg, name):
    device, mount = f"/dev/mapper/{vg}-brick_{name}", f"/var/lib/heketi/mounts/{vg}/brick_{name}"
    make = [
        f"mkdir -p {mount}",
        f"/usr/sbin/lvm lvcreate -qq --autobackup=n --poolmetadatasize {META} --chunksize 256K --size {POOL}"
        f" --thin {vg}/tp_{name} --virtualsize {POOL} --name brick_{name}",
        f"mkfs.xfs -i size=512 -n size=8192 {device}",
        f"awk \"BEGIN {{print \\\"{device} {mount} xfs {MOUNT_OPTIONS} 1 2\\\" >> \\\"/etc/fstab\\\"}}\"",
        f"mount -o {MOUNT_OPTIONS} {device} {mount}",
        f"mkdir {mount}/brick",
    ]
    remove = [
        f"umount {mount}", f"sed -i.save /brick_{name}/d /etc/fstab", f"lvremove -qq --autobackup=n -f {vg}/brick_{name}",
        f"lvremove -qq --autobackup=n -f {vg}/tp_{name}", f"rmdir {mount}",
    ]
    return make, remove, f"{mount}/brick"


class Floor:
    """The commands of the server, by hand: one a session, bricks in parallel, then gluster on one node."""

    def __init__(self, nodes, groups):
        self.nodes, self.groups = nodes, groups

    def on_all(self, lists):
        def run(node, commands):
            for command in commands:
                node.run(command)
        with concurrent.futures.ThreadPoolExecutor() as pool:
            list(pool.map(run, self.nodes, lists))

    def round(self, i):
        name = f"{i:032x}"
        made, removed, paths = zip(*(brick(group, name) for group in self.groups))
        addresses = " ".join(f"{node.address}:{path}" for node, path in zip(self.nodes, paths))
        start = time.monotonic()
        self.on_all(made)
        bricks = time.monotonic() - start
        for command in (f"volume create vol_{name} replica 3 {addresses}", f"volume set vol_{name} user.heketi.id {name}",
                        f"volume start vol_{name}"):
            self.nodes[0].run(f"{GLUSTER} {command}")
        took = time.monotonic() - start
        for command in (f"volume stop vol_{name} force", f"volume delete vol_{name}"):
            self.nodes[0].run(f"{GLUSTER} {command}")
        self.on_all(removed)
        return took, bricks


def main():
    binary, rounds = sys.argv[1], int(sys.argv[2])
    with tempfile.TemporaryDirectory(prefix="heketi-real-") as folder:
        nodes, topology = all_nodes(folder)
        server = Server(binary, folder)
        # As a user runs it, without debug lines; and no timers beside what is measured.
        server.config["glusterfs"].update(loglevel="info", disable_background_cleaner=True,
                                          disable_monitor_gluster_nodes=True)
        server.start()
        cluster = server.load(topology)
        info = [server.get(f"/nodes/{id}") for id in server.get(f"/clusters/{cluster}")["nodes"]]
        groups = [next(f"vg_{entry['devices'][0]['id']}" for entry in info
                       if entry["hostnames"]["manage"] == [node.address]) for node in nodes]
        floor = Floor(nodes, groups)
        request = {"size": SIZE, "durability": {"type": "replicate", "replicate": {"replica": 3}}}

        def by_server():
            start = time.monotonic()
            volume = server.call("POST", "/volumes", request)
            took = time.monotonic() - start
            server.call("DELETE", f"/volumes/{volume['id']}")
            return took

        by_server(), floor.round(0)  # connections open, caches warm
        ours, by_hand, bricks = [], [], []
        for i in range(1, rounds + 1):
            # Who goes first alternates too.
            if i % 2:
                ours.append(by_server())
            took, brick_time = floor.round(i)
            by_hand.append(took)
            bricks.append(brick_time)
            if not i % 2:
                ours.append(by_server())
            print(f"round {i}: heketi {ours[-1]:.2f} s, floor {took:.2f} s (bricks {brick_time:.2f} s)", flush=True)
        server.unload(cluster)
        server.stop()
        for node in nodes:
            node.close()
        median = statistics.median
        print(f"median of {rounds}: heketi {median(ours):.2f} s, floor {median(by_hand):.2f} s "
              f"(bricks {median(bricks):.2f} s), ratio {median(ours) / median(by_hand):.2f} (to reach: 1.25)")


main()
