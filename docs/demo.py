"""The demonstration's story; `docs/demo` builds what it needs and runs it. Python 3.11, standard library only."""
import json
import os
import sys
import tempfile

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "tests", "real"))
import bench  # noqa: E402


def say(text):
    print(f"\n== {text}", flush=True)


def simulated_topology():
    return {"nodes": [{"node": {"zone": zone, "hostnames": {"manage": [f"node{zone}"], "storage": [f"192.0.2.{zone}"]}},
                       "devices": [{"name": "/dev/sdb"}, {"name": "/dev/sdc"}]} for zone in (1, 2, 3)]}


def file_by_fuse(nodes, volume):
    """Writes a file through one node's mount and reads it through another's."""
    for node in nodes[:2]:
        node.run(f"mkdir -p /mnt/demo && mount -t glusterfs {node.address}:/{volume} /mnt/demo")
    nodes[0].run("for i in $(seq 1000); do echo \"line $i of the demonstration\"; done > /mnt/demo/file; sync")
    print(nodes[0].run("df -h /mnt/demo | tail -1; ls -l /mnt/demo/file").strip())
    wrote, read = (node.run("sha256sum /mnt/demo/file").split()[0] for node in nodes[:2])
    print(f"written by {nodes[0].name}: sha256 {wrote}\nread by {nodes[1].name}:    sha256 {read}")
    bench.check(wrote == read, "the file differs")
    for node in nodes[:2]:
        node.run("umount /mnt/demo && rmdir /mnt/demo")


def main():
    binary, real = sys.argv[1], "--real" in sys.argv
    with tempfile.TemporaryDirectory(prefix="heketi-demo-") as folder:
        nodes, topology = bench.all_nodes(folder) if real else ([], simulated_topology())
        server = bench.Server(binary, folder)
        if not real:
            server.config["glusterfs"]["executor"] = "mock"
        say(f"Starting {os.path.basename(binary)} on {'real' if real else 'simulated'} nodes")
        server.start()
        print(f"It says hello on port {server.port}; database and log are in {folder}")
        try:
            say("Loading the topology: one cluster, three nodes, six devices")
            cluster = server.load(topology)
            for node in server.get(f"/clusters/{cluster}")["nodes"]:
                info = server.get(f"/nodes/{node}")
                devices = ", ".join(f"{d['name']} {d['storage']['free'] >> 20} GiB" for d in info["devices"])
                print(f"node {node} {info['hostnames']['storage'][0]} zone {info['zone']}: {devices}")

            say("Creating a volume of 10 GiB with three copies")
            volume = server.call("POST", "/volumes", {
                "size": 10, "name": "demo", "clusters": [cluster],
                "durability": {"type": "replicate", "replicate": {"replica": 3}}})
            print(json.dumps(volume, indent=2))

            say("Listing volumes")
            print(json.dumps(server.get("/volumes")))

            if real:
                say("Mounting it by FUSE on two nodes")
                file_by_fuse(nodes, volume["name"])

            say("Deleting it")
            server.call("DELETE", f"/volumes/{volume['id']}")
            print(json.dumps(server.get("/volumes")))
            used = sum(server.space(cluster).values())
            bench.check(used == 0, f"{used} KiB are still in use")
            print("All space is free again.")
            server.unload(cluster)
        except Exception:
            with open(server.log, encoding="utf-8") as log:
                sys.stderr.write("".join(log.readlines()[-20:]))
            raise
        finally:
            server.stop()
            for node in nodes:
                node.close()
        say("Done")


main()
