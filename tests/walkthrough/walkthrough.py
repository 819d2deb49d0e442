#!/usr/bin/env python3
"""Walks through the main job as two of the reference's clients and the provisioner of Kubernetes do it, against a running
server with simulated or real nodes. Leaves the server as it was found, unless --keep. Last line: N passed, N failed."""
import argparse
import concurrent.futures
import json
import re
import sys
import time
import traceback
import warnings

import jwt
import requests

from go_client import GoClient, Refused, load_topology, qsh
from kubernetes import Provisioner
from python_client import PythonClient

# Operators choose their keys; the server takes any.
warnings.filterwarnings("ignore", category=jwt.warnings.InsecureKeyLengthWarning)

HEX = re.compile("^[0-9a-f]{32}$")


class Walk:
    def __init__(self, arguments):
        self.url = arguments.url.rstrip("/")
        self.admin_key, self.user_key = arguments.admin_key, arguments.user_key
        self.topology = json.load(open(arguments.topology))
        self.keep = arguments.keep
        self.admin = GoClient(self.url, "admin", self.admin_key)
        self.python = PythonClient(self.url, "admin", self.admin_key)
        self.passed = self.failed = 0
        self.clusters, self.nodes, self.made_clusters = [], [], []
        self.began = time.monotonic()

    def say(self, text):
        print(f"{time.monotonic() - self.began:7.1f} s  {text}", flush=True)

    def check(self, what, good, seen=None):
        if good:
            self.passed += 1
            self.say(f"ok      {what}")
        else:
            self.failed += 1
            self.say(f"FAILED  {what}" + ("" if seen is None else f": {seen!r}"))
        return good

    def equal(self, what, seen, wanted):
        return self.check(what, seen == wanted, f"{seen!r} instead of {wanted!r}")

    def refused(self, what, call, status, text):
        try:
            got = call()
        except Refused as error:
            return self.equal(what, (error.status, str(error)), (status, text))
        return self.check(what, False, got)

    def run(self):
        for part in [self.hello, self.tokens, self.load, self.kubernetes_as_user, self.kubernetes_as_admin, self.kinds,
                     self.several_at_once, self.reread_answers, self.python_client, self.clean_up]:
            self.say(f"--- {part.__name__.replace('_', ' ')}")
            try:
                part()
            except Exception:
                self.check(f"{part.__name__} came to its end", False)
                traceback.print_exc()
        self.admin.close()
        print(f"{self.passed} passed, {self.failed} failed")
        return 1 if self.failed else 0

    # ---- parts --------------------------------------------------------------
    def hello(self):
        answer = requests.get(self.url + "/hello")
        self.equal("hello is open", (answer.status_code, answer.text), (200, "Hello from Heketi"))
        self.check("hello takes the Python client's token and body", self.python.hello())

    def tokens(self):
        def get(path, headers):
            answer = requests.get(self.url + path, headers=headers)
            return answer.status_code, answer.text

        def bearer(key=self.admin_key, algorithm="HS256", path="/clusters", **changed):
            now = int(time.time())
            claims = {"iss": "admin", "iat": now, "exp": now + 60, "qsh": qsh("GET", path), **changed}
            return {"Authorization": "bearer " + jwt.encode(claims, key, algorithm=algorithm)}

        for algorithm in ["HS256", "HS384", "HS512"]:
            self.equal(f"{algorithm} is good", get("/clusters", bearer(algorithm=algorithm))[0], 200)
        refusals = {
            "no token": ({}, "Required authorization token not found\n"),
            "another key": (bearer("no-such-key-no-such-key-no-such-key"), "Invalid JWT token: signature is invalid (client and server secrets may not match)\n"),
            "another path": (bearer(path="/volumes"), "Invalid qsh claim in token\n"),
            "another user": (bearer(iss="root"), "Invalid JWT token: Unknown user\n"),
            "no algorithm": (bearer(None, "none"), "Invalid JWT token: Unexpected signing method: none\n"),
        }
        for what, (headers, text) in refusals.items():
            self.equal(f"{what} is refused", get("/clusters", headers), (401, text))
        status, text = get("/clusters", bearer(exp=int(time.time()) - 10))
        self.check("an old token is refused", status == 401 and text.startswith("Invalid JWT token: Token is expired by"), text)
        user = GoClient(self.url, "user", self.user_key)
        self.refused("the user role sees no list of clusters", user.cluster_list, 401, "Administrator access required")

    def load(self):
        before = set(self.admin.cluster_list())
        self.volumes_before = self.admin.volume_list()
        self.clusters = load_topology(self.admin, self.topology, self.say)
        self.made_clusters = [cluster for cluster in self.clusters if cluster not in before]
        wanted = {entry["node"]["hostnames"]["manage"][0] for c in self.topology["clusters"] for entry in c["nodes"]}
        for cluster in self.clusters:
            self.nodes += [self.admin.node_info(node) for node in self.admin.cluster_info(cluster)["nodes"]]
        there = {node["hostnames"]["manage"][0] for node in self.nodes}
        self.check("all nodes of the topology are there", wanted <= there, wanted - there)
        devices = [device for node in self.nodes for device in node["devices"]]
        self.check("all devices are online and have room", all(d["state"] == "online" and d["storage"]["free"] > 0 for d in devices), devices)
        for device in devices:
            storage = device["storage"]
            self.equal(f"sizes of {device['name']} add up", storage["free"] + storage["used"], storage["total"])
        again = []
        load_topology(self.admin, self.topology, again.append)
        self.check("loading it again finds all and adds nothing", all(line.startswith("Found") for line in again), again)
        self.space_before = self.space()

    def space(self):
        nodes = [self.admin.node_info(node["id"]) for node in self.nodes]
        return {device["id"]: device["storage"] for node in nodes for device in node["devices"]}

    def kubernetes_as_user(self):
        self.kubernetes(Provisioner(self.url, "user", self.user_key, "replicate:3", volumeoptions="performance.rda-cache-limit 10MB, performance.nl-cache-timeout 600"))

    def kubernetes_as_admin(self):
        self.kubernetes(Provisioner(self.url, "admin", self.admin_key, "replicate:3", ",".join(self.clusters), snapfactor=1.2, prefix="walk"))

    def kubernetes(self, kube):
        volume, endpoints = kube.provision(2, 2000, f"ns_claim_{int(time.time())}")
        self.check("a volume is provisioned", HEX.match(volume["id"]) and volume["size"] == 2, volume)
        self.check("its name", volume["name"].startswith("walk_ns_claim_") if kube.prefix else volume["name"] == f"vol_{volume['id']}", volume["name"])
        self.equal("its group", volume["gid"], 2000)
        self.equal("its durability", volume["durability"], {"type": "replicate", "replicate": {"replica": 3}, "disperse": {}})
        self.equal("its snapshot factor", volume["snapshot"], {"enable": True, "factor": 1 if kube.snapfactor == 1 else 1.2})
        for option in kube.options.split(",") if kube.options else []:
            self.check(f"its options have {option.strip()}", option.strip() in volume["glustervolumeoptions"], volume["glustervolumeoptions"])
        hosts = volume["mount"]["glusterfs"]["hosts"]
        self.equal("hosts to mount from are the endpoints", sorted(hosts), sorted(endpoints))
        self.equal("the device to mount", volume["mount"]["glusterfs"]["device"], f"{hosts[0]}:{volume['name']}")
        self.equal("one brick on each of three nodes", len({brick["node"] for brick in volume["bricks"]}), 3)
        self.equal("it is as big as asked for after an expansion", kube.expand(volume["id"], 3), 3)
        self.equal("expanding to a size it has does nothing", kube.expand(volume["id"], 3), 3)
        if kube.prefix:
            request = {"size": 2, "name": volume["name"], "durability": {"type": "none"}, "clusters": [volume["cluster"]]}
            text = f"Failed to allocate new volume: Volume name '{volume['name']}' already in use"
            self.refused("a name in use is refused", lambda: kube.client.volume_create(request), 500, text)
        kube.delete(volume["id"])
        self.check("it is deleted", volume["id"] not in self.admin.volume_list())
        self.refused("deleting it again is refused", lambda: kube.delete(volume["id"]), 404, "Id not found")
        self.equal("all its space is free again", self.space(), self.space_before)
        kube.client.close()

    def kinds(self):
        if len(self.nodes) < 3:
            self.say("skipped: fewer than three nodes")
            return
        kinds = {"none": (1, None), "replicate:2": (2, None), "disperse:2:1": (3, None), "replicate:3": (3, "user.heketi.arbiter true")}
        for kind, (bricks, options) in kinds.items():
            kube = Provisioner(self.url, "user", self.user_key, kind, volumeoptions=options)
            volume, _ = kube.provision(2, 2001)
            what = f"{kind}{' with an arbiter' if options else ''}"
            self.equal(f"{what}: bricks", len(volume["bricks"]), bricks)
            if options:
                sizes = sorted(brick["size"] for brick in volume["bricks"])
                self.check(f"{what}: one small brick", sizes[0] < sizes[1] == sizes[2], sizes)
            kube.delete(volume["id"])
            kube.client.close()
        self.equal("all their space is free again", self.space(), self.space_before)

    def several_at_once(self):
        def one(number):
            kube = Provisioner(self.url, "user", self.user_key, "replicate:2")
            volume, _ = kube.provision(1, 3000 + number)
            gid = kube.client.volume_info(volume["id"])["gid"]
            kube.delete(volume["id"])
            kube.client.close()
            return gid

        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            self.equal("three claims at once", list(pool.map(one, range(3))), [3000, 3001, 3002])
        self.equal("all their space is free again", self.space(), self.space_before)

    def reread_answers(self):
        url = self.url + "/volumes"
        accepted = self.admin._exchange("POST", url, {"size": 1}, self.admin._token("POST", url), "application/json")
        self.equal("a create is accepted without a body", (accepted.status_code, accepted.content), (202, b""))
        where = accepted.headers["Location"]
        self.check("Location is a path", re.match("^/queue/[0-9a-f]{32}$", where), where)
        answers = []
        while len(answers) < 2:
            answer = self.admin._exchange("GET", self.url + where, None, self.admin._token("GET", self.url + where), None)
            if answer.headers.get("X-Pending") == "true":
                time.sleep(0.4)
                continue
            answers.append((answer.status_code, answer.headers.get("Location")))
        self.equal("an answer can be read again", answers[1], answers[0])
        self.equal("a token holds for one path only", self.admin._exchange(
            "GET", self.url + answers[0][1], None, self.admin._token("GET", self.url + where), None).status_code, 401)
        self.admin.volume_delete(answers[0][1].removeprefix("/volumes/"))

    def python_client(self):
        client = self.python
        self.check("clusters are listed", set(self.clusters) <= set(client.cluster_list()["clusters"]))
        extra = client.cluster_create({"file": True, "block": False})
        self.equal("a cluster is made", client.cluster_info(extra["id"]), {"id": extra["id"], "nodes": [], "volumes": [], "block": False, "file": True, "blockvolumes": []})
        self.check("its flags are set", client.cluster_setflags(extra["id"], {"file": False, "block": True}))
        self.check("it is deleted", client.cluster_delete(extra["id"]))
        node = self.nodes[0]
        device = node["devices"][0]
        self.equal("a node is shown", client.node_info(node["id"])["hostnames"], node["hostnames"])
        self.equal("a device is shown", client.device_info(device["id"])["name"], device["name"])
        for state in ["offline", "online"]:
            self.check(f"a device goes {state}", client.device_state(device["id"], {"state": state}))
            self.equal("it is", client.device_info(device["id"])["state"], state)
            self.check(f"a node goes {state}", client.node_state(node["id"], {"state": state}))
            self.equal("it is", client.node_info(node["id"])["state"], state)
        tags = client.node_set_tags(node["id"], {"change_type": "update", "tags": {"walk": "through"}})
        self.equal("tags are set", tags.get("walk"), "through")
        client.node_set_tags(node["id"], {"change_type": "delete", "tags": {"walk": ""}})
        self.check("a device is looked at again", client.device_resync(device["id"]))
        # LVM may count a little more or less than the sum of what was made and removed.
        self.space_before = self.space()
        volume = client.volume_create({"size": 1, "durability": {"type": "replicate", "replicate": {"replica": 2}}})
        self.check("a volume is made", volume and volume["size"] == 1, volume)
        self.check("it is listed", volume["id"] in client.volume_list()["volumes"])
        self.equal("it is shown", client.volume_info(volume["id"]), volume)
        self.equal("it grows", client.volume_expand(volume["id"], {"expand_size": 1})["size"], 2)
        try:
            client.device_delete(device["id"])
            self.check("a device in use is not deleted", False)
        except requests.HTTPError as error:
            self.equal("a device in use is not deleted", (error.response.status_code, error.response.text), (400, f"device: {device['id']} is not in failed state\n"))
        self.check("it is deleted", client.volume_delete(volume["id"]))
        self.equal("all its space is free again", self.space(), self.space_before)

    def clean_up(self):
        self.equal("no volume is left", self.admin.volume_list(), self.volumes_before)
        if self.keep:
            return
        for node in [node for node in self.nodes if node["cluster"] in self.made_clusters]:
            for device in node["devices"]:
                self.admin.device_state(device["id"], "offline")
                self.admin.device_state(device["id"], "failed")
                self.admin.device_delete(device["id"])
            self.admin.node_delete(node["id"])
        for cluster in self.made_clusters:
            self.admin.cluster_delete(cluster)
        left = [cluster for cluster in self.admin.cluster_list() if cluster in self.made_clusters]
        self.equal("devices, nodes and clusters are gone", left, [])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--admin-key", required=True)
    parser.add_argument("--user-key", required=True)
    parser.add_argument("--topology", required=True, help="topology file as of heketi-cli; at least three nodes for all checks")
    parser.add_argument("--keep", action="store_true", help="leave the clusters, nodes and devices of the topology")
    sys.exit(Walk(parser.parse_args()).run())


if __name__ == "__main__":
    main()
