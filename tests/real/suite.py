"""The real suite: a heketi server and three real nodes, from an empty cluster to an empty cluster.

Started by `run`, inside the nodes' network. Arguments: the heketi binary, and the steps to walk if not all. A step that
fails ends the walk, since the next ones stand on it.
"""
import concurrent.futures
import os
import shutil
import signal
import sys
import tempfile
import time

from bench import Failed, Refused, Server, all_nodes, check, nodes_command, wait_for

MOUNT = "/mnt/suite"
DATA = f"{MOUNT}/data"


class Walk:
    def __init__(self, binary, folder):
        self.binary, self.folder = binary, folder
        self.nodes, self.topology = all_nodes(folder)
        self.server = Server(binary, f"{folder}/main")
        self.cluster = None
        self.volumes = {}
        self.after_set_up = []

    # --- what steps have in common

    def refused(self, what, *call):
        try:
            self.server.call(*call)
        except Refused as error:
            return error
        raise Failed(f"{what} succeeded")

    def held(self):
        with concurrent.futures.ThreadPoolExecutor() as pool:
            return list(pool.map(lambda node: node.holds(), self.nodes))

    def expect_held(self, expected, nodes=None):
        for node, held, wanted in zip(self.nodes, self.held() if nodes is None else nodes, expected):
            check(held == wanted, f"{node.name} holds what it should not: {sorted(held - wanted)}; "
                                  f"lacks: {sorted(wanted - held)}")

    def gluster_info(self, volume):
        info = self.nodes[0].gluster(f"volume info {volume['name']}")
        return dict(line.split(": ", 1) for line in info.splitlines() if ": " in line)

    def check_bricks(self, volume):
        """Each brick is a thin volume that is mounted, entered in fstab and given to gluster."""
        info = self.gluster_info(volume)
        named = [brick.split(" ")[0] for name, brick in info.items()
                 if name.startswith("Brick") and name[5:].isdigit()]
        hosts = {node.address: node for node in self.nodes}
        by_id = {self.server.get(f"/nodes/{id}")["hostnames"]["storage"][0]: id
                 for id in self.server.get(f"/clusters/{self.cluster}")["nodes"]}
        recorded = {(brick["node"], brick["path"]) for brick in volume["bricks"]}
        check({(by_id[brick.split(":")[0]], brick.split(":")[1]) for brick in named} == recorded,
              f"gluster has bricks {named}, the server {recorded}")
        for brick in named:
            address, path = brick.split(":")
            mount = path.removesuffix("/brick")
            vg, lv = mount.split("/")[-2:]
            node = hosts[address]
            node.run(f"lvs {vg}/{lv} && grep -q ' {mount} xfs ' /proc/mounts && grep -q ' {mount} xfs ' /etc/fstab && "
                     f"test -d {path}")
            if volume.get("gid"):
                check(node.run(f"stat -c '%g %a' {path}").split() == [str(volume["gid"]), "2775"],
                      f"{brick} does not belong to group {volume['gid']}")
        return info

    def peers_connected(self):
        return all(node.gluster("pool list").count("Connected") == len(self.nodes) for node in self.nodes)

    # --- the steps, in order

    def start(self):
        """start the server; without a token it answers 401"""
        self.server.start()
        check(self.server.send("GET", "/clusters", key="another key")[0] == 401, "a wrong key is let in")
        self.expect_held([set()] * 3)

    def set_up(self):
        """load the topology: 3 nodes, 6 devices"""
        self.cluster = self.server.load(self.topology)
        wait_for("all peers are connected", 30, self.peers_connected)
        for id in self.server.get(f"/clusters/{self.cluster}")["nodes"]:
            info = self.server.get(f"/nodes/{id}")
            node = next(n for n in self.nodes if n.address == info["hostnames"]["manage"][0])
            for device in info["devices"]:
                size = node.run(f"vgs --noheadings --nosuffix --units k -o vg_size vg_{device['id']}")
                check(float(size) == device["storage"]["total"] > 99 << 20, f"vgs says {size}, the server {device}")
        self.after_set_up = self.held()

    def add_twice(self):
        """a device that is in use already is refused, and stays as it is"""
        node = self.server.get(f"/clusters/{self.cluster}")["nodes"][0]
        for destroy in (False, True):
            error = self.refused("adding a device twice", "POST", "/devices",
                                 {"node": node, "name": self.nodes[0].devices[0], "destroydata": destroy})
            check("aleady contains Physical Volume" in error.text or "already in use" in error.text.lower(), error.text)
        self.expect_held(self.after_set_up)

    def create_replica_3(self):
        """create a replica-3 volume of 10 GiB with a gid and gluster options"""
        self.volumes["replica 3"] = volume = self.server.call("POST", "/volumes", {
            "size": 10, "name": "three", "gid": 2001, "durability": {"type": "replicate", "replicate": {"replica": 3}},
            "glustervolumeoptions": ["network.ping-timeout 5", "performance.io-cache off", "cluster.self-heal-daemon on"]})
        info = self.check_bricks(volume)
        check(info["Type"] == "Replicate" and info["Status"] == "Started" and info["Number of Bricks"] == "1 x 3 = 3",
              str(info))
        check(info["network.ping-timeout"] == "5" and info["performance.io-cache"] == "off" and
              info["user.heketi.id"] == volume["id"], str(info))

    def create_others(self):
        """create four more at once: none, replica 2, arbiter of 2 GiB, disperse 2+1"""
        wanted = {
            "none": ({"size": 3}, "Distribute", "1"),
            "replica 2": ({"size": 2, "durability": {"type": "replicate", "replicate": {"replica": 2}}},
                          "Replicate", "1 x 2 = 2"),
            "arbiter": ({"size": 2, "durability": {"type": "replicate", "replicate": {"replica": 3}},
                         "glustervolumeoptions": ["user.heketi.arbiter true"]}, "Replicate", "1 x (2 + 1) = 3"),
            "disperse": ({"size": 4, "gid": 3000, "durability": {"type": "disperse",
                                                                 "disperse": {"data": 2, "redundancy": 1}}},
                         "Disperse", "1 x (2 + 1) = 3"),
        }
        with concurrent.futures.ThreadPoolExecutor() as pool:
            made = {kind: pool.submit(self.server.call, "POST", "/volumes", body)
                    for kind, (body, *_) in wanted.items()}
        for kind, (_, type_, bricks) in wanted.items():
            self.volumes[kind] = volume = made[kind].result()
            info = self.check_bricks(volume)
            check((info["Type"], info["Number of Bricks"], info["Status"]) == (type_, bricks, "Started"),
                  f"{kind}: {info}")

    def info(self):
        """list and info agree with gluster"""
        check(self.server.get("/volumes")["volumes"] == sorted(v["id"] for v in self.volumes.values()), "the list")
        check(set(self.nodes[1].gluster("volume list").split()) == {v["name"] for v in self.volumes.values()},
              "gluster's list")
        mount = self.server.get(f"/volumes/{self.volumes['replica 3']['id']}")["mount"]["glusterfs"]
        check(sorted(mount["hosts"]) == [node.address for node in self.nodes], str(mount))

    def mount(self):
        """mount it by FUSE on node1, write 32 MiB, read it back"""
        mount = self.volumes["replica 3"]["mount"]["glusterfs"]
        # mount.glusterfs separates servers by colons; the reference's API by commas, which mount takes for the next option.
        options = ",".join(f"{name}={value.replace(',', ':')}" for name, value in mount["options"].items())
        client = self.nodes[0]
        client.run(f"mkdir -p {MOUNT} && mount -t glusterfs -o {options} {mount['device']} {MOUNT}")
        client.run(f"dd if=/dev/urandom of={DATA} bs=1M count=32 conv=fsync 2>/dev/null && "
                   f"md5sum {DATA} > /root/sum && umount {MOUNT} && "
                   f"mount -t glusterfs -o {options} {mount['device']} {MOUNT} && md5sum -c --quiet /root/sum")
        check(client.run(f"stat -c '%g %a' {MOUNT}").split() == ["2001", "2775"], "the group of the mounted volume")

    def expand(self):
        """expand replica 3 and disperse at once; the mounted volume is larger and its data is there"""
        client = self.nodes[0]
        size = f"df --output=size -BM {MOUNT} | tail -n 1 | tr -d ' M'"
        before = int(client.run(size))
        with concurrent.futures.ThreadPoolExecutor() as pool:
            grown = {kind: pool.submit(self.server.call, "POST", f"/volumes/{self.volumes[kind]['id']}/expand",
                                       {"expand_size": by}) for kind, by in (("replica 3", 5), ("disperse", 2))}
        for kind, size_, bricks in (("replica 3", 15, "2 x 3 = 6"), ("disperse", 6, "2 x (2 + 1) = 6")):
            self.volumes[kind] = volume = grown[kind].result()
            check(volume["size"] == size_, f"{kind} has size {volume['size']}")
            check(self.check_bricks(volume)["Number of Bricks"] == bricks, f"gluster's view of {kind}")
        wait_for("the mounted volume is 5 GB larger", 30, lambda: int(client.run(size)) > before + 4500)
        client.run("md5sum -c --quiet /root/sum")

    def kill_a_node(self):
        """power node3 off: the data can still be read and written"""
        self.nodes[2].run("sync")
        self.nodes[2].close()
        nodes_command("kill", "3")
        client = self.nodes[0]
        client.run("md5sum -c --quiet /root/sum", limit=60)
        client.run(f"echo written while node3 is down > {MOUNT}/later && sync {MOUNT}/later", limit=60)

    def create_without_a_node(self):
        """a create while node3 is down names the node and the cause, and leaves nothing"""
        used = self.server.space(self.cluster)
        before = [node.holds() for node in self.nodes[:2]]
        error = self.refused("a create without node3", "POST", "/volumes", {
            "size": 1, "durability": {"type": "replicate", "replicate": {"replica": 3}}})
        print(f"         the error: {error.text}")
        check(self.nodes[2].address in error.text, "the error does not name the node")
        check(any(word in error.text for word in ("no answer", "route", "refused", "unreachable")),
              "the error does not name the cause")
        self.expect_held(before, [node.holds() for node in self.nodes[:2]])
        check(self.server.space(self.cluster) == used, "space is lost")
        check(len(self.server.get("/volumes")["volumes"]) == len(self.volumes), "a volume more")

    def start_the_node(self):
        """start node3 again: it heals, and the server can use it"""
        nodes_command("start", "3")
        wait_for("all peers are connected", 60, self.peers_connected)
        # Gluster's own crawl comes every ten minutes if the first one was too early, so it is asked for.
        info = self.nodes[0].gluster("volume heal three info")
        end = time.monotonic() + 120
        while info.count("Number of entries: 0") < 6:
            check(time.monotonic() < end, f"not healed within 120 s:\n{info}")
            self.nodes[0].run("gluster volume heal three", check_status=False)
            info = self.nodes[0].gluster("volume heal three info")
        self.nodes[0].run(f"md5sum -c --quiet /root/sum && umount {MOUNT}")
        volume = self.server.call("POST", "/volumes", {
            "size": 1, "durability": {"type": "replicate", "replicate": {"replica": 3}}})
        self.server.call("DELETE", f"/volumes/{volume['id']}")

    def kill_the_server(self, what, reached):
        before, used = self.held(), self.server.space(self.cluster)
        status, _, text = self.server.send("POST", "/volumes", {
            "size": 2, "name": "cut-off", "durability": {"type": "replicate", "replicate": {"replica": 3}}})
        check(status == 202, text)
        wait_for(what, 60, reached)
        self.server.stop(signal.SIGKILL)
        check(self.held() != before, "nothing was made before the server was killed")
        self.server.start()

        def recovered():
            return self.held() == before and self.server.space(self.cluster) == used
        try:
            wait_for("recovery has removed everything", 90, recovered)
        except Failed as error:
            self.expect_held(before)
            raise Failed(f"{error}: {self.server.space(self.cluster)}, before {used}") from error

    def kill_the_server_at_bricks(self):
        """kill the server while bricks are made: the restarted one removes all of them"""
        count = "ls /dev/mapper | grep -c brick_ || true"
        before = int(self.nodes[1].run(count))
        self.kill_the_server("a brick is made", lambda: int(self.nodes[1].run(count)) > before)

    def kill_the_server_at_the_volume(self):
        """kill the server after gluster knows the volume: the restarted one removes it and its bricks"""
        self.kill_the_server("gluster knows the volume",
                             lambda: "cut-off" in self.nodes[0].run("ls /var/lib/glusterd/vols"))

    def refuse_the_key(self):
        """a node that refuses the key: the error says so"""
        authorized = "/root/.ssh/authorized_keys"
        self.server.stop()
        self.nodes[1].run(f"mv {authorized} {authorized}.away")
        try:
            self.server.start()
            error = self.refused("a create with a refused key", "POST", "/volumes", {
                "size": 1, "durability": {"type": "replicate", "replicate": {"replica": 3}}})
        finally:
            self.nodes[1].run(f"mv {authorized}.away {authorized}")
        print(f"         the error: {error.text}")
        check(self.nodes[1].address in error.text and "refused key" in error.text and "user root" in error.text,
              "the error does not name node, key and user")

    def change_the_host_key(self):
        """a node whose host key has changed: the error says so"""
        key = "/etc/ssh/ssh_host_ed25519_key"
        # Init starts it again; its pid is written once it listens.
        restart = ("old=$(cat /run/sshd.pid) && kill $old && until new=$(cat /run/sshd.pid 2>/dev/null) && "
                   "[ \"$new\" != $old ]; do sleep 0.1; done")
        self.server.stop()
        self.nodes[1].run(f"mkdir /root/key && mv {key} {key}.pub /root/key && ssh-keygen -q -t ed25519 -N '' -f {key} "
                          f"&& {restart}")
        try:
            self.server.start()
            error = self.refused("a create on a node with another host key", "POST", "/volumes", {
                "size": 1, "durability": {"type": "replicate", "replicate": {"replica": 3}}})
        finally:
            self.nodes[1].run(f"mv /root/key/* /etc/ssh/ && rmdir /root/key && {restart}")
        print(f"         the error: {error.text}")
        check(self.nodes[1].address in error.text and "host key" in error.text.lower(),
              "the error does not name node and host key")

    def delete(self):
        """delete all volumes at once: on the nodes only the devices are left"""
        with concurrent.futures.ThreadPoolExecutor() as pool:
            list(pool.map(lambda volume: self.server.call("DELETE", f"/volumes/{volume['id']}"),
                          self.volumes.values()))
        check(self.server.get("/volumes")["volumes"] == [], "the list is not empty")
        self.expect_held(self.after_set_up)
        check(set(self.server.space(self.cluster).values()) == {0}, f"space is lost: {self.server.space(self.cluster)}")

    def take_down(self):
        """delete devices, nodes and cluster: nothing is left on any node"""
        self.server.unload(self.cluster)
        check(self.server.get("/clusters")["clusters"] == [], "the cluster is still there")
        self.expect_held([set()] * 3)
        self.server.stop()

    def sudo(self):
        """from cluster to volume and back as user heketi under sudo, one disk a node"""
        self.server = Server(self.binary, f"{self.folder}/sudo", user="heketi", sudo=True)
        self.server.start()
        self.cluster = self.server.load({"nodes": [{**entry, "devices": entry["devices"][:1]}
                                                   for entry in self.topology["nodes"]]})
        volume = self.server.call("POST", "/volumes", {
            "size": 1, "gid": 2001, "durability": {"type": "replicate", "replicate": {"replica": 3}}})
        self.check_bricks(volume)
        self.server.call("DELETE", f"/volumes/{volume['id']}")
        self.server.unload(self.cluster)
        self.expect_held([set()] * 3)
        self.server.stop()

    STEPS = (start, set_up, add_twice, create_replica_3, create_others, info, mount, expand, kill_a_node,
             create_without_a_node, start_the_node, kill_the_server_at_bricks, kill_the_server_at_the_volume,
             refuse_the_key, change_the_host_key, delete, take_down, sudo)


def main():
    begin = time.monotonic()
    failed = passed = 0
    keep = os.environ.get("HEKETI_REAL_LOGS")
    with tempfile.TemporaryDirectory(prefix="heketi-real-") as folder:
        walk = Walk(sys.argv[1], folder)
        steps = [getattr(walk, name) for name in sys.argv[2:]] or [getattr(walk, step.__name__) for step in walk.STEPS]
        try:
            for step in steps:
                start = time.monotonic()
                print(f"         {step.__doc__}", flush=True)
                try:
                    step()
                except Exception as error:  # whatever it is, the rest cannot go on
                    failed = 1
                    text = str(error) if isinstance(error, (Failed, Refused)) else repr(error)
                    print(f"FAILED   {time.monotonic() - start:5.1f} s  {step.__name__}: {text}", flush=True)
                    if os.path.exists(walk.server.log):
                        with open(walk.server.log, encoding="utf-8") as log:
                            print("".join(line for line in log.readlines()[-400:] if " DEBUG " not in line and " access: " not in line))
                    break
                passed += 1
                print(f"ok       {time.monotonic() - start:5.1f} s  {step.__name__}", flush=True)
        finally:
            try:
                walk.server.stop()
            finally:
                if keep:  # all but ssh's control sockets
                    shutil.copytree(folder, keep, dirs_exist_ok=True, ignore=shutil.ignore_patterns("[0-9]*"))
    rest = len(steps) - passed - failed
    if rest:
        print(f"{rest} steps were not run")
    print(f"the walk took {time.monotonic() - begin:.0f} s")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
