"""Starts a server in the nodes' network and lets the walk-through loose on it. Python 3.11, standard library only."""
import json
import os
import subprocess
import sys
import tempfile

import bench


def main():
    with tempfile.TemporaryDirectory(prefix="heketi-walk-") as folder:
        nodes, topology = bench.all_nodes(folder)
        file = os.path.join(folder, "topology.json")
        with open(file, "w", encoding="utf-8") as out:
            json.dump({"clusters": [topology]}, out)
        server = bench.Server(sys.argv[1], folder)
        server.start()
        try:
            walk = os.path.join(bench.HERE, "..", "walkthrough", "run")
            done = subprocess.run([walk, "--url", f"http://127.0.0.1:{server.port}", "--admin-key", bench.ADMIN_KEY,
                                   "--user-key", bench.USER_KEY, "--topology", file], check=False)
            for node in nodes:
                left = node.holds()
                bench.check(not left, f"{node.name} still has {sorted(left)}")
        finally:
            server.stop()
            for node in nodes:
                node.close()
    sys.exit(done.returncode)


main()
